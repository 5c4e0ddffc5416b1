package journal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"torjournal/tor/event"
)

// What is told of IDs holds every one of them, and nothing else where they are
// few runs.
func TestEntitiesModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all entities
		want, odd := map[uint64]bool{}, false
		from := rapid.SampledFrom([]uint64{1, 1 << 20, 999_999_999_999_000_000}).Draw(t, "from")
		n := rapid.IntRange(0, 800).Draw(t, "n")
		step := rapid.SampledFrom([]uint64{1, 2, 1000}).Draw(t, "step")
		for range n {
			id := from + rapid.Uint64Range(0, 900).Draw(t, "id")*step
			want[id] = true
			all.add(strconv.AppendUint(nil, id, 10))
		}
		if rapid.Bool().Draw(t, "odd") {
			odd = true
			all.add([]byte(rapid.SampledFrom([]string{"", "x1", "007", "1234567890123456789", "\"4"}).Draw(t, "odd ID")))
		}
		data := all.append(nil)
		size, ok := runsSize(append(slices.Clone(data), 1, 2, 3))
		if !ok || size != len(data) || all.odd != odd {
			t.Fatalf("runs of %d bytes read as %d, %v; odd %v, want %v", len(data), size, ok, all.odd, odd)
		}
		for id := range want {
			if !runsHold(data, id) {
				t.Fatalf("ID %d is missed", id)
			}
		}
		runs, _ := binary.Uvarint(data)
		if step == 1 && n <= maxRuns { // they cannot be more runs
			for id := from; id <= from+900; id++ {
				if runsHold(data, id) != want[id] {
					t.Fatalf("ID %d: %v", id, !want[id])
				}
			}
		}
		if runs > maxRuns || runsHold(data, from-1) || runsHold(data, from+900*step+1) {
			t.Fatalf("%d runs, or one beyond all IDs", runs)
		}
	})
}

// talk is what a busy tor says: circuits and streams that come and go, an old
// circuit now and then, a snapshot, odd IDs.
func talk(n int) (evs []event.Event) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for i := range n {
		c := 1 + i/9 + rnd.IntN(3)
		switch k := rnd.IntN(100); {
		case k < 40:
			evs = append(evs, raw("650 CIRC %d EXTENDED $%040d~a PURPOSE=GENERAL", c, rnd.IntN(50)))
		case k < 55:
			evs = append(evs, raw("650 STREAM %d SUCCEEDED %d a.example:80 SOURCE_ADDR=127.0.0.1:%d", c/2+1, c, rnd.IntN(60000)))
		case k < 70:
			evs = append(evs, raw("650 CIRC_BW ID=%d READ=%d WRITTEN=5", c, rnd.IntN(5000)))
		case k < 75:
			evs = append(evs, raw("650 STREAM_BW %d %d 4 2026-11-23T08:45:46.724619", c/2+1, rnd.IntN(5000)))
		case k < 76 && i > n/2:
			evs = append(evs, raw("650 CIRC %d CLOSED PURPOSE=GENERAL REASON=DESTROYED", 5+rnd.IntN(3)))
		default:
			evs = append(evs, raw("650 BW %d %d", rnd.IntN(5000), rnd.IntN(5000)))
		}
		switch i {
		case n / 3:
			evs = append(evs, event.NewSnapshot([]byte("250-circuit-status=999999 BUILT\r\n250-stream-status=888888 SUCCEEDED 999999 a:1\r\n250 OK\r\n")))
		case n / 4:
			evs = append(evs, raw("650 CIRC x7 LAUNCHED"))
		}
	}
	return evs
}

// naming returns the numbers of the records that name one.
func naming(recs []Record, circuit, stream string) (seqs []uint64) {
	for i := range recs {
		c, s := circuit == "", stream == ""
		event.Entities(recs[i].Type, recs[i].Wire,
			func(id []byte) { c = c || string(id) == circuit },
			func(id []byte) { s = s || string(id) == stream })
		if c && s {
			seqs = append(seqs, recs[i].Seq)
		}
	}
	return seqs
}

// readRange returns the records of a range.
func readRange(t testing.TB, rd Reader, r Range) (recs []Record) {
	t.Helper()
	for rec, err := range Records(within(t), rd, r) {
		if err != nil {
			t.Fatal(err)
		}
		recs = append(recs, rec)
	}
	return recs
}

