package main

import (
	"fmt"
	"io"
	"slices"

	"torjournal/journal"
)

// tellMigrated says that a command which writes a journal has brought it to a
// newer schema, which it does without being asked. It is called before, and
// what it returns afterwards.
func (p program) tellMigrated(path string) (tell func()) {
	before, _ := journal.Backups(path) // of a folder that is not there: none
	return func() {
		now, _ := journal.Backups(path)
		for _, b := range now {
			if !slices.ContainsFunc(before, func(o journal.Backup) bool { return o.Path == b.Path }) {
				fmt.Fprintf(p.stderr, "-- %s was of schema %d and has been brought to the newest; the old file stays as %s: `torjournal migrate --done` removes it --\n",
					path, b.Schema, b.Path)
			}
		}
	}
}

// tellOldFiles says where the records still are that a vacuum has made
// unreadable in the journal itself.
func tellOldFiles(w io.Writer, path string) error {
	backups, err := journal.Backups(path)
	for _, b := range backups {
		fmt.Fprintf(w, "-- %s, the old file of a migration, holds the records as they were: `torjournal migrate --done` removes it --\n", b.Path)
	}
	return err
}
