package control

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// FuzzCommand: however the bytes arrive, they are cut into the same commands,
// nothing is lost between them, and a command of ours looks like itself.
func FuzzCommand(f *testing.F) {
	for _, s := range []string{
		"", "\n", "+\n.\n", "+A\r\n.\r\nB\r\n", "QUIT\x00\r\n", "GETINFO a b\r\n", "\t\v x\n", "+a\n..\n.\r\r\n.\n",
		strings.Repeat("x", 100) + "\n", "+" + strings.Repeat("y\n", 100) + ".\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		const limit = 200
		read := func(src io.Reader, size int) (cmds []command, err error) {
			r := commandReader{src: bufio.NewReaderSize(src, size), grow: func(n int) error {
				if n > limit {
					return errTooLong
				}
				return nil
			}}
			for {
				c, err := r.next()
				if err != nil {
					return cmds, err
				}
				c.raw = bytes.Clone(c.raw)
				cmds = append(cmds, c)
			}
		}
		whole, err := read(bytes.NewReader(in), 4096)
		pieces, err2 := read(iotest.OneByteReader(bytes.NewReader(in)), 16)
		if len(whole) != len(pieces) || (err == errTooLong) != (err2 == errTooLong) && !bytes.HasSuffix(in, []byte("\n")) && len(in) <= limit {
			t.Fatalf("%d commands at once, %d in pieces; %v, %v", len(whole), len(pieces), err, err2)
		}
		var all []byte
		for i, c := range whole {
			if !bytes.Equal(c.raw, pieces[i].raw) || c.verb != pieces[i].verb || c.args != pieces[i].args {
				t.Fatalf("command %d: %q at once, %q in pieces", i, c.raw, pieces[i].raw)
			}
			if len(c.raw) > limit || strings.ContainsAny(c.verb, " \t\r\n\x00") || strings.ContainsAny(c.args, "\n\x00") {
				t.Fatalf("command %q: verb %q, arguments %q", c.raw, c.verb, c.args)
			}
			all = append(all, c.raw...)
		}
		if !bytes.HasPrefix(in, all) {
			t.Fatalf("read %q from %q", all, in)
		}
	})
}

// FuzzWords: arguments never panic, and what is quoted is read back.
func FuzzWords(f *testing.F) {
	for _, s := range []string{"", `a "b\"c" d`, `"`, `"\`, "\"\\\xff\"", " \t\v"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := words(in)
		if err != nil && got != nil {
			t.Fatalf("words and an error: %v, %v", got, err)
		}
		escaped := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(in)
		back, err := words(`x "` + escaped + `" y`)
		if err != nil || len(back) != 3 || back[1].text != in || !back[1].quoted {
			t.Fatalf("%q comes back as %v, %v", in, back, err)
		}
	})
}

// FuzzJoin: whatever the source answers to its share of a GETINFO, however it
// is cut, the joined reply is the same or an error, and never a panic.
func FuzzJoin(f *testing.F) {
	for _, s := range []string{
		"250-a=1\r\n250+b=\r\nx\r\n.\r\n250 OK\r\n", "552 Unrecognized key \"a\"\r\n", "551 no\r\n",
		"250 OK\r\n", "250-a=1\r\n", "", "650 x\r\n", "250-a=1\r\n250-b=2\r\n250-c=3\r\n250 OK\r\n", "250+a=\r\n", "\r\n", "25\n",
	} {
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, answer []byte, known bool) {
		join := func(size int) (string, error) {
			out := &strings.Builder{}
			j := joiner{out: out, parts: []part{
				{key: "a", tor: true, amend: " X"}, {key: "journal/x", answer: []byte("250-journal/x=1\r\n")}, {key: "b", tor: true, amend: "line\r\n"},
			}}
			if !known {
				j.parts[1].answer = nil
			}
			for rest := answer; len(rest) > 0; {
				n := min(size, len(rest))
				if _, err := j.Write(rest[:n]); err != nil {
					return "", err
				}
				rest = rest[n:]
			}
			return out.String(), j.close()
		}
		a, errA := join(len(answer) + 1)
		b, errB := join(1)
		if a != b && errA == nil || (errA == nil) != (errB == nil) {
			t.Fatalf("%q, %v\n%q, %v", a, errA, b, errB)
		}
	})
}

// FuzzConnection talks nonsense to a whole server with a stub behind it: it
// neither panics nor hangs, and what it leaves behind is nothing (newRig).
func FuzzConnection(f *testing.F) {
	talks, err := filepath.Glob("testdata/talk/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range talks {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var sent strings.Builder
		for l := range strings.Lines(string(text)) {
			if s, ok := strings.CutPrefix(l, "C: "); ok {
				sent.WriteString(strings.TrimSuffix(s, "\n") + "\r\n")
			}
		}
		f.Add([]byte(sent.String()))
	}
	f.Add([]byte("AUTHENTICATE\r\nSETEVENTS BW CIRC\r\nSETFILTER \"Read > 1 || Status == \\\"FAILED\\\"\"\r\nREPLAY\r\nSETFILTER \"\r\nSETFILTER\r\nQUIT\r\n"))
	f.Add([]byte("AUTHENTICATE\r\nSETEVENTS BW JOURNAL\r\nREPLAY SPEED=1e-300\r\nREPLAY\r\nDIE\r\nGETINFO journal/status version\r\nQUIT\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := newRig(t, Access{NoAuth: true, History: true})
		r.tor.early = []byte("250-half\r\n")
		r.log.arrive(time.Now().Add(-time.Minute), "650 BW 1 1", "650 CIRC 1 BUILT", "650 BW 2 2")
		p := r.dial()
		go func() {
			_, _ = p.sock.Write(in)
			_ = p.sock.(*net.TCPConn).CloseWrite()
		}()
		r.log.arrive(time.Time{}, "650 BW 3 3")
		_ = p.sock.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, p.in); err != nil && os.IsTimeout(err) {
			t.Fatal("the server neither answered nor closed")
		}
	})
}
