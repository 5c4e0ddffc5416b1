package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"torjournal/migrations"
)

// store is the open file: the one place that opens it, and the one place
// (view and update) that reads and writes it.
type store struct {
	path string // immutable

	// swap is held for reading while db is read by anybody but the writer, and
	// for writing while the writer puts another file in its place.
	swap   sync.RWMutex
	db     *bolt.DB    // guarded by swap
	file   *os.File    // guarded by swap; what db holds, so that its lock can be released whatever db does
	cipher *fileCipher // guarded by swap; nil: the file is not encrypted

	logged    atomic.Pointer[[]logged]        // what the log holds that the buckets have not; nil: nothing
	logRegion walRegion                       // of the file, as it was opened
	logFound  walFound                        // owned by the writer; what lay in it then, until that is durable, see settleFound
	logBuf    []byte                          // owned by the writer; scratch
	beforeLog func(b []byte, off int64) error // tests: takes part in every write to the log; nil: nobody

	note *lossNote // what the file said of missing events, until it is told; nil: nothing

	unsynced  bool // owned by the writer; the folder may not know yet that the file has its name
	unsettled bool // owned by the writer; what the file says may be in memory only, see settle

	logUnsettled bool // owned by the writer; so may what the log has, and the zeros behind it, see settleFound

	broken atomic.Pointer[DamageError] // set by the first damage that a write met; nothing is written after it
}

// openStore opens the journal at path, which must exist if readOnly, and else
// is created, with its folder, if it does not.
func openStore(path string, opt Options, readOnly bool) (*store, error) {
	if !readOnly {
		if err := createIfMissing(path, opt); err != nil {
			return nil, fmt.Errorf("journal: create %s: %w", path, ofTarget(err, path))
		}
	}
	s := &store{path: path}
	err := s.open(opt, readOnly)
	if err == nil && !opt.keyless {
		err = s.useKey(opt.Key)
	}
	if err == nil && !readOnly {
		if err := sweepDrafts(path); err != nil {
			opt.Logger.Warn("what a crash has left beside the journal cannot be removed, and may hold records: remove it", "error", err)
		}
	}
	if err == nil && !readOnly {
		s.note = readNote(s.file, s.cipher) // an upgrade writes over it
		err = s.upgrade(opt)
	}
	if err == nil {
		err = s.view(requireSchema)
	}
	if err == nil && !opt.keyless && !opt.logless {
		err = s.recoverLog()
	}
	if err != nil {
		s.abandon()
		return nil, openError(path, err)
	}
	return s, nil
}

func openError(path string, err error) error {
	var d *DamageError
	switch {
	case errors.As(err, &d):
		return at(path, err)
	case errors.Is(err, ErrLocked):
		if who := holder(path); who != "" {
			return fmt.Errorf("%w: %s is held by %s", ErrLocked, path, who)
		}
		return fmt.Errorf("%w: %s", ErrLocked, path)
	case errors.Is(err, migrations.ErrForeign):
		return fmt.Errorf("journal: open %s: %w: %w", path, ErrNotJournal, err)
	}
	return fmt.Errorf("journal: open %s: %w", path, ofTarget(err, path))
}

func requireSchema(tx *txn) error {
	v, err := migrations.Version(tx.bolt)
	switch {
	case err != nil:
		return err
	case v == 0:
		return migrations.ErrForeign
	}
	return nil
}

// useKey makes sure that the open file is encrypted with key, or not at all if
// that is nil. A bbolt file in which nothing is yet may become either.
func (s *store) useKey(key *Key) error {
	return s.view(func(tx *txn) error {
		v, err := migrations.Version(tx.bolt)
		if err != nil || v == 0 {
			return err
		}
		s.cipher, err = key.forEntry(tx.bolt.Bucket(bucketMeta).Get(keyCipher))
		return err
	})
}

// open maps the file. The hook that opens it takes the lock and looks at the
// file before bbolt does.
func (s *store) open(opt Options, readOnly bool) error {
	hook := func(path string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := openLocked(path, flag&^os.O_CREATE, mode, opt, readOnly)
		s.file = f
		return f, err
	}
	bo := boltOptions(opt.MaxSize, hook)
	bo.ReadOnly = readOnly
	if readOnly {
		bo.InitialMmapSize, bo.MaxSize = 0, 0
	}
	return s.fence(func() error {
		db, err := bolt.Open(s.path, 0o600, bo)
		switch {
		case errors.Is(err, berrors.ErrTimeout):
			return ErrLocked
		case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
			return damaged("", 0, "%w", err)
		case err != nil:
			return err
		}
		s.db, s.unsettled = db, true
		if !readOnly {
			s.setMaxSize(opt.MaxSize)
		}
		return nil
	})
}

