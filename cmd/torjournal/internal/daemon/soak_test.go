package daemon

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

var soakTime = flag.Duration("soak", 20*time.Second, "how long TestSoak lasts")

// TestSoak plays a corpus at 10,000 events a second to a recorder while
// controllers come, go, stall and misbehave. Some that stay check every byte:
// nothing is lost or told twice. At the end memory is what it was at the
// beginning, and of all who came no descriptor is left open.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("takes its time")
	}
	seed := rand.Uint64()
	t.Logf("seed %d, %v", seed, *soakTime)
	tor := startStub(t, func(cmd []byte, w io.Writer) {
		if bytes.HasPrefix(cmd, []byte("GETINFO ns/all")) {
			fmt.Fprintf(w, "250+ns/all=\r\n%s.\r\n250 OK\r\n", strings.Repeat("r somebody\r\n", 5000))
			return
		}
		_, _ = io.WriteString(w, "250+circuit-status=\r\n1 BUILT $AA~a\r\n.\r\n250 OK\r\n")
	})
	addr, _ := tor.recorded(Config{Options: journal.Options{MaxSize: 64 << 20}, Heap: HeapBudget})
	tor.await("the recorder to be at rest", func() bool { return len(tor.open()) == 1 })
	files := openFiles(t)
	during, over := context.WithCancel(t.Context())
	defer over()
	s := &soak{t: t, addr: addr, play: newPlay(t), during: during}

	var watchers, rabble sync.WaitGroup
	for _, stalls := range []bool{false, false, true} {
		in := s.watcher(t)
		watchers.Go(func() { s.watch(in, stalls, seed) })
	}
	for n := range 16 {
		rabble.Go(func() { s.misbehave(rand.New(rand.NewPCG(seed, uint64(n)))) })
	}
	var playing sync.WaitGroup
	playing.Go(func() { s.perform(tor.source()) })
	began := time.Now()
	s.warmUp()
	marks := s.measure(*soakTime)
	lasted := time.Since(began)
	over()
	rabble.Wait()
	playing.Wait()
	watchers.Wait()
	t.Logf("%d events, %.0f a second; %d controllers came; %d bytes reached those that stayed",
		s.play.per*s.played.Load(), float64(s.play.per*s.played.Load())/lasted.Seconds(), s.came.Load(), s.seen.Load())
	flat(t, marks)
	tor.await("all upstream connections to be closed", func() bool { return len(tor.open()) == 1 })
	left := 0
	tor.await("all descriptors to be closed", func() bool {
		left = openFiles(t) - files
		return left <= 0
	})
}

// soak is what its parts share.
type soak struct {
	t      *testing.T
	addr   string
	play   *play
	during context.Context // ends when it is over
	played atomic.Int64    // turns of the play that have been sent
	last   atomic.Int64    // turns there are in all; 0: not over yet
	came   atomic.Int64
	seen   atomic.Int64
}

// play is a corpus that is played in turns. A turn begins with an event that
// bears its number.
type play struct {
	turns [][]byte // what follows in each turn; they go around
	per   int64    // events in a turn
	types string
}

