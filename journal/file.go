package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"time"
)

const (
	// aheadBytes is how much a File copies at one opening: enough that opening
	// costs little, and little enough that a daemon that wants the file never
	// waits long. = 8 MiB of memory for a File in use.
	aheadBytes = 8 << 20

	// filePoll is how often Wait looks at a file, which nobody can notify of.
	filePoll = 500 * time.Millisecond
)

// File is a Reader of a journal file that no daemon holds open. It opens the
// file for each question and closes it again, so that a daemon that starts
// need not wait; from then on its methods return ErrLocked. All methods may be
// called by any goroutine.
type File struct {
	// immutable
	path string
	opt  Options
	poll time.Duration

	mu     sync.Mutex
	closed bool     // guarded by mu
	ahead  []Stored // guarded by mu; what follows the last answer…
	at     uint64   // …for a Fetch of this number…
	rng    Range    // …and this range
}

// OpenFile returns a Reader of the journal file at path; key is nil if it is
// not encrypted. It looks at the file at once, so that its error says what is
// wrong with it.
func OpenFile(path string, key *Key) (*File, error) {
	opt, err := Options{Key: key, lockTimeout: readLockTimeout, seen: new(glance)}.withDefaults()
	if err != nil {
		return nil, err
	}
	f := &File{path: path, opt: opt, poll: filePoll}
	if err := f.with(func(*store) error { return nil }); err != nil {
		return nil, err
	}
	return f, nil
}

// with opens the file for the time of do.
func (f *File) with(do func(*store) error) error {
	if f.closed {
		return ErrClosed
	}
	s, err := openStore(f.path, f.opt, true)
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.close())
}

// Fetch is Reader's.
func (f *File) Fetch(ctx context.Context, seq uint64, r Range) (Stored, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.ahead) == 0 || f.at != seq || !f.rng.equal(r) {
		if err := f.read(ctx, seq, r); err != nil {
			return Stored{}, err
		}
	}
	st := f.ahead[0]
	f.ahead, f.at, f.rng = f.ahead[1:], st.Last+1, r
	return st, nil
}

// read fills ahead; it returns io.EOF if there is nothing.
func (f *File) read(ctx context.Context, seq uint64, r Range) error {
	f.ahead = nil
	return f.with(func(s *store) error {
		for size := 0; size < aheadBytes; {
			st, err := s.fetch(ctx, seq, math.MaxUint64, r)
			if errors.Is(err, io.EOF) && len(f.ahead) > 0 {
				return nil
			}
			if err != nil {
				return err
			}
			f.ahead = append(f.ahead, st)
			seq, size = st.Last+1, size+len(st.Data)
		}
		return nil
	})
}

func (g Range) equal(o Range) bool {
	return g.From == o.From && g.To == o.To && g.Session == o.Session && g.Circuit == o.Circuit && g.Stream == o.Stream &&
		g.Since.Equal(o.Since) && g.Until.Equal(o.Until) && g.Types.Equal(o.Types)
}

// Wait is Reader's. A file has nobody who could tell of new records, so it is
// looked at twice a second.
func (f *File) Wait(ctx context.Context, seq uint64) error {
	tick := time.NewTicker(f.poll)
	defer tick.Stop()
	for {
		last, err := f.last()
		if err != nil || last >= seq {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (f *File) last() (last uint64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	err = f.with(func(s *store) error {
		last, err = s.reread()
		return err
	})
	return last, err
}

// Bounds is Reader's.
func (f *File) Bounds(ctx context.Context) (b Bounds, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	err = f.with(func(s *store) error {
		b, err = s.bounds(ctx, math.MaxUint64)
		return err
	})
	return b, err
}

// Sessions is Reader's.
func (f *File) Sessions(context.Context) (out []Session, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	err = f.with(func(s *store) error {
		out, err = s.sessions()
		return err
	})
	return out, err
}

// Rollups returns the sums of BW events of which a part may lie in Since ≤
// time < Until; a zero time is no bound. Without any the answer is empty.
func (f *File) Rollups(ctx context.Context, since, until time.Time) (out StoredRollups, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	err = f.with(func(s *store) error {
		out, err = s.rollups(ctx, since, until)
		return err
	})
	return out, err
}

// SeekTime returns the number of the first record of the first batch that may
// hold a record at or after t; if there is none, one more than the last.
func (f *File) SeekTime(ctx context.Context, t time.Time) (seq uint64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	err = f.with(func(s *store) error {
		last, err := s.reread()
		if err == nil {
			seq, err = s.seekTime(ctx, t, last)
		}
		return err
	})
	return seq, err
}

// Size returns the bytes of the file.
func (f *File) Size() (int64, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return 0, fmt.Errorf("journal: %w", err)
	}
	return info.Size(), nil
}

// Close releases the File's memory.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed, f.ahead = true, nil
	return nil
}

var (
	_ Reader = (*Journal)(nil)
	_ Reader = (*File)(nil)
)
