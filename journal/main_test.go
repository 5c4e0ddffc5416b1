package journal

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"torjournal/tor/event"
)

func TestMain(m *testing.M) {
	if what := os.Getenv(childEnv); what != "" {
		childMain(what)
		return
	}
	flag.Parse()
	if testing.Short() {
		beQuick()
	}
	goleak.VerifyTestMain(m)
}

// noLog has each turn of the writer committed by a transaction, for tests of what
// transactions make.
const noLog = -1

// openTest opens a journal that is closed and verified when the test ends.
// Tests outside the package use journaltest.Open, which does the same.
func openTest(t testing.TB, path string, opt Options) *Journal {
	t.Helper()
	if path == "" {
		path = filepath.Join(t.TempDir(), "journal.db")
	}
	j, err := Open(path, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeTest(t, j) })
	return j
}

func closeTest(t testing.TB, j *Journal) Verified {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	v, err := Verify(j.store.path, j.opt.Key)
	if err != nil {
		t.Errorf("the journal is not intact: %v", err)
	}
	return v
}

// update changes the file between two commits, as only the writer may.
func update(t testing.TB, j *Journal, f func(*txn) error) {
	t.Helper()
	if err := j.inWriter(within(t), func(*writer) error { return j.store.update(f) }); err != nil {
		t.Fatal(err)
	}
}

func raw(format string, args ...any) event.Event {
	return event.NewRaw([]byte(fmt.Sprintf(format, args...) + "\r\n"))
}

// patience is how long a test waits for what must come. It is no bound on
// speed: machines under the race detector, with other tests beside, are slow.
const patience = 5 * time.Minute

// within returns a context that ends the test's waiting before the test
// binary's own limit does.
func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func appendAll(t testing.TB, j *Journal, evs ...event.Event) {
	t.Helper()
	ctx := within(t)
	if err := j.Append(ctx, evs...); err != nil {
		t.Fatal(err)
	}
	if err := j.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

// readAll returns what a Reader holds of r, and the gaps.
func readAll(t testing.TB, rd Reader, r Range) (recs []Record, gaps []Gap) {
	t.Helper()
	for rec, err := range Records(within(t), rd, r) {
		if g, ok := err.(*Gap); ok {
			gaps = append(gaps, *g)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		recs = append(recs, rec)
	}
	return recs, gaps
}

// drain reads c until an empty chunk and returns copies of all it gave.
func drain(t testing.TB, c *Cursor) (recs []Record, gaps []Gap, lost map[event.Type]uint64) {
	t.Helper()
	lost = map[event.Type]uint64{}
	for {
		ch, err := c.Next(within(t))
		if err != nil {
			t.Fatal(err)
		}
		if ch.empty() {
			return recs, gaps, lost
		}
		if ch.Gap != nil {
			gaps = append(gaps, *ch.Gap)
		}
		for typ, n := range ch.Lost {
			lost[typ] += n
		}
		for _, r := range ch.Records {
			r.Wire = append([]byte(nil), r.Wire...)
			recs = append(recs, r)
		}
	}
}

func wires(recs []Record) (out []string) {
	for _, r := range recs {
		out = append(out, string(r.Wire))
	}
	return out
}
