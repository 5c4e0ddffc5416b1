package journal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"torjournal/tor/event"
)

// The committed corpus is a short sample: repeated, it packs better than real
// traffic. -corpus names a longer one for figures about size.
var corpusFile = flag.String("corpus", filepath.Join("..", "testdata", "corpus", "client.jsonl"),
	"events of the benchmarks, one JSON object {t, raw} a line, may end in .zst")

// corpus returns the events of the corpus.
func corpus(b *testing.B) (evs []event.Event) {
	b.Helper()
	for _, r := range corpusRecords(b) {
		evs = append(evs, event.NewRaw(r.Wire))
	}
	return evs
}

// corpusRecords returns the corpus as a journal would number it.
func corpusRecords(b *testing.B) (recs []Record) {
	b.Helper()
	f, err := os.Open(*corpusFile)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	var rd io.Reader = f
	if strings.HasSuffix(*corpusFile, ".zst") {
		zr, err := zstd.NewReader(f)
		if err != nil {
			b.Fatal(err)
		}
		defer zr.Close()
		rd = zr
	}
	sc := bufio.NewScanner(rd)
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		var line struct {
			T   time.Time
			Raw string
		}
		if err := json.Unmarshal(sc.Bytes(), &line); err != nil {
			b.Fatal(err)
		}
		wire := []byte(line.Raw)
		recs = append(recs, Record{Seq: uint64(len(recs) + 1), Session: 1, Time: line.T, Type: event.TypeOf(wire), Wire: wire})
	}
	if sc.Err() != nil || len(recs) == 0 {
		b.Fatalf("%s: %d events, %v", *corpusFile, len(recs), sc.Err())
	}
	return recs
}

func benchJournal(b *testing.B, opt Options) *Journal {
	b.Helper()
	j, err := Open(filepath.Join(b.TempDir(), "journal.db"), opt)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := j.Close(); err != nil {
			b.Error(err)
		}
	})
	return j
}

// follow reads c until n records of it have passed, and reports when each
// chunk came.
func follow(b *testing.B, c *Cursor, n int, chunk func([]Record)) {
	for n > 0 {
		ch, err := c.Next(context.Background())
		if err != nil || ch.Gap != nil {
			b.Errorf("%v, gap %v", err, ch.Gap)
			return
		}
		if n -= len(ch.Records); chunk != nil && len(ch.Records) > 0 {
			chunk(ch.Records)
		}
		if ch.empty() {
			<-c.Ready()
		}
	}
}

// feed appends n events in calls of at most batch.
func feed(b *testing.B, j *Journal, evs []event.Event, n, batch int) {
	for i := 0; n > 0; i = (i + batch) % len(evs) {
		part := evs[i:min(i+batch, i+n, len(evs))]
		if err := j.Append(context.Background(), part...); err != nil {
			b.Error(err)
			return
		}
		n -= len(part)
	}
}

// BenchmarkIngest: durable, in order, delivered to one subscriber.
func BenchmarkIngest(b *testing.B) { benchIngest(b, nil) }

func BenchmarkIngestEncrypted(b *testing.B) { benchIngest(b, testKey(b)) }

func benchIngest(b *testing.B, key *Key) {
	evs := corpus(b)
	for _, batch := range []int{1, 16, 256} {
		b.Run(fmt.Sprint("call=", batch), func(b *testing.B) {
			j := benchJournal(b, Options{Key: key})
			c := j.NewCursor(0, event.AllTypes())
			defer c.Close()
			var wg sync.WaitGroup
			b.ResetTimer()
			wg.Go(func() { follow(b, c, b.N, nil) })
			feed(b, j, evs, b.N, batch)
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(b.N)/float64(j.Stats().Commits), "events/commit")
		})
	}
}

