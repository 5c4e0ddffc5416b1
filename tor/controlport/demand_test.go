package controlport

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"torjournal/tor/event"
)

func TestDemand(t *testing.T) {
	answers := plainTor()
	tor := startFake(t, func(c *fakeConn, command string) string {
		if strings.HasPrefix(command, "SETEVENTS ") && strings.Contains(command, "PT_LOG") {
			return "552 Unrecognized event \"PT_LOG\"\r\n"
		}
		return answers.answer(c, command)
	})
	s, _ := attached(t, tor, SourceOptions{})
	ctx := testContext(t)
	last := func() string {
		cmds := tor.commands(0)
		for i := len(cmds) - 1; ; i-- {
			if types, ok := strings.CutPrefix(cmds[i], "SETEVENTS "); ok {
				return event.NewSet(toTypes(types)...).Minus(event.NewSet(toTypes(always)...)).String()
			}
		}
	}
	begin := len(tor.commands(0))
	step := func(what string, owner uint64, types event.Set, want string, sent int) {
		t.Helper()
		before := len(tor.commands(0))
		if err := s.Want(ctx, owner, types); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if got := last(); got != want {
			t.Errorf("%s: beside the usual tor sends %q, want %q", what, got, want)
		}
		if n := len(tor.commands(0)) - before; n != sent {
			t.Errorf("%s: %d commands, want %d", what, n, sent)
		}
		if !s.Status().Subscribed.Equal(event.NewSet(toTypes(always + " " + want)...)) {
			t.Errorf("%s: status says %v", what, s.Status().Subscribed)
		}
	}
	step("what is subscribed already", 1, event.NewSet(event.BW, event.CIRC, event.JOURNAL), "", 0)
	step("DEBUG", 1, event.NewSet(event.BW, event.DEBUG), "DEBUG", 1)
	step("INFO by another", 2, event.NewSet(event.INFO), "DEBUG INFO", 1)
	step("the same again", 2, event.NewSet(event.INFO), "DEBUG INFO", 0)
	step("a type that tor does not list", 3, event.NewSet("SECRET"), "DEBUG INFO SECRET", 1)
	step("it stays while others come", 4, event.NewSet(event.NS), "DEBUG INFO NS SECRET", 1)
	step("the first one leaves", 1, event.Set{}, "INFO NS SECRET", 1)
	step("everything", 1, event.AllTypes(), "DEBUG INFO NS SECRET", 1)
	step("all leave", 1, event.Set{}, "INFO NS SECRET", 1)
	step("all leave", 3, event.Set{}, "INFO NS", 1)
	step("all leave", 4, event.Set{}, "INFO", 1)

	for _, c := range []struct {
		types event.Set
		want  string
		sent  int
	}{
		{event.NewSet(event.DEBUG, event.PT_LOG), "552 Unrecognized event \"PT_LOG\"\r\n", 1},
		{event.NewSet(event.AUTHDIR_NEWDESCS), "552 Unrecognized event \"AUTHDIR_NEWDESCS\"\r\n", 0},
	} {
		before := len(tor.commands(0))
		err := s.Want(ctx, 7, c.types)
		var refusal interface{ Reply() []byte }
		if !errors.As(err, &refusal) || string(refusal.Reply()) != c.want {
			t.Errorf("%v: %v, want %q", c.types, err, c.want)
		}
		if n := len(tor.commands(0)) - before; n != c.sent {
			t.Errorf("%v: %d commands sent", c.types, n)
		}
		if sub := s.Status().Subscribed; !sub.Equal(event.NewSet(toTypes(always + " INFO")...)) {
			t.Errorf("after the refusal of %v: subscribed to %v", c.types, sub)
		}
		step("the refused demand is forgotten", 6, event.NewSet(event.NS), "INFO NS", 1)
		step("and another one goes", 6, event.Set{}, "INFO", 1)
	}
	for _, cmd := range tor.commands(0)[begin:] {
		if strings.Contains(cmd, "AUTHDIR") || strings.Contains(cmd, "JOURNAL") {
			t.Errorf("tor was told %q", cmd)
		}
	}
}

