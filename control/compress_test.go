package control

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"torjournal/journal"
	"torjournal/tor/event"
)

// unpack has what comes from here on be read through zstd, with no larger
// window than is promised.
func (p *peer) unpack() {
	p.t.Helper()
	d, err := zstd.NewReader(p.in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(packWindow))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(d.Close)
	p.in = bufio.NewReader(d)
}

// packed returns an authenticated connection that is compressed.
func (r *rig) packed() *peer {
	r.t.Helper()
	p := r.login()
	p.send("USEFEATURE ZSTD\r\n")
	p.expect("250 OK")
	p.unpack()
	return p
}

// corpusWires returns the events of a recording, at most max of them, without
// their last line end.
func corpusWires(t testing.TB, name string, max int) (wires []string) {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "testdata", "corpus", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for d := json.NewDecoder(f); len(wires) < max; {
		var line struct{ Raw string }
		if err := d.Decode(&line); errors.Is(err, io.EOF) {
			return wires
		} else if err != nil {
			t.Fatal(err)
		}
		wires = append(wires, strings.TrimSuffix(line.Raw, "\r\n"))
	}
	return wires
}

var finalLine = regexp.MustCompile(`^[1-5]\d\d `)

// upToReply reads up to the last line of the next reply.
func (p *peer) upToReply() string {
	p.t.Helper()
	var text strings.Builder
	for {
		l := p.line()
		text.WriteString(l)
		if finalLine.MatchString(l) {
			return text.String()
		}
	}
}

// TestZstdSameBytes: what a compressed connection unpacks to is what a plain
// one beside it gets, command by command, so nothing waits for what follows.
func TestZstdSameBytes(t *testing.T) {
	r, j := newJournalRig(t, journal.Options{})
	plain, packed := r.login(), r.packed()
	wires := corpusWires(t, "client.jsonl", 200)
	var all [2]string
	wires = append(wires, "650 BW "+strings.Repeat("1 ", 150_000)) // more than the window
	for i, cmd := range []string{
		"USEFEATURE JOURNAL_META", "SETEVENTS CIRC STREAM ORCONN BW JOURNAL", "GETINFO circuit-status", "GETINFO version", "ECHO " + strings.Repeat("x", 100_000),
		"NONSENSE", "SETFILTER \"Type != 'BW'\"", "GETINFO journal/last", "REPLAY FROM=1", "SETFILTER", "GETINFO info/names", "GETINFO no/such",
	} {
		record(t, j, wires[i*len(wires)/12:(i+1)*len(wires)/12]...)
		apart()
		var got [2]string
		for n, p := range []*peer{plain, packed} {
			p.send(cmd + "\r\n")
			got[n] = p.upToReply()
			all[n] += got[n]
		}
		if got[0] != got[1] {
			t.Fatalf("%.40s:\nplain      %.300q\ncompressed %.300q", cmd, got[0], got[1])
		}
	}
	for n, p := range []*peer{plain, packed} {
		until(t, "the replay to have caught up", func() bool { return !r.srv.Connections()[n].Replaying })
		p.send("QUIT\r\n")
		_ = p.sock.SetReadDeadline(time.Now().Add(patience))
		rest, err := io.ReadAll(p.in)
		if err != nil {
			t.Errorf("the end of the stream: %v", err)
		}
		all[n] += string(rest)
	}
	if len(all[0]) < 300_000 || !strings.HasSuffix(all[0], "250 closing connection\r\n") || all[0] != all[1] {
		t.Errorf("plain %d bytes, compressed %d", len(all[0]), len(all[1]))
	}
}

// TestZstdPipelined: the frame begins right behind the 250 of the command,
// whatever was sent behind it.
func TestZstdPipelined(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	p := r.login()
	p.send("GETINFO uptime\r\nUSEFEATURE ZSTD\r\nGETINFO version\r\nSETEVENTS BW\r\nUSEFEATURE ZSTD\r\nGETINFO uptime\r\n")
	p.expect("250-uptime=30", "250 OK", "250 OK")
	p.unpack()
	p.expect("250-version=0.4.9.11", "250 OK", "250 OK", "250 OK", "250-uptime=30", "250 OK")
	r.log.arrive(time.Time{}, "650 BW 1 1")
	p.expect("650 BW 1 1")
}

