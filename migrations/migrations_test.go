package migrations

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
)

func open(t *testing.T) *bolt.DB {
	t.Helper()
	db, err := bolt.Open(filepath.Join(t.TempDir(), "journal.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.View(func(tx *bolt.Tx) error {
			for err := range tx.Check() {
				t.Error(err)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestApplyCreatesThenDoesNothing(t *testing.T) {
	db := open(t)
	if from, to, err := Apply(db); from != 0 || to != Latest() || err != nil {
		t.Fatalf("first Apply: %d → %d, %v; want 0 → %d", from, to, err, Latest())
	}
	if from, to, err := Apply(db); from != Latest() || to != Latest() || err != nil {
		t.Fatalf("second Apply: %d → %d, %v; want nothing to do", from, to, err)
	}
	err := db.View(func(tx *bolt.Tx) error {
		for _, name := range []string{"meta", "tail", "blocks", "index", "sessions", "rollups"} {
			if tx.Bucket([]byte(name)) == nil {
				t.Errorf("no bucket %s", name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestVersionRefuses(t *testing.T) {
	put := func(bucket string, key, value []byte) func(*bolt.Tx) error {
		return func(tx *bolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte(bucket))
			if err == nil && key != nil {
				err = b.Put(key, value)
			}
			return err
		}
	}
	newer := binary.BigEndian.AppendUint64(nil, Latest()+1)
	for name, c := range map[string]struct {
		make func(*bolt.Tx) error
		want error
	}{
		"newer schema":        {put("meta", schemaKey, newer), ErrNewer},
		"other program":       {put("users", []byte("a"), []byte("b")), ErrForeign},
		"meta without schema": {put("meta", nil, nil), ErrForeign},
		"schema of 3 bytes":   {put("meta", schemaKey, []byte{0, 0, 1}), ErrForeign},
		"schema 0":            {put("meta", schemaKey, make([]byte, 8)), ErrForeign},
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t)
			if err := db.Update(c.make); err != nil {
				t.Fatal(err)
			}
			if _, _, err := Apply(db); !errors.Is(err, c.want) {
				t.Fatalf("Apply: %v, want %v", err, c.want)
			}
			err := db.View(func(tx *bolt.Tx) error {
				if tx.Bucket([]byte("tail")) != nil {
					t.Error("a refused file was changed")
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A step and its number are one transaction: what fails leaves no trace.
func TestFailedStepLeavesNothing(t *testing.T) {
	fail := errors.New("disk on fire")
	old := steps
	steps = append(steps[:len(steps):len(steps)], step{"explode", "", func(tx *bolt.Tx) error {
		if _, err := tx.CreateBucket([]byte("half")); err != nil {
			return err
		}
		return fail
	}})
	defer func() { steps = old }()
	db := open(t)
	if from, to, err := Apply(db); from != 0 || to != Latest()-1 || !errors.Is(err, fail) {
		t.Fatalf("Apply: %d → %d, %v; want 0 → %d and the step's error", from, to, err, Latest()-1)
	}
	err := db.View(func(tx *bolt.Tx) error {
		if v, err := Version(tx); v != Latest()-1 || err != nil {
			t.Errorf("version %d, %v; want %d", v, err, Latest()-1)
		}
		if tx.Bucket([]byte("half")) != nil {
			t.Error("half of the failed step is in the file")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// One file a step, its number in its name.
func TestFilesMatchSteps(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`^(\d{4})_([a-z_]+)\.go$`)
	n := 0
	for _, e := range entries {
		m := name.FindStringSubmatch(e.Name())
		if m == nil || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		if n >= len(steps) || steps[n].name != m[2] {
			t.Errorf("%s: no step of that number and name", e.Name())
		}
		n++
	}
	if n != len(steps) {
		t.Errorf("%d files for %d steps", n, len(steps))
	}
}
