package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// scanning is a question that looks at every record and finds none.
const scanning = "HISTORY RECORDS SINCE=1d WHERE=\"Line contains 'no such words'\"\r\n"

// asking measures how long events take to a subscriber while another
// controller asks one question of the past after the other, and without.
func asking(ctx context.Context, b *bench) (rows []row, err error) {
	dir, remove, err := b.folder()
	if err != nil {
		return nil, err
	}
	defer remove()
	r, err := b.record(ctx, torjournal, dir, "unix:"+b.socket("asked"))
	if err != nil {
		return nil, err
	}
	defer func() {
		if serr := r.stop(); err == nil {
			err = serr
		}
	}()
	trip, err := newRoundTrip(r, b.client)
	if err != nil {
		return nil, err
	}
	defer trip.close()
	for i := range pick(b, 1_000_000, 200_000) { // what is asked about
		if err := trip.send(i); err != nil {
			return nil, err
		}
	}
	if err := trip.f.wait(trip.sent); err != nil {
		return nil, err
	}
	const perSecond = 1000
	each := pick(b, 4*time.Second, 2*time.Second)
	var alone, beside []time.Duration
	answers := 0
	for range pick(b, 3, 1) {
		trip.took = nil
		if err := trip.run(perSecond, each); err != nil {
			return nil, err
		}
		alone, trip.took = append(alone, trip.took...), nil
		n, err := whileAsked(r.serves, func() error { return trip.run(perSecond, each) })
		if err != nil {
			return nil, err
		}
		beside, answers = append(beside, trip.took...), answers+n
	}
	slices.Sort(alone)
	slices.Sort(beside)
	for _, p := range []int{50, 99} {
		rows = append(rows, row{
			what: fmt.Sprintf("source → subscriber, 1,000 events/s, p%d, beside HISTORY that reads %s records again and again", p, count(float64(pick(b, 1_000_000, 200_000)))),
			ours: fmt.Sprintf("%s (%d answers)", micros(percentile(beside, p)), answers),
			peer: "without it " + micros(percentile(alone, p)),
		})
	}
	return rows, nil
}

// whileAsked calls do while the question is asked again and again, and returns
// how often it was answered.
func whileAsked(address string, do func() error) (answers int, err error) {
	s, err := dial(address)
	if err != nil {
		return 0, err
	}
	defer s.close()
	if err := s.say("AUTHENTICATE\r\n", "250 OK\r\n"); err != nil {
		return 0, err
	}
	var over atomic.Bool
	var asker sync.WaitGroup
	var failed error
	asker.Go(func() {
		for ; !over.Load() && failed == nil; answers++ {
			failed = s.say(scanning, ".\r\n250 OK\r\n")
		}
	})
	err = do()
	over.Store(true)
	asker.Wait()
	if err == nil {
		err = failed
	}
	return answers, err
}
