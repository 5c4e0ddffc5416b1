package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// makeFolder makes the journal's folder, for its owner alone; a group that
// shall use the private socket may pass through it, but not look into it. A
// folder that is there already may hold other things and is left as it is:
// then it is said what the group lacks.
func makeFolder(dir, group string, log *slog.Logger) error {
	_, err := os.Stat(dir)
	made := errors.Is(err, fs.ErrNotExist)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the journal's folder: %w", err)
	}
	if group == "" {
		return nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return fmt.Errorf("daemon: --group: %w", err)
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return fmt.Errorf("daemon: --group %s: its id %q is no number", group, g.Gid)
	}
	if made {
		if err := os.Chown(dir, -1, gid); err != nil {
			return fmt.Errorf("let group %s pass through the journal's folder: %w", group, err)
		}
		if err := os.Chmod(dir, 0o710); err != nil {
			return fmt.Errorf("let group %s pass through the journal's folder: %w", group, err)
		}
	}
	if !passable(dir, gid) {
		log.Warn("members of the group cannot reach the sockets in the journal's folder: let them pass",
			"group", group, "command", fmt.Sprintf("chgrp %s %s && chmod 710 %s", group, filepath.Clean(dir), filepath.Clean(dir)))
	}
	return nil
}

// passable reports whether a group may pass through a folder.
func passable(dir string, gid int) bool {
	fi, err := os.Stat(dir)
	if err != nil {
		return false
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	return fi.Mode()&0o001 != 0 || ok && int(st.Gid) == gid && fi.Mode()&0o010 != 0
}
