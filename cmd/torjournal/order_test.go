package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"torjournal/tor/controlport"
	"torjournal/tor/testnet"
)

// Replies and events come through torjournal in an order in which they could
// have come from tor, on a machine that has time and on one that has none: no
// clock has a part in it. 250 EXTENDED comes before what it causes, and what a reply says of circuits is never
// older than the events before it, nor is a circuit built that it called gone.
func TestRepliesAndEventsKeepTorsOrder(t *testing.T) {
	needReal(t)
	s := newOrderStage(t)
	for _, load := range []struct {
		name string
		per  int // spinning processes for each processor
	}{{"idle", 0}, {"loaded", 2}} {
		t.Run(load.name, func(t *testing.T) {
			spin(t, load.per*runtime.NumCPU())
			t.Run("extended", func(t *testing.T) {
				s.extended(t, "tor", s.atTor(t))
				s.extended(t, "torjournal", s.atUs(t))
			})
			t.Run("polled", s.polled)
		})
	}
}

// spin runs processes that take all the time they get, until the test ends.
func spin(t *testing.T, n int) {
	t.Helper()
	for range n {
		cmd := exec.Command("spin")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
}

// orderStage is a private network whose client is recorded.
type orderStage struct {
	net     *testnet.Network
	client  *testnet.Node
	socket  string // of tor: on TCP each of its replies would wait for an acknowledgement
	port    string
	journal string
}

func newOrderStage(t *testing.T) *orderStage {
	t.Helper()
	s := &orderStage{net: network(t, testnet.Options{Exits: 3, Middles: 3}), port: freePort(t), journal: journalIn(t)}
	s.client = s.net.Client(0)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil { // tor wants it
		t.Fatal(err)
	}
	s.socket = filepath.Join(dir, "tor")
	connect(t, s.client.ControlAddr, controlport.Credentials{}).must(t, "SETCONF ControlSocket="+s.socket)
	startRecorder(t, s.journal, "--attach", s.client.ControlAddr, "--control", s.port).attached()
	return s
}

func (s *orderStage) atTor(t *testing.T) *wire {
	return dialWireCookie(t, "unix:"+s.socket, s.client.CookieFile)
}

func (s *orderStage) atUs(t *testing.T) *wire { return dialWire(t, s.port, s.journal) }

// path is three relays in a random order, as EXTENDCIRCUIT takes them.
func (s *orderStage) path() string {
	var hops []string
	for _, i := range rand.Perm(len(s.net.Relays()))[:3] {
		hops = append(hops, "$"+s.net.Relays()[i].Fingerprint)
	}
	return strings.Join(hops, ",")
}

// extended: 250 EXTENDED names the circuit before any event does, one command
// after the other and pipelined.
func (s *orderStage) extended(t *testing.T, where string, w *wire) {
	if got := w.ask("SETEVENTS CIRC"); got != "250 OK" {
		t.Fatal(got)
	}
	for i := range 50 {
		n := 1
		if i%5 == 4 {
			n = 10
		}
		if early := s.extend(w, n); len(early) > 0 {
			t.Errorf("on %s, %d commands at once: events before the reply:\n%s", where, n, strings.Join(early, "\n"))
		}
	}
}

// extend sends n EXTENDCIRCUITs at once, waits for the replies and the
// LAUNCHED events, and returns the events that came too early. It closes the
// circuits.
func (s *orderStage) extend(w *wire, n int) (early []string) {
	w.t.Helper()
	w.write(strings.Repeat("EXTENDCIRCUIT 0 "+s.path()+" purpose=controller\r\n", n))
	named, before := map[string]bool{}, map[string]string{}
	for launched := 0; len(named) < n || launched < n; {
		line := w.line()
		word := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "250 EXTENDED "):
			named[word[2]] = true
			if e := before[word[2]]; e != "" {
				early = append(early, e)
				launched++
			}
		case strings.HasPrefix(line, "650 CIRC ") && strings.Contains(line, "PURPOSE=CONTROLLER"):
			if !named[word[2]] {
				before[word[2]] = line
			} else if word[3] == "LAUNCHED" {
				launched++
			}
		case !strings.HasPrefix(line, "650 "):
			w.t.Fatalf("EXTENDCIRCUIT: %q", line)
		}
	}
	for id := range named {
		if got := w.ask("CLOSECIRCUIT " + id); !strings.HasPrefix(got, "250 ") && !strings.HasPrefix(got, "552 ") {
			w.t.Fatalf("CLOSECIRCUIT %s: %q", id, got)
		}
	}
	return early
}

// polled asks for circuit-status in a loop while circuits are built, and
// closed as soon as they are. It shall not see of torjournal what goes against
// the order and cannot be seen of tor. (Tor changes a circuit before it tells of
// it, so that a reply may know what the next events tell: they are no fault.)
func (s *orderStage) polled(t *testing.T) {
	atTor, atUs := s.poll(t, s.atTor(t)), s.poll(t, s.atUs(t))
	t.Logf("on tor        %v", atTor)
	t.Logf("on torjournal %v", atUs)
	for what, n := range atUs.broken {
		if !newerReply[what] && atTor.broken[what] == 0 {
			t.Errorf("%s: %d times in %d replies of torjournal, never in %d of tor", what, n, atUs.replies, atTor.replies)
		}
	}
}

