// Package migrations brings a journal file from one schema to the next. A
// schema says which buckets the file has and what their keys and values mean;
// each step lies in a file of its own (0001_create.go) that begins with a
// picture of the file before and after it.
//
// It promises that a step runs in one transaction together with the new
// schema number, so that a crash leaves the file before or after it, and that
// a file of a schema this program does not know is refused untouched.
//
// It works on raw bbolt and never looks into a batch or a block: their
// envelopes carry a version of their own, and package journal reads every one
// that was ever written.
package migrations

import (
	"encoding/binary"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// ErrNewer means that a newer torjournal wrote the file.
var ErrNewer = errors.New("a newer torjournal wrote this journal: install that version, or name another file with --journal")

// ErrForeign means that the file is a bbolt file that is no journal.
var ErrForeign = errors.New("a bbolt file that is no journal: name another file with --journal")

// step brings a file from the schema before it to its own.
type step struct {
	name  string
	about string // what it is for, as a user understands it
	up    func(*bolt.Tx) error
}

// Step is what a user is told of a step.
type Step struct {
	Number uint64 // the schema that it leads to
	Name   string // of its file, without number
	About  string // what it is for
}

// steps in order: steps[0] leads from an empty bbolt file to schema 1. Steps
// are only ever appended.
var steps = []step{
	{"create", "the journal itself", create},
	{"rollups", "sums of the bandwidth that outlive the records", rollups},
}

// Latest is the newest schema this program knows.
func Latest() uint64 { return uint64(len(steps)) }

// After returns the steps that a file of that schema lacks, in order.
func After(schema uint64) (out []Step) {
	for i := schema; i < Latest(); i++ {
		out = append(out, Step{i + 1, steps[i].name, steps[i].about})
	}
	return out
}

// The schema number stands where every version of torjournal finds it: bucket
// meta, key schema, 8 bytes, big endian.
var (
	metaBucket = []byte("meta")
	schemaKey  = []byte("schema")
)

// Version returns the file's schema: 0 for a bbolt file without any bucket,
// ErrForeign for one that is no journal, and ErrNewer, beside the number, for
// one that this program does not know.
func Version(tx *bolt.Tx) (uint64, error) {
	meta := tx.Bucket(metaBucket)
	if meta == nil {
		if name, _ := tx.Cursor().First(); name != nil {
			return 0, ErrForeign
		}
		return 0, nil
	}
	v := meta.Get(schemaKey)
	if len(v) != 8 {
		return 0, ErrForeign
	}
	n := binary.BigEndian.Uint64(v)
	switch {
	case n == 0:
		return 0, ErrForeign
	case n > Latest():
		return n, fmt.Errorf("schema %d, this program knows up to %d: %w", n, Latest(), ErrNewer)
	}
	return n, nil
}

// Apply runs the steps that the file lacks, each in its own transaction, and
// returns the schema before and after.
func Apply(db *bolt.DB) (from, to uint64, err error) { return apply(db, Latest()) }

func apply(db *bolt.DB, target uint64) (from, to uint64, err error) {
	err = db.View(func(tx *bolt.Tx) error {
		from, err = Version(tx)
		return err
	})
	if err != nil {
		return from, from, fmt.Errorf("migrations: %w", err)
	}
	for to = from; to < target; to++ {
		s := steps[to]
		if err := db.Update(func(tx *bolt.Tx) error { return run(tx, s, to+1) }); err != nil {
			return from, to, fmt.Errorf("migrations: step %04d_%s: %w", to+1, s.name, err)
		}
	}
	return from, to, nil
}

func run(tx *bolt.Tx, s step, number uint64) error {
	if err := s.up(tx); err != nil {
		return err
	}
	return tx.Bucket(metaBucket).Put(schemaKey, binary.BigEndian.AppendUint64(nil, number))
}
