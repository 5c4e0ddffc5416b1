package journal

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
)

// A recorder that ends in an outage, or is killed in one, would take along what
// it knows of the missing events. So it leaves a note in the file, and who
// opens the file next for writing begins with the JOURNALED that was owed.
//
// The disk may be full: the note takes no room. bbolt uses 80 bytes of each of
// its two meta pages and writes them in turns; the note lies further behind in
// the older one, in another sector:
//
//	meta page  │ bbolt's, 80 bytes │ 0 … │ note, from byte 1024 │ 0 … │
//
// The next commit writes that page as a whole. So a note is there only while
// nothing was written since, and the commit that holds its JOURNALED takes it
// away in the same write: it is told once.
//
// Where not even the file's own bytes can be written (a disk that is broken or
// read-only) there is no note, and the error of Close alone tells.

const (
	noteOffset = 1024 // in the page
	noteBytes  = 2048 // the most that a note takes, in a page of 4,096
	noteHead   = 12   // magic, version, three zeros, length
	noteMagic  = "tjmn"

	noteVersion = 1

	// noteCause bounds what is noted of the error that began the outage.
	noteCause = 200
)

// lossNote says what is missing. What was tried last may be in the file: it is
// if the file reaches to record Last.
type lossNote struct {
	Last  uint64 // last record of what was tried; 0: nothing was
	Tried losses // missing if that is not in the file
	Rest  losses // missing
	Cause string
}

// losses are events that are missing, and since when (µs since 1970).
type losses struct {
	Missing, Dropped tally `json:",omitempty"`
	Since            int64
}

// after returns what is missing in a file that ends with record last.
func (n *lossNote) after(last uint64) losses {
	if n.Last <= last {
		return n.Rest
	}
	all := losses{Since: n.Tried.Since}
	for _, l := range []*losses{&n.Tried, &n.Rest} {
		all.Missing.addAll(l.Missing)
		all.Dropped.addAll(l.Dropped)
	}
	return all
}

// encode returns the note as it is stored, its body encrypted if the file is.
// If it is too long, types are
// counted together: first those that no tor of today has, then all.
func (n *lossNote) encode(c *fileCipher) ([]byte, error) {
	short := *n
	short.Cause = n.Cause[:min(len(n.Cause), noteCause)]
	for _, single := range []func(string) bool{
		func(string) bool { return true }, knownName, func(string) bool { return false },
	} {
		for _, pair := range [][2]*losses{{&short.Tried, &n.Tried}, {&short.Rest, &n.Rest}} {
			pair[0].Missing, pair[0].Dropped = pair[1].Missing.together(single), pair[1].Dropped.together(single)
		}
		body, err := json.Marshal(&short)
		if err != nil {
			return nil, err
		}
		body = c.encrypt(kindNote, nil, body)
		if size := noteHead + len(body) + 4; size <= noteBytes {
			out := append(make([]byte, 0, size), noteMagic...)
			out = binary.BigEndian.AppendUint32(append(out, noteVersion, 0, 0, 0), uint32(len(body)))
			out = append(out, body...)
			return binary.BigEndian.AppendUint32(out, crc32.Checksum(out, castagnoli)), nil
		}
	}
	return nil, fmt.Errorf("journal: a note of missing events does not fit %d bytes", noteBytes)
}

// noteAt returns where the note lies in a file.
func noteAt(f io.ReaderAt) (off int64, err error) {
	meta, err := newestMeta(f)
	if err == nil && meta.pageSize < noteOffset+noteBytes {
		err = fmt.Errorf("journal: pages of %d bytes have no room for a note", meta.pageSize)
	}
	return int64((meta.txid+1)%2)*int64(meta.pageSize) + noteOffset, err
}

// readNote returns the note in a file; nil if there is none.
func readNote(f io.ReaderAt, c *fileCipher) *lossNote {
	off, err := noteAt(f)
	if err != nil {
		return nil
	}
	var page [noteBytes]byte
	if _, err := f.ReadAt(page[:], off); err != nil || string(page[:4]) != noteMagic || page[4] != noteVersion {
		return nil
	}
	end := noteHead + uint64(binary.BigEndian.Uint32(page[8:]))
	if end > noteBytes-4 || binary.BigEndian.Uint32(page[end:]) != crc32.Checksum(page[:end], castagnoli) {
		return nil
	}
	body, err := c.decrypt(nil, kindNote, nil, page[noteHead:end])
	var n lossNote
	if err != nil || json.Unmarshal(body, &n) != nil {
		return nil
	}
	return &n
}

// writeNote leaves a note. With durable it is on disk when this returns; else
// it outlives the process. The writer calls it, and who has the file alone.
func (s *store) writeNote(n *lossNote, durable bool) error {
	if d := s.broken.Load(); d != nil {
		return d
	}
	data, err := n.encode(s.cipher)
	if err != nil {
		return err
	}
	// Until the newest meta page is on disk the older one is all there is.
	if err := s.settle(); err != nil {
		return err
	}
	off, err := noteAt(s.file)
	if err != nil {
		return err
	}
	if _, err := s.file.WriteAt(data, off); err != nil || !durable {
		return err
	}
	return s.file.Sync()
}

// keepNote puts back a note that nobody has told of while the file was open.
func (s *store) keepNote() error {
	if s.note == nil || s.file == nil {
		return nil
	}
	if err := s.writeNote(s.note, true); err != nil {
		return fmt.Errorf("journal: keep what it says of missing events: %w", err)
	}
	return nil
}

// leaveNote notes what is missing until now.
func (w *writer) leaveNote(durable bool) (noted bool) {
	o := w.out
	if w.env.note == nil {
		return false
	}
	rest := losses{Missing: o.missing, Dropped: o.dropped, Since: o.since}
	return w.env.note(&lossNote{Last: o.triedLast, Tried: o.tried, Rest: rest, Cause: o.cause}, durable) == nil
}

// takeUp tells what a note says is missing, before anything else is written.
// It runs before the writer's goroutine does.
func (w *writer) takeUp(n *lossNote) {
	us, _ := w.env.clock()
	lost := n.after(w.next - 1)
	w.out = newOutage(us, n.Cause, w.retry)
	o := w.out
	o.since, o.missing, o.dropped, o.total = lost.Since, lost.Missing, lost.Dropped, lost.Missing.total()
	if err := w.catchUp(); err != nil {
		w.err = err
		w.since.Store(us)
		w.log.Error(cannotWrite(err), "error", err)
		return
	}
	o.timer.Stop()
	w.out = nil
	w.log.Warn("the last recorder ended while the journal could not be written: events are missing", "missing", o.total, "since", stamp(lost.Since))
}