// TestZstdAmongFeatures: with those of tor it is one command, on or refused
// as a whole.
func TestZstdAmongFeatures(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	p := r.login()
	p.send("USEFEATURE FOO ZSTD\r\n")
	p.expect(`552 Unrecognized feature "FOO"`)
	if n := r.srv.packed.Load(); n != 0 {
		t.Errorf("the refusal keeps %d places", n)
	}
	p.send("GETINFO version\r\n")
	p.expect("250-version=0.4.9.11", "250 OK")
	p.send("SETEVENTS BW\r\nUSEFEATURE zstd EXTENDED_EVENTS journal_meta\r\n")
	p.expect("250 OK", "250 OK")
	p.unpack()
	r.log.arrive(time.Time{}, "650 BW 1 1")
	if l := p.line(); !strings.HasPrefix(l, "650 JOURNAL AT SEQ=1 TIME=") {
		t.Errorf("%q", l)
	}
	p.expect("650 BW 1 1")
}

// TestZstdAmongFeaturesOfNobody: a command that the source cannot answer takes
// no place, and the next one compresses.
func TestZstdAmongFeaturesOfNobody(t *testing.T) {
	r := newRig(t, Access{NoAuth: true}, func(o *Options) { o.KeepOnLoss = true })
	p := r.login()
	r.tor.lose()
	p.send("USEFEATURE ZSTD VERBOSE_NAMES\r\n")
	p.expect("551 There is no tor to answer this: 127.0.0.1:9051 refuses connections: is tor running?")
	if n := r.srv.packed.Load(); n != 0 {
		t.Errorf("the refusal keeps %d places", n)
	}
	r.tor.restore()
	p.send("USEFEATURE ZSTD VERBOSE_NAMES\r\nGETINFO version\r\n")
	p.expect("250 OK")
	p.unpack()
	p.expect("250-version=0.4.9.11", "250 OK")
}

// TestZstdPlaces: one more than there are is refused, and served plain; who
// leaves makes room.
func TestZstdPlaces(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	var all []*peer
	for range maxCompressed {
		all = append(all, r.packed())
	}
	p := r.login()
	p.send("USEFEATURE ZSTD JOURNAL_META VERBOSE_NAMES\r\nSETEVENTS BW\r\n")
	p.expect("551 ZSTD is for 16 connections at a time, and as many have it: go on without it, or end one of those", "250 OK")
	r.log.arrive(time.Time{}, "650 BW 1 1")
	p.expect("650 BW 1 1") // and JOURNAL_META is not on
	all[3].sock.Close()
	until(t, "a place", func() bool { return r.srv.packed.Load() < maxCompressed })
	p.send("USEFEATURE ZSTD\r\nGETINFO version\r\n")
	p.expect("250 OK")
	p.unpack()
	p.expect("250-version=0.4.9.11", "250 OK")
}

