package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"torjournal/journal"
	"torjournal/query"
	"torjournal/tor/logfile"
)

// recordForms are the values of -o.
var recordForms = []string{"short", "wire", "json", "torctl"}

// recordPrinter writes records in one form.
type recordPrinter struct {
	w      *bufio.Writer
	form   string
	loc    *time.Location
	colour bool // of the form for people
	stamp  stamp
}

func newRecordPrinter(w io.Writer, form string, loc *time.Location) (*recordPrinter, error) {
	for _, f := range recordForms {
		if f == form {
			return &recordPrinter{w: bufio.NewWriterSize(w, 64<<10), form: form, loc: loc, colour: coloured(w)}, nil
		}
	}
	return nil, usagef("-o %q: there are the forms %s", form, strings.Join(recordForms, ", "))
}

func (p *recordPrinter) print(r journal.Record) error {
	switch p.form {
	case "wire":
		_, err := p.w.Write(r.Wire)
		return err
	case "json":
		return p.json(r)
	case "torctl":
		line, err := logfile.AppendTorctl(p.w.AvailableBuffer(), r.Time, r.Wire)
		if err == nil {
			_, err = p.w.Write(line)
		}
		return err
	default:
		return p.short(r)
	}
}

// jsonTime is RFC 3339, UTC, with microseconds: what a record's time has.
const jsonTime = "2006-01-02T15:04:05.000000Z"

func (p *recordPrinter) json(r journal.Record) error {
	return query.NewEncoder(p.w).Encode(query.NewRecord(&r))
}

// short writes one line a record, as journalctl does: time, type, the rest of
// the event's first line, and how many lines follow it in the wire form.
func (p *recordPrinter) short(r journal.Record) error {
	first, rest, _ := bytes.Cut(r.Wire, []byte("\r\n"))
	line := p.w.AvailableBuffer()
	if p.colour {
		line = append(line, faint...)
	}
	line = p.stamp.append(line, r.Time, p.loc)
	if p.colour {
		line = append(append(line, plain...), colourOf(&r)...)
	}
	if len(first) > 4 {
		line = appendPrintable(line, first[4:])
	}
	if n := bytes.Count(rest, []byte("\n")); n > 0 {
		line = fmt.Appendf(line, " [+%d lines]", n)
	}
	if p.colour {
		line = append(line, plain...)
	}
	_, err := p.w.Write(append(line, '\n'))
	return err
}

// stamp writes times. It remembers the last second, which many records share.
type stamp struct {
	sec  int64
	text []byte // of the second; none: of no second yet
}

func (s *stamp) append(dst []byte, t time.Time, loc *time.Location) []byte {
	if sec := t.Unix(); sec != s.sec || len(s.text) == 0 {
		s.sec, s.text = sec, t.In(loc).AppendFormat(s.text[:0], "Jan 02 15:04:05.")
	}
	us := t.Nanosecond() / 1000
	dst = append(dst, s.text...)
	for by := 100_000; by > 0; by /= 10 {
		dst = append(dst, byte('0'+us/by%10))
	}
	return append(dst, ' ')
}

// appendPrintable is printable for bytes.
func appendPrintable(dst, b []byte) []byte {
	if !isPlain(b) {
		return append(dst, printable(string(b))...)
	}
	return append(dst, b...)
}

// isPlain reports whether b is printable ASCII alone. It looks at eight bytes at
// once: the high bit of each that is below ' ' or above '~' is set.
func isPlain(b []byte) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for ; len(b) >= 8; b = b[8:] {
		x := binary.LittleEndian.Uint64(b)
		if (x|(x+ones)|(x-' '*ones))&high != 0 {
			return false
		}
	}
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// printable escapes what could steer a terminal: an event's text comes from
// outside.
func printable(s string) string {
	plain := true
	for _, c := range s {
		if !unicode.IsPrint(c) || c == utf8.RuneError {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	var b strings.Builder
	for i, c := range s {
		switch {
		case c == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unicode.IsPrint(c):
			b.WriteRune(c)
		default:
			q := strconv.QuoteRune(c)
			b.WriteString(q[1 : len(q)-1])
		}
	}
	return b.String()
}

// flushingReader flushes what has been printed before it waits for more.
type flushingReader struct {
	journal.Reader
	flush func() error
}

func (f flushingReader) Wait(ctx context.Context, seq uint64) error {
	if err := f.flush(); err != nil {
		return err
	}
	return f.Reader.Wait(ctx, seq)
}
