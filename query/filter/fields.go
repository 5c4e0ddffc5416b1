package filter

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"reflect"
	"slices"
	"sync"
	"time"

	"torjournal/tor/event"
)

// An expression sees one flat set of names: those every record has, and the
// exported fields of the structs of tor/event. A name means the same kind of
// value in every type that has it. What an event's type lacks has no value,
// see residue.go.

// record is what every record has, whatever its type.
type record struct {
	Seq     int       // sequence number, 0 if it is not in the journal
	Session int       // number of the session, 0 before the first
	Time    time.Time // arrival
	Type    string    // the event's name
	Line    string    // first line, without the "650" before and the line end
	Raw     string    // whole wire form
}

// structs has the struct that event.Parse returns for each type.
var structs = map[event.Type]any{
	event.CIRC:               event.Circuit{},
	event.STREAM:             event.Stream{},
	event.ORCONN:             event.ORConn{},
	event.BW:                 event.Bandwidth{},
	event.DEBUG:              event.Log{},
	event.INFO:               event.Log{},
	event.NOTICE:             event.Log{},
	event.WARN:               event.Log{},
	event.ERR:                event.Log{},
	event.NEWDESC:            event.NewDesc{},
	event.ADDRMAP:            event.AddrMap{},
	event.DESCCHANGED:        event.DescChanged{},
	event.STATUS_GENERAL:     event.Status{},
	event.STATUS_CLIENT:      event.Status{},
	event.STATUS_SERVER:      event.Status{},
	event.GUARD:              event.Guard{},
	event.NS:                 event.NetworkStatus{},
	event.STREAM_BW:          event.StreamBandwidth{},
	event.CLIENTS_SEEN:       event.ClientsSeen{},
	event.NEWCONSENSUS:       event.NetworkStatus{},
	event.BUILDTIMEOUT_SET:   event.BuildTimeoutSet{},
	event.SIGNAL:             event.Signal{},
	event.CONF_CHANGED:       event.ConfChanged{},
	event.CIRC_MINOR:         event.CircuitMinor{},
	event.TRANSPORT_LAUNCHED: event.TransportLaunched{},
	event.CONN_BW:            event.ConnBandwidth{},
	event.CIRC_BW:            event.CircuitBandwidth{},
	event.CELL_STATS:         event.CellStats{},
	event.HS_DESC:            event.HSDesc{},
	event.HS_DESC_CONTENT:    event.HSDescContent{},
	event.NETWORK_LIVENESS:   event.NetworkLiveness{},
	event.PT_LOG:             event.PTLog{},
	event.PT_STATUS:          event.PTStatus{},
	event.AUTHDIR_NEWDESCS:   event.AuthDirNewDescs{},
	event.JOURNAL:            event.Journal{},
}

// names of IDs that one name finds wherever an event names the circuit, or
// the stream.
var alsoCalled = map[event.Type][2]string{ // field, other name
	event.CIRC:       {"ID", "CircID"},
	event.CIRC_MINOR: {"ID", "CircID"},
	event.CIRC_BW:    {"ID", "CircID"},
	event.CELL_STATS: {"ID", "CircID"},
	event.STREAM:     {"ID", "StreamID"},
	event.STREAM_BW:  {"ID", "StreamID"},
}

// kind is what an expression can do with a field.
type kind byte

const (
	text   kind = iota
	words       // event.Keywords: a text whose keywords can be asked for by name
	number      // int
	float
	instant
	hops    // list of event.Router
	options // list of event.Option
	texts   // list of texts
	truth   // true or false
)

var kindTypes = map[kind]reflect.Type{
	text:    reflect.TypeFor[string](),
	words:   reflect.TypeFor[string](),
	number:  reflect.TypeFor[int](),
	float:   reflect.TypeFor[float64](),
	instant: reflect.TypeFor[time.Time](),
	hops:    reflect.TypeFor[[]event.Router](),
	options: reflect.TypeFor[[]event.Option](),
	texts:   reflect.TypeFor[[]string](),
	truth:   reflect.TypeFor[bool](),
}

func (k kind) list() bool { return k == hops || k == options || k == texts }

func (k kind) String() string {
	return [...]string{"text", "keywords", "number", "number with decimals", "time", "list of relays", "list of options", "list of texts", "true or false"}[k]
}

// kindOf returns the kind of a struct's field. A type that there is no kind
// for is left out.
func kindOf(t reflect.Type) (kind, bool) {
	switch t {
	case reflect.TypeFor[event.Path]():
		return hops, true
	case reflect.TypeFor[event.Keywords]():
		return words, true
	case reflect.TypeFor[[]event.Option]():
		return options, true
	case kindTypes[instant]:
		return instant, true
	}
	switch t.Kind() {
	case reflect.String:
		return text, true
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return number, true
	case reflect.Float64:
		return float, true
	}
	return 0, false
}

