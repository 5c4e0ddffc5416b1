package journal

import (
	"errors"
	"fmt"
	"time"

	"torjournal/migrations"
)

var (
	// ErrClosed is returned by everything that is asked of a closed Journal,
	// File or Cursor.
	ErrClosed = errors.New("journal: closed")

	// ErrLocked means that another process has the file open. Its message
	// names the holder where the system tells it.
	ErrLocked = errors.New("journal: another process has the file open")

	// ErrNotJournal means that the path leads to something that is no journal.
	ErrNotJournal = errors.New("not a journal")

	// ErrNewerSchema means that a newer torjournal wrote the file.
	ErrNewerSchema = migrations.ErrNewer

	// ErrVacuuming is returned by Journal.Vacuum while another one is running.
	ErrVacuuming = errors.New("journal: it is being vacuumed already")

	// ErrUnjournaled is what Flush returns when events that were appended
	// before it have been delivered but are missing in the file, or are not
	// there yet, because the disk fails.
	ErrUnjournaled = errors.New("journal: events are delivered but not recorded")

	// ErrLimit means that a limit is out of bounds.
	ErrLimit = errors.New("journal: limit out of bounds")
)

// DamageError says that the file, or a batch that was read from it, is not
// what was written, and where.
type DamageError struct {
	Path   string // of the file; "" when the batch came another way
	Bucket string // "tail", "blocks", "index", "sessions", "rollups", "meta"; "" if unknown
	Seq    uint64 // first sequence number of the batch; 0 if unknown
	Err    error  // what is wrong

	// What Verify adds where it is known.
	Last         uint64    // last sequence number of what is damaged; 0 if unknown
	Since, Until time.Time // earliest and latest arrival of what is damaged; each zero if unknown
}

// damageHint is the next step of everyone who meets a DamageError.
const damageHint = "`torjournal verify` lists the damage, `torjournal salvage OLD NEW` saves the rest into a new journal"

func (e *DamageError) Error() string {
	s := "journal: damaged"
	if e.Path != "" {
		s = fmt.Sprintf("journal: %s is damaged", e.Path)
	}
	if e.Bucket != "" {
		s += " in " + e.Bucket
	}
	if e.Seq != 0 {
		s += fmt.Sprintf(" at record %d", e.Seq)
	}
	return fmt.Sprintf("%s: %v; %s", s, e.Err, damageHint)
}

func (e *DamageError) Unwrap() error { return e.Err }

// damaged is a DamageError in the making: whoever knows the path adds it.
func damaged(bucket string, seq uint64, format string, args ...any) error {
	return &DamageError{Bucket: bucket, Seq: seq, Err: fmt.Errorf(format, args...)}
}

// at adds path to a DamageError in err's chain that has none.
func at(path string, err error) error {
	var d *DamageError
	if errors.As(err, &d) && d.Path == "" {
		d.Path = path
	}
	return err
}
