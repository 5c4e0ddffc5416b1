package controlport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"torjournal/tor/event"
)

// Sink is where the source's events go: the journal.
type Sink interface {
	// Append takes events in order. It may block; the source then reads no
	// more from tor. The slice and the events are the sink's from then on.
	Append(ctx context.Context, evs ...event.Event) error

	// BeginSession says that what follows belongs to src. If src is the
	// process that the last session was about, that one goes on.
	BeginSession(ctx context.Context, src event.Source) (id uint64, continued bool, err error)
}

// Policy decides what is kept of one life of tor. Keep is called from one
// goroutine at a time, the other methods from any.
type Policy interface {
	// Role is the role's name: client, onion, relay …
	Role() string

	// Subscribe returns the types that are recorded whether or not anybody
	// asks for them, out of those that tor offers. BW in it, but not in
	// Recorded, means: only its sum over each day is recorded.
	Subscribe(offered event.Set) event.Set

	// Recorded returns the types that are written to disk when they come.
	Recorded() event.Set

	// Strips reports whether what is recorded is stripped of other people's
	// addresses first.
	Strips() bool

	// Summarized returns the types that are recorded whole only while
	// somebody wants them, and else as one JOURNAL event. The source has
	// such an event for NEWCONSENSUS.
	Summarized() event.Set

	// Keep returns what is left of an event, given as its whole wire form,
	// which it may keep: an event to record, an event.Live to deliver
	// only, or nil.
	Keep(wire []byte) event.Event
}

// SourceOptions for NewSource.
type SourceOptions struct {
	Addresses   []Address // tried in this order; empty: UsualPlaces
	Credentials Credentials
	Name        string       // what the tor is called in the journal; "": its address
	Sink        Sink         // required
	Logger      *slog.Logger // nil: nothing is logged

	// Policy makes the policy for a tor with this configuration: the values
	// of the options that roles depend on, by the option's name as tor
	// spells it. Required.
	Policy func(conf map[string][]string) (Policy, error)

	// Options are further options of tor whose values Policy is given.
	Options []string

	// Describe, if not nil, returns what the sink is told of a source.
	Describe func(event.Source) event.Source

	// FailFast makes Run return the first attempt's error if waiting alone
	// cannot mend it (ErrCredentials).
	FailFast bool

	// Hooks of tests; nil: the real ones.
	now   func() time.Time
	sleep func(ctx context.Context, d time.Duration)
	dial  func(ctx context.Context, a Address, events func([][]byte)) (*Conn, error)

	snapshotEvery time.Duration // tests; 0: snapshotEvery
}

// roleOptions are the options of tor that Policy is always given.
var roleOptions = []string{"ORPort", "BridgeRelay", "TestingTorNetwork", "HiddenServiceDir"}

// SourceStatus is what Source.Status reports.
type SourceStatus struct {
	Attached   bool
	Address    Address      // of the present tor, else of the last one; zero before the first
	Source     event.Source // likewise
	Since      time.Time    // when it was attached or lost; zero before the first attempt
	LastError  string       // why there is no tor; "" while there is one
	Subscribed event.Set    // what tor sends us now
	Recorded   event.Set    // what of it is written to disk
}

// Source keeps a connection to a tor for ever and hands its events on. See
// the comment of Run for what it promises.
type Source struct {
	opt SourceOptions // immutable, hooks filled in
	log *slog.Logger

	told atomic.Uint64 // how often events have been handed on, in all lives; see Ask

	// subscribing holds one token, which belongs to whoever changes the
	// subscription (SETEVENTS) of the present life.
	subscribing chan struct{}

	// wanted is the union of demands, for the reader's eyes.
	wanted atomic.Pointer[event.Set]

	mu      sync.Mutex
	life    *life                // guarded by mu: the present attachment, from before it is told until its loss has been told; nil without
	demands map[uint64]event.Set // guarded by mu: what each owner wants
	status  SourceStatus         // guarded by mu
	names   event.Set            // guarded by mu: events/names of the last tor

	// Owned by the goroutine of Run.
	attached bool      // START has been appended
	lostAt   time.Time // when the last life ended
	lastWarn string    // the last failure that was logged since the last success
	daily    daily     // between lives; during one it belongs to its reader
}

