package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// ErrNothing means that a salvage found no intact record.
var ErrNothing = errors.New("no intact record was found")

// SalvageOptions for Salvage.
type SalvageOptions struct {
	// Evicted takes records along, too, that the ring had given up and that
	// are still to be found in pages that were not used again.
	Evicted bool

	// Key of the old journal, and of the new one; nil: they are not encrypted.
	Key *Key
}

// Salvaged is what Salvage recovered.
type Salvaged struct {
	Batches      int       // batches and blocks taken from the old file
	Records      uint64    // in them
	First, Last  uint64    // their sequence numbers
	Since, Until time.Time // their earliest and latest arrival
	Missing      []Missing // what is not in the new journal, in order
	Sessions     int       // recovered
	Sums         bool      // the sums of the bandwidth were kept; if not, they are of the records saved only
	Remade       int       // sessions of which only their records told
	Left         uint64    // intact records that the ring had evicted and that were left out
	Marked       bool      // the old file said what the ring had evicted; if not, older records may be among those taken
	Whole        bool      // all of the old file's tree could be read; if not, newer records may have been there
	Unreadable   int64     // bytes of the old file that the disk did not give
	Leftover     error     // what killed salvages have left beside the new journal and could not be removed; nil: nothing
}

// Missing are records that a salvage could not find.
type Missing struct {
	From, To     uint64    // sequence numbers
	Since, Until time.Time // between which they arrived; zero where that is not known
}

// Salvage makes the journal newPath, which must not exist, of every intact
// batch in the file oldPath, whatever state that is in: it looks at the bytes
// and needs no tree. Records keep their numbers and sessions. Numbers that are
// missing between them, and behind them where the old file tells, are noted in
// the new journal as lost, so that its readers are told of the gap.
//
// Where two batches claim the same numbers the one that the old file's tree
// leads to counts, then the later one: what a crash left behind is older than
// what took its numbers. What follows the last record that the tree knows is
// taken along: the tree may be an older one, and a commit that a crash cut short
// was delivered to nobody, but tor sent it.
//
// What a salvage into newPath that was killed has left beside it is removed.
//
// An encrypted file makes an encrypted one; it needs nothing but the key and
// the blocks themselves, too.
//
// Memory: a window of 4 MiB, one transaction and one block (two if they are
// encrypted), and about 100 bytes for each batch in the file.
func Salvage(ctx context.Context, oldPath, newPath string, opt SalvageOptions) (Salvaged, error) {
	if _, err := os.Lstat(newPath); err == nil {
		return Salvaged{}, fmt.Errorf("journal: salvage into %s: %w", newPath, os.ErrExist)
	}
	leftover := sweepDrafts(newPath)
	if errors.Is(leftover, os.ErrNotExist) {
		leftover = nil // the folder: making the file says so
	}
	f, err := openToRead(oldPath)
	if err != nil {
		return Salvaged{}, err
	}
	defer f.Close()
	defer unlock(f)
	s := &salvage{out: Salvaged{Leftover: leftover}, file: &patient{file: f}, opt: opt, keys: keyring{key: opt.Key}}
	info, err := f.Stat()
	if err == nil {
		s.size, s.written = info.Size(), info.ModTime().UnixMicro()
		err = s.survey(ctx)
	}
	if err == nil {
		err = s.write(ctx, newPath)
	}
	s.out.Unreadable = s.file.lost
	if err != nil {
		return s.out, fmt.Errorf("journal: salvage %s: %w", oldPath, ofTarget(err, newPath))
	}
	return s.out, nil
}

// salvage is one run of Salvage.
type salvage struct {
	// immutable
	file    *patient
	size    int64
	written int64 // when, in µs since 1970
	opt     SalvageOptions
	keys    keyring

	tree   liveTree
	leaves leaves
	known  []header // index entries, in order, those that contradict others left out
	chosen []found  // in order, none overlaps another
	end    uint64   // newest number that there was
	out    Salvaged
}

// found is a batch in the old file.
type found struct {
	header
	off  int64
	live bool   // the tree leads to it
	of   *found // the batch that it is a part of; nil if it is whole
}

// survey finds out what there is and chooses.
func (s *salvage) survey(ctx context.Context) error {
	meta, pageSize := pageSizeOf(s.file)
	var err error
	if s.tree, err = readLive(s.file, meta, &s.keys); err != nil {
		return err
	}
	// The tree of one meta page may be that of the commit before the last.
	s.tree.whole = s.tree.whole && bothMetas(s.file, meta) == nil
	var all []found
	seen := map[header]bool{}
	c := carver{r: s.file, size: s.size, keys: &s.keys, envelope: func(off int64, h header) {
		if !seen[h] {
			seen[h] = true
			all = append(all, found{header: h, off: off, live: s.tree.live[h]})
		}
	}}
	if err := c.envelopes(ctx); err != nil {
		return err
	}
	if len(all) == 0 {
		return s.nothing(ctx, &c)
	}
	if s.leaves, err = carveLeaves(ctx, s.file, s.size, pageSize, &s.keys); err != nil {
		return err
	}
	s.out.Marked, s.out.Whole = s.tree.marked, s.tree.whole
	s.choose(all)
	if len(s.chosen) == 0 {
		return ErrNothing
	}
	return nil
}

