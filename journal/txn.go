package journal

import (
	"bytes"

	bolt "go.etcd.io/bbolt"
)

// txn is a transaction of the file, and the one way to the values in its
// buckets: above it they are what they mean, below it what lies in the file,
// encrypted if the file is.
type txn struct {
	bolt   *bolt.Tx
	cipher *fileCipher
	logged []logged // of a transaction that reads: what follows the tail, or was taken by it
}

// bucket is one of the file's buckets in a transaction.
type bucket struct {
	name    string
	kind    byte // of its cryptograms
	bolt    *bolt.Bucket
	cipher  *fileCipher
	scratch []byte // of header and entry
}

// kinds of what the buckets hold.
var kinds = map[string]byte{
	string(bucketMeta):     kindMeta,
	string(bucketTail):     kindBatch,
	string(bucketBlocks):   kindBatch,
	string(bucketIndex):    kindIndex,
	string(bucketSessions): kindSession,
	string(bucketRollups):  kindRollup,
	string(bucketEntities): kindEntities,
}

// appendOnly returns the bucket with the fill that suits keys in order. It
// must be asked anew in each transaction.
func appendOnly(tx *txn, name []byte) (*bucket, error) {
	b := tx.bolt.Bucket(name)
	if b == nil {
		return nil, damaged(string(name), 0, "the bucket is missing")
	}
	out := &bucket{name: string(name), kind: kinds[string(name)], bolt: b, cipher: tx.cipher}
	if b.FillPercent = 1; !out.ordered() {
		b.FillPercent = bolt.DefaultFillPercent
	}
	return out, nil
}

// optional is appendOnly for a bucket that need not be there: nil if it is not.
func (tx *txn) optional(name []byte) *bucket {
	b, err := appendOnly(tx, name)
	if err != nil {
		return nil
	}
	return b
}

// ordered reports whether the keys in the file have the order of what they
// mean.
func (b *bucket) ordered() bool { return b.cipher == nil || b.kind != kindRollup }

// own returns data, which is a value or what is left of it, as bytes that are
// valid when the transaction has ended.
func (tx *txn) own(data []byte) []byte {
	if tx.cipher != nil {
		return data // it was decrypted into memory of its own
	}
	return bytes.Clone(data)
}

// put stores data under k, whatever lay there. data must stay unchanged until
// the transaction ends.
func (b *bucket) put(k, data []byte) error {
	data = b.cipher.encrypt(b.kind, k, data)
	k = b.cipher.hide(k)
	if b.kind == kindBatch {
		return putValue(b.bolt, k, data)
	}
	return b.bolt.Put(k, data)
}

// get returns what lies under k, nil if nothing does. The bytes are valid
// until the transaction ends.
func (b *bucket) get(k []byte) ([]byte, error) { return b.at(k).plain() }

// delete removes what lies under k, if anything does.
func (b *bucket) delete(k []byte) error {
	if b.kind == kindBatch {
		return deleteValue(b.bolt, k)
	}
	return b.bolt.Delete(b.cipher.hide(k))
}

// move takes what lies under k, in a bucket of its own, to another bucket of
// the same kind. Not a byte of it is written again.
func (b *bucket) move(k []byte, to *bucket) error { return b.bolt.MoveBucket(k, to.bolt) }

// sequence is a number that the bucket has beside its root, for us to use.
func (b *bucket) sequence() uint64 { return b.bolt.Sequence() }

func (b *bucket) setSequence(n uint64) error { return b.bolt.SetSequence(n) }

// at returns the value under k where it lies.
func (b *bucket) at(k []byte) held { return b.held(k, b.bolt.Get(b.cipher.hide(k))) }

// held is the value under k; v is what bbolt says of it, nil of a bucket.
func (b *bucket) held(k, v []byte) held {
	if b.kind == kindBatch {
		v = value(b.bolt, k, v)
	}
	return held{b, k, v}
}

