package query

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// An answer is the same whether all of the session is read or only what is behind
// the beginning of what stood at the newest snapshot before the range, whatever
// snapshots leave out or make up, and whatever was not recorded.
func TestLookBackChangesNoAnswer(t *testing.T) {
	var spared, all [3]int
	seeds := uint64(150)
	if testing.Short() {
		seeds = 45
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 7))
		m := wildStory(r, 300+r.IntN(500), []int{0, 20, 200}[seed%3]) // none is wrong, many are, few are
		for range 4 {
			a, b := m.recs[r.IntN(len(m.recs))].Time, m.recs[r.IntN(len(m.recs))].Time
			if b.Before(a) {
				a, b = b, a
			}
			rg := journal.Range{Since: a.Add(time.Duration(r.IntN(2)) * time.Microsecond)}
			if r.IntN(2) == 0 {
				rg.Until = b
			}
			if r.IntN(4) == 0 {
				rg.Session = uint64(1 + r.IntN(2))
			}
			for _, ask := range asksOfLives() {
				part := Part{}
				if r.IntN(3) == 0 {
					part.Rows = 1 + r.IntN(5)
				}
				answer := func(back uint64) (string, int) {
					m.read, part.back = 0, back
					return ask.rows(t, m, rg, part), m.read
				}
				want, far := answer(math.MaxUint64)
				got, near := answer(1)
				if got != want {
					t.Fatalf("seed %d, %s of %v to %v, session %d, %d rows at most:\n%s\nand when all is read\n%s", seed, ask.name, rg.Since, rg.Until, rg.Session, part.Rows, onlyIn(got, want), onlyIn(want, got))
				}
				if all[seed%3]++; near < far {
					spared[seed%3]++
				}
			}
		}
	}
	if spared[0] < all[0]/10 || spared[1] == 0 || spared[2] == 0 {
		t.Errorf("of %d answers %d read less", all, spared)
	}
}

type askOfLives struct {
	name string
	rows func(*testing.T, source, journal.Range, Part) string
}

func asksOfLives() []askOfLives {
	return []askOfLives{
		{"circuits", picked(circuits, CircuitPick{})},
		{"streams", picked(streams, StreamPick{})},
		{"failures", picked(failures, ByLink)},
		{"relays", func(t *testing.T, src source, r journal.Range, part Part) string {
			return placed(t, func(emit func(*Relay) error) ([]journal.Gap, error) {
				return relays(t.Context(), src, r, part, emit)
			})
		}},
	}
}

// picked asks for rows that something picks.
func picked[R Row, P any](ask func(context.Context, source, journal.Range, P, Part, func(R) error) ([]journal.Gap, error), pick P) func(*testing.T, source, journal.Range, Part) string {
	return func(t *testing.T, src source, r journal.Range, part Part) string {
		return placed(t, func(emit func(R) error) ([]journal.Gap, error) {
			return ask(t.Context(), src, r, pick, part, emit)
		})
	}
}