func TestDemandAcrossLives(t *testing.T) {
	answers := plainTor()
	path := shortFolder(t) + "/control"
	sink := &memorySink{}
	s := newSource(t, SourceOptions{Addresses: []Address{{"unix", path}}, Sink: sink, sleep: brief})
	if err := s.Want(testContext(t), 1, event.NewSet(event.DEBUG, "SECRET")); err != nil {
		t.Fatal(err)
	}
	runSource(t, s)
	tor := startFakeAt(t, path, answers.answer)
	until(t, "the attachment", func() bool { return s.Status().Attached })
	if sub := s.Status().Subscribed; !sub.Has(event.DEBUG) || sub.Has("SECRET") {
		t.Errorf("subscribed: %v", sub)
	}
	tor.stop()
	until(t, "the loss", func() bool { return !s.Status().Attached })
	if err := s.Want(testContext(t), 2, event.NewSet(event.INFO)); err != nil {
		t.Fatal(err)
	}
	if err := s.Want(testContext(t), 1, event.Set{}); err != nil {
		t.Fatal(err)
	}
	startFakeAt(t, path, answers.answer)
	until(t, "the return", func() bool { return s.Status().Attached })
	if sub := s.Status().Subscribed; sub.Has(event.DEBUG) || !sub.Has(event.INFO) {
		t.Errorf("subscribed: %v", sub)
	}
}

func brief(ctx context.Context, _ time.Duration) { sleep(ctx, time.Millisecond) }

func TestWantEndsWithItsContext(t *testing.T) {
	answers := plainTor()
	asked, release := make(chan struct{}), make(chan struct{})
	tor := startFake(t, func(c *fakeConn, command string) string {
		if strings.HasPrefix(command, "SETEVENTS") && strings.Contains(command, "DEBUG") {
			close(asked)
			<-release
		}
		return answers.answer(c, command)
	})
	s, sink := attached(t, tor, SourceOptions{})
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { <-asked; cancel(enough) }()
	for owner := range uint64(2) { // the second waits for the first
		if err := s.Want(ctx, owner, event.NewSet(event.DEBUG)); !errors.Is(err, enough) {
			t.Errorf("owner %d: %v", owner, err)
		}
	}
	if err := s.Want(ctx, 0, event.Set{}); err == nil {
		t.Error("the demand was taken back while tor was busy, and nobody waited")
	}
	close(release)
	if err := s.Want(testContext(t), 1, event.NewSet(event.INFO)); err != nil {
		t.Fatal(err)
	}
	if sub := s.Status().Subscribed; sub.Has(event.DEBUG) || !sub.Has(event.INFO) {
		t.Errorf("subscribed %v", sub)
	}
	if !s.Status().Attached || sink.count("650 JOURNAL SOURCE_LOST") != 0 {
		t.Error("the connection to tor has ended")
	}
}

// A connection that has left meanwhile is not given back what it wanted before,
// when tor at last refuses what it wanted then: nobody would end that demand.
func TestRefusalForWhoHasLeft(t *testing.T) {
	answers := plainTor()
	asked, refuse := make(chan struct{}), make(chan struct{})
	tor := startFake(t, func(c *fakeConn, command string) string {
		if strings.HasPrefix(command, "SETEVENTS ") && strings.Contains(command, "PT_LOG") {
			close(asked)
			<-refuse
			return "552 Unrecognized event \"PT_LOG\"\r\n"
		}
		return answers.answer(c, command)
	})
	s, _ := attached(t, tor, SourceOptions{})
	if err := s.Want(testContext(t), 1, event.NewSet(event.INFO)); err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-asked
		leave()
	}()
	if err := s.Want(ctx, 1, event.NewSet(event.PT_LOG)); err == nil {
		t.Error("tor has answered")
	}
	if err := s.Want(ctx, 1, event.Set{}); err == nil {
		t.Error("it did not wait for its turn")
	}
	close(refuse)
	s.subscribing <- struct{}{} // after the refusal
	defer func() { <-s.subscribing }()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.demands) != 0 {
		t.Errorf("demands that nobody has: %v", s.demands)
	}
}
