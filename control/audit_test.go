package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"torjournal/tor/event"
)

// notebook is a Recorder that a test reads.
type notebook struct {
	log *memory // events arrive there too, if it is not nil

	mu    sync.Mutex
	lines []string
	fault error // of Record
}

func (n *notebook) Offer(ev event.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, strings.TrimSuffix(string(ev.Format()), "\r\n"))
	if n.log != nil {
		n.log.arrive(time.Time{}, string(ev.Format()))
	}
}

func (n *notebook) Record(ctx context.Context, ev event.Event) error {
	if n.fault == errSlowMark {
		<-ctx.Done()
		return ctx.Err()
	}
	if n.fault == nil {
		n.Offer(ev)
	}
	return n.fault
}

var varying = regexp.MustCompile(`MS=[0-9]+\.[0-9]{3}|127\.0\.0\.1:[0-9]+`)

// all returns what has been recorded, times and ports left out.
func (n *notebook) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []string
	for _, l := range n.lines {
		out = append(out, varying.ReplaceAllStringFunc(l, func(s string) string { return s[:3] }))
	}
	return out
}

func (n *notebook) expect(t *testing.T, want ...string) {
	t.Helper()
	until(t, "the events", func() bool { return len(n.all()) >= len(want) })
	if got := n.all(); !slices.Equal(got, want) {
		t.Errorf("recorded\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func withNotebook(n *notebook) func(*Options) { return func(o *Options) { o.Writes = n } }

// The number of a circuit that a command makes is known from the answer, however
// that comes.
func TestAuditTellsWhichCircuitWasMade(t *testing.T) {
	for _, tt := range []struct{ command, reply, want string }{
		{"EXTENDCIRCUIT 0 purpose=general", "250 EXTENDED 39\r\n", " CIRCUIT=39"},
		{"extendcircuit  0", "250 EXTENDED 18446744073709551\r\n", " CIRCUIT=18446744073709551"},
		{"EXTENDCIRCUIT 39 relay3", "250 EXTENDED 39\r\n", ""}, // it is in ARGS
		{"EXTENDCIRCUIT 0", "551 Couldn't start circuit\r\n", ""},
		{"EXTENDCIRCUIT 0", "250 EXTENDED x\r\n", ""},
		{"EXTENDCIRCUIT 0", "250 EXTENDED \r\n", ""},
		{"EXTENDCIRCUIT", "512 Missing argument\r\n", ""},
		{"SIGNAL 0", "250 EXTENDED 39\r\n", ""},
	} {
		for _, part := range []int{1, 2, 5, 14, len(tt.reply)} {
			n := &notebook{}
			a := &audit{conn: &conn{id: 1, srv: &Server{writes: n}}}
			verb, args, _ := strings.Cut(tt.command, " ")
			d := a.deed(command{verb: strings.ToUpper(verb), args: strings.TrimSpace(args)})
			d.n = "1"
			w := d.of(io.Discard)
			for chunk := range slices.Chunk([]byte(tt.reply), part) {
				if _, err := w.Write(chunk); err != nil {
					t.Fatal(err)
				}
			}
			d.end()
			want := "650 JOURNAL COMMAND PHASE=DONE CONN=1 N=1 VERB=" + strings.ToUpper(verb) + " CODE=" + tt.reply[:3] + " MS=" + tt.want
			if got := n.all(); len(got) != 1 || got[0] != want {
				t.Errorf("%s, answered %q: %q, not %q", tt.command, tt.reply, got, want)
			}
		}
	}
}

// TestAudit: a command that changes something is there before its answer, and
// again after it; others are counted.
func TestAudit(t *testing.T) {
	n := &notebook{}
	r := newRig(t, Access{NoAuth: true}, withNotebook(n))
	r.tor.began, r.tor.answer = make(chan struct{}), make(chan struct{})
	p := r.login()
	p.send("signal newnym\r\n")
	<-r.tor.began
	sent := "650 JOURNAL COMMAND PHASE=SENT CONN=1 N=1 PEER=127 VERB=SIGNAL ARGS=newnym"
	n.expect(t, sent) // tor has not answered
	r.tor.answer <- struct{}{}
	p.expect("250 OK")
	done := "650 JOURNAL COMMAND PHASE=DONE CONN=1 N=1 VERB=SIGNAL CODE=250 MS="
	n.expect(t, sent, done)
	for range 3 {
		p.send("GETINFO version\r\n")
		<-r.tor.began
		r.tor.answer <- struct{}{}
		p.expect("250-version=0.4.9.11", "250 OK")
	}
	p.send("SETEVENTS BW\r\n")
	p.expect("250 OK")
	p.send("FROBNICATE hunter2\r\n") // who knows what a newer tor does then
	<-r.tor.began
	r.tor.answer <- struct{}{}
	p.expect(`510 Unrecognized command "FROBNICATE"`)
	p.send("QUIT\r\n")
	p.expect("250 closing connection")
	p.closed()
	n.expect(t, sent, done,
		"650 JOURNAL COMMAND PHASE=SENT CONN=1 N=2 PEER=127 VERB=OTHER ARGS=[scrubbed]",
		"650 JOURNAL COMMAND PHASE=DONE CONN=1 N=2 VERB=OTHER CODE=510 MS=",
		"650 JOURNAL COMMAND PHASE=COUNT CONN=1 PEER=127 COUNT=4 VERBS=GETINFO:3,SETEVENTS:1")
}

// TestAuditOfStrangers: who has not authenticated leaves nothing.
func TestAuditOfStrangers(t *testing.T) {
	n := &notebook{}
	r := newRig(t, Access{HashedPasswords: []string{fooHash}}, withNotebook(n))
	p := r.dial()
	p.send("PROTOCOLINFO 1\r\nSIGNAL HALT\r\n")
	p.expect("250-PROTOCOLINFO 1", "250-AUTH METHODS=HASHEDPASSWORD", `250-VERSION Tor="0.4.9.11"`, "250 OK", "514 Authentication required.")
	p.closed()
	p = r.dial()
	p.send("AUTHENTICATE \"foo\"\r\nSIGNAL HUP\r\n")
	p.expect("250 OK", "250 OK")
	n.expect(t, "650 JOURNAL COMMAND PHASE=SENT CONN=2 N=1 PEER=127 VERB=SIGNAL ARGS=HUP",
		"650 JOURNAL COMMAND PHASE=DONE CONN=2 N=1 VERB=SIGNAL CODE=250 MS=")
}

// TestAuditOfUnanswered: where tor ends before its answer, there is no DONE.
func TestAuditOfUnanswered(t *testing.T) {
	n := &notebook{}
	r := newRig(t, Access{NoAuth: true}, withNotebook(n))
	r.tor.early = []byte("250-a=1\r\n")
	p := r.login()
	p.send("DIE\r\n")
	p.expect("250-a=1")
	p.closed()
	until(t, "the connection to end", func() bool { return len(r.srv.Connections()) == 0 })
	n.expect(t, "650 JOURNAL COMMAND PHASE=SENT CONN=1 N=1 PEER=127 VERB=OTHER")

	r.tor.lose() // and what was never forwarded was not sent
	p = r.login()
	p.send("SIGNAL HUP\r\n")
	p.line()
	p.closed()
	until(t, "the connection to end", func() bool { return len(r.srv.Connections()) == 0 })
	if got := n.all(); len(got) != 1 {
		t.Errorf("recorded %q", got)
	}
}

// TestAuditDelaysNothing: the reply goes although the event that tells of the
// command is not committed.
func TestAuditDelaysNothing(t *testing.T) {
	var told bytes.Buffer
	n := &notebook{}
	r := newRig(t, Access{NoAuth: true, History: true}, withNotebook(n), func(o *Options) {
		o.Logger = slog.New(slog.NewTextHandler(&told, nil))
		o.cause = time.Hour // however slow this machine is
	})
	n.log = r.log
	p := r.subscriber("JOURNAL CONF_CHANGED")
	r.log.holdCommits(true)
	p.send("SETCONF DisableNetwork=1\r\n")
	p.expect("250 OK")
	n.expect(t, "650 JOURNAL COMMAND PHASE=SENT CONN=1 N=1 PEER=127 VERB=SETCONF ARGS=DisableNetwork=1",
		"650 JOURNAL COMMAND PHASE=DONE CONN=1 N=1 VERB=SETCONF CODE=250 MS=")
	r.log.publish()
	p.line()
	p.line()
	p.sock.Close()
	until(t, "the connection to end", func() bool { return len(r.srv.Connections()) == 0 })
	if told.Len() > 0 {
		t.Errorf("the reply waited: %s", told.String())
	}
}

// TestAuditCountsByTheMinute goes through a bubble's minutes.
func TestAuditCountsByTheMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &notebook{}
		s := NewServer(Options{Writes: n})
		a := &audit{conn: &conn{srv: s, id: 7}, peer: []string{"PEER", "unix"}}
		a.count("GETINFO")
		time.Sleep(59 * time.Second)
		a.count("GETCONF")
		synctest.Wait()
		if got := n.all(); len(got) > 0 {
			t.Errorf("before the minute was over: %q", got)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		time.Sleep(time.Hour) // nothing more
		a.count("GETINFO")
		a.end()
		a.end()
		time.Sleep(time.Hour)
		n.expect(t, "650 JOURNAL COMMAND PHASE=COUNT CONN=7 PEER=unix COUNT=2 VERBS=GETCONF:1,GETINFO:1",
			"650 JOURNAL COMMAND PHASE=COUNT CONN=7 PEER=unix COUNT=1 VERBS=GETINFO:1")
	})
}

// TestAuditNamesProcess: on a Unix socket the kernel says who it is.
func TestAuditNamesProcess(t *testing.T) {
	n := &notebook{}
	ln, err := Listen(t.Context(), "unix:"+filepath.Join(t.TempDir(), "s"), "")
	if err != nil {
		t.Fatal(err)
	}
	r := newRigOn(t, ln, Access{NoAuth: true}, withNotebook(n))
	p := r.login()
	p.send("SIGNAL HUP\r\n")
	p.expect("250 OK")
	n.expect(t, fmt.Sprintf("650 JOURNAL COMMAND PHASE=SENT CONN=1 N=1 PEER=unix UID=%d PID=%d VERB=SIGNAL ARGS=HUP", os.Getuid(), os.Getpid()),
		"650 JOURNAL COMMAND PHASE=DONE CONN=1 N=1 VERB=SIGNAL CODE=250 MS=")
}

func TestMark(t *testing.T) {
	now := time.Unix(1e9, 0)
	var mu sync.Mutex
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	n := &notebook{}
	r := newRig(t, Access{NoAuth: true}, withNotebook(n), func(o *Options) { o.now = clock })
	p := r.login()
	say := func(cmd, want string) {
		t.Helper()
		p.send(cmd + "\r\n")
		if got := strings.TrimRight(p.line(), "\r\n"); got != want {
			t.Errorf("%.60s\n got %s\nwant %s", cmd, got, want)
		}
	}
	const grammar = `512 JOURNAL MARK takes one text in double quotes; inside it \" stands for a quote and \\ for a backslash`
	for cmd, want := range map[string]string{
		"JOURNAL":                           `512 There is only JOURNAL MARK "text"`,
		"JOURNAL MARKS \"a\"":               `512 There is only JOURNAL MARK "text"`,
		"JOURNAL MARK":                      grammar,
		"JOURNAL MARK a":                    grammar,
		`JOURNAL MARK "a`:                   grammar,
		`JOURNAL MARK "a" "b"`:              grammar,
		`JOURNAL MARK "a" b`:                grammar,
		`JOURNAL MARK ""`:                   "512 JOURNAL MARK needs a text that is not empty",
		"JOURNAL MARK \"\xff\"":             "512 The text of JOURNAL MARK is no UTF-8",
		`JOURNAL MARK "` + long(1025) + `"`: "512 The text of JOURNAL MARK has 1025 bytes, and may have 1024",
	} {
		say(cmd, want)
	}
	n.expect(t)
	say(`journal mark "trial 7: \"é\", C:\\x"`, "250 OK")
	n.expect(t, `650 JOURNAL MARK CONN=1 PEER=127 TEXT="trial 7: \"é\", C:\\x"`)
	for range marksAtOnce - 1 {
		say(`JOURNAL MARK "`+long(maxMark)+`"`, "250 OK")
	}
	other := r.login() // the limit is for all together
	other.send("JOURNAL MARK \"x\"\r\n")
	other.expect("451 Too many marks: 60 at once, then one every 1s; the next in 1000 ms")
	mu.Lock()
	now = now.Add(-time.Hour) // the clock is put back: that gives no more, and costs no more
	mu.Unlock()
	say(`JOURNAL MARK "x"`, "250 OK")

	n.fault = errors.New("the disk is full")
	say(`JOURNAL MARK "x"`, "451 The mark is not in the journal: the disk is full")
}

func long(n int) string { return strings.Repeat("x", n) }

// TestAuditAllowance: a controller in a loop is recorded up to its allowance,
// and counted beyond; nothing is neither. Others are recorded as ever.
func TestAuditAllowance(t *testing.T) {
	const sent = 7000
	n := &notebook{}
	now := time.Now()
	r := newRig(t, Access{NoAuth: true}, withNotebook(n), func(o *Options) { o.now = func() time.Time { return now } }) // no time passes
	mad, calm := r.login(), r.login()
	go func() { _, _ = io.WriteString(mad.sock, strings.Repeat("SIGNAL NEWNYM\r\n", sent)) }()
	for range sent {
		mad.expect("250 OK")
	}
	mad.send("QUIT\r\n")
	mad.expect("250 closing connection")
	mad.closed()
	calm.send("SIGNAL HUP\r\n")
	calm.expect("250 OK")
	until(t, "the calm one's answer to be recorded", func() bool {
		return strings.Contains(n.all()[len(n.all())-1], "PHASE=DONE CONN=2")
	})
	r.srv.leftOut.tell()
	r.srv.leftOut.tell() // there is nothing more
	phases := map[string]int{}
	var last string
	for _, line := range n.all() {
		phase, _, _ := strings.Cut(strings.TrimPrefix(line, "650 JOURNAL COMMAND PHASE="), " ")
		phases[phase]++
		last = line
	}
	whole := phases["SENT"] - 1
	if whole < 3500 || whole > 6000 || phases["DONE"] != phases["SENT"] || phases["LEFT_OUT"] != 1 {
		t.Errorf("recorded: %v", phases)
	}
	want := fmt.Sprintf("650 JOURNAL COMMAND PHASE=LEFT_OUT COUNT=%d VERBS=SIGNAL:%[1]d CONNS=1 CONN=1 PEER=127", sent-whole)
	if last != want {
		t.Errorf("told %s\nwant %s", last, want)
	}
}

// TestAuditAllowanceOfAll: connections that come again and again have one
// allowance together, and what they only ask is counted too.
func TestAuditAllowanceOfAll(t *testing.T) {
	n := &notebook{}
	now := time.Now()
	r := newRig(t, Access{NoAuth: true}, withNotebook(n), func(o *Options) { o.now = func() time.Time { return now } })
	r.srv.deeds.take(deedTime(allDeedsBurst-400, allDeedsRate))
	for range 3 {
		p := r.login()
		p.send("SIGNAL NEWNYM\r\nFROBNICATE\r\nGETINFO version\r\nQUIT\r\n")
		p.expect("250 OK", `510 Unrecognized command "FROBNICATE"`, "250-version=0.4.9.11", "250 OK", "250 closing connection")
		p.sock.Close()
		until(t, "it to be gone", func() bool { return len(r.srv.Connections()) == 0 })
	}
	r.end() // what is left is told when the server ends
	n.expect(t, "650 JOURNAL COMMAND PHASE=SENT CONN=1 N=1 PEER=127 VERB=SIGNAL ARGS=NEWNYM",
		"650 JOURNAL COMMAND PHASE=DONE CONN=1 N=1 VERB=SIGNAL CODE=250 MS=",
		"650 JOURNAL COMMAND PHASE=LEFT_OUT COUNT=8 VERBS=GETINFO:3,OTHER:3,SIGNAL:2 CONNS=3 CONN=1 PEER=127")
}

// TestAllowance: so much at once, and then what time brings back.
func TestAllowance(t *testing.T) {
	now := time.Unix(1e9, 0)
	a := allowance{now: func() time.Time { return now }, burst: 10 * time.Second}
	for _, tt := range []struct {
		later, cost, wait time.Duration
	}{
		{0, 6 * time.Second, 0},
		{0, 5 * time.Second, time.Second},
		{0, 4 * time.Second, 0}, // what was refused has taken nothing
		{time.Second, 2 * time.Second, time.Second},
		{time.Second, 2 * time.Second, 0},
		{time.Hour, 11 * time.Second, time.Second}, // no more than burst
		{0, 10 * time.Second, 0},
		{-time.Hour, 10 * time.Second, 0}, // the clock was put back
		{0, 1, 1},
	} {
		now = now.Add(tt.later)
		if got := a.take(tt.cost); got != tt.wait {
			t.Errorf("%v later %v: wait %v, want %v", tt.later, tt.cost, got, tt.wait)
		}
	}
}
