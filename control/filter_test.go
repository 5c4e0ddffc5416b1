package control

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"torjournal/journal"
	"torjournal/query/filter"
	"torjournal/tor/event"
)

// setFilter sets the expression and expects that it is taken.
func (p *peer) setFilter(expression string) {
	p.t.Helper()
	p.send(`SETFILTER "` + strings.ReplaceAll(expression, `"`, `\"`) + "\"\r\n")
	p.expect("250 OK")
}

// batch appends events as one: they come in one chunk.
func batch(t testing.TB, j *journal.Journal, from, to int, wire func(int) string) {
	t.Helper()
	var evs []event.Event
	for i := from; i <= to; i++ {
		evs = append(evs, event.NewRaw([]byte(wire(i)+"\r\n")))
	}
	if err := j.Append(t.Context(), evs...); err != nil {
		t.Fatal(err)
	}
	if err := j.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Whatever the way by which records come, each that matches is delivered
// once, in order: live in large batches, from the file, from a span, while
// the filter changes.
func TestFilteredDelivery(t *testing.T) {
	events := 3000
	r, j := newJournalRig(t, journal.Options{})
	wire := func(i int) string { return fmt.Sprintf("650 BW %d %d", i, i%10) }
	all, some := r.subscriber("BW"), r.subscriber("BW")
	all.setFilter("Read > 0")
	some.setFilter("Written == 7")
	batch(t, j, 1, events, wire)
	for i := 1; i <= events; i++ {
		all.expect(wire(i))
		if i%10 == 7 {
			some.expect(wire(i))
		}
	}
	end := apart()
	batch(t, j, events+1, events+100, wire)
	for _, p := range []*peer{all, some} {
		for i := events + 1; i <= events+100; i++ {
			if p == all || i%10 == 7 {
				p.expect(wire(i))
			}
		}
	}
	some.send("REPLAY UNTIL=" + end + "\r\n") // a span
	some.expect("250 OK")
	for i := 7; i <= events; i += 10 {
		some.expect(wire(i))
	}
	if got := some.line(); !strings.HasPrefix(got, "650 JOURNAL CAUGHT_UP SEQ=") {
		t.Errorf("after the span: %q", got)
	}
	some.expect(fmt.Sprintf("650 JOURNAL GAP FROM=%d TO=%d", events+1, events+100))
	some.send("REPLAY FROM=11\r\n")
	some.expect("250 OK")
	for i := 17; i <= events+100; i += 10 {
		some.expect(wire(i))
	}
	some.expect(fmt.Sprintf("650 JOURNAL CAUGHT_UP SEQ=%d", events+100))
}

// Connections with filters that replay from anywhere while events come in see
// every number that matches once, in order.
func TestFilteredHandOver(t *testing.T) {
	conns, events := 50, 20_000
	if testing.Short() {
		conns, events = 10, 4_000
	}
	r, j := newJournalRig(t, journal.Options{})
	wire := func(i int) string { return fmt.Sprintf("650 BW %d %d", i, i%7) }
	batch(t, j, 1, events/2, wire)
	var wg sync.WaitGroup
	for n := range conns {
		p := r.subscriber("BW")
		p.setFilter(fmt.Sprintf("Written == %d", n%7))
		from := 1 + n*events/2/conns
		wg.Go(func() {
			fmt.Fprintf(p.sock, "REPLAY FROM=%d\r\n", from)
			if err := followMatches(p, from, events, func(i int) bool { return i%7 == n%7 }); err != nil {
				t.Errorf("connection %d from %d: %v", n, from, err)
			}
		})
	}
	for i := events/2 + 1; i <= events; i++ {
		if err := j.Append(t.Context(), event.NewRaw([]byte(wire(i)+"\r\n"))); err != nil {
			t.Error(err)
			break
		}
	}
	wg.Wait()
}

// followMatches reads the numbers that match, up to a last one. Before the
// answer to REPLAY anything may come.
func followMatches(p *peer, from, to int, match func(int) bool) error {
	answered, caughtUp, last := false, 0, to
	for !match(last) {
		last--
	}
	for next := from; next <= last || caughtUp == 0; {
		_ = p.sock.SetReadDeadline(time.Now().Add(patience))
		line, err := p.in.ReadString('\n')
		switch {
		case err != nil:
			return fmt.Errorf("waiting for %d: %w", next, err)
		case line == "250 OK\r\n":
			answered = true
		case !answered:
		case strings.HasPrefix(line, "650 JOURNAL CAUGHT_UP"):
			caughtUp++
		default:
			for !match(next) {
				next++
			}
			if numberOf(line) != next {
				return fmt.Errorf("got %.40q, want number %d", line, next)
			}
			next++
		}
	}
	if caughtUp != 1 {
		return fmt.Errorf("CAUGHT_UP came %d times", caughtUp)
	}
	return nil
}

// A filter costs its own connection only: while nobody may sift, others get
// their events and their answers, and who waits to sift can be cut off.
func TestWhoSiftsHoldsUpNobody(t *testing.T) {
	r := newRig(t, Access{NoAuth: true, History: true})
	filtered, other := r.subscriber("BW"), r.subscriber("BW")
	filtered.setFilter("Read > 1")
	var taken []*filter.Matcher
	for range cap(r.srv.matchers) {
		taken = append(taken, <-r.srv.matchers)
	}
	r.log.arrive(time.Time{}, "650 BW 1 1", "650 BW 2 2")
	other.expect("650 BW 1 1", "650 BW 2 2")
	other.send("GETINFO version\r\n")
	other.expect("250-version=0.4.9.11", "250 OK")
	gone := r.subscriber("BW")
	gone.send("SETFILTER \"Read > 1\"\r\n")
	gone.expect("250 OK")
	r.log.arrive(time.Time{}, "650 BW 3 3")
	other.expect("650 BW 3 3")
	r.srv.cut(t, func(c ConnectionInfo) bool { return c.ID == 3 })
	gone.closed()
	for _, m := range taken {
		r.srv.matchers <- m
	}
	filtered.expect("650 BW 2 2", "650 BW 3 3")
}

// cut ends the connections that which is true of.
func (s *Server) cut(t testing.TB, which func(ConnectionInfo) bool) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		if which(c.info()) {
			c.cancel()
		}
	}
}

