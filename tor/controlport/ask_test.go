package controlport

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
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
		reply, err := s.Ask(testContext(t), "GETINFO circuit-status", func() { before = sink.all() })
		if err != nil || string(reply) != fmt.Sprintf("250-circuit-status=%d\r\n250 OK\r\n", i) {
			t.Fatalf("%q, %v", reply, err)
		}
		if last := before[len(before)-1]; last != fmt.Sprintf("650 BW %d 3\r\n", i) {
			t.Fatalf("when reply %d arrived the last event was %q", i, last)
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
		if reply, err := s.Ask(testContext(t), "GETINFO ns/all", func() {}); !errors.Is(err, errLongAnswer) {
			t.Fatalf("%d bytes, %v", len(reply), err)
		}
		if _, err := s.Ask(testContext(t), "GETINFO version", func() {}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Ask(testContext(t), "GETINFO a\r\nGETINFO b", func() {}); err == nil {
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
	late := func() { t.Error("told of a reply that nobody waits for") }
	ctx, cancel := context.WithCancelCause(context.Background())
	why := errors.New("enough")
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := s.Ask(ctx, "GETINFO slow", late); !errors.Is(err, why) {
			t.Errorf("given up: %v", err)
		}
	})
	<-asked
	cancel(why)
	wg.Wait()
	answer <- struct{}{}
	if _, err := s.Ask(testContext(t), "GETINFO version", func() {}); err != nil {
		t.Errorf("after one that was given up: %v", err)
	}

	wg.Go(func() {
		if _, err := s.Ask(testContext(t), "GETINFO slow", late); !errors.Is(err, ErrClosed) && !errors.Is(err, ErrDetached) {
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
	if _, err := s.Ask(t.Context(), "GETINFO version", func() { t.Error("a reply of nobody") }); !errors.Is(err, ErrDetached) {
		t.Error(err)
	}
}
