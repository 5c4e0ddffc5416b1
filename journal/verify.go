package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"torjournal/migrations"
)

// Verified is what was found intact.
type Verified struct {
	Blocks, Batches int       // of the index and of the tail
	Records         uint64    // in all of them
	First, Last     uint64    // their sequence numbers; both 0 in an empty journal
	Since, Until    time.Time // their earliest and latest arrival; zero in an empty journal
	Lost            uint64    // records that a salvage has noted as lost

	// Holes are times of which the kept sums of the bandwidth were damaged and
	// have been set aside. VerifyReader does not look.
	Holes []RollupHole
}

// maxVerifyErrors bounds what the error of Verify joins.
const maxVerifyErrors = 100

// Verify is VerifyEach with one error, which joins a *DamageError for
// everything that is wrong, up to 100.
func Verify(path string, key *Key) (Verified, error) {
	var errs []error
	v, err := VerifyEach(path, key, func(d *DamageError) {
		if len(errs) < maxVerifyErrors {
			errs = append(errs, d)
		}
	})
	return v, errors.Join(append(errs, err)...)
}

// VerifyEach reads all of the journal file at path, which no daemon may have
// open: bbolt's pages, the checksum of every batch and block, that every
// record can be decoded, that numbers follow each other without a hole, and
// that the index says what the blocks hold. It reports everything that is
// wrong, whatever state the file is in. The error says why the file could not
// be looked at. An encrypted file is not looked at without its key: its pages
// alone say little.
func VerifyEach(path string, key *Key, report func(*DamageError)) (Verified, error) {
	v := &verifier{path: path, key: key, report: report}
	err := v.file()
	return v.found, err
}

// verifier holds a file, or what a Reader gives, against what it should be. It
// reads the file through tree, so that what one page hides does not keep it
// from the others; bbolt's own check follows if the pages can bear it.
type verifier struct {
	path   string
	key    *Key
	report func(*DamageError)

	found   Verified
	bad     int    // reports
	garbled bool   // what the file says of its encryption
	next    uint64 // the number that should come next; 0: any
	seen    header // the last batch with a header, for the times of holes
	last    uint64 // last number of the last block
	buf     []byte // scratch

	rollups  rollupCheck
	entities map[uint64]summary // by the first record of their block
}

func (v *verifier) damage(bucket string, h *header, err error) {
	if err == nil {
		return
	}
	d := &DamageError{Path: v.path, Bucket: bucket, Err: err}
	var inner *DamageError
	if errors.As(err, &inner) {
		d.Err, d.Seq = inner.Err, inner.Seq
		if bucket == "" {
			d.Bucket = inner.Bucket
		}
	}
	if h != nil {
		d.Seq, d.Last = h.first, h.last
		d.Since, d.Until = h.span()
	}
	v.bad++
	v.report(d)
}

func (v *verifier) file() error {
	f, err := openToRead(v.path)
	if err != nil {
		return err
	}
	defer f.Close()
	defer unlock(f)
	var d *DamageError
	if err := preflight(f, nil); errors.As(err, &d) {
		v.damage("", nil, d)
	} else if err != nil {
		return openError(v.path, err)
	}
	meta, err := newestMeta(f)
	if err != nil || !meta.valid {
		return nil // reported
	}
	t := newTree(f, meta, func(err error) { v.damage("", nil, err) })
	t.keys.key = v.key
	buckets := t.buckets()
	if err := v.schema(t, buckets); err != nil {
		return openError(v.path, err)
	}
	t.checkFreelist()
	v.summed(t, buckets)
	v.summaries(t, buckets)
	v.blocks(t, buckets)
	v.tail(t, buckets)
	v.wal(t, buckets)
	v.sessions(t, buckets)
	v.sums(t, buckets)
	v.parked(t, buckets)
	if b, ok := buckets[string(bucketDamaged)]; ok {
		t.walk(b) // what is there is damage, and bbolt must not go there
	}
	if !t.broken && !v.garbled && meta.pages*uint64(meta.pageSize) <= uint64(size(f)) {
		v.bolt()
	}
	return nil
}

func size(f *os.File) int64 {
	info, err := f.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// openToRead opens a file that may be no journal any more, with the lock that
// keeps a daemon from it.
func openToRead(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case info.IsDir():
		err = fmt.Errorf("%w: it is a folder; name a file in it, such as journal.db", ErrNotJournal)
	default:
		err = lock(f, false, readLockTimeout)
	}
	if err != nil {
		_ = f.Close()
		return nil, openError(path, err)
	}
	return f, nil
}

