package controlport

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// maxAnswer bounds the reply that Ask returns, in bytes: tor's words about
// 2,000 circuits, or 3,000 connections of a relay.
const maxAnswer = 256 << 10

var errLongAnswer = errors.New("controlport: the reply is too long to be held")

// Ask has the connection that brings the events ask tor. command is one line
// without its end. It returns tor's reply, byte for byte, which belongs to the
// caller; one of more than 256 KiB is an error, and so is that there is no tor
// (ErrDetached).
//
// Only on this connection is the order of replies and events known: tor sends
// what it says on one connection in order, and of two nobody knows which was
// first. arrived is called, once, when the reply has come, with a time: the sink
// was given by then all events that tor sent before the reply, and will be given
// a microsecond later at the earliest what tor sent after it. If tor told nothing
// in between that is when the command was sent.
//
// begin, if not nil, is called when the command is about to be sent; without
// that it was not. Neither may wait.
//
// The end of ctx ends the waiting only. When Ask has returned arrived is not
// called any more.
func (s *Source) Ask(ctx context.Context, command string, begin func(), arrived func(by time.Time)) ([]byte, error) {
	if err := checkLine(command); err != nil {
		return nil, err
	}
	l, settle := s.beginChange()
	if l == nil {
		return nil, fmt.Errorf("controlport: ask tor: %w", ErrDetached)
	}
	// In this order: an event that is counted later may have arrived before.
	told, sent := s.told.Load(), s.opt.now()
	if begin != nil {
		begin()
	}
	var mu sync.Mutex
	over := false // guarded by mu: Ask has returned
	ex := &exchange{command: firstWord(command), most: maxAnswer, ended: make(chan struct{}), then: func(Reply) {
		by := sent
		if s.told.Load() != told {
			by = s.opt.now()
		}
		mu.Lock()
		defer mu.Unlock()
		if !over {
			arrived(by)
		}
		for began := time.Now(); time.Since(began) < time.Microsecond; { // events bear microseconds
		}
	}}
	result := make(chan error, 1)
	go func() {
		defer settle()
		result <- l.conn.exchange(l.ctx, command, ex)
	}()
	var err error
	select {
	case err = <-result:
	case <-ctx.Done():
		err = fmt.Errorf("controlport: wait for tor's reply to %s: %w", ex.command, context.Cause(ctx))
	}
	mu.Lock()
	defer mu.Unlock()
	over = true
	switch {
	case err != nil:
		return nil, err
	case ex.cut:
		return nil, errLongAnswer
	}
	return ex.raw, nil
}