func openLocked(path string, flag int, mode os.FileMode, opt Options, readOnly bool) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%w: it is a folder; name a file in it, such as journal.db", ErrNotJournal)
	}
	for deadline := time.Now().Add(opt.lockTimeout); ; {
		f, err := opt.openFile(path, flag, mode)
		if err != nil {
			return nil, err
		}
		named := true
		if err = lock(f, !readOnly, time.Until(deadline)); err == nil {
			named, err = hasName(f, path)
		}
		if err == nil && named {
			err = preflight(f, opt.seen)
		}
		if err == nil && named {
			return f, nil
		}
		unlock(f)
		_ = f.Close()
		if err == nil && time.Now().After(deadline) {
			err = ErrLocked
		}
		if err != nil {
			return nil, err
		}
	}
}

// hasName reports whether f is what path leads to: while its lock was waited
// for, another file may have taken its place.
func hasName(f *os.File, path string) (bool, error) {
	own, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil // opening it again says so
	}
	return err == nil && os.SameFile(own, there), err
}

// fence runs f and turns bbolt's panics and the faults of its map, which a
// damaged file causes, into a *DamageError.
func (s *store) fence(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = &DamageError{Path: s.path, Err: fmt.Errorf("%v", p)}
		}
		err = at(s.path, err)
	}()
	return f()
}

// view runs f in a read transaction. f copies what it needs and returns soon:
// a transaction that stays open pins the pages that the ring would use again.
func (s *store) view(f func(*txn) error) error {
	s.swap.RLock()
	defer s.swap.RUnlock()
	return s.fence(func() error {
		// In this order: what leaves the log meanwhile is in the buckets then.
		var pages []logged
		if p := s.logged.Load(); p != nil {
			pages = *p
		}
		return closedError(s.db.View(func(tx *bolt.Tx) error {
			return f(&txn{bolt: tx, cipher: s.cipher, logged: pages})
		}))
	})
}

// update runs f in the one read-write transaction. An error of the commit
// itself is ambiguous: the transaction may be in the file.
func (s *store) update(f func(*txn) error) error {
	if err := s.ready(); err != nil {
		return err
	}
	return s.write(func() error {
		committing := false
		err := s.db.Update(func(tx *bolt.Tx) error {
			err := f(&txn{bolt: tx, cipher: s.cipher})
			if err == nil {
				err = signRoot(tx)
			}
			committing = err == nil
			return err
		})
		// Without room a commit ends before it writes.
		s.unsettled = err != nil && committing && !errors.Is(err, berrors.ErrMaxSizeReached)
		return closedError(err)
	})
}

// ready makes durable what the next write relies on.
func (s *store) ready() error {
	if s.unsynced {
		if err := syncFolder(filepath.Dir(s.path)); err != nil {
			return errors.Join(errFolder, err)
		}
		s.unsynced = false
	}
	if s.unsettled {
		if err := s.settle(); err != nil {
			return at(s.path, fmt.Errorf("journal: sync: %w", err))
		}
		s.unsettled = false
	}
	if s.logUnsettled {
		if err := s.settleFound(); err != nil {
			return at(s.path, fmt.Errorf("journal: sync the log: %w", err))
		}
		s.logFound, s.logUnsettled = walFound{}, false
	}
	return nil
}

// settle makes what the file says now durable, before the next transaction
// uses the pages that the state before it has left. bbolt does not know when
// that is needed: after a commit whose last sync failed, and after a process
// that died in front of it, the newest meta page is in the page cache, and a
// reader sees it, but the disk may still have the one before. The page is
// written again, because a sync that failed leaves it marked as clean.
func (s *store) settle() error {
	meta, err := newestMeta(s.file)
	if err != nil {
		return err
	}
	page := make([]byte, boltPageHeader+boltMetaSize)
	off := int64(meta.txid%2) * int64(meta.pageSize)
	if _, err := s.file.ReadAt(page, off); err != nil {
		return err
	}
	if _, err := s.file.WriteAt(page, off); err != nil {
		return err
	}
	return s.file.Sync()
}

// takeOver makes the open file of other, which has our name by now, ours, and
// returns the old one, for the caller to close. Nobody waits but for who reads
// the old one just now.
func (s *store) takeOver(other *store) *store {
	s.swap.Lock()
	defer s.swap.Unlock()
	old := &store{path: s.path, db: s.db, file: s.file, cipher: s.cipher}
	s.db, s.file, s.cipher, s.unsettled = other.db, other.file, other.cipher, other.unsettled
	other.db, other.file = nil, nil
	s.logFound, s.logUnsettled = walFound{}, false
	return old
}

// write runs f behind the fence. After damage was met nothing is written any
// more: bbolt's locks may be held for ever then.
func (s *store) write(f func() error) error {
	if d := s.broken.Load(); d != nil {
		return d
	}
	err := s.fence(f)
	var d *DamageError
	if errors.As(err, &d) {
		s.broken.Store(d)
	}
	return err
}

