package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"torjournal/tor/controlport"
	"torjournal/tor/testnet"
)

// How tor stood is told afterwards as tor told it then: of circuits, streams,
// OR connections and guards that were on their way, there, held up, and gone,
// in two lives of a tor on a network.
func TestMomentsAreWhatTorSaidThen(t *testing.T) {
	needReal(t)
	s := newMomentStage(t)
	for _, step := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"as it was found", func(*testing.T) {}},
		{"circuits of a controller", s.buildCircuits},
		{"pages", s.getPages},
		{"a page that takes long", s.holdPage},
		{"a circuit that hangs", s.hangCircuit},
		{"a circuit that hangs no more", s.unhangCircuit},
		{"a stream that waits for a controller", s.holdStream},
		{"a stream that is on its way", s.attachStream},
		{"a stream that has arrived", s.releaseStream},
		{"an onion service", s.addOnion},
		{"a visit to it", s.visitOnion},
		{"a new identity", func(t *testing.T) { s.atTor.must(t, "SIGNAL NEWNYM") }},
		{"other guards", func(t *testing.T) { s.atTor.must(t, "DROPGUARDS") }},
		{"pages by other guards", s.getPages},
		{"closed circuits", s.closeCircuits},
		{"no network", s.noNetwork},
		{"network again", s.networkAgain},
		{"another life", s.restart},
		{"pages in another life", s.getPages},
	} {
		step.do(t)
		s.take(t, step.name)
	}
	stop := s.keepBusy(t)
	for i := range 10 {
		s.take(t, fmt.Sprint("busy ", i))
	}
	stop()
	s.take(t, "no more busy")
	s.compare(t)
	s.compareStem(t)
}

// momentStage is a network whose client is recorded, and what its tor said.
type momentStage struct {
	net      *testnet.Network
	client   *testnet.Node
	journal  string
	port     string
	recorder *recorder
	atTor    *subscriber // straight to tor
	atUs     *subscriber // through the recorder
	release  chan struct{}

	paused *testnet.Node
	built  []string // circuits of ours
	hung   string
	stream string
	onion  string

	moments []torMoment
	retries int
	held    sync.WaitGroup
}

// torMoment is what tor said at a time.
type torMoment struct {
	name  string
	at    time.Time
	reply controlport.Reply
}

const momentTypes = "CIRC CIRC_MINOR STREAM ORCONN GUARD SIGNAL"

func newMomentStage(t *testing.T) *momentStage {
	t.Helper()
	s := &momentStage{journal: journalIn(t), port: freePort(t), release: make(chan struct{})}
	web := http.NewServeMux()
	web.Handle("/", testnet.WebHandler())
	web.HandleFunc("/hold", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "wait")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-s.release:
		case <-r.Context().Done():
		}
	})
	s.net = network(t, testnet.Options{Exits: 5, Middles: 4, Handler: web})
	s.client = s.net.Client(0)
	s.atTor = subscribe(t, s.client.ControlAddr, controlport.Credentials{}, momentTypes)
	s.recorder = startRecorder(t, s.journal, "--attach", s.client.ControlAddr, "--control", s.port)
	s.recorder.attached()
	s.atUs = subscribe(t, s.port, ownCookie, "SIGNAL")
	t.Cleanup(func() {
		close(s.release)
		if s.paused != nil {
			_ = s.paused.Continue()
		}
		s.held.Wait()
	})
	return s
}

