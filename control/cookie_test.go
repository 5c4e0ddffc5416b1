package control

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A server that cannot write a new cookie takes the old one, unless others may
// know it or it is none; then the error says what to look at.
func TestOwnCookieWithoutRoom(t *testing.T) {
	old := bytes.Repeat([]byte{7}, cookieLen)
	for name, c := range map[string]struct {
		data []byte
		mode os.FileMode
		good bool
	}{
		"its owner's":        {old, 0o600, true},
		"others may read it": {old, 0o644, false},
		"its group may":      {old, 0o640, false},
		"too short":          {old[1:], 0o600, false},
		"too long":           {append(bytes.Clone(old), 1), 0o600, false},
		"not there":          {nil, 0, false},
	} {
		path := filepath.Join(t.TempDir(), "cookie")
		if c.data != nil {
			if err := os.WriteFile(path, c.data, c.mode); err != nil {
				t.Fatal(err)
			}
		}
		var log bytes.Buffer
		s := NewServer(Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		s.writeCookie = func(string) ([]byte, error) { return nil, errors.New("no room") }
		got, err := s.ownCookie(path)
		switch {
		case c.good && (err != nil || !bytes.Equal(got, old) || !strings.Contains(log.String(), "the one of before")):
			t.Errorf("%s: %x, %v, log %q", name, got, err, log.String())
		case !c.good && (err == nil || !strings.Contains(err.Error(), "no room; see whether the disk is full")):
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
}
