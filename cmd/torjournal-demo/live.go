package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"torjournal/tor/testnet"
)

// The live part: a page every pause, a relay killed after some of them. It is
// long enough for bandwidth to have steps to show.
const (
	pause       = 3 * time.Second
	pages       = 7
	killAfter   = 3
	pageTimeout = 15 * time.Second // a circuit through the dead relay must first fail
)

// live follows the journal on the stage while things happen.
func (s *stage) live(ctx context.Context, net *testnet.Network) error {
	const follow = "replay -n 5 -f -e CIRC,STREAM,ORCONN,JOURNAL"
	s.shell("torjournal " + follow + " &")
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := s.command(watching, follow)
	cmd.Stdout, cmd.Stderr = s.out, s.out
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("torjournal %s: %w", follow, err)
	}
	err := s.visitPages(ctx, net)
	cancel()
	cmd.Wait() // it was interrupted: how it ends says nothing
	return err
}

func (s *stage) visitPages(ctx context.Context, net *testnet.Network) error {
	for i := range pages {
		if i == killAfter {
			if err := s.killExit(ctx, net); err != nil {
				return err
			}
		}
		host := fmt.Sprintf("www%d.example", i)
		s.note("fetching " + net.URL(host, "/bytes/50000") + " through Tor, on a circuit of its own")
		if err := visit(ctx, net, host); err != nil {
			s.note("it did not come: " + err.Error()) // the journal will say why
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
	return nil
}

// visit fetches a page on a circuit of its own.
func visit(ctx context.Context, net *testnet.Network, host string) error {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	_, err := net.Client(0).Fetch(ctx, net.URL(host, "/bytes/50000"), host)
	return err
}

// killExit kills the exit of a circuit that the client has.
func (s *stage) killExit(ctx context.Context, net *testnet.Network) error {
	circuits, err := net.Client(0).Command(ctx, "GETINFO circuit-status")
	if err != nil {
		return err
	}
	victim := net.Relays()[0]
	for line := range strings.Lines(circuits) {
		fields := strings.Fields(line) // ID, status, path, …
		if len(fields) < 3 || fields[1] != "BUILT" || !strings.Contains(line, "SOCKS_USERNAME") {
			continue
		}
		hops := strings.Split(fields[2], ",")
		fingerprint, _, _ := strings.Cut(strings.TrimPrefix(hops[len(hops)-1], "$"), "~")
		if r := net.Relay(fingerprint); r != nil {
			victim = r
		}
	}
	s.note(fmt.Sprintf("killing the relay %s (kill -9 %d), exit of a circuit in use", victim.Nickname, victim.PID()))
	return victim.Kill()
}
