package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"torjournal/tor/event"
)

// The power fails again and again, and processes die, at any write of histories that
// go round in small logs, at those of opening and of closing too: what was given away
// is there each time, nothing is damaged, and no number is used for something else.
func TestLogPowerCuts(t *testing.T) { plainAndEncrypted(t, testLogPowerCuts) }

func testLogPowerCuts(t *testing.T, key *Key) {
	r := seeded(t)
	began, cut, killed, torn := time.Now(), 0, 0, 0
	lacking := func() bool { return min(cut, killed, torn) == 0 }
	for round := 0; round < scaled(8, 3) || round < 100 && lacking() || *soak && time.Since(began) < 10*time.Minute; round++ {
		h := newCutHistory(t, r, key)
		for range 4 {
			h.live()
			if t.Failed() {
				return
			}
		}
		cut, killed, torn = cut+h.cut, killed+h.killed, torn+h.torn
		h.remove()
	}
	if lacking() {
		t.Errorf("the power failed %d times, %d processes died, %d logs had part of a turn: the test tests too little", cut, killed, torn)
	}
	t.Logf("the power failed %d times, %d processes died, %d logs had part of a turn", cut, killed, torn)
}

// cutHistory is a journal whose recorders all end badly.
type cutHistory struct {
	t      *testing.T
	r      *rand.Rand
	opt    Options
	path   string
	remove func()

	base   []byte      // what the disk has for certain
	writes []tapeWrite // since
	acked  uint64      // last record that anybody received
	wires  []string    // of the records up to some number that is not less; record n at n-1

	cut, killed, torn int
}

