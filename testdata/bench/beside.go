package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// beside measures what a recorder's events wait for while others read its
// history: in turns alone, beside a question and beside an export. Bare bbolt
// commits take turns too: what processors that are never idle cost everybody is
// in our figure as well. What is read goes nowhere: who takes an export from a
// pipe is not torjournal.
func (b *bench) beside(ctx context.Context, dir, path string) (rows []row, err error) {
	if b.asked != "" {
		return nil, nil
	}
	r, err := b.record(ctx, torjournal, dir, "unix:"+b.socket("ctl"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.stop()) }()
	trip, err := newRoundTrip(r, b.client)
	if err != nil {
		return nil, err
	}
	defer trip.close()
	bare, err := openBare(filepath.Join(dir, "bare"))
	if err != nil {
		return nil, err
	}
	defer bare.close()
	const perSecond = 100
	each, rounds := pick(b, 8*time.Second, 3*time.Second), pick(b, 4, 1)
	cases := []struct {
		what       string
		args       []string
		ours, bare []time.Duration
	}{
		{what: "alone"},
		{what: "beside `query failures`", args: []string{"query", "failures", "--by", "link", "--since", "30d"}},
		{what: "beside `export`", args: []string{"export", "--since", "30d", "--format", "jsonl", "--to", "-"}},
	}
	for range rounds {
		for i := range cases {
			c := &cases[i]
			stop := b.again(ctx, c.args, path)
			trip.took, bare.took = nil, nil
			err := trip.run(perSecond, each)
			if err == nil {
				err = paced(perSecond, each, bare.commit(b.client))
			}
			if err = errors.Join(err, stop()); err != nil {
				return rows, err
			}
			c.ours, c.bare = append(c.ours, trip.took...), append(c.bare, bare.took...)
		}
	}
	for i := range cases {
		slices.Sort(cases[i].ours)
		slices.Sort(cases[i].bare)
	}
	alone := cases[0]
	for i, c := range cases {
		ours, bare := percentile(c.ours, 99), percentile(c.bare, 99)
		out := row{
			what: fmt.Sprintf("source → subscriber, %d events/s, %s", perSecond, c.what),
			ours: fmt.Sprintf("p50 %s, p99 %s", micros(percentile(c.ours, 50)), micros(ours)),
			peer: fmt.Sprintf("bare bbolt commit p50 %s, p99 %s", micros(percentile(c.bare, 50)), micros(bare)),
		}
		if i > 0 {
			out.peer += fmt.Sprintf(" (%.2f× alone)", float64(bare)/float64(percentile(alone.bare, 99)))
			out = out.against(float64(ours), float64(percentile(alone.ours, 99)), atMost(1.5))
		}
		rows = append(rows, out)
	}
	return rows, nil
}

// again runs torjournal with args on a journal again and again, until stop.
// Without args it runs nothing.
func (b *bench) again(ctx context.Context, args []string, path string) (stop func() error) {
	if len(args) == 0 {
		return func() error { return nil }
	}
	reading, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		var err error
		for reading.Err() == nil && err == nil {
			cmd := exec.CommandContext(reading, b.program, append(slices.Clone(args), "--journal", path)...)
			var said bytes.Buffer
			cmd.Stderr = &said
			if err = cmd.Run(); err != nil {
				err = fmt.Errorf("%w: %s", err, said.String())
			}
		}
		if reading.Err() != nil {
			err = nil // it was ended
		}
		ended <- err
	}()
	return func() error {
		cancel()
		return <-ended
	}
}