// closedError says what an error of bbolt's means for us. What we put where
// shows that a bucket is not in the place of a value, or a value in that of a
// bucket, unless the tree is damaged.
func closedError(err error) error {
	switch {
	case errors.Is(err, berrors.ErrDatabaseNotOpen):
		return ErrClosed
	case errors.Is(err, berrors.ErrBucketExists), errors.Is(err, berrors.ErrBucketNotFound), errors.Is(err, berrors.ErrIncompatibleValue):
		return damaged("", 0, "%w", err)
	}
	return err
}

// pageSize is the size of the file's pages in bytes.
func (s *store) pageSize() int { return s.db.Info().PageSize }

// countPages lets bbolt count its free pages: it does so when a write
// transaction ends, and there was none yet.
func (s *store) countPages() error {
	return s.write(func() error {
		tx, err := s.db.Begin(true)
		if err != nil {
			return closedError(err)
		}
		return tx.Rollback()
	})
}

// pagesInUse returns how many pages hold something, at the beginning of the
// write transaction tx; pages that only wait for a reader to end count as
// free.
func (s *store) pagesInUse(tx *txn) int {
	return int(tx.bolt.Size())/s.pageSize() - s.freePages() - parked(tx.bolt)
}

// emptyPages returns how many pages held nothing when the last write transaction
// ended: free ones, those that readers may still see included, and parked ones.
func (s *store) emptyPages() int { return s.parkedPages() + s.freePages() }

// parkedPages returns how many pages are parked.
func (s *store) parkedPages() (n int) {
	_ = s.view(func(tx *txn) error { n = parked(tx.bolt); return nil }) // damage is told to who writes
	return n
}

// listedPages returns how many free pages the last write transaction left for the
// next one to use at once.
func (s *store) listedPages() int { return s.db.Stats().FreePageN }

// withoutGrowth runs f, whose transactions have only the pages that are free.
// The writer calls it.
func (s *store) withoutGrowth(f func() error) error {
	wall := s.db.MaxSize
	defer func() { s.db.MaxSize = wall }()
	s.db.MaxSize = 1
	return f()
}

// freePages returns how many pages held nothing when the last write transaction
// ended, those that readers may still see included.
func (s *store) freePages() int {
	st := s.db.Stats()
	return st.FreePageN + st.PendingPageN
}

// pinnedPages returns how many freed pages could not be used by the last write
// transaction because a reader may still see them. It is to be asked after a
// transaction that was given up: after a commit it counts what that freed, too.
func (s *store) pinnedPages() int { return s.db.Stats().PendingPageN }

// setMaxSize moves the wall that bbolt does not let the file grow over. The
// writer calls it.
func (s *store) setMaxSize(n int64) {
	s.db.MaxSize, s.db.AllocSize = s.wall(n), allocSize(n)
}

// wall is the limit of the file, but never less than the file has: one over a
// lowered limit must still be written until a vacuum has made it smaller, and
// bbolt would refuse what needs no growth too. A file that holds more than the
// ring may have needs more even to evict: a vacuum may have left no page free.
func (s *store) wall(limit int64) int {
	info, err := s.file.Stat()
	if err != nil {
		return int(limit)
	}
	wall := max(limit, info.Size())
	if err := s.countPages(); err == nil && s.overfull(limit) {
		wall = min(max(wall, info.Size()+evictRoom), maxSizeLimit)
	}
	return int(wall)
}

// evictRoom is by how much a file may grow to evict what a lower limit has no
// room for. = one batch and what a commit needs beside it, twice, because what
// is freed can be used by the commit after the next.
const evictRoom = 2 * (turnBytes + 1<<20)

// overfull reports whether more pages are in use than a ring of this limit
// uses.
func (s *store) overfull(limit int64) (over bool) {
	ring, _ := ringPages(Options{MaxSize: limit}, s.pageSize())
	err := s.view(func(tx *txn) error {
		over = s.pagesInUse(tx) > ring
		return nil
	})
	return err == nil && over
}

func (s *store) fileSize() int64 {
	s.swap.RLock()
	defer s.swap.RUnlock()
	if info, err := s.file.Stat(); err == nil {
		return info.Size()
	}
	return 0
}

// close ends the use of the file. If a transaction died of damage, bbolt's
// own Close would wait for it: the descriptor, and the lock with it, is then
// closed without it.
func (s *store) close() error {
	if s.broken.Load() != nil {
		s.abandon()
		return nil
	}
	err := s.keepNote()
	return errors.Join(err, s.fence(s.db.Close))
}

// abandon gives the file back after an error, whatever state bbolt is in.
func (s *store) abandon() {
	if s.db != nil && s.broken.Load() == nil {
		if s.fence(s.db.Close) == nil {
			return // it has closed the file too
		}
	}
	if s.file != nil {
		unlock(s.file) // closing is not enough: bbolt's map is left behind
		_ = s.file.Close()
	}
}
