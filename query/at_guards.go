package query

import (
	"strings"

	"torjournal/tor/event"
)

// Status words of entry-guards (control-spec 3.9).
const (
	guardUp       = "up"
	guardDown     = "down"
	guardUnused   = "never-connected"
	guardUnusable = "unusable"
)

// guardLineup is entry-guards. A guard that tor never reached is so called also
// when it is down.
type guardLineup struct{ entries }

func (*guardLineup) types() event.Set    { return event.NewSet(event.GUARD) }
func (l *guardLineup) makers() event.Set { return l.types() }

func (l *guardLineup) stands(line string) {
	if w, since, ok := words(line, 2); ok {
		e, _ := l.entry(relay(w[0]))
		e.status, e.since = strings.Clone(w[1]), strings.Clone(since)
		l.say(e, w[0])
	}
}

func (l *guardLineup) take(t *tell) {
	w, _, ok := words(t.text, 3)
	if !ok {
		return
	}
	name, what := w[1], w[2]
	key := relay(name)
	switch what {
	case "DROPPED":
		l.drop(key)
		return
	case "NEW", "UP", "DOWN", "BAD", "GOOD":
	default: // of the second layer (GOOD_L2 …): no entry guards
		return
	}
	e, made := l.entry(key)
	l.say(e, betterName(e.text, name))
	switch {
	case what == "NEW" && made, what == "DOWN" && made:
		e.status = guardUnused
	case what == "UP", what == "GOOD" && e.status != guardUnused:
		e.status, e.since = guardUp, ""
	case what == "DOWN" && e.status == guardUp:
		e.status, e.since = guardDown, t.time.UTC().Format("2006-01-02 15:04:05")
	case what == "BAD" && e.status != guardUnused:
		e.status, e.since = guardUnusable, t.time.UTC().Format("2006-01-02 15:04:05")
	}
	if e.status == "" {
		e.status = guardUnused
	}
}

func (*guardLineup) line(_ string, e *entry) string {
	line := e.text + " " + e.status
	if e.since != "" {
		line += " " + e.since
	}
	return line
}
