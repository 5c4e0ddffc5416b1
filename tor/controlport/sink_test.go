package controlport

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"torjournal/tor/event"
)

// memorySink keeps what it is given.
type memorySink struct {
	mu       sync.Mutex
	wires    []string       // guarded by mu
	live     []bool         // guarded by mu: of each wire
	sessions []event.Source // guarded by mu

	block chan struct{}     // guarded by mu: if not nil, Append waits until it is closed
	taken func(event.Event) // set before use: if not nil, what to do when an event has been taken
	begin error             // guarded by mu: what BeginSession fails with
}

func (m *memorySink) Append(ctx context.Context, evs ...event.Event) error {
	m.mu.Lock()
	block := m.block
	m.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	m.mu.Lock()
	for _, ev := range evs {
		_, live := ev.(event.Live)
		m.wires = append(m.wires, string(ev.Format()))
		m.live = append(m.live, live)
	}
	m.mu.Unlock()
	for _, ev := range evs {
		if m.taken != nil {
			m.taken(ev)
		}
	}
	return nil
}

// BeginSession continues the session of the same process.
func (m *memorySink) BeginSession(_ context.Context, src event.Source) (uint64, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.begin != nil {
		return 0, false, m.begin
	}
	n := len(m.sessions)
	if n > 0 && m.sessions[n-1].PID == src.PID {
		return uint64(n), true, nil
	}
	m.sessions = append(m.sessions, src)
	return uint64(n + 1), false, nil
}

func (m *memorySink) all() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.wires...)
}

// find returns the last event that begins so, "" without one.
func (m *memorySink) find(begin string) (found string) {
	for _, w := range m.all() {
		if strings.HasPrefix(w, begin) {
			found = w
		}
	}
	return found
}

func (m *memorySink) count(begin string) (n int) {
	for _, w := range m.all() {
		if strings.HasPrefix(w, begin) {
			n++
		}
	}
	return n
}

// keepAll is a client's policy: all but DEBUG, INFO and NS is subscribed.
type keepAll struct{ role string }

func (p keepAll) Role() string { return p.role }
func (p keepAll) Subscribe(offered event.Set) event.Set {
	return offered.Minus(event.NewSet(event.DEBUG, event.INFO, event.NS))
}
func (p keepAll) Recorded() event.Set          { return event.AllTypes() }
func (p keepAll) Summarized() event.Set        { return event.NewSet(event.NEWCONSENSUS) }
func (p keepAll) Strips() bool                 { return false }
func (p keepAll) Keep(wire []byte) event.Event { return event.NewRaw(wire) }

// relayLike records SIGNAL, delivers everything else, and sums up BW.
type relayLike struct{ keepAll }

func (p relayLike) Subscribe(event.Set) event.Set { return event.NewSet(event.BW, event.SIGNAL) }
func (p relayLike) Recorded() event.Set           { return event.NewSet(event.SIGNAL, event.JOURNAL) }
func (p relayLike) Summarized() event.Set         { return event.Set{} }
func (p relayLike) Strips() bool                  { return true }
func (p relayLike) Keep(wire []byte) event.Event {
	if raw := event.NewRaw(wire); !p.Recorded().Has(raw.Name) {
		return event.Live{Event: raw}
	}
	return event.NewRaw(wire)
}

func newSource(t testing.TB, opt SourceOptions) *Source {
	t.Helper()
	if opt.Policy == nil {
		opt.Policy = func(map[string][]string) (Policy, error) { return keepAll{"client"}, nil }
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	s, err := NewSource(opt)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// runSource runs s until the test ends, or stop is called.
func runSource(t testing.TB, s *Source) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("Run ended with %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}
