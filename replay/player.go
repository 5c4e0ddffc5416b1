package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"torjournal/journal"
)

// commitLag is how long after its arrival a record may be committed; that
// long past Until a follower still waits for records of the range. The commit
// itself takes milliseconds, --commit-delay some hundreds at most.
const commitLag = time.Second

// player walks the sequence forward. It is for one goroutine.
//
// Its place in the sequence is one number. Reading at the end of the journal
// and waiting for more must neither skip a record nor wait for one that is
// there, also when the range selects few of the records: see more.
type player struct {
	rd     journal.Reader
	r      journal.Range
	keep   func(*journal.Record) bool
	last   int // only so many, newest first; 0: all
	follow bool
	pace   pace
	emit   func(journal.Record) error
	gap    func(journal.Gap) error
	now    func() time.Time
	each   each

	next uint64 // the number to look at next
	sure bool   // records from next on are expected: if they are gone, that is a gap
}

func newPlayer(rd journal.Reader, opt Options, emit func(journal.Record) error, gap func(journal.Gap) error) *player {
	if opt.now == nil {
		opt.now = time.Now
	}
	if opt.sleep == nil {
		opt.sleep = sleep
	}
	if opt.each == nil {
		opt.each = journal.Stored.Each
	}
	if opt.Keep == nil {
		opt.Keep = func(*journal.Record) bool { return true }
	}
	return &player{
		rd: rd, r: opt.Range, keep: opt.Keep, last: opt.Last, follow: opt.Follow,
		pace: pace{speed: opt.Speed, now: opt.now, sleep: opt.sleep},
		emit: emit, gap: gap, now: opt.now, each: opt.each,
		next: max(opt.Range.From, 1), sure: opt.Range.From > 0,
	}
}

// play emits everything from next on.
func (p *player) play(ctx context.Context) error {
	for p.r.To == 0 || p.next <= p.r.To {
		st, err := p.more(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := p.batch(ctx, st); err != nil {
			return err
		}
	}
	return nil
}

// more returns the next batch that may hold a record of the range, waiting
// for it when following; io.EOF if there will be none.
//
// Fetch says that there is none, but not how far it looked, and Wait returns
// at once if any record, of the range or not, follows the number it is given.
// So the end of the journal is taken first: if Fetch then still finds nothing,
// all up to that end is looked through, and what to wait for follows it.
func (p *player) more(ctx context.Context) (journal.Stored, error) {
	var end uint64
	for {
		st, err := p.rd.Fetch(ctx, p.next, p.r)
		switch {
		case err == nil:
			return st, nil
		case !errors.Is(err, io.EOF):
			return st, fmt.Errorf("replay: reading from record %d: %w", p.next, err)
		case !p.follow:
			return st, io.EOF
		}
		if end >= p.next {
			p.next, p.sure = end+1, true
		}
		if p.r.To != 0 && p.next > p.r.To {
			return st, io.EOF
		}
		b, err := p.rd.Bounds(ctx)
		if err != nil {
			return st, fmt.Errorf("replay: %w", err)
		}
		if end = b.Last; end >= p.next {
			continue // it may have come after Fetch looked
		}
		if err := p.wait(ctx); err != nil {
			return st, err
		}
	}
}

// wait returns when a record of number next is there; io.EOF once the time
// Until and commitLag have passed.
func (p *player) wait(ctx context.Context) error {
	if p.r.Until.IsZero() {
		return p.waited(p.rd.Wait(ctx, p.next))
	}
	left := p.r.Until.Add(commitLag).Sub(p.now())
	if left <= 0 {
		return io.EOF
	}
	bounded, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	err := p.rd.Wait(bounded, p.next)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return nil // time is up: look once more, then it is the end
	}
	return p.waited(err)
}

func (p *player) waited(err error) error {
	if err != nil {
		return fmt.Errorf("replay: waiting for record %d: %w", p.next, err)
	}
	return nil
}

// batch emits st's records of the range and moves on behind it.
func (p *player) batch(ctx context.Context, st journal.Stored) error {
	if st.From > p.next && p.sure {
		if err := p.gap(journal.Gap{From: p.next, To: endBy(p.r.To, st.From-1)}); err != nil {
			return err
		}
	}
	r := p.r
	r.From = p.next
	var stop error
	err := p.each(st, r, func(rec *journal.Record) bool {
		if !p.keep(rec) {
			return true
		}
		if stop = p.pace.until(ctx, rec.Time); stop == nil {
			stop = p.emit(*rec)
		}
		return stop == nil
	})
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	if stop != nil {
		return stop
	}
	p.next, p.sure = st.Last+1, true
	return nil
}
