package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
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
// and changes over when the daemon comes or goes. All methods may be called by
// any goroutine, but for Close.
type Reader struct {
	// Changed, if set before the first question, is called when the daemon has
	// come (true) or gone. It must not use the Reader.
	Changed func(daemon bool)

	// immutable
	path string
	key  KeyFile // for the file; not read while the daemon answers

	mu     sync.Mutex    // held as long as a question takes
	client *Client       // guarded by mu; nil while the file is read
	file   *journal.File // guarded by mu; nil while the daemon is asked
}

// OpenReader finds out who answers for the journal at path. key is for the
// file: the daemon answers without it.
func OpenReader(ctx context.Context, path string, key KeyFile) (*Reader, error) {
	r := &Reader{path: path, key: key}
	return r, r.resolveLocked(ctx)
}

// resolveLocked chooses the daemon if it answers, else the file. On error it leaves
// the reader as it is.
func (r *Reader) resolveLocked(ctx context.Context) error {
	client, err := Dial(ctx, r.path)
	if err == nil {
		r.changeLocked(client, nil)
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
	r.changeLocked(nil, file)
	return nil
}

// changeLocked puts the client, or else the file, in the place of what was
// there.
func (r *Reader) changeLocked(client *Client, file *journal.File) {
	changed := (r.client != nil) != (client != nil) && (r.client != nil || r.file != nil)
	r.closeLocked()
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
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closeLocked()
}

func (r *Reader) closeLocked() {
	if r.client != nil {
		r.client.Close()
	}
	if r.file != nil {
		_ = r.file.Close()
	}
	r.client, r.file = nil, nil
}

// Daemon reports whether a running daemon answers.
func (r *Reader) Daemon() bool { return r.daemon() != nil }

func (r *Reader) daemon() *Client {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.client
}

// Decoders is journal.Parallel's: what reads through a Reader is a tool, whose
// processors are its own.
func (r *Reader) Decoders() int { return journal.Decoders() }

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
	r.mu.Lock()
	defer r.mu.Unlock()
	v, err := do(r.presentLocked())
	for try := 0; try < triesOfOther && r.movedLocked(err) && ctx.Err() == nil; try++ {
		if rerr := r.resolveLocked(ctx); rerr == nil {
			v, err = do(r.presentLocked())
		} else if err = rerr; !errors.Is(err, journal.ErrLocked) {
			return v, err
		}
		if r.movedLocked(err) {
			select {
			case <-time.After(betweenTries):
			case <-ctx.Done():
			}
		}
	}
	return v, err
}

// movedLocked reports whether err says that somebody else answers now.
func (r *Reader) movedLocked(err error) bool {
	return errors.Is(err, journal.ErrLocked) || r.client != nil && errors.Is(err, errUnreachable)
}

func (r *Reader) presentLocked() reader {
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
		if client := r.daemon(); client != nil {
			err := client.Wait(ctx, seq)
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
		if err := r.look(ctx); err != nil && !errors.Is(err, journal.ErrLocked) {
			return err
		}
	}
}

// moved reports whether err says that somebody else answers now.
func (r *Reader) moved(err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.movedLocked(err)
}

// look finds out whether a daemon has come.
func (r *Reader) look(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil {
		return nil
	}
	return r.resolveLocked(ctx)
}