func newCutHistory(t *testing.T, r *rand.Rand, key *Key) *cutHistory {
	dir, remove := inMemory(t)
	h := &cutHistory{t: t, r: r, path: filepath.Join(dir, "journal.db"), remove: remove, opt: Options{
		Key: key, MaxSize: 4 << 20, walPages: 9 + r.IntN(8), sealBytes: 32 << 10, outageRetry: time.Millisecond, lockTimeout: time.Second,
	}}
	j, err := Open(h.path, h.opt)
	if err == nil {
		err = j.Close()
	}
	if err == nil {
		h.base, err = os.ReadFile(h.path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// live opens the file, records, and dies at some write.
func (h *cutHistory) live() {
	t, r := h.t, h.r
	before, err := os.ReadFile(h.path)
	if err != nil {
		t.Fatal(err)
	}
	begins := false                                                        // a turn of the log
	faulty, random := r.IntN(3) == 0, rand.New(rand.NewPCG(r.Uint64(), 0)) // the writer's
	opt := h.opt
	opt.wrapLog = func(log logFunc) logFunc {
		return func(turn logTurn) error {
			begins = true
			if faulty && random.IntN(8) == 0 {
				if random.IntN(2) == 0 {
					return errors.New("input/output error")
				}
				return errors.Join(log(turn), errors.New("input/output error, but it was written"))
			}
			return log(turn)
		}
	}
	opt.wrapCommit = func(commit commitFunc) commitFunc {
		return func(c *change) (outcome, error) {
			if faulty && random.IntN(8) == 0 {
				if random.IntN(2) == 0 {
					return outcome{}, errors.New("input/output error")
				}
				out, err := commit(c)
				return out, errors.Join(err, errors.New("input/output error, but it was written"))
			}
			return commit(c)
		}
	}
	j, err := Open(h.path, opt)
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(h.path)
	if err != nil {
		t.Fatal(err)
	}
	h.opened(before, after)
	note := func(b []byte, off int64, kind writeKind) {
		h.writes = append(h.writes, tapeWrite{write{off: off, data: bytes.Clone(b), kind: kind}, j.win.published()})
	}
	if err := j.inWriter(within(t), func(w *writer) error {
		writeHook(t, j.store.db, func(b []byte, off int64) error { note(b, off, kindOf(j.store.db, off)); return nil })
		j.store.beforeLog = func(b []byte, off int64) error {
			kind := logGoesOn
			if begins {
				kind = logWrite
			}
			begins = false
			note(b, off, kind)
			return nil
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	c := j.NewCursor(1, event.AllTypes())
	var seen []Record
	for n := range 6 + r.IntN(40) {
		var evs []event.Event
		switch r.IntN(12) {
		case 0:
			if _, _, err := j.BeginSession(within(t), event.Source{Name: "tor", PID: r.IntN(1 << 30)}); err != nil {
				t.Fatal(err)
			}
		case 1:
			evs = append(evs, raw("650 CIRC %d %s", n, noise(r.IntN(1<<30), 1+r.IntN(20<<10))))
		case 2, 3, 4:
			for i := range 1 + r.IntN(5) {
				evs = append(evs, raw("650 CIRC %d %s", i, noise(r.IntN(1<<30), 1+r.IntN(3800))))
			}
		default:
			evs = bw(r.IntN(1<<30), 1+r.IntN(4))
		}
		if len(evs) > 0 {
			settle(t, j, evs...)
		}
		more, gaps, _ := drain(t, c)
		if len(gaps) > 0 {
			t.Errorf("gaps %v", gaps)
		}
		seen = append(seen, more...)
	}
	c.Close()
	closeErr := j.Close() // an outage may be left
	ended, err := os.ReadFile(h.path)
	if err != nil {
		t.Fatal(err)
	}
	all := h.recordsIn(h.path, "the file at the end", ended)
	for i := range all {
		if i < int(h.acked) && all[i] != h.wires[i] {
			t.Errorf("record %d is not what was received before", i+1)
		}
	}
	for _, rec := range seen {
		if rec.Seq != 0 && (rec.Seq > uint64(len(all)) || all[rec.Seq-1] != string(rec.Wire)) {
			t.Fatalf("record %d was received and is not in the file at the end; %v", rec.Seq, closeErr)
		}
	}
	h.wires = all
	for k := range h.writes {
		if r.IntN(3) == 0 {
			h.check(crashImage(bytes.Clone(h.base), h.writes[:k+1], r), h.writes[k].published, k)
		}
	}
	k := r.IntN(len(h.writes))
	h.acked = max(h.acked, h.writes[k].published)
	h.end(k)
}

// opened lets the power fail in what opening has written. When it has returned all
// that can be read is on disk.
func (h *cutHistory) opened(before, after []byte) {
	region, err := findLog(bytes.NewReader(before))
	if err != nil {
		h.t.Fatal(err)
	}
	kind := logWrite
	for i := range region.pages {
		at := region.at(i)
		if now := after[at:][:region.pageSize]; !bytes.Equal(now, before[at:][:region.pageSize]) {
			h.torn++
			h.writes = append(h.writes, tapeWrite{write{off: at, data: bytes.Clone(now), kind: kind}, h.acked})
			kind = logGoesOn
		}
	}
	if kind == logGoesOn {
		for range 3 {
			h.check(crashImage(bytes.Clone(h.base), h.writes, h.r), h.acked, len(h.writes)-1)
		}
	}
	h.base, h.writes = after, nil
	h.acked = uint64(len(h.recordsIn(h.path+".image", "the file when it is opened", after)))
}

// end makes the file what is left when all ended at write k: of the machine or of
// the process.
func (h *cutHistory) end(k int) {
	var left []byte
	if h.r.IntN(3) == 0 {
		h.killed++
		h.writes = h.writes[:k+1]
		left = bytes.Clone(h.base)
		for _, w := range h.writes {
			left = applyWrites(left, []write{w.write}, nil)
		}
	} else {
		h.cut++
		left = crashImage(h.base, h.writes[:k+1], h.r)
		h.base, h.writes = bytes.Clone(left), nil
	}
	h.recordsIn(h.path, "what is left", left)
}

// check looks at one image of the disk.
func (h *cutHistory) check(content []byte, acked uint64, k int) {
	path := h.path + ".image"
	acked = max(acked, h.acked)
	what := fmt.Sprintf("the image of write %d of %d", k, len(h.writes))
	got := h.recordsIn(path, what, content)
	if uint64(len(got)) < acked {
		h.t.Fatalf("%s: %d records, %d were received", what, len(got), acked)
	}
	for i := range got {
		if i < len(h.wires) && got[i] != h.wires[i] {
			h.t.Fatalf("%s: record %d is %.50q, want %.50q", what, i+1, got[i], h.wires[i])
		}
	}
	if h.r.IntN(4) > 0 {
		return
	}
	j, err := Open(path, h.opt)
	if err != nil {
		h.t.Fatal(err)
	}
	appendAll(h.t, j, bw(1, 1+h.r.IntN(3))...)
	again := image(h.t, j)
	if err := j.Close(); err != nil {
		h.t.Error(err)
	}
	more := h.recordsIn(path, what+", gone on with", again)
	if len(more) <= len(got) || !slices.Equal(more[:len(got)], got) {
		h.t.Fatalf("%s: %d records were there, %d when more had come", what, len(got), len(more))
	}
}

// recordsIn puts content at path and returns the lines of its records. It is not
// damaged, and begins with record 1.
func (h *cutHistory) recordsIn(path, what string, content []byte) (out []string) {
	h.t.Helper()
	fail := func(err error) {
		h.t.Helper()
		kept := filepath.Join(os.TempDir(), fmt.Sprintf("journal-cut-%d.db", os.Getpid()))
		_ = os.WriteFile(kept, content, 0o600)
		h.t.Fatalf("%s: %v (%s)", what, err, kept)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		h.t.Fatal(err)
	}
	v, err := Verify(path, h.opt.Key)
	if err != nil {
		fail(err)
	}
	recs, err := recordsIn(within(h.t), path, h.opt.Key)
	if err != nil || uint64(len(recs)) != v.Last || !equalNumbers(recs, len(recs)) {
		fail(fmt.Errorf("%d records, %d verified, %w", len(recs), v.Last, err))
	}
	if last, err := lastByFormat(content, path, h.opt.Key); err != nil || last != v.Last {
		fail(fmt.Errorf("who reads FORMAT.md finds records up to %d, %d verified, %v", last, v.Last, err))
	}
	for _, r := range recs {
		out = append(out, string(r.Wire))
	}
	return out
}

// lastByFormat returns the last record of a file, by what FORMAT.md says of its log.
func lastByFormat(content []byte, path string, key *Key) (last uint64, err error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return 0, err
	}
	defer db.Close()
	var at int
	err = db.View(func(tx *bolt.Tx) error {
		last = tx.Bucket([]byte("tail")).Sequence()
		if b := tx.Bucket([]byte("meta")).Get([]byte("log")); b != nil {
			at = int(binary.BigEndian.Uint64(b))
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	region, err := findLog(bytes.NewReader(content))
	if err != nil || region.pages == 0 {
		return last, err
	}
	f, err := OpenFile(path, key)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var cipher *fileCipher
	if err := f.with(func(s *store) error { cipher = s.cipher; return nil }); err != nil {
		return 0, err
	}
	type page struct {
		from, to uint64 // 0: none
		part     int
		zeros    bool // a sector of it is
	}
	all := make([]page, region.pages)
	base := last
	for i := range all {
		b := content[region.at(i):][:region.pageSize]
		for at := 0; at < len(b); at += 512 {
			all[i].zeros = all[i].zeros || bytes.Count(b[at:at+512], []byte{0}) == 512
		}
		plain, err := cipher.decrypt(nil, kindBatch, nil, b[:sizeInPage(b)])
		if err != nil {
			continue
		}
		if len(plain) < headerSize {
			continue
		}
		plain = plain[:min(len(plain), headerSize+int(binary.BigEndian.Uint32(plain[12:])))]
		if _, _, _, err := splitEnvelope(plain); err != nil {
			continue
		}
		be := binary.BigEndian
		first := be.Uint64(plain[16:])
		if begun := first - 1 - uint64(be.Uint32(plain[64:])&0xffffff); begun == base {
			all[i] = page{first, be.Uint64(plain[24:]), int(plain[64]), all[i].zeros}
		} else {
			all[i].zeros = true // of before
		}
	}
	for all[at].from == last+1 {
		last, at = all[at].to, (at+1)%len(all)
	}
	for i := range all {
		if all[i].to <= last {
			continue
		}
		of := false // the turn that the log ends in
		for k := range all[i].part {
			of = of || (i-k-1+len(all))%len(all) == at
		}
		if !of {
			return last, fmt.Errorf("page %d has records to %d, the log ends with %d on page %d", i, all[i].to, last, at)
		}
	}
	if all[at].from == 0 && !all[at].zeros {
		return last, fmt.Errorf("page %d is garbage", at)
	}
	return last, nil
}
