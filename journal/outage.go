package journal

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"

	"torjournal/tor/event"
)

// An outage is a time in which the file cannot be written: the disk is full,
// read-only, broken. It upholds, beside the writer's invariants:
//
//  1. (G6) Events are delivered as they come, without numbers, behind a JOURNAL
//     UNJOURNALED. They are counted, and when the file can be written again a
//     JOURNAL JOURNALED says, in the journal and to who is live, how many are
//     missing, of what types, since when. (TestOutage)
//  2. (G2) Numbers have no hole: what is missing bears none, and JOURNALED is
//     the next record after those that were written before. (TestOutageModel)
//  3. The batch in hand when the outage began is ambiguous. It is not missing:
//     it stays pending, and the first thing that is committed afterwards is
//     that batch, as it is, under its numbers, whether it is in the file
//     already or not. So nothing depends on finding out. (TestOutagePending)
//  4. Nobody gets a record twice for that. The records of the pending batch
//     are delivered without numbers, but a cursor's place counts the numbers
//     that they will have: one that had them live goes on behind them, one that
//     had not reads them, from memory or from the file. (TestOutageBehind)
//  5. No reader gets them from the file before a commit has returned nil:
//     until then they may vanish. (TestNobodySeesAFailedCommit)
//  6. Memory is bounded: what is delivered goes through the window as live-only
//     events do, counts have a bounded number of names, and one change at most
//     is pending. (TestOutageMemory)
//
// The beginning is told to who is live only. JOURNALED names the time, and a
// record of the beginning would have to stand before the pending batch, whose
// numbers are taken.
//
//  7. What is missing is told even if the process ends before the file can be
//     written again: lossnote.go tells how. (TestOutageOutlivesTheProcess)
//
// The way that lost: putting the pending batch aside as missing and looking,
// afterwards, whether the file has it. Then the numbers of what comes next
// depend on what a failing disk lets one see.
type outage struct {
	begun   int64    // wall clock, µs since 1970
	since   int64    // since when events are missing that no mark tells of, µs
	cause   string   // the error that began it, without names of files
	pending *change  // what was tried last and may be in the file; nil: nothing
	gone    bool     // pending's records are delivered already
	owed    bool     // a mark has to be written
	session *Session // begun or brought up to date meanwhile and not written; nil: none
	fresh   bool     // session was begun meanwhile
	missing tally    // delivered, and told by no mark yet
	dropped tally    // dropped under overload, and told by no event yet
	total   uint64   // missing altogether
	timer   *time.Timer

	// What is missing if pending is not in the file in the end: the records in
	// it, or what the mark in it tells.
	tried     losses
	triedLast uint64 // last record of pending; 0: it has none
}

func newOutage(us int64, cause string, retry time.Duration) *outage {
	return &outage{begun: us, since: us, cause: cause, owed: true, timer: time.NewTimer(retry)}
}

// beginOutage is what follows when c cannot be committed.
func (w *writer) beginOutage(c *change, err error) {
	us, _ := w.env.clock()
	o := newOutage(us, cause(err), w.retry)
	o.pending, w.out = c, o
	w.restPacked()
	w.since.Store(us)
	args := []any{"error", err}
	if last, rerr := w.env.reread(); rerr != nil {
		args = append(args, "reread", rerr)
	} else {
		args = append(args, "last_in_file", last)
	}
	w.log.Error(cannotWrite(err), args...)
	notice := event.NewJournal(event.WhatUnjournaled, "SINCE", stamp(o.since), "ERROR", o.cause)
	w.unnumbered(w.number([]item{ownItem(notice, us)}, nil))
	if b := c.batch; b != nil {
		o.gone = true
		o.try(b, losses{Missing: recorded(b.recs), Since: o.since})
		w.counts.unjournaled(b)
		w.env.ahead(b.recs, b.bits)
		b.recs, b.bits = nil, nil
	}
	w.leaveNote(false)
}

// cannotWrite is what the log says of a commit that failed, with the next step.
func cannotWrite(err error) string {
	step := "make room on the disk or replace it"
	if errors.Is(err, syscall.EFBIG) {
		step = "let its file become larger (ulimit -f; LimitFSIZE= of a service), or lower its limit"
	}
	return "the journal cannot be written: events are delivered but not recorded; " + step + ", writing goes on by itself"
}

// try notes what is missing if b is not in the file in the end.
func (o *outage) try(b *batch, l losses) { o.tried, o.triedLast = l, b.hdr.last }

// recorded counts the numbered ones among recs.
func recorded(recs []Record) (c tally) {
	for i := range recs {
		if recs[i].Seq != 0 {
			c.add(recs[i].Type, 1)
		}
	}
	return c
}

// cause is what err says at its end: why, without the names of files, which
// are nobody's business on a control port.
func cause(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+len(": "):]
	}
	return text
}

