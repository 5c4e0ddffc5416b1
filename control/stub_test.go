package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"torjournal/journal"
	"torjournal/tor/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stubTor is a Backend and a Demand that answers as tor does, from a table.
type stubTor struct {
	replies func(cmd string) string // nil: torReply

	mu     sync.Mutex
	lost   chan struct{}        // closed while there is no tor
	ups    map[*stubUp]struct{} // open ones
	opened int
	wants  map[uint64]event.Set
	refuse event.Type    // Want refuses it with tor's 552
	early  []byte        // what an upstream says before it dies on a command "DIE"
	began  chan struct{} // if set: a Forward sends here before it answers ...
	answer chan struct{} // ... and then waits for this
	during func()        // if set: called between two pieces of a reply
}

func newStubTor() *stubTor {
	return &stubTor{lost: make(chan struct{}), ups: map[*stubUp]struct{}{}, wants: map[uint64]event.Set{}}
}

func (s *stubTor) Version() string { return "0.4.9.11" }

func (s *stubTor) Lost() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

func (s *stubTor) Open(context.Context) (Upstream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if closed(s.lost) {
		return nil, errors.New("127.0.0.1:9051 refuses connections: is tor running?")
	}
	s.opened++
	u := &stubUp{tor: s, done: make(chan struct{})}
	s.ups[u] = struct{}{}
	return u, nil
}

// lose ends the life of the source, restore begins another.
func (s *stubTor) lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !closed(s.lost) {
		close(s.lost)
	}
	for u := range s.ups {
		u.once.Do(func() { close(u.done) })
	}
}

func (s *stubTor) restore() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = make(chan struct{})
}

func (s *stubTor) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ups)
}

// dead returns how many upstream connections have ended and are not closed.
func (s *stubTor) dead() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for u := range s.ups {
		if closed(u.done) {
			n++
		}
	}
	return n
}

type refusal string

func (r refusal) Error() string { return "tor refused: " + string(r) }
func (r refusal) Reply() []byte { return []byte(r) }

func (s *stubTor) Want(_ context.Context, conn uint64, types event.Set) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != "" && types.Has(s.refuse) {
		return refusal(fmt.Sprintf("552 Unrecognized event \"%s\"\r\n", s.refuse))
	}
	if s.wants[conn] = types; types.Empty() {
		delete(s.wants, conn)
	}
	return nil
}

func (s *stubTor) wanted(conn uint64) event.Set {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wants[conn]
}

func (s *stubTor) EventNames() event.Set {
	return event.NewSet(event.CIRC, event.BW, event.STREAM, event.NOTICE, event.SIGNAL, "NEWTYPE")
}

type stubUp struct {
	tor  *stubTor
	done chan struct{}
	once sync.Once
}

func (u *stubUp) Done() <-chan struct{} { return u.done }

func (u *stubUp) Close() error {
	u.once.Do(func() { close(u.done) })
	u.tor.mu.Lock()
	defer u.tor.mu.Unlock()
	delete(u.tor.ups, u)
	return nil
}

func (u *stubUp) Forward(ctx context.Context, command []byte, w io.Writer) error {
	if u.tor.began != nil {
		u.tor.began <- struct{}{}
		<-u.tor.answer
	} else if closed(u.done) {
		return io.ErrUnexpectedEOF
	}
	if bytes.HasPrefix(command, []byte("DIE")) {
		if len(u.tor.early) > 0 {
			_, _ = w.Write(u.tor.early)
		}
		u.once.Do(func() { close(u.done) })
		return io.ErrUnexpectedEOF
	}
	f := torReply
	if u.tor.replies != nil {
		f = u.tor.replies
	}
	for part := range slices.Chunk([]byte(f(string(command))), 7) { // in odd pieces
		if _, err := w.Write(part); err != nil {
			return err
		}
		if u.tor.during != nil {
			u.tor.during()
		}
	}
	return nil
}