// schema looks at the bucket that says what kind of file it is.
func (v *verifier) schema(t *tree, buckets map[string]treeBucket) error {
	b, ok := buckets[string(bucketMeta)]
	if !ok {
		if v.bad > 0 {
			return nil // it may have been there
		}
		return migrations.ErrForeign
	}
	v.next = 1
	var all []element
	t.each(b, func(e element) { all = append(all, e) })
	if err := v.encryption(t, all); err != nil {
		return err
	}
	for _, e := range all {
		if bytes.Equal(e.key, keyCipher) {
			continue
		}
		var val []byte
		var err error
		if bytes.Equal(e.key, keyEvicted) {
			_, val, err = t.open(kindMeta, e, 8, nil)
		} else {
			val, err = t.value(e, 8, nil)
		}
		if err == nil && len(val) != 8 {
			err = fmt.Errorf("%s has %d bytes, not 8", e.key, len(val))
		}
		if err != nil {
			v.damage("meta", nil, err)
		} else if bytes.Equal(e.key, keyEvicted) {
			v.next = beNumber(val) + 1
		}
	}
	return nil
}

// encryption finds out how the file is encrypted. The error says that the key
// is not the right one.
func (v *verifier) encryption(t *tree, meta []element) error {
	entry, err := cipherEntry(t, meta)
	if err == nil && entry == nil && t.broken {
		return nil // it may have been there
	}
	if err == nil {
		err = t.keys.learn(entry)
	}
	if keyError(err) {
		return err
	}
	v.garbled = err != nil
	v.damage("meta", nil, err)
	return nil
}

// cipherEntry returns what the elements of meta say of the encryption, nil if
// they say nothing.
func cipherEntry(t *tree, meta []element) ([]byte, error) {
	for _, e := range meta {
		if bytes.Equal(e.key, keyCipher) {
			return t.value(e, maxCipherEntry, nil)
		}
	}
	return nil, nil
}

// stored is a block with what the index says of it, as far as each is there.
type stored struct {
	entry *header
	value *element
}

// blocks holds index and blocks against each other, and each block against
// what it should be.
func (v *verifier) blocks(t *tree, buckets map[string]treeBucket) {
	all := map[uint64]*stored{}
	at := func(n uint64) *stored {
		if all[n] == nil {
			all[n] = &stored{}
		}
		return all[n]
	}
	v.each(t, buckets, bucketIndex, func(e element) {
		_, val, err := t.open(kindIndex, e, indexSize, nil)
		var h header
		if err == nil {
			h, err = entryAt(e.key, val)
		}
		if err != nil {
			v.damage("index", nil, err)
			return
		}
		at(h.first).entry = &h
	})
	v.each(t, buckets, bucketBlocks, func(e element) {
		n, err := number("blocks", e.key)
		if err != nil {
			v.damage("blocks", nil, err)
			return
		}
		at(n).value = &e
	})
	keys := make([]uint64, 0, len(all))
	for n := range all {
		keys = append(keys, n)
	}
	slices.Sort(keys)
	for _, n := range keys {
		v.block(t, n, all[n])
	}
}

// each visits the elements of one of the file's buckets.
func (v *verifier) each(t *tree, buckets map[string]treeBucket, name []byte, visit func(element)) {
	b, ok := buckets[string(name)]
	if !ok {
		v.damage(string(name), nil, errors.New("the bucket is missing"))
		return
	}
	t.each(b, visit)
}

func (v *verifier) block(t *tree, n uint64, s *stored) {
	h := s.entry
	if h != nil {
		v.last = h.last
	}
	if s.value == nil {
		v.follows("index", h)
		if h.lost() {
			v.found.Lost += h.count()
		} else {
			v.damage("blocks", h, errors.New("the index names a block that is not there"))
		}
		return
	}
	data, got, err := v.envelope(t, "blocks", *s.value)
	if h == nil {
		if err != nil {
			got = header{first: n, last: n}
		}
		v.follows("blocks", &got)
		v.damage("blocks", &got, errors.Join(errors.New("the index does not name it"), err))
		return
	}
	v.follows("blocks", h)
	if err == nil && got != *h {
		err = errors.New("the block is not the one that the index names")
	}
	var recs []Record
	if err == nil {
		recs, err = v.whole(*h, data)
	}
	v.damage("blocks", h, err)
	if err == nil {
		v.found.Blocks++
		v.count(h)
		v.told(h, recs)
	}
}

// envelope reads what lies under e and its header.
func (v *verifier) envelope(t *tree, bucket string, e element) (data []byte, h header, err error) {
	if _, data, err = t.open(kindBatch, e, maxPlain, v.buf); err != nil {
		return nil, h, err
	}
	v.buf = data
	h, err = headerAt(bucket, e.key, data)
	return data, h, err
}

func (v *verifier) tail(t *tree, buckets map[string]treeBucket) {
	v.each(t, buckets, bucketTail, func(e element) {
		data, h, err := v.envelope(t, "tail", e)
		if err != nil {
			n, nerr := number("tail", e.key)
			if nerr == nil {
				h = header{first: n, last: n}
				v.follows("tail", &h)
				v.next = 0 // its last number is not known
			}
			v.damage("tail", &h, err)
			return
		}
		v.follows("tail", &h)
		_, err = v.whole(h, data)
		v.damage("tail", &h, err)
		if err == nil {
			v.found.Batches++
			v.count(&h)
		}
	})
	if end := buckets[string(bucketTail)].sequence; end >= max(v.next, v.seen.last+1) {
		if v.next != 0 {
			v.hole("tail", v.next, end, nil)
		}
		v.next = end + 1 // where the log begins
	}
}

