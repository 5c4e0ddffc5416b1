package controlport

import (
	"bytes"
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

// A policy that wants to know more of the configuration is told, and what the
// sink learns of the source is what Describe leaves.
func TestSourceIsDescribed(t *testing.T) {
	answers := plainTor()
	answers["GETCONF"] = "250-ORPort\r\n250-BridgeRelay=0\r\n250-TestingTorNetwork=0\r\n250-HiddenServiceDir\r\n250 Bridge=192.0.2.1:5\r\n"
	tor := startFake(t, answers.answer)
	var conf map[string][]string
	_, sink := attached(t, tor, SourceOptions{
		Options: []string{"Bridge"},
		Policy: func(c map[string][]string) (Policy, error) {
			conf = c
			return keepAll{"client"}, nil
		},
		Describe: func(src event.Source) event.Source {
			src.Fingerprint, src.Scrub = "other", "key"
			return src
		},
	})
	if got, want := tor.commands(0)[3], "GETCONF ORPort BridgeRelay TestingTorNetwork HiddenServiceDir Bridge"; got != want {
		t.Errorf("tor was asked %q, want %q", got, want)
	}
	if got := conf["Bridge"]; !slices.Equal(got, []string{"192.0.2.1:5"}) {
		t.Errorf("the policy was told of the bridges %q", got)
	}
	sink.mu.Lock()
	src := sink.sessions[0]
	sink.mu.Unlock()
	if src.Fingerprint != "other" || src.Scrub != "key" || src.Version != "0.4.9.11" {
		t.Errorf("the sink was told of %+v", src)
	}
	if !strings.Contains(sink.find("650 JOURNAL START"), " SCRUB=key ") {
		t.Errorf("the greeting does not say that what follows is scrubbed: %q", sink.all())
	}
}

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
		"GETINFO version process/pid uptime",
		"GETINFO fingerprint",
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

// The state is recorded again and again, so that no later moment is far from
// one that is known, until tor is lost.
func TestSnapshotsFollow(t *testing.T) {
	tor := startFake(t, plainTor().answer)
	_, sink := attached(t, tor, SourceOptions{snapshotEvery: time.Millisecond})
	until(t, "more snapshots", func() bool { return sink.count("650+JOURNAL SNAPSHOT AGAIN=1\r\n250-version=") >= 3 })
	tor.send("650 BW 1 2\r\n")
	until(t, "an event", func() bool { return sink.find("650 BW 1 2") != "" })
	asked := 0
	for _, c := range tor.commands(0) {
		if strings.Contains(c, "bw-event-cache") {
			asked++
		}
	}
	if asked != 1 {
		t.Errorf("tor was asked %d times for the bandwidth of before", asked)
	}
	if sink.count("650+JOURNAL SNAPSHOT\r\n") != 1 {
		t.Error("the first snapshot is not the only one that is called the first")
	}
}

// What tor does not tell is left out, key by key.
func TestRefusedKeys(t *testing.T) {
	answers := plainTor()
	for begin := range answers {
		if strings.HasPrefix(begin, "GETINFO ") && begin != "GETINFO events/names" {
			answers[begin] = "551 not now\r\n"
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
	answers["GETINFO fingerprint"] = "250-fingerprint=51406DE6F7355A679A9B4F95AC06B3A3079C13F1\r\n250 OK\r\n"
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

// A demand from before tor was there is met when it comes, and what the next
// tor does not offer is left out.
// brief is a pause that tests need not wait for.
// Waiting for tor to subscribe ends with its context; the connection does not.
// A consensus that nobody wants becomes a digest; while somebody does it is
// recorded whole.
// Tor does not say how long it is valid: the digest alone is journaled.
// Of a relay's bandwidth the sum over each UTC day is recorded; the seconds
// are delivered only. A loss of tor does not split the day.
// A role that records BW has no sums.
// The loss is told before Lost says it, with its reason and tor's age; what
// returns is the same process or another one.
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

	// One without a tor cannot say what events there are.
	answers = plainTor()
	answers["GETINFO events/names"] = noTor + "no tor is attached\r\n"
	lone := startFake(t, answers.answer)
	s = newSource(t, SourceOptions{Addresses: []Address{lone.address()}, Sink: sink, sleep: brief})
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
// Run ends when it is told to, also while the sink takes nothing and tor says
// no end of things.
// The pauses between attempts double from 100 ms to the cap, and begin anew
// after a life that lasted.
