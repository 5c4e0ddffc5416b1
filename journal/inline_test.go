package journal

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A bucket that lies inside its parent's page is copied by bbolt where it is
// not aligned, and read past the copy's end if it claims more than it has:
// nothing would recover from that. Such a file is refused before.
func TestDamageInsideAPageIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := openTest(t, path, Options{})
	appendAll(t, j, bw(1, 3)...)
	closeTest(t, j)
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	meta, err := newestMeta(f)
	if err != nil {
		t.Fatal(err)
	}
	inside := 0
	for name, b := range newTree(f, meta, func(err error) { t.Fatal(err) }).buckets() {
		if b.root != 0 {
			continue
		}
		inside++
		for what, change := range map[string]func(page []byte){
			"too many elements":   func(page []byte) { binary.NativeEndian.PutUint16(page[10:], 3000) },
			"an element too far":  func(page []byte) { binary.NativeEndian.PutUint32(page[boltPageHeader+4:], 1<<20) },
			"a key too long":      func(page []byte) { binary.NativeEndian.PutUint32(page[boltPageHeader+8:], 1<<14) },
			"a value too long":    func(page []byte) { binary.NativeEndian.PutUint32(page[boltPageHeader+12:], 1<<24) },
			"no page of elements": func(page []byte) { binary.NativeEndian.PutUint16(page[8:], pageBranch) },
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				if b.size < boltPageHeader+elementSize && what != "too many elements" && what != "no page of elements" {
					return // it is empty
				}
				hurt := append([]byte(nil), sound...)
				change(hurt[b.off : b.off+b.size])
				path := filepath.Join(t.TempDir(), "journal.db")
				if err := os.WriteFile(path, hurt, 0o600); err != nil {
					t.Fatal(err)
				}
				var d *DamageError
				if j, err := Open(path, Options{}); !errors.As(err, &d) {
					t.Errorf("Open: %v", err)
					if err == nil {
						closeTest(t, j)
					}
				}
				if f, err := OpenFile(path, nil); !errors.As(err, &d) {
					t.Errorf("OpenFile: %v", err)
					if err == nil {
						_ = f.Close()
					}
				}
			})
		}
	}
	if inside < 3 {
		t.Errorf("%d buckets lie inside a page: nothing is tested", inside)
	}
}
