package journal

import (
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// Verified is what Verify found intact.
type Verified struct {
	Blocks, Batches int    // of the index and of the tail
	Records         uint64 // in all of them
	First, Last     uint64 // sequence numbers; both 0 in an empty journal
}

// maxVerifyErrors bounds what Verify reports of one file.
const maxVerifyErrors = 100

// Verify reads all of the journal file at path, which no daemon may have
// open: bbolt's pages, the checksum of every batch and block, that every
// record can be decoded, that numbers follow each other without a hole, and
// that the index says what the blocks hold. The error joins a *DamageError
// for everything that is wrong, up to 100.
func Verify(path string) (Verified, error) {
	opt, err := Options{lockTimeout: readLockTimeout}.withDefaults()
	if err != nil {
		return Verified{}, err
	}
	s, err := openStore(path, opt, true)
	if err != nil {
		return Verified{}, err
	}
	v := verifier{}
	err = s.view(v.file)
	errs := append(v.errs, err, s.close())
	for _, err := range errs {
		_ = at(path, err)
	}
	return v.found, errors.Join(errs...)
}

type verifier struct {
	found   Verified
	errs    []error
	rollups rollupCheck
}

func (v *verifier) report(bucket string, seq uint64, err error) {
	var d *DamageError
	if err == nil || len(v.errs) >= maxVerifyErrors {
		return
	}
	if !errors.As(err, &d) {
		err = damaged(bucket, seq, "%w", err)
	}
	v.errs = append(v.errs, err)
}

func (v *verifier) file(tx *bolt.Tx) error {
	for err := range tx.Check() {
		v.report("", 0, err)
	}
	given, err := evicted(tx)
	if err != nil {
		return err
	}
	v.found.Last = given
	for _, walk := range []func(*bolt.Tx) error{v.summed, v.blocks, v.tail, v.orphans, v.sessions, v.sums} {
		if err := walk(tx); err != nil {
			return err
		}
	}
	if v.found.Records == 0 {
		v.found.Last = 0
	}
	return nil
}

func (v *verifier) blocks(tx *bolt.Tx) error {
	index, err := appendOnly(tx, bucketIndex)
	if err != nil {
		return err
	}
	return index.ForEach(func(k, val []byte) error {
		h, err := entryAt(k, val)
		if err != nil {
			v.report("index", 0, err)
			return nil
		}
		data, err := block(tx, h)
		v.report("blocks", h.first, err)
		v.batch("blocks", h, data)
		v.found.Blocks++
		return nil
	})
}

func (v *verifier) tail(tx *bolt.Tx) error {
	tail, err := appendOnly(tx, bucketTail)
	if err != nil {
		return err
	}
	return tail.ForEach(func(k, val []byte) error {
		data := value(tail, k, val)
		h, err := headerAt("tail", k, data)
		if err != nil {
			v.report("tail", 0, err)
			return nil
		}
		v.batch("tail", h, data)
		v.found.Batches++
		return nil
	})
}

// batch checks one envelope and that it follows the one before.
func (v *verifier) batch(bucket string, h header, data []byte) {
	if h.first != v.found.Last+1 {
		v.report(bucket, h.first, fmt.Errorf("it follows record %d", v.found.Last))
	}
	v.found.Last = h.last
	if data == nil {
		return // reported
	}
	got, payload, rest, err := splitEnvelope(data)
	if err == nil && len(rest) != 0 {
		err = fmt.Errorf("%d bytes follow the payload", len(rest))
	}
	if err != nil {
		v.report(bucket, h.first, err)
		return
	}
	recs, err := decodeBatch(got, payload, noTypes)
	if err == nil {
		err = agrees(h, recs)
	}
	if err != nil {
		v.report(bucket, h.first, err)
		return
	}
	if v.found.First == 0 {
		v.found.First = h.first
	}
	v.found.Records += uint64(len(recs))
	v.rollups.add(recs)
}

// agrees compares what the header says with what the records say.
func agrees(h header, recs []Record) error {
	got := headerOf(recs)
	if got.first != h.first || got.last != h.last || got.session != h.session ||
		got.minTime != h.minTime || got.maxTime != h.maxTime {
		return fmt.Errorf("its header does not say what its records are")
	}
	// Types that had no bit of their own when the batch was written may have
	// one now.
	if h.mask>>otherBit == 0 && got.mask != h.mask {
		return fmt.Errorf("its header does not name the types of its records")
	}
	return nil
}

// orphans looks for blocks that the index does not name.
func (v *verifier) orphans(tx *bolt.Tx) error {
	blocks, err := appendOnly(tx, bucketBlocks)
	if err != nil {
		return err
	}
	index, err := appendOnly(tx, bucketIndex)
	if err != nil {
		return err
	}
	return blocks.ForEach(func(k, _ []byte) error {
		if index.Get(k) == nil {
			seq, _ := number("blocks", k)
			v.report("blocks", seq, errors.New("the index does not name it"))
		}
		return nil
	})
}

func (v *verifier) sessions(tx *bolt.Tx) error {
	all, err := sessions(tx)
	v.report("sessions", 0, err)
	for i, s := range all {
		if i > 0 && (s.ID <= all[i-1].ID || s.First < all[i-1].First) {
			v.report("sessions", s.First, fmt.Errorf("session %d does not follow session %d", s.ID, all[i-1].ID))
		}
	}
	return nil
}
