package event

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"
)

// ParseTime reads a time as events write it (control-spec, section 2.4): an
// ISOTime "2006-01-02 15:04:05" or an ISOTime2 with or without a fraction,
// "2006-01-02T15:04:05.000000". Both are UTC, but for ADDRMAP's Expiry, which
// is local time.
func ParseTime(s string) (time.Time, error) {
	layout := "2006-01-02T15:04:05" // takes a fraction, too
	if len(s) > 10 && s[10] == ' ' {
		layout = time.DateTime
	}
	t, err := time.Parse(layout, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("event: time %q is not of the form 2006-01-02T15:04:05.000000", s)
	}
	return t, nil
}

// Counts yields the names and numbers of a list such as CELL_STATS's
// "relay:3,create2:1" or CLIENTS_SEEN's "us=16,de=8". An entry without a
// number that fits 64 bits is left out.
func Counts(list string) iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		for entry := range strings.SplitSeq(list, ",") {
			i := strings.LastIndexAny(entry, ":=")
			if i < 0 {
				continue
			}
			n, err := strconv.ParseUint(entry[i+1:], 10, 64)
			if err == nil && !yield(entry[:i], n) {
				return
			}
		}
	}
}
