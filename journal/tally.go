package journal

import (
	"maps"
	"slices"
	"strings"

	"torjournal/tor/event"
)

// otherNames bounds the names that a tally counts one by one, beside those of
// the types this program knows: a source that makes names up must not fill the
// memory. = 128 names, what they cost is their own length.
const otherNames = 128

// typeOther is what a tally counts further unknown types under. No tor has
// events of such a name: theirs are upper case.
const typeOther event.Type = "other"

// tally counts events by type. The zero tally counts nothing and can be added
// to; a name once used stays.
type tally map[event.Type]uint64

// add counts n more events of type t.
func (c *tally) add(t event.Type, n uint64) {
	if *c == nil {
		*c = tally{}
	}
	if (*c)[t] == 0 && len(*c) >= otherNames && !t.Known() {
		t = typeOther
	}
	(*c)[t] += n
}

// addAll counts what o has counted.
func (c *tally) addAll(o tally) {
	for t, n := range o {
		c.add(t, n)
	}
}

// name returns what t is counted under in c, if it is.
func (c tally) name(t event.Type) event.Type {
	if c[t] > 0 {
		return t
	}
	return typeOther
}

// together returns the same counts, those of the types of which single does
// not hold as one.
func (c tally) together(single func(name string) bool) (out tally) {
	for t, n := range c {
		if !single(string(t)) {
			t = typeOther
		}
		out.add(t, n)
	}
	return out
}

func knownName(name string) bool { return event.Type(name).Known() }

func (c tally) total() (n uint64) {
	for _, k := range c {
		n += k
	}
	return n
}

// types returns the names, separated by commas.
func (c tally) types() string {
	names := slices.Sorted(maps.Keys(c))
	words := make([]string, len(names))
	for i, t := range names {
		words[i] = string(t)
	}
	return strings.Join(words, ",")
}
