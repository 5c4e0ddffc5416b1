package logfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"torjournal/tor/event"
)

// jsonEntry is a line of JSON. The arrival is called t or time; the wire form
// is raw, or raw_base64 where its bytes are no UTF-8.
type jsonEntry struct {
	T         *time.Time `json:"t"`
	Time      *time.Time `json:"time"`
	Session   uint64     `json:"session"`
	Raw       *string    `json:"raw"`
	RawBase64 []byte     `json:"raw_base64"`
}

func (r *Reader) nextJSON() (Entry, error) {
	for {
		line, err := r.lines.next()
		cut := errors.Is(err, errNoLineEnd)
		if cut {
			err = nil // the JSON says itself whether it is whole
		}
		if err != nil {
			return r.end(err)
		}
		if blank(line) {
			continue
		}
		e, err := parseJSON(line)
		if err != nil && cut {
			err = errNoLineEnd
		}
		if err != nil {
			return Entry{}, &LineError{Line: r.lines.n, Err: err}
		}
		e.Line = r.lines.n
		return e, nil
	}
}

func parseJSON(line []byte) (Entry, error) {
	var j jsonEntry
	if err := json.Unmarshal(line, &j); err != nil {
		return Entry{}, err
	}
	if j.T == nil {
		j.T = j.Time
	}
	wire := j.RawBase64
	if j.Raw != nil {
		wire = []byte(*j.Raw)
	}
	switch {
	case wire == nil:
		return Entry{}, errors.New(`the object has no "raw"`)
	case j.T == nil:
		return Entry{}, errors.New(`the object has no "t" and no "time"`)
	case len(wire) > maxEvent:
		return Entry{}, errLongEvent
	}
	if _, err := event.Parse(wire); err != nil {
		return Entry{}, err
	}
	at, err := microseconds(*j.T)
	return Entry{Time: at, Wire: wire, Session: j.Session}, err
}

// microseconds returns t in UTC as a journal can hold it.
func microseconds(t time.Time) (time.Time, error) {
	t = t.UTC().Truncate(time.Microsecond)
	if y := t.Year(); y < 1970 || y > 9999 {
		return time.Time{}, fmt.Errorf("the year %d is no time of a log", y)
	}
	return t, nil
}
