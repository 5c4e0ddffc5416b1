package control

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/goleak"
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

// FuzzKeywords: arguments of our commands never panic, every one of them is
// what stood there, and what is quoted is read back.
func FuzzKeywords(f *testing.F) {
	for _, s := range []string{"", `A=1 b="c d" e`, `A="`, `A="\`, `=`, `"a"=b`, "SINCE=\"2026-11-23 08:15\" SPEED=1e9", "a=\tb=\"\"c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := keywords(in)
		if err != nil && got != nil {
			t.Fatalf("keywords and an error: %v, %v", got, err)
		}
		for rest, i := in, 0; i < len(got); i++ {
			at := strings.Index(rest, got[i].text)
			if at < 0 || got[i].text == "" || strings.Trim(rest[:at], " \t") != "" {
				t.Fatalf("%q: %q is not what comes next in %q", in, got[i].text, rest)
			}
			rest = rest[at+len(got[i].text):]
			if i == len(got)-1 && strings.Trim(rest, " \t") != "" {
				t.Fatalf("%q: %q is left", in, rest)
			}
		}
		escaped := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(in)
		back, err := keywords(`X="` + escaped + `" Y=2`)
		if err != nil || len(back) != 2 || back[0].key != "X" || back[0].value != in || back[1].value != "2" {
			t.Fatalf("%q comes back as %v, %v", in, back, err)
		}
		if a, err := parseReplay(in, time.Now()); err == nil && (a.speed < 0 || a.speed > maxSpeed || !a.since.IsZero() && !a.until.IsZero() && a.until.Before(a.since)) {
			t.Fatalf("%q is read as %+v", in, a)
		}
	})
}

// FuzzConnection talks nonsense to a whole server with a stub behind it, before
// and after authentication, while events come: it neither panics nor hangs, and
// leaves nothing behind, no goroutine either (newRig).
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
		f.Add([]byte(sent.String()), false, uint16(0))
		f.Add([]byte(sent.String()), true, uint16(20))
	}
	for _, s := range []string{
		"SETEVENTS BW CIRC\r\nSETFILTER \"Read > 1 || Status == \\\"FAILED\\\"\"\r\nREPLAY\r\nSETFILTER \"\r\nSETFILTER\r\nQUIT\r\n",
		"SETEVENTS BW JOURNAL\r\nREPLAY SPEED=1e-300\r\nREPLAY\r\nDIE\r\nGETINFO journal/status version\r\nQUIT\r\n",
		"SETEVENTS BW CIRC\r\nGETINFO circuit-status\r\nUSEFEATURE JOURNAL_META\r\nGETINFO circuit-status\r\nREPLAY FROM=1\r\nGETINFO circuit-status\r\n",
		"SETEVENTS CIRC JOURNAL\r\nEXTENDCIRCUIT 0\r\ncloseCircuit 2 \x00\r\nATTACHSTREAM 1 2\nEXTENDCIRCUIT 0\r\nREPLAY\r\nEXTENDCIRCUIT 0\r\n",
		"+POSTDESCRIPTOR\r\n\x00..\r\n.\n+\n.\r\n+SETEVENTS BW\r\n.\r\n\x16\x03\x01",
	} {
		f.Add([]byte(s), true, uint16(40))
	}
	cookie := filepath.Join(f.TempDir(), "cookie")
	if err := os.WriteFile(cookie, make([]byte, cookieLen), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte, authenticated bool, cut uint16) {
		before := goleak.IgnoreCurrent()
		t.Cleanup(func() { goleak.VerifyNone(t, before) }) // after the server has ended
		acc := Access{NoAuth: true, History: true}
		if !authenticated {
			acc = Access{CookieFile: cookie, HashedPasswords: []string{"16:0092D97983853A3F60BB96FD4BA19C180EAF192AAE17165C80A725340A"}}
		}
		var r *rig
		ask := func(_ context.Context, command string, begin func(), arrived func(time.Time)) ([]byte, error) {
			if begin != nil {
				begin()
			}
			r.log.arrive(time.Time{}, "650 CIRC 2 LAUNCHED")
			arrived(time.Now())
			r.log.arrive(time.Time{}, "650 CIRC 2 BUILT")
			return []byte(torReply(command + "\r\n")), nil
		}
		r = newRig(t, acc, func(o *Options) { o.Asker = stubAsker(ask) })
		r.tor.early = []byte("250-half\r\n")
		r.log.arrive(time.Now().Add(-time.Minute), "650 BW 1 1", "650 CIRC 1 BUILT", "650 BW 2 2")
		p := r.dial()
		if authenticated {
			p.send("AUTHENTICATE\r\n")
		}
		written := make(chan struct{})
		go func() {
			defer close(written)
			first := min(int(cut), len(in))
			_, _ = p.sock.Write(in[:first])
			runtime.Gosched()
			_, _ = p.sock.Write(in[first:])
			_ = p.sock.(*net.TCPConn).CloseWrite()
		}()
		r.log.arrive(time.Time{}, "650 BW 3 3")
		_ = p.sock.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, p.in); err != nil && os.IsTimeout(err) {
			t.Fatal("the server neither answered nor closed")
		}
		p.sock.Close()
		<-written
	})
}
