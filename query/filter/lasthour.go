package filter

import (
	"time"

	"torjournal/journal"
)

// defaultSpan is how far back who asks looks if he does not say how far.
const defaultSpan = time.Hour

// LastHour returns the range r, which has no Since, as it is meant where nothing
// says from when on: the hour before now, or before Until if that is earlier.
func LastHour(r journal.Range, now time.Time) journal.Range {
	end := now
	if !r.Until.IsZero() && r.Until.Before(end) {
		end = r.Until
	}
	r.Since = end.Add(-defaultSpan)
	return r
}