var stubInfo = map[string]string{
	"version":        "-version=0.4.9.11\r\n",
	"uptime":         "-uptime=30\r\n",
	"events/names":   "-events/names=CIRC BW\r\n",
	"features/names": "-features/names=VERBOSE_NAMES EXTENDED_EVENTS\r\n",
	"info/names":     "+info/names=\r\nversion -- The current version of Tor.\r\n..odd -- dot-stuffed\r\n.\r\n",
	"circuit-status": "+circuit-status=\r\n1 BUILT $AA~a\r\n.\r\n",
}

// torReply answers as tor 0.4.9.11 does, as far as the tests need it.
func torReply(cmd string) string {
	first, _, _ := strings.Cut(cmd, "\n")
	word := strings.Fields(strings.TrimRight(first, "\r"))
	if len(word) == 0 {
		return "510 Unrecognized command \"\"\r\n"
	}
	switch strings.ToUpper(word[0]) {
	case "GETINFO":
		return torInfo(word[1:])
	case "USEFEATURE":
		for _, f := range word[1:] {
			if f = strings.ToUpper(f); f != "VERBOSE_NAMES" && f != "EXTENDED_EVENTS" {
				return "552 Unrecognized feature \"" + f + "\"\r\n"
			}
		}
		return "250 OK\r\n"
	case "SETCONF", "+LOADCONF", "SIGNAL", "TAKEOWNERSHIP":
		return "250 OK\r\n"
	case "ECHO":
		return fmt.Sprintf("250 %q\r\n", cmd)
	}
	return "510 Unrecognized command \"" + word[0] + "\"\r\n"
}

func torInfo(keys []string) string {
	var ok, bad []string
	for _, k := range keys {
		switch {
		case k == "fingerprint":
			return "551 Not running in server mode\r\n"
		case stubInfo[k] != "":
			ok = append(ok, "250"+stubInfo[k])
		default:
			bad = append(bad, "Unrecognized key \""+k+"\"\r\n")
		}
	}
	if len(bad) == 0 {
		return strings.Join(ok, "") + "250 OK\r\n"
	}
	return strings.Repeat("552-", min(1, len(bad)-1)) + strings.Join(bad[:len(bad)-1], "552-") + "552 " + bad[len(bad)-1]
}

// memory is a recorder whose commits a test decides on. Records are published
// at once unless held is set.
type memory struct {
	window uint64 // cursors that lag by more are "behind"

	mu      sync.Mutex
	recs    []journal.Record // published; number i+1, live-only ones 0
	pending []journal.Record // arrived, not published
	hold    bool
	seq     uint64
	waits   []settling
	cursors map[*memCursor]struct{}
	evicted uint64                // numbers up to here are gone
	lost    map[event.Type]uint64 // told once, with the next chunk
	fault   error                 // of every cursor's Next
	asked   func()                // if set: called by every cursor's Next
}

// whenAsked makes every cursor's Next call do first.
func (m *memory) whenAsked(do func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = do
}

// fail makes cursors fail from now on.
func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = err
}

type settling struct {
	by   time.Time
	done chan struct{}
}

func newMemory() *memory {
	return &memory{window: 1 << 40, cursors: map[*memCursor]struct{}{}}
}

// arrive hands events over; they get the given time, or now.
func (m *memory) arrive(at time.Time, wires ...string) {
	m.mu.Lock()
	if at.IsZero() {
		at = time.Now()
	}
	for _, w := range wires {
		if !strings.HasSuffix(w, "\r\n") {
			w += "\r\n"
		}
		m.seq++
		m.pending = append(m.pending, journal.Record{Seq: m.seq, Session: 1, Time: at, Type: event.TypeOf([]byte(w)), Wire: []byte(w)})
	}
	hold := m.hold
	m.mu.Unlock()
	if !hold {
		m.publish()
	}
}