// take asks tor how it stands. What it says is kept if tor told of nothing from
// one signal before to one signal after, and the recorder had heard the first
// one by then: so the time at which the answer came lies between the same
// events in tor and in the journal.
func (s *momentStage) take(t *testing.T, name string) {
	t.Helper()
	for end := time.Now().Add(2 * patience); ; s.retries++ {
		if time.Now().After(end) {
			t.Fatalf("%s: tor was never quiet for as long as a question takes", name)
		}
		before := s.mark(t)
		reply := s.atTor.must(t, "GETINFO circuit-status stream-status orconn-status entry-guards")
		at := time.Now()
		if after := s.mark(t); after == before+1 {
			s.moments = append(s.moments, torMoment{name, at, reply})
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// mark makes tor tell of a signal and waits until the recorder has it. It
// returns where it stands among the events that came from tor.
func (s *momentStage) mark(t *testing.T) int {
	t.Helper()
	isMark := func(wire string) bool { return wire == "650 SIGNAL DUMP\r\n" }
	return awaitNext(t, s.atTor, isMark, func() {
		awaitNext(t, s.atUs, isMark, func() { s.atTor.must(t, "SIGNAL DUMP") })
	})
}

// awaitNext calls do and waits for the next event that want likes. It returns
// that event's index.
func awaitNext(t *testing.T, s *subscriber, want func(string) bool, do func()) int {
	t.Helper()
	from := len(s.received())
	do()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		got := s.received()
		for i := from; i < len(got); i++ {
			if want(got[i]) {
				return i
			}
		}
		if time.Now().After(end) {
			t.Fatalf("an event did not come within %v", patience)
		}
	}
}

// compare asks the recorder for every moment, by the command line and by the
// control port, which shall say the same, and holds it against what tor said.
func (s *momentStage) compare(t *testing.T) {
	t.Helper()
	standing := map[string]map[string]bool{}
	for _, m := range s.moments {
		word := m.at.UTC().Format("2006-01-02T15:04:05.000000Z")
		var keys []string
		for _, k := range momentKeys {
			keys = append(keys, "history/"+k+"@"+word)
		}
		ours := s.atUs.must(t, "GETINFO "+strings.Join(keys, " ")).Values()
		wire, _ := torjournal(t, 0, "query", "at", word, "-o", "wire", "--journal", s.journal)
		for i, k := range momentKeys {
			got, want := comparable(k, told(ours, keys[i])), comparable(k, told(m.reply.Values(), k))
			if !maps.Equal(got, want) {
				t.Errorf("%s, %s at %s:\n got %s\nwant %s", m.name, k, word, only(got, want), only(want, got))
			}
			for _, line := range answerLines(told(ours, keys[i])) {
				if !strings.Contains(wire, line+"\r\n") {
					t.Errorf("%s, %s at %s: query at does not have %q", m.name, k, word, line)
				}
			}
			if standing[k] == nil {
				standing[k] = map[string]bool{}
			}
			for line := range want {
				standing[k][strings.Fields(line)[1]] = true
			}
		}
	}
	t.Logf("%d moments, of %d that were tried; status words seen: %v", len(s.moments), len(s.moments)+s.retries, standing)
	for k, words := range map[string][]string{
		"circuit-status": {"BUILT", "EXTENDED"}, "stream-status": {"NEW", "SENTCONNECT", "SUCCEEDED"}, "orconn-status": {"CONNECTED"}, "entry-guards": {"up", "never-connected"},
	} {
		for _, w := range words {
			if !standing[k][w] {
				t.Errorf("%s: no %s was ever seen: nothing was compared", k, w)
			}
		}
	}
}

// compareStem has stem ask for the last moment.
func (s *momentStage) compareStem(t *testing.T) {
	t.Helper()
	m := s.moments[len(s.moments)-1]
	var want []string
	for entry := range comparable("circuit-status", told(m.reply.Values(), "circuit-status")) {
		word := append(strings.Fields(entry), "")
		if !strings.HasPrefix(word[2], "$") {
			word[2] = ""
		}
		want = append(want, word[0]+" "+word[1]+" "+strings.ReplaceAll(word[2], "$", ""))
	}
	printed, _ := python(t, "testdata/stem_moment.py", port(t, s.port), m.at.UTC().Format("2006-01-02T15:04:05.000000Z"))
	got := answerLines(printed)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s, circuits that stem was told:\n\t%s\nwant\n\t%s", m.name, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

var momentKeys = []string{"circuit-status", "stream-status", "orconn-status", "entry-guards"}

// told is what a reply says of a key.
func told(values map[string][]string, key string) string { return strings.Join(values[key], "\n") }

func answerLines(text string) []string {
	return slices.DeleteFunc(strings.Split(strings.ReplaceAll(text, "\r", ""), "\n"), func(l string) bool { return l == "" })
}

// comparable returns the entries of an answer, each with how often it is
// there, without what moves in tor without an event: nicknames, CONFLUX_RTT,
// times of guards, and for whom a circuit is that has no hop yet.
func comparable(key, text string) map[string]int {
	out := map[string]int{}
	for _, line := range answerLines(text) {
		var kept []string
		for i, word := range strings.Fields(line) {
			switch {
			case strings.HasPrefix(word, "CONFLUX_RTT="), key == "entry-guards" && i > 1,
				strings.HasPrefix(word, "SOCKS_") && !strings.Contains(line, "$"):
				continue
			case strings.HasPrefix(word, "$"):
				var hops []string
				for hop := range strings.SplitSeq(word, ",") {
					fingerprint, _, _ := strings.Cut(hop, "~")
					hops = append(hops, fingerprint)
				}
				word = strings.Join(hops, ",")
			}
			kept = append(kept, word)
		}
		out[strings.Join(kept, " ")]++
	}
	return out
}

// only returns what a has and b has not.
func only(a, b map[string]int) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(a)) {
		if a[k] != b[k] {
			out = append(out, fmt.Sprintf("%d× %s", a[k], k))
		}
	}
	return "\n\t" + strings.Join(out, "\n\t")
}

// extend begins a circuit through relays and returns its ID.
func (s *momentStage) extend(t *testing.T, relays ...*testnet.Node) string {
	t.Helper()
	var hops []string
	for _, r := range relays {
		hops = append(hops, "$"+r.Fingerprint)
	}
	rep := s.atTor.must(t, "EXTENDCIRCUIT 0 "+strings.Join(hops, ",")+" purpose=controller")
	return strings.Fields(rep.String())[2]
}

// awaitCircuit waits until a circuit has a status.
func (s *momentStage) awaitCircuit(t *testing.T, id, status string) {
	t.Helper()
	s.atTor.awaitEvent(t, "circuit "+id+" is "+status, func(w string) bool { return strings.HasPrefix(w, "650 CIRC "+id+" "+status+" ") })
}

func (s *momentStage) buildCircuits(t *testing.T) {
	r := s.net.Relays()
	for i := range 3 {
		id := s.extend(t, r[i+1], r[i+2], r[i])
		s.awaitCircuit(t, id, "BUILT")
		s.built = append(s.built, id)
	}
}

func (s *momentStage) getPages(t *testing.T) {
	for i := range 4 {
		fetch(t, s.net, 0, fmt.Sprintf("page%d.example", i), fmt.Sprint("user", i%2))
	}
}

// begin asks for a page that ends when the test does, and returns the ID of the stream.
func (s *momentStage) begin(t *testing.T, host, status string) string {
	t.Helper()
	seen := len(s.atTor.received())
	s.held.Go(func() {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		_, _ = s.client.Fetch(ctx, s.net.URL(host, "/hold"), host)
	})
	var id string
	for end := time.Now().Add(patience); id == ""; time.Sleep(5 * time.Millisecond) {
		for _, w := range s.atTor.received()[seen:] {
			if word := strings.Fields(w); word[1] == "STREAM" && word[3] == status && strings.HasPrefix(word[5], host) {
				id = word[2]
			}
		}
		if time.Now().After(end) {
			t.Fatalf("no stream to %s is %s", host, status)
		}
	}
	return id
}

func (s *momentStage) holdPage(t *testing.T) {
	s.begin(t, "127.0.0.1", "SUCCEEDED")
}

// hangCircuit begins a circuit whose second hop does not answer.
func (s *momentStage) hangCircuit(t *testing.T) {
	r := s.net.Relays()
	s.pause(t, r[7])
	s.hung = s.extend(t, r[0], r[7], r[1])
	s.awaitCircuit(t, s.hung, "EXTENDED")
}

func (s *momentStage) unhangCircuit(t *testing.T) {
	s.goOn(t)
	s.awaitCircuit(t, s.hung, "BUILT")
	s.built = append(s.built, s.hung)
}

func (s *momentStage) pause(t *testing.T, relay *testnet.Node) {
	t.Helper()
	if err := relay.Pause(); err != nil {
		t.Fatal(err)
	}
	s.paused = relay
}

func (s *momentStage) goOn(t *testing.T) {
	t.Helper()
	if err := s.paused.Continue(); err != nil {
		t.Fatal(err)
	}
	s.paused = nil
}

func (s *momentStage) holdStream(t *testing.T) {
	s.atTor.must(t, "SETCONF __LeaveStreamsUnattached=1")
	s.stream = s.begin(t, "held.example", "NEW")
}

// attachStream gives the stream to a circuit whose exit does not answer.
func (s *momentStage) attachStream(t *testing.T) {
	s.pause(t, s.net.Relays()[0]) // the last hop of the first circuit
	s.atTor.must(t, "ATTACHSTREAM "+s.stream+" "+s.built[0])
}

func (s *momentStage) releaseStream(t *testing.T) {
	s.goOn(t)
	s.atTor.awaitEvent(t, "the stream arrives", func(w string) bool { return strings.HasPrefix(w, "650 STREAM "+s.stream+" SUCCEEDED ") })
	s.atTor.must(t, "RESETCONF __LeaveStreamsUnattached")
}

func (s *momentStage) addOnion(t *testing.T) {
	s.onion = s.offer(t)
}

// offer makes an onion service and waits until it can be visited.
func (s *momentStage) offer(t *testing.T) string {
	s.atTor.must(t, "SETEVENTS "+momentTypes+" HS_DESC")
	rep := s.atTor.must(t, "ADD_ONION NEW:ED25519-V3 Flags=DiscardPK Port=80,"+strings.TrimPrefix(s.net.URL("127.0.0.1", ""), "http://"))
	onion := strings.Join(rep.Values()["ServiceID"], "")
	s.atTor.awaitEvent(t, "an uploaded descriptor", func(w string) bool { return strings.HasPrefix(w, "650 HS_DESC UPLOADED "+onion) })
	s.atTor.must(t, "SETEVENTS "+momentTypes)
	return onion
}

func (s *momentStage) visitOnion(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	for {
		body, err := s.client.Fetch(ctx, "http://"+s.onion+".onion/bytes/2000", "visitor")
		if err == nil && len(body) == 2000 {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("the onion service: %d bytes, %v", len(body), err)
		}
	}
}

func (s *momentStage) closeCircuits(t *testing.T) {
	for _, id := range s.built {
		rep, err := s.atTor.Do(t.Context(), "CLOSECIRCUIT "+id)
		if err != nil || rep.Err() != nil && !strings.Contains(rep.Err().Error(), "Unknown circuit") {
			t.Fatal(err, rep.Err())
		}
	}
	s.built = nil
}

func (s *momentStage) noNetwork(t *testing.T) {
	awaitNext(t, s.atTor, func(w string) bool { return strings.HasPrefix(w, "650 ORCONN ") }, func() { s.atTor.must(t, "SETCONF DisableNetwork=1") })
}

func (s *momentStage) networkAgain(t *testing.T) {
	s.atTor.must(t, "SETCONF DisableNetwork=0")
	s.getPages(t)
}

// restart ends tor and begins another one, whose numbers begin again.
func (s *momentStage) restart(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	lost := s.atUs.Done()
	if err := s.client.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	s.atTor = subscribe(t, s.client.ControlAddr, controlport.Credentials{}, momentTypes)
	<-lost
	s.recorder.attached()
	s.atUs = subscribe(t, s.port, ownCookie, "SIGNAL")
}

// keepBusy gets pages until the function that it returns is called.
func (s *momentStage) keepBusy(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var busy sync.WaitGroup
	for i := range 3 {
		busy.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				_, _ = s.client.Fetch(ctx, s.net.URL(fmt.Sprintf("busy%d.example", i), "/bytes/2000"), fmt.Sprint(i, n%5))
				select {
				case <-ctx.Done():
				case <-time.After(300 * time.Millisecond):
				}
			}
		})
	}
	stop = func() {
		cancel()
		busy.Wait()
	}
	t.Cleanup(stop)
	return stop
}