// checkNaming asks for circuits and streams, and holds what is read against all
// records. It returns how many records were read.
func checkNaming(t testing.TB, rd Reader) (read int) {
	t.Helper()
	all := readRange(t, rd, Range{})
	for _, id := range []string{"1", "6", "40", "150", "300", "999999", "888888", "77777777", "x7", "y8", "007"} {
		for _, r := range []Range{{Circuit: id}, {Stream: id}, {Circuit: id, Stream: "20"}} {
			recs := readRange(t, rd, r)
			read += len(recs)
			if got, want := naming(recs, r.Circuit, r.Stream), naming(all, r.Circuit, r.Stream); !slices.Equal(got, want) {
				t.Fatalf("circuit %q, stream %q: records %d, want %d", r.Circuit, r.Stream, got, want)
			}
		}
	}
	return read
}

// talked makes a journal of sealed blocks and returns its path.
func talked(t *testing.T, key *Key) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal.db")
	j := openTest(t, path, Options{walPages: noLog, Key: key, MaxSize: 32 << 20, sealBytes: 8 << 10})
	for part := range slices.Chunk(talk(3000), 50) {
		appendAll(t, j, part...)
		waitForSealer(t, j)
	}
	if err := j.Pack(within(t)); err != nil {
		t.Fatal(err)
	}
	closeTest(t, j)
	return path
}

