package journal

import (
	"encoding/binary"

	bolt "go.etcd.io/bbolt"
)

// The buckets of schema 2, see package migrations and FORMAT.md.
var (
	bucketMeta     = []byte("meta")
	bucketTail     = []byte("tail")
	bucketBlocks   = []byte("blocks")
	bucketIndex    = []byte("index")
	bucketSessions = []byte("sessions")
	bucketRollups  = []byte("rollups")  // not in schema 1
	bucketEntities = []byte("entities") // not there before the first block that has some
	bucketParked   = []byte("parked")   // not there before pages were parked
	bucketWAL      = []byte("wal")      // not there before small turns came: what wal.go tells of
	bucketDamaged  = []byte("damaged")  // not there but after damage: buckets that nobody reads any more

	keyEvicted = []byte("evicted") // in meta: the last number that the ring gave up
	keyCipher  = []byte("cipher")  // in meta: that and how the file is encrypted; absent: it is not
	keyLog     = []byte("log")     // in meta, never encrypted: page number of the log's next page when it was taken last; absent: 0
	keyValue   = []byte("v")       // the one key of a large value's own bucket
)

// ownBucket is the size from which a batch lies in a bucket of its own. bbolt
// does not split a leaf of four keys, so that each append of a large value would
// write its neighbours again. A young batch, encrypted or not, is smaller, and
// with it a leaf of the smallest usual page has room for what leads to 60 others:
// so the tail is one page.
const ownBucket = youngStored + 256

// movable is the size from which a batch can be moved to another bucket as it
// is: what older programs wrote has a bucket of its own only from there on.
const movable = 2048

func key(n uint64) []byte { return binary.BigEndian.AppendUint64(make([]byte, 0, 8), n) }

