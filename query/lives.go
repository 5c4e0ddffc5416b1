package query

import (
	"context"
	"slices"
	"strings"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// Circuits and streams are lives: they are named by events of a session, from
// some point on, and end, or are lost sight of. What is the same for both, which
// records an answer needs and which lives are its rows, is here.

// How long after a life's end records of it are still looked for when the
// range is over. C tor tells the bytes of the last second just before CLOSED,
// so lateBytes is ample; a circuit that timed out is measured on for as long
// as tor's close timeout, 60 s at first and rarely more.
const (
	lateBytes  = time.Minute
	measureFor = 10 * time.Minute
)

// What one life holds, in bytes, roughly, and one entry of a map beside it.
const (
	lifeBytes  = 768
	entryBytes = 256
)

// being is what every life has.
type being struct {
	session uint64
	id      string
	place   Place // of the record that was the first to name it

	named    bool      // an event or a snapshot named it: it is a row
	told     bool      // a record that names it lies before the end of the range
	namedAt  time.Time // arrival of the first record that did
	closed   time.Time // arrival of the end
	lostBy   time.Time // when it was gone without an end
	stood    bool      // then because its session was over
	inside   bool      // a record that mentions it lies in the range
	midway   bool      // the first record that mentioned it was not its beginning
	listed   bool      // it is what its ID stands for in the present session
	awaited  bool      // the census counts it among those whose end is to come
	measured bool      // the census counts it among those whose end may not be final
	whole    bool      // the census counts it among the rows that are over
	gone     bool      // the census has let it go before
}

func (b *being) of() *being { return b }

// ended reports whether the last thing said of it is its end.
func (b *being) ended() bool { return !b.closed.IsZero() }

// lost reports whether it is gone without an end.
func (b *being) lost() bool { return !b.lostBy.IsZero() }

// living is a life of some kind.
type living interface {
	comparable
	of() *being
	over() bool // its end is final
}

// census finds the lives of an answer. Sessions follow each other in the
// sequence, so only the present session's lives are looked up by ID.
type census[L living] struct {
	walker
	r    journal.Range
	part Part

	types  event.Set                                // of the records that tell of lives
	born   func(being) L                            // a new life
	wanted func(L) bool                             // whether one, that is over or stands at the end, is chosen
	hear   func(rec *journal.Record, e event.Event) // lets a record tell what it tells
	turn   func()                                   // another session begins
	beside func() int                               // bytes that are held beside lives
	spare  func(L)                                  // takes lives that nothing is said of any more; nil: they are garbage

	// Of lives that reach into the range; see lookBack. listing "": all that was
	// before matters.
	near     bool
	listing  string                                 // what a snapshot lists them as
	beginsBy event.Type                             // of events that tell that one begins
	begins   func(event.Event) (id string, ok bool) // whether an event does
	stood    uint64                                 // number of the snapshot that a walk rests on which did not begin with the session; 0: it did
	stoodIn  uint64                                 // session of that

	from    uint64    // number of the first record that there is of the first session
	begun   uint64    // number of the last record that told of a beginning
	session uint64    // of the record read last
	last    time.Time // its time
	seq     uint64    // its number
	nth     int       // lives that it is the first to name, so far
	roll    roll[L]   // the present session's
	all     []L       // of every session, in the order in which they were first mentioned
	dropped int       // of them, those that are not in the range and over

	awaited  int        // lives of the range whose end is to come
	measured map[L]bool // those whose end may not be final
	late     time.Time  // until then records may follow an end
	resume   uint64     // records up to this number are read whatever their time

	whole int    // lives of the part that are over
	cut   *Place // lives after it are too many for the part; nil: none is
	fault error  // why no more can be read
}

func newCensus[L living](src source, r journal.Range, part Part) *census[L] {
	return &census[L]{walker: walker{src: src}, r: r, part: part, roll: newRoll[L](), measured: map[L]bool{}}
}

// eachLife calls emit, as walk returns it, for the lives of an answer, in order.
// walk begins one that gives a part; where that turns out too small it is asked
// for another.
func eachLife[L living](ctx context.Context, part Part, walk func(Part) (*census[L], func(L) error)) ([]journal.Gap, error) {
	for {
		var w *census[L]
		var emit func(L) error
		_, err := nearFirst(func(near bool) ([]journal.Gap, error) {
			w, emit = walk(part)
			w.near = near
			err := w.read(ctx)
			return w.gaps, err
		})
		if err != nil {
			return w.gaps, err
		}
		lives := w.chosen()
		if w.short(lives) {
			part.Rows *= 2
			continue
		}
		for _, l := range lives {
			if err := emit(l); err != nil {
				return w.gaps, err
			}
		}
		return w.gaps, nil
	}
}

// read takes the records from where the answer begins to where it ends.
func (w *census[L]) read(ctx context.Context) error {
	sessions, err := w.sessions(ctx)
	if err != nil {
		return err
	}
	first, ok, err := w.begin(ctx, sessions)
	if !ok || err != nil {
		return err
	}
	from, err := w.lookBack(ctx, w.from, &first)
	if err != nil {
		return err
	}
	walk := journal.Range{From: from, To: w.r.To, Session: w.r.Session, Types: w.types}
	for rec, err := range w.parsed(ctx, walk) {
		if err != nil {
			return err
		}
		if done, err := w.done(ctx, &rec.Record); done || err != nil {
			return w.finish(sessions, err)
		}
		if w.take(&rec.Record, rec.As); w.fault != nil {
			return w.fault
		}
	}
	return w.finish(sessions, nil)
}

// finish ends the session read last if another one followed it.
func (w *census[L]) finish(sessions []journal.Session, err error) error {
	if n := len(sessions); n > 0 && sessions[n-1].ID > w.session {
		w.endSession()
	}
	return err
}

// begin bounds the range by what there is, finds where the session of its first
// record begins, and returns that record. Every one before it is older than Since.
func (w *census[L]) begin(ctx context.Context, sessions []journal.Session) (first journal.Record, ok bool, err error) {
	from, to, ok, err := w.bounds(ctx, w.r.To)
	if !ok || err != nil {
		return first, false, err
	}
	w.from, w.r.To = from, to
	first, ok, err = w.firstOfPart(ctx, w.r, w.part)
	for _, s := range sessions {
		if s.ID == first.Session {
			w.from = max(from, s.First)
		}
	}
	return first, ok, err
}

// take lets one record tell what it tells.
func (w *census[L]) take(rec *journal.Record, says event.Event) {
	if rec.Session != w.session {
		w.endSession()
		w.session = rec.Session
	}
	w.last, w.seq, w.nth = rec.Time, rec.Seq, 0
	w.roll.forget(rec.Time)
	if says != nil {
		w.hear(rec, says) // a line that cannot be read says nothing of a life
	}
}

// chosen returns the lives of the answer, in order.
func (w *census[L]) chosen() (lives []L) {
	for _, l := range w.all {
		if w.belongs(l) && w.wanted(l) {
			lives = append(lives, l)
		}
	}
	slices.SortFunc(lives, func(a, b L) int { return a.of().place.compare(b.of().place) })
	return lives
}

// short reports whether the part ended with fewer rows than it may have: some
// lives that were over went on, and are no rows any more. Another walk with more
// rows finds what belongs there.
func (w *census[L]) short(lives []L) bool { return w.cut != nil && len(lives) <= w.part.Rows }

// stand takes the lives that stood at one moment, told by a snapshot's answer
// to key. Those of the session that it does not list are gone, although their
// end was not seen.
func (w *census[L]) stand(rec *journal.Record, ev *event.Journal, key string, each func(line string) (id string, ok bool)) {
	lines, found := snapshotLines(ev.Snapshot(), key)
	if !found {
		return
	}
	stands := map[string]bool{}
	for line := range lines {
		if id, ok := each(line); ok {
			stands[id] = true
		}
	}
	for l := range w.roll.lives() {
		if b := l.of(); !stands[b.id] && !b.ended() && !b.lost() {
			b.lostBy = rec.Time
			w.review(l)
		} else if !stands[b.id] {
			w.measure(l, false) // it is measured no more
		}
	}
}

// life returns the present session's life of that ID, which rec mentions. One
// that was let go, and of which there is a late word, is nobody's.
func (w *census[L]) life(id string, rec *journal.Record) L {
	l, known := w.roll.find(id)
	var none L
	if l == none {
		id = strings.Clone(id) // it is part of a line
		if known {
			return w.born(being{session: w.session, id: id, gone: true})
		}
		l = w.born(being{session: w.session, id: id, midway: w.begun != w.seq})
		w.roll.add(id, l)
		w.all = append(w.all, l)
		w.fault = w.part.allow(len(w.all)*lifeBytes + w.beside())
	}
	l.of().inside = l.of().inside || w.inRange(rec.Time)
	if l.of().midway {
		w.met()
	}
	return l
}

func (w *census[L]) inRange(t time.Time) bool { return inside(w.r, t) }

// before reports whether t lies before the end of the range.
func (w *census[L]) before(t time.Time) bool { return beforeEnd(w.r, t) }

// inPart reports whether l may be a row of the part that is wanted.
func (w *census[L]) inPart(l L) bool {
	return w.part.begun(l.of().place) && (w.cut == nil || !l.of().place.After(*w.cut))
}

// mine reports whether l is named before the end of the range, and lies in the
// part. One that is only mentioned there, by its bytes or a stream, and named
// later does not count: how many of those are found depends on how far the walk
// goes.
func (w *census[L]) mine(l L) bool { return l.of().named && l.of().told && w.inPart(l) }

// belongs reports whether any of l's life lies in the range, and l in the part.
func (w *census[L]) belongs(l L) bool {
	switch {
	case !w.mine(l):
		return false
	case l.of().inside:
		return true
	case l.of().ended():
		return !l.of().closed.Before(w.r.Since)
	case l.of().lost():
		return !l.of().lostBy.Before(w.r.Since)
	}
	return true
}

// again is asked when an event says that an ID begins: what had it and is over
// is another life.
func (w *census[L]) again(id string) {
	w.begun = w.seq
	l, known := w.roll.find(id)
	var none L
	switch {
	case l == none && known:
		w.roll.remove(id)
	case l != none && l.of().ended():
		w.roll.remove(id) // although nothing said that the session begins again
		w.keepOrDrop(l)
	}
}

// review keeps account of l after something was said of it.
func (w *census[L]) review(l L) {
	if l.of().gone {
		return
	}
	if l.of().named && l.of().place == (Place{}) {
		l.of().place, l.of().namedAt = Place{At: int64(w.seq), Nth: w.nth}, w.last
		w.nth++
	}
	l.of().told = l.of().told || l.of().named && w.before(w.last)
	mine := w.mine(l)
	w.await(l, mine && !l.of().ended() && !l.of().lost())
	ended := mine && l.of().ended()
	if ended && w.belongs(l) {
		if t := l.of().closed.Add(lateBytes); t.After(w.late) {
			w.late = t
		}
	}
	w.measure(l, ended && !l.over())
	switch {
	case !l.over() || l.of().whole:
	case w.belongs(l) && w.wanted(l):
		w.complete(l)
	default:
		w.letGo(l)
	}
}

// letGo forgets l, which is over and no row.
func (w *census[L]) letGo(l L) {
	if l.of().listed {
		if w.seq < w.stood && l.of().midway {
			w.roll.remove(l.of().id) // it may not be over: more of it shall be met
		} else {
			w.roll.letGo(l, l.of().closed.Add(lateBytes))
		}
	}
	l.of().named = false
	w.drop()
}

// complete counts l, which is over and a row, and finds where the part ends
// once there are enough.
func (w *census[L]) complete(l L) {
	l.of().whole = true
	if w.whole++; w.part.Rows == 0 || w.whole <= w.part.Rows {
		return
	}
	var places []Place
	for _, l := range w.all {
		if l.of().whole {
			places = append(places, l.of().place)
		}
	}
	slices.SortFunc(places, Place.compare)
	w.cut = &places[w.part.Rows]
	w.whole = w.part.Rows + 1
	for _, l := range slices.Clone(w.all) {
		if l.of().place.After(*w.cut) {
			w.await(l, false)
			w.measure(l, false)
			if l.of().whole {
				l.of().whole = false
				w.letGo(l)
			}
		}
	}
}

func (w *census[L]) measure(l L, measured bool) {
	if l.of().measured == measured {
		return
	}
	if l.of().measured = measured; measured {
		w.measured[l] = true
	} else {
		delete(w.measured, l)
	}
}

func (w *census[L]) await(l L, await bool) {
	if l.of().awaited == await {
		return
	}
	if l.of().awaited = await; await {
		w.awaited++
	} else {
		w.awaited--
	}
}

// keepOrDrop forgets l, of which nothing more is said, unless it belongs to
// the range.
func (w *census[L]) keepOrDrop(l L) {
	w.await(l, false)
	w.measure(l, false)
	if !w.belongs(l) {
		l.of().named = false
		w.drop()
	}
}

// drop counts one that is no row, and clears up behind many of them.
func (w *census[L]) drop() {
	if w.dropped++; w.dropped > len(w.all)/2 {
		w.all = slices.DeleteFunc(w.all, w.isDone)
		w.dropped = 0
	}
}

// isDone reports whether l is no row and nothing more will be said of it, and gives
// it away then.
func (w *census[L]) isDone(l L) bool {
	if l.of().named || l.of().listed {
		return false
	}
	if w.spare != nil {
		w.spare(l)
	}
	return true
}

// endSession is called where another session begins: what stood is lost.
func (w *census[L]) endSession() {
	stood := slices.Collect(w.roll.lives())
	w.roll.clear()
	for _, l := range stood {
		if l.of().named && !l.of().ended() && !l.of().lost() {
			l.of().lostBy, l.of().stood = w.last, true
		}
		w.keepOrDrop(l)
	}
	w.turn()
}

// done reports whether nothing from rec on can change the answer: the range
// is over and so are its lives. The clock may have been put back since, so
// the index is asked whether any later record lies in the range.
func (w *census[L]) done(ctx context.Context, rec *journal.Record) (bool, error) {
	if w.cut == nil && w.before(rec.Time) || w.awaited > 0 && rec.Session == w.session || !rec.Time.After(w.late) || rec.Seq <= w.resume {
		return false, nil
	}
	for l := range w.measured {
		if !rec.Time.After(l.of().closed.Add(measureFor)) {
			return false, nil
		}
	}
	if w.cut != nil {
		return true, nil
	}
	next, ok, err := w.firstOf(ctx, journal.Range{
		From: rec.Seq, To: w.r.To, Since: w.r.Since, Until: w.r.Until, Session: w.r.Session,
	})
	if ok {
		w.resume = next.Seq
	}
	return !ok, err
}
