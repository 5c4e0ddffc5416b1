package control

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestCommandReader(t *testing.T) {
	long := strings.Repeat("x", 3000)
	in := "GETINFO version\r\nquit\n\r\n\n  a b\r\n+LOADCONF a\r\n..x\r\n\r\n. \r\n.\r\n+x\n.\n" +
		"FOO " + long + "\r\nBAR\tbaz \r\r\nQUIT\x00x y\r\n+Y " + long + "\r\n" + long + "\r\n.\r\nZ\r\nunfinished"
	want := []command{
		{[]byte("GETINFO version\r\n"), "GETINFO", "version"},
		{[]byte("quit\n"), "QUIT", ""},
		{[]byte("\r\n"), "", ""},
		{[]byte("\n"), "", ""},
		{[]byte("  a b\r\n"), "", "a b"},
		{[]byte("+LOADCONF a\r\n..x\r\n\r\n. \r\n.\r\n"), "+LOADCONF", "a"},
		{[]byte("+x\n.\n"), "+X", ""},
		{[]byte("FOO " + long + "\r\n"), "FOO", long},
		{[]byte("BAR\tbaz \r\r\n"), "BAR", "baz"},
		{[]byte("QUIT\x00x y\r\n"), "QUIT", ""},
		{[]byte("+Y " + long + "\r\n" + long + "\r\n.\r\n"), "+Y", long},
		{[]byte("Z\r\n"), "Z", ""},
	}
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader,
	} {
		most := 0
		r := commandReader{
			src:  bufio.NewReaderSize(wrap(strings.NewReader(in)), 64),
			grow: func(n int) error { most = max(most, n); return nil },
		}
		for i, w := range want {
			got, err := r.next()
			if err != nil {
				t.Fatalf("%s: command %d: %v", name, i, err)
			}
			if !bytes.Equal(got.raw, w.raw) || got.verb != w.verb || got.args != w.args {
				t.Errorf("%s: command %d:\n got %.80q %q %.80q\nwant %.80q %q %.80q", name, i, got.raw, got.verb, got.args, w.raw, w.verb, w.args)
			}
		}
		if _, err := r.next(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: at the end: %v", name, err)
		}
		if most != len(want[10].raw) {
			t.Errorf("%s: accounted for %d bytes at most, want %d", name, most, len(want[10].raw))
		}
	}
}

