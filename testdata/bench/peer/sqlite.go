package main

import (
	"bytes"
	"database/sql"
	"strings"
	"time"

	_ "modernc.org/sqlite"
)

// sqliteRows is how many rows one INSERT has: more make it no faster.
const sqliteRows = 64

// sqlite keeps a row an event, in WAL mode, synced at each commit.
type sqlite struct {
	db        *sql.DB
	one, many *sql.Stmt
	args      []any
}

func openSQLite(file string) (*sqlite, error) {
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("CREATE TABLE event (seq INTEGER PRIMARY KEY, t INTEGER, type TEXT, wire BLOB)"); err != nil {
		return nil, err
	}
	s := &sqlite{db: db}
	const insert, row = "INSERT INTO event (t, type, wire) VALUES ", "(?,?,?)"
	if s.one, err = db.Prepare(insert + row); err != nil {
		return nil, err
	}
	s.many, err = db.Prepare(insert + row + strings.Repeat(","+row, sqliteRows-1))
	return s, err
}

func (s *sqlite) commit(wire []byte, ends []int) error {
	tx, err := s.db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() // after Commit it does nothing
	one, many := tx.Stmt(s.one), tx.Stmt(s.many)
	now, from := time.Now().UnixMicro(), 0
	s.args = s.args[:0]
	for i, to := range ends {
		ev := wire[from:to]
		from = to
		word, _, _ := bytes.Cut(ev[4:], []byte(" "))
		s.args = append(s.args, now, string(bytes.TrimSpace(word)), ev)
		switch {
		case len(s.args) == 3*sqliteRows:
			_, err = many.Exec(s.args...)
			s.args = s.args[:0]
		case len(ends)-i-1 == 0:
			for ; len(s.args) > 0 && err == nil; s.args = s.args[3:] {
				_, err = one.Exec(s.args[:3]...)
			}
		}
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (s *sqlite) close() error { return s.db.Close() }
