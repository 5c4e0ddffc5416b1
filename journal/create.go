package journal

import (
	"errors"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"

	"torjournal/migrations"
)

// createIfMissing makes an empty journal beside path and then gives it its
// name: a crash in bbolt's first writes would leave a file that nothing can
// open. A folder that has to be made is its owner's alone.
func createIfMissing(path string, opt Options) error {
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	draft, err := newDraft(path)
	if err != nil {
		return err
	}
	defer os.Remove(draft)
	if err := initialise(draft, opt); err != nil {
		return err
	}
	if err := placeNew(draft, path); !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil // somebody else was faster
}

func initialise(path string, opt Options) error {
	bo := boltOptions(opt.MaxSize, nil)
	bo.InitialMmapSize = 0
	db, err := bolt.Open(path, 0o600, bo)
	if err != nil {
		return err
	}
	db.AllocSize = allocSize(opt.MaxSize)
	return errors.Join(makeJournal(db, opt.Key), db.Close())
}

// makeJournal makes an empty bbolt file a journal, encrypted if there is a key.
func makeJournal(db *bolt.DB, key *Key) error {
	if _, _, err := migrations.Apply(db); err != nil {
		return err
	}
	return db.Update(func(tx *bolt.Tx) error {
		if key != nil {
			c, err := key.newFile()
			if err != nil {
				return err
			}
			if err := tx.Bucket(bucketMeta).Put(keyCipher, c.entry()); err != nil {
				return err
			}
		}
		return signRoot(tx)
	})
}

// openDraft opens for writing what initialise has made with the same options.
func (s *store) openDraft(opt Options) error {
	if err := s.open(opt, false); err != nil {
		return err
	}
	return s.useKey(opt.Key)
}

// openEmpty makes an empty file a journal and locks it before. It returns
// errSwept if the file was removed before it was locked.
func (s *store) openEmpty(opt Options) error {
	bo := boltOptions(opt.MaxSize, func(path string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(path, flag&^os.O_CREATE, mode)
		if errors.Is(err, os.ErrNotExist) {
			return nil, errSwept
		}
		if err != nil {
			return nil, err
		}
		named := true
		if err = lock(f, true, opt.lockTimeout); err == nil {
			named, err = hasName(f, path)
		}
		if err == nil && !named {
			err = errSwept
		}
		if err != nil {
			_ = f.Close()
			return nil, err
		}
		s.file = f
		return f, nil
	})
	return s.fence(func() (err error) {
		if s.db, err = bolt.Open(s.path, 0o600, bo); err != nil {
			return err
		}
		s.unsettled = true
		s.setMaxSize(opt.MaxSize)
		if err := makeJournal(s.db, opt.Key); err != nil {
			return err
		}
		return s.useKey(opt.Key)
	})
}
