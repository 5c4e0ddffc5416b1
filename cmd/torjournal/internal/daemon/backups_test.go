package daemon

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"torjournal/journal"
	"torjournal/tor/scrub"
)

// aBackup makes what a migration leaves beside a journal in a folder of the
// test's own, so long ago.
func aBackup(t *testing.T, age time.Duration) (path string, there func() bool) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "journal.db")
	backup, made := path+".v1-backup", time.Now().Add(-age)
	if err := os.WriteFile(backup, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(backup, made, made); err != nil {
		t.Fatal(err)
	}
	return path, func() bool {
		_, err := os.Stat(backup)
		return err == nil
	}
}

// The file that a migration has left goes at the first turn after its time: it
// is over after seven days, never later than the journal's own age limit, and
// after a day where the recorded tor serves others, whatever the user says and
// before that tor has been found.
func TestBackupsHaveTheirTime(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		age, maxAge time.Duration
		byRole      bool
		role        string // of the newest session
		gone        bool
	}{
		"new":                              {age: 6 * day},
		"old":                              {age: 8 * day, gone: true},
		"new, records live longer":         {age: 6 * day, maxAge: 30 * day},
		"old, records live longer":         {age: 8 * day, maxAge: 30 * day, gone: true},
		"a day, records live less":         {age: 25 * time.Hour, maxAge: day, gone: true},
		"a client's":                       {age: 6 * day, maxAge: OwnAge, byRole: true, role: scrub.Client},
		"a relay's":                        {age: 25 * time.Hour, maxAge: OwnAge, byRole: true, role: scrub.Relay, gone: true},
		"a relay's, an hour":               {age: time.Hour, maxAge: OwnAge, byRole: true, role: scrub.Relay},
		"a bridge's":                       {age: 25 * time.Hour, maxAge: OwnAge, byRole: true, role: scrub.Bridge, gone: true},
		"a relay's, records kept longer":   {age: 25 * time.Hour, maxAge: 30 * day, role: scrub.Relay, gone: true},
		"a relay's, records kept for ever": {age: 25 * time.Hour, role: scrub.Relay, gone: true},
	} {
		t.Run(name, func(t *testing.T) {
			path, there := aBackup(t, c.age)
			u := newUpkeep(&fakeRing{limits: journal.Limits{MaxAge: c.maxAge}}, c.byRole, slog.New(slog.DiscardHandler))
			u.backups = removeBackups(path, slog.New(slog.DiscardHandler))
			if c.role != "" {
				s := journal.Session{ID: 1}
				s.Source.Role = c.role
				u.recorded([]journal.Session{s})
			}
			u.turn(t.Context())
			if there() == c.gone {
				t.Errorf("gone: %v, want %v", !there(), c.gone)
			}
		})
	}
}

// A daemon that goes on removes it when its time is over, and at once when it
// finds that its tor serves others.
func TestBackupsGoInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept []time.Duration
		u := newUpkeep(&fakeRing{limits: journal.Limits{MaxAge: OwnAge}, began: time.Now()}, true, slog.New(slog.DiscardHandler))
		u.backups = func(keep time.Duration) { kept = append(kept, keep) }
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { u.run(ctx); close(ended) }()
		synctest.Wait()
		time.Sleep(2*time.Hour + time.Minute)
		synctest.Wait()
		if len(kept) != 3 || kept[2] != journal.BackupTime {
			t.Errorf("in two hours it looked for what is older than %v", kept)
		}
		u.attached(policy(t, "relay"))
		synctest.Wait()
		if len(kept) != 4 || kept[3] != othersAge {
			t.Errorf("with a relay it looked for what is older than %v", kept)
		}
		cancel()
		<-ended
	})
}

// A daemon removes what is too old when it starts.
func TestDaemonRemovesBackups(t *testing.T) {
	path, there := aBackup(t, 8*24*time.Hour)
	stop := running(t, path)
	for end := time.Now().Add(patience); there(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is still there")
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
