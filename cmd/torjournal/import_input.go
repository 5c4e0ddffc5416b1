package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"torjournal/journal"
	"torjournal/tor/logfile"
)

// The size of a portion: large enough that waiting for its commits costs
// little, and with two others in memory, small enough. = 2 MiB of wire form,
// or one event of up to 16 MiB, and 40 bytes for each event.
const (
	portionBytes  = 2 << 20
	portionEvents = 16384
)

// logInput is a log to be imported. Once reading has begun, the reader owns it.
type logInput struct {
	name   string // as given
	number int
	format logfile.Format
	at     time.Time // of events whose log tells none
	size   int64     // bytes of the file as it lies there, -1 if nobody knows
	read   func(n int)

	file *os.File          // open if it can be read only once
	log  *logfile.Unpacked // of file
}

// openLogs finds out what the logs are, all of them before anything is written.
func openLogs(names []string, format logfile.Format, at, now time.Time) (logs []*logInput, err error) {
	for _, name := range names {
		in, err := openLog(name, format, at, now)
		if err != nil {
			for _, in := range logs {
				in.close()
			}
			return nil, err
		}
		logs = append(logs, in)
	}
	return logs, nil
}

// openLog finds out what a log is. Only what can be read just once stays open.
func openLog(name string, format logfile.Format, at, now time.Time) (in *logInput, err error) {
	in = &logInput{name: name, format: format, at: at, size: -1, file: os.Stdin, read: func(int) {}}
	if name == "-" {
		in.name = "standard input"
	} else if in.file, err = os.Open(name); err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	fi, err := in.file.Stat()
	if err == nil && fi.IsDir() {
		err = errors.New("it is a folder; name the logs in it")
	}
	if err == nil {
		err = in.detect()
	}
	if err != nil {
		in.close()
		return nil, fmt.Errorf("import %s: %w", in.name, err)
	}
	if in.at.IsZero() {
		in.at = now
	}
	if fi.Mode().IsRegular() && name != "-" {
		if at.IsZero() {
			in.at = fi.ModTime()
		}
		in.size = fi.Size()
		in.close()
	}
	return in, nil
}

// detect unpacks the log and finds out its format, unless that was given. An
// empty log is of every format.
func (in *logInput) detect() (err error) {
	if in.log, err = logfile.Unpack(counted{in.file, in}); err != nil {
		return err
	}
	head, err := in.log.Peek(logfile.DetectSize)
	switch {
	case err != nil && !errors.Is(err, io.EOF) && len(head) == 0:
		return err
	case in.format != "":
		return nil
	case len(head) == 0:
		in.format = logfile.JSONLines
		return nil
	}
	if in.format, err = logfile.Detect(head); err != nil {
		return fmt.Errorf("%w; --format says which it is", err)
	}
	return nil
}

// open makes the log ready to be read from its beginning.
func (in *logInput) open() (err error) {
	if in.log != nil {
		return nil
	}
	if in.file, err = os.Open(in.name); err != nil {
		return err
	}
	in.log, err = logfile.Unpack(counted{in.file, in})
	return err
}

func (in *logInput) close() {
	if in.log != nil {
		in.log.Close()
	}
	if in.file != nil && in.file != os.Stdin {
		_ = in.file.Close()
	}
	in.log, in.file = nil, nil
}

// base is what the tor of the log is called if nobody says it.
func (in *logInput) base() string { return filepath.Base(in.name) }

// counted tells how much of a log has been read.
type counted struct {
	io.Reader
	in *logInput
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.in.read(n)
	return n, err
}

// portion is what the reader of logs hands to the writer at once.
type portion struct {
	log    *logInput
	line   int  // the last one that was read
	begins bool // a session begins with the first event
	events []journal.Arrival
	size   int

	faults   []*logfile.LineError // the first of them
	skipped  int                  // all of them
	remarks  int
	restored int
	last     bool  // of its log
	err      error // that ended the log before its end
	cut      bool  // the log ends within an event
}

// readLogs reads the logs one after the other and closes out. It gives up when
// ctx ends.
func readLogs(ctx context.Context, logs []*logInput, out chan<- *portion) {
	defer close(out)
	for i, in := range logs {
		in.number = i + 1
		if !readLog(ctx, in, out) {
			return
		}
	}
}

// readLog reads one log. ok is false when ctx has ended.
func readLog(ctx context.Context, in *logInput, out chan<- *portion) (ok bool) {
	defer in.close()
	po := &portion{log: in}
	send := func() bool {
		select {
		case out <- po:
			po = &portion{log: in}
			return true
		case <-ctx.Done():
			return false
		}
	}
	var rd *logfile.Reader
	err := in.open()
	if err == nil {
		rd, err = logfile.NewReader(in.log, in.format)
	}
	if err != nil {
		po.last, po.err = true, err
		return send()
	}
	var sessions logfile.Sessions
	for ctx.Err() == nil {
		e, err := rd.Next()
		po.line = rd.Line()
		var fault *logfile.LineError
		switch {
		case errors.As(err, &fault):
			po.cut = po.cut || fault.AtEnd()
			if po.skipped++; len(po.faults) < faultsTold {
				po.faults = append(po.faults, fault)
			}
			continue
		case err != nil:
			if err != io.EOF {
				po.err = err
			}
			po.last, po.remarks, po.restored = true, rd.Notes(), rd.Restored()
			return send()
		}
		if e.Time.IsZero() {
			e.Time = in.at
		}
		begins := sessions.Begins(&e)
		if full := po.size+len(e.Wire) > portionBytes || len(po.events) == portionEvents; len(po.events) > 0 && (begins || full) {
			po.line = e.Line - 1
			if !send() {
				return false
			}
			po.line = rd.Line()
		}
		po.begins = po.begins || begins
		po.events = append(po.events, journal.Arrival{Time: e.Time, Wire: e.Wire})
		po.size += len(e.Wire)
	}
	return false
}
