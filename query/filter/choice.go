package filter

import (
	"fmt"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// Choice says which events are wanted: those of its types of which all of its
// expressions are true. Its zero value is every event. It is for one goroutine.
type Choice struct {
	Types event.Set // empty: all

	circuit, stream string // that events must name; "": any

	wheres  []*Where
	matcher *Matcher
}

// Where adds an expression that must be true. now and loc are for the times in
// it, as with CompileWhere.
func (c *Choice) Where(expression string, now time.Time, loc *time.Location) error {
	w, err := CompileWhere(expression, now, loc)
	if err != nil {
		return err
	}
	c.wheres, c.matcher = append(c.wheres, w), NewMatcher()
	return nil
}

// Circuit adds that events must name the circuit of that ID, as the streams on
// it do.
func (c *Choice) Circuit(id string) error { return c.names("CircID", "circuit", id, &c.circuit) }

// Stream adds that events must name the stream of that ID.
func (c *Choice) Stream(id string) error { return c.names("StreamID", "stream", id, &c.stream) }

func (c *Choice) names(field, what, id string, to *string) error {
	if err := ID(id, what); err != nil {
		return err
	}
	*to = id
	return c.Where(fmt.Sprintf("%s == %q", field, id), time.Time{}, time.UTC)
}

// ID returns an error if s cannot be the ID of what is called so, a circuit or a
// stream (control-spec, section 2.4).
func ID(s, what string) error {
	ok := s != "" && len(s) <= 16
	for _, c := range s {
		ok = ok && (c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z')
	}
	if !ok {
		return fmt.Errorf("the number of a %s is wanted, for example 42", what)
	}
	return nil
}

// Narrow returns what of r can hold events that are wanted; it is false if that
// is nothing at all.
func (c *Choice) Narrow(r journal.Range) (journal.Range, bool) {
	r.Types = c.Types
	some := true
	for _, w := range c.wheres {
		var ok bool
		r, ok = w.Narrow(r)
		some = some && ok
	}
	r.Circuit, r.Stream = c.circuit, c.stream
	return r, some
}

// Bounded reports whether the expressions say by themselves from when on.
func (c *Choice) Bounded() bool {
	r, some := c.Narrow(journal.Range{})
	return some && (!r.Since.IsZero() || r.From > 0 || r.Session > 0)
}

// Decides reports whether there are expressions, so that events of the types
// must be asked about one by one.
func (c *Choice) Decides() bool { return len(c.wheres) > 0 }

// Match reports whether all expressions are true of r, which must be of the
// types. Where that cannot be said, undecided is told why.
func (c *Choice) Match(r *journal.Record, undecided func(error)) bool {
	for _, w := range c.wheres {
		ok, err := c.matcher.Match(w, r)
		if err != nil {
			undecided(err)
		}
		if !ok {
			return false
		}
	}
	return true
}
