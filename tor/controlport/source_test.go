package controlport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"torjournal/tor/event"
)

// attached runs a source on tor until its snapshot is in the sink.
func attached(t testing.TB, tor *fakeTor, opt SourceOptions) (*Source, *memorySink) {
	t.Helper()
	sink := &memorySink{}
	opt.Sink = sink
	opt.Addresses = []Address{tor.address()}
	s := newSource(t, opt)
	runSource(t, s)
	until(t, "the snapshot", func() bool { return sink.find("650+JOURNAL SNAPSHOT") != "" })
	return s, sink
}

const always = "CIRC STREAM ORCONN BW NOTICE WARN ERR NEWDESC ADDRMAP DESCCHANGED STATUS_GENERAL STATUS_CLIENT STATUS_SERVER " +
	"GUARD STREAM_BW CLIENTS_SEEN NEWCONSENSUS BUILDTIMEOUT_SET SIGNAL CONF_CHANGED CIRC_MINOR TRANSPORT_LAUNCHED CONN_BW CIRC_BW " +
	"CELL_STATS HS_DESC HS_DESC_CONTENT NETWORK_LIVENESS FUTURE"

// The whole conversation of an attachment, and what the sink gets of it.
func TestAttachment(t *testing.T) {
	answers := plainTor()
	answers["SETEVENTS"] = "250 OK\r\n650 BW 1 1\r\n650 BW 2 2\r\n"
	answers["GETINFO version status"] = "650 BW 3 3\r\n" + answers["GETINFO version status"] + "650 BW 4 4\r\n"
	tor := startFake(t, answers.answer)
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	s, sink := attached(t, tor, SourceOptions{now: func() time.Time { return now }})
	until(t, "the last event", func() bool { return sink.find("650 BW 4 4") != "" })

	want := []string{
		"PROTOCOLINFO 1",
		"AUTHENTICATE",
		"GETINFO events/names",
		"GETCONF ORPort BridgeRelay TestingTorNetwork HiddenServiceDir",
		"GETINFO version process/pid uptime fingerprint",
		"GETINFO version", "GETINFO process/pid", "GETINFO uptime", "GETINFO fingerprint",
		"GETINFO version process/pid uptime",
		"SETEVENTS " + always,
		"GETINFO version status/bootstrap-phase circuit-status stream-status orconn-status entry-guards traffic/read traffic/written bw-event-cache",
	}
	if got := tor.commands(0); !slices.Equal(got, want) {
		t.Errorf("tor was told\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
	got := regexp.MustCompile(`PID=\d+`).ReplaceAllString(strings.Join(sink.all(), ""), "PID=1")
	if want := "650 JOURNAL START SESSION=1 CONTINUED=0 ROLE=client VERSION=0.4.9.11 PID=1\r\n" +
		"650 BW 1 1\r\n650 BW 2 2\r\n650 BW 3 3\r\n" +
		"650+JOURNAL SNAPSHOT\r\n250-version=0.4.9.11\r\n250+circuit-status=\r\n1 BUILT $A~a\r\n..\r\n250 OK\r\n.\r\n650 OK\r\n" +
		"650 BW 4 4\r\n"; got != want {
		t.Errorf("the sink got\n%s\nwant\n%s", got, want)
	}
	wantSource := event.Source{
		Name: tor.address().String(), Version: "0.4.9.11", Role: "client", PID: 77, Started: now.Add(-10 * time.Minute),
	}
	if sink.sessions[0] != wantSource {
		t.Errorf("session %+v, want %+v", sink.sessions[0], wantSource)
	}
	st := s.Status()
	if !st.Attached || st.Address != tor.address() || st.Source != wantSource || !st.Since.Equal(now) ||
		st.Subscribed.String() != always || !st.Recorded.All() || st.LastError != "" {
		t.Errorf("status %+v", st)
	}
	if s.EventNames().String() != event.NewSet(toTypes(eventsNames)...).String() {
		t.Errorf("event names %v", s.EventNames())
	}
}

func toTypes(names string) (types []event.Type) {
	for _, n := range strings.Fields(names) {
		types = append(types, event.Type(n))
	}
	return types
}

// What tor does not tell is left out, key by key.
func TestRefusedKeys(t *testing.T) {
	answers := plainTor()
	for begin, reply := range answers {
		if strings.HasPrefix(begin, "GETINFO ") && begin != "GETINFO events/names" {
			answers[begin] = "551 not now\r\n"
			_ = reply
		}
	}
	answers["GETINFO version status"] = "552 Unrecognized key \"bw-event-cache\"\r\n"
	answers["GETINFO "+strings.Join(snapshotKeys[:8], " ")] = "551 not now\r\n"
	answers["GETINFO traffic/written"] = "250-traffic/written=5\r\n250 OK\r\n"
	answers["GETINFO traffic/read"] = "250-traffic/read=5\r\n250 OK\r\n"
	answers["GETINFO traffic/read traffic/written"] = "250-traffic/read=5\r\n250-traffic/written=6\r\n250 OK\r\n"
	tor := startFake(t, func(c *fakeConn, command string) string {
		if command == "GETINFO "+strings.Join(snapshotKeys, " ") {
			return answers["GETINFO version status"]
		}
		return answers.answer(c, command)
	})
	_, sink := attached(t, tor, SourceOptions{Name: "mine"})
	if got := sink.find("650+JOURNAL SNAPSHOT"); got != "650+JOURNAL SNAPSHOT\r\n250-traffic/read=5\r\n250-traffic/written=6\r\n250 OK\r\n.\r\n650 OK\r\n" {
		t.Errorf("snapshot %q", got)
	}
	if src := sink.sessions[0]; src != (event.Source{Name: "mine", Role: "client"}) {
		t.Errorf("session %+v", src)
	}
}

// Nothing of the state can be had: the events are recorded all the same.
func TestNoSnapshot(t *testing.T) {
	answers := plainTor()
	for _, k := range snapshotKeys {
		answers["GETINFO "+k] = "552 Unrecognized key \"" + k + "\"\r\n"
	}
	answers["GETINFO version process/pid"] = plainTor()["GETINFO version process/pid uptime"]
	answers["GETINFO version status"] = "552 Unrecognized key \"version\"\r\n"
	tor := startFake(t, answers.answer)
	sink := &memorySink{}
	var log lockedBuffer
	s := newSource(t, SourceOptions{Addresses: []Address{tor.address()}, Sink: sink, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	runSource(t, s)
	until(t, "the warning", func() bool { return strings.Contains(log.String(), "tor's state") })
	tor.send("650 BW 1 2\r\n")
	until(t, "an event", func() bool { return sink.find("650 BW 1 2") != "" })
}

func TestFingerprintOfARelay(t *testing.T) {
	answers := plainTor()
	answers["GETINFO version process/pid uptime fingerprint"] = "250-version=0.4.9.11\r\n250-process/pid=1\r\n250-uptime=1\r\n" +
		"250-fingerprint=51406DE6F7355A679A9B4F95AC06B3A3079C13F1\r\n250 OK\r\n"
	answers["GETCONF"] = "250-ORPort=9001\r\n250-ORPort=[::]:9001 IPv6Only\r\n250-BridgeRelay=0\r\n250-TestingTorNetwork=0\r\n250 HiddenServiceDir\r\n"
	tor := startFake(t, answers.answer)
	var conf map[string][]string
	_, sink := attached(t, tor, SourceOptions{Policy: func(c map[string][]string) (Policy, error) {
		conf = c
		return keepAll{"relay"}, nil
	}})
	if fp := sink.sessions[0].Fingerprint; fp != "51406DE6F7355A679A9B4F95AC06B3A3079C13F1" {
		t.Errorf("fingerprint %q", fp)
	}
	if got := fmt.Sprint(conf); got != "map[BridgeRelay:[0] HiddenServiceDir:[] ORPort:[9001 [::]:9001 IPv6Only] TestingTorNetwork:[0]]" {
		t.Errorf("the policy is given %s", got)
	}
}

func TestDemand(t *testing.T) {
	answers := plainTor()
	tor := startFake(t, func(c *fakeConn, command string) string {
		if strings.HasPrefix(command, "SETEVENTS ") && strings.Contains(command, "PT_LOG") {
			return "552 Unrecognized event \"PT_LOG\"\r\n"
		}
		return answers.answer(c, command)
	})
	s, _ := attached(t, tor, SourceOptions{})
	ctx := testContext(t)
	last := func() string {
		cmds := tor.commands(0)
		for i := len(cmds) - 1; ; i-- {
			if types, ok := strings.CutPrefix(cmds[i], "SETEVENTS "); ok {
				return event.NewSet(toTypes(types)...).Minus(event.NewSet(toTypes(always)...)).String()
			}
		}
	}
	begin := len(tor.commands(0))
	step := func(what string, owner uint64, types event.Set, want string, sent int) {
		t.Helper()
		before := len(tor.commands(0))
		if err := s.Want(ctx, owner, types); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if got := last(); got != want {
			t.Errorf("%s: beside the usual tor sends %q, want %q", what, got, want)
		}
		if n := len(tor.commands(0)) - before; n != sent {
			t.Errorf("%s: %d commands, want %d", what, n, sent)
		}
		if !s.Status().Subscribed.Equal(event.NewSet(toTypes(always + " " + want)...)) {
			t.Errorf("%s: status says %v", what, s.Status().Subscribed)
		}
	}
	step("what is subscribed already", 1, event.NewSet(event.BW, event.CIRC, event.JOURNAL), "", 0)
	step("DEBUG", 1, event.NewSet(event.BW, event.DEBUG), "DEBUG", 1)
	step("INFO by another", 2, event.NewSet(event.INFO), "DEBUG INFO", 1)
	step("the same again", 2, event.NewSet(event.INFO), "DEBUG INFO", 0)
	step("a type that tor does not list", 3, event.NewSet("SECRET"), "DEBUG INFO SECRET", 1)
	step("it stays while others come", 4, event.NewSet(event.NS), "DEBUG INFO NS SECRET", 1)
	step("the first one leaves", 1, event.Set{}, "INFO NS SECRET", 1)
	step("everything", 1, event.AllTypes(), "DEBUG INFO NS SECRET", 1)
	step("all leave", 1, event.Set{}, "INFO NS SECRET", 1)
	step("all leave", 3, event.Set{}, "INFO NS", 1)
	step("all leave", 4, event.Set{}, "INFO", 1)

	for _, c := range []struct {
		types event.Set
		want  string
		sent  int
	}{
		{event.NewSet(event.DEBUG, event.PT_LOG), "552 Unrecognized event \"PT_LOG\"\r\n", 1},
		{event.NewSet(event.AUTHDIR_NEWDESCS), "552 Unrecognized event \"AUTHDIR_NEWDESCS\"\r\n", 0},
	} {
		before := len(tor.commands(0))
		err := s.Want(ctx, 2, c.types)
		var refusal interface{ Reply() []byte }
		if !errors.As(err, &refusal) || string(refusal.Reply()) != c.want {
			t.Errorf("%v: %v, want %q", c.types, err, c.want)
		}
		if n := len(tor.commands(0)) - before; n != c.sent {
			t.Errorf("%v: %d commands sent", c.types, n)
		}
		if sub := s.Status().Subscribed; !sub.Equal(event.NewSet(toTypes(always + " INFO")...)) {
			t.Errorf("after the refusal of %v: subscribed to %v", c.types, sub)
		}
	}
	for _, cmd := range tor.commands(0)[begin:] {
		if strings.Contains(cmd, "AUTHDIR") || strings.Contains(cmd, "JOURNAL") {
			t.Errorf("tor was told %q", cmd)
		}
	}
}

// A demand from before tor was there is met when it comes, and what the next
// tor does not offer is left out.
func TestDemandAcrossLives(t *testing.T) {
	answers := plainTor()
	path := shortFolder(t) + "/control"
	sink := &memorySink{}
	s := newSource(t, SourceOptions{Addresses: []Address{{"unix", path}}, Sink: sink, sleep: brief})
	if err := s.Want(testContext(t), 1, event.NewSet(event.DEBUG, "SECRET")); err != nil {
		t.Fatal(err)
	}
	runSource(t, s)
	tor := startFakeAt(t, path, answers.answer)
	until(t, "the attachment", func() bool { return s.Status().Attached })
	if sub := s.Status().Subscribed; !sub.Has(event.DEBUG) || sub.Has("SECRET") {
		t.Errorf("subscribed: %v", sub)
	}
	tor.stop()
	until(t, "the loss", func() bool { return !s.Status().Attached })
	if err := s.Want(testContext(t), 2, event.NewSet(event.INFO)); err != nil {
		t.Fatal(err)
	}
	if err := s.Want(testContext(t), 1, event.Set{}); err != nil {
		t.Fatal(err)
	}
	startFakeAt(t, path, answers.answer)
	until(t, "the return", func() bool { return s.Status().Attached })
	if sub := s.Status().Subscribed; sub.Has(event.DEBUG) || !sub.Has(event.INFO) {
		t.Errorf("subscribed: %v", sub)
	}
}

// brief is a pause that tests need not wait for.
func brief(ctx context.Context, _ time.Duration) { sleep(ctx, time.Millisecond) }

// Waiting for tor to subscribe ends with its context; the connection does not.
func TestWantEndsWithItsContext(t *testing.T) {
	answers := plainTor()
	release := make(chan struct{})
	tor := startFake(t, func(c *fakeConn, command string) string {
		if strings.HasPrefix(command, "SETEVENTS") && strings.Contains(command, "DEBUG") {
			<-release
		}
		return answers.answer(c, command)
	})
	s, sink := attached(t, tor, SourceOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	for owner := range uint64(2) { // the second waits for the first
		if err := s.Want(ctx, owner, event.NewSet(event.DEBUG)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("owner %d: %v", owner, err)
		}
	}
	if err := s.Want(ctx, 0, event.Set{}); err == nil {
		t.Error("the demand was taken back while tor was busy, and nobody waited")
	}
	close(release)
	if err := s.Want(testContext(t), 1, event.NewSet(event.INFO)); err != nil {
		t.Fatal(err)
	}
	if sub := s.Status().Subscribed; sub.Has(event.DEBUG) || !sub.Has(event.INFO) {
		t.Errorf("subscribed %v", sub)
	}
	if !s.Status().Attached || sink.count("650 JOURNAL SOURCE_LOST") != 0 {
		t.Error("the connection to tor has ended")
	}
}

const consensus = "650+NEWCONSENSUS\r\nr a 1.2.3.4\r\ns Fast\r\n.\r\n650 OK\r\n"

// A consensus that nobody wants becomes a digest; while somebody does it is
// recorded whole.
func TestConsensus(t *testing.T) {
	tor := startFake(t, plainTor().answer)
	s, sink := attached(t, tor, SourceOptions{})
	tor.send("650 BW 1 1\r\n" + consensus + "650 BW 2 2\r\n")
	// printf 'r a 1.2.3.4\r\ns Fast\r\n' | sha256sum
	const want = "650 JOURNAL CONSENSUS SHA256=37f5411405f7e8b7ebc7eb8adbf0de52036dddf22a87d6492efbe4ca53778737 BYTES=21 " +
		"VALID_AFTER=2026-11-23T08:00:00 FRESH_UNTIL=2026-11-23T09:00:00 VALID_UNTIL=2026-11-23T11:00:00\r\n"
	until(t, "the digest", func() bool { return sink.find("650 JOURNAL CONSENSUS") != "" })
	if got := sink.find("650 JOURNAL CONSENSUS"); got != want {
		t.Errorf("%q, want\n%q", got, want)
	}
	if err := s.Want(testContext(t), 1, event.NewSet(event.NEWCONSENSUS)); err != nil {
		t.Fatal(err)
	}
	tor.send(consensus)
	until(t, "the consensus", func() bool { return sink.find("650+NEWCONSENSUS") == consensus })
	if sink.count("650 JOURNAL CONSENSUS") != 1 || sink.count("650 BW") != 2 {
		t.Errorf("the sink has %q", sink.all())
	}
}

// Tor does not say how long it is valid: the digest alone is journaled.
func TestConsensusOfUnknownValidity(t *testing.T) {
	answers := plainTor()
	answers["GETINFO consensus/"] = "551 Could not open cached consensus\r\n"
	tor := startFake(t, answers.answer)
	_, sink := attached(t, tor, SourceOptions{})
	tor.send(consensus)
	until(t, "the digest", func() bool { return sink.find("650 JOURNAL CONSENSUS") != "" })
	if got := sink.find("650 JOURNAL CONSENSUS"); !strings.HasSuffix(got, " BYTES=21\r\n") {
		t.Errorf("%q", got)
	}
}

// Of a relay's bandwidth the sum over each UTC day is recorded; the seconds
// are delivered only. A loss of tor does not split the day.
func TestDailyBandwidth(t *testing.T) {
	var mu sync.Mutex
	now := time.Date(2026, 11, 23, 23, 59, 58, 0, time.UTC)
	tor := startFake(t, plainTor().answer)
	sink := &memorySink{}
	s := newSource(t, SourceOptions{
		Addresses: []Address{tor.address()}, Sink: sink, sleep: brief,
		Policy: func(map[string][]string) (Policy, error) { return relayLike{keepAll{"relay"}}, nil },
		now:    func() time.Time { mu.Lock(); defer mu.Unlock(); return now },
	})
	stop := runSource(t, s)
	seen := 0
	bw := func(read int) {
		t.Helper()
		until(t, "the attachment", func() bool { return s.Status().Attached })
		seen++
		tor.send(fmt.Sprintf("650 BW %d 1\r\n", read))
		until(t, "BW", func() bool { return sink.count("650 BW") == seen })
	}
	bw(10)
	tor.drop()
	until(t, "the loss", func() bool { return sink.count("650 JOURNAL SOURCE_LOST") == 1 })
	bw(20)
	if sink.count("650 JOURNAL BANDWIDTH") != 0 {
		t.Error("a sum before the day was over")
	}
	mu.Lock()
	now = now.Add(2 * time.Second)
	mu.Unlock()
	bw(5)
	if got := sink.find("650 JOURNAL BANDWIDTH"); got != "650 JOURNAL BANDWIDTH DATE=2026-11-23 READ=30 WRITTEN=2 SECONDS=2\r\n" {
		t.Errorf("%q", got)
	}
	bw(6)
	stop()
	if got := sink.find("650 JOURNAL BANDWIDTH"); got != "650 JOURNAL BANDWIDTH DATE=2026-11-24 READ=11 WRITTEN=2 SECONDS=2\r\n" {
		t.Errorf("at the end: %q", got)
	}
	for i, w := range sink.all() {
		if strings.HasPrefix(w, "650 BW") && !sink.live[i] {
			t.Errorf("%q is recorded", w)
		}
	}
}

// A role that records BW has no sums.
func TestNoDailyBandwidth(t *testing.T) {
	tor := startFake(t, plainTor().answer)
	s, sink := attached(t, tor, SourceOptions{})
	tor.send("650 BW 1 2\r\n")
	until(t, "BW", func() bool { return sink.count("650 BW") == 1 })
	s.endDay(testContext(t))
	if got := sink.find("650 JOURNAL BANDWIDTH"); got != "" {
		t.Error(got)
	}
}

// The loss is told before Lost says it, with its reason and tor's age; what
// returns is the same process or another one.
func TestLossAndReturn(t *testing.T) {
	for reason, fault := range map[string]func(*fakeTor){
		"CLOSED":    (*fakeTor).drop,
		"MALFORMED": func(f *fakeTor) { f.send("650 BW 1 2\r\nHTTP/1.0 200 OK\r\n") },
	} {
		tor := startFake(t, plainTor().answer)
		sink := &memorySink{}
		var mu sync.Mutex
		now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
		forward := func(d time.Duration) { mu.Lock(); now = now.Add(d); mu.Unlock() }
		s := newSource(t, SourceOptions{
			Addresses: []Address{tor.address()}, Sink: sink,
			now:   func() time.Time { mu.Lock(); defer mu.Unlock(); return now },
			sleep: func(ctx context.Context, _ time.Duration) { forward(1500 * time.Millisecond); brief(ctx, 0) },
		})
		runSource(t, s)
		until(t, "the snapshot", func() bool { return sink.count("650+JOURNAL SNAPSHOT") == 1 })
		lost := s.Lost()
		if isClosed(lost) {
			t.Fatal("lost while attached")
		}
		forward(time.Minute)
		fault(tor)
		await(t, "the loss", lost)
		if got, want := sink.find("650 JOURNAL SOURCE_LOST"), "650 JOURNAL SOURCE_LOST REASON="+reason+" UPTIME=660\r\n"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		until(t, "the return", func() bool { return sink.count("650+JOURNAL SNAPSHOT") == 2 })
		want := "650 JOURNAL SOURCE_RESTORED SESSION=1 CONTINUED=1 ROLE=client VERSION=0.4.9.11 DOWN_MS=1500\r\n"
		if got := sink.find("650 JOURNAL SOURCE_RESTORED"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if reason == "MALFORMED" && sink.find("650 BW 1 2") == "" {
			t.Error("the event before the fault is lost")
		}
		if isClosed(s.Lost()) {
			t.Error("Lost is closed after the return")
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}
func (b *lockedBuffer) String() string { b.mu.Lock(); defer b.mu.Unlock(); return b.b.String() }

// What cannot be mended by waiting is tried for ever all the same, shown by
// the status and logged once; with FailFast Run gives up.
func TestWrongPassword(t *testing.T) {
	tor := startFake(t, expects(protocolInfo("HASHEDPASSWORD", ""), `"right"`))
	opt := SourceOptions{
		Addresses: []Address{tor.address()}, Sink: &memorySink{}, sleep: brief,
		Credentials: Credentials{Password: "wrong", HasPassword: true},
	}
	var log lockedBuffer
	opt.Logger = slog.New(slog.NewTextHandler(&log, nil))
	s := newSource(t, opt)
	stop := runSource(t, s)
	until(t, "five attempts", func() bool { return len(tor.commands(4)) == 2 })
	if st := s.Status(); st.Attached || !strings.Contains(st.LastError, "the password is wrong") || !strings.Contains(st.LastError, tor.address().String()) {
		t.Errorf("status %+v", st)
	}
	if _, err := s.Open(testContext(t)); !errors.Is(err, ErrDetached) || !strings.Contains(err.Error(), "the password is wrong") {
		t.Errorf("Open: %v", err)
	}
	await(t, "Lost", s.Lost())
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, log.String())
	}
	stop()

	opt.FailFast = true
	err := newSource(t, opt).Run(testContext(t))
	if !errors.Is(err, ErrCredentials) || !strings.Contains(err.Error(), "the password is wrong") {
		t.Errorf("FailFast: %v", err)
	}
	if n := strings.Count(log.String(), "wrong "); n > 2 && strings.Contains(log.String(), "\"wrong\"") {
		t.Errorf("the password is in the log:\n%s", log.String())
	}
}

// A control port that is torjournal's own is not recorded: it would record
// what it serves.
func TestAttachToTorjournal(t *testing.T) {
	answers := plainTor()
	answers["GETINFO events/names"] = "250-events/names=" + eventsNames + " JOURNAL\r\n250 OK\r\n"
	tor := startFake(t, answers.answer)
	good := startFake(t, plainTor().answer)
	sink := &memorySink{}
	s := newSource(t, SourceOptions{Addresses: []Address{tor.address()}, Sink: sink, sleep: brief})
	runSource(t, s)
	until(t, "the refusal", func() bool { return strings.Contains(s.Status().LastError, "torjournal, not a tor") })

	both := newSource(t, SourceOptions{Addresses: []Address{tor.address(), good.address()}, Sink: sink, sleep: brief})
	runSource(t, both)
	until(t, "the next address", func() bool { return both.Status().Address == good.address() })
}

// What keeps a source from attaching is said, and tried again.
func TestAttachFailures(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(script, *memorySink, *SourceOptions)
		want   string
	}{
		{"no events/names", func(s script, _ *memorySink, _ *SourceOptions) { s["GETINFO events/names"] = "552 no\r\n" }, "ask what events there are: tor refuses GETINFO: 552 no"},
		{"no GETCONF", func(s script, _ *memorySink, _ *SourceOptions) { s["GETCONF"] = "510 Command filtered\r\n" }, "which role it has: tor refuses GETCONF: 510"},
		{"no SETEVENTS", func(s script, _ *memorySink, _ *SourceOptions) { s["SETEVENTS"] = "552 no\r\n" }, "subscribe: tor refuses SETEVENTS: 552"},
		{"the journal fails", func(_ script, m *memorySink, _ *SourceOptions) { m.begin = errors.New("disk full") }, "journal the attachment: disk full"},
		{"a bad policy", func(_ script, _ *memorySink, o *SourceOptions) {
			o.Policy = func(map[string][]string) (Policy, error) { return nil, errors.New("no such role") }
		}, "choose the role: no such role"},
		{"it hangs up", func(s script, _ *memorySink, _ *SourceOptions) { s["GETCONF"] = "\r\n" }, "not the Tor control protocol"},
	} {
		answers, sink := plainTor(), &memorySink{}
		opt := SourceOptions{Sink: sink, sleep: brief}
		c.change(answers, sink, &opt)
		tor := startFake(t, answers.answer)
		opt.Addresses = []Address{tor.address()}
		s := newSource(t, opt)
		stop := runSource(t, s)
		until(t, "two attempts", func() bool { return len(tor.commands(1)) > 2 })
		until(t, c.name, func() bool { return strings.Contains(s.Status().LastError, c.want) })
		stop()
		if starts, losses := sink.count("650 JOURNAL START"), sink.count("650 JOURNAL SOURCE_LOST"); starts > 1 || c.name != "no SETEVENTS" && starts+losses != 0 {
			t.Errorf("%s: %d times START, %d SOURCE_LOST", c.name, starts, losses)
		}
	}
}

// A sink that takes nothing stops the reading; tor keeps what it has to say,
// and Run still ends when it is told to.
func TestSinkBlocks(t *testing.T) {
	tor := startFake(t, plainTor().answer)
	s, sink := attached(t, tor, SourceOptions{})
	block := make(chan struct{})
	sink.mu.Lock()
	sink.block = block
	sink.mu.Unlock()
	var sent sync.WaitGroup
	done := make(chan struct{})
	sent.Go(func() {
		defer close(done)
		for range 100 {
			tor.send(strings.Repeat("650 BW 1 2\r\n", 1000))
		}
	})
	select {
	case <-done:
		t.Error("everything was read although the journal took nothing")
	case <-time.After(200 * time.Millisecond):
	}
	if !s.Status().Attached {
		t.Error("a blocked sink is no loss of tor")
	}
	close(block)
	await(t, "the events", done)
	until(t, "the events in the sink", func() bool { return sink.count("650 BW") == 100_000 })
	sent.Wait()
}

// Run ends when it is told to, also while the sink takes nothing and tor says
// no end of things.
func TestEndWhileTheSinkBlocks(t *testing.T) {
	tor := startFake(t, plainTor().answer)
	sink := &memorySink{}
	s := newSource(t, SourceOptions{Addresses: []Address{tor.address()}, Sink: sink})
	stop := runSource(t, s)
	until(t, "the snapshot", func() bool { return sink.find("650+JOURNAL SNAPSHOT") != "" })
	sink.mu.Lock()
	sink.block = make(chan struct{})
	sink.mu.Unlock()
	tor.send(strings.Repeat("650 BW 1 2\r\n", 1000))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Want(ctx, 1, event.NewSet(event.DEBUG)); err == nil {
		t.Error("a reply passed the events before it")
	}
	stop()
	await(t, "Lost", s.Lost())
	if n := sink.count("650 JOURNAL SOURCE_LOST"); n != 0 {
		t.Error("the end of the recorder is no loss of tor")
	}
}

// The pauses between attempts double from 100 ms to the cap, and begin anew
// after a life that lasted.
func TestSupervision(t *testing.T) {
	var pauses []time.Duration
	lasted := []time.Duration{0, 0, 0, 0, 0, 0, 0, time.Hour, 0, time.Second, 3 * time.Second}
	n := 0
	ctx, cancel := context.WithCancel(t.Context())
	err := supervisor{
		live: func(context.Context) (time.Duration, error) {
			if n++; n > len(lasted) {
				cancel()
				return 0, nil
			}
			return lasted[n-1], errors.New("lost")
		},
		sleep:  func(_ context.Context, d time.Duration) { pauses = append(pauses, d) },
		jitter: func() float64 { return 0.5 },
		cap:    localRetryCap,
	}.run(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	if got := fmt.Sprint(pauses); got != "[100ms 200ms 400ms 800ms 1.6s 2s 2s 100ms 200ms 400ms 100ms]" {
		t.Errorf("pauses %s", got)
	}
	for _, j := range []float64{0, 0.999} {
		var pause time.Duration
		ctx, cancel := context.WithCancel(t.Context())
		_ = supervisor{
			live:   func(context.Context) (time.Duration, error) { return 0, errors.New("x") },
			sleep:  func(_ context.Context, d time.Duration) { pause = d; cancel() },
			jitter: func() float64 { return j },
			cap:    localRetryCap,
		}.run(ctx)
		if pause < 90*time.Millisecond || pause > 110*time.Millisecond {
			t.Errorf("jitter %v: a pause of %v", j, pause)
		}
	}
	if retryCap(UsualPlaces()) != 2*time.Second || retryCap([]Address{{"tcp", "10.0.0.1:9051"}}) != time.Minute {
		t.Error("the caps are 2 s on this machine and a minute elsewhere")
	}
}
