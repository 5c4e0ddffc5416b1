package query

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// Events of the same kind are one sighting: how often, when, which ones. What
// tells kinds apart are words of the events; of lines of the log those without
// numbers and names.

// maxKinds bounds the kinds of one type that are kept: a tor has some dozens of
// most, and neither text from outside nor the relays and services that it meets
// must make more, nor take the place of another type's. Those whose name (who) is
// one too many are together one kind without a name. A sighting costs about
// sightingBytes. = 7 types of which there may be so many × 512 × 2.5 KiB = 9 MiB.
const (
	maxKinds      = 512
	sightingBytes = 2560
)

// shownRecords is how many records a sighting names at most: the first ones and
// the last one. Of the last one's words it keeps maxLine bytes, and it shows
// maxWords of any.
const (
	shownRecords = 5
	maxLine      = 2048
	maxWords     = 300
)

// kind is what events have in common: their type and what tells them apart.
type kind struct {
	of            event.Type
	what, by, who string // who: a name of which there may be very many
}

// sighting is what is known of the events of a kind.
type sighting struct {
	kind
	count       int      // within the range
	first, last moment   // within the range
	seqs        []uint64 // of the first ones of them
	words       string   // of the first one

	now  moment // the last one before the end of the range, also if that begins behind it
	late []byte // its words
}

// moment is where a record stands.
type moment struct {
	seq, session uint64
	time         time.Time
}

func momentOf(rec *journal.Record) moment { return moment{rec.Seq, rec.Session, rec.Time} }

// see adds a record to a sighting; inside says whether it lies in the range.
func (s *sighting) see(rec *journal.Record, inside bool) {
	s.now, s.late = momentOf(rec), append(s.late[:0], firstLine(rec.Wire)...)
	if !inside {
		return
	}
	if s.count++; s.count == 1 {
		s.first, s.words = s.now, shown(s.late)
	}
	if s.last = s.now; len(s.seqs) < shownRecords-1 {
		s.seqs = append(s.seqs, rec.Seq)
	}
}

// firstLine returns the first line of a wire form, as far as it is kept.
func firstLine(wire []byte) []byte {
	line, _, _ := bytes.Cut(wire[:min(len(wire), maxLine)], []byte("\r\n"))
	return line
}

// shown is a line as far as it is shown: without the user name and password by
// which a stream is kept apart, and what follows them.
func shown(line []byte) string {
	if i := bytes.Index(line, []byte(" SOCKS_USERNAME=")); i >= 0 {
		line = line[:i]
	}
	if len(line) <= maxWords {
		return strings.ToValidUTF8(string(line), "?")
	}
	return strings.ToValidUTF8(string(line[:maxWords]), "") + "…"
}

// records returns the numbers of records that show it.
func (s *sighting) records() []uint64 {
	if n := len(s.seqs); n > 0 && s.seqs[n-1] != s.last.seq {
		return append(slices.Clip(s.seqs), s.last.seq)
	}
	return slices.Clone(s.seqs)
}

// lines returns the words of the first and of the last one.
func (s *sighting) lines() (lines []string) {
	for _, l := range []string{s.words, shown(s.late)} {
		if l != "" && !slices.Contains(lines, l) {
			lines = append(lines, l)
		}
	}
	return lines
}

// keyword returns the value of a keyword of the last one.
func (s *sighting) keyword(key string) string {
	_, rest, _ := strings.Cut(string(s.late), " ")
	v, _ := event.Keywords(rest).Get(key)
	return v
}

// sightings are kinds of events, by type, and what is known of them.
type sightings map[event.Type]map[kind]*sighting

// get returns a kind that was seen, nil if it was not.
func (ss sightings) get(k kind) *sighting { return ss[k.of][k] }

// kinds returns how many there are.
func (ss sightings) kinds() (n int) {
	for _, kinds := range ss {
		n += len(kinds)
	}
	return n
}

// see adds a record of a kind, whose words may be parts of the record.
func (ss sightings) see(k kind, rec *journal.Record, inside bool) {
	s := ss.get(k)
	if s == nil && len(ss[k.of]) >= maxKinds {
		if k.who == "" {
			return
		}
		k.who = ""
		s = ss.get(k)
	}
	if s == nil {
		k = kind{event.Type(strings.Clone(string(k.of))), strings.Clone(k.what), strings.Clone(k.by), strings.Clone(k.who)}
		s = &sighting{kind: k}
		if ss[k.of] == nil {
			ss[k.of] = map[kind]*sighting{}
		}
		ss[k.of][k] = s
	}
	s.see(rec, inside)
}