// cursor walks the bucket in the order of its keys as they lie in the file.
func (b *bucket) cursor() *cursor { return &cursor{b, b.bolt.Cursor()} }

// each visits every value in order.
func (b *bucket) each(visit func(k []byte, v held) error) error {
	c := b.cursor()
	for k, v := c.first(); k != nil; k, v = c.next() {
		if err := visit(k, v); err != nil {
			return err
		}
	}
	return nil
}

// eachOf visits every value whose key begins with kind.
func (b *bucket) eachOf(kind byte, visit func(k []byte, v held) error) error {
	c := b.cursor()
	for k, v := c.seek([]byte{kind}); k != nil && k[0] == kind; k, v = c.next() {
		if err := visit(k, v); err != nil {
			return err
		}
	}
	return nil
}

// deleteIf deletes what old says of the values whose key begins with kind.
func (b *bucket) deleteIf(kind byte, old func(k []byte, v held) bool) error {
	var gone [][]byte
	err := b.eachOf(kind, func(k []byte, v held) error {
		if old(k, v) {
			gone = append(gone, bytes.Clone(k))
		}
		return nil
	})
	for i := 0; err == nil && i < len(gone); i++ {
		err = b.delete(gone[i])
	}
	return err
}

// cursor is a place in a bucket. Its methods return a nil key where there is
// no more.
type cursor struct {
	in   *bucket
	bolt *bolt.Cursor
}

func (c *cursor) held(k, v []byte) ([]byte, held) {
	if k == nil {
		return nil, held{in: c.in}
	}
	k = c.in.cipher.show(k)
	return k, c.in.held(k, v)
}

func (c *cursor) first() ([]byte, held)           { return c.held(c.bolt.First()) }
func (c *cursor) last() ([]byte, held)            { return c.held(c.bolt.Last()) }
func (c *cursor) next() ([]byte, held)            { return c.held(c.bolt.Next()) }
func (c *cursor) prev() ([]byte, held)            { return c.held(c.bolt.Prev()) }
func (c *cursor) seek(want []byte) ([]byte, held) { return c.held(c.bolt.Seek(want)) }

// held is a value where it lies in the file.
type held struct {
	in  *bucket
	key []byte
	raw []byte // nil: there is none
}

func (v held) there() bool { return v.raw != nil }

// size is the length of the value itself, also of one that cannot be
// decrypted.
func (v held) size() int {
	if v.raw != nil && v.in.cipher != nil {
		return max(0, len(v.raw)-cryptoSize)
	}
	return len(v.raw)
}

// plain returns the value itself, nil if there is none. The bytes are valid
// until the transaction ends.
func (v held) plain() ([]byte, error) { return v.decrypt(nil) }

func (v held) decrypt(dst []byte) ([]byte, error) {
	if v.raw == nil {
		return nil, nil
	}
	data, err := v.in.cipher.decrypt(dst, v.in.kind, v.key, v.raw)
	if err != nil {
		return nil, damaged(v.in.name, v.number(), "%w", err)
	}
	return data, nil
}

// number is the sequence number that the key stands for, 0 if it is none.
func (v held) number() uint64 {
	if (v.in.kind == kindBatch || v.in.kind == kindIndex) && len(v.key) == 8 {
		return beNumber(v.key)
	}
	return 0
}

// brief is plain for a value of which only the beginning is wanted: it is
// valid until the next call on its bucket.
func (v held) brief() ([]byte, error) {
	data, err := v.decrypt(v.in.scratch[:0])
	if err == nil && v.in.cipher != nil && cap(data) <= scratchKept {
		v.in.scratch = data
	}
	return data, err
}

// header parses the header of the batch or block.
func (v held) header() (header, error) {
	data, err := v.brief()
	if err != nil {
		return header{}, err
	}
	return headerAt(v.in.name, v.key, data)
}

// entry parses the index entry.
func (v held) entry() (header, error) {
	data, err := v.brief()
	if err != nil {
		return header{}, err
	}
	return entryAt(v.key, data)
}
