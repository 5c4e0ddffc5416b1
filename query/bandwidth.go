package query

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// maxSteps bounds the rows of one answer, also where a clock that began in
// 1970 stretches the range: a step with data costs stepBytes, so 144 MB, with what a total keeps of it.
const (
	maxSteps  = 1_000_000
	stepBytes = 144
	stepRoom  = 256 // sums that are made at once
)

// Bandwidth is one row: what a step of time carried, by tor's BW events, of
// which there is one a second. A step without any is missing, not idle: its
// Seconds is 0 and it has no numbers.
type Bandwidth struct {
	Time         Stamp   `json:"time"`                    // beginning of the step, a multiple of its length since 1970
	StepS        int64   `json:"step_s"`                  // length of the step, in seconds
	Seconds      int64   `json:"seconds"`                 // BW events in it: the seconds that are known
	ReadBytes    *uint64 `json:"read_bytes,omitempty"`    // sum of them
	WrittenBytes *uint64 `json:"written_bytes,omitempty"` // likewise
	PeakRead     *uint64 `json:"peak_read,omitempty"`     // most bytes in one of the seconds
	PeakWritten  *uint64 `json:"peak_written,omitempty"`  // likewise
}

// Place is Row's.
func (b *Bandwidth) Place() Place { return Place{At: b.Time.Unix()} }

// BandwidthAnswer says what is to be known of rows beside them.
type BandwidthAnswer struct {
	Gaps []journal.Gap // records that were evicted while they were to be read

	// SumsBefore: rows of times before are sums that the journal has kept; the
	// records are gone. Zero: there are none such.
	SumsBefore time.Time

	// Unrecorded are times of the range without BW events and what tor carried
	// then, where snapshots tell it. They are told with the last row.
	Unrecorded []UnrecordedBytes

	// Holes are times of which the sums were damaged, and of which records
	// are gone: rows there tell what is left.
	Holes []journal.RollupHole

	// Longer: of times before LongerBefore there are sums of that length only,
	// which the rows cannot show. 0: there are none such.
	Longer       time.Duration
	LongerBefore time.Time
}

// Bandwidths calls emit for every step from the first to the last record of
// r, of whatever type, in the order of time. step is whole seconds, at least
// one. A record counts to the step of its own time; the outermost steps count
// what lies inside r only. Where records are gone and rd has kept sums of
// them, whole minutes and hours are told by these, if the steps are not
// shorter; sums know neither From and To nor Session. An error of emit ends it
// and is returned as it is.
//
// All steps are summed, whatever part of them is wanted.
func Bandwidths(ctx context.Context, rd journal.Reader, r journal.Range, step time.Duration, part Part, emit func(*Bandwidth) error) (BandwidthAnswer, error) {
	return bandwidths(ctx, stored{rd}, r, step, part, emit)
}

func bandwidths(ctx context.Context, src source, r journal.Range, step time.Duration, part Part, emit func(*Bandwidth) error) (BandwidthAnswer, error) {
	if step < time.Second || step%time.Second != 0 {
		return BandwidthAnswer{}, fmt.Errorf("query: a step of %v: write whole seconds, at least 1s, for example 5m", step)
	}
	w := newBandwidthWalk(src, step, part)
	ok, err := w.read(ctx, r)
	if ok && err == nil {
		err = w.rows(emit)
	}
	if ok && err == nil {
		w.answer.Unrecorded, err = w.unrecorded(ctx, r)
	}
	w.answer.Gaps = w.gaps
	return w.answer, err
}

// bandwidthWalk sums BW events by step. Records need not come in the order
// of their times: wall clocks may be put back.
type bandwidthWalk struct {
	walker
	step  int64 // seconds
	part  Part
	most  int // steps at most
	steps map[int64]*stepSum
	room  []stepSum // for the next steps

	first, last int64 // numbers of the outermost steps with records

	answer BandwidthAnswer
}

// newBandwidthWalk begins one of steps of whole seconds.
func newBandwidthWalk(src source, step time.Duration, part Part) *bandwidthWalk {
	w := &bandwidthWalk{walker: walker{src: src}, step: int64(step / time.Second), steps: map[int64]*stepSum{}, part: part, most: maxSteps}
	if part.Memory > 0 {
		w.most = min(w.most, part.Memory/stepBytes)
	}
	return w
}

type stepSum struct {
	seconds               int64
	read, written         uint64
	peakRead, peakWritten uint64
}

