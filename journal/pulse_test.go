package journal

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"torjournal/tor/event"
)

// The pulse goes on while there is nothing to do, while a commit waits for more
// events, and while the disk answers with errors. It stops while a commit does
// not come back, and nothing else stops it.
func TestPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fails, hangs := atomic.Bool{}, atomic.Bool{}
		release := make(chan struct{})
		j := openTest(t, "", Options{walPages: noLog, CommitDelay: time.Hour, wrapCommit: func(commit commitFunc) commitFunc {
			return func(c *change) (outcome, error) {
				if hangs.Load() {
					<-release
				}
				if fails.Load() {
					return outcome{}, errors.New("a full disk")
				}
				return commit(c)
			}
		}})
		beats := func(what string, want bool) {
			t.Helper()
			last := j.Pulse()
			for range 3 {
				time.Sleep(time.Millisecond) // of the bubble: everybody else has come to a stop
				synctest.Wait()
				if now := j.Pulse(); now > last != want {
					t.Errorf("%s: it goes on: %v, want %v", what, now > last, want)
				} else {
					last = now
				}
			}
		}
		beats("nothing to do", true)
		if err := j.Append(t.Context(), event.NewJournal(event.WhatMark)); err != nil {
			t.Fatal(err)
		}
		beats("a commit waits for more events", true)

		fails.Store(true)
		if err := j.Append(t.Context(), event.NewJournal(event.WhatMark)); err != nil { // the first one may be on disk by now
			t.Fatal(err)
		}
		if err := j.Flush(t.Context()); !errors.Is(err, ErrUnjournaled) {
			t.Fatalf("Flush on a full disk: %v", err)
		}
		beats("the disk is full", true)
		fails.Store(false)
		for j.Flush(t.Context()) != nil {
			time.Sleep(time.Second)
		}

		hangs.Store(true)
		flushed := make(chan error)
		go func() {
			_ = j.Append(t.Context(), event.NewJournal(event.WhatMark))
			flushed <- j.Flush(t.Context())
		}()
		synctest.Wait()
		beats("the disk does not answer", false)
		hangs.Store(false)
		close(release)
		if err := <-flushed; err != nil {
			t.Fatal(err)
		}
		beats("it answers again", true)
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
}
