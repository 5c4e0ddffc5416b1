package journal

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"torjournal/tor/event"
)

// holed makes a journal of 60 records, ten in a block, types and times in turn
// block by block, of which a salvage has lost blocks 2, 3 and 5 and, behind
// the newest block, records 61 to 65. What is known of block 5 is all of it.
func holed(t *testing.T) (path string, records []Record) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "journal.db")
	r, err := newRebuild(path, nil, 1<<20, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.abandon()
	enc, err := newPacker()
	if err != nil {
		t.Fatal(err)
	}
	var h header
	for b := range 6 {
		var recs []Record
		for i := range 10 {
			typ := event.BW
			if b%2 == 1 {
				typ = event.CIRC
			}
			recs = append(recs, Record{
				Seq: uint64(b*10 + i + 1), Session: 1, Time: lostHour(b).Add(time.Duration(i) * time.Minute), Type: typ,
				Wire: []byte("650 " + string(typ) + " 1 2\r\n"),
			})
		}
		var data []byte
		h, data = enc.encode(recs)
		switch b {
		case 1, 2:
			unknown := *between(&h, &h, h.first, h.last)
			unknown.mask, unknown.session = ^uint64(0), 0
			err = r.lose(lostEntry(unknown, h.first, h.last))
		case 4:
			err = r.lose(lostEntry(h, h.first, h.last))
		default:
			if err = r.add(data); err == nil {
				err = r.seal() // a block by itself
			}
			records = append(records, recs...)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := r.lose(lostEntry(header{mask: ^uint64(0), minTime: h.maxTime, maxTime: h.maxTime}, 61, 65)); err != nil {
		t.Fatal(err)
	}
	if err := r.finish([]Session{{ID: 1, First: 1}}); err != nil {
		t.Fatal(err)
	}
	if err := placeNew(r.store.path, path); err != nil {
		t.Fatal(err)
	}
	return path, records
}

func lostHour(n int) time.Time { return time.Date(2026, 1, 1, n, 0, 0, 0, time.UTC) }

// What is lost is told to every reader whose range it may belong to, in its
// place, and to no other; what is only skipped is not called lost.
func TestLostIsTold(t *testing.T) {
	path, records := holed(t)
	v, err := Verify(path, nil)
	if err != nil || v.Records != 30 || v.Lost != 35 || v.First != 1 || v.Last != 60 {
		t.Errorf("Verify: %+v, %v", v, err)
	}
	f, err := OpenFile(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, err := f.Bounds(within(t)); err != nil || b.First != 1 || b.Last != 60 || !b.LastTime.Equal(records[29].Time) {
		t.Errorf("bounds %+v, %v", b, err)
	}
	for name, c := range map[string]struct {
		r    Range
		gaps []Gap
		n    int
	}{
		"all":                {Range{}, []Gap{{11, 30}, {41, 50}, {61, 65}}, 30},
		"from inside a hole": {Range{From: 15}, []Gap{{15, 30}, {41, 50}, {61, 65}}, 20},
		"up to a hole":       {Range{To: 10}, nil, 10},
		"one type":           {Range{Types: event.NewSet(event.CIRC)}, []Gap{{11, 30}, {61, 65}}, 20},
		"the other type":     {Range{Types: event.NewSet(event.BW)}, []Gap{{11, 30}, {41, 50}, {61, 65}}, 10},
		"before holes":       {Range{Until: lostHour(1)}, nil, 10},
		"one known hole":     {Range{Since: lostHour(4), Until: lostHour(5)}, []Gap{{41, 50}}, 0},
		"an unknown session": {Range{Session: 7}, []Gap{{11, 30}, {61, 65}}, 0},
	} {
		recs, gaps := readAll(t, f, c.r)
		if !slices.Equal(gaps, c.gaps) || len(recs) != c.n {
			t.Errorf("%s: %d records and gaps %v, want %d and %v", name, len(recs), gaps, c.n, c.gaps)
		}
	}
}

// A recorder goes on behind what is lost: no number is used again, cursors
// tell the holes, a vacuum keeps them, and the ring gives them away.
func TestLostInARing(t *testing.T) {
	path, _ := holed(t)
	clock := &stepClock{now: lostHour(7)}
	j := openTest(t, path, Options{MaxSize: MinMaxSize, Now: clock.Now})
	appendAll(t, j, bw(1, 5)...)
	c := j.NewCursor(1, event.NewSet(event.BW))
	defer c.Close()
	recs, gaps, _ := drain(t, c)
	if want := []Gap{{11, 30}, {41, 50}, {61, 65}}; !slices.Equal(gaps, want) || len(recs) != 15 || recs[14].Seq != 70 {
		t.Errorf("a cursor: %d records to %d, gaps %v, want 15 to 70 and %v", len(recs), recs[len(recs)-1].Seq, gaps, want)
	}
	if _, err := j.Vacuum(within(t), Limits{}); err != nil {
		t.Fatal(err)
	}
	if _, gaps := readAll(t, j, Range{From: 1}); len(gaps) != 3 {
		t.Errorf("after a vacuum there are the gaps %v", gaps)
	}
	var found []*DamageError
	v, err := VerifyReader(within(t), j, func(d *DamageError) { found = append(found, d) })
	if err != nil || len(found) > 0 || v.Records != 35 || v.Lost != 35 {
		t.Errorf("VerifyReader: %+v, %v, %v", v, found, err)
	}
	first := func() uint64 {
		b, err := j.Bounds(within(t))
		if err != nil {
			t.Fatal(err)
		}
		return b.First
	}
	seen := map[uint64]bool{}
	for i := 0; first() <= 70; i++ {
		seen[first()] = true
		appendAll(t, j, raw("650 NOTICE %s", noise(i, 20<<10)))
	}
	for _, n := range []uint64{11, 21, 41, 61} {
		if seen[n] {
			t.Errorf("the journal said that it begins with record %d, which is lost", n)
		}
	}
	closeTest(t, j)
}

// Through a reader that a daemon stands behind a damaged block is named too.
func TestVerifyReaderNamesBlocks(t *testing.T) {
	path, _ := sample(t, nil)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	first, err := f.Fetch(within(t), 1, Range{}) // not any block: it must be one that counts
	if err != nil {
		t.Fatal(err)
	}
	h, err := parseHeader(first.Data)
	if err != nil {
		t.Fatal(err)
	}
	p := &patientFile{path: path, intact: b}
	damagedPath := filepath.Join(t.TempDir(), "journal.db")
	b = p.inPage(t, first.Data[:h.size()], headerSize+4)(bytes.Clone(b))
	if err := os.WriteFile(damagedPath, b, 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := Open(damagedPath, Options{MaxSize: 8 << 20, sealBytes: 16 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	var found []*DamageError
	if _, err := VerifyReader(within(t), wholeJournal{j}, func(d *DamageError) { found = append(found, d) }); err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found[0].Seq != h.first || found[0].Last != h.last || found[0].Since.UnixMicro() != h.minTime || !strings.Contains(found[0].Error(), "checksum") {
		t.Errorf("found %v, want records %d to %d", found, h.first, h.last)
	}
}

// wholeJournal answers what Bounds cannot when the first block is damaged.
type wholeJournal struct{ *Journal }

func (j wholeJournal) Bounds(context.Context) (Bounds, error) {
	last, err := j.store.reread()
	return Bounds{First: 1, Last: last}, err
}