// wildStory makes n records of circuits and streams that begin and end, in two
// sessions. One in so many is not recorded, or wrong in a snapshot; 0: none.
func wildStory(r *rand.Rand, n, wrong int) *memory {
	m := &memory{}
	at := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	session := uint64(1)
	circs, strs := map[int]string{}, map[int]string{} // what a snapshot says of those that stand
	var over, free []int                              // that have ended, and those of which the record says so
	last := 0
	tell := func(format string, args ...any) bool {
		if oneIn(r, wrong) {
			return false
		}
		m.add(session, at, fmt.Sprintf("650 "+format+"\r\n", args...))
		return true
	}
	end := func(id int, told bool) {
		delete(circs, id)
		if over = append(over, id); told {
			free = append(free, id)
		}
	}
	one := func(of map[int]string) int {
		ids := slices.Sorted(maps.Keys(of))
		if len(ids) == 0 {
			return 0
		}
		return ids[r.IntN(len(ids))]
	}
	for len(m.recs) < n {
		at = at.Add(time.Duration(r.IntN(90_000)) * time.Millisecond)
		if oneIn(r, 4*wrong) {
			at = at.Add(-5 * time.Minute) // the clock is put back
		}
		if len(m.recs) > n/2 && session == 1 {
			session, circs, strs, over, free = 2, map[int]string{}, map[int]string{}, nil, nil
		}
		c, s := one(circs), one(strs)
		switch k := r.IntN(20); {
		case k < 4 && len(circs) < 8:
			last++
			if c = last; oneIn(r, wrong) && len(free) > 0 {
				c, free = free[0], free[1:] // an ID again
			}
			circs[c] = "LAUNCHED PURPOSE=GENERAL"
			tell("CIRC %d LAUNCHED PURPOSE=GENERAL", c)
		case k < 8 && c != 0:
			circs[c] = fmt.Sprintf("EXTENDED $A,$%c PURPOSE=GENERAL", 'B'+r.IntN(3))
			tell("CIRC %d %s", c, circs[c])
		case k < 9 && c != 0:
			circs[c] = fmt.Sprintf("BUILT $A,$%c,$E PURPOSE=GENERAL", 'B'+r.IntN(3))
			tell("CIRC %d %s", c, circs[c])
		case k < 11 && c != 0:
			reason := []string{"TIMEOUT", "DESTROYED"}[r.IntN(2)]
			told := tell("CIRC %d FAILED $A PURPOSE=GENERAL REASON=%s", c, reason)
			if reason != "TIMEOUT" || r.IntN(2) == 0 {
				end(c, told)
			}
		case k < 12 && c != 0:
			end(c, tell("CIRC %d CLOSED $A,$B,$E PURPOSE=GENERAL REASON=FINISHED", c))
		case k < 13 && c != 0:
			tell("CIRC_BW ID=%d READ=5 WRITTEN=6", c)
		case k < 14 && len(over) > 0 && oneIn(r, wrong): // late words
			late := over[r.IntN(len(over))]
			if r.IntN(2) == 0 {
				tell("CIRC_BW ID=%d READ=5 WRITTEN=6", late)
			} else {
				tell("CIRC %d CLOSED $A PURPOSE=GENERAL REASON=FINISHED", late)
			}
		case k < 15 && len(strs) < 8:
			last++
			strs[last] = "NEW 0 example.org:80"
			tell("STREAM %d NEW 0 example.org:80 PURPOSE=USER", last)
		case k < 16 && s != 0 && c != 0:
			strs[s] = fmt.Sprintf("SUCCEEDED %d example.org:80", c)
			tell("STREAM %d SUCCEEDED %d example.org:80", s, c)
		case k < 17 && s != 0:
			tell("STREAM %d CLOSED 0 example.org:80 REASON=DONE", s)
			delete(strs, s)
		case k < 18 && s != 0:
			tell("STREAM_BW %d 7 8 2026-11-23T08:00:00.000000", s)
		case k < 19 && r.IntN(2) == 0:
			m.add(session, at, string(event.NewSnapshot([]byte(
				"250-version=0.4.9.11\r\n"+listed(r, "circuit-status", circs, last, wrong)+listed(r, "stream-status", strs, last, wrong)+"250 OK\r\n")).Format()))
		}
	}
	return m
}

// listed is what a snapshot says of lives; now and then one is left out or made up,
// or all are.
func listed(r *rand.Rand, key string, of map[int]string, last, wrong int) string {
	if oneIn(r, wrong) {
		return ""
	}
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(of)) {
		if !oneIn(r, 4*wrong) {
			fmt.Fprintf(&b, "%d %s\r\n", id, of[id])
		}
	}
	if oneIn(r, wrong) && last > 0 {
		fmt.Fprintf(&b, "%d BUILT 0 $A\r\n", 1+r.IntN(last))
	}
	return "250+" + key + "=\r\n" + b.String() + ".\r\n"
}

func oneIn(r *rand.Rand, n int) bool { return n > 0 && r.IntN(n) == 0 }

// onlyIn returns the lines of a that b has not.
func onlyIn(a, b string) string {
	var out strings.Builder
	for line := range strings.Lines(a) {
		if !strings.Contains(b, line) {
			out.WriteString(line)
		}
	}
	return out.String()
}

// placed is rows with their places.
func placed[R Row](t *testing.T, answer func(func(R) error) ([]journal.Gap, error)) string {
	var places strings.Builder
	return rows(t, func(emit func(R) error) ([]journal.Gap, error) {
		return answer(func(r R) error {
			fmt.Fprintln(&places, r.Place())
			return emit(r)
		})
	}) + places.String()
}

