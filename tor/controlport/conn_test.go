package controlport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// chunks is a connection on which tor says these pieces, one a read, and then
// hangs up. What is written to it is dropped.
type chunks struct {
	net.Conn
	mu     sync.Mutex
	pieces [][]byte // guarded by mu
	start  chan struct{}
}

func (c *chunks) Read(b []byte) (int, error) {
	<-c.start
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(b, c.pieces[0])
	if c.pieces[0] = c.pieces[0][n:]; len(c.pieces[0]) == 0 {
		c.pieces = c.pieces[1:]
	}
	return n, nil
}

func (c *chunks) Write(b []byte) (int, error) { return len(b), nil }
func (c *chunks) Close() error                { return nil }

// listen has a Conn read pieces while commands wait for replies, and returns
// everything in the order in which it was seen: events with their bytes,
// replies after "> ".
func listen(t testing.TB, commands int, pieces ...string) (seen []string, err error) {
	t.Helper()
	nc := &chunks{start: make(chan struct{})}
	for _, p := range pieces {
		if p != "" {
			nc.pieces = append(nc.pieces, []byte(p))
		}
	}
	var mu sync.Mutex
	c := New(nc, func(wires [][]byte) {
		mu.Lock()
		defer mu.Unlock()
		for _, w := range wires {
			seen = append(seen, string(w))
		}
	})
	for range commands {
		ex := &exchange{command: "X", ended: make(chan struct{}), then: func(r Reply) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, "> "+r.String())
		}}
		if _, err := c.send(context.Background(), ex, []byte("X\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	close(nc.start)
	<-c.Done()
	_ = c.Close()
	return seen, c.Err()
}

// Each text is read whole, in two pieces cut at every place, and byte by
// byte: the same things are seen, in the same order.
func TestReading(t *testing.T) {
	long := "650 NOTICE " + strings.Repeat("x", 3*readSize) + "\r\n"
	block := "650+NEWCONSENSUS\r\n" + strings.Repeat("r a b c\r\n", 1000) + ".\r\n650 OK\r\n"
	for _, c := range []struct {
		name     string
		commands int
		want     []string // as seen; the text is all of it
	}{
		{"single lines", 0, []string{"650 BW 1 2\r\n", "650 SIGNAL DUMP\r\n", "650 X\r\n"}},
		{"replies", 3, []string{"> 250 OK\r\n", "> 250-a=1\r\n250-b=2\r\n250 OK\r\n", "> 552 Unrecognized event \"X\"\r\n"}},
		{"events between replies", 2, []string{"650 A\r\n", "> 250 OK\r\n", "650 B\r\n", "650 C\r\n", "> 250 OK\r\n", "650 D\r\n"}},
		{"lines of an event", 1, []string{"650-CONF_CHANGED\r\n650-Bridge=1.2.3.4:5\r\n650 OK\r\n", "> 250 OK\r\n"}},
		{"a block in an event", 1, []string{"650+NS\r\nr a\r\n.\r\n650 OK\r\n", "> 250 OK\r\n", "650+HS_DESC_CONTENT x\r\n..\r\n650 OK\r\n250 OK\r\n.\r\n650 OK\r\n"}},
		{"a block in a reply", 2, []string{"> 250+config-text=\r\n250 OK\r\n650 BW 1 2\r\n..\r\n.\r\n250-x=\r\n250 OK\r\n", "> 250 OK\r\n"}},
		{"bare line feeds", 2, []string{"650+NS\nr\n.\n650 OK\n", "> 250+x=\na\n.\n250 OK\n", "> 250 OK\n"}},
		{"an empty block", 1, []string{"> 250+x=\r\n.\r\n250 OK\r\n", "650+NS\r\n.\r\n650 OK\r\n"}},
		{"long", 1, []string{long, block, "> 250+x=\r\n" + strings.Repeat("y\r\n", readSize) + ".\r\n250 OK\r\n", long, "650 BW 1 2\r\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := ""
			for _, w := range c.want {
				text += strings.TrimPrefix(w, "> ")
			}
			check := func(how string, pieces ...string) {
				got, err := listen(t, c.commands, pieces...)
				if !errors.Is(err, io.EOF) || !slices.Equal(got, c.want) {
					t.Errorf("%s: %v\ngot  %.300q\nwant %.300q", how, err, got, c.want)
				}
			}
			check("whole", text)
			step := max(1, len(text)/80)
			for i := 1; i < len(text); i += step {
				check(fmt.Sprintf("cut at %d", i), text[:i], text[i:])
			}
			if len(text) < 1000 {
				check("byte by byte", strings.Split(text, "")...)
			}
		})
	}
}

// Tor promises not to put an asynchronous reply inside another reply. If it
// does, both are whole.
func TestEventInsideAReply(t *testing.T) {
	text := "250-a=1\r\n650+NS\r\nr\r\n.\r\n650 OK\r\n650 B\r\n250-b=2\r\n650 C\r\n250 OK\r\n"
	want := []string{"650+NS\r\nr\r\n.\r\n650 OK\r\n", "650 B\r\n", "650 C\r\n", "> 250-a=1\r\n250-b=2\r\n250 OK\r\n"}
	for i := range text {
		got, err := listen(t, 1, text[:i], text[i:])
		if !errors.Is(err, io.EOF) || !slices.Equal(got, want) {
			t.Errorf("cut at %d: %v %q", i, err, got)
		}
	}
}

// What came whole before the fault is good; what is no control protocol ends
// the connection.
func TestMalformed(t *testing.T) {
	for name, text := range map[string]string{
		"HTTP":                   "HTTP/1.0 501 Tor ControlPort is not an HTTP proxy\r\n",
		"no separator":           "250OK\r\n",
		"short":                  "25\r\n",
		"empty line":             "\r\n",
		"letters":                "abc def\r\n",
		"binary":                 "\x00\x01\x02\x03\x04\x05\n",
		"nobody asked":           "250 OK\r\n250 OK\r\n",
		"reply inside an event":  "650-CONF_CHANGED\r\n250 OK\r\n",
		"endless line":           strings.Repeat("x", maxLine+1),
		"endless event":          "650+NS\r\n" + strings.Repeat(strings.Repeat("r", 1<<16)+"\r\n", maxEvent>>16),
		"endless event of lines": "650-NS\r\n" + strings.Repeat("650-"+strings.Repeat("r", 1<<16)+"\r\n", maxEvent>>16),
	} {
		got, err := listen(t, 1, "650 BW 1 2\r\n"+text, "250 OK\r\n")
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
		if len(err.Error()) > 1000 {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
		if len(got) == 0 || got[0] != "650 BW 1 2\r\n" {
			t.Errorf("%s: the event before it is lost: %.100q", name, got)
		}
	}
	_, err := listen(t, 1, "250+x=\r\n"+strings.Repeat(strings.Repeat("r", 1<<16)+"\r\n", maxReply>>16))
	if err == nil || !strings.Contains(err.Error(), "more than 32 MiB") {
		t.Errorf("an endless reply: %v", err)
	}
}

// The events of one read come in one call, and belong to the receiver.
func TestGroupsAndOwnership(t *testing.T) {
	var groups [][][]byte
	done := make(chan struct{})
	c, tor := pipe(t, func(wires [][]byte) {
		for i := range wires { // what is done to one must not reach another
			wires[i] = append(wires[i], "more"...)
		}
		groups = append(groups, wires)
		if len(groups) == 2 {
			close(done)
		}
	})
	write(t, tor, "650 A 1\r\n650 B 2\r\n650 C")
	write(t, tor, " 3\r\n650 D 4\r\n")
	<-done
	if got := fmt.Sprintf("%q", groups); got != `[["650 A 1\r\nmore" "650 B 2\r\nmore"] ["650 C 3\r\nmore" "650 D 4\r\nmore"]]` {
		t.Errorf("groups: %s", got)
	}
	_ = c.Close()
}

func write(t testing.TB, w io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
}

// Commands from many goroutines at once each get their own reply.
func TestPipelining(t *testing.T) {
	var events collector
	tor := startFake(t, func(c *fakeConn, command string) string {
		n := strings.TrimPrefix(command, "GETINFO ")
		return "650 SAW " + n + "\r\n250+x=\r\n" + strings.Repeat(n+"\r\n", 50) + ".\r\n250-n=" + n + "\r\n250 OK\r\n"
	})
	ctx := testContext(t)
	c, err := Dial(ctx, tor.address(), events.take)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			n := fmt.Sprint(i)
			var reply string
			if i%2 == 0 {
				rep, err := c.Do(ctx, "GETINFO "+n)
				if err != nil {
					t.Error(err)
				}
				reply = rep.String()
			} else {
				var w bytes.Buffer
				if err := c.Forward(ctx, []byte("GETINFO "+n+"\r\n"), &w); err != nil {
					t.Error(err)
				}
				reply = w.String()
			}
			want := "250+x=\r\n" + strings.Repeat(n+"\r\n", 50) + ".\r\n250-n=" + n + "\r\n250 OK\r\n"
			if reply != want {
				t.Errorf("command %s got %q", n, reply)
			}
		})
	}
	wg.Wait()
	if n := len(events.all()); n != 200 {
		t.Errorf("%d events", n)
	}
}