func beNumber(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

// number reads a key. Keys of other lengths cannot be ours.
func number(bucket string, k []byte) (uint64, error) {
	if len(k) != 8 {
		return 0, damaged(bucket, 0, "a key has %d bytes, not 8", len(k))
	}
	return binary.BigEndian.Uint64(k), nil
}

// putValue stores data under k, whatever lay there. data must stay unchanged
// until the transaction ends.
func putValue(b *bolt.Bucket, k, data []byte) error {
	if len(data) < ownBucket && b.Bucket(k) == nil {
		return b.Put(k, data)
	}
	if b.Get(k) != nil { // a small one lay there
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	own, err := b.CreateBucketIfNotExists(k)
	if err != nil {
		return err
	}
	own.FillPercent = 1
	return own.Put(keyValue, data)
}

// value returns what putValue stored; v is what a cursor of b says of k. The
// bytes are valid until the transaction ends.
func value(b *bolt.Bucket, k, v []byte) []byte {
	if v != nil {
		return v
	}
	if own := b.Bucket(k); own != nil {
		return own.Get(keyValue)
	}
	return nil
}

func deleteValue(b *bolt.Bucket, k []byte) error {
	if b.Bucket(k) != nil {
		return b.DeleteBucket(k)
	}
	return b.Delete(k)
}

// pages is how many pages a value of that many bytes occupies: its own if it
// has a bucket, else its share of a leaf, rounded up.
func pages(size, pageSize int) int {
	const leaf = 16 + 16 + 8 // page header, element, key
	return (size + leaf + pageSize - 1) / pageSize
}

// headerAt parses the header of the batch that lies under k.
func headerAt(bucket string, k, data []byte) (header, error) {
	first, err := number(bucket, k)
	if err != nil {
		return header{}, err
	}
	h, err := parseHeader(data)
	if err != nil {
		return h, damaged(bucket, first, "%w", err)
	}
	if h.first != first || h.size() != len(data) {
		return h, damaged(bucket, first, "the batch there is of records %d to %d with %d bytes, and has %d", h.first, h.last, h.size(), len(data))
	}
	return h, nil
}

// entryAt parses the index entry under k.
func entryAt(k, data []byte) (header, error) {
	first, err := number("index", k)
	if err != nil {
		return header{}, err
	}
	h, err := parseIndex(data)
	if err != nil {
		return h, damaged("index", first, "%w", err)
	}
	if h.first != first {
		return h, damaged("index", first, "the entry there is of record %d", h.first)
	}
	return h, nil
}

// block returns the stored bytes of the block that the index entry h names.
func block(tx *txn, h header) ([]byte, error) {
	b, err := appendOnly(tx, bucketBlocks)
	if err != nil {
		return nil, err
	}
	k := key(h.first)
	data, err := b.get(k)
	if err != nil {
		return nil, err
	}
	if data == nil {
		return nil, damaged("blocks", h.first, "the index names a block that is not there")
	}
	got, err := headerAt("blocks", k, data)
	if err != nil {
		return nil, err
	}
	if got != h {
		return nil, damaged("blocks", h.first, "the block is not the one that the index names")
	}
	return data, nil
}

func evicted(tx *txn) (uint64, error) {
	b, err := appendOnly(tx, bucketMeta)
	if err != nil {
		return 0, err
	}
	v, err := b.get(keyEvicted)
	if v == nil || err != nil {
		return 0, err
	}
	if len(v) != 8 {
		return 0, damaged("meta", 0, "evicted has %d bytes, not 8", len(v))
	}
	return binary.BigEndian.Uint64(v), nil
}

func putEvicted(tx *txn, n uint64) error {
	b, err := appendOnly(tx, bucketMeta)
	if err != nil {
		return err
	}
	return b.put(keyEvicted, key(n))
}

// newest returns the last sequence number the file holds or ever held, and
// the header of the newest batch, nil if every record was evicted.
func newest(tx *txn) (uint64, *header, error) {
	last, h, err := newestThere(tx)
	if err == nil {
		err = checkEnd(tx, last)
	}
	if l := tx.newestLogged(); err == nil && l != nil && l.last > last {
		return l.last, l, nil
	}
	return last, h, err
}

// checkEnd finds out whether records behind last are missing: every append
// notes its last number beside the tail's root, where it costs nothing. A page
// that the disk did not write would otherwise end the journal early in silence.
func checkEnd(tx *txn, last uint64) error {
	tail, err := appendOnly(tx, bucketTail)
	if err != nil {
		return err
	}
	if end := tail.sequence(); end > last {
		return missing("tail", last+1, end)
	}
	return nil
}

// missing is the damage of records that should be there.
func missing(bucket string, first, last uint64) error {
	return damaged(bucket, first, "records %d to %d are missing", first, last)
}

func newestThere(tx *txn) (uint64, *header, error) {
	tail, err := appendOnly(tx, bucketTail)
	if err != nil {
		return 0, nil, err
	}
	if k, v := tail.cursor().last(); k != nil {
		h, err := v.header()
		return h.last, &h, err
	}
	index, err := appendOnly(tx, bucketIndex)
	if err != nil {
		return 0, nil, err
	}
	if k, v := index.cursor().last(); k != nil {
		h, err := v.entry()
		return h.last, &h, err
	}
	n, err := evicted(tx)
	return n, nil, err
}

// oldest returns the header of the oldest batch and the bucket it lies in;
// ok is false in an empty journal.
func oldest(tx *txn) (h header, bucket []byte, ok bool, err error) {
	index, err := appendOnly(tx, bucketIndex)
	if err != nil {
		return h, nil, false, err
	}
	if k, v := index.cursor().first(); k != nil {
		h, err = v.entry()
		return h, bucketBlocks, err == nil, err
	}
	tail, err := appendOnly(tx, bucketTail)
	if err != nil {
		return h, nil, false, err
	}
	if k, v := tail.cursor().first(); k != nil {
		h, err = v.header()
		return h, bucketTail, err == nil, err
	}
	return h, nil, false, nil
}
