package query

import (
	"slices"
	"strings"

	"torjournal/tor/event"
)

// circuitLineup is circuit-status. An event that is not an end says all of a
// circuit that the status does (control-spec 4.1.1), with exceptions:
//
//   - tor calls a circuit EXTENDED as soon as it has begun with it, and again
//     when it is cannibalized to have another hop, BUILT only at the end;
//   - a circuit has the SOCKS credentials of the stream that it is built for,
//     until it is built: then it is anybody's, and takes those of the first
//     stream that it is given. Of that only the STREAM event tells.
//
// Circuits that tor gives up (FAILED) and goes on building, to measure how long
// that takes, stand again with the CIRC_MINOR that follows at once.
type circuitLineup struct{ entries }

// unsaid are keywords of events that are no state, and CONFLUX_RTT, which tor
// measures anew all the time.
var unsaid = []string{"REASON", "REMOTE_REASON", "OLD_PURPOSE", "OLD_HS_STATE", "OLD_TIME_CREATED", "CONFLUX_RTT"}

func (*circuitLineup) types() event.Set {
	return event.NewSet(event.CIRC, event.CIRC_MINOR, event.STREAM)
}

func (*circuitLineup) makers() event.Set { return event.NewSet(event.CIRC, event.CIRC_MINOR) }

func (l *circuitLineup) stands(line string) {
	if w, about, ok := words(line, 2); ok {
		e, _ := l.entry(w[0])
		e.status = strings.Clone(w[1])
		l.describe(e, about)
	}
}

func (l *circuitLineup) take(t *tell) {
	if t.typ == event.STREAM {
		l.joined(t.text)
		return
	}
	w, about, ok := words(t.text, 2)
	if !ok {
		return
	}
	id, what := w[0], w[1]
	if t.typ == event.CIRC && (what == statusFailed || what == statusClosed) {
		l.drop(id)
		return
	}
	e, made := l.entry(id)
	l.describe(e, about)
	switch {
	case t.typ == event.CIRC && what != statusLaunched:
		if e.status = strings.Clone(what); what == statusBuilt && !e.flag && forStreams(about) {
			l.credit(e, nil)
		}
	case t.typ == event.CIRC || made || extends(what, about):
		e.status = statusExtended
	}
}

// forStreams reports whether a circuit is one that streams are given to when it
// is built. Those of onion services stay with the stream they were built for.
func forStreams(about string) bool {
	words := slices.Collect(keywords(about))
	return slices.Contains(words, "PURPOSE=GENERAL") || slices.Contains(words, "PURPOSE=CONTROLLER")
}

// extends reports whether a CIRC_MINOR says that a circuit that was built is
// extended. A rendezvous point is what a circuit ends with already.
func extends(what, about string) bool {
	return what == "CANNIBALIZED" && !slices.Contains(slices.Collect(keywords(about)), "PURPOSE=HS_CLIENT_REND")
}

func (l *circuitLineup) describe(e *entry, about string) {
	l.say(e, strings.Join(slices.Collect(func(yield func(string) bool) {
		for word := range keywords(about) {
			key, _, _ := strings.Cut(word, "=")
			if !slices.Contains(unsaid, key) && !yield(word) {
				return
			}
		}
	}), " "))
}

// joined takes a STREAM event: who is given to a circuit first leaves his
// credentials there. An entry's flag says that somebody was.
func (l *circuitLineup) joined(text string) {
	w, about, ok := words(text, 4)
	if !ok || w[1] != streamSentConnect && w[1] != streamSentResolve {
		return
	}
	e := l.by[w[2]]
	if e == nil || e.flag {
		return
	}
	e.flag = true
	var socks []string
	for word := range keywords(about) {
		if isSocks(word) {
			socks = append(socks, word)
		}
	}
	l.credit(e, socks)
}

// credit puts other credentials in the place that they have in a circuit's text.
func (l *circuitLineup) credit(e *entry, socks []string) {
	var all []string
	for word := range keywords(e.text) {
		if isSocks(word) {
			continue
		}
		all = append(all, word)
		if strings.HasPrefix(word, "TIME_CREATED=") {
			all, socks = append(all, socks...), nil
		}
	}
	l.say(e, strings.Join(append(all, socks...), " "))
}

func isSocks(word string) bool {
	return strings.HasPrefix(word, "SOCKS_USERNAME=") || strings.HasPrefix(word, "SOCKS_PASSWORD=")
}

func (*circuitLineup) line(id string, e *entry) string {
	line := id + " " + e.status
	if e.text != "" {
		line += " " + e.text
	}
	return line
}
