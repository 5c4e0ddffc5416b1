package controlport

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// A reply to Ask arrives between the events that tor sent around it.
func TestAskedReplyArrivesBetweenItsEvents(t *testing.T) {
	answers := plainTor()
	number := 0
	tor := startFake(t, func(c *fakeConn, command string) string {
		if command != "GETINFO circuit-status" {
			return answers.answer(c, command)
		}
		number++
		return fmt.Sprintf("650 BW %d 1\r\n250-circuit-status=%d\r\n650 BW %d 3\r\n250 OK\r\n650 BW %d 4\r\n", number, number, number, number)
	})
	s, sink := attached(t, tor, SourceOptions{})
	for i := 1; i <= 100; i++ {
		var before []string
		reply, err := s.Ask(testContext(t), "GETINFO circuit-status", nil, func(time.Time) { before = sink.all() })
		if err != nil || string(reply) != fmt.Sprintf("250-circuit-status=%d\r\n250 OK\r\n", i) {
			t.Fatalf("%q, %v", reply, err)
		}
		if last := before[len(before)-1]; last != fmt.Sprintf("650 BW %d 3\r\n", i) {
			t.Fatalf("when reply %d arrived the last event was %q", i, last)
		}
	}
}

// The time that goes with a reply: what tor told before it had arrived by then,
// and where tor told nothing since the command was sent it is older than what
// the caller did when it went.
func TestAskedReplyComesWithATime(t *testing.T) {
	answers := plainTor()
	tor := startFake(t, func(c *fakeConn, command string) string {
		switch command {
		case "GETINFO quiet":
			return "250 OK\r\n"
		case "GETINFO busy":
			return "650 BW 1 1\r\n250 OK\r\n"
		}
		return answers.answer(c, command)
	})
	s, _ := attached(t, tor, SourceOptions{})
	for command, told := range map[string]bool{"GETINFO quiet": false, "GETINFO busy": true} {
		var begun, by time.Time
		if _, err := s.Ask(testContext(t), command, func() { begun = time.Now() }, func(at time.Time) { by = at }); err != nil {
			t.Fatal(err)
		}
		if by.After(begun) != told || by.IsZero() {
			t.Errorf("%s: begun %v, by %v", command, begun, by)
		}
	}
	none := newSource(t, SourceOptions{Sink: &memorySink{}, Addresses: []Address{{"unix", "/nonexistent"}}})
	for _, s := range []*Source{s, none} {
		if _, err := s.Ask(t.Context(), map[*Source]string{s: "two\nlines", none: "GETINFO version"}[s], func() { t.Error("it was sent") }, nil); err == nil {
			t.Error("it was answered")
		}
	}
}

// A reply that is too long to be held is an error, and the connection that
// brings the events goes on.
func TestAskForTooMuch(t *testing.T) {
	answers := plainTor()
	tor := startFake(t, func(c *fakeConn, command string) string {
		if command == "GETINFO ns/all" {
			return "250+ns/all=\r\n" + strings.Repeat("r somebody\r\n", maxAnswer/12) + ".\r\n250 OK\r\n"
		}
		return answers.answer(c, command)
	})
	s, _ := attached(t, tor, SourceOptions{})
	for range 3 {
		if reply, err := s.Ask(testContext(t), "GETINFO ns/all", nil, func(time.Time) {}); !errors.Is(err, errLongAnswer) {
			t.Fatalf("%d bytes, %v", len(reply), err)
		}
		if _, err := s.Ask(testContext(t), "GETINFO version", nil, func(time.Time) {}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Ask(testContext(t), "GETINFO a\r\nGETINFO b", nil, func(time.Time) {}); err == nil {
		t.Error("two commands are one")
	}
}

// Who gives up waiting, or loses tor, is not told of a reply afterwards.
func TestAskGivenUp(t *testing.T) {
	answers := plainTor()
	asked, answer := make(chan struct{}), make(chan struct{})
	tor := startFake(t, func(c *fakeConn, command string) string {
		if command == "GETINFO slow" {
			asked <- struct{}{}
			<-answer
			return "250-slow=1\r\n250 OK\r\n"
		}
		return answers.answer(c, command)
	})
	s, _ := attached(t, tor, SourceOptions{})
	late := func(time.Time) { t.Error("told of a reply that nobody waits for") }
	ctx, cancel := context.WithCancelCause(context.Background())
	why := errors.New("enough")
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := s.Ask(ctx, "GETINFO slow", nil, late); !errors.Is(err, why) {
			t.Errorf("given up: %v", err)
		}
	})
	<-asked
	cancel(why)
	wg.Wait()
	answer <- struct{}{}
	if _, err := s.Ask(testContext(t), "GETINFO version", nil, func(time.Time) {}); err != nil {
		t.Errorf("after one that was given up: %v", err)
	}

	wg.Go(func() {
		if _, err := s.Ask(testContext(t), "GETINFO slow", nil, late); !errors.Is(err, ErrClosed) && !errors.Is(err, ErrDetached) {
			t.Errorf("tor was lost: %v", err)
		}
	})
	<-asked
	lost := s.Lost()
	tor.drop()
	<-lost
	close(answer)
	wg.Wait()
}

func TestAskWithoutTor(t *testing.T) {
	s := newSource(t, SourceOptions{Sink: &memorySink{}, Addresses: []Address{{"unix", "/nonexistent"}}})
	if _, err := s.Ask(t.Context(), "GETINFO version", nil, func(time.Time) { t.Error("a reply of nobody") }); !errors.Is(err, ErrDetached) {
		t.Error(err)
	}
}