// TestZstdEnds: whichever way the server ends it, the frame is whole; a peer
// that leaves in the middle leaves nothing behind.
func TestZstdEnds(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	r.tor.early = []byte("250-a=1\r\n250-b")
	quits, torn, shut, gone, mute := r.packed(), r.packed(), r.packed(), r.packed(), r.packed()
	mute.send("SETEVENTS BW\r\nGETINFO version\r\n")
	mute.expect("250 OK", "250-version=0.4.9.11", "250 OK")
	if err := mute.sock.(*net.TCPConn).CloseWrite(); err != nil { // tor closes then, and so do we
		t.Fatal(err)
	}
	mute.closed()
	quits.send("QUIT\r\n")
	quits.expect("250 closing connection")
	quits.closed()

	torn.send("GETINFO version\r\n")
	torn.expect("250-version=0.4.9.11", "250 OK")
	torn.send("DIE\r\n")
	torn.expect("250-a=1")
	if rest, err := io.ReadAll(torn.in); string(rest) != "250-b" || err != nil {
		t.Errorf("a reply that is cut off: %q, %v", rest, err)
	}

	gone.send("SETEVENTS CIRC\r\n")
	gone.expect("250 OK")
	r.log.arrive(time.Time{}, "650 CIRC "+noise(4<<20))
	gone.skip(1 << 10)
	gone.sock.Close()
	until(t, "it to be gone", func() bool { return r.srv.packed.Load() == 1 })

	shut.send("SETEVENTS BW\r\n")
	shut.expect("250 OK")
	r.log.arrive(time.Now().Add(-time.Second), "650 BW 1 1")
	r.end()
	shut.expect("650 BW 1 1")
	shut.closed()
}

// TestZstdStreamIsAFile: what a controller has received up to the end, kept as it
// came, is a file that zstd itself unpacks without a complaint.
func TestZstdStreamIsAFile(t *testing.T) {
	tool, err := exec.LookPath("zstd")
	if err != nil {
		t.Skip("zstd is not installed")
	}
	for name, leave := range map[string]func(r *rig, p *peer){
		"QUIT":             func(_ *rig, p *peer) { p.send("QUIT\r\n") },
		"it sends no more": func(_ *rig, p *peer) { _ = p.sock.(*net.TCPConn).CloseWrite() },
		"the server ends":  func(r *rig, _ *peer) { r.end() },
		"a line is too long": func(_ *rig, p *peer) {
			go func() { _, _ = io.WriteString(p.sock, strings.Repeat("x", maxCommand+readBuffer*8)) }()
		},
		"the journal is lost": func(r *rig, p *peer) {
			r.log.fail(errors.New("a damaged block"))
			r.log.arrive(time.Time{}, "650 BW 9 9")
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Access{NoAuth: true})
			p := r.login()
			p.send("USEFEATURE ZSTD\r\n")
			p.expect("250 OK")
			p.send("GETINFO version\r\nSETEVENTS BW\r\n")
			until(t, "it to listen", func() bool { return !r.srv.Connections()[0].Types.Empty() })
			r.log.arrive(time.Now().Add(-time.Second), "650 BW 1 1")
			until(t, "the event to be seen", func() bool { return r.srv.Connections()[0].Position == 2 })
			leave(r, p)
			_ = p.sock.SetReadDeadline(time.Now().Add(patience))
			kept, err := io.ReadAll(p.in)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(tool, "-dc")
			cmd.Stdin = bytes.NewReader(kept)
			text, err := cmd.Output()
			if want := "250-version=0.4.9.11\r\n250 OK\r\n250 OK\r\n650 BW 1 1\r\n"; err != nil || !strings.HasPrefix(string(text), want) {
				t.Errorf("%q, %v of %d bytes", text, err, len(kept))
			}
		})
	}
}

// skip reads n bytes.
func (p *peer) skip(n int) {
	p.t.Helper()
	_ = p.sock.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.CopyN(io.Discard, p.in, int64(n)); err != nil {
		p.t.Fatal(err)
	}
}

// noise is text that cannot be compressed by much.
func noise(n int) string {
	raw := make([]byte, n*3/4)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(raw)
	return base64.StdEncoding.EncodeToString(raw)
}

