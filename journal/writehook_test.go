package journal

import (
	"reflect"
	"unsafe"

	bolt "go.etcd.io/bbolt"
)

// hookT is what testing.T and rapid.T have in common of what writeHook needs.
type hookT interface {
	Helper()
	Fatal(...any)
}

// writeHook puts hook in front of every write of db: an error of hook is the
// write's. bbolt offers no other way in; this fails loudly when an update moves
// the field.
func writeHook(t hookT, db *bolt.DB, hook func(b []byte, off int64) error) {
	t.Helper()
	f := reflect.ValueOf(db).Elem().FieldByName("ops").FieldByName("writeAt")
	if !f.IsValid() || f.Type() != reflect.TypeFor[func([]byte, int64) (int, error)]() {
		t.Fatal("bbolt's DB.ops.writeAt is not what it was: look for the new place of its writes")
	}
	writeAt := (*func([]byte, int64) (int, error))(unsafe.Pointer(f.UnsafeAddr()))
	old := *writeAt
	*writeAt = func(b []byte, off int64) (int, error) {
		if err := hook(b, off); err != nil {
			return 0, err
		}
		return old(b, off)
	}
}

// isMeta reports whether a write at off is of one of bbolt's two meta pages,
// which it syncs the file before and after.
func isMeta(db *bolt.DB, off int64) bool { return off < 2*int64(db.Info().PageSize) }