// A reply of many megabytes passes through Forward in pieces of one read.
func TestForwardStreams(t *testing.T) {
	data := strings.Repeat("250 OK\r\n..\r\n650 BW 1 1\r\n", 400_000)
	c, tor := pipe(t, nil)
	go func() {
		_, _ = tor.Read(make([]byte, 100))
		_, _ = io.WriteString(tor, "250+ns/all=\r\n"+data+".\r\n250 OK\r\n650 BW 1 1\r\n")
	}()
	w := &measure{}
	if err := c.Forward(testContext(t), []byte("GETINFO ns/all\r\n"), w); err != nil {
		t.Fatal(err)
	}
	if want := len("250+ns/all=\r\n") + len(data) + len(".\r\n250 OK\r\n"); w.bytes != want || w.largest > readSize {
		t.Errorf("%d bytes, want %d; the largest piece %d", w.bytes, want, w.largest)
	}
}

type measure struct{ bytes, largest int }

func (m *measure) Write(b []byte) (int, error) {
	m.bytes += len(b)
	m.largest = max(m.largest, len(b))
	return len(b), nil
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("the controller has gone") }

// A reply that cannot be passed on ends the connection: what is left of it
// must not be taken for the next command's.
func TestForwardFails(t *testing.T) {
	c, tor := pipe(t, nil)
	go func() {
		_, _ = tor.Read(make([]byte, 100))
		_, _ = io.WriteString(tor, "250-a=1\r\n")
		_, _ = io.WriteString(tor, "250 OK\r\n")
	}()
	err := c.Forward(testContext(t), []byte("GETINFO a\r\n"), failing{})
	if err == nil || !strings.Contains(err.Error(), "the controller has gone") {
		t.Errorf("error %v", err)
	}
	await(t, "the end of the connection", c.Done())
	if _, err := c.Do(testContext(t), "GETINFO b"); !errors.Is(err, ErrClosed) {
		t.Errorf("a later command: %v", err)
	}
}