// newerReply is what is seen of a tor that has changed a circuit and not yet
// told of it.
var newerReply = map[string]bool{
	"reply EXTENDED, then event LAUNCHED": true, "reply BUILT, then event EXTENDED": true, "reply BUILT, then event LAUNCHED": true,
	"gone, then event EXTENDED": true, "gone, then event LAUNCHED": true,
}

func (s *orderStage) poll(t *testing.T, w *wire) *poll {
	const circuits = 120
	p := &poll{known: map[string]bool{}, gone: map[string]bool{}, told: map[string]string{}, shown: map[string]string{}, broken: map[string]int{}}
	if got := w.ask("SETEVENTS CIRC"); got != "250 OK" {
		t.Fatal(got)
	}
	var builder sync.WaitGroup
	done := make(chan struct{})
	builder.Go(func() {
		defer close(done)
		s.buildAndClose(t, circuits)
	})
	for over := false; !over; p.replies++ {
		select {
		case <-done:
			over = true
		default:
		}
		w.write("GETINFO circuit-status\r\n")
		p.readReply(w)
	}
	builder.Wait()
	if len(p.known) < circuits/2 || len(p.gone) < circuits/2 {
		t.Errorf("%d circuits were seen, %d to go: nothing was polled", len(p.known), len(p.gone))
	}
	return p
}

// buildAndClose builds circuits, a few at a time, and closes each when it is
// built.
func (s *orderStage) buildAndClose(t *testing.T, n int) {
	c := subscribe(t, s.client.ControlAddr, controlport.Credentials{}, "CIRC")
	defer c.Close()
	end := time.Now().Add(3 * patience)
	for begun, ended, seen := 0, 0, 0; ended < n; {
		if time.Now().After(end) {
			t.Errorf("%d of %d circuits were built and closed", ended, n)
			return
		}
		for begun < n && begun-ended < 4 {
			c.must(t, "EXTENDCIRCUIT 0 "+s.path()+" purpose=controller")
			begun++
		}
		all := c.received()
		if len(all) == seen {
			time.Sleep(100 * time.Microsecond)
		}
		for ; seen < len(all); seen++ {
			word := strings.Fields(all[seen])
			switch {
			case !strings.Contains(all[seen], "PURPOSE=CONTROLLER"):
			case word[3] == "BUILT":
				c.must(t, "CLOSECIRCUIT "+word[2])
			case word[3] == "CLOSED", word[3] == "FAILED":
				ended++
			}
		}
	}
}

// poll is what a controller that polls has seen of circuits, by ID.
type poll struct {
	known  map[string]bool   // it has been seen
	gone   map[string]bool   // a reply did not have it any more
	told   map[string]string // status of the last event
	shown  map[string]string // status in the last reply that had it
	broken map[string]int    // what went against the order, by kind

	replies int
}

func (p *poll) String() string { return fmt.Sprintf("%d replies, %v", p.replies, p.broken) }

// rank orders the states of a circuit that no one extends once it is built.
var rank = map[string]int{"LAUNCHED": 1, "EXTENDED": 2, "GUARD_WAIT": 3, "BUILT": 4, "CLOSED": 5, "FAILED": 5}

// readReply reads up to the end of the reply to GETINFO circuit-status.
func (p *poll) readReply(w *wire) {
	w.t.Helper()
	listed := map[string]bool{}
	for inside := false; ; {
		line := w.line()
		word := strings.Fields(line)
		switch {
		case line == "250+circuit-status=":
			inside = true
		case line == "250 OK", strings.HasPrefix(line, "250-circuit-status="):
			if line != "250 OK" {
				continue
			}
			p.missing(listed)
			return
		case line == "." && inside:
			inside = false
		case inside:
			if strings.Contains(line, "PURPOSE=CONTROLLER") {
				listed[word[0]] = true
				p.inReply(word[0], word[1])
			}
		case strings.HasPrefix(line, "650 CIRC "):
			if strings.Contains(line, "PURPOSE=CONTROLLER") {
				p.event(word[2], word[3])
			}
		case !strings.HasPrefix(line, "650 "):
			w.t.Fatalf("GETINFO circuit-status: %q", line)
		}
	}
}

func (p *poll) inReply(id, status string) {
	p.known[id] = true
	switch told := p.told[id]; {
	case p.gone[id]:
		p.broken["gone, then in a reply"]++
	case rank[told] == 5:
		p.broken["closed, then in a reply"]++
	case rank[status] < rank[told]:
		p.broken["event "+told+", then reply "+status]++
	}
	p.shown[id] = status
}

func (p *poll) missing(listed map[string]bool) {
	for id := range p.known {
		if !listed[id] {
			p.gone[id] = true
		}
	}
}

func (p *poll) event(id, status string) {
	p.known[id] = true
	switch {
	case p.gone[id] && rank[status] < 5:
		p.broken["gone, then event "+status]++
	case rank[status] < rank[p.shown[id]]:
		p.broken[fmt.Sprintf("reply %s, then event %s", p.shown[id], status)]++
	}
	p.told[id] = status
}
