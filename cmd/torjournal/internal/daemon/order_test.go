package daemon

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestStateIsToldBetweenItsEvents: however fast events come, each reply to
// GETINFO circuit-status stands before the same event as on tor's own port.
// Here tor tells in it how many events it has sent. On a machine that stood
// still for long the recorder may have asked in another way, where the order is
// not known: tor tells of that, and those replies are not judged.
func TestStateIsToldBetweenItsEvents(t *testing.T) {
	events, pollers := 40_000, 4
	if testing.Short() {
		events = 8000
	}
	var mu sync.Mutex
	sent := 0 // guarded by mu
	var source atomic.Pointer[stubConn]
	tor := startStub(t, func(_ []byte, w io.Writer) {
		mu.Lock()
		defer mu.Unlock()
		out := w.(*stubWriter)
		if out.conn != source.Load() {
			_, _ = io.WriteString(w, "250 otherwise\r\n")
			return
		}
		fmt.Fprintf(w, "250-circuit-status=%d\r\n250 OK\r\n", sent)
		_ = out.Flush() // before the next event is sent
	})
	addr, _ := tor.recorded(Config{})
	source.Store(tor.source())
	var polling sync.WaitGroup
	var replies, otherwise atomic.Int64
	for range pollers {
		sock := controller(t, addr)
		fmt.Fprint(sock, "SETEVENTS BW\r\n")
		if got := read(t, sock, 8); got != "250 OK\r\n" {
			t.Fatal(got)
		}
		polling.Go(func() {
			in := bufio.NewReader(sock)
			fmt.Fprint(sock, "GETINFO circuit-status\r\n")
			for last := 0; last < events; {
				_ = sock.SetReadDeadline(time.Now().Add(4 * patience))
				line, err := in.ReadSlice('\n')
				if err != nil {
					t.Errorf("after event %d: %v", last, err)
					return
				}
				var n int
				switch {
				case string(line) == "250 OK\r\n":
					replies.Add(1)
					fmt.Fprint(sock, "GETINFO circuit-status\r\n")
				case string(line) == "250 otherwise\r\n":
					otherwise.Add(1)
					fmt.Fprint(sock, "GETINFO circuit-status\r\n")
				case bytes.HasPrefix(line, []byte("250-")):
					if _, err := fmt.Sscanf(string(line), "250-circuit-status=%d", &n); err != nil || n != last {
						t.Errorf("after event %d: %q", last, line)
						return
					}
				default:
					if _, err := fmt.Sscanf(string(line), "650 BW %d", &n); err != nil || n != last+1 {
						t.Errorf("after event %d: %q", last, line)
						return
					}
					last = n
				}
			}
		})
	}
	for n := 1; n <= events; {
		var b strings.Builder
		mu.Lock()
		for range min(1+n%7, events+1-n) {
			fmt.Fprintf(&b, "650 BW %d 0\r\n", n)
			n++
		}
		_, err := io.WriteString(source.Load(), b.String())
		sent = n - 1
		mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		if n%2 == 0 {
			time.Sleep(50 * time.Microsecond) // so that many ask, and each sees few events at once
		}
	}
	polling.Wait()
	t.Logf("%d replies among %d events", replies.Load(), events)
	if n := otherwise.Load(); replies.Load() < int64(pollers) || n > replies.Load() {
		t.Errorf("%d replies came in order, %d otherwise", replies.Load(), n)
	}
}
