package scrub

import (
	"fmt"
	"slices"
	"strings"

	"torjournal/tor/event"
)

// The roles' names.
const (
	Auto    = "auto" // ask the tor which of the others it has
	Client  = "client"
	Onion   = "onion"
	Relay   = "relay"
	Bridge  = "bridge"
	Testnet = "testnet"
	All     = "all"
	Custom  = "custom" // the name of a role that is a list of types
)

// roles is every word that names one, in the order that messages list them.
var roles = []string{Auto, Client, Onion, Relay, Bridge, Testnet, All}

var (
	// quiet are the types that a client records, but asks tor for only
	// while somebody wants them: they are many, and say little later.
	quiet = event.NewSet(event.DEBUG, event.INFO, event.NS, event.HS_DESC_CONTENT, event.CONN_BW, event.CELL_STATS)

	// verbose is what even who records everything does not ask for unasked.
	verbose = event.NewSet(event.DEBUG, event.INFO)

	// ownAffairs is what a relay or bridge may record: what tells of itself,
	// not of those whose traffic it carries.
	ownAffairs = event.NewSet(
		event.CIRC, event.CIRC_MINOR, event.STATUS_GENERAL, event.STATUS_CLIENT, event.STATUS_SERVER,
		event.NOTICE, event.WARN, event.ERR, event.GUARD, event.SIGNAL, event.CONF_CHANGED,
		event.NETWORK_LIVENESS, event.BUILDTIMEOUT_SET, event.DESCCHANGED, event.NEWDESC, event.ORCONN,
		event.JOURNAL,
	)
)

// Policy is what is kept of one tor. Unless it is Hashed it is immutable: its
// methods may be called from any goroutine.
type Policy struct {
	role       string
	listed     event.Set // subscribed always; if it is empty, all that are offered but unasked
	unasked    event.Set // subscribed only while somebody wants them
	recorded   event.Set
	summarized event.Set
	strips     bool   // what is recorded is stripped of addresses
	keyed      *keyed // nil unless hashed
}

// New returns the policy for what --record says: auto, a role's name, or a
// list of event types separated by commas or blanks. conf is the tor's
// configuration, values by option; of use are ORPort, BridgeRelay,
// TestingTorNetwork and HiddenServiceDir. With conf nil it merely checks what
// record says. The error lists what is possible.
//
// A list of types applies as it is, but on a relay or bridge what it names is
// stripped as that role does; only all records other people's addresses.
func New(record string, conf map[string][]string) (*Policy, error) {
	name := strings.ToLower(strings.TrimSpace(record))
	if name == "" || name == Auto {
		name = detect(conf)
	}
	switch name {
	case Client, Onion:
		return &Policy{
			role: name, unasked: quiet, recorded: event.AllTypes(),
			summarized: event.NewSet(event.NEWCONSENSUS),
		}, nil
	case Testnet, All:
		return &Policy{role: name, unasked: verbose, recorded: event.AllTypes()}, nil
	case Relay, Bridge:
		return &Policy{
			role: name, strips: true, recorded: ownAffairs,
			listed: ownAffairs.Union(event.NewSet(event.BW)), // BW for its daily sum
		}, nil
	}
	types, err := parseTypes(record)
	if err != nil {
		return nil, err
	}
	role := detect(conf)
	types = types.Union(event.NewSet(event.JOURNAL))
	return &Policy{role: Custom, listed: types, recorded: types, strips: role == Relay || role == Bridge}, nil
}

// detect returns the role that a tor with this configuration has.
func detect(conf map[string][]string) string {
	on := func(option string) bool {
		return slices.ContainsFunc(conf[option], func(v string) bool {
			word, _, _ := strings.Cut(strings.TrimSpace(v), " ")
			return word != "" && word != "0"
		})
	}
	switch {
	case on("TestingTorNetwork"):
		return Testnet
	case on("BridgeRelay"):
		return Bridge
	case on("ORPort"):
		return Relay
	case on("HiddenServiceDir"):
		return Onion
	}
	return Client
}

func parseTypes(list string) (event.Set, error) {
	var types []event.Type
	for _, word := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		t := event.ParseType(word)
		switch {
		case !t.Known():
			return event.Set{}, fmt.Errorf("%q is no role and no event type; roles are %s; or name event types, separated by commas: %s",
				word, strings.Join(roles, ", "), possible())
		case t == event.AUTHDIR_NEWDESCS:
			return event.Set{}, fmt.Errorf("no tor sends %s any more: leave it out", t)
		}
		types = append(types, t)
	}
	if len(types) == 0 {
		return event.Set{}, fmt.Errorf("%q names no event type; roles are %s; or name event types, separated by commas: %s",
			list, strings.Join(roles, ", "), possible())
	}
	return event.NewSet(types...), nil
}

// possible lists the types that may be named.
func possible() string {
	var names []string
	for _, t := range event.Types() {
		if t != event.AUTHDIR_NEWDESCS && t != event.JOURNAL {
			names = append(names, string(t))
		}
	}
	return strings.Join(names, ", ")
}

// Role returns the role's name: client, onion, relay, bridge, testnet, all or
// custom.
func (p *Policy) Role() string { return p.role }

// Subscribe returns which of the offered types are asked for whether or not
// anybody wants them.
func (p *Policy) Subscribe(offered event.Set) event.Set {
	if p.listed.Empty() {
		return offered.Minus(p.unasked)
	}
	var types []event.Type
	for _, t := range offered.List() {
		if p.listed.Has(t) {
			types = append(types, t)
		}
	}
	return event.NewSet(types...)
}

// Recorded returns the types that are written when they come. All others are
// delivered only.
func (p *Policy) Recorded() event.Set { return p.recorded }

// Summarized returns the types that are recorded whole only while somebody
// wants them, and else as one JOURNAL event.
func (p *Policy) Summarized() event.Set { return p.summarized }

// Strips reports whether addresses are taken out of what is recorded.
func (p *Policy) Strips() bool { return p.strips }

// Keep returns what is left of an event, given by its whole wire form: an
// event.Raw to record, or an event.Live to deliver only, which bears the bytes
// as they came unless the policy is hashed. It never changes wire, and may
// return it inside the event.
func (p *Policy) Keep(wire []byte) event.Event {
	raw := event.NewRaw(wire)
	recorded := raw.Name == event.JOURNAL || p.recorded.Has(raw.Name)
	if recorded {
		raw.Wire = p.strip(raw)
	}
	if p.keyed != nil {
		raw.Wire = p.keyed.hash(raw.Name, raw.Wire)
	}
	if !recorded {
		return event.Live{Event: raw}
	}
	return raw
}

// strip returns what is left of an event that is recorded.
func (p *Policy) strip(raw event.Raw) []byte {
	switch {
	case raw.Name != event.JOURNAL && p.strips:
		return strip(raw.Name, raw.Wire)
	case raw.Name == event.JOURNAL && isSnapshot(raw.Wire) && (p.strips || !p.recorded.All()):
		return p.snapshot(raw.Wire)
	case raw.Name == event.JOURNAL && p.strips && isDeed(raw.Wire):
		return stripDeed(raw.Wire)
	}
	return raw.Wire
}
