package query

import (
	"math"
	"time"
)

// descriptorLife is how long a directory keeps a descriptor (rend-spec-v3
// 2.2.1); tor uploads another one before.
const descriptorLife = 3 * time.Hour

// spanBytes is what a span holds in a list that grows.
const spanBytes = 32

// onionStay is what a session tells of a service: all that its availability is
// made of.
type onionStay struct {
	first, last time.Time // signs of it: descriptors, and circuits that begin
	found       bool      // it ran before the record
	described   time.Time // first HS_DESC of it
	uploaded    []span    // while descriptors were where they had been uploaded to; in order
	established []span    // introduction circuits; the end is MaxInt64 of those that stand, or stood at the session's end
	taken       time.Time // end of the introduction circuit that ended last; zero: one stands, or none was established
	finished    bool      // tor itself ended that one
	standing    bool      // one stands, or stood at the session's end
}

// descriptor takes an HS_DESC event.
func (st *onionStay) descriptor(action string, at time.Time) {
	if st.described.IsZero() {
		st.described = at
	}
	if action != "UPLOADED" {
		return
	}
	s := span{at.UnixMicro(), at.Add(descriptorLife).UnixMicro()}
	if n := len(st.uploaded); n > 0 && s.from >= st.uploaded[n-1].from && s.from <= st.uploaded[n-1].to {
		st.uploaded[n-1].to = max(s.to, st.uploaded[n-1].to)
		return
	}
	st.uploaded = append(st.uploaded, s)
}

// circuit takes one of the service, when it is over or at the end.
func (st *onionStay) circuit(l *life, u *onionUse) {
	st.found = st.found || l.launched.IsZero()
	if u.purpose != serviceIntro || u.met.IsZero() {
		return
	}
	s := span{u.met.UnixMicro(), math.MaxInt64}
	if u.already && l.launched.IsZero() {
		s.from = l.begun().UnixMicro()
	}
	switch end := u.end(l); {
	case !end.IsZero():
		s.to = end.UnixMicro()
		if end.After(st.taken) {
			st.taken, st.finished = end, u.left.IsZero() && l.reason == "FINISHED" && l.remoteReason == ""
		}
	case l.lost() && !l.stood:
		s.to = l.lostBy.UnixMicro()
	default:
		st.standing = true
	}
	st.established = append(st.established, s)
}

// measure tells how much of what is known it was available.
func (s *onionSum) measure(known map[uint64]spans) {
	if s.Address == "" {
		return // they may be several
	}
	var all, up int64
	for session, st := range s.stays {
		there := known[session].and(spans{st.there()})
		met := unite(st.established)
		doubt := met.and(spans{st.untold()}).without(unite(st.uploaded))
		all += there.without(doubt).length()
		up += there.and(met).and(unite(st.uploaded)).length()
	}
	if all == 0 {
		return
	}
	knownMS, upMS := all/1000, up/1000
	s.KnownMS, s.UpMS, s.Availability = &knownMS, &upMS, percent(up, all)
}

// there returns when the session has the service.
func (st *onionStay) there() span {
	s := span{st.first.UnixMicro(), math.MaxInt64}
	if !st.standing && st.finished && !st.last.After(st.taken) {
		s.to = st.taken.UnixMicro()
	}
	return s
}

// untold returns when it is not known whether a descriptor was where it should
// be, but for what was uploaded then.
func (st *onionStay) untold() span {
	s := span{math.MinInt64, math.MaxInt64}
	switch {
	case st.described.IsZero(): // HS_DESC may not be recorded
	case st.found:
		s.to = st.first.Add(descriptorLife).UnixMicro()
		if len(st.uploaded) > 0 {
			s.to = min(s.to, st.uploaded[0].from)
		}
	default:
		s.to = st.described.UnixMicro()
	}
	return s
}

// percent returns n of all in percent, rounded down, for all but everything is
// not 100; nil of nothing.
func percent(n, all int64) *float64 {
	if all == 0 {
		return nil
	}
	p := math.Floor(float64(n)/float64(all)*1e4) / 1e2
	return &p
}