// BenchmarkQueue: how fast Append hands over, without a file behind it.
func BenchmarkQueue(b *testing.B) {
	evs := corpus(b)
	for _, batch := range []int{1, 16, 256} {
		b.Run(fmt.Sprint("call=", batch), func(b *testing.B) {
			j := &Journal{q: newQueue(queueBytes, time.Now)}
			var wg sync.WaitGroup
			wg.Go(func() {
				var items []item
				for n := 0; n < b.N; {
					if items, _, _ = j.q.take(items, 1<<20); len(items) == 0 {
						<-j.q.wake
					}
					n += len(items)
					j.q.release()
				}
			})
			b.ReportAllocs()
			feed(b, j, evs, b.N, batch)
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkFanOut: what publishing costs with many live cursors that read all
// of it. One operation is one delivery.
func BenchmarkFanOut(b *testing.B) {
	evs := corpus(b)
	for _, cursors := range []int{100, 1000} {
		for _, batch := range []int{1, 16, 256} {
			b.Run(fmt.Sprintf("cursors=%d/batch=%d", cursors, batch), func(b *testing.B) {
				w := newWindow(1<<30, 1) // no file behind it: nobody may fall out
				j := &Journal{win: w, cache: &blockCache{}, bench: newWorkbench()}
				events := max(1, b.N/cursors)
				var wg sync.WaitGroup
				var read atomic.Int64
				for range cursors {
					c := j.NewCursor(0, event.AllTypes())
					defer c.Close()
					wg.Go(func() { follow(b, c, events, func(r []Record) { read.Add(int64(len(r))) }) })
				}
				b.ReportAllocs()
				b.ResetTimer()
				publishPaced(w, evs, events, batch, func() int { return int(read.Load()) / cursors })
				wg.Wait()
				b.StopTimer()
				b.ReportMetric(float64(events*cursors)/b.Elapsed().Seconds(), "deliveries/s")
			})
		}
	}
}

// publishPaced publishes events, and waits for the readers every few so that
// none falls out of the window: there is no file behind it.
func publishPaced(w *window, evs []event.Event, n, batch int, read func() int) {
	seq := uint64(1)
	for n > 0 {
		k := min(batch, n)
		recs, bits := make([]Record, k), make([]uint8, k)
		for i := range recs {
			ev := evs[int(seq)%len(evs)]
			recs[i] = Record{Seq: seq, Type: ev.Type(), Wire: ev.Format()}
			bits[i] = bitOf(ev.Type())
			seq++
		}
		w.publish(recs, bits)
		n -= k
		for int(seq)-1-read() > pacedEvents {
			time.Sleep(20 * time.Microsecond)
		}
	}
}

// pacedEvents fit the window.
const pacedEvents = 8192

// BenchmarkLatency: from Append to the subscriber's Next, one event at a time;
// beside it what bare commits of the same file cost.
func BenchmarkLatency(b *testing.B) {
	for _, pace := range []time.Duration{0, time.Millisecond} {
		b.Run(fmt.Sprint("every=", pace), func(b *testing.B) {
			evs := corpus(b)
			j := benchJournal(b, Options{})
			c := j.NewCursor(0, event.AllTypes())
			defer c.Close()
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				time.Sleep(pace)
				begin := time.Now()
				feed(b, j, evs[i%len(evs):], 1, 1)
				follow(b, c, 1, nil)
				took = append(took, time.Since(begin))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}

// BenchmarkSize: bytes of the file for each event, as the ring holds them.
func BenchmarkSize(b *testing.B) {
	evs := corpus(b)
	for _, batch := range []int{1, 64, 4096} {
		b.Run(fmt.Sprint("batch=", batch), func(b *testing.B) {
			var stored, text int
			for b.Loop() {
				j := benchJournal(b, Options{})
				stored, text = 0, 0
				for range max(1, 100_000/len(evs)/max(1, 64/batch)) {
					for part := range slices.Chunk(evs, batch) {
						if err := j.Append(b.Context(), part...); err != nil {
							b.Fatal(err)
						}
						if err := j.Flush(b.Context()); err != nil {
							b.Fatal(err)
						}
					}
				}
				n := 0
				for rec, err := range Records(b.Context(), j, Range{}) {
					if err != nil {
						b.Fatal(err)
					}
					n++
					text += len(rec.Wire)
				}
				stored = usedBytes(b, j)
				b.ReportMetric(float64(stored)/float64(n), "B/event")
				b.ReportMetric(float64(text)/float64(n), "wire-B/event")
			}
		})
	}
}

// usedBytes is what the pages in use come to, bbolt's own included.
func usedBytes(b *testing.B, j *Journal) (n int) {
	b.Helper()
	err := j.store.update(func(tx *txn) error {
		n = j.store.pagesInUse(tx) * j.store.pageSize()
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// BenchmarkScan: every record's line read back from the file.
func BenchmarkScan(b *testing.B) { benchScan(b, nil) }

func BenchmarkScanEncrypted(b *testing.B) { benchScan(b, testKey(b)) }

func benchScan(b *testing.B, key *Key) {
	evs := corpus(b)
	j := benchJournal(b, Options{Key: key})
	feed(b, j, evs, 200_000, 256)
	if err := j.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	for name, r := range map[string]Range{"all": {}, "BW": {Types: event.NewSet(event.BW)}} {
		b.Run(name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				for _, err := range Records(b.Context(), j, r) {
					if err != nil {
						b.Fatal(err)
					}
				}
				n += 200_000
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkCommit: one event, committed and delivered.
func BenchmarkCommit(b *testing.B) { benchCommit(b, nil) }

func BenchmarkCommitEncrypted(b *testing.B) { benchCommit(b, testKey(b)) }

func benchCommit(b *testing.B, key *Key) {
	j := benchJournal(b, Options{Key: key})
	j.store.db.NoSync = true // what the disk takes is the same
	ev := raw("650 BW 1234 5678")
	for b.Loop() {
		if err := j.Append(b.Context(), ev); err != nil {
			b.Fatal(err)
		}
		if err := j.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCryptogram: a value into its encrypted form and back.
func BenchmarkCryptogram(b *testing.B) {
	c, err := testKey(b).newFile()
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{indexSize, 200, 64 << 10, 1 << 20} {
		plain := make([]byte, size)
		stored := c.encrypt(kindBatch, nil, plain)
		b.Run(fmt.Sprint("encrypt/bytes=", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				c.encrypt(kindBatch, nil, plain)
			}
		})
		b.Run(fmt.Sprint("decrypt/bytes=", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := c.decrypt(plain[:0], kindBatch, nil, stored); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkOpen: open, one commit, close, of a small file.
func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "journal.db")
	for b.Loop() {
		j, err := Open(path, Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := j.Append(b.Context(), raw("650 BW 1 1")); err != nil {
			b.Fatal(err)
		}
		if err := j.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEncode: one batch of each size, as a commit and as a seal.
func BenchmarkEncode(b *testing.B) {
	evs := corpus(b)
	var recs []Record
	for i := range 4096 {
		ev := evs[i%len(evs)]
		recs = append(recs, Record{Seq: uint64(i + 1), Type: ev.Type(), Time: time.UnixMicro(int64(i) * 1000), Wire: ev.Format()})
	}
	for _, level := range []zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedBetterCompression} {
		for _, n := range []int{1, 64, 4096} {
			b.Run(fmt.Sprintf("%v/events=%d", level, n), func(b *testing.B) {
				e, err := newEncoder(level)
				if err != nil {
					b.Fatal(err)
				}
				var data []byte
				for b.Loop() {
					_, data = e.encode(recs[:n])
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/event")
				b.ReportMetric(float64(len(data))/float64(n), "B/event")
			})
		}
	}
}

// BenchmarkSeal: what making a sealed block costs and yields, over the blocks
// that the corpus fills. `make bench` reports it.
func BenchmarkSeal(b *testing.B) {
	recs := corpusRecords(b)
	enc, err := newPacker()
	if err != nil {
		b.Fatal(err)
	}
	var size int
	for b.Loop() {
		size = 0
		for rest := recs; len(rest) > 0; {
			n, raw := 0, 0
			for n < len(rest) && raw < sealTarget(DefaultMaxSize) {
				raw += len(rest[n].Wire)
				n++
			}
			_, data := enc.encode(rest[:n])
			size, rest = size+len(data), rest[n:]
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(recs)), "ns/event")
	b.ReportMetric(float64(size)/float64(len(recs)), "B/event")
}

// The corpus of the benchmarks must be readable in a clone.
func TestCorpusReads(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "testdata", "corpus", "client.jsonl"))
	if err != nil || bytes.Count(data, []byte("\n")) < 100 {
		t.Fatalf("%d lines, %v", bytes.Count(data, []byte("\n")), err)
	}
}
