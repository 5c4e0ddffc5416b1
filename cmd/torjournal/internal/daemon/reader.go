package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"torjournal/journal"
)

// pollFile is how often a reader that follows a file without a daemon looks
// for a daemon's socket and for records of a daemon that came and went.
const pollFile = 500 * time.Millisecond

// reader is what the daemon and the file both answer.
type reader interface {
	journal.Reader
	Rollups(ctx context.Context, since, until time.Time) (journal.StoredRollups, error)
}

// Reader reads a journal through the daemon if one runs, else from the file,
// and changes over when the daemon comes or goes. It is for one goroutine.
type Reader struct {
	// Changed, if set, is called when the daemon has come (true) or gone.
	Changed func(daemon bool)

	path   string
	key    KeyFile       // for the file; not read while the daemon answers
	client *Client       // nil while the file is read
	file   *journal.File // nil while the daemon is asked
}

// OpenReader finds out who answers for the journal at path. key is for the
// file: the daemon answers without it.
func OpenReader(ctx context.Context, path string, key KeyFile) (*Reader, error) {
	r := &Reader{path: path, key: key}
	return r, r.resolve(ctx)
}

// resolve chooses the daemon if it answers, else the file. On error it leaves
// the reader as it is.
func (r *Reader) resolve(ctx context.Context) error {
	client, err := Dial(ctx, r.path)
	if err == nil {
		r.change(client, nil)
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%s belongs to a running daemon of another user: run as that user, or start it with --group and let that group pass through the folder: %w", SocketPath(r.path), err)
	}
	if !errors.Is(err, errUnreachable) {
		return err
	}
	file, err := r.openFile()
	if err != nil {
		return err
	}
	r.change(nil, file)
	return nil
}

// change puts the client, or else the file, in the place of what was there.
func (r *Reader) change(client *Client, file *journal.File) {
	changed := (r.client != nil) != (client != nil) && (r.client != nil || r.file != nil)
	r.Close()
	r.client, r.file = client, file
	if changed && r.Changed != nil {
		r.Changed(client != nil)
	}
}

func (r *Reader) openFile() (*journal.File, error) {
	if !isThere(r.path) {
		return journal.OpenFile(r.path, nil) // it says so, whatever there is of a key
	}
	key, err := r.key.Read()
	if err != nil {
		return nil, err
	}
	return journal.OpenFile(r.path, key)
}

// Close lets go of the daemon's socket or the file.
func (r *Reader) Close() {
	if r.client != nil {
		r.client.Close()
	}
	if r.file != nil {
		_ = r.file.Close()
	}
	r.client, r.file = nil, nil
}

// Daemon reports whether a running daemon answers.
func (r *Reader) Daemon() bool { return r.client != nil }

// betweenTries and triesOfOther bound the wait for a daemon that holds the
// file and does not answer: it is starting, or it has stopped answering and
// lets its last controllers read on. 20 × 250 ms = 5 s is more than it takes.
const (
	betweenTries = 250 * time.Millisecond
	triesOfOther = 20
)

// ask calls do with the present reader, and again with the other one if the
// daemon has just gone or has just taken the file.
func ask[T any](ctx context.Context, r *Reader, do func(reader) (T, error)) (T, error) {
	v, err := do(r.present())
	for try := 0; try < triesOfOther && r.moved(err) && ctx.Err() == nil; try++ {
		if rerr := r.resolve(ctx); rerr == nil {
			v, err = do(r.present())
		} else if err = rerr; !errors.Is(err, journal.ErrLocked) {
			return v, err
		}
		if r.moved(err) {
			select {
			case <-time.After(betweenTries):
			case <-ctx.Done():
			}
		}
	}
	return v, err
}

// moved reports whether err says that somebody else answers now.
func (r *Reader) moved(err error) bool {
	return errors.Is(err, journal.ErrLocked) || r.client != nil && errors.Is(err, errUnreachable)
}

func (r *Reader) present() reader {
	if r.client != nil {
		return r.client
	}
	return r.file
}

// Fetch is journal.Reader's.
func (r *Reader) Fetch(ctx context.Context, seq uint64, rng journal.Range) (journal.Stored, error) {
	return ask(ctx, r, func(rd reader) (journal.Stored, error) { return rd.Fetch(ctx, seq, rng) })
}

// Bounds is journal.Reader's.
func (r *Reader) Bounds(ctx context.Context) (journal.Bounds, error) {
	return ask(ctx, r, func(rd reader) (journal.Bounds, error) { return rd.Bounds(ctx) })
}

// Sessions is journal.Reader's.
func (r *Reader) Sessions(ctx context.Context) ([]journal.Session, error) {
	return ask(ctx, r, func(rd reader) ([]journal.Session, error) { return rd.Sessions(ctx) })
}

// Rollups is like journal.File's.
func (r *Reader) Rollups(ctx context.Context, since, until time.Time) (journal.StoredRollups, error) {
	return ask(ctx, r, func(rd reader) (journal.StoredRollups, error) { return rd.Rollups(ctx, since, until) })
}

// Wait is journal.Reader's. Without a daemon it waits for one to come.
func (r *Reader) Wait(ctx context.Context, seq uint64) error {
	for {
		if r.client != nil {
			err := r.client.Wait(ctx, seq)
			if err == nil || ctx.Err() != nil || !errors.Is(err, errUnreachable) {
				return err
			}
		}
		b, err := r.Bounds(ctx)
		if err != nil && !r.moved(err) {
			return err
		}
		if err == nil && b.Last >= seq {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollFile):
		}
		if r.client == nil {
			if err := r.resolve(ctx); err != nil && !errors.Is(err, journal.ErrLocked) {
				return err
			}
		}
	}
}
