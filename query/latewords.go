package query

import "time"

// lateWords holds IDs that were let go, for as long as records of them may
// still come. Its zero value holds none.
type lateWords struct {
	until map[string]time.Time
	queue []lateWord // in the order in which they were let go
}

type lateWord struct {
	id    string
	until time.Time
}

func (g *lateWords) add(id string, until time.Time) {
	if g.until == nil {
		g.until = map[string]time.Time{}
	}
	g.until[id] = until
	g.queue = append(g.queue, lateWord{id, until})
}

func (g *lateWords) has(id string) bool {
	_, ok := g.until[id]
	return ok
}

// remove forgets an ID that begins again.
func (g *lateWords) remove(id string) { delete(g.until, id) }

// forget drops those of which no more is expected at t.
func (g *lateWords) forget(t time.Time) {
	for len(g.queue) > 0 && t.After(g.queue[0].until) {
		first := g.queue[0]
		if until, ok := g.until[first.id]; ok && !until.After(first.until) { // else it was let go again
			delete(g.until, first.id)
		}
		g.queue = g.queue[1:]
	}
}
