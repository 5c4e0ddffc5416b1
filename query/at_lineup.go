package query

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// lineup is what stands of one kind. It begins with a snapshot's lines and
// takes the events after it, which may tell once more what those say.
type lineup interface {
	types() event.Set                   // events that take looks at
	makers() event.Set                  // of them those that make and end entries
	stands(line string)                 // a line of a snapshot
	take(t *tell)                       // an event
	inOrder() iter.Seq2[string, *entry] // what stands, in the order in which it was first told
	line(key string, e *entry) string   // an entry as tor answers
	size() int                          // bytes of entries
}

func newLineup(k Kind) (lineup, bool) {
	switch k {
	case CircuitStatus:
		return &circuitLineup{}, true
	case StreamStatus:
		return &streamLineup{}, true
	case ORConnStatus:
		return &orconnLineup{}, true
	case EntryGuards:
		return &guardLineup{}, true
	}
	return nil, false
}

// tell is one event, cut into its words: "650 TYPE w0 w1 …".
type tell struct {
	typ  event.Type
	time time.Time
	text string // what follows the type, without line end
}

// tellOf cuts an event of one line.
func tellOf(rec *journal.Record) (tell, bool) {
	rest, ok := strings.CutPrefix(string(rec.Wire), "650 "+string(rec.Type)+" ")
	text, _ := cutLine(rest)
	return tell{typ: rec.Type, time: rec.Time, text: text}, ok
}

// words cuts n words off the beginning of a line. ok is false if it has fewer.
func words(line string, n int) (out [4]string, rest string, ok bool) {
	rest = line
	for i := range n {
		if out[i], rest, _ = strings.Cut(rest, " "); out[i] == "" {
			return out, rest, false
		}
	}
	return out, rest, true
}

// keywords yields the keywords and other words of a line as they stand there.
// A blank inside quotes separates nothing.
func keywords(line string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line != "" {
			end, quoted := 0, false
			for ; end < len(line) && (quoted || line[end] != ' '); end++ {
				switch {
				case line[end] == '"':
					quoted = !quoted
				case line[end] == '\\' && quoted:
					end++
				}
			}
			end = min(end, len(line))
			if end > 0 && !yield(line[:end]) {
				return
			}
			line = strings.TrimPrefix(line[end:], " ")
		}
	}
}

// entry is one circuit, stream, connection or guard.
type entry struct {
	order  int
	status string
	circ   string // of a stream: the circuit that it is on
	text   string // of a circuit what follows the status, else who it is or where it goes
	since  string // of a guard: since when, as tor writes it
	flag   bool   // see where it is used
}

// entries are what stands, by a key that tells them apart.
type entries struct {
	by    map[string]*entry
	next  int
	bytes int
}

// entryCost is what an entry takes beside its text, in bytes.
const entryCost = 160

// entry returns the entry of that key; made tells that it is new.
func (s *entries) entry(key string) (e *entry, made bool) {
	if e = s.by[key]; e != nil {
		return e, false
	}
	if s.by == nil {
		s.by = map[string]*entry{}
	}
	e = &entry{order: s.next}
	s.by[strings.Clone(key)] = e
	s.next++
	s.bytes += entryCost + len(key)
	return e, true
}

// say sets an entry's text, in a copy of its own: what it was cut from is longer.
func (s *entries) say(e *entry, text string) {
	if e.text != text {
		s.bytes += len(text) - len(e.text)
		e.text = strings.Clone(text)
	}
}

func (s *entries) drop(key string) {
	if e := s.by[key]; e != nil {
		s.bytes -= entryCost + len(key) + len(e.text)
		delete(s.by, key)
	}
}

func (s *entries) size() int { return s.bytes }

// inOrder returns keys and entries in the order in which they were first told.
func (s *entries) inOrder() iter.Seq2[string, *entry] {
	keys := slices.SortedFunc(maps.Keys(s.by), func(a, b string) int { return cmp.Compare(s.by[a].order, s.by[b].order) })
	return func(yield func(string, *entry) bool) {
		for _, k := range keys {
			if !yield(k, s.by[k]) {
				return
			}
		}
	}
}
