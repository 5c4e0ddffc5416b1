package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"torjournal/tor/controlport"
)

// conversations is where what controllers say lies, with what tor answered:
//
//	# who it was
//	C: a command
//	S: a line of tor's reply
//	S= the reply is the one that the same command had before
//
// $NONCE, $PROOF and $UPPER (the proof in capitals) stand for what differs each
// time, $COOKIEFILE for a path. `go test ./cmd/torjournal -run Controllers
// -update` records tor's lines anew; package control plays them without tor.
const conversations = "../../control/testdata/clients"

// conversations says to tor and to torjournal, command by command, what nyx,
// stem and txtorcon said when they were recorded. A reply that tor gives twice
// in the same bytes, before and after, torjournal gives in those bytes; others
// have the same shape.
func (s *stage) conversations(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(conversations, "*.txt"))
	if err != nil || len(files) != 3 {
		t.Fatalf("conversations: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { s.converse(t, file) })
	}
}

func (s *stage) converse(t *testing.T, file string) {
	about, commands := readCommands(t, file)
	atTor, atUs := dialTalker(t, s.tor), dialTalker(t, s.ours)
	rec := transcript{replies: map[string]string{}, redact: strings.NewReplacer(
		s.client.CookieFile, "$COOKIEFILE", s.client.Dir, "/var/lib/tor", s.net.Dir(), "/var/lib/net", filepath.Dir(s.torSock), "/run/tor")}
	rec.text.WriteString(about)
	same, alike := 0, 0
	for _, cmd := range commands {
		want := atTor.say(cmd)
		got := atUs.say(cmd)
		steady := isQuery(cmd) && want == atTor.say(cmd)
		if ours := strings.TrimPrefix(cmd, "GETINFO "); slices.Contains(amended, ours) {
			steady = false
		}
		switch {
		case steady && got == want:
			same++
		case steady:
			t.Errorf("%s\non tor        %.500q\non torjournal %.500q", cmd, want, got)
		case !slices.Equal(shape(cmd, got), shape(cmd, want)):
			t.Errorf("%s\non tor        %q\non torjournal %q", cmd, shape(cmd, want), shape(cmd, got))
		default:
			alike++
		}
		rec.add(cmd, want)
	}
	t.Logf("%d replies with the same bytes, %d of the same shape", same, alike)
	if *update {
		if err := os.WriteFile(file, rec.text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// amended are the keys to whose answers torjournal adds its own.
var amended = []string{"events/names", "info/names", "features/names"}

// isQuery reports whether a command may be repeated.
func isQuery(cmd string) bool {
	return strings.HasPrefix(cmd, "GETINFO ") || strings.HasPrefix(cmd, "GETCONF ")
}

// shape is a reply without its values: of each line the code, the mark, the
// key, and whether data follows; of a refusal all of it.
func shape(cmd, reply string) (lines []string) {
	inData := false
	for l := range strings.Lines(reply) {
		l = strings.TrimRight(l, "\r\n")
		switch {
		case inData:
			inData = l != "."
			if inData && lines[len(lines)-1] != "data" {
				lines = append(lines, "data")
			}
			continue
		case len(l) < 4:
			lines = append(lines, l)
			continue
		case isQuery(cmd):
			l, _, _ = strings.Cut(l, "=")
		case l[0] == '2':
			l = values.ReplaceAllString(l, "=…")
		}
		inData = l[3] == '+'
		lines = append(lines, l)
	}
	return lines
}

// values are those of KEY=value, quoted or not.
var values = regexp.MustCompile(`=("([^"\\]|\\.)*"|[^ ]*)`)

// talker is a connection on which a recorded conversation is had.
type talker struct {
	t      *testing.T
	conn   *controlport.Conn
	nonce  []byte
	cookie []byte // once PROTOCOLINFO has named its file
	proof  string // once AUTHCHALLENGE has been answered
}

func dialTalker(t *testing.T, addr string) *talker {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := controlport.Dial(ctx, controlport.Address{Network: "tcp", Addr: addr}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &talker{t: t, conn: c, nonce: bytes.Repeat([]byte{7}, 32)}
}

// say sends a command and returns the exact bytes of its reply.
func (k *talker) say(cmd string) string {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	sent := strings.NewReplacer("$NONCE", hex.EncodeToString(k.nonce), "$PROOF", k.proof, "$UPPER", strings.ToUpper(k.proof)).Replace(cmd)
	var reply bytes.Buffer
	if err := k.conn.Forward(ctx, []byte(sent+"\r\n"), &reply); err != nil {
		k.t.Fatalf("%s: %v", cmd, err)
	}
	switch {
	case strings.HasPrefix(cmd, "PROTOCOLINFO") && k.cookie == nil:
		k.readCookie(reply.String())
	case strings.HasPrefix(cmd, "AUTHCHALLENGE"):
		k.prove(reply.String())
	}
	return reply.String()
}

func (k *talker) readCookie(reply string) {
	k.t.Helper()
	m := regexp.MustCompile(`COOKIEFILE="([^"]*)"`).FindStringSubmatch(reply)
	if m == nil {
		k.t.Fatalf("no cookie file in %q", reply)
	}
	var err error
	if k.cookie, err = os.ReadFile(m[1]); err != nil {
		k.t.Fatal(err)
	}
}

// prove computes the answer to SAFECOOKIE (control-spec, section 3.24).
func (k *talker) prove(reply string) {
	k.t.Helper()
	_, hexNonce, _ := strings.Cut(strings.TrimSpace(reply), "SERVERNONCE=")
	serverNonce, err := hex.DecodeString(hexNonce)
	if err != nil {
		k.t.Fatalf("AUTHCHALLENGE: %q", reply)
	}
	h := hmac.New(sha256.New, []byte("Tor safe cookie authentication controller-to-server hash"))
	h.Write(slices.Concat(k.cookie, k.nonce, serverNonce))
	k.proof = hex.EncodeToString(h.Sum(nil))
}

// readCommands returns a conversation's first line and its commands.
func readCommands(t *testing.T, file string) (about string, commands []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(text)) {
		if cmd, ok := strings.CutPrefix(strings.TrimSuffix(l, "\n"), "C: "); ok {
			commands = append(commands, cmd)
		} else if strings.HasPrefix(l, "#") {
			about += l
		}
	}
	return about, commands
}

// transcript writes a conversation down, without the paths of this machine.
type transcript struct {
	text    bytes.Buffer
	replies map[string]string // the last one by command
	redact  *strings.Replacer
}

func (r *transcript) add(cmd, reply string) {
	fmt.Fprintf(&r.text, "C: %s\n", cmd)
	reply = r.redact.Replace(reply)
	if r.replies[cmd] == reply {
		r.text.WriteString("S=\n")
		return
	}
	r.replies[cmd] = reply
	for l := range strings.Lines(reply) {
		r.text.WriteString("S: " + strings.TrimSuffix(l, "\r\n") + "\n")
	}
}