// newPlay cuts a recording of a client into turns of ten events.
func newPlay(t *testing.T) *play {
	t.Helper()
	data, err := os.ReadFile("../../../../testdata/corpus/client.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	p := &play{per: 10}
	types := event.NewSet(event.BW)
	var wires [][]byte
	for line := range bytes.Lines(data) {
		var rec struct{ Raw string }
		if err := json.Unmarshal(line, &rec); err != nil {
			t.Fatal(err)
		}
		if typ := event.TypeOf([]byte(rec.Raw)); typ != event.BW {
			types = types.Union(event.NewSet(typ))
			wires = append(wires, []byte(rec.Raw))
		}
	}
	for turn := range slices.Chunk(wires, int(p.per)-1) {
		if len(turn) == int(p.per)-1 {
			p.turns = append(p.turns, bytes.Join(turn, nil))
		}
	}
	if len(p.turns) < 10 {
		t.Fatalf("the corpus has %d events", len(wires))
	}
	p.types = types.String()
	return p
}

// turn appends turn n to b.
func (p *play) turn(b []byte, n int64) []byte {
	b = fmt.Appendf(b, "650 BW %d %d\r\n", n, n)
	return append(b, p.turns[int(n)%len(p.turns)]...)
}

// perform plays 10,000 events a second to the recorder, or as many as it takes.
func (s *soak) perform(source net.Conn) {
	began := time.Now()
	n := int64(1)
	for over := false; !over; {
		select {
		case <-s.during.Done():
			over = true
			s.last.Store(n)
		case <-time.After(10 * time.Millisecond):
		}
		var b []byte
		for due := int64(time.Since(began).Seconds() * 10_000 / float64(s.play.per)); n <= due && len(b) < 1<<20; n++ {
			b = s.play.turn(b, n)
		}
		if over {
			b = s.play.turn(b, n) // so that there is a last one
			s.last.Store(n)
		}
		if _, err := source.Write(b); err != nil {
			s.t.Errorf("play: %v", err)
			return
		}
		s.played.Store(n - 1)
	}
}

// watcher is a controller that has subscribed to all that is played.
func (s *soak) watcher(t *testing.T) net.Conn {
	t.Helper()
	sock := controller(t, s.addr)
	_ = sock.SetDeadline(time.Time{})
	fmt.Fprintf(sock, "SETEVENTS %s\r\n", s.play.types)
	if got := read(t, sock, 8); got != "250 OK\r\n" {
		t.Fatalf("SETEVENTS: %q", got)
	}
	return sock
}

// watch compares every byte that comes with what is played, from the first
// turn to the last. One that stalls stops reading now and then.
func (s *soak) watch(sock net.Conn, stalls bool, seed uint64) {
	defer sock.Close()
	rnd := rand.New(rand.NewPCG(seed, 99))
	in := bufio.NewReaderSize(sock, 64<<10)
	var want, got []byte
	for n := int64(1); s.last.Load() == 0 || n <= s.last.Load(); n++ {
		if stalls && rnd.IntN(5000) == 0 && s.last.Load() == 0 {
			s.pause(time.Duration(rnd.IntN(4000)) * time.Millisecond)
		}
		want = s.play.turn(want[:0], n)
		got = append(got[:0], want...)
		_ = sock.SetReadDeadline(time.Now().Add(4 * patience))
		if k, err := io.ReadFull(in, got); err != nil || !bytes.Equal(got, want) {
			at := firstDifference(string(got), string(want))
			s.t.Errorf("turn %d: %d bytes, %v; after %d of them\ngot  %.100q\nwant %.100q", n, k, err, at, got[at:], want[at:])
			return
		}
		s.seen.Add(int64(len(got)))
	}
}

func (s *soak) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.during.Done():
	}
}

// misbehave is one controller after the other, none of whom stays.
func (s *soak) misbehave(rnd *rand.Rand) {
	for s.during.Err() == nil {
		sock, err := net.Dial("unix", s.addr)
		if err != nil {
			s.t.Errorf("dial: %v", err)
			return
		}
		s.came.Add(1)
		_ = sock.SetDeadline(time.Now().Add(4 * patience))
		stop := context.AfterFunc(s.during, func() { sock.Close() })
		visits[rnd.IntN(len(visits))](s, rnd, sock)
		stop()
		sock.Close()
		s.pause(time.Duration(rnd.IntN(20)) * time.Millisecond)
	}
}

// visits are what one may do.
var visits = []func(s *soak, rnd *rand.Rand, sock net.Conn){
	(*soak).leaves, (*soak).talksNonsense, (*soak).listens, (*soak).replays, (*soak).readsNothing,
	(*soak).sendsHalf, (*soak).asks, (*soak).asksAndLeaves, (*soak).filters,
}

func (s *soak) leaves(_ *rand.Rand, _ net.Conn) {}

func (s *soak) talksNonsense(rnd *rand.Rand, sock net.Conn) {
	b := make([]byte, rnd.IntN(20_000))
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	_, _ = sock.Write(b)
	_, _ = sock.Write([]byte("\r\n"))
	_, _ = io.Copy(io.Discard, sock) // it is thrown out
}

// begin authenticates and sends commands that are all answered by 250 OK.
func (s *soak) begin(sock net.Conn, commands ...string) (*bufio.Reader, error) {
	in := bufio.NewReader(sock)
	for _, c := range append([]string{"AUTHENTICATE"}, commands...) {
		fmt.Fprint(sock, c+"\r\n")
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return in, err
			}
			if strings.HasPrefix(line, "650") {
				continue
			}
			if line != "250 OK\r\n" {
				s.t.Errorf("%s: %q", c, line)
				return in, errors.New(line)
			}
			break
		}
	}
	return in, nil
}

func (s *soak) listens(rnd *rand.Rand, sock net.Conn) {
	in, err := s.begin(sock, "SETEVENTS CIRC BW")
	for n := rnd.IntN(5000); err == nil && n > 0; n-- {
		_, err = in.ReadSlice('\n')
	}
}

// replays reads a part of history, where the numbers of turns follow each
// other but for what it is told is gone.
func (s *soak) replays(rnd *rand.Rand, sock net.Conn) {
	in, err := s.begin(sock, "SETEVENTS BW", fmt.Sprintf("REPLAY SINCE=%ds", 1+rnd.IntN(30)))
	last := int64(0)
	for n := rnd.IntN(5000); err == nil && n > 0; n-- {
		var line []byte
		if line, err = in.ReadSlice('\n'); err != nil {
			break
		}
		var turn int64
		switch _, noBW := fmt.Sscanf(string(line), "650 BW %d", &turn); {
		case bytes.HasPrefix(line, []byte("650 JOURNAL GAP")):
			last = 0
		case noBW != nil:
		case last != 0 && turn != last+1:
			s.t.Errorf("a replay has turn %d after turn %d", turn, last)
			return
		default:
			last = turn
		}
	}
	if err != nil && s.during.Err() == nil {
		s.t.Errorf("a replay ended: %v", err)
	}
}

