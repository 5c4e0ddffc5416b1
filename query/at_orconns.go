package query

import (
	"strconv"
	"strings"

	"torjournal/tor/event"
)

// orconnLineup is orconn-status. Its lines have no ID and events have one
// (control-spec 4.1.3): an event of an ID that is new is matched with a
// connection of the snapshot to the same relay, if there is one that nothing
// was matched with yet. An entry's flag says that it has no ID so far.
type orconnLineup struct{ entries }

// Status words of ORCONN events.
const (
	orconnNew       = "NEW"
	orconnConnected = "CONNECTED"
)

func (*orconnLineup) types() event.Set    { return event.NewSet(event.ORCONN) }
func (l *orconnLineup) makers() event.Set { return l.types() }

func (l *orconnLineup) stands(line string) {
	if w, _, ok := words(line, 2); ok {
		e, _ := l.entry("snapshot " + strconv.Itoa(l.next))
		e.flag, e.status = true, strings.Clone(w[1])
		l.say(e, w[0])
	}
}

func (l *orconnLineup) take(t *tell) {
	w, about, ok := words(t.text, 2)
	if !ok {
		return
	}
	target, status := w[0], w[1]
	key := target // of a tor that tells no IDs
	for word := range keywords(about) {
		if id, ok := strings.CutPrefix(word, "ID="); ok {
			key = "ID " + id
		}
	}
	if l.by[key] == nil {
		l.adopt(key, target, status)
	}
	if status == statusFailed || status == statusClosed {
		l.drop(key)
		return
	}
	e, _ := l.entry(key)
	e.status = strings.Clone(status)
	l.say(e, betterName(e.text, target))
}

// adopt gives key to the connection of the snapshot that it probably is, or
// does nothing. A connection that ends, or is there, was on its way or there; one that is
// on its way is new, but that the snapshot may have it already.
func (l *orconnLineup) adopt(key, target, status string) {
	wanted := func(e *entry) int {
		switch {
		case !e.flag:
			return 0
		case relay(e.text) == relay(target) && (e.status == orconnConnected) == (status == orconnConnected || status == statusClosed):
			return 3
		case relay(e.text) == relay(target) && (status == orconnConnected || status == statusFailed || status == statusClosed):
			return 2
		case status == orconnConnected && e.status == orconnNew && !strings.HasPrefix(e.text, "$"):
			return 1 // from an address that has said who it is
		}
		return 0
	}
	best, old := 0, ""
	for k, e := range l.inOrder() {
		if n := wanted(e); n > best {
			best, old = n, k
		}
	}
	if best == 0 {
		return
	}
	e := l.by[old]
	delete(l.by, old)
	e.flag = false
	l.by[strings.Clone(key)] = e
	l.bytes += len(key) - len(old)
}

func (*orconnLineup) line(_ string, e *entry) string { return e.text + " " + e.status }