// nothing returns why nothing was found.
func (s *salvage) nothing(ctx context.Context, c *carver) error {
	if s.keys.sure {
		return ErrNothing
	}
	if c.strange > 0 {
		return ErrWrongKey
	}
	other := carver{r: s.file, size: s.size, keys: &keyring{}}
	if s.opt.Key == nil {
		other.keys.key = new(Key) // it decrypts nothing, but what it does not decrypt is counted
	}
	plain := 0
	other.envelope = func(int64, header) { plain++ }
	if err := other.envelopes(ctx); err != nil {
		return err
	}
	switch {
	case other.strange+plain == 0:
		return ErrNothing
	case s.opt.Key == nil:
		return ErrEncrypted
	}
	return ErrNotEncrypted
}

func (s *salvage) choose(all []found) {
	s.end = s.tree.last
	for i := range all {
		if all[i].live {
			s.end = max(s.end, all[i].last)
		}
	}
	var left []found
	all = slices.DeleteFunc(all, func(f found) bool {
		given := s.tree.marked && f.last <= s.tree.evicted && !s.opt.Evicted
		if given {
			left = append(left, f)
		}
		return given
	})
	given, _ := choose(left)
	for i := range given {
		s.out.Left += given[i].count()
	}
	s.chosen = s.extend(choose(all))
	index := s.tree.index
	if !s.tree.whole {
		index = append(index, s.leaves.index...)
	}
	s.known = disjoint(index)
	for _, list := range [][]header{s.known, headers(s.chosen)} {
		if n := len(list); n > 0 {
			s.end = max(s.end, list[n-1].last)
		}
	}
}

func headers(all []found) []header {
	out := make([]header, len(all))
	for i := range all {
		out[i] = all[i].header
	}
	return out
}

// better reports whether a counts rather than b where both claim a number. A
// block ends no earlier than the batches that it was made of, and is larger.
func better(a, b *found) bool {
	switch {
	case a.live != b.live:
		return a.live
	case a.maxTime != b.maxTime:
		return a.maxTime > b.maxTime
	case a.count() != b.count():
		return a.count() > b.count()
	}
	return a.off < b.off
}

// choose returns batches of which none overlaps another, in order, so that
// nothing that was dropped would fit between them.
func choose(all []found) (kept, dropped []found) {
	kept, dropped = sweep(all)
	rest := dropped
	for {
		fits := slices.DeleteFunc(slices.Clone(rest), func(f found) bool {
			i, _ := slices.BinarySearchFunc(kept, f.first, func(k found, n uint64) int { return cmp.Compare(k.last, n) })
			return i < len(kept) && kept[i].first <= f.last
		})
		if len(fits) == 0 {
			return kept, dropped
		}
		kept, rest = sweep(append(kept, fits...))
		dropped = append(dropped, rest...)
	}
}

// sweep goes over batches in order and drops the worse of two that overlap.
func sweep(all []found) (kept, dropped []found) {
	slices.SortFunc(all, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(b.last, a.last), cmp.Compare(a.off, b.off))
	})
	for i := range all {
		f := &all[i]
		if n := len(kept); n > 0 && kept[n-1].last >= f.first {
			if !better(f, &kept[n-1]) {
				dropped = append(dropped, *f)
				continue
			}
			dropped = append(dropped, kept[n-1])
			kept = kept[:n-1]
		}
		kept = append(kept, *f)
	}
	return kept, dropped
}

// disjoint sorts index entries and leaves out those that overlap the one
// before.
func disjoint(index []header) []header {
	index = slices.Clone(index)
	slices.SortFunc(index, func(a, b header) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(b.last, a.last))
	})
	out := index[:0]
	for _, h := range index {
		if h.first > 0 && h.last >= h.first && (len(out) == 0 || out[len(out)-1].last < h.first) {
			out = append(out, h)
		}
	}
	return out
}

// write makes the new journal.
func (s *salvage) write(ctx context.Context, path string) error {
	first := s.chosen[0].first
	if s.tree.marked && !s.opt.Evicted && first > s.tree.evicted+1 {
		front := gapEntries(s.known, nil, &s.chosen[0].header, s.tree.evicted+1, first-1)
		s.out.Missing = append(s.out.Missing, missingOf(front))
	}
	r, err := newRebuild(path, s.opt.Key, s.size, first)
	if err != nil {
		return err
	}
	defer r.abandon()
	// Sums that end before the records begin would leave a hole in them.
	if st := &s.tree.summed; s.tree.rollups != nil && st.last+1 >= first && st.last <= s.end {
		if err := r.keepRollups(s.tree.rollups, *st); err != nil {
			return err
		}
		s.out.Sums = true
	}
	var before *header
	var buf []byte
	for i := range s.chosen {
		f := &s.chosen[i]
		if err := ctx.Err(); err != nil {
			return err
		}
		if f.first > r.next {
			if err := s.lose(r, before, &f.header, f.first-1); err != nil {
				return err
			}
		}
		var err error
		if buf, err = s.copy(r, f, buf); errors.Is(err, errUnreadable) {
			continue // lost, with what follows it
		} else if err != nil {
			return err
		}
		before = &f.header
		s.took(before)
	}
	if s.out.Records == 0 {
		return ErrNothing
	}
	if s.end >= r.next {
		if err := s.lose(r, before, nil, s.end); err != nil {
			return err
		}
	}
	if err := r.finish(s.sessions()); err != nil {
		return err
	}
	return placeNew(r.store.path, path)
}

