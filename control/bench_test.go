package control

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// BenchmarkIdleConnection reports what a subscriber that waits for events
// costs in memory, its peer's descriptor in this process included.
func BenchmarkIdleConnection(b *testing.B) {
	const conns = 500
	r := newRig(b, Access{NoAuth: true})
	heapBefore, stacksBefore := memoryInUse()
	for range conns {
		r.rawSubscriber("BW CIRC")
	}
	heap, stacks := memoryInUse()
	b.ReportMetric(float64(heap-heapBefore)/conns, "heap-B/conn")
	b.ReportMetric(float64(stacks-stacksBefore)/conns, "stack-B/conn")
	b.ReportMetric(0, "ns/op")
}

func memoryInUse() (heap, stacks uint64) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, m.StackInuse
}

// rawSubscriber subscribes without a buffer of its own.
func (r *rig) rawSubscriber(types string) net.Conn {
	r.t.Helper()
	sock, err := net.Dial(r.ln.Addr().Network(), r.ln.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { sock.Close() })
	fmt.Fprintf(sock, "AUTHENTICATE\r\nSETEVENTS %s\r\n", types)
	var answer [16]byte
	if _, err := io.ReadFull(sock, answer[:]); err != nil || string(answer[:]) != "250 OK\r\n250 OK\r\n" {
		r.t.Fatalf("%q, %v", answer, err)
	}
	return sock
}

// BenchmarkDelivery sends events from a journal to subscribers over loopback.
// Every byte is compared with what must come: in order and complete.
func BenchmarkDelivery(b *testing.B) {
	for _, subscribers := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(subscribers), func(b *testing.B) { benchDelivery(b, subscribers) })
	}
}

func benchDelivery(b *testing.B, subscribers int) {
	const period, size = 4096, 236 // the mean of a real client's lines
	r, j := newJournalRig(b, journal.Options{MaxSize: 256 << 20})
	var cycle []byte
	events := make([]event.Event, period)
	for i := range events {
		wire := fmt.Appendf(nil, "650 CIRC %d BUILT %s\r\n", 1000+i, strings.Repeat("x", size-22))
		events[i] = event.NewRaw(wire)
		cycle = append(cycle, wire...)
	}
	var readers sync.WaitGroup
	for range subscribers {
		sock := r.rawSubscriber("CIRC")
		readers.Go(func() {
			if err := compareCycle(sock, cycle, b.N*size); err != nil {
				b.Error(err)
			}
		})
	}
	b.ResetTimer()
	for sent := 0; sent < b.N; {
		batch := events[sent%period : min(sent%period+128, period)]
		batch = batch[:min(len(batch), b.N-sent)]
		if err := j.Append(b.Context(), batch...); err != nil {
			b.Fatal(err)
		}
		sent += len(batch)
	}
	readers.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)*float64(subscribers)/b.Elapsed().Seconds(), "deliveries/s")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(subscribers), "ns/delivery")
}

// compareCycle reads total bytes, which must be cycle again and again.
func compareCycle(sock net.Conn, cycle []byte, total int) error {
	buf := make([]byte, 64<<10)
	for off := 0; off < total; {
		_ = sock.SetReadDeadline(time.Now().Add(patience))
		n, err := sock.Read(buf[:min(len(buf), total-off)])
		if err != nil {
			return fmt.Errorf("after %d of %d bytes: %w", off, total, err)
		}
		for part := buf[:n]; len(part) > 0; {
			at := off % len(cycle)
			m := min(len(part), len(cycle)-at)
			if !bytes.Equal(part[:m], cycle[at:at+m]) {
				return fmt.Errorf("wrong bytes at %d", off)
			}
			off, part = off+m, part[m:]
		}
	}
	return nil
}