// element is how a predicate names what it looks at of a list's elements, for
// example.
func (k kind) element() string {
	if k == texts {
		return "#"
	}
	return "." + k.parts()[0]
}

// parts are the fields of the elements of lists; texts have none.
func (k kind) parts() []string {
	t := kindTypes[k].Elem()
	if t.Kind() != reflect.Struct {
		return nil
	}
	out := make([]string, t.NumField())
	for i := range out {
		out[i] = t.Field(i).Name
	}
	return out
}

// vocabulary is all that expressions can name.
type vocabulary struct {
	nobody string // has a field of another name: "no event has"
	kinds  map[string]kind
	names  []string                        // in alphabetical order
	of     map[event.Type]map[string][]int // of each type's struct, the place of the fields it has
	env    reflect.Type                    // a struct with all of them
	place  map[string]int                  // in env
}

// vocab is made when the first expression is compiled.
var vocab = sync.OnceValue(newVocabulary)

func newVocabulary() *vocabulary {
	v := &vocabulary{nobody: "no event has", kinds: map[string]kind{}, of: map[event.Type]map[string][]int{}, place: map[string]int{}}
	base := reflect.TypeFor[record]()
	for _, f := range reflect.VisibleFields(base) {
		v.kinds[f.Name], _ = kindOf(f.Type)
	}
	for t, s := range structs {
		v.of[t] = v.fieldsOf(reflect.TypeOf(s))
		if other, ok := alsoCalled[t]; ok {
			v.kinds[other[1]] = v.kinds[other[0]]
			v.of[t][other[1]] = v.of[t][other[0]]
		}
	}
	for name := range v.kinds {
		v.names = append(v.names, name)
	}
	slices.Sort(v.names)
	var fields []reflect.StructField
	for i, name := range v.names {
		v.place[name] = i
		fields = append(fields, reflect.StructField{Name: name, Type: kindTypes[v.kinds[name]]})
	}
	v.env = reflect.StructOf(fields)
	return v
}

// fieldsOf notes the fields of an event's struct and returns their places.
// What every record has goes before: Time is when the record arrived, not
// what tor wrote.
func (v *vocabulary) fieldsOf(t reflect.Type) map[string][]int {
	places := map[string][]int{}
	for _, f := range reflect.VisibleFields(t) {
		k, ok := kindOf(f.Type)
		if _, general := reflect.TypeFor[record]().FieldByName(f.Name); general || !ok || !f.IsExported() || f.Anonymous {
			continue
		}
		if before, known := v.kinds[f.Name]; known && before != k {
			panic(fmt.Sprintf("filter: field %s is %v and %v", f.Name, before, k))
		}
		v.kinds[f.Name] = k
		places[f.Name] = f.Index
	}
	return places
}

// general reports whether every record has a field of that name.
func general(name string) bool {
	_, ok := reflect.TypeFor[record]().FieldByName(name)
	return ok
}

// has reports whether events of type t have a field of that name.
func (v *vocabulary) has(t event.Type, name string) bool {
	if general(name) {
		return true
	}
	_, ok := v.of[t][name]
	return ok
}

// Field is one name that an expression can use.
type Field struct {
	Name  string
	Kind  string       // what it is: text, number …
	Types []event.Type // which events have it; none: all of them
	Parts []string     // of a list, what its elements have
}

// Fields lists the names that an expression can use, those of all events
// first.
func Fields() []Field {
	v := vocab()
	var out []Field
	for _, name := range v.names {
		f := Field{Name: name, Kind: v.kinds[name].String()}
		if v.kinds[name].list() {
			f.Parts = v.kinds[name].parts()
		}
		for _, t := range event.Types() {
			if _, ok := v.of[t][name]; ok {
				f.Types = append(f.Types, t)
			}
		}
		out = append(out, f)
	}
	slices.SortStableFunc(out, func(a, b Field) int { return cmp.Compare(min(len(a.Types), 1), min(len(b.Types), 1)) })
	return out
}

// slot says how one name gets its value from one type's struct.
type slot struct {
	to   int   // place in the environment
	from []int // place in the struct; nil: of every record
	kind kind
}

// slots returns those of the given names, of events of type t, and whether
// the event must be parsed for them.
func (v *vocabulary) slots(t event.Type, names []string) (out []slot, parse bool) {
	for _, name := range names {
		s := slot{to: v.place[name], kind: v.kinds[name]}
		if !general(name) {
			s.from, parse = v.of[t][name], true
		}
		out = append(out, s)
	}
	return out, parse
}

// bit is the place of a type in lists by type; the last is for all that have
// no struct.
func bit(t event.Type) int { return bits.TrailingZeros64(t.Mask()) }

const otherTypes = 63

// saturated is n as expressions count.
func saturated(n uint64) int { return int(min(n, math.MaxInt)) }
