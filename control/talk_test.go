package control

import (
	"bufio"
	"context"
	"encoding/hex"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// patience is how long a test waits for what must come. It is no bound on speed:
// machines under the race detector, with other tests beside, are slow.
const patience = time.Minute

// rig is a server with a stub tor and a listener.
type rig struct {
	t   testing.TB
	tor *stubTor
	log *memory
	srv *Server
	ln  net.Listener
	end context.CancelFunc // of the context that Serve was given
}

// newRig starts a server on loopback.
func newRig(t testing.TB, a Access, tune ...func(*Options)) *rig {
	t.Helper()
	ln, err := Listen(t.Context(), "127.0.0.1:0", "")
	if err != nil {
		t.Fatal(err)
	}
	return newRigOn(t, ln, a, tune...)
}

func newRigOn(t testing.TB, ln net.Listener, a Access, tune ...func(*Options)) *rig {
	t.Helper()
	r := &rig{t: t, tor: newStubTor(), log: newMemory(), ln: ln}
	opt := Options{
		Backend: r.tor, Demand: r.tor, wait: func(int) time.Duration { return 0 },
		authTime: time.Hour, tallyTime: time.Hour, waits: waits{reply: time.Hour, lastCall: time.Hour},
		askPatience: time.Hour, askTime: time.Hour, // the test may be held up
	}
	for _, f := range tune {
		f(&opt)
	}
	r.srv = NewServer(opt)
	if opt.Journal == nil {
		r.srv.records = r.log
	}
	served := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	r.end = cancel
	go func() { served <- r.srv.Serve(ctx, r.ln, a) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-served:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(patience):
			t.Error("Serve did not return")
		}
		if n := len(r.srv.Connections()); n != 0 {
			t.Errorf("%d connections are left", n)
		}
		if n := r.log.open(); n != 0 {
			t.Errorf("%d cursors are left", n)
		}
		if n := r.tor.open(); n != 0 {
			t.Errorf("%d upstream connections are left", n)
		}
		if n := len(r.tor.wants); n != 0 {
			t.Errorf("%d connections still want events", n)
		}
		if n := r.srv.incoming.Load(); n != 0 {
			t.Errorf("%d bytes of commands are still accounted for", n)
		}
		if n := r.srv.answers.Load(); n != 0 {
			t.Errorf("%d bytes of replies are still accounted for", n)
		}
		if n := r.srv.filters.Load(); n != 0 {
			t.Errorf("%d bytes of filters are still accounted for", n)
		}
	})
	return r
}

// peer is the controller's end of a connection.
type peer struct {
	t    testing.TB
	sock net.Conn
	in   *bufio.Reader
}

func (r *rig) dial() *peer {
	r.t.Helper()
	sock, err := net.Dial(r.ln.Addr().Network(), r.ln.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { sock.Close() })
	return &peer{t: r.t, sock: sock, in: bufio.NewReader(sock)}
}

// login returns an authenticated connection to a no-auth server.
func (r *rig) login() *peer {
	r.t.Helper()
	p := r.dial()
	p.send("AUTHENTICATE\r\n")
	p.expect("250 OK")
	return p
}

func (p *peer) send(text string) {
	p.t.Helper()
	_ = p.sock.SetWriteDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(p.sock, text); err != nil {
		p.t.Fatalf("send %.60q: %v", text, err)
	}
}

func (p *peer) line() string {
	p.t.Helper()
	_ = p.sock.SetReadDeadline(time.Now().Add(patience))
	line, err := p.in.ReadString('\n')
	if err != nil {
		p.t.Fatalf("read: %v after %q", err, line)
	}
	return line
}

// expect reads lines and compares them.
func (p *peer) expect(lines ...string) {
	p.t.Helper()
	for _, want := range lines {
		if got := p.line(); got != want+"\r\n" {
			p.t.Fatalf("got  %q\nwant %q", got, want+"\r\n")
		}
	}
}