// What was before, and does not stand any more, has nothing to do with the answer,
// nor has how far it is read on; what is met again is read from its beginning.
func TestLookBackStories(t *testing.T) {
	for _, s := range []struct{ name, since, until, lines string }{
		{"a circuit that was let go is heard of again", "08:00:22", "", `
07:30:00 CIRC 4 LAUNCHED PURPOSE=GENERAL
07:30:01 CIRC 4 FAILED $A PURPOSE=GENERAL REASON=TIMEOUT
07:30:02 BW 1 1
07:30:03 BW 1 1
08:00:10 CIRC 5 LAUNCHED PURPOSE=GENERAL
08:00:20 CIRC 4 FAILED $A PURPOSE=MEASURE_TIMEOUT REASON=DESTROYED
08:00:21 SNAPSHOT 5 LAUNCHED
08:00:23 CIRC 4 CLOSED $A PURPOSE=MEASURE_TIMEOUT REASON=FINISHED
08:00:24 CIRC 5 CLOSED REASON=FINISHED
`},
		{"it ends three times", "08:00:58", "", `
07:30:00 CIRC 4 LAUNCHED PURPOSE=GENERAL
07:30:01 CIRC 4 CLOSED $A PURPOSE=GENERAL REASON=FINISHED
07:30:02 BW 1 1
07:30:03 BW 1 1
08:00:10 CIRC 5 LAUNCHED PURPOSE=GENERAL
08:00:50 CIRC 4 CLOSED $A PURPOSE=GENERAL REASON=FINISHED
08:00:55 SNAPSHOT 5 LAUNCHED
08:01:10 CIRC 4 CLOSED $A PURPOSE=GENERAL REASON=FINISHED
08:01:11 CIRC 5 CLOSED REASON=FINISHED
`},
		{"late words of one that ended before the range", "08:00:12", "08:00:20", `
07:30:00 BW 1 1
07:30:01 BW 1 1
07:30:02 BW 1 1
07:59:40 CIRC 4 LAUNCHED PURPOSE=GENERAL
07:59:41 CIRC 4 CLOSED $A PURPOSE=GENERAL REASON=FINISHED
08:00:10 CIRC 5 LAUNCHED PURPOSE=GENERAL
08:00:11 SNAPSHOT 5 LAUNCHED
08:00:13 SNAPSHOT
08:00:30 BW 1 1
08:00:31 CIRC 5 EXTENDED $A PURPOSE=GENERAL
08:00:31 CIRC 5 BUILT $A PURPOSE=GENERAL
08:00:31 CIRC 5 CLOSED $A PURPOSE=GENERAL
08:03:00 BW 1 1
`},
		{"one is not measured any more", "08:25:12", "08:25:20", `
08:10:00 CIRC 4 LAUNCHED PURPOSE=GENERAL
08:14:01 CIRC 4 FAILED $A PURPOSE=GENERAL REASON=TIMEOUT
08:14:02 BW 1 1
08:14:03 BW 1 1
08:14:03 BW 1 1
08:14:03 BW 1 1
08:25:10 CIRC 5 LAUNCHED PURPOSE=GENERAL
08:25:11 SNAPSHOT 5 LAUNCHED
08:25:13 CIRC 5 CLOSED $A PURPOSE=GENERAL REASON=FINISHED
08:25:30 BW 1 1
08:26:10 CIRC_BW ID=5 READ=5 WRITTEN=6
08:28:00 BW 1 1
`},
		{"a snapshot overtakes the beginning", "08:00:22", "", `
07:30:00 BW 1 1
07:30:02 BW 1 1
07:30:03 BW 1 1
08:00:09 SNAPSHOT 4 LAUNCHED
08:00:10 CIRC 4 LAUNCHED PURPOSE=GENERAL
08:00:21 SNAPSHOT 4 LAUNCHED
08:00:24 CIRC 4 CLOSED REASON=FINISHED
`},
		{"a failed one is extended", "08:00:22", "", `
07:30:00 CIRC 4 LAUNCHED PURPOSE=GENERAL
07:30:01 BW 1 1
07:30:02 BW 1 1
07:30:03 BW 1 1
08:00:10 CIRC 5 LAUNCHED PURPOSE=GENERAL
08:00:20 CIRC 4 FAILED PURPOSE=GENERAL REASON=DESTROYED
08:00:21 SNAPSHOT 5 LAUNCHED
08:00:23 CIRC 4 EXTENDED $A PURPOSE=GENERAL
08:00:24 CIRC 5 CLOSED REASON=FINISHED
`},
	} {
		m := story(t, s.lines)
		r := journal.Range{Since: clock(t, s.since)}
		if s.until != "" {
			r.Until = clock(t, s.until)
		}
		for _, ask := range asksOfLives() {
			want := ask.rows(t, m, r, Part{back: math.MaxUint64})
			if got := ask.rows(t, m, r, Part{back: 1}); got != want {
				t.Errorf("%s: %s are\n%s\nand when all is read\n%s", s.name, ask.name, got, want)
			}
		}
	}
}
