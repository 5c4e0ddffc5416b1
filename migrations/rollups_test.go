package migrations

import (
	"compress/gzip"
	"io"
	"maps"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// fixture returns the file of an older schema that lies in testdata.
func fixture(t *testing.T, name string) *bolt.DB {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zr, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "journal.db")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, zr); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// content returns every key of every bucket, by its path, and its value.
func content(t *testing.T, db *bolt.DB) map[string]string {
	t.Helper()
	all := map[string]string{}
	var walk func(path string, b *bolt.Bucket) error
	walk = func(path string, b *bolt.Bucket) error {
		all[path+"/"] = ""
		return b.ForEach(func(k, v []byte) error {
			if v == nil {
				return walk(path+"/"+string(k), b.Bucket(k))
			}
			all[path+"/"+string(k)] = string(v)
			return nil
		})
	}
	err := db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error { return walk(string(name), b) })
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// The step adds an empty bucket; everything else stays byte for byte.
func TestRollupsStep(t *testing.T) {
	db := fixture(t, "schema1.db.gz")
	want := content(t, db)
	if from, to, err := apply(db, 2); from != 1 || to != 2 || err != nil {
		t.Fatalf("%d → %d, %v", from, to, err)
	}
	if want["meta/schema"] != "\x00\x00\x00\x00\x00\x00\x00\x01" || len(want) < 50 {
		t.Fatalf("the fixture holds %d keys, schema %q", len(want), want["meta/schema"])
	}
	want["meta/schema"] = "\x00\x00\x00\x00\x00\x00\x00\x02"
	want["rollups/"] = ""
	if got := content(t, db); !maps.Equal(got, want) {
		t.Errorf("%d keys, want %d", len(got), len(want))
	}
}
