package controlport

import (
	"bytes"
	"context"
	"strconv"
	"time"

	"torjournal/tor/event"
)

// whatBandwidth is the sum of the BW events of one UTC day, or of the part of
// it that was recorded: JOURNAL BANDWIDTH DATE= READ= WRITTEN= SECONDS=.
const whatBandwidth = "BANDWIDTH"

// endTimeout is how long the last sum may take to be journaled.
const endTimeout = 2 * time.Second

// daily adds up BW events by UTC day, for roles that must not record a
// relay's traffic second by second. It lives as long as the source: a tor
// that is lost and found again does not split the day.
type daily struct {
	date          string // YYYY-MM-DD; "" before the first event
	read, written uint64 // bytes
	seconds       uint64 // BW events
}

// add counts one BW event. At the first of a new day it returns the sum of
// the day before, else nil.
func (d *daily) add(now time.Time, wire []byte) (sum event.Event) {
	read, written, ok := bandwidth(wire)
	if !ok {
		return nil
	}
	if date := now.UTC().Format(time.DateOnly); date != d.date {
		sum = d.take()
		d.date = date
	}
	d.read += read
	d.written += written
	d.seconds++
	return sum
}

// take returns the sum and begins a new one; nil if there is none.
func (d *daily) take() event.Event {
	if d.seconds == 0 {
		return nil
	}
	n := func(v uint64) string { return strconv.FormatUint(v, 10) }
	ev := event.NewJournal(whatBandwidth, "DATE", d.date,
		"READ", n(d.read), "WRITTEN", n(d.written), "SECONDS", n(d.seconds))
	*d = daily{date: d.date}
	return ev
}

// bandwidth reads `650 BW <read> <written> …`.
func bandwidth(wire []byte) (read, written uint64, ok bool) {
	f := bytes.Fields(wire)
	if len(f) < 4 {
		return 0, 0, false
	}
	read, err1 := strconv.ParseUint(string(f[2]), 10, 64)
	written, err2 := strconv.ParseUint(string(f[3]), 10, 64)
	return read, written, err1 == nil && err2 == nil
}

// prepareDay finds out whether this life's bandwidth is added up.
func (l *life) prepareDay() {
	always := l.policy.Subscribe(l.names)
	l.sums = always.Has(event.BW) && !l.policy.Recorded().Has(event.BW)
}

// endDay journals what has been added up when the source ends.
func (s *Source) endDay(ctx context.Context) {
	sum := s.daily.take()
	if sum == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	if err := s.opt.Sink.Append(ctx, sum); err != nil {
		s.log.Error("today's bandwidth could not be journaled", "error", err)
	}
}
