package control

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// newJournalRig is a server over a real journal.
func newJournalRig(t testing.TB, opt journal.Options, tune ...func(*Options)) (*rig, *journal.Journal) {
	t.Helper()
	j, err := journal.Open(filepath.Join(t.TempDir(), "journal.db"), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Errorf("close the journal: %v", err)
		}
	})
	tune = append(tune, func(o *Options) { o.Journal = j })
	return newRig(t, Access{NoAuth: true, History: true}, tune...), j
}

// record appends events and waits until they are published.
func record(t testing.TB, j *journal.Journal, wires ...string) {
	t.Helper()
	for _, w := range wires {
		append1(t, j, w)
	}
	if err := j.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// append1 appends one event.
func append1(t testing.TB, j *journal.Journal, wire string) {
	t.Helper()
	if err := j.Append(t.Context(), event.NewRaw([]byte(wire+"\r\n"))); err != nil {
		t.Error(err)
	}
}

// apart returns a moment between what was recorded and what will be.
func apart() string {
	time.Sleep(2 * time.Millisecond)
	defer time.Sleep(2 * time.Millisecond)
	return fmt.Sprintf("@%.6f", float64(time.Now().UnixMicro())/1e6)
}

func TestReplayOfJournal(t *testing.T) {
	r, j := newJournalRig(t, journal.Options{})
	record(t, j, "650 BW 1 1", "650 CIRC 1 LAUNCHED", "650 BW 3 3")
	first := apart()
	record(t, j, "650 BW 4 4", "650 CIRC 1 BUILT")
	second := apart()
	record(t, j, "650 BW 6 6", "650 CIRC 1 CLOSED")
	p := r.subscriber("BW")
	tests := []struct {
		args string
		want []string
	}{
		{"", []string{"650 BW 1 1", "650 BW 3 3", "650 BW 4 4", "650 BW 6 6", "650 JOURNAL CAUGHT_UP SEQ=7"}},
		{"SINCE=" + first, []string{"650 BW 4 4", "650 BW 6 6", "650 JOURNAL CAUGHT_UP SEQ=7"}},
		{"SINCE=1h FROM=4", []string{"650 BW 4 4", "650 BW 6 6", "650 JOURNAL CAUGHT_UP SEQ=7"}},
		{"SINCE=now", []string{"650 JOURNAL CAUGHT_UP SEQ=7"}},
		{"SINCE=" + first + " UNTIL=" + second, []string{"650 BW 4 4", "650 JOURNAL CAUGHT_UP SEQ=4", "650 JOURNAL GAP FROM=5 TO=7"}},
		{"UNTIL=" + first, []string{"650 BW 1 1", "650 BW 3 3", "650 JOURNAL CAUGHT_UP SEQ=3", "650 JOURNAL GAP FROM=4 TO=7"}},
		{"UNTIL=2h", []string{"650 JOURNAL CAUGHT_UP SEQ=0", "650 JOURNAL GAP FROM=1 TO=7"}},
		{"UNTIL=2999-01-01", []string{"650 BW 1 1", "650 BW 3 3", "650 BW 4 4", "650 BW 6 6", "650 JOURNAL CAUGHT_UP SEQ=7"}},
		{"SPEED=1000 UNTIL=" + second, []string{"650 BW 1 1", "650 BW 3 3", "650 BW 4 4", "650 JOURNAL CAUGHT_UP SEQ=4", "650 JOURNAL GAP FROM=5 TO=7"}},
	}
	for _, tt := range tests {
		p.send("REPLAY " + tt.args + "\r\n")
		p.expect("250 OK")
		p.expect(tt.want...)
	}
	record(t, j, "650 BW 8 8")
	p.expect("650 BW 8 8")
}

// TestSetEventsDuringSpan: what is selected changes in the middle of a
// bounded replay too.
func TestSetEventsDuringSpan(t *testing.T) {
	r, j := newJournalRig(t, journal.Options{})
	record(t, j, "650 BW 1 1")
	time.Sleep(20 * time.Millisecond)
	record(t, j, "650 CIRC 2 BUILT", "650 BW 3 3")
	end := apart()
	p := r.subscriber("BW")
	p.send("REPLAY SPEED=0.00001 UNTIL=" + end + "\r\n") // the third comes after half an hour
	p.expect("250 OK", "650 BW 1 1")
	p.send("SETEVENTS NOTICE\r\n")
	p.expect("250 OK")
	if got := p.line(); !strings.HasPrefix(got, "650 JOURNAL CAUGHT_UP SEQ=") {
		t.Errorf("after the change: %q", got)
	}
	record(t, j, "650 NOTICE live")
	for got := p.line(); got != "650 NOTICE live\r\n"; got = p.line() {
		if !strings.HasPrefix(got, "650 JOURNAL GAP FROM=") {
			t.Errorf("after the change: %q", got)
		}
	}
}

// TestHandOver: connections that replay from anywhere while events come in
// see every number once, in order, and one CAUGHT_UP (G2).
func TestHandOver(t *testing.T) {
	conns, events, longest := 100, 30_000, 200
	if testing.Short() {
		conns, events = 20, 5_000
	}
	r, j := newJournalRig(t, journal.Options{})
	filler := strings.Repeat("x", longest)
	wire := func(i int) string { return fmt.Sprintf("650 BW %d %s", i, filler[:i%longest]) }
	for i := 1; i <= events/3; i++ {
		if err := j.Append(t.Context(), event.NewRaw([]byte(wire(i)+"\r\n"))); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for n := range conns {
		p := r.subscriber("BW")
		from := 1 + rand.IntN(events/3)
		wg.Go(func() {
			if n%3 == 0 { // some change their mind
				fmt.Fprintf(p.sock, "REPLAY FROM=%d\r\n", 1+rand.IntN(events/3))
			}
			fmt.Fprintf(p.sock, "REPLAY FROM=%d\r\n", from)
			if err := followTo(p, from, events, n%3 == 0); err != nil {
				t.Errorf("connection %d from %d: %v", n, from, err)
			}
		})
	}
	for i := events/3 + 1; i <= events; i++ {
		if err := j.Append(t.Context(), event.NewRaw([]byte(wire(i)+"\r\n"))); err != nil {
			t.Error(err)
			break
		}
	}
	wg.Wait()
}

// followTo reads until event number to. Before the last answer to REPLAY
// anything may come; from there on each number from the first.
func followTo(p *peer, from, to int, twice bool) error {
	answers := map[bool]int{false: 1, true: 2}[twice]
	in := bufio.NewReader(p.sock)
	caughtUp := 0
	for next := from; next <= to || caughtUp == 0; {
		_ = p.sock.SetReadDeadline(time.Now().Add(patience))
		line, err := in.ReadString('\n')
		switch {
		case err != nil:
			return fmt.Errorf("waiting for %d: %w", next, err)
		case line == "250 OK\r\n":
			answers--
		case answers > 0:
		case strings.HasPrefix(line, "650 JOURNAL CAUGHT_UP"):
			caughtUp++
		default:
			if numberOf(line) != next {
				return fmt.Errorf("got %.40q, want number %d", line, next)
			}
			next++
		}
	}
	if caughtUp != 1 {
		return fmt.Errorf("CAUGHT_UP came %d times", caughtUp)
	}
	return nil
}

// numberOf returns the number in "650 BW 12 …", 0 if there is none.
func numberOf(line string) int {
	text, ok := strings.CutPrefix(line, "650 BW ")
	if !ok {
		return 0
	}
	text, _, _ = strings.Cut(text, " ")
	n, _ := strconv.Atoi(text)
	return n
}

// TestStalledReader: one that stops reading goes on from the file, and where
// the ring has evicted what it had not read, it is told exactly what. That can
// be more than once: blocks that are packed after the load need room too.
func TestStalledReader(t *testing.T) {
	r, j := newJournalRig(t, journal.Options{MaxSize: 4 << 20})
	p := r.subscriber("BW JOURNAL")
	_ = p.sock.(*net.TCPConn).SetReadBuffer(256 << 10)
	const events, size = 6_000, 4000 // 24 MB: more than window, ring and loopback hold
	filler := make([]byte, size*3/4)
	for i := 1; i <= events; i++ {
		for k := range filler { // nothing that compresses
			filler[k] = byte(rand.Uint32())
		}
		wire := fmt.Appendf(nil, "650 BW %d %s\r\n", i, base64.StdEncoding.EncodeToString(filler))
		if err := j.Append(t.Context(), event.NewRaw(wire)); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if infos := r.srv.Connections(); infos[0].Position >= events {
		t.Errorf("the stalled reader is at %d already", infos[0].Position)
	}
	gaps := 0
	for next := 1; next <= events; {
		line := p.line()
		var from, to int
		if _, err := fmt.Sscanf(line, "650 JOURNAL GAP FROM=%d TO=%d", &from, &to); err == nil {
			if from != next || to < from {
				t.Fatalf("%q, but %d comes next", line, next)
			}
			gaps, next = gaps+1, to+1
			continue
		}
		if numberOf(line) != next {
			t.Fatalf("got %.40q, want number %d", line, next)
		}
		next++
	}
	if gaps == 0 {
		t.Error("nothing was lost: the test tests nothing")
	}
}

// TestJournalInfo asks a real journal.
func TestJournalInfo(t *testing.T) {
	r, j := newJournalRig(t, journal.Options{MaxSize: 64 << 20, MaxAge: time.Hour})
	if _, _, err := j.BeginSession(t.Context(), event.Source{Name: "tor", Version: "0.4.9.11", Role: "client", PID: 7}); err != nil {
		t.Fatal(err)
	}
	record(t, j, "650 BW 1 1", "650 BW 2 2")
	p := r.login()
	p.send("GETINFO journal/limits journal/sessions journal/status\r\n")
	p.expect("250-journal/limits=SIZE=67108864 AGE=3600", "250+journal/sessions=")
	if got := p.line(); !strings.HasPrefix(got, "ID=1 FIRST=1 BEGUN=") || !strings.HasSuffix(got, " NAME=\"tor\" VERSION=\"0.4.9.11\" ROLE=\"client\" PID=7\r\n") {
		t.Errorf("session: %q", got)
	}
	p.expect(".")
	if got := p.line(); !strings.HasPrefix(got, "250-journal/status=FIRST=1 LAST=2 SIZE=") {
		t.Errorf("status: %q", got)
	}
	p.expect("250 OK")
}

// TestSettledOrder runs a reply against a journal whose commits take long.
func TestSettledOrder(t *testing.T) {
	r, j := newJournalRig(t, journal.Options{CommitDelay: 50 * time.Millisecond})
	p := r.subscriber("BW")
	for n := 1; n <= 5; n++ {
		wire := fmt.Sprintf("650 BW %d %d", n, n)
		if err := j.Append(context.Background(), event.NewRaw([]byte(wire+"\r\n"))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * replySlack)
		p.send("GETINFO version\r\n")
		p.expect(wire, "250-version=0.4.9.11", "250 OK")
	}
}

// TestCallWhileEventsWait: what is published while earlier events wait for a
// reply comes after them, though the cursor has called before they went out.
func TestCallWhileEventsWait(t *testing.T) {
	r, j := newJournalRig(t, journal.Options{}, func(o *Options) { o.slack = time.Hour })
	r.tor.began, r.tor.answer = make(chan struct{}), make(chan struct{})
	p := r.subscriber("BW")
	p.send("SIGNAL DUMP\r\n")
	<-r.tor.began
	r.srv.mu.Lock()
	out := r.srv.conns[1].out
	r.srv.mu.Unlock()
	for n := 1; n <= 3; n++ {
		record(t, j, fmt.Sprintf("650 BW %d 0", n))
		until(t, "the event to be held, or its call to be heard", func() bool {
			return out.position.Load() > 1 && out.state.Load() == working && len(out.kick) == 0
		})
	}
	r.tor.answer <- struct{}{}
	p.expect("250 OK", "650 BW 1 0", "650 BW 2 0", "650 BW 3 0")
}