// NewSource returns a source that does nothing until Run.
func NewSource(opt SourceOptions) (*Source, error) {
	if opt.Sink == nil || opt.Policy == nil {
		return nil, errors.New("controlport: a source needs a Sink and a Policy")
	}
	if len(opt.Addresses) == 0 {
		opt.Addresses = UsualPlaces()
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.now == nil {
		opt.now = time.Now
	}
	if opt.sleep == nil {
		opt.sleep = sleep
	}
	if opt.dial == nil {
		opt.dial = Dial
	}
	if opt.snapshotEvery == 0 {
		opt.snapshotEvery = snapshotEvery
	}
	s := &Source{
		opt: opt, log: opt.Logger,
		subscribing: make(chan struct{}, 1),
		demands:     make(map[uint64]event.Set),
	}
	s.wanted.Store(&event.Set{})
	return s, nil
}

// Run records until ctx ends; it then returns ctx's error. Only with FailFast
// does it return before.
//
// For each life of tor the sink sees, in this order: BeginSession; JOURNAL
// START (the first time) or SOURCE_RESTORED; JOURNAL SNAPSHOT, at the place
// where tor's answer to it stands between the events; the events, each as the
// policy keeps it, in tor's order, and every hour a SNAPSHOT AGAIN=1 between
// them; JOURNAL SOURCE_LOST. A life ends when the
// connection does, for whatever reason. Between lives Run tries again, with
// pauses that double (see supervisor).
func (s *Source) Run(ctx context.Context) error {
	err := supervisor{
		live:   s.live,
		sleep:  s.opt.sleep,
		jitter: rand.Float64,
		cap:    retryCap(s.opt.Addresses),
	}.run(ctx)
	s.endDay(ctx)
	return err
}

// Begun reports whether a tor has ever been attached, so that the sink has a
// JOURNAL START. It is to be asked when Run has returned.
func (s *Source) Begun() bool { return s.attached }

// Open returns a new authenticated connection to the present tor, for one
// controller's commands. Its asynchronous replies are dropped. It waits for a
// tor that is just being attached. The error wraps ErrDetached while there is
// no tor.
func (s *Source) Open(ctx context.Context) (*Conn, error) {
	ctx, cancel := withTimeout(ctx, attachTimeout)
	defer cancel()
	l, st := s.present()
	if l != nil {
		select {
		case <-l.settled:
		case <-ctx.Done():
			return nil, fmt.Errorf("controlport: wait until tor is attached: %w", context.Cause(ctx))
		}
		l, st = s.present()
	}
	if !st.Attached {
		if st.LastError != "" {
			return nil, fmt.Errorf("controlport: %w: %s", ErrDetached, st.LastError)
		}
		return nil, fmt.Errorf("controlport: %w", ErrDetached)
	}
	c, err := s.opt.dial(ctx, l.address, nil)
	if err != nil {
		return nil, err
	}
	if err := c.Authenticate(ctx, s.opt.Credentials); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// Lost returns a channel that is closed when the present life of tor has
// ended and SOURCE_LOST has been handed to the sink. A life is present from
// before the sink is told of it. While there is no tor the channel is closed
// already.
func (s *Source) Lost() <-chan struct{} {
	if l, _ := s.present(); l != nil {
		return l.lost
	}
	return closedChannel
}

var closedChannel = func() chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return ch
}()

// Status reports how things stand.
func (s *Source) Status() SourceStatus {
	_, st := s.present()
	return st
}

// EventNames returns what the present tor lists as events/names, while there
// is none what the last one did.
func (s *Source) EventNames() event.Set {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names
}

func (s *Source) present() (*life, SourceStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.life, s.status
}
