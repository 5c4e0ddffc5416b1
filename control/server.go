package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"torjournal/journal"
	"torjournal/query/filter"
	"torjournal/tor/event"
)

// Options for NewServer.
type Options struct {
	Journal *journal.Journal // where events and history come from
	Backend Backend          // who answers tor's commands; nil: nobody
	Asker   Asker            // who answers in order with the events; nil: nobody
	Demand  Demand           // who hears what is wanted; nil: nobody
	Writes  Recorder         // who records what controllers do; nil: nobody
	Logger  *slog.Logger     // default: discards

	// KeepOnLoss leaves every connection open when the source is lost. By
	// default only those that used torjournal's own commands stay.
	KeepOnLoss bool

	now       func() time.Time              // tests; default time.Now
	authTime  time.Duration                 // tests; default authTime
	tallyTime time.Duration                 // tests; default tallyTime
	maxConns  int                           // tests; default maxConnections
	wait      func(wrong int) time.Duration // tests; default guessWait
	slack     time.Duration                 // tests; default replySlack
	cause     time.Duration                 // tests; default causeSlack
	waits     waits                         // tests; default as in limits.go

	askPatience time.Duration // tests; default historyPatience
	askTime     time.Duration // tests; default historyTime
}

// Server serves control connections. Its methods may be used from any
// goroutine.
type Server struct {
	// Immutable.
	records    recorder
	backend    Backend
	asker      Asker // nil: nobody
	demand     Demand
	writes     Recorder
	log        *slog.Logger
	keepOnLoss bool
	now        func() time.Time
	authTime   time.Duration
	tallyTime  time.Duration
	maxConns   int
	slack      time.Duration
	cause      time.Duration
	waits      waits

	askPatience time.Duration
	askTime     time.Duration

	guesses     *guesses
	writeCookie func(path string) ([]byte, error) // writeCookie but in tests

	stop     chan struct{} // closed by Shutdown: connections take their leave
	incoming atomic.Int64  // bytes of unfinished commands, see maxIncoming
	filters  atomic.Int64  // bytes of connections' filters, see maxFilters
	answers  atomic.Int64  // bytes of replies that are held whole, see maxAnswers
	packed   atomic.Int64  // compressed connections, see maxCompressed
	serving  sync.WaitGroup

	marks     allowance            // of JOURNAL MARK
	deeds     allowance            // of COMMAND events, see audit
	leftOut   leftOut              // commands of which there is none
	asking    chan struct{}        // holds a token while a HISTORY is answered
	compiling chan struct{}        // holds a token while a filter is compiled
	matchers  chan *filter.Matcher // those that nobody uses; nil: not made yet

	mu      sync.Mutex        // guards what follows
	conns   map[uint64]*conn  // by id
	lastID  uint64            // of the newest connection
	cookies map[string][]byte // own cookies by path
	stopped bool              // stop is closed
	crowded bool              // a connection was refused since the last one was let in
}

// recorder is what the server uses of a *journal.Journal.
type recorder interface {
	journal.Reader
	NewCursorFunc(from uint64, types event.Set, tell func(spare bool)) cursor
	Settled(t time.Time) <-chan struct{}
	Stats() journal.Stats
}

// cursor is what a connection uses of a *journal.Cursor.
type cursor interface {
	feed
	SetTypes(types event.Set)
	Seek(from uint64)
	Position() uint64
	Forget()
	Close()
}

// feed hands out records in order.
type feed interface {
	Next(ctx context.Context) (journal.Chunk, error)
}

type journalRecorder struct{ *journal.Journal }

func (r journalRecorder) NewCursorFunc(from uint64, types event.Set, tell func(spare bool)) cursor {
	return r.Journal.NewCursorFunc(from, types, tell)
}