// deliver publishes events while the file cannot be written.
func (w *writer) deliver(items []item, dropped tally) {
	o := w.out
	for i := range items {
		if !items[i].live {
			o.missing.add(items[i].typ, 1)
			o.total++
			w.missed++
		}
	}
	o.dropped.addAll(dropped)
	if len(items) > 0 {
		b := w.number(items, nil)
		w.counts.unjournaled(b)
		w.unnumbered(b)
	}
}

// unnumbered publishes b without the numbers that it has.
func (w *writer) unnumbered(b *batch) {
	for i := range b.recs {
		b.recs[i].Seq = 0
	}
	w.env.publish(b.recs, b.bits)
}

// resume tries to write again.
func (w *writer) resume() {
	o := w.out
	if err := w.catchUp(); err != nil {
		w.err = err
		w.leaveNote(false)
		o.timer.Reset(w.retry)
		return
	}
	w.err, w.out = nil, nil
	w.since.Store(0)
	us, _ := w.env.clock()
	w.log.Info("the journal is written again", "missing", o.total, "after", time.Duration(us-o.begun)*time.Microsecond)
	w.askSealer(false)
}

// catchUp commits what is pending, and after it what there is to be said.
func (w *writer) catchUp() error {
	o := w.out
	if _, err := w.env.reread(); err != nil {
		return err // the file cannot even be read
	}
	for {
		if o.pending == nil {
			if o.pending = w.nextPending(); o.pending == nil {
				return nil
			}
			w.carry(o.pending)
		}
		if err := w.commitOnce(o.pending); err != nil {
			return err
		}
		if b := o.pending.batch; b != nil {
			if o.gone {
				w.counts.journaled(b.hdr.count())
				w.env.settled(b.hdr.last)
			} else {
				w.counts.add(b)
				w.env.publish(b.recs, b.bits)
			}
		}
		o.pending, o.gone = nil, false
		o.tried, o.triedLast = losses{}, 0
	}
}

// nextPending returns what else has to be written; nil: the outage is over.
func (w *writer) nextPending() *change {
	o := w.out
	switch {
	case o.session != nil:
		s := o.session
		if o.fresh {
			s.First = w.next
		}
		o.session, o.fresh = nil, false
		return &change{session: s}
	case o.owed || o.missing != nil || o.dropped != nil:
		us, _ := w.env.clock()
		b := w.number([]item{ownItem(o.mark(), us)}, o.dropped)
		w.encode(b)
		o.try(b, losses{o.missing, o.dropped, o.since})
		o.owed, o.since, o.missing, o.dropped = false, us, nil, nil
		return &change{batch: b}
	}
	return nil
}

// mark is the event that says what is missing.
func (o *outage) mark() event.Event {
	kv := []string{"COUNT", strconv.FormatUint(o.missing.total(), 10)}
	if o.missing != nil {
		kv = append(kv, "TYPES", o.missing.types())
	}
	return event.NewJournal(event.WhatJournaled, append(kv, "SINCE", stamp(o.since), "ERROR", o.cause)...)
}

// err is what is told to who asks for something that has to be written.
func (o *outage) err() error { return fmt.Errorf("%w: %s", ErrUnjournaled, o.cause) }

// tick returns the channel that receives when writing is to be tried; nil
// without an outage.
func (o *outage) tick() <-chan time.Time {
	if o == nil {
		return nil
	}
	return o.timer.C
}

// due reports whether writing is to be tried now.
func (o *outage) due() bool {
	select {
	case <-o.tick():
		return true
	default:
		return false
	}
}

// flushed is the answer to a Flush.
func (w *writer) flushed() error {
	missed := w.missed
	w.missed = 0
	switch {
	case w.out != nil:
		return w.out.err()
	case missed > 0:
		return fmt.Errorf("%w: %d events are missing", ErrUnjournaled, missed)
	}
	return nil
}

// finish has the file take what the log holds, and ends an outage with the
// journal: it tries a last few times to write.
func (w *writer) finish() {
	w.closeLog()
	for try := 1; w.out != nil && try <= closingTries; try++ {
		if try > 1 {
			time.Sleep(roomRetry)
		}
		w.resume()
	}
	o := w.out
	if o == nil {
		return
	}
	o.timer.Stop()
	lost := o.total
	if o.gone {
		lost += uint64(o.pending.batch.hdr.count())
	}
	then := "; nothing else will tell of them"
	if w.leaveNote(true) {
		then = "; the journal will tell of them when it is opened for writing next"
	}
	w.err = fmt.Errorf("journal: %d events are lost: %w%s", lost, w.err, then)
}

// ownItem is one of the writer's own events.
func ownItem(ev event.Event, us int64) item {
	return item{wire: ev.Format(), typ: event.JOURNAL, bit: bitOf(event.JOURNAL), us: us}
}
