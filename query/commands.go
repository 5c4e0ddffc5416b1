package query

import (
	"context"
	"strconv"
	"strings"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// answerTime is after how long a command without an answer is taken for one
// that never got any. Tor answers in milliseconds, and after seconds where it
// writes to a slow disk.
const answerTime = 10 * time.Minute

// commandBytes is what one row holds beside its words, in bytes, roughly.
const commandBytes = 512

// Command is one row: a controller's command that may change something in tor,
// or, with Count, how many others a connection sent in a minute. With Conns it is
// how many commands of any kind were sent by how many connections, the first of
// which is named, and are not recorded one by one: they were too many.
type Command struct {
	Time    Stamp          `json:"time"`            // when it was forwarded; of a count, when it was recorded
	Session uint64         `json:"session"`         // number of its session
	Conn    string         `json:"conn"`            // number of the connection, from 1 in each life of the recorder
	N       string         `json:"n,omitempty"`     // number of the command on that connection
	Peer    string         `json:"peer,omitempty"`  // address of the controller, or unix
	UID     *int64         `json:"uid,omitempty"`   // of its process, on a Unix socket
	PID     *int64         `json:"pid,omitempty"`   // likewise
	Verb    string         `json:"verb,omitempty"`  // the command; OTHER if it is none that is known
	Args    string         `json:"args,omitempty"`  // its arguments; what is or may be secret is [scrubbed]
	Code    *int64         `json:"code,omitempty"`  // of the answer; absent if none was recorded
	MS      *float64       `json:"ms,omitempty"`    // from forwarding it to the end of the answer
	Count   *int64         `json:"count,omitempty"` // of commands that change nothing, or are not recorded one by one
	Verbs   map[string]int `json:"verbs,omitempty"` // how many of each
	Conns   *int64         `json:"conns,omitempty"` // connections that sent those that are not recorded one by one

	settled bool // nothing more will be known of it
	place   Place
}

// Place is Row's.
func (c *Command) Place() Place { return c.place }

// Commands calls emit for every command that was forwarded to the source, or
// counted, within r, in that order, and returns what was evicted while it read.
// Of r it uses Since, Until, Session, From and To. A command is shown with its
// answer also if that came after Until. An error of emit ends it and is
// returned as it is. Rows belong to emit.
//
// It keeps in memory the rows behind one that is not answered, at most
// answerTime of them. counts says whether what was only counted is wanted too,
// as it is of connections.
func Commands(ctx context.Context, rd journal.Reader, r journal.Range, counts bool, part Part, emit func(*Command) error) ([]journal.Gap, error) {
	return commands(ctx, stored{rd}, r, counts, part, emit)
}

func commands(ctx context.Context, src source, r journal.Range, counts bool, part Part, emit func(*Command) error) ([]journal.Gap, error) {
	w := commandWalk{walker: walker{src: src}, emit: emit, sent: map[[2]string]*Command{}, counts: counts, part: part}
	if part.After != nil {
		r.From = max(r.From, uint64(max(part.After.At, 0))+1)
	}
	r.Types = event.NewSet(event.JOURNAL)
	if err := w.read(ctx, r); err != nil {
		return w.gaps, err
	}
	if len(w.sent) > 0 && !r.Until.IsZero() {
		w.late = true
		r.Since, r.Until = r.Until, r.Until.Add(answerTime)
		if err := w.read(ctx, r); err != nil {
			return w.gaps, err
		}
	}
	w.settle(time.Time{})
	return w.gaps, w.flush()
}

// commandWalk pairs commands with their answers.
type commandWalk struct {
	walker
	emit func(*Command) error

	counts bool // rows of what was only counted are wanted
	part   Part
	held   int // bytes of rows, roughly

	rows []*Command             // not emitted yet, in order
	sent map[[2]string]*Command // of them those that may be answered yet, by connection and number
	late bool                   // what is read lies behind the range: only answers count
}

func (w *commandWalk) read(ctx context.Context, r journal.Range) error {
	for rec, err := range w.records(ctx, r) {
		if err != nil {
			return err
		}
		if w.late && len(w.sent) == 0 {
			return nil
		}
		parsed, err := event.Parse(rec.Wire)
		ev, ok := parsed.(*event.Journal)
		if err != nil || !ok {
			continue // a line that cannot be read says nothing of a command
		}
		w.take(&rec, ev)
		if err := w.part.allow(w.held); err != nil {
			return err
		}
		w.settle(rec.Time.Add(-answerTime))
		if err := w.flush(); err != nil {
			return err
		}
	}
	return nil
}

func (w *commandWalk) take(rec *journal.Record, ev *event.Journal) {
	if ev.What == event.WhatStart { // another life of the recorder: the connections of the one before are gone
		w.settle(time.Time{})
	}
	if ev.What != event.WhatCommand {
		return
	}
	get := func(key string) string { v, _ := ev.Keywords.Get(key); return strings.Clone(v) }
	key := [2]string{get("CONN"), get("N")}
	phase := get("PHASE")
	if phase == "DONE" {
		if row := w.sent[key]; row != nil && row.Session == rec.Session {
			row.Code, row.MS, row.settled = number(get("CODE")), fraction(get("MS")), true
			delete(w.sent, key)
		}
		return
	}
	if w.late || phase != "SENT" && phase != "LEFT_OUT" && (phase != "COUNT" || !w.counts) {
		return
	}
	row := &Command{
		Time: Stamp{rec.Time}, Session: rec.Session, Conn: key[0], N: key[1], Peer: get("PEER"), UID: number(get("UID")), PID: number(get("PID")),
		Verb: get("VERB"), Args: get("ARGS"), Count: number(get("COUNT")), Conns: number(get("CONNS")), settled: phase != "SENT",
		place: Place{At: int64(rec.Seq)},
	}
	w.held += commandBytes + len(rec.Wire)
	w.rows = append(w.rows, row)
	if row.settled {
		row.Verbs = counts(get("VERBS"))
		return
	}
	if before := w.sent[key]; before != nil {
		before.settled = true // of a life of the recorder whose end is not in the records
	}
	w.sent[key] = row
}

// settle gives up on answers to what was sent before t, the zero time being
// never reached: all of them. It ends at the first that may be answered yet, as
// flush does: it is called for every record.
func (w *commandWalk) settle(t time.Time) {
	for _, row := range w.rows {
		if row.settled {
			continue
		}
		if !t.IsZero() && !row.Time.Before(t) {
			return
		}
		row.settled = true
		if key := [2]string{row.Conn, row.N}; w.sent[key] == row {
			delete(w.sent, key)
		}
	}
}

// flush emits rows up to the first that may be answered yet.
func (w *commandWalk) flush() error {
	for len(w.rows) > 0 && w.rows[0].settled {
		row := w.rows[0]
		w.rows[0] = nil
		if w.rows = w.rows[1:]; len(w.rows) == 0 {
			w.held = 0
		}
		if err := w.emit(row); err != nil {
			return err
		}
	}
	return nil
}

// number reads a whole number, nil if there is none.
func number(s string) *int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return nil
	}
	return &n
}

func fraction(s string) *float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f >= 0 && f < 1e15) { // also what JSON has no word for
		return nil
	}
	return &f
}

// counts reads "GETCONF:3,GETINFO:58".
func counts(list string) map[string]int {
	out := map[string]int{}
	for part := range strings.SplitSeq(list, ",") {
		verb, n, _ := strings.Cut(part, ":")
		if k, err := strconv.Atoi(n); err == nil {
			out[verb] = k
		}
	}
	return out
}