// NewServer returns a server that listens nowhere yet.
func NewServer(opt Options) *Server {
	s := &Server{
		records:     journalRecorder{opt.Journal},
		backend:     opt.Backend,
		asker:       opt.Asker,
		demand:      opt.Demand,
		writes:      opt.Writes,
		tallyTime:   cmp.Or(opt.tallyTime, tallyTime),
		log:         opt.Logger,
		keepOnLoss:  opt.KeepOnLoss,
		now:         opt.now,
		authTime:    cmp.Or(opt.authTime, authTime),
		maxConns:    cmp.Or(opt.maxConns, maxConnections),
		slack:       cmp.Or(opt.slack, replySlack),
		cause:       cmp.Or(opt.cause, causeSlack),
		waits:       opt.waits.orUsual(),
		stop:        make(chan struct{}),
		writeCookie: writeCookie,
		conns:       make(map[uint64]*conn),
		cookies:     make(map[string][]byte),
		asking:      make(chan struct{}, 1),
		askPatience: cmp.Or(opt.askPatience, historyPatience),
		askTime:     cmp.Or(opt.askTime, historyTime),
		compiling:   make(chan struct{}, 1),
		matchers:    idleMatchers(max(1, runtime.GOMAXPROCS(0)-1)),
	}
	if s.backend == nil {
		s.backend = nobody{}
	}
	if s.demand == nil {
		s.demand = nobody{}
	}
	if s.writes == nil {
		s.writes = nobody{}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.guesses = newGuesses(s.now)
	s.marks.now, s.marks.burst = s.now, marksAtOnce*markEvery
	s.deeds.now, s.deeds.burst = s.now, deedTime(allDeedsBurst, allDeedsRate)
	s.leftOut.srv = s
	if opt.wait != nil {
		s.guesses.wait = opt.wait
	}
	return s
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c.id)
	if c.door.access.tls != nil {
		c.door.secured--
	}
}

// Shutdown ends all Serve calls: connections get what had arrived for them
// and are closed. When ctx ends they are cut off. It returns when no
// goroutine of the server is left.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.stopped {
		s.stopped = true
		close(s.stop)
	}
	s.mu.Unlock()
	cut := context.AfterFunc(ctx, s.cutAll)
	s.serving.Wait()
	if !cut() {
		return fmt.Errorf("control: some connections had to be cut off: %w", context.Cause(ctx))
	}
	return nil
}

func (s *Server) cutAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.end()
	}
}

// ConnectionInfo is what status says of one connection.
type ConnectionInfo struct {
	ID            uint64    // from 1, in the order of arrival
	Peer          string    // address of the controller
	Listener      string    // address it came to
	Since         time.Time // when it came
	Authenticated bool
	History       bool      // it has the history privilege
	Types         event.Set // what it subscribed to
	Filter        string    // the expression of SETFILTER, "" if there is none
	Replaying     bool      // a REPLAY has not caught up yet
	Behind        bool      // it reads from the file
	Position      uint64    // the next record its cursor will look at; 0: it has none
	OwnsTor       bool      // it took ownership of tor, which ends with it
	Onions        []string  // service IDs of the onion services that end with it
	Upstream      Upstream  // what all that really ends with; nil where there is nothing. It is the connection's
}

// Connections returns the connections of this moment, oldest first.
func (s *Server) Connections() []ConnectionInfo {
	s.mu.Lock()
	conns := make([]*conn, 0, len(s.conns))
	for _, c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	infos := make([]ConnectionInfo, len(conns))
	for i, c := range conns {
		infos[i] = c.info()
	}
	slices.SortFunc(infos, func(a, b ConnectionInfo) int { return cmp.Compare(a.ID, b.ID) })
	return infos
}

// SubscriberCounts returns how many connections subscribed to each type.
func (s *Server) SubscriberCounts() map[event.Type]int {
	counts := make(map[event.Type]int)
	for _, info := range s.Connections() {
		for _, t := range info.Types.List() {
			counts[t]++
		}
	}
	return counts
}

// nobody is the backend and the demand of a server without a source, and the
// recorder of one that writes nothing.
type nobody struct{}

// ready is a channel that is closed: it is always ready.
var ready = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (nobody) Open(context.Context) (Upstream, error) {
	return nil, errors.New("torjournal runs without a tor: start it with --attach")
}
func (nobody) Lost() <-chan struct{}                         { return ready }
func (nobody) Version() string                               { return "" }
func (nobody) Want(context.Context, uint64, event.Set) error { return nil }
func (nobody) EventNames() event.Set                         { return event.Set{} }
func (nobody) Offer(event.Event)                             {}
func (nobody) Record(context.Context, event.Event) error {
	return errors.New("this torjournal records nothing")
}
