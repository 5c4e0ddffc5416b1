package daemon

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// oddBytes are what commands and replies may be made of beside text.
var oddBytes = []string{"\x00", "\xff\xfe", "\r", "..", ". ", "\t", "\"", "\\", "650 BW 1 1", "250 OK", "é", strings.Repeat("long ", 2000)}

func oddLine(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(4) {
		b.WriteString(oddBytes[r.IntN(len(oddBytes))])
	}
	if line := b.String(); line != "." && line != ".\r" {
		return line
	}
	return "x"
}

func lineEnd(r *rand.Rand) string { return []string{"\r\n", "\r\n", "\n"}[r.IntN(3)] }

// oddCommand is a command that is tor's, with number n in it.
func oddCommand(r *rand.Rand, n int) string {
	verb := []string{"SETCONF", "getconf", "POSTDESCRIPTOR", "Nonsense", "GETINFO", "SIGNAL", "MAPADDRESS"}[r.IntN(7)]
	line := fmt.Sprintf("%s %d %s%s", verb, n, strings.ReplaceAll(oddLine(r), "\r", ""), lineEnd(r))
	if r.IntN(2) == 0 {
		return line
	}
	block := "+" + line
	for range r.IntN(5) {
		block += oddLine(r) + lineEnd(r)
	}
	return block + "." + lineEnd(r)
}

// oddReply is a reply of any shape (control-spec, section 2.3).
func oddReply(r *rand.Rand) string {
	code := []string{"250", "251", "451", "500", "510", "512", "513", "515", "550", "551", "552", "553", "554", "555"}[r.IntN(14)]
	text := func() string { return oddLine(r) + lineEnd(r) }
	var b strings.Builder
	for range r.IntN(4) {
		if r.IntN(2) == 0 {
			b.WriteString(code + "-" + text())
			continue
		}
		b.WriteString(code + "+key=" + lineEnd(r))
		for range r.IntN(6) {
			b.WriteString(text())
		}
		b.WriteString("." + lineEnd(r))
	}
	return b.String() + code + " " + text()
}

// Whatever a controller sends that is tor's reaches tor in the same bytes, and
// whatever tor replies comes back in the same bytes, in order: commands of all
// forms, pipelined, cut anywhere, with and without events between the replies.
func TestCommandsAndRepliesPassByteForByte(t *testing.T) {
	for _, subscribed := range []bool{false, true} {
		seed := rand.Uint64()
		r := rand.New(rand.NewPCG(seed, 1))
		var sent, said strings.Builder
		var replies []string
		for n := range 300 {
			sent.WriteString(oddCommand(r, n))
			replies = append(replies, oddReply(r))
			said.WriteString(replies[n])
		}
		var mu sync.Mutex
		next, heard := 0, "" // guarded by mu; there is one connection with such commands
		tor := startStub(t, func(cmd []byte, w io.Writer) {
			mu.Lock()
			defer mu.Unlock()
			heard += string(cmd)
			_, _ = io.WriteString(w, replies[next])
			next++
		})
		addr, _ := tor.recorded(Config{})
		c := controller(t, addr)
		if subscribed {
			fmt.Fprint(c, "SETEVENTS BW\r\n")
			said.Reset()
			said.WriteString("250 OK\r\n" + strings.Join(replies, ""))
			stop := tor.keepTelling("650 BW 1234567 7654321\r\n")
			defer stop()
		}
		go func() { // in pieces
			for rest := sent.String(); rest != ""; {
				n := min(len(rest), 1+r.IntN(3000))
				_, _ = io.WriteString(c, rest[:n])
				rest = rest[n:]
			}
			_, _ = io.WriteString(c, "QUIT\r\n")
		}()
		got, err := io.ReadAll(c)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		want := said.String() + "250 closing connection\r\n"
		if subscribed {
			got = withoutEvents(got, want)
		}
		if string(got) != want {
			at := firstDifference(string(got), want)
			t.Errorf("seed %d: replies differ from byte %d on:\ngot  %.200q\nwant %.200q", seed, at, got[at:], want[at:])
		}
		mu.Lock()
		if heard != sent.String() {
			at := firstDifference(heard, sent.String())
			t.Errorf("seed %d: commands differ from byte %d on:\ngot  %.200q\nwant %.200q", seed, at, heard[at:], sent.String()[at:])
		}
		mu.Unlock()
	}
}

// keepTelling sends an event again and again to the recorder.
func (s *stubTor) keepTelling(wire string) (stop func()) {
	end := make(chan struct{})
	source := s.source()
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-end:
				return
			case <-time.After(100 * time.Microsecond):
			}
			if _, err := io.WriteString(source, wire); err != nil {
				return
			}
		}
	})
	return func() {
		close(end)
		wg.Wait()
	}
}

// withoutEvents takes out of got what want does not have where an event may
// stand: a whole line "650 BW …".
func withoutEvents(got []byte, want string) []byte {
	const wire = "650 BW 1234567 7654321\r\n"
	var out []byte
	for len(got) > 0 {
		if bytes.HasPrefix(got, []byte(wire)) && !strings.HasPrefix(want[min(len(out), len(want)):], wire) {
			got = got[len(wire):]
			continue
		}
		out, got = append(out, got[0]), got[1:]
	}
	return out
}

func firstDifference(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// A reply of 64 MiB passes without being held, also joined with an answer of
// ours, and while its controller stops reading: then tor waits.
func TestLongReplyIsNotHeld(t *testing.T) {
	const line, lines = 64, 1 << 20 // 64 MiB
	text := bytes.Repeat([]byte(strings.Repeat("r", line-2)+"\r\n"), 1<<10)
	var ahead atomic.Int64 // bytes that tor has written and the controller has not read
	tor := startStub(t, func(_ []byte, w io.Writer) {
		_, _ = io.WriteString(w, "250+ns/all=\r\n")
		for range lines >> 10 {
			if _, err := w.Write(text); err != nil {
				return
			}
			ahead.Add(int64(len(text)))
		}
		_, _ = io.WriteString(w, ".\r\n250 OK\r\n")
	})
	addr, _ := tor.recorded(Config{})
	head, tail := "250+ns/all=\r\n", ".\r\n250 OK\r\n"
	for _, tt := range []struct{ command, tail string }{
		{"GETINFO ns/all\r\n", tail},
		{"GETINFO ns/all journal/first\r\n", ".\r\n250-journal/first="},
	} {
		c := controller(t, addr)
		before := liveHeap()
		fmt.Fprint(c, tt.command)
		if got := read(t, c, len(head)); got != head {
			t.Fatalf("%s: %q", tt.command, got)
		}
		most := int64(0)
		buf := make([]byte, len(text))
		for n := range lines >> 10 {
			if _, err := io.ReadFull(c, buf); err != nil || !bytes.Equal(buf, text) {
				t.Fatalf("%s: piece %d is another, %v", tt.command, n, err)
			}
			ahead.Add(-int64(len(text)))
			if n%(lines>>14) == 0 {
				most = max(most, liveHeap()-before)
				if far := ahead.Load(); far > 8<<20 { // sockets hold some
					t.Errorf("%s: tor is %d bytes ahead of the controller", tt.command, far)
				}
			}
		}
		if got := read(t, c, len(tt.tail)); got != tt.tail {
			t.Errorf("%s: ends with %q", tt.command, got)
		}
		if most > 1<<20 {
			t.Errorf("%s: %d bytes were held of %d", tt.command, most, line*lines)
		}
		t.Logf("%.14s…: at most %d KiB", tt.command, most>>10)
		_ = c.Close()
	}
}

func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func read(t *testing.T, r io.Reader, n int) string {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}