// TestZstdSlowReaders: those that do not read cost the others nothing, and
// lose nothing when they read on.
func TestZstdSlowReaders(t *testing.T) {
	ln, err := Listen(t.Context(), "unix:"+filepath.Join(t.TempDir(), "s"), "")
	if err != nil {
		t.Fatal(err)
	}
	r := newRigOn(t, ln, Access{NoAuth: true})
	p := r.subscriber("BW")
	stalled := make([]*peer, maxCompressed)
	for i := range stalled {
		stalled[i] = r.packed()
		stalled[i].send("SETEVENTS BW\r\n")
		stalled[i].expect("250 OK")
	}
	const events, size = 100, 40_000 // a socket holds some 200,000 bytes
	text := noise(events * size)
	wire := func(i int) string { return "650 BW " + text[i*size:(i+1)*size] }
	for i := range events {
		r.log.arrive(time.Time{}, wire(i))
		p.expect(wire(i))
	}
	infos := r.srv.Connections()
	for _, i := range infos[1:] {
		if i.Position >= infos[0].Position {
			t.Errorf("a stalled reader is at %d, the one that reads at %d", i.Position, infos[0].Position)
		}
	}
	for i := range events {
		stalled[3].expect(wire(i))
	}
}

// TestZstdCost: an encoder takes no more than is reckoned with.
func TestZstdCost(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	wire := "650 BW " + noise(1<<20)
	r.log.arrive(time.Time{}, wire) // the first is only there
	var socks []net.Conn
	heapBefore, _ := memoryInUse()
	for range maxCompressed {
		sock := r.rawSubscriber("BW")
		if _, err := io.WriteString(sock, "USEFEATURE ZSTD\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, sock, int64(len("250 OK\r\n"))); err != nil {
			t.Fatal(err)
		}
		socks = append(socks, sock)
	}
	r.log.arrive(time.Time{}, wire)
	for _, s := range socks {
		if _, err := io.CopyN(io.Discard, s, int64(len(wire))*3/4); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "all to be sent", func() bool {
		for _, i := range r.srv.Connections() {
			if i.Position != 3 {
				return false
			}
		}
		return true
	})
	heap, _ := memoryInUse()
	const beside = 24 << 10 // both ends of a connection
	if each := (int64(heap) - int64(heapBefore)) / maxCompressed; each > packCost+beside || each < packCost/2 {
		t.Errorf("%d bytes for each; %d are reckoned with", each, packCost)
	}
	if n := r.srv.PackedBytes(); n != maxCompressed*packCost {
		t.Errorf("PackedBytes is %d", n)
	}
}

// BenchmarkZstdDelivery sends what a client recorded to a connection of its
// own, so many events at once. It reports what share of the plain bytes goes
// over the line, and the time for one event until it has been read; nothing
// else happens meanwhile, so the difference is what packing and unpacking cost.
func BenchmarkZstdDelivery(b *testing.B) {
	wires := corpusWires(b, "client.jsonl", 10_000)
	for _, atOnce := range []int{1, 8, 64} {
		for _, packs := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/%s", atOnce, map[bool]string{false: "plain", true: "zstd"}[packs]), func(b *testing.B) {
				r := newRig(b, Access{NoAuth: true})
				var sent, plain int
				for b.Loop() {
					n, m := r.deliver(wires, atOnce, packs)
					sent, plain = sent+n, plain+m
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(wires)), "ns/event")
				b.ReportMetric(100*float64(sent)/float64(plain), "%bytes")
			})
		}
	}
}

// deliver returns the bytes that went over the line, and those of the events.
func (r *rig) deliver(wires []string, atOnce int, packs bool) (sent, plain int) {
	p := r.login()
	defer p.sock.Close()
	var got counter
	if p.in = bufio.NewReader(io.TeeReader(p.sock, &got)); packs {
		p.send("USEFEATURE ZSTD\r\n")
		p.expect("250 OK")
		p.unpack()
	}
	p.send("SETEVENTS " + event.NewSet(event.Types()...).Minus(event.NewSet(event.JOURNAL)).String() + "\r\n")
	p.expect("250 OK")
	got = 0
	for batch := range slices.Chunk(wires, atOnce) {
		r.log.arrive(time.Time{}, batch...)
		for _, w := range batch {
			p.skip(len(w) + 2)
			plain += len(w) + 2
		}
	}
	return int(got), plain
}

// counter counts what is written to it.
type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