// closed expects the end of the stream, and nothing before it.
func (p *peer) closed() {
	p.t.Helper()
	_ = p.sock.SetReadDeadline(time.Now().Add(patience))
	if rest, err := io.ReadAll(p.in); err != nil || len(rest) > 0 {
		p.t.Fatalf("expected the end, got %q, %v", rest, err)
	}
}

// TestConversations plays every testdata/talk/*.txt:
//
//	access WORDS    no-auth, cookie-file, password ("foo"), own; history
//	keep            KeepOnLoss
//	C: text         the controller sends text and CRLF
//	C| text         … text and LF
//	S: text         it receives this line
//	S~ regexp       … a line that matches
//	E: text         this event is recorded
//	lost, back      the source goes, returns
//	closed          the server closes the connection
//
// $COOKIE is the cookie in hex, $COOKIEFILE its path.
func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/talk/*.txt")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d conversations, %v", len(files), err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			playTalk(t, string(text))
		})
	}
}

func playTalk(t *testing.T, text string) {
	dir := t.TempDir()
	cookieFile := filepath.Join(dir, "cookie")
	cookie := []byte("0123456789abcdef0123456789abcdef")
	if err := os.WriteFile(cookieFile, cookie, 0o600); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(dir, "own")
	acc, keep := Access{OwnCookie: own}, false
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for _, l := range lines {
		words := strings.Fields(l)
		if len(words) == 0 {
			continue
		}
		keep = keep || words[0] == "keep"
		if words[0] == "access" {
			acc = accessOf(words[1:], own, cookieFile)
		}
	}
	r := newRig(t, acc, func(o *Options) { o.KeepOnLoss = keep })
	p := r.dial()
	path := cookieFile
	if acc.ownsCookie() {
		path, cookie = own, awaitCookie(t, own)
	}
	vars := strings.NewReplacer("$COOKIEFILE", path, "$COOKIE", hex.EncodeToString(cookie))
	for i, l := range lines {
		r.playLine(p, i+1, vars.Replace(l))
	}
}

// awaitCookie returns the cookie that Serve writes before it accepts: the
// listener may be dialed earlier.
func awaitCookie(t *testing.T, path string) []byte {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if c, err := os.ReadFile(path); err == nil && len(c) == cookieLen {
			return c
		} else if time.Now().After(deadline) {
			t.Fatalf("no own cookie: %d bytes, %v", len(c), err)
		}
	}
}

func accessOf(words []string, own, cookieFile string) Access {
	a := Access{OwnCookie: own}
	for _, w := range words {
		switch w {
		case "no-auth":
			a.NoAuth = true
		case "cookie-file":
			a.CookieFile = cookieFile
		case "password": // of "foo"
			a.HashedPasswords = []string{"16:0092D97983853A3F60BB96FD4BA19C180EAF192AAE17165C80A725340A"}
		case "history":
			a.History = true
		}
	}
	return a
}

func (r *rig) playLine(p *peer, number int, l string) {
	r.t.Helper()
	kind, text, _ := strings.Cut(l, " ")
	switch kind {
	case "access", "keep", "", "#":
	case "C:":
		p.send(text + "\r\n")
	case "C|":
		p.send(text + "\n")
	case "S:":
		if got := p.line(); got != text+"\r\n" {
			r.t.Fatalf("line %d:\ngot  %q\nwant %q", number, got, text+"\r\n")
		}
	case "S~":
		if got := p.line(); !regexp.MustCompile("^(?:" + text + ")\r\n$").MatchString(got) {
			r.t.Fatalf("line %d:\ngot  %q\nwant %q", number, got, text)
		}
	case "E:":
		r.log.arrive(time.Time{}, text)
	case "lost":
		r.tor.lose()
	case "back":
		r.tor.restore()
	case "closed":
		p.closed()
	default:
		r.t.Fatalf("line %d: %q", number, l)
	}
}