// read sums the range; ok is false if nothing lies in it.
func (w *bandwidthWalk) read(ctx context.Context, r journal.Range) (ok bool, err error) {
	b, err := w.src.Bounds(ctx)
	if err != nil {
		return false, fmt.Errorf("query: %w", err)
	}
	asked := r
	if r.To = b.Last; asked.To != 0 {
		r.To = min(asked.To, b.Last)
	}
	w.first, w.last = math.MaxInt64, math.MinInt64
	rest, err := w.sums(ctx, asked, r, b)
	if err != nil {
		return false, fmt.Errorf("query: %w", err)
	}
	if r.To > 0 && b.First <= r.To {
		r.Types = event.Set{}
		if ok, err = w.ends(ctx, r); err != nil {
			return false, err
		}
	}
	for _, part := range rest {
		if !ok {
			break // there are no records
		}
		for rec, err := range w.records(ctx, part) {
			if err != nil {
				return false, err
			}
			w.add(&rec)
			if len(w.steps) > w.most {
				break // rows refuses it
			}
		}
	}
	return w.first <= w.last, nil
}

// ends finds the first and the last record of the range without reading what
// lies between.
func (w *bandwidthWalk) ends(ctx context.Context, r journal.Range) (ok bool, err error) {
	first, ok, err := w.firstOf(ctx, r)
	if !ok || err != nil {
		return false, err
	}
	w.note(first.Time)
	end, err := w.end(ctx, r, first.Seq)
	if err != nil {
		return false, err
	}
	last, ok, err := w.firstOf(ctx, journal.Range{From: end, To: end})
	if ok && r.Match(&last) {
		w.note(last.Time)
	}
	return true, err
}

// end returns the number of the range's last record, from being its first.
// It precedes the first record that is past Until or of a later session, and
// else is the newest. Where the clock was put back records of the range may
// follow that number; those that are BW are noted as they are added.
func (w *walker) end(ctx context.Context, r journal.Range, from uint64) (uint64, error) {
	end := r.To
	if r.Session != 0 {
		sessions, err := w.sessions(ctx)
		if err != nil {
			return 0, err
		}
		later := slices.IndexFunc(sessions, func(s journal.Session) bool { return s.ID > r.Session })
		if later >= 0 {
			end = min(end, sessions[later].First-1)
		}
	}
	if r.Until.IsZero() {
		return end, nil
	}
	past, ok, err := w.firstOf(ctx, journal.Range{From: from, To: end, Since: r.Until})
	if ok {
		end = past.Seq - 1
	}
	return end, err
}

// note stretches the answer to the step of t and returns its number.
func (w *bandwidthWalk) note(t time.Time) int64 {
	n := t.Unix() / w.step
	if t.Unix()%w.step < 0 {
		n--
	}
	w.first, w.last = min(w.first, n), max(w.last, n)
	return n
}

func (w *bandwidthWalk) add(rec *journal.Record) {
	parsed, err := event.Parse(rec.Wire)
	bw, ok := parsed.(*event.Bandwidth)
	if err != nil || !ok {
		return // a line that cannot be read is a second that is not known
	}
	w.addSum(rec.Time, stepSum{1, bw.Read, bw.Written, bw.Read, bw.Written})
}

func (w *bandwidthWalk) addSum(t time.Time, more stepSum) {
	n := w.note(t)
	sum := w.steps[n]
	if sum == nil {
		if len(w.room) == 0 {
			w.room = make([]stepSum, stepRoom)
		}
		sum, w.room = &w.room[0], w.room[1:]
		w.steps[n] = sum
	}
	sum.seconds += more.seconds
	sum.read += more.read
	sum.written += more.written
	sum.peakRead = max(sum.peakRead, more.peakRead)
	sum.peakWritten = max(sum.peakWritten, more.peakWritten)
}

// errManySteps means that longer ones must do.
var errManySteps = errors.New("too many steps")

// rows emits every step, those without a sum too.
func (w *bandwidthWalk) rows(emit func(*Bandwidth) error) error {
	if count := uint64(w.last-w.first) + 1; count > uint64(w.most) {
		return fmt.Errorf("query: %w: %d of %ds lie between the first and the last record, at most %d are given: narrow the range or take longer ones", errManySteps, count, w.step, w.most)
	}
	for n := w.first; n <= w.last; n++ {
		row := &Bandwidth{Time: Stamp{time.Unix(n*w.step, 0)}, StepS: w.step}
		if !w.part.begun(row.Place()) {
			continue
		}
		if sum := w.steps[n]; sum != nil {
			row.Seconds = sum.seconds
			row.ReadBytes, row.WrittenBytes = &sum.read, &sum.written
			row.PeakRead, row.PeakWritten = &sum.peakRead, &sum.peakWritten
		}
		if err := emit(row); err != nil {
			return err
		}
	}
	return nil
}
