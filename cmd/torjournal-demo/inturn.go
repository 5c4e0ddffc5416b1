package main

import (
	"io"
	"sync"
)

// inTurn lets several write: the demo's own remarks come while the output of
// a command that runs beside them is copied.
type inTurn struct {
	mu sync.Mutex
	w  io.Writer // guarded by mu
}

func (t *inTurn) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.w.Write(p)
}
