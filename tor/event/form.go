package event

import "bytes"

// Events keep what does not fit their fields in two ways.
//
// What tor sends is canonical: known keywords in tor's order, each value
// spelled the one way Format spells it, unknown ones (of a newer tor) after
// them. Such an event needs no more than a bit per keyword, which says that
// it was there (a value may be 0 or "").
//
// Anything else gets a layout: the order of the keywords and the wire's own
// spelling of odd values, which holds only as long as the field still has the
// value it was parsed to. So a parsed event formats to the bytes it came as,
// and a field that is changed afterwards is formatted anew.
//
// Keeping the raw line in every event and comparing it would be simpler, but
// costs a second parse for each Format and says nothing about a changed field.

// Rest is what an event's line has beyond the known fields.
type Rest struct {
	Extra Keywords // unknown keywords, repeated ones, and words that fit nowhere, in wire order

	form
}

// form is how the wire spelled an event. The zero form is that of an event
// made by hand.
type form struct {
	present uint32  // bit i: keyword i of the type was there; parsedBit: made by Parse
	layout  *layout // nil if canonical; never changed once made
}

const parsedBit = 1 << 31

// layout is the form of an event that differs from what tor sends.
type layout struct {
	slots []slot // keywords in wire order; nil if in canonical order
	sep   byte   // what follows the first "650": ' ', '-' or '+'
	lines string // further lines, as they came
}

// slot is one place for a keyword.
type slot struct {
	field  int    // the keyword's number, or extraSlot
	canon  string // how Format spells the value it was parsed to; "" if actual is not needed
	actual string // how the wire spelled it
}

// extraSlot is the next keyword or word of Extra.
const extraSlot = -1

// maxSlots bounds a layout; an event with more odd keywords becomes Unknown.
// 64 slots of 40 bytes are 2.5 KiB. tor's longest events have 14 keywords.
const maxSlots = 64

// MoreLines returns the lines after the first of an event that the control
// specification writes on one line (section 4.1 allows a newer tor to add
// some), as they stand on the wire; "" if there are none.
func (f *form) MoreLines() string {
	if f.layout == nil {
		return ""
	}
	return f.layout.lines
}

func (f *form) has(i int) bool { return f.present&(1<<i) != 0 }

// ordered reports whether keywords are arranged by slots.
func (f *form) ordered() bool { return f.layout != nil && f.layout.slots != nil }

// open begins a wire form with the event's name.
func (f *form) open(b []byte, name Type) []byte {
	sep := byte(' ')
	if f.layout != nil {
		sep = f.layout.sep
	}
	return appendName(append(b, '6', '5', '0', sep), name)
}

// mark begins keyword i: with a blank, or, where close will arrange the
// keywords by slots, with a line feed (no field can hold one) and its number.
func (f *form) mark(b []byte, i int) []byte {
	if f.ordered() {
		return append(b, '\n', firstMark+byte(i))
	}
	return append(b, ' ')
}

const firstMark = 'A'

// plain appends keyword i, quoted only if v cannot stand otherwise. An empty
// value is left out unless the wire had it.
func (f *form) plain(b []byte, i int, key, v string) []byte {
	if v == "" && !f.has(i) {
		return b
	}
	return appendPlain(f.mark(b, i), key, v)
}

// quoted appends keyword i, always quoted.
func (f *form) quoted(b []byte, i int, key, v string) []byte {
	if v == "" && !f.has(i) {
		return b
	}
	return appendString(f.mark(b, i), key, v)
}

// uint appends keyword i. Of a parsed event a 0 is left out unless the wire
// had it.
func (f *form) uint(b []byte, i int, key string, v uint64) []byte {
	if v == 0 && f.present != 0 && !f.has(i) {
		return b
	}
	return appendUint(f.mark(b, i), key, v)
}

// optUint appends keyword i; a 0 is left out unless the wire had it.
func (f *form) optUint(b []byte, i int, key string, v uint64) []byte {
	if v == 0 && !f.has(i) {
		return b
	}
	return appendUint(f.mark(b, i), key, v)
}

// optInt appends keyword i; a 0 is left out unless the wire had it.
func (f *form) optInt(b []byte, i int, key string, v int64) []byte {
	if v == 0 && !f.has(i) {
		return b
	}
	return appendInt(f.mark(b, i), key, v)
}

// float appends keyword i with six decimals. Of a parsed event a 0 is left
// out unless the wire had it.
func (f *form) float(b []byte, i int, key string, v float64) []byte {
	if v == 0 && f.present != 0 && !f.has(i) {
		return b
	}
	return appendFloat(f.mark(b, i), key, v)
}

// close ends the wire form with what is in r and returns a copy of b, so that b
// may be scratch space on the stack.
func (r *Rest) close(b []byte) []byte {
	if r.ordered() {
		return r.finish(r.arrange(b))
	}
	if r.Extra != "" {
		b = appendText(append(b, ' '), string(r.Extra))
	}
	return r.finish(b)
}

// finish ends the first line, appends further ones and copies b.
func (f *form) finish(b []byte) []byte {
	b = append(b, '\r', '\n')
	if f.layout != nil {
		b = append(b, f.layout.lines...)
	}
	return bytes.Clone(b)
}

// arrange puts the marked keywords of b and the words of Extra into the order
// of the slots; what has no slot follows.
func (r *Rest) arrange(b []byte) []byte {
	head, pieces := split(b)
	extra := oneLine(string(r.Extra))
	out := bytes.Clone(head)
	for _, s := range r.layout.slots {
		switch {
		case s.field == extraSlot && extra != "":
			_, _, end := token(extra, 0)
			out = append(append(out, ' '), extra[:end]...)
			extra = extra[min(end+1, len(extra)):]
		case s.field != extraSlot && pieces[s.field] != nil:
			piece := string(pieces[s.field])
			if s.canon != "" && piece == s.canon {
				piece = s.actual
			}
			out = append(append(out, ' '), piece...)
			pieces[s.field] = nil
		}
	}
	for _, piece := range pieces {
		if piece != nil {
			out = append(append(out, ' '), piece...)
		}
	}
	if extra != "" {
		out = append(append(out, ' '), extra...)
	}
	return out
}

// split cuts b at its marks: the words before the first keyword, and each
// keyword by its number.
func split(b []byte) (head []byte, pieces [32][]byte) {
	head, b, more := bytes.Cut(b, []byte{'\n'})
	for more {
		var piece []byte
		piece, b, more = bytes.Cut(b, []byte{'\n'})
		pieces[piece[0]-firstMark] = piece[1:]
	}
	return head, pieces
}