func TestCommandEndsWithItsContext(t *testing.T) {
	enough := errors.New("enough")
	for name, send := range map[string]func(context.Context, *Conn) error{
		"Do":      func(ctx context.Context, c *Conn) error { _, err := c.Do(ctx, "GETINFO a"); return err },
		"Forward": func(ctx context.Context, c *Conn) error { return c.Forward(ctx, []byte("GETINFO a\r\n"), io.Discard) },
	} {
		for _, reads := range []bool{true, false} { // without: the command cannot even be written
			c, tor := pipe(t, nil)
			ctx, cancel := context.WithCancelCause(context.Background())
			go func() {
				all := len("GETINFO a\r\n")
				if !reads {
					all = 1
				}
				_, _ = io.ReadFull(tor, make([]byte, all))
				cancel(enough)
			}()
			if err := send(ctx, c); !errors.Is(err, enough) {
				t.Errorf("%s, reads %v: %v", name, reads, err)
			}
			await(t, "the end of the connection", c.Done())
			if !errors.Is(c.Err(), enough) {
				t.Errorf("%s: Err %v", name, c.Err())
			}
		}
		c, _ := pipe(t, nil)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := send(ctx, c); !errors.Is(err, context.Canceled) || isClosed(c.Done()) {
			t.Errorf("%s with an ended context: %v; nothing was sent, so the connection stays", name, err)
		}
	}
}

