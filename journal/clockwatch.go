package journal

import (
	"strconv"
	"time"

	"torjournal/tor/event"
)

// clockJump is how far the wall clock moves against the monotonic clock
// between two looks if it was set. A clock that is slewed, as NTP does it,
// takes half an hour for a second.
const clockJump = time.Second

// clockWatch sees the wall clock being set, in either direction. Where the
// monotonic clock stands still while a machine is suspended (Linux), waking up
// is a jump forward: nothing was recorded meanwhile, so that is worth saying.
type clockWatch struct {
	offset int64 // of the wall clock against the monotonic clock, µs, at the last look
	looked bool
}

// look compares the clocks, the wall clock in µs since 1970. It returns the
// event that tells of a jump, stamped with the new time; nil if there was none.
func (w *clockWatch) look(us int64, mono time.Duration) *item {
	offset := us - mono.Microseconds()
	jump := offset - w.offset
	before := w.looked
	w.offset, w.looked = offset, true
	if !before || time.Duration(max(jump, -jump))*time.Microsecond <= clockJump {
		return nil
	}
	ev := event.NewJournal(event.WhatClock, "FROM", stamp(us-jump), "TO", stamp(us),
		"JUMP_MS", strconv.FormatInt(time.UnixMicro(jump).UnixMilli(), 10))
	return &item{wire: ev.Format(), typ: event.JOURNAL, bit: bitOf(event.JOURNAL), us: us, mono: mono}
}

// scan looks at the stamps of items up to the first that shows a jump, and
// returns its index and the event that tells.
func (w *clockWatch) scan(items []item) (int, *item) {
	for i := range items {
		if it := &items[i]; !it.past {
			if jump := w.look(it.us, it.mono); jump != nil {
				return i, jump
			}
		}
	}
	return 0, nil
}

// stamp writes a time, in µs since 1970, as all JOURNAL events do.
func stamp(us int64) string {
	return time.UnixMicro(us).UTC().Format("2006-01-02T15:04:05.000000Z")
}