// publish commits what arrived. The last one that hears of it may use the
// cursor at once.
func (m *memory) publish() {
	if last := m.commit(); last != nil {
		last.wake(true)
	}
}

// commit is publish for all cursors but the one that it returns.
func (m *memory) commit() (last *memCursor) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.recs = append(m.recs, m.pending...)
	m.pending = nil
	for _, w := range m.waits {
		close(w.done)
	}
	m.waits = nil
	for c := range m.cursors {
		if last != nil {
			last.wake(false)
		}
		last = c
	}
	return last
}

func (m *memory) Settled(t time.Time) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	done := make(chan struct{})
	for _, r := range m.pending {
		if !r.Time.After(t) {
			m.waits = append(m.waits, settling{t, done})
			return done
		}
	}
	close(done)
	return done
}

func (m *memory) Stats() journal.Stats {
	b, _ := m.Bounds(context.Background())
	return journal.Stats{Bounds: b, Size: 4096, MaxSize: 1 << 20, MaxAge: time.Hour, Session: 1, Records: b.Last}
}

func (m *memory) Bounds(context.Context) (journal.Bounds, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.recs) == 0 {
		return journal.Bounds{}, nil
	}
	a, z := m.recs[m.evicted], m.recs[len(m.recs)-1]
	return journal.Bounds{First: a.Seq, Last: z.Seq, FirstTime: a.Time, LastTime: z.Time}, nil
}

func (m *memory) Sessions(context.Context) ([]journal.Session, error) {
	return []journal.Session{{ID: 1, First: 1, Begun: time.Unix(1e9, 0), Source: event.Source{Name: `a "b"`, Version: "0.4.9.11", Role: "client", PID: 7}}}, nil
}

func (m *memory) Fetch(context.Context, uint64, journal.Range) (journal.Stored, error) {
	return journal.Stored{}, io.EOF
}
func (m *memory) Wait(ctx context.Context, _ uint64) error { <-ctx.Done(); return ctx.Err() }

func (m *memory) NewCursorFunc(from uint64, types event.Set, tell func(spare bool)) cursor {
	c := &memCursor{m: m, types: types, wake: tell}
	c.Seek(from)
	m.mu.Lock()
	m.cursors[c] = struct{}{}
	m.mu.Unlock()
	return c
}

func (m *memory) open() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.cursors)
}

type memCursor struct {
	m     *memory
	types event.Set
	next  uint64
	wake  func(spare bool)
}

func (c *memCursor) SetTypes(types event.Set) { c.types = types }
func (c *memCursor) Position() uint64         { return c.next }

func (c *memCursor) Forget() {}

func (c *memCursor) Seek(from uint64) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if c.next = from; from == 0 {
		c.next = uint64(len(c.m.recs)) + 1
	}
	c.wake(false)
}

func (c *memCursor) Close() {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	delete(c.m.cursors, c)
}

func (c *memCursor) Next(context.Context) (journal.Chunk, error) {
	c.m.mu.Lock()
	asked := c.m.asked
	c.m.mu.Unlock()
	if asked != nil {
		asked()
	}
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	var chunk journal.Chunk
	if c.m.fault != nil {
		return chunk, c.m.fault
	}
	end := uint64(len(c.m.recs))
	if c.next <= c.m.evicted {
		chunk.Gap = &journal.Gap{From: c.next, To: c.m.evicted}
		c.next = c.m.evicted + 1
	}
	chunk.Lost, c.m.lost = c.m.lost, nil
	chunk.Behind = c.next+c.m.window <= end
	for ; c.next <= end && len(chunk.Records) < 3; c.next++ {
		if r := c.m.recs[c.next-1]; c.types.Has(r.Type) {
			chunk.Records = append(chunk.Records, r)
			chunk.Wires = append(chunk.Wires, r.Wire...)
		}
	}
	if chunk.Behind {
		chunk.Wires = nil
	}
	chunk.End = c.next > end && len(chunk.Records) > 0
	return chunk, nil
}
