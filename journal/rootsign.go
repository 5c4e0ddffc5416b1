package journal

import (
	"io"

	bolt "go.etcd.io/bbolt"
)

// A root page that the disk did not write is an older root page, of a journal
// that is whole but for its newest records: where the tail is small, nothing
// that a commit changes lies anywhere else. So every commit signs its root page
// with the number of its transaction, which the meta page has as well: it is
// the sequence number of bbolt's bucket `meta`.

// signRoot notes the number of the transaction in the root page.
func signRoot(tx *bolt.Tx) error {
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		return nil // no journal yet
	}
	return meta.SetSequence(uint64(tx.ID()))
}

// checkRoot finds out whether the root page is older than the meta page that
// names it. A program of before signs nothing and leaves the number as it was:
// after one commit of such a program it is the one of the commit before, and
// after more both root pages have the same. What lay in the place of a new root
// page is never that of the commit before, whose pages stay for a reader. That
// one may be unwritten, too, where a disk loses more than one page: then it
// bears an older number than its commit, and another one than the newest. Or it
// is not there any more, because a commit that a crash cut short has used its
// place.
func checkRoot(r io.ReaderAt, meta boltMeta) error {
	signed := signature(r, meta)
	if signed == meta.txid || signed+1 == meta.txid {
		return nil
	}
	other := int64(meta.pageSize)
	if meta.txid%2 == 1 {
		other = 0
	}
	before, err := readMeta(r, other)
	if err != nil {
		return err
	}
	if !before.valid {
		return nil // others tell
	}
	if theirs := signature(r, before); theirs == 0 || theirs == signed || theirs > before.txid {
		return nil
	}
	return damaged("", 0, "the root page is that of commit %d, the newest one is commit %d; the newest records are missing", signed, meta.txid)
}

// signature returns what signRoot noted below a meta page; 0: nothing, or it
// cannot be read, which others tell.
func signature(r io.ReaderAt, meta boltMeta) uint64 {
	t := newTree(r, meta, func(error) {})
	return t.buckets()[string(bucketMeta)].sequence
}