func TestWords(t *testing.T) {
	tests := []struct {
		in   string
		want []word
		err  error
	}{
		{"", nil, nil},
		{`a  b`, []word{{"a", false}, {"b", false}}, nil},
		{`"a b" c`, []word{{"a b", true}, {"c", false}}, nil},
		{`"a\"\\\nb"c`, []word{{`a"\nb`, true}, {"c", false}}, nil},
		{`""`, []word{{"", true}}, nil},
		{`a"b"`, []word{{`a"b"`, false}}, nil},
		{`"`, nil, errQuote},
		{`"a\`, nil, errQuote},
		{`"a\"`, nil, errQuote},
	}
	for _, tt := range tests {
		got, err := words(tt.in)
		if !errors.Is(err, tt.err) || len(got) != len(tt.want) {
			t.Errorf("%q: %v, %v", tt.in, got, err)
			continue
		}
		for i := range got {
			if got[i] != tt.want[i] {
				t.Errorf("%q: word %d is %v", tt.in, i, got[i])
			}
		}
	}
	if got := quote("a\"\\\x01ü"); got != `"a\"\\\001\303\274"` {
		t.Errorf("quote: %s", got)
	}
}

func TestHTTP(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	for _, m := range []string{"GET", "POST", "PUT", "CONNECT", "DELETE"} {
		p := r.dial()
		p.send(m + " http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n")
		got, err := io.ReadAll(p.in)
		if err != nil || string(got) != httpAnswer {
			t.Errorf("%s: %q, %v", m, got, err)
		}
	}
	golden, err := os.ReadFile("testdata/http-501.txt") // recorded from tor 0.4.9.11
	if err != nil || string(golden) != httpAnswer {
		t.Errorf("tor says\n%s, %v", golden, err)
	}
}

func TestLongLines(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	early := func(n int) *peer {
		p := r.dial()
		go io.WriteString(p.sock, strings.Repeat("x", n)) //nolint:errcheck // it is cut off
		return p
	}
	p := early(maxEarlyCommand + readBuffer)
	p.expect("500 Line too long.")
	p.closed()

	p = r.login()
	p.send("FOO " + strings.Repeat("x", maxCommand-6) + "\r\n")
	p.expect(`510 Unrecognized command "FOO"`)
	go io.WriteString(p.sock, strings.Repeat("x", maxCommand+readBuffer)) //nolint:errcheck
	p.expect("500 Line too long.")

	p = r.login()
	go io.WriteString(p.sock, "+LOADCONF\r\n"+strings.Repeat("xxxxxxxx\r\n", maxCommand/10)) //nolint:errcheck
	p.expect("500 Line too long.")
}

// TestIncomingTogether: eight controllers may each be in the middle of a
// megabyte, a ninth is told to wait, and room comes back.
func TestIncomingTogether(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	almost := "+LOADCONF\r\n" + strings.Repeat("x", maxCommand-1000) + "\r\n"
	var full []*peer
	for range maxIncoming / maxCommand {
		p := r.login()
		p.send(almost)
		full = append(full, p)
	}
	// All of it: what is still on its way could find the room taken by the next.
	all := int64(len(full)) * int64(len(almost)-smallCommand)
	until(t, "the input to arrive", func() bool { return r.srv.incoming.Load() == all })
	p := r.login()
	go io.WriteString(p.sock, almost) //nolint:errcheck
	p.expect("500 Too much input is waiting on all connections together; try again.")

	small := r.login() // what everybody sends still works
	small.send("GETINFO version\r\n")
	small.expect("250-version=0.4.9.11", "250 OK")

	for _, p := range full {
		p.send(".\r\n")
		p.expect("250 OK")
	}
	until(t, "the room to come back", func() bool { return r.srv.incoming.Load() == 0 })
}

// TestCommandsInFlight: while tor thinks about commands that are as long as
// all of them may be, no more is held than the commands.
func TestCommandsInFlight(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	r.tor.began, r.tor.answer = make(chan struct{}), make(chan struct{})
	long := "GETINFO" + strings.Repeat(" a", (maxCommand-9)/2) + "\r\n"
	n := maxIncoming / maxCommand
	if testing.Short() {
		n /= 4
	}
	var peers []*peer
	for range n {
		peers = append(peers, r.login())
	}
	before, _ := memoryInUse()
	for _, p := range peers {
		p.send(long)
		<-r.tor.began
	}
	after, _ := memoryInUse()
	if per := int64(after-before) / int64(n); per > maxCommand*3/2 {
		t.Errorf("%d bytes are held for each command of %d", per, len(long))
	}
	for _, p := range peers {
		r.tor.answer <- struct{}{}
		p.line()
	}
}

// until waits for a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestGarbage(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	for _, g := range []string{"\x00\x00\x00\x00\x00\x00\r\n", "\x16\x03\x01\x02\x00\x01\x00\n", "SSH-2.0-x\r\n", "\xff\xff\n", "+\n.\n"} {
		p := r.dial()
		p.send(g)
		p.expect("514 Authentication required.")
		p.closed()
	}
	p := r.login() // afterwards it is the source that says what it thinks of it
	p.send("\xff\xfe\x01\r\n")
	p.expect("510 Unrecognized command \"\xff\xfe\x01\"")
}

func TestPipelined(t *testing.T) {
	r := newRig(t, Access{NoAuth: true, History: true})
	p := r.dial()
	p.send("AUTHENTICATE\r\nGETINFO version\r\nSETEVENTS BW\r\n+LOADCONF\r\nx\r\n.\r\nGETINFO journal/size\r\nGETINFO uptime\r\nQUIT\r\nGETINFO version\r\n")
	p.expect("250 OK", "250-version=0.4.9.11", "250 OK", "250 OK", "250 OK",
		"250-journal/size=4096", "250 OK", "250-uptime=30", "250 OK", "250 closing connection")
	p.closed()
}

// TestHalfClose: who sends his commands and then the end of his stream gets
// all answers.
func TestHalfClose(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	p := r.dial()
	p.send(strings.Repeat("AUTHENTICATE\r\nGETINFO version\r\n", 50))
	p.sock.(interface{ CloseWrite() error }).CloseWrite() //nolint:errcheck
	got, err := io.ReadAll(p.in)
	if want := strings.Repeat("250 OK\r\n250-version=0.4.9.11\r\n250 OK\r\n", 50); err != nil || string(got) != want {
		t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
	}
}