// of returns the sightings within the range of a type and, unless that is "",
// a word; those with most records first, then in the order of their records.
func (ss sightings) of(t event.Type, what string) (found []*sighting) {
	for k, s := range ss[t] {
		if (what == "" || k.what == what) && s.count > 0 {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b *sighting) int {
		return cmp.Or(-cmp.Compare(a.count, b.count), cmp.Compare(a.first.seq, b.first.seq), cmp.Compare(a.what, b.what), cmp.Compare(a.by, b.by), cmp.Compare(a.who, b.who))
	})
	return found
}

// together returns several sightings as one; nil if there are none.
func together(parts []*sighting) *sighting {
	var all *sighting
	for _, s := range parts {
		if s == nil || s.count == 0 {
			continue
		}
		if all == nil {
			one := *s
			one.seqs = s.records()
			all = &one
			continue
		}
		all.count += s.count
		all.seqs = append(all.seqs, s.records()...)
		if s.first.seq < all.first.seq {
			all.first, all.words = s.first, s.words
		}
		if s.last.seq > all.last.seq {
			all.last, all.late = s.last, s.late
		}
		if s.now.seq > all.now.seq {
			all.now = s.now
		}
	}
	if all == nil {
		return nil
	}
	slices.Sort(all.seqs)
	if n := shownRecords - 1; len(all.seqs) > n {
		all.seqs = all.seqs[:n]
	}
	return all
}

// kindOf tells what kind an event is of; ok is false of events that are not
// gathered this way.
func kindOf(e event.Event) (k kind, ok bool) {
	switch e := e.(type) {
	case *event.Status:
		return kind{of: e.Class, what: e.Action, who: statusOf(e)}, true
	case *event.Log:
		return kind{of: e.Severity, what: withoutNames(e.Message)}, true
	case *event.Guard:
		return kind{of: event.GUARD, what: e.Status, who: e.Name}, true
	case *event.ORConn:
		return kind{of: event.ORCONN, what: e.Status, by: e.Reason, who: orConnRelay(e)}, true
	case *event.HSDesc:
		return kind{of: event.HS_DESC, what: e.Action, by: e.Reason, who: e.Address}, true
	case *event.BuildTimeoutSet:
		return kind{of: event.BUILDTIMEOUT_SET, what: e.Kind}, true
	case *event.NetworkLiveness:
		return kind{of: event.NETWORK_LIVENESS, what: e.Status}, true
	case *event.Circuit:
		if e.Status == statusFailed {
			return kind{of: event.CIRC, what: e.Status, by: e.Reason, who: e.RemoteReason}, true
		}
	case *event.Journal:
		return kind{of: event.JOURNAL, what: e.What}, e.What != event.WhatSnapshot && e.What != event.WhatCommand
	}
	return kind{}, false
}

// statusOf is whom the status of a relay is about, where there are several: the
// directory authority that answers, or the address that is tried.
func statusOf(e *event.Status) string {
	if e.Class != event.STATUS_SERVER {
		return ""
	}
	authority, _ := e.Arguments.Get("DIRAUTH")
	address, _ := e.Arguments.Get("ORADDRESS")
	return cmp.Or(authority, address)
}

// orConnRelay is who is at the other end, of an end that tells something about
// him: those that open and close are too many to be told apart.
func orConnRelay(e *event.ORConn) string {
	if e.Status == statusFailed {
		return e.Target
	}
	return ""
}

// withoutNames returns a message of the log with "#" for what makes one differ
// from the next: numbers, fingerprints, addresses, what stands in brackets.
func withoutNames(message string) string {
	message, _, _ = strings.Cut(message, "\n")
	var b strings.Builder
	for word := range strings.SplitSeq(message, " ") {
		if b.Len() > maxWords {
			break
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		if strings.ContainsAny(word, "0123456789$[") || len(word) > 40 {
			word = "#"
		}
		b.WriteString(word)
	}
	return b.String()
}
