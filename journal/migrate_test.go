package journal

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"torjournal/tor/event"
)

// oldFile is the fixture of schema 1: what the last program of that schema
// wrote when it recorded oldRecord(1) to oldRecord(3600), 8 s apart from noon
// on, in two sessions, and kept 6 hours of it.
func oldFile(t testing.TB) (path string, data []byte) {
	t.Helper()
	f, err := os.Open("../migrations/testdata/schema1.db.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zr, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if data, err = io.ReadAll(zr); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "journal.db")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, data
}

const oldFirst, oldLast = 851, 3600

func oldRecord(n int) string {
	switch {
	case n%700 == 0:
		var b strings.Builder
		b.WriteString("650+NS\r\n")
		for i := range 400 {
			fmt.Fprintf(&b, "r relay%d AAAA%d 2026-11-01 12:00:00 192.0.2.%d 9001 0\r\n", i, n, i%250)
		}
		return b.String() + ".\r\n650 OK\r\n"
	case n%3 == 0:
		return fmt.Sprintf("650 BW %d %d\r\n", n*37, n*53)
	case n%3 == 1:
		return fmt.Sprintf("650 CIRC %d BUILT $%040X~relay%d PURPOSE=GENERAL\r\n", n, n*7919, n%17)
	case n%97 == 0:
		return fmt.Sprintf("650 UNHEARD_OF %d\r\n", n)
	}
	return fmt.Sprintf("650 STREAM %d SUCCEEDED %d 192.0.2.%d:443\r\n", n, n/2, n%250)
}

// checkOld makes sure that rd holds every record of the fixture, and more of
// them behind.
func checkOld(t *testing.T, rd Reader, more int) {
	t.Helper()
	recs, _ := readAll(t, rd, Range{})
	if len(recs) != oldLast-oldFirst+1+more {
		t.Errorf("%d records", len(recs))
		return
	}
	for i, r := range recs[:len(recs)-more] {
		n := oldFirst + i
		session := uint64(1 + (n-1)/1800)
		if r.Seq != uint64(n) || string(r.Wire) != oldRecord(n) || r.Session != session || !r.Time.Equal(noon.Add(time.Duration(8*n)*time.Second)) {
			t.Errorf("record %d of session %d at %v is %d, %.60q", n, r.Session, r.Time, r.Seq, r.Wire)
			return
		}
	}
	if bw, _ := readAll(t, rd, Range{Types: event.NewSet(event.BW)}); len(bw) < 900 {
		t.Errorf("%d BW", len(bw))
	}
	if ss, err := rd.Sessions(within(t)); err != nil || len(ss) != 2 || ss[0].Source.Version != "0.4.8.13" || ss[1].First != 1801 {
		t.Errorf("sessions %+v, %v", ss, err)
	}
}

// An old file is read as it is, and nothing changes it.
func TestOldSchemaIsReadAsItIs(t *testing.T) {
	path, data := oldFile(t)
	f, err := OpenFile(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	checkOld(t, f, 0)
	if r := readRollups(t, f, time.Time{}, time.Time{}); r.Last != 0 || len(r.Minutes) != 0 {
		t.Errorf("rollups %+v", r)
	}
	if v, err := Verify(path, nil); err != nil || v.Records != oldLast-oldFirst+1 {
		t.Errorf("Verify: %+v, %v", v, err)
	}
	m, err := PlanMigration(path)
	if err != nil || m.From != 1 || m.To != 2 || len(m.Steps) != 1 || m.Steps[0].Number != 2 || m.Need < int64(len(data)) || m.Free == 0 || m.Backup != path+".v1-backup" {
		t.Errorf("%+v, %v", m, err)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, data) || len(names(t, filepath.Dir(path))) != 1 {
		t.Errorf("the file, or its folder, has changed: %q, %v", names(t, filepath.Dir(path)), err)
	}
}

// Who opens it for writing has the newest schema, every old record, and the
// old file beside it until it is removed.
func TestOpenMigrates(t *testing.T) {
	path, data := oldFile(t)
	clock := &stepClock{now: noon.Add(8 * time.Hour)}
	opt := Options{MaxSize: MinMaxSize, Now: clock.Now}
	j := openTest(t, path, opt)
	checkOld(t, j, 0)
	if _, err := PlanMigration(path); !errors.Is(err, ErrLocked) {
		t.Errorf("while it is open: %v, want ErrLocked", err)
	}
	for i := range 2000 {
		appendAll(t, j, raw("650 BW %d 1", i))
		clock.step(time.Second)
	}
	waitForSeal(t, j)
	if r := readRollups(t, j, time.Time{}, time.Time{}); r.First <= oldFirst || r.First > oldLast+1 || r.Last <= oldLast {
		t.Errorf("records %d to %d are summed", r.First, r.Last)
	}
	recs, _ := readAll(t, j, Range{})
	closeTest(t, j)
	checkOldAgain := openTest(t, path, opt)
	checkOld(t, checkOldAgain, len(recs)-(oldLast-oldFirst+1))
	closeTest(t, checkOldAgain)
	if m, err := Migrate(path); err != nil || m.From != m.To {
		t.Errorf("again: %+v, %v", m, err)
	}
	if old, err := os.ReadFile(path + ".v1-backup"); err != nil || !bytes.Equal(old, data) {
		t.Errorf("the backup is not the old file: %v", err)
	}
	made := noon.Add(8 * time.Hour)
	if b, err := Backups(path); err != nil || len(b) != 1 || b[0].Schema != 1 || b[0].Size != int64(len(data)) || !b[0].Made.Equal(made) {
		t.Errorf("%+v, %v", b, err)
	}
	if gone, err := RemoveBackups(path, made); err != nil || len(gone) != 0 {
		t.Errorf("removed %+v, %v", gone, err)
	}
	if gone, err := RemoveBackups(path, made.Add(1)); err != nil || len(gone) != 1 || !slices.Equal(names(t, filepath.Dir(path)), []string{"journal.db"}) {
		t.Errorf("removed %+v, %v, and there is %q", gone, err, names(t, filepath.Dir(path)))
	}
}

// Only what a migration has left is a backup.
func TestBackupNames(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"j.db", "j.db.v1-backup", "j.db.v12-backup", "j.db.v0-backup", "j.db.v1-backup2", "other.v1-backup", "j.db.vx-backup", "xj.db.v1-backup"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bs, err := Backups(filepath.Join(dir, "j.db"))
	if err != nil || len(bs) != 2 || bs[0].Schema != 1 || bs[1].Schema != 12 {
		t.Errorf("%+v, %v", bs, err)
	}
}

// beginMigration is a migration of the fixture before its first step.
func beginMigration(t *testing.T, path string) *migration {
	t.Helper()
	opt, err := Options{MaxSize: MinMaxSize}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	s := &store{path: path}
	if err := s.open(opt, false); err != nil {
		t.Fatal(err)
	}
	m, err := s.planMigration(opt)
	if err != nil {
		t.Fatal(err)
	}
	return &migration{Migration: m, old: s, opt: opt}
}

// die leaves everything as a crash would.
func (g *migration) die() {
	if g.new != nil {
		g.new.abandon()
	}
	g.old.abandon()
}

// After a crash between any two steps the journal opens with all records, one
// backup and nothing else beside it.
func TestMigrationCrashesBetweenSteps(t *testing.T) {
	for n := 0; ; n++ {
		path, data := oldFile(t)
		g := beginMigration(t, path)
		steps := g.steps()
		if n > len(steps) {
			g.die()
			break
		}
		for _, step := range steps[:n] {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
		g.die()
		j := openTest(t, path, Options{MaxSize: MinMaxSize})
		checkOld(t, j, 0)
		closeTest(t, j)
		if got := names(t, filepath.Dir(path)); !slices.Equal(got, []string{"journal.db", "journal.db.v1-backup"}) {
			t.Errorf("after %d steps there is %q", n, got)
		}
		if old, err := os.ReadFile(path + ".v1-backup"); err != nil || !bytes.Equal(old, data) {
			t.Errorf("after %d steps the backup is not the old file: %v", n, err)
		}
	}
}

// Power fails at every write to the copy: the journal is the old file and
// opens. And were the copy the journal already, it would open too.
func TestMigrationCrashImages(t *testing.T) {
	path, data := oldFile(t)
	g := beginMigration(t, path)
	defer g.die()
	if err := g.copy(); err != nil {
		t.Fatal(err)
	}
	var writes []write
	writeHook(t, g.new.db, func(b []byte, off int64) error {
		writes = append(writes, write{off: off, data: bytes.Clone(b)})
		return nil
	})
	if err := g.apply(); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	image, page := bytes.Clone(data), int64(os.Getpagesize())
	var epoch []write
	check := func(what string, journal, draft []byte) {
		path := filepath.Join(t.TempDir(), "journal.db")
		if err := os.WriteFile(path, journal, 0o600); err != nil {
			t.Fatal(err)
		}
		if draft != nil {
			if err := os.WriteFile(filepath.Join(filepath.Dir(path), ".journal.db.new-1"), draft, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		t.Run(what, func(t *testing.T) {
			j := openTest(t, path, Options{MaxSize: MinMaxSize})
			checkOld(t, j, 0)
		})
	}
	for k, w := range writes {
		if w.off < 2*page {
			image, epoch = applyWrites(image, epoch, nil), nil
		}
		epoch = append(epoch, w)
		for i := range scaled(6, 2) {
			torn := applyWrites(bytes.Clone(image), epoch, r)
			check(fmt.Sprintf("write %d beside, %d", k, i), data, torn)
			check(fmt.Sprintf("write %d, %d", k, i), torn, nil)
		}
		if w.off < 2*page {
			image, epoch = applyWrites(image, epoch, nil), nil
		}
	}
	if len(writes) < 3 {
		t.Errorf("%d writes were seen", len(writes))
	}
}

// What stands in the way of a migration is said, and the journal stays.
func TestMigrationRefuses(t *testing.T) {
	path, data := oldFile(t)
	_, err := Open(path, Options{freeSpace: func(string) (int64, error) { return 1000, nil }})
	if err == nil || !strings.Contains(err.Error(), "the copy needs 2 MiB") {
		t.Errorf("without room: %v", err)
	}
	if err := os.WriteFile(path+".v1-backup", []byte("of earlier"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{}); err == nil || !strings.Contains(err.Error(), "migrate --done") {
		t.Errorf("with a backup in the way: %v", err)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, data) {
		t.Errorf("the journal has changed: %v", err)
	}
	if got := names(t, filepath.Dir(path)); len(got) != 2 {
		t.Errorf("there is %q", got)
	}
}

// Where a file system knows no links the backup is a copy.
func TestMigrationKeepsACopy(t *testing.T) {
	path, data := oldFile(t)
	g := beginMigration(t, path)
	defer g.die()
	if err := g.keepCopy(); err != nil {
		t.Fatal(err)
	}
	if old, err := os.ReadFile(g.Backup); err != nil || !bytes.Equal(old, data) {
		t.Errorf("the backup is not the old file: %v", err)
	}
	if got := names(t, filepath.Dir(path)); !slices.Equal(got, []string{"journal.db", "journal.db.v1-backup"}) {
		t.Errorf("there is %q", got)
	}
}

// A schema of the future is refused, whole and untouched.
func TestNewerSchemaIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put([]byte("schema"), key(99)) }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(path)
	if _, err := Open(path, Options{}); !errors.Is(err, ErrNewerSchema) {
		t.Errorf("Open: %v", err)
	}
	if _, err := OpenFile(path, nil); !errors.Is(err, ErrNewerSchema) {
		t.Errorf("OpenFile: %v", err)
	}
	if _, err := Migrate(path); !errors.Is(err, ErrNewerSchema) {
		t.Errorf("Migrate: %v", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the file has changed")
	}
}