func (s *soak) readsNothing(rnd *rand.Rand, sock net.Conn) {
	fmt.Fprintf(sock, "AUTHENTICATE\r\nSETEVENTS %s\r\nREPLAY\r\n", s.play.types)
	s.pause(time.Duration(rnd.IntN(2000)) * time.Millisecond)
}

func (s *soak) sendsHalf(rnd *rand.Rand, sock net.Conn) {
	_, _ = s.begin(sock)
	fmt.Fprint(sock, "+POSTDESCRIPTOR\r\n"+strings.Repeat("half\r\n", rnd.IntN(100_000)))
	s.pause(time.Duration(rnd.IntN(500)) * time.Millisecond)
}

// asks sends commands at once and reads all answers.
func (s *soak) asks(rnd *rand.Rand, sock net.Conn) {
	in, err := s.begin(sock, "SETEVENTS CIRC")
	if err != nil {
		return
	}
	n := 1 + rnd.IntN(20)
	fmt.Fprint(sock, strings.Repeat("GETINFO circuit-status\r\nGETINFO ns/all journal/last\r\n+POSTDESCRIPTOR\r\nx\r\n.\r\n", n))
	for done := 0; done < 3*n; {
		line, err := in.ReadSlice('\n')
		switch {
		case err != nil && s.during.Err() != nil:
			return
		case err != nil:
			s.t.Errorf("%d of %d commands were answered: %v", done, 3*n, err)
			return
		case string(line) == "250 OK\r\n":
			done++
		}
	}
}

func (s *soak) asksAndLeaves(rnd *rand.Rand, sock net.Conn) {
	_, _ = s.begin(sock, "SETEVENTS BW INFO")
	fmt.Fprint(sock, strings.Repeat("GETINFO ns/all\r\n", 1+rnd.IntN(5)))
}

func (s *soak) filters(rnd *rand.Rand, sock net.Conn) {
	in, err := s.begin(sock, "SETEVENTS CIRC BW", `SETFILTER "Read % 100 == 0 || Status == \"FAILED\""`, "USEFEATURE JOURNAL_META")
	for n := rnd.IntN(50); err == nil && n > 0; n-- {
		_, err = in.ReadSlice('\n')
	}
}

// mark is how much was in use at one moment.
type mark struct {
	heap       uint64
	goroutines int
	files      int
}

// warmUp waits until so much has been played that the window of the newest
// records is full: a slow machine takes long for it, and until then the heap
// grows as it shall.
func (s *soak) warmUp() {
	const events = 50_000 // 8 MiB, with what a record costs
	for s.play.per*s.played.Load() < events && !s.t.Failed() {
		time.Sleep(10 * time.Millisecond)
	}
}

// measure looks twenty times.
func (s *soak) measure(whole time.Duration) (marks []mark) {
	const looks = 20
	for range looks {
		time.Sleep(whole / looks)
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		marks = append(marks, mark{m.HeapAlloc, runtime.NumGoroutine(), openFiles(s.t)})
		s.t.Logf("%5.1f MiB on the heap, %d goroutines, %d descriptors; %d controllers came", float64(m.HeapAlloc)/(1<<20), runtime.NumGoroutine(), marks[len(marks)-1].files, s.came.Load())
	}
	return marks
}

// flat checks that what is in use at least does not grow from the second third
// to the last, and that the heap never has much more than it shall: what is
// held for a moment, a block that is being sealed or read, comes and goes.
func flat(t *testing.T, marks []mark) {
	t.Helper()
	least := func(part []mark) mark {
		m := part[0]
		for _, p := range part {
			m = mark{min(m.heap, p.heap), min(m.goroutines, p.goroutines), min(m.files, p.files)}
		}
		return m
	}
	third := len(marks) / 3
	before, after := least(marks[third:2*third]), least(marks[2*third:])
	if after.heap > before.heap+before.heap/4+4<<20 {
		t.Errorf("the heap grows: at least %.1f MiB, later %.1f MiB", float64(before.heap)/(1<<20), float64(after.heap)/(1<<20))
	}
	if after.goroutines > before.goroutines+before.goroutines/2+20 || after.files > before.files+before.files/2+20 {
		t.Errorf("at least %d goroutines and %d descriptors, later %d and %d", before.goroutines, before.files, after.goroutines, after.files)
	}
	for _, m := range marks {
		if m.heap > HeapBudget+32<<20 { // those who came are on this heap too
			t.Errorf("%d MiB were on the heap", m.heap>>20)
		}
	}
}

// openFiles counts the descriptors of this process.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Skipf("descriptors cannot be counted here: %v", err)
	}
	return len(entries)
}