// What all filters hold is bounded, and given back.
func TestFiltersAreAccountedFor(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	p, q := r.login(), r.login()
	p.setFilter("Read > 1")
	held := r.srv.filters.Load()
	if held < 1000 {
		t.Errorf("a filter counts as %d bytes", held)
	}
	r.srv.filters.Add(maxFilters - held)
	q.send("SETFILTER \"Read > 2\"\r\n")
	q.expect("551 The filters of all connections together are too large; try again, or with a shorter one")
	p.setFilter("Read > 2") // in place of the other
	p.setFilter("")
	q.setFilter("Read > 2")
	r.srv.filters.Add(held - maxFilters)
	if got := r.srv.filters.Load(); got != held {
		t.Errorf("%d bytes are accounted for, want %d", got, held)
	}
	if infos := r.srv.Connections(); infos[0].Filter != "" || infos[1].Filter != "Read > 2" {
		t.Errorf("the filters are %q and %q", infos[0].Filter, infos[1].Filter)
	}
}

// A filter that is too slow for its turn loses nothing.
func TestSiftingInTurns(t *testing.T) {
	r, j := newJournalRig(t, journal.Options{})
	const events = 300
	wire := func(i int) string { return fmt.Sprintf("650 BW %d 0 %s", i, strings.Repeat("ab", 3000)) }
	p := r.subscriber("BW")
	p.setFilter(`Read % 50 == 0 and Line matches "^(?:[ab]|[^ab])*(?:c|b)$"`)
	batch(t, j, 1, events, wire)
	for i := 50; i <= events; i += 50 {
		p.expect(wire(i))
	}
	p.send("REPLAY\r\n")
	p.expect("250 OK")
	for i := 50; i <= events; i += 50 {
		p.expect(wire(i))
	}
	p.expect(fmt.Sprintf("650 JOURNAL CAUGHT_UP SEQ=%d", events))
}

// Who waits for its turn to sift does not hold what the window lets go.
func TestWaitingForATurnHoldsNothing(t *testing.T) {
	o := &outlet{conn: &conn{srv: NewServer(Options{})}, cursor: &forgetful{}}
	w, err := filter.CompileWhere("Read > 1", time.Now(), time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	o.sieve = &sieve{where: w, kept: make([]journal.Record, 3)}
	for range cap(o.conn.srv.matchers) {
		<-o.conn.srv.matchers
	}
	ctx, cancel := context.WithCancel(t.Context())
	c := o.cursor.(*forgetful)
	c.forgot = cancel // it forgets, and then waits until the connection ends
	if _, _, err := o.draw(ctx, c); err == nil || c.taken != 0 || len(o.sieve.kept) != 0 {
		t.Errorf("%v, %d chunks were taken, %d records kept", err, c.taken, len(o.sieve.kept))
	}
}

// forgetful is a cursor that counts.
type forgetful struct {
	cursor
	forgot func()
	taken  int
}

func (f *forgetful) Forget() { f.forgot() }
func (f *forgetful) Next(context.Context) (journal.Chunk, error) {
	f.taken++
	return journal.Chunk{}, nil
}

// BenchmarkFilteredDelivery says what a connection costs with and without a filter,
// an event.
func BenchmarkFilteredDelivery(b *testing.B) {
	for _, e := range []string{"", "Read > 0", "Status == 'FAILED'"} {
		b.Run("filter="+e, func(b *testing.B) {
			r, j := newJournalRig(b, journal.Options{})
			p := r.subscriber("BW CIRC")
			p.setFilter(e)
			batch(b, j, 1, 1, func(int) string { return "650 CIRC 1 FAILED REASON=TIMEOUT" })
			if e != "Read > 0" {
				p.line()
			}
			for b.Loop() {
				batch(b, j, 1, 1000, func(i int) string { return fmt.Sprintf("650 BW %d %d", i, i) })
				if e == "Status == 'FAILED'" {
					batch(b, j, 1, 1, func(int) string { return "650 CIRC 1 FAILED REASON=TIMEOUT" })
					p.line()
					continue
				}
				for range 1000 {
					p.line()
				}
			}
		})
	}
}
