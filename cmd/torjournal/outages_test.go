package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"torjournal/query"
	"torjournal/tor/controlport"
	"torjournal/tor/testnet"
)

// Outages are told as they were brought about: relays that are killed, relays
// that stand still, a tor that may use no network, an onion service whose
// introduction points are killed, a tor that is killed, a recorder that is killed.
// Begin and end lie within two seconds of what was done, and there are no others.
func TestOutagesAreWhatWasDone(t *testing.T) {
	needReal(t)
	s := newOutageStage(t)
	s.introOutage(t)
	s.outage(t, deed{name: "relays are killed", cause: query.CauseGuardLost, do: s.killRelays, undo: s.startRelays})
	s.outage(t, deed{name: "relays stand still", cause: query.CauseGuardLost, do: s.pauseRelays, undo: s.continueRelays})
	s.outage(t, deed{name: "no network", cause: query.CauseNetworkDown, do: s.noNetwork, undo: s.networkAgain})
	s.outage(t, deed{name: "tor is killed", cause: query.CauseTorDown, do: s.killTor, undo: s.startTor})
	s.outage(t, deed{name: "the recorder is killed", cause: query.CauseDaemonDown, do: s.killRecorder, undo: s.startRecorder})
	s.compare(t)
}

// deed is something that brings about an outage, and what ends it.
type deed struct {
	name, cause string
	do, undo    func(*testing.T)
}

// toldOutage is an outage as it must be told: it begins and ends between two times
// each, but for two seconds.
type toldOutage struct {
	name, what, cause       string
	beginAfter, beginBefore time.Time
	endAfter, endBefore     time.Time
	settled                 time.Time // from then on all is well again
}

// triedCircuit is when a circuit was asked for, and when that was answered.
type triedCircuit struct{ at, answered time.Time }

// outageStage is a network whose client is recorded and builds circuits all the
// time.
type outageStage struct {
	net      *testnet.Network
	client   *testnet.Node
	journal  string
	port     string
	recorder *recorder
	atTor    *subscriber // straight to tor, of its present life

	load func() // ends the circuits that are built all the time

	mu      sync.Mutex
	path    string         // guarded by mu: of these circuits; "": tor chooses
	resting bool           // guarded by mu: none shall be built now
	tried   []triedCircuit // guarded by mu: the circuits
	built   []time.Time    // guarded by mu: when each was found built

	wanted []toldOutage
}

const outageTypes = "CIRC CIRC_MINOR HS_DESC"

func newOutageStage(t *testing.T) *outageStage {
	t.Helper()
	s := &outageStage{journal: journalIn(t), port: freePort(t)}
	s.net = network(t, testnet.Options{Exits: 6, Middles: 6, ClientTorrc: []string{
		"LearnCircuitBuildTimeout 0", "CircuitBuildTimeout 10", // or it is a minute until a circuit fails that gets no answer
	}})
	s.client = s.net.Client(0)
	s.recorder = startRecorder(t, s.journal, "--attach", s.client.ControlAddr, "--control", s.port)
	s.recorder.attached()
	s.listen(t)
	s.startLoad(t)
	t.Cleanup(func() { s.load() })
	return s
}

func (s *outageStage) listen(t *testing.T) {
	t.Helper()
	s.atTor = subscribe(t, s.client.ControlAddr, controlport.Credentials{}, outageTypes)
}

// offer makes an onion service and waits until it can be visited.
func (s *outageStage) offer(t *testing.T) string {
	t.Helper()
	rep := s.atTor.must(t, "ADD_ONION NEW:ED25519-V3 Flags=DiscardPK,Detach Port=80,"+strings.TrimPrefix(s.net.URL("127.0.0.1", ""), "http://"))
	onion := strings.Join(rep.Values()["ServiceID"], "")
	s.atTor.awaitEvent(t, "an uploaded descriptor", func(w string) bool { return strings.HasPrefix(w, "650 HS_DESC UPLOADED "+onion) })
	return onion
}

