package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/tor/controlport"
	"torjournal/tor/event"
)

// tail --control: an ordinary controller, of a tor or of a torjournal. Of a
// torjournal it learns each event's number; where it may read history too, it
// goes on behind the last one that it has seen when a connection is lost. A
// tor does not tell what happened meanwhile.

// seldomWanted are events that are not asked for unless they are named: they
// are many or large, and a torjournal records them only while somebody asks.
var seldomWanted = event.NewSet(event.DEBUG, event.INFO, event.NS, event.NEWCONSENSUS, event.HS_DESC_CONTENT,
	event.CONN_BW, event.CELL_STATS, event.AUTHDIR_NEWDESCS)

const (
	// lookBack is how many records before the newest one are looked through
	// for the last ones to begin with.
	lookBack = 10_000

	// portTime bounds what it takes to be attached.
	portTime = 30 * time.Second

	// Pauses between attempts to attach double from the first to the longest.
	firstPause = 100 * time.Millisecond
	longPause  = 2 * time.Second
)

// portTail follows a control port.
type portTail struct {
	program
	addr  controlport.Address
	cred  controlport.Credentials
	tls   *tls.Config // nil: the port is not encrypted
	zstd  bool        // what comes shall be compressed
	lines int         // records to begin with
	must  bool        // … which the user has asked for
	been  bool        // it was attached before
	shown
}

func (p program) tailPort(c *cli.Context, out *recordPrinter, events *pick) error {
	addr, err := controlport.ParseAddress(c.String("control"))
	if err != nil {
		return usagef("--control: %w", err)
	}
	if c.String("journal") != "" || c.String("name") != "" {
		return usagef("--control says which control port, --journal and --name which journal: give one of them")
	}
	if c.Int("lines") > lookBack {
		return usagef("-n %d: at most %d with --control", c.Int("lines"), lookBack)
	}
	secure, err := tlsConfig(c, addr)
	if err != nil {
		return err
	}
	t := &portTail{
		tls: secure, zstd: c.Bool("control-zstd"),
		program: p, addr: addr, lines: c.Int("lines"), must: c.IsSet("lines") && c.Int("lines") > 0,
		cred: controlport.Credentials{
			Password: c.String("control-password"), HasPassword: c.IsSet("control-password"), CookieFile: c.String("control-cookie"),
		},
		shown: shown{program: p, out: out, events: events},
	}
	defer t.flush()
	return t.run(c.Context)
}

// hopeless is about what another attempt would not change.
type hopeless struct{ error }

