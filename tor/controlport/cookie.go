package controlport

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// cookieLen is the length of every authentication cookie. A file of another
// length must not be shown to anybody ([control-spec] 3.21).
const cookieLen = 32

// readCookie reads an authentication cookie. Its errors wrap ErrCredentials.
func readCookie(path string) ([]byte, error) {
	info, err := os.Stat(path) // before the file is opened: a pipe would block
	if err != nil {
		return nil, cookieError(path, err)
	}
	if !info.Mode().IsRegular() || info.Size() != cookieLen {
		return nil, fmt.Errorf("controlport: %w: %s is no cookie: it is not a file of %d bytes; name the file that tor's CookieAuthFile says",
			ErrCredentials, path, cookieLen)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, cookieError(path, err)
	}
	defer f.Close()
	cookie := make([]byte, cookieLen)
	if _, err := io.ReadFull(f, cookie); err != nil {
		return nil, cookieError(path, err)
	}
	return cookie, nil
}

func cookieError(path string, err error) error {
	hint := "name the cookie file as this machine sees it, or set a password (tor's HashedControlPassword)"
	if errors.Is(err, fs.ErrPermission) {
		hint = "the user must be in the group that may read it: " + groupHint(path)
	}
	return fmt.Errorf("controlport: %w: read tor's cookie: %w; %s", ErrCredentials, err, hint)
}

// groupHint says how to get at a file or socket of tor's.
func groupHint(path string) string {
	group := "debian-tor"
	for _, p := range []string{path, filepath.Dir(path)} {
		if name := groupOf(p); name != "" {
			group = name
			break
		}
	}
	return fmt.Sprintf("`adduser USER %s` and log in again (on Debian the group is debian-tor)", group)
}

// groupOf returns the name of the group that owns path, "" where that is not
// known or is root's, which nobody should join.
func groupOf(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Gid == 0 {
		return ""
	}
	g, err := user.LookupGroupId(strconv.FormatUint(uint64(st.Gid), 10))
	if err != nil {
		return ""
	}
	return g.Name
}