// introPoints returns the relays to which the service has introduction circuits.
// steady says whether none is on its way.
func (s *outageStage) introPoints(t *testing.T) (points []*testnet.Node, steady bool) {
	t.Helper()
	steady = true
	for _, line := range answerLines(told(s.atTor.must(t, "GETINFO circuit-status").Values(), "circuit-status")) {
		steady = steady && !strings.Contains(line, "PURPOSE=HS_SERVICE_INTRO HS_STATE=HSSI_CONNECTING")
		if !strings.Contains(line, "HSSI_ESTABLISHED") {
			continue
		}
		hops := strings.Split(strings.Fields(line)[2], ",")
		fingerprint, _, _ := strings.Cut(strings.TrimPrefix(hops[len(hops)-1], "$"), "~")
		if relay := s.net.Relay(fingerprint); relay != nil && !slices.Contains(points, relay) {
			points = append(points, relay)
		}
	}
	return points, steady
}

// awaitSteady waits until the service has its introduction circuits.
func (s *outageStage) awaitSteady(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if points, steady := s.introPoints(t); steady && len(points) > 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the service is not ready within %v", patience)
		}
	}
}

// usePath has circuits built over relays that are not among those: while some are
// gone, those that tor chooses may fail.
func (s *outageStage) usePath(but []*testnet.Node) {
	var hops []string
	for _, r := range s.net.Relays() {
		if !slices.Contains(but, r) && len(hops) < 3 {
			hops = append(hops, "$"+r.Fingerprint)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.path = strings.Join(hops, ",")
}

// startLoad builds circuits all the time, whatever becomes of them.
func (s *outageStage) startLoad(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var busy sync.WaitGroup
	busy.Go(func() {
		var c *subscriber
		var ours map[string]bool // circuits, by ID
		seen := 0
		for ; ctx.Err() == nil; sleep(ctx, 200*time.Millisecond) {
			if c == nil {
				if c, _ = tryConnect(s.client.ControlAddr, controlport.Credentials{}); c == nil {
					continue
				}
				seen, ours = 0, map[string]bool{}
				_, _ = c.Do(ctx, "SETEVENTS CIRC")
			}
			s.mu.Lock()
			path, resting := s.path, s.resting
			s.mu.Unlock()
			if resting {
				continue
			}
			try := triedCircuit{at: time.Now()}
			rep, err := c.Do(ctx, strings.TrimSpace("EXTENDCIRCUIT 0 "+path))
			if err != nil {
				_ = c.Close()
				c = nil
				continue
			}
			if word := strings.Fields(rep.String()); rep.Err() == nil && len(word) > 2 {
				try.answered = time.Now()
				s.mu.Lock()
				s.tried = append(s.tried, try)
				s.mu.Unlock()
				ours[word[2]] = true
			}
			got := c.received()
			for _, w := range got[seen:] {
				if id := strings.Fields(w)[2]; isCircuit(w, "BUILT") && ours[id] {
					delete(ours, id)
					s.mu.Lock()
					s.built = append(s.built, time.Now())
					s.mu.Unlock()
					_, _ = c.Do(ctx, "CLOSECIRCUIT "+id)
				}
			}
			seen = len(got)
		}
		if c != nil {
			_ = c.Close()
		}
	})
	s.load = func() {
		cancel()
		busy.Wait()
	}
	s.awaitBuilt(t, time.Now())
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// awaitBuilt waits until a circuit that was asked for after a time is built, and
// some more, and returns when the first was.
func (s *outageStage) awaitBuilt(t *testing.T, after time.Time) time.Time {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		s.mu.Lock()
		i := slices.IndexFunc(s.built, after.Before)
		enough := i >= 0 && len(s.built) >= i+5
		var first time.Time
		if enough {
			first = s.built[i]
		}
		s.mu.Unlock()
		if enough {
			return first
		}
		if time.Now().After(end) {
			t.Fatalf("no circuits are built within %v", patience)
		}
	}
}

// triedAfter returns when tor had begun the first circuit that was asked for
// after a time, or the time itself if none was.
func (s *outageStage) triedAfter(after time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.IndexFunc(s.tried, func(a triedCircuit) bool { return a.at.After(after) }); i >= 0 {
		return s.tried[i].answered
	}
	return after
}

// lastBuilt returns when a circuit was found built last.
func (s *outageStage) lastBuilt() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.built[len(s.built)-1]
}

// awaitFailed waits until so many circuits have failed after an event, and some
// time has passed.
func (s *outageStage) awaitFailed(t *testing.T, seen int) {
	t.Helper()
	begun := time.Now()
	for end := begun.Add(patience); ; time.Sleep(20 * time.Millisecond) {
		failed := 0
		for _, w := range s.atTor.received()[seen:] {
			if word := strings.Fields(w); word[1] == "CIRC" && word[3] == "FAILED" {
				failed++
			}
		}
		if failed >= 20 && time.Since(begun) > 3*time.Second {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d circuits failed within %v", failed, patience)
		}
	}
}

// outage does a deed and what ends it, and notes when.
func (s *outageStage) outage(t *testing.T, d deed) {
	t.Helper()
	want := toldOutage{name: d.name, what: query.OutageOfClient, cause: d.cause, beginAfter: s.lastBuilt()}
	d.do(t)
	want.beginBefore = time.Now()
	if d.cause == query.CauseGuardLost {
		s.awaitFailed(t, len(s.atTor.received()))
		want.beginBefore = s.triedAfter(want.beginBefore)
	} else {
		time.Sleep(3 * time.Second) // how long it lasts
	}
	want.endAfter = time.Now()
	d.undo(t)
	want.endBefore = time.Now()
	switch first := s.awaitBuilt(t, want.endAfter); d.cause {
	case query.CauseGuardLost, query.CauseNetworkDown:
		want.endBefore = first
	}
	s.note(t, want)
}

// note notes an outage that is over.
func (s *outageStage) note(t *testing.T, want toldOutage) {
	t.Helper()
	want.settled = time.Now()
	s.wanted = append(s.wanted, want)
	t.Logf("%s: from %v to %v", want.name, want.beginAfter.UTC(), want.endBefore.UTC())
}

// each does something to every relay at once.
func (s *outageStage) each(t *testing.T, relays []*testnet.Node, do func(*testnet.Node) error) {
	t.Helper()
	var all sync.WaitGroup
	for _, r := range relays {
		all.Go(func() {
			if err := do(r); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func (s *outageStage) killRelays(t *testing.T) {
	s.mu.Lock()
	s.path = "" // a path that a controller gave shows nothing when it fails
	s.mu.Unlock()
	s.each(t, s.net.Relays(), (*testnet.Node).Kill)
}

func (s *outageStage) startRelays(t *testing.T) { s.start(t, s.net.Relays()) }

func (s *outageStage) start(t *testing.T, relays []*testnet.Node) {
	t.Helper()
	s.each(t, relays, func(r *testnet.Node) error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return r.Start(ctx)
	})
}

func (s *outageStage) pauseRelays(t *testing.T) {
	s.each(t, s.net.Relays(), (*testnet.Node).Pause)
}

func (s *outageStage) continueRelays(t *testing.T) {
	s.each(t, s.net.Relays(), (*testnet.Node).Continue)
}

// noNetwork also asks for no circuits: for a minute tor connects to no relay to which
// it could not connect.
func (s *outageStage) noNetwork(t *testing.T) {
	s.mu.Lock()
	s.resting = true
	s.mu.Unlock()
	s.atTor.must(t, "SETCONF DisableNetwork=1")
}

func (s *outageStage) networkAgain(t *testing.T) {
	s.atTor.must(t, "SETCONF DisableNetwork=0")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resting = false
}

func (s *outageStage) killTor(t *testing.T) {
	if err := s.client.Kill(); err != nil {
		t.Fatal(err)
	}
	s.recorder.await("tor is lost", func() bool { return !s.recorder.status().Source.Attached })
}

func (s *outageStage) startTor(t *testing.T) {
	s.start(t, []*testnet.Node{s.client})
	s.recorder.attached()
	s.listen(t)
}

func (s *outageStage) killRecorder(*testing.T) { s.recorder.kill() }

func (s *outageStage) startRecorder(t *testing.T) {
	s.recorder = startRecorder(t, s.journal, "--attach", s.client.ControlAddr, "--control", s.port)
	s.recorder.attached()
}

// introOutage makes an onion service, kills its introduction points, and starts
// them again once tor has tried in vain to reach them. It tries once a second, and
// after some thirty circuits not for five minutes. When the service is taken away
// in the end, that is no outage.
func (s *outageStage) introOutage(t *testing.T) {
	t.Helper()
	onion := s.offer(t)
	s.awaitSteady(t)

	want := toldOutage{name: "introduction points are killed", what: query.OutageOfOnion, cause: query.CauseIntroLost}
	seen := len(s.atTor.received())
	var points []*testnet.Node
	for alive, _ := s.introPoints(t); len(alive) > 0; alive, _ = s.introPoints(t) {
		alive = slices.DeleteFunc(alive, func(r *testnet.Node) bool { return slices.Contains(points, r) })
		if len(alive) == 0 {
			time.Sleep(5 * time.Millisecond) // tor has yet to find out
			continue
		}
		points = append(points, alive...)
		s.usePath(points)
		want.beginAfter = time.Now()
		s.each(t, alive, (*testnet.Node).Kill)
	}
	want.beginBefore = time.Now()
	s.awaitAfter(t, seen, "an introduction circuit that fails", func(w string) bool {
		return isCircuit(w, "FAILED") && strings.Contains(w, "PURPOSE=HS_SERVICE_INTRO ")
	})
	s.start(t, points)
	want.endAfter, want.endBefore = s.visitable(t, onion, points, seen)
	s.note(t, want)

	seen = len(s.atTor.received())
	s.atTor.must(t, "DEL_ONION "+onion)
	s.awaitAfter(t, seen, "the end of an introduction circuit", func(w string) bool {
		return isCircuit(w, "CLOSED") && strings.Contains(w, "HS_STATE=HSSI_ESTABLISHED")
	})
	s.awaitBuilt(t, time.Now())
}

// isCircuit reports whether an event says that a circuit has a status.
func isCircuit(wire, status string) bool {
	word := strings.Fields(wire)
	return len(word) > 3 && word[1] == "CIRC" && word[3] == status
}

// awaitAfter waits for an event behind those that were seen.
func (s *outageStage) awaitAfter(t *testing.T, seen int, what string, want func(string) bool) {
	t.Helper()
	for end := time.Now().Add(patience); !slices.ContainsFunc(s.atTor.received()[seen:], want); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// visitable waits until the service can be visited again: there is an introduction
// circuit to a relay that was an introduction point before, or an HSDir has taken
// a descriptor since there is one. It returns between which times that was.
func (s *outageStage) visitable(t *testing.T, onion string, points []*testnet.Node, seen int) (after, before time.Time) {
	t.Helper()
	after = time.Now()
	for end := after.Add(2 * patience); ; time.Sleep(20 * time.Millisecond) {
		before = time.Now()
		offered := false
		for _, w := range s.atTor.received()[seen:] {
			switch {
			case strings.HasPrefix(w, "650 CIRC_MINOR ") && strings.Contains(w, " HS_STATE=HSSI_ESTABLISHED REND_QUERY="+onion):
				offered = true
				path := strings.Fields(w)[4]
				last := path[strings.LastIndexByte(path, ',')+1:]
				if slices.ContainsFunc(points, func(p *testnet.Node) bool { return strings.HasPrefix(last, "$"+p.Fingerprint) }) {
					return after, before
				}
			case offered && strings.HasPrefix(w, "650 HS_DESC UPLOADED "+onion):
				return after, before
			}
		}
		after = before
		if time.Now().After(end) {
			t.Fatal("the service cannot be visited again")
		}
	}
}

// compare holds what is told against what was done.
func (s *outageStage) compare(t *testing.T) {
	t.Helper()
	printed, _ := torjournal(t, 0, "query", "outages", "--json", "--journal", s.journal)
	table, _ := torjournal(t, 0, "query", "outages", "--journal", s.journal)
	t.Logf("%s\n%s", printed, table)
	var rows []query.Outage
	for line := range strings.Lines(printed) {
		var row query.Outage
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	const near = 2 * time.Second
	for _, want := range s.wanted {
		i := slices.IndexFunc(rows, func(o query.Outage) bool {
			return o.What == want.what && o.Cause == want.cause && !o.Begin.Before(want.beginAfter.Add(-near)) && !o.Begin.After(want.beginBefore.Add(near)) &&
				!o.End.Before(want.endAfter.Add(-near)) && !o.End.After(want.endBefore.Add(near))
		})
		if i < 0 {
			t.Errorf("%s: no row from %v to %v", want.name, want.beginAfter.UTC(), want.endBefore.UTC())
			continue
		}
		rows = slices.Delete(rows, i, i+1)
	}
	for _, o := range rows {
		// While the relays come up again, one after the other, some may be missed
		// once more.
		if !slices.ContainsFunc(s.wanted, func(w toldOutage) bool {
			return w.cause == o.Cause && o.Begin.After(w.endAfter) && !o.End.IsZero() && o.End.Before(w.settled)
		}) {
			t.Errorf("invented: %+v", o)
		}
	}
}