// run attaches again and again.
func (t *portTail) run(ctx context.Context) error {
	told := ""
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		began := t.now()
		attached, err := t.live(ctx)
		var vain *hopeless
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case t.err != nil:
			return t.err
		case errors.As(err, &vain):
			return vain.error
		case attached && t.now().Sub(began) > longPause:
			pause = firstPause
		}
		if why := strings.TrimPrefix(err.Error(), "controlport: "); attached || why != told {
			t.say("%s; trying again", printable(why))
			told = why
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// live attaches and shows events until the connection ends.
func (t *portTail) live(ctx context.Context) (attached bool, err error) {
	ctx, t.stop = context.WithCancel(ctx)
	defer t.stop()
	conn, err := t.dial(ctx)
	if err != nil {
		return false, err
	}
	defer t.found() // once nothing comes any more
	defer conn.Close()
	attaching, done := context.WithTimeout(ctx, portTime)
	err = t.attach(attaching, conn)
	done()
	if err != nil {
		return false, err
	}
	t.been = true
	select {
	case <-conn.Done():
	case <-ctx.Done():
		return true, ctx.Err()
	}
	return true, fmt.Errorf("%v has closed the connection", t.addr)
}

// attach authenticates and asks for the events. Until SETEVENTS is sent none
// comes, and what is shown is ours; from then on it is the reader's.
func (t *portTail) attach(ctx context.Context, conn *controlport.Conn) error {
	if err := conn.Authenticate(ctx, t.cred); err != nil {
		switch {
		case t.been:
		case errors.Is(err, controlport.ErrCredentials):
			return &hopeless{fmt.Errorf("%w\n  give --control-password (or $TORJOURNAL_CONTROL_PASSWORD) or --control-cookie", err)}
		case errors.Is(err, controlport.ErrClosed) && t.tls == nil:
			return fmt.Errorf("%w before it said anything: if the port is encrypted, give --control-tls-ca", err)
		}
		return err
	}
	if t.zstd {
		if err := t.usePacked(ctx, conn); err != nil {
			return err
		}
	}
	k, err := t.ask(ctx, conn)
	if err != nil {
		return err
	}
	types, err := t.types(k)
	if err != nil {
		return &hopeless{err}
	}
	from := t.from(k)
	if from == 0 && t.must && !t.been {
		return &hopeless{usagef("-n %d: %v does not let this controller read history; leave -n away", t.lines, t.addr)}
	}
	if t.been {
		t.say("%s", k.back())
	}
	if rep, err := conn.Do(ctx, "SETEVENTS "+types.String()); err != nil {
		return err
	} else if err := rep.Err(); err != nil {
		return &hopeless{err}
	}
	if from > 0 {
		return t.rewind(ctx, conn, from)
	}
	return nil
}

// peerKind is what is at the other end.
type peerKind struct {
	numbered    bool // a torjournal: it numbers events
	history     bool // … that lets this controller read history
	first, last uint64
	offered     string // the events that there are
}

// back says what is known of the time between two connections.
func (k peerKind) back() string {
	switch {
	case k.history:
		return "back"
	case k.numbered:
		return "back; what happened meanwhile may not be read by this controller"
	}
	return "back; what happened meanwhile is not known"
}

// ask finds out what is at the other end.
func (t *portTail) ask(ctx context.Context, conn *controlport.Conn) (k peerKind, err error) {
	rep, err := conn.Do(ctx, "USEFEATURE JOURNAL_META")
	if err != nil {
		return k, err
	}
	if k.numbered = rep.Err() == nil; k.numbered {
		if rep, err = conn.Do(ctx, "GETINFO journal/first journal/last"); err != nil {
			return k, err
		}
		k.history = rep.Err() == nil
		k.first, k.last = seqOf(first(rep, "journal/first")), seqOf(first(rep, "journal/last"))
	}
	if rep, err = conn.Do(ctx, "GETINFO events/names"); err != nil {
		return k, err
	}
	k.offered = first(rep, "events/names")
	if k.numbered && rep.Err() != nil { // its tor is away
		k.offered = event.NewSet(event.Types()...).String()
		return k, nil
	}
	return k, rep.Err()
}

// seqOf returns the number in "SEQ=1 TIME=…", 0 if there is none.
func seqOf(s string) uint64 {
	v, _ := event.Keywords(s).Get("SEQ")
	return number(v)
}

// first returns the first value of key, "" if there is none.
func first(rep controlport.Reply, key string) string {
	if v := rep.Values()[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// types returns the types to ask for: those that were named, or all that are
// offered but a few, as far as the expression leaves them.
func (t *portTail) types(k peerKind) (types event.Set, err error) {
	r, err := t.events.chosen()
	if err != nil {
		return types, err
	}
	if !t.events.Types.Empty() && !t.events.Types.All() {
		return r.Types, nil
	}
	for _, name := range strings.Fields(k.offered) {
		typ := event.ParseType(name)
		switch {
		case seldomWanted.Has(typ) && t.events.Types.Empty(), typ == event.JOURNAL && !k.history,
			!r.Types.Empty() && !r.Types.Has(typ):
		default:
			types = types.Union(event.NewSet(typ))
		}
	}
	if types.Empty() {
		return types, usagef("%v offers no event of those that are asked for; it has %s", t.addr, printable(k.offered))
	}
	return types, nil
}

// from returns the number to begin with, 0 for what comes from now on.
func (t *portTail) from(k peerKind) uint64 {
	t.skip = false
	switch {
	case !k.history:
		return 0
	case t.been:
		if t.seen > k.last {
			t.say("another journal is in this place; its records follow from the first")
			t.seen = 0
		}
		t.skip = true
		return t.seen + 1
	case t.lines == 0:
		return 0
	}
	t.skip = true
	t.lookFor(t.lines)
	return max(k.first, k.last-min(k.last, lookBack)+1, 1)
}

// rewind has the events begin at number from. Those that came since
// SETEVENTS come again.
func (t *portTail) rewind(ctx context.Context, conn *controlport.Conn, from uint64) error {
	var reply replayed
	reply.begins = func() { t.skip = false }
	if err := conn.Forward(ctx, fmt.Appendf(nil, "REPLAY FROM=%d\r\n", from), &reply); err != nil {
		return err
	}
	if !strings.HasPrefix(reply.text, "250") {
		return fmt.Errorf("%v does not replay: %s", t.addr, strings.TrimSpace(reply.text))
	}
	return nil
}

// replayed takes the answer to REPLAY: the connection hands it over between
// the events before it and those after it.
type replayed struct {
	text   string
	begins func()
}

func (r *replayed) Write(p []byte) (int, error) {
	r.text += string(p)
	r.begins()
	return len(p), nil
}