// follows holds h against the batch before it.
func (v *verifier) follows(bucket string, h *header) {
	switch {
	case v.next == 0 || h.first == v.next:
	case h.first > v.next:
		v.hole(bucket, v.next, h.first-1, h)
	default:
		v.damage(bucket, h, fmt.Errorf("it follows record %d", v.next-1))
	}
	v.next, v.seen = h.last+1, *h
}

// hole reports records that are missing between the last batch and h.
func (v *verifier) hole(bucket string, first, last uint64, h *header) {
	v.damage(bucket, between(&v.seen, h, first, last), fmt.Errorf("the records are missing"))
}

// whole returns the records of data, which must be one envelope with h.
func (v *verifier) whole(h header, data []byte) ([]Record, error) {
	got, payload, rest, err := splitEnvelope(data)
	if err != nil {
		return nil, err
	}
	if len(rest) != 0 {
		return nil, fmt.Errorf("%d bytes follow the payload", len(rest))
	}
	if got != h {
		return nil, errors.New("its header is another one")
	}
	recs, err := decodeBatch(got, payload, noTypes)
	if err != nil {
		return nil, err
	}
	if err := agrees(h, recs); err != nil {
		return nil, err
	}
	v.rollups.add(recs)
	return recs, nil
}

func (v *verifier) count(h *header) {
	if v.found.First == 0 {
		v.found.First = h.first
	}
	v.found.Last = h.last
	v.found.Records += h.count()
	since, until := time.UnixMicro(h.minTime).UTC(), time.UnixMicro(h.maxTime).UTC()
	if v.found.Since.IsZero() || since.Before(v.found.Since) {
		v.found.Since = since
	}
	if until.After(v.found.Until) {
		v.found.Until = until
	}
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

func (v *verifier) sessions(t *tree, buckets map[string]treeBucket) {
	var before *Session
	v.each(t, buckets, bucketSessions, func(e element) {
		_, val, err := t.open(kindSession, e, maxSession, nil)
		var s Session
		if err == nil {
			s, err = parseSession(e.key, val)
		}
		if err == nil && before != nil && (s.ID <= before.ID || s.First < before.First) {
			err = damaged("sessions", s.First, "session %d does not follow session %d", s.ID, before.ID)
		}
		v.damage("sessions", nil, err)
		if err == nil {
			before = &s
		}
	})
}

// bolt lets bbolt check its own pages. Its check runs in a goroutine that no
// fence protects: only a file whose pages all lie in their places may go there.
func (v *verifier) bolt() {
	opt, err := Options{Key: v.key, logless: true, lockTimeout: readLockTimeout}.withDefaults()
	if err != nil {
		return
	}
	s, err := openStore(v.path, opt, true)
	if err == nil {
		err = s.view(func(tx *txn) error {
			for err := range tx.bolt.Check() {
				v.damage("", nil, err)
			}
			if v.bad > 0 {
				return nil
			}
			_, _, err := newest(tx) // as readers do
			return err
		})
		err = errors.Join(err, s.close())
	}
	v.damage("", nil, err)
}

// VerifyReader asks rd for every batch and checks it as stored, while a daemon
// has the file: checksums, records, and that numbers follow each other. What
// bbolt's pages are like it cannot see. A batch that the reader itself refuses
// ends it, with the error.
func VerifyReader(ctx context.Context, rd Reader, report func(*DamageError)) (Verified, error) {
	v := &verifier{report: report}
	b, err := rd.Bounds(ctx)
	if err != nil {
		return v.found, err
	}
	for next := max(b.First, 1); next <= b.Last; {
		st, err := rd.Fetch(ctx, next, Range{})
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return v.found, err
		}
		if st.From > next && next > b.First {
			v.found.Lost += st.From - next
		}
		v.next = st.First
		v.run(st.Data)
		if v.next != 0 && v.next != st.Last+1 {
			v.damage("", &header{first: v.next, last: st.Last}, errors.New("the records are missing"))
		}
		next = st.Last + 1
	}
	return v.found, nil
}

// run checks envelopes that follow each other.
func (v *verifier) run(data []byte) {
	for len(data) > 0 {
		h, err := parseHeader(data)
		if err == nil && h.size() > len(data) {
			err = fmt.Errorf("%d bytes of %d are there", len(data), h.size())
		}
		if err != nil {
			v.damage("", &header{first: v.next, last: v.next}, err)
			v.next = 0 // where the next one begins is not known
			return
		}
		v.follows("", &h)
		_, err = v.whole(h, data[:h.size()])
		v.damage("", &h, err)
		if err == nil {
			v.found.Blocks++
			v.count(&h)
		}
		data = data[h.size():]
	}
}