func TestCommandsAreOneLine(t *testing.T) {
	c, _ := pipe(t, nil)
	for _, bad := range []string{"GETINFO a\r\nQUIT", "GETINFO a\nQUIT", "GETINFO \x00"} {
		if _, err := c.Do(testContext(t), bad); err == nil || !strings.Contains(err.Error(), "more than one line") {
			t.Errorf("Do(%q): %v", bad, err)
		}
	}
	if err := c.Forward(testContext(t), []byte("GETINFO a"), io.Discard); err == nil {
		t.Error("Forward sends a command without its end")
	}
}

// Tor answers QUIT and hangs up: the answer is whole.
func TestReplyThenEnd(t *testing.T) {
	for range 50 {
		tor := startFake(t, func(c *fakeConn, _ string) string {
			_, _ = io.WriteString(c, "250 closing connection\r\n")
			_ = c.Close()
			return ""
		})
		c, err := Dial(testContext(t), tor.address(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var w bytes.Buffer
		if err := c.Forward(testContext(t), []byte("QUIT\r\n"), &w); err != nil || w.String() != "250 closing connection\r\n" {
			t.Fatalf("%v %q", err, w.String())
		}
		<-c.Done()
		if !errors.Is(c.Err(), io.EOF) {
			t.Errorf("Err %v", c.Err())
		}
		if _, err := c.Do(testContext(t), "GETINFO a"); !errors.Is(err, ErrClosed) || !strings.Contains(err.Error(), "tor closed it") {
			t.Errorf("afterwards: %v", err)
		}
		tor.stop()
	}
}

// An event function that blocks stops the reading, so that tor's own buffer
// fills; nothing is lost when it goes on.
func TestBackPressure(t *testing.T) {
	const events = 200_000 // some 10 MB, far more than sockets buffer
	release := make(chan struct{})
	var mu sync.Mutex
	got, calls := 0, 0
	c, tor := tcpPipe(t, func(wires [][]byte) {
		<-release
		mu.Lock()
		defer mu.Unlock()
		got += len(wires)
		calls++
	})
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		line := []byte("650 CIRC_BW ID=12345 READ=498 WRITTEN=0 TIME=now\r\n")
		for range events {
			if _, err := tor.Write(line); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	select {
	case <-wrote:
		t.Error("everything was read although nobody took it")
	case <-time.After(300 * time.Millisecond):
	}
	close(release)
	await(t, "the writer", wrote)
	until(t, "all events", func() bool { mu.Lock(); defer mu.Unlock(); return got == events })
	_ = c.Close()
}

// When Close has returned the event function is not called any more.
func TestCloseWaits(t *testing.T) {
	called, release := make(chan struct{}), make(chan struct{})
	c, tor := pipe(t, func([][]byte) { close(called); <-release })
	write(t, tor, "650 A\r\n")
	<-called
	closed := make(chan struct{})
	go func() { _ = c.Close(); close(closed) }()
	select {
	case <-closed:
		t.Error("Close returned while the event function ran")
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	await(t, "Close", closed)
}

// tcpPipe is pipe over a loopback socket.
func tcpPipe(t testing.TB, events func([][]byte)) (*Conn, net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := Dial(testContext(t), Address{"tcp", ln.Addr().String()}, events)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = theirs.Close(); _ = c.Close() })
	return c, theirs
}

// FuzzReading checks that whatever tor says, and however it is cut, nothing
// panics, what is seen is what was said in its order, and cuts do not matter.
func FuzzReading(f *testing.F) {
	f.Add([]byte("650 BW 1 2\r\n250 OK\r\n650+NS\r\n.\r\n650 OK\r\n"), uint16(13), 1)
	f.Add([]byte("250+x=\r\n250 OK\r\n.\r\n250 OK\r\n250-y\r\n650-Z\r\n650 OK\r\n250 OK\r\n"), uint16(20), 2)
	f.Add([]byte("650-CONF_CHANGED\r\n650-a=b\r\n650 OK\r\n\r\n"), uint16(3), 0)
	f.Add([]byte("250-a\r\n650+X\r\n250 OK\r\n.\r\n650 \n250 OK\n"), uint16(9), 1)
	f.Fuzz(func(t *testing.T, text []byte, cut uint16, commands int) {
		commands = max(0, min(commands, 8))
		i := min(int(cut), len(text))
		whole, err1 := listen(t, commands, string(text))
		parts, err2 := listen(t, commands, string(text[:i]), string(text[i:]))
		if !slices.Equal(whole, parts) || errors.Is(err1, io.EOF) != errors.Is(err2, io.EOF) {
			t.Errorf("cut at %d: %v %q\nwhole: %v %q", i, err2, parts, err1, whole)
		}
		for _, s := range whole {
			if rep, ok := strings.CutPrefix(s, "> "); ok {
				r := Reply{raw: []byte(rep)}
				_, _, _ = r.Code(), r.Err(), r.Values()
				continue
			}
			if !strings.HasPrefix(s, "650") || !bytes.Contains(text, []byte(s)) && !bytes.Contains(text, []byte("250-")) {
				t.Errorf("event %q was not said so", s)
			}
		}
	})
}

// BenchmarkEvents is how many events a second come through a Conn from a
// loopback socket, of the length of real ones.
func BenchmarkEvents(b *testing.B) {
	for name, line := range map[string]string{
		"BW":      "650 BW 498 1024\r\n",
		"CIRC_BW": "650 CIRC_BW ID=1234 READ=498 WRITTEN=0 TIME=2026-11-23T08:46:06.691378 DELIVERED_READ=490 OVERHEAD_READ=8 DELIVERED_WRITTEN=0 OVERHEAD_WRITTEN=0 SS=1 CWND=124\r\n",
		"CIRC": "650 CIRC 3 BUILT $D074985ADE267C0F6CBAB4C48785B1655023A3E7~auth0,$3487DA83E386267730C95033CF1B1B4CE1FEF7A0~auth2,$C767D2F921184AFB2F62079EEFBE8AB3C63E4113~exit9 " +
			"BUILD_FLAGS=NEED_CAPACITY,NEED_UPTIME PURPOSE=CONFLUX_UNLINKED TIME_CREATED=2026-11-23T08:45:55.691844 CONFLUX_ID=7FF24FDF88D15A9218235DC8FF30E9C2\r\n",
	} {
		b.Run(name, func(b *testing.B) {
			done := make(chan struct{})
			got := 0
			c, tor := tcpPipe(b, func(wires [][]byte) {
				if got += len(wires); got >= b.N {
					close(done)
				}
			})
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			b.ResetTimer()
			go func() {
				many := bytes.Repeat([]byte(line), 500)
				for left := b.N; left > 0; left -= 500 {
					if _, err := tor.Write(many[:min(left, 500)*len(line)]); err != nil {
						b.Error(err)
						return
					}
				}
			}()
			<-done
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			_ = c.Close()
		})
	}
}
