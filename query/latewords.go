package query

import "time"

// lateWords holds IDs that were let go, for as long as records of them may
// still come. Its zero value holds none.
type lateWords struct {
	until map[string]time.Time
	queue []string // in the order in which they were let go
}

func (g *lateWords) add(id string, until time.Time) {
	if g.until == nil {
		g.until = map[string]time.Time{}
	}
	g.until[id] = until
	g.queue = append(g.queue, id)
}

func (g *lateWords) has(id string) bool {
	_, ok := g.until[id]
	return ok
}

// remove forgets an ID that begins again.
func (g *lateWords) remove(id string) { delete(g.until, id) }

// forget drops those of which no more is expected at t.
func (g *lateWords) forget(t time.Time) {
	for len(g.queue) > 0 {
		until, ok := g.until[g.queue[0]]
		if ok && !t.After(until) {
			return
		}
		delete(g.until, g.queue[0])
		g.queue = g.queue[1:]
	}
}
