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
// Here tor tells in it how many events it has sent.
func TestStateIsToldBetweenItsEvents(t *testing.T) {
	const events, pollers = 40_000, 4
	var mu sync.Mutex
	sent := 0 // guarded by mu
	tor := startStub(t, func(_ []byte, w io.Writer) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(w, "250-circuit-status=%d\r\n250 OK\r\n", sent)
		_ = w.(*bufio.Writer).Flush() // before the next event is sent
	})
	addr, _ := tor.recorded(Config{})
	var polling sync.WaitGroup
	var replies atomic.Int64
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
	source := tor.source()
	for n := 1; n <= events; {
		var b strings.Builder
		mu.Lock()
		for range min(1+n%7, events+1-n) {
			fmt.Fprintf(&b, "650 BW %d 0\r\n", n)
			n++
		}
		_, err := io.WriteString(source, b.String())
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
	if replies.Load() < pollers {
		t.Error("nobody asked")
	}
}