func openFileTest(t testing.TB, path string, key *Key) *File {
	t.Helper()
	f, err := OpenFile(path, key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// changeEntities calls change in a transaction of the closed journal.
func changeEntities(t *testing.T, path string, key *Key, change func(tx *txn, b *bucket) error) {
	t.Helper()
	opt, err := Options{Key: key}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	s, err := openStore(path, opt, false)
	if err != nil {
		t.Fatal(err)
	}
	err = s.update(func(tx *txn) error {
		b, err := appendOnly(tx, bucketEntities)
		if err != nil {
			return err
		}
		return change(tx, b)
	})
	if cerr := s.close(); err == nil {
		err = cerr
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhoAsksAboutACircuitSkipsBlocks(t *testing.T) {
	plainAndEncrypted(t, func(t *testing.T, key *Key) {
		path := talked(t, key)
		if _, err := Verify(path, key); err != nil {
			t.Fatal(err)
		}
		few := checkNaming(t, openFileTest(t, path, key))
		changeEntities(t, path, key, func(tx *txn, _ *bucket) error { return tx.bolt.DeleteBucket(bucketEntities) })
		many := checkNaming(t, openFileTest(t, path, key))
		if few*4 > many {
			t.Errorf("%d records were read, and %d of blocks without entities: blocks are not skipped", few, many)
		}
		if _, err := Verify(path, key); err != nil {
			t.Errorf("a journal without entities: %v", err)
		}
	})
}

func TestEntitiesOutliveVacuumAndSalvage(t *testing.T) {
	plainAndEncrypted(t, func(t *testing.T, key *Key) {
		path := talked(t, key)
		check := func(what, path string) {
			t.Helper()
			if _, err := Verify(path, key); err != nil {
				t.Errorf("after %s: %v", what, err)
			}
			checkNaming(t, openFileTest(t, path, key))
			changeEntities(t, path, key, func(tx *txn, _ *bucket) error {
				index, err := appendOnly(tx, bucketIndex)
				if err != nil {
					return err
				}
				blocks := 0
				err = index.each(func(_ []byte, v held) error {
					h, err := v.entry()
					if _, _, ok := summaryFor(tx, &h); err == nil && !ok {
						t.Errorf("after %s the block of records %d to %d has no entities", what, h.first, h.last)
					}
					blocks++
					return err
				})
				if blocks == 0 {
					t.Errorf("after %s there is no block", what)
				}
				return err
			})
		}
		check("it was made", path)
		if _, err := Rewrite(within(t), path, key, Limits{}, Rewriting{
			Source: func(s event.Source) event.Source { return s },
			Pass: func(bool) func(*Record) []byte {
				return func(r *Record) []byte { return bytes.ReplaceAll(r.Wire, []byte("a.example"), []byte("hidden")) }
			},
		}); err != nil {
			t.Fatal(err)
		}
		check("a rewriting", path)
		if _, err := Vacuum(within(t), path, key, Limits{}); err != nil {
			t.Fatal(err)
		}
		check("a vacuum", path)
		saved := filepath.Join(t.TempDir(), "saved.db")
		if _, err := Salvage(within(t), path, saved, SalvageOptions{Key: key}); err != nil {
			t.Fatal(err)
		}
		check("a salvage", saved)
	})
}

// What the ring gives up has no entities any more, also where a program that
// does not know them gave it up.
func TestEntitiesGoWithTheirBlocks(t *testing.T) {
	path := talked(t, nil)
	left := func() (all []uint64) {
		changeEntities(t, path, nil, func(_ *txn, b *bucket) error {
			return b.each(func(k []byte, _ held) error { all = append(all, beNumber(k)); return nil })
		})
		return all
	}
	before := left()
	if len(before) < 10 {
		t.Fatalf("%d blocks have entities: the test tests nothing", len(before))
	}
	middle := before[len(before)/2]
	changeEntities(t, path, nil, func(tx *txn, _ *bucket) error { return dropEntities(tx, middle-1) })
	if got := left(); !slices.Equal(got, before[len(before)/2:]) {
		t.Errorf("after the records before %d went: %d, want %d", middle, got, before[len(before)/2:])
	}
	if _, err := Verify(path, nil); err != nil {
		t.Error(err)
	}
}

// retell gives entities that were changed the checksum that they need.
func retell(data []byte) []byte {
	n := len(data) - 4
	return binary.BigEndian.AppendUint32(slices.Clone(data[:n]), crc32.Checksum(data[:n], castagnoli))
}

func TestVerifyFindsWrongEntities(t *testing.T) {
	for _, c := range []struct {
		what, want string // no damage if it is ""
		change     func(k, data []byte) (key, value []byte)
	}{
		{"nothing", "", func(k, data []byte) ([]byte, []byte) { return k, data }},
		{"no circuits", "its entities do not", func(k, data []byte) ([]byte, []byte) {
			data = append(slices.Clone(data[:entitiesHeader]), 0, 0)
			return k, retell(append(data, 0, 0, 0, 0))
		}},
		{"a flipped bit", "checksum", func(k, data []byte) ([]byte, []byte) {
			data = slices.Clone(data)
			data[entitiesHeader+2] ^= 1
			return k, data
		}},
		{"cut", "no entities", func(k, data []byte) ([]byte, []byte) { return k, data[:20] }},
		{"runs cut", "do not parse", func(k, data []byte) ([]byte, []byte) { return k, retell(data[:len(data)-1]) }},
		{"a later version", "", func(k, data []byte) ([]byte, []byte) {
			data = slices.Clone(data)
			data[4] = 2
			return k, retell(data)
		}},
		{"under another key", "are of record", func(k, data []byte) ([]byte, []byte) { return key(beNumber(k) + 1), data }},
		{"of another block", "", func(k, data []byte) ([]byte, []byte) {
			data = append(slices.Clone(data[:entitiesHeader]), 0, 0, 0, 0, 0, 0)
			data[24] ^= 1
			return k, retell(data)
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			plainAndEncrypted(t, func(t *testing.T, secret *Key) {
				whole := talked(t, secret)
				path := filepath.Join(t.TempDir(), "wrong.db")
				data, err := os.ReadFile(whole)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, data, 0o600); err != nil {
					t.Fatal(err)
				}
				changeEntities(t, path, secret, func(_ *txn, b *bucket) error {
					k, v := b.cursor().first()
					k = bytes.Clone(k)
					data, err := v.plain()
					if err != nil {
						return err
					}
					data = bytes.Clone(data)
					if err := b.delete(k); err != nil {
						return err
					}
					k, data = c.change(k, data)
					return b.put(k, data)
				})
				_, err = Verify(path, secret)
				if c.want == "" && err != nil || c.want != "" && !strings.Contains(fmt.Sprint(err), c.want) {
					t.Errorf("verify: %v, want %q", err, c.want)
				}
				if c.what != "no circuits" { // what only verify can know
					checkNaming(t, openFileTest(t, path, secret))
				}
			})
		})
	}
}

func BenchmarkEntities(b *testing.B) {
	recs := corpusRecords(b)
	h := headerOf(recs)
	b.ReportAllocs()
	for b.Loop() {
		entitiesOf(&h, recs)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(recs)), "ns/event")
	b.ReportMetric(float64(len(entitiesOf(&h, recs))), "B/block")
}
