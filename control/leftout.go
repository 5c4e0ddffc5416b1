package control

import (
	"slices"
	"strconv"
	"sync"
	"time"
)

// leftOut counts the commands of which there is no event of their own, of all
// connections together, and tells of them once a minute.
type leftOut struct {
	srv *Server // immutable

	mu     sync.Mutex
	minute uint64         // guarded by mu: number of the one that runs, or ran last
	counts map[string]int // guarded by mu: by verb; nil: no minute runs
	conns  int            // guarded by mu: how many sent them
	first  []string       // guarded by mu: CONN= and PEER= of the first of them, as keys and values
	timer  *time.Timer    // guarded by mu: ends the minute
}

// add counts commands of a connection, by verb.
func (l *leftOut) add(a *audit, who []string, counts map[string]int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil {
		l.minute++
		l.counts, l.conns = make(map[string]int), 0
		l.first = append([]string{"CONN", a.id()}, who...)
		l.timer = time.AfterFunc(l.srv.tallyTime, l.tell)
		l.srv.log.Warn("controllers send more commands than are recorded one by one: they are counted, and torjournal query commands shows how many",
			"conn", a.conn.id, "peer", peerName(a.conn.sock))
	}
	if a.left != l.minute {
		a.left = l.minute
		l.conns++
	}
	for verb, n := range counts {
		l.counts[verb] += n
	}
}

// tell records the counts, if there are any, and ends the minute.
func (l *leftOut) tell() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil {
		return
	}
	l.timer.Stop()
	l.srv.offerDeed(slices.Concat([]string{"PHASE", "LEFT_OUT"}, tallied(l.counts), []string{"CONNS", strconv.Itoa(l.conns)}, l.first)...)
	l.counts = nil
}