// copy adds a batch, or the part of one, to the new journal. It returns a buffer
// for the next.
func (s *salvage) copy(r *rebuild, f *found, buf []byte) ([]byte, error) {
	if f.of != nil {
		recs, err := s.records(f)
		if err != nil {
			return buf, fmt.Errorf("%w: %w", errUnreadable, err)
		}
		_, data := r.enc.encode(cut(recs, f.first, f.last))
		return buf, r.add(data)
	}
	buf, err := s.envelope(f, buf)
	if err != nil {
		return buf, err
	}
	return buf, r.add(buf)
}

// envelope reads the envelope of a whole batch into buf, or a larger one.
func (s *salvage) envelope(f *found, buf []byte) ([]byte, error) {
	stored := f.size() + s.opt.Key.overhead()
	if cap(buf) < stored {
		buf = make([]byte, stored)
	}
	buf = buf[:stored]
	if _, err := s.file.ReadAt(buf, f.off); err != nil && !errors.Is(err, io.EOF) {
		return buf, err
	}
	_, plain, err := s.keys.decrypt(nil, kindBatch, nil, buf)
	if err != nil {
		return buf, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return plain, nil
}

func (s *salvage) took(h *header) {
	o := &s.out
	since, until := time.UnixMicro(h.minTime).UTC(), time.UnixMicro(h.maxTime).UTC()
	if o.Records == 0 {
		o.First, o.Since = h.first, since
	}
	if since.Before(o.Since) {
		o.Since = since
	}
	if until.After(o.Until) {
		o.Until = until
	}
	o.Last = h.last
	o.Batches++
	o.Records += h.count()
}

// lose notes everything from r.next to last as lost, entry by entry where the
// index told of blocks there: their times, session and types are known. What was
// lost at the end arrived before the old file was written last.
func (s *salvage) lose(r *rebuild, before, after *header, last uint64) error {
	entries := gapEntries(s.known, before, after, r.next, last)
	for i := range entries {
		h := &entries[i]
		if h.maxTime == noEnd {
			h.maxTime = max(h.minTime, s.written)
		}
		h.minTime = max(h.minTime, 0)
		if err := r.lose(*h); err != nil {
			return err
		}
	}
	s.out.Missing = append(s.out.Missing, missingOf(entries))
	return nil
}

// sessions returns the sessions of the new journal: as the tree has them, else
// as some leaf page has them, else as their records tell.
func (s *salvage) sessions() []Session {
	byID := map[uint64]Session{}
	for _, t := range s.tree.sessions {
		byID[t.ID] = t
	}
	for i := range s.chosen {
		h := &s.chosen[i].header
		if _, ok := byID[h.session]; ok || h.session == 0 {
			continue
		}
		made := Session{ID: h.session, First: h.first, Begun: time.UnixMicro(h.minTime).UTC()}
		best := Session{}
		for _, l := range s.leaves.sessions[h.session] {
			if l.First <= h.first && l.First >= best.First {
				best = l
			}
		}
		if best.ID == 0 {
			best = made
			s.out.Remade++
		}
		byID[h.session] = best
	}
	out := make([]Session, 0, len(byID))
	for _, t := range byID {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b Session) int { return cmp.Compare(a.ID, b.ID) })
	for i := range out {
		if i > 0 {
			out[i].First = max(out[i].First, out[i-1].First)
		}
	}
	s.out.Sessions = len(out) - s.out.Remade
	return out
}

// patient reads a file whose disk does not give all of it: what cannot be read
// reads as zeros.
type patient struct {
	file *os.File
	lost int64 // bytes that could not be read
}

// sector is how much of a file is given up when it cannot be read.
const sector = 4096

func (p *patient) ReadAt(b []byte, off int64) (int, error) {
	n, err := p.file.ReadAt(b, off)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	for n = 0; n < len(b); {
		part := b[n:min(len(b), n+sector-int((off+int64(n))%sector))]
		k, err := p.file.ReadAt(part, off+int64(n))
		if errors.Is(err, io.EOF) {
			return n + k, err
		}
		if err != nil {
			clear(part)
			p.lost += int64(len(part))
		}
		n += len(part)
	}
	return n, nil
}
