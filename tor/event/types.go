package event

import (
	"math/bits"
	"slices"
	"strings"
)

// Type is the name of an event as SETEVENTS and the wire spell it, for
// example "CIRC". Names that this package does not know are carried as they
// are: a newer tor must lose nothing.
type Type string

// The event types of the control specification, section 4.1, and JOURNAL,
// which is torjournal's own.
const (
	CIRC               Type = "CIRC"
	STREAM             Type = "STREAM"
	ORCONN             Type = "ORCONN"
	BW                 Type = "BW"
	DEBUG              Type = "DEBUG"
	INFO               Type = "INFO"
	NOTICE             Type = "NOTICE"
	WARN               Type = "WARN"
	ERR                Type = "ERR"
	NEWDESC            Type = "NEWDESC"
	ADDRMAP            Type = "ADDRMAP"
	DESCCHANGED        Type = "DESCCHANGED"
	STATUS_GENERAL     Type = "STATUS_GENERAL"
	STATUS_CLIENT      Type = "STATUS_CLIENT"
	STATUS_SERVER      Type = "STATUS_SERVER"
	GUARD              Type = "GUARD"
	NS                 Type = "NS"
	STREAM_BW          Type = "STREAM_BW"
	CLIENTS_SEEN       Type = "CLIENTS_SEEN"
	NEWCONSENSUS       Type = "NEWCONSENSUS"
	BUILDTIMEOUT_SET   Type = "BUILDTIMEOUT_SET"
	SIGNAL             Type = "SIGNAL"
	CONF_CHANGED       Type = "CONF_CHANGED"
	CIRC_MINOR         Type = "CIRC_MINOR"
	TRANSPORT_LAUNCHED Type = "TRANSPORT_LAUNCHED"
	CONN_BW            Type = "CONN_BW"
	CIRC_BW            Type = "CIRC_BW"
	CELL_STATS         Type = "CELL_STATS"
	HS_DESC            Type = "HS_DESC"
	HS_DESC_CONTENT    Type = "HS_DESC_CONTENT"
	NETWORK_LIVENESS   Type = "NETWORK_LIVENESS"
	PT_LOG             Type = "PT_LOG"
	PT_STATUS          Type = "PT_STATUS"
	AUTHDIR_NEWDESCS   Type = "AUTHDIR_NEWDESCS"
	JOURNAL            Type = "JOURNAL"
)

// Types lists every type this package knows, in the order of the control
// specification, JOURNAL last. A type's place in it is its bit in a Set; the
// journal's index stores such bits, so entries are only ever appended.
var types = [...]Type{
	CIRC, STREAM, ORCONN, BW, DEBUG, INFO, NOTICE, WARN, ERR, NEWDESC, ADDRMAP,
	DESCCHANGED, STATUS_GENERAL, STATUS_CLIENT, STATUS_SERVER, GUARD, NS,
	STREAM_BW, CLIENTS_SEEN, NEWCONSENSUS, BUILDTIMEOUT_SET, SIGNAL,
	CONF_CHANGED, CIRC_MINOR, TRANSPORT_LAUNCHED, CONN_BW, CIRC_BW, CELL_STATS,
	HS_DESC, HS_DESC_CONTENT, NETWORK_LIVENESS, PT_LOG, PT_STATUS,
	AUTHDIR_NEWDESCS, JOURNAL,
}

// otherBit stands in masks for every type that this package does not know.
const otherBit = uint64(1) << 63

var typeBits = func() map[Type]uint64 {
	m := make(map[Type]uint64, len(types))
	for i, t := range types {
		m[t] = 1 << i
	}
	return m
}()

// Types returns every type this package knows, in a stable order.
func Types() []Type { return slices.Clone(types[:]) }

// Known reports whether t is a type of the control specification or JOURNAL.
func (t Type) Known() bool { return typeBits[t] != 0 }

// Mask returns t's bit for masks of types. All unknown types share one bit,
// so a mask can say "cannot contain" for certain and "may contain" otherwise.
func (t Type) Mask() uint64 {
	if b, ok := typeBits[t]; ok {
		return b
	}
	return otherBit
}

// ParseType returns the type of that name, upper-cased, as tor does:
// SETEVENTS is case-insensitive.
func ParseType(name string) Type { return Type(strings.ToUpper(name)) }

// Set is an immutable set of types. The zero Set is empty.
type Set struct {
	mask  uint64 // known types' bits; otherBit if other is not empty or all is set
	other []Type // unknown types, sorted; never changed once made
	all   bool   // every type, also such that no version knows
}

// AllTypes returns the set that has every type, unknown ones included.
func AllTypes() Set { return Set{mask: ^uint64(0), all: true} }

// NewSet returns the set of the given types.
func NewSet(ts ...Type) Set {
	var s Set
	for _, t := range ts {
		if b, ok := typeBits[t]; ok {
			s.mask |= b
			continue
		}
		s.mask |= otherBit
		if i, found := slices.BinarySearch(s.other, t); !found {
			s.other = slices.Insert(s.other, i, t)
		}
	}
	return s
}

// Has reports whether t is in s.
func (s Set) Has(t Type) bool {
	if s.all {
		return true
	}
	if b, ok := typeBits[t]; ok {
		return s.mask&b != 0
	}
	_, found := slices.BinarySearch(s.other, t)
	return found
}

// All reports whether s has every type.
func (s Set) All() bool { return s.all }

// Empty reports whether s has no type.
func (s Set) Empty() bool { return !s.all && s.mask == 0 }

// Mask returns the bits of s's types. A batch whose mask shares no bit with
// it holds no event of s.
func (s Set) Mask() uint64 { return s.mask }

// Exact reports whether the mask alone decides membership of the types in
// it: no unknown type is selected by name.
func (s Set) Exact() bool { return s.all || s.mask&otherBit == 0 }

// Union returns the types that are in s or in o.
func (s Set) Union(o Set) Set {
	if s.all || o.all {
		return AllTypes()
	}
	if len(s.other) == 0 && len(o.other) == 0 {
		return Set{mask: s.mask | o.mask}
	}
	return NewSet(append(s.List(), o.List()...)...)
}

// Minus returns the types of s that are not in o. If s is AllTypes, the
// result names the known types only.
func (s Set) Minus(o Set) Set {
	if !s.all && !o.all && len(s.other) == 0 && len(o.other) == 0 {
		return Set{mask: s.mask &^ o.mask}
	}
	var keep []Type
	for _, t := range s.List() {
		if !o.Has(t) {
			keep = append(keep, t)
		}
	}
	return NewSet(keep...)
}

// List returns the types of s, known ones first in specification order. For
// AllTypes it returns the known types.
func (s Set) List() []Type {
	out := make([]Type, 0, bits.OnesCount64(s.mask)+len(s.other))
	for i, t := range types {
		if s.mask&(1<<i) != 0 {
			out = append(out, t)
		}
	}
	return append(out, s.other...)
}

// Equal reports whether s and o hold the same types.
func (s Set) Equal(o Set) bool {
	return s.all == o.all && s.mask == o.mask && slices.Equal(s.other, o.other)
}

// String returns the types separated by blanks, as SETEVENTS takes them.
func (s Set) String() string {
	if s.all {
		return "ALL"
	}
	var b strings.Builder
	for i, t := range s.List() {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(string(t))
	}
	return b.String()
}
