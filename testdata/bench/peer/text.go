package main

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// text is a log of lines: time, blank, event.
type text struct {
	f   *os.File
	buf []byte
}

func openText(file string) (*text, error) {
	f, err := os.Create(file)
	return &text{f: f}, err
}

func (t *text) commit(wire []byte, ends []int) error {
	stamp := time.Now().UTC().AppendFormat(nil, "2006-01-02T15:04:05.000000Z ")
	t.buf = t.buf[:0]
	from := 0
	for _, to := range ends {
		t.buf = append(append(t.buf, stamp...), wire[from:to]...)
		from = to
	}
	if _, err := t.f.Write(t.buf); err != nil {
		return err
	}
	return unix.Fdatasync(int(t.f.Fd()))
}

func (t *text) close() error { return t.f.Close() }
