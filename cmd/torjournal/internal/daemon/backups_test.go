package daemon

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"torjournal/journal"
)

// The file that a migration has left goes after seven days, and never stays
// longer than the journal may keep its records.
func TestRemoveBackups(t *testing.T) {
	day := 24 * time.Hour
	for name, c := range map[string]struct {
		age, maxAge time.Duration
		gone        bool
	}{
		"new":                        {age: 6 * day},
		"old":                        {age: 8 * day, gone: true},
		"new, records live longer":   {age: 6 * day, maxAge: 30 * day},
		"old, records live longer":   {age: 8 * day, maxAge: 30 * day, gone: true},
		"a day, a relay's journal":   {age: 25 * time.Hour, maxAge: day, gone: true},
		"an hour, a relay's journal": {age: time.Hour, maxAge: day},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "journal.db")
			j, err := journal.Open(path, journal.Options{MaxAge: c.maxAge})
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			backup, made := path+".v1-backup", time.Now().Add(-c.age)
			if err := os.WriteFile(backup, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(backup, made, made); err != nil {
				t.Fatal(err)
			}
			d := &Daemon{cfg: Config{Journal: path, Logger: slog.New(slog.DiscardHandler)}, journal: j}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := d.removeBackups(ctx); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(backup); (err != nil) != c.gone {
				t.Errorf("gone: %v, want %v", err != nil, c.gone)
			}
		})
	}
}
