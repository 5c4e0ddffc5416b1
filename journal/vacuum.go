package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// A vacuum copies what the ring holds into a new file, which then takes the
// journal's place: the file is as small as its records allow, and no byte of
// what was evicted is left in it. It needs as much room again beside the
// journal while it runs.
//
// On an open journal events go on being recorded meanwhile:
//
//	beside the writer   copy the blocks, oldest first, a few MiB in each read
//	                    transaction; again, until the writer has made no more
//	in the writer,      copy what is left: the tail, the sessions; wipe, sync,
//	between commits     rename the new file, sync the folder, swap the files
//
// Blocks are not packed again meanwhile, so that only eviction can overtake the copy; what the
// ring gives up meanwhile is taken out of the copy in the last step. Commits
// wait for that step alone. Readers do not wait: they read the old file until
// the swap and the new one after it, and both hold the same records under the
// same numbers. The new file is locked before it gets its name, and the old
// one until nobody uses it any more.
//
// The way that lost: to take the place while readers keep the old file open
// for as long as they like. Its space would be free only when the slowest one
// has ended.

// Vacuumed is what a vacuum did.
type Vacuumed struct {
	Before, After int64  // bytes of the file
	Evicted       uint64 // records that the ring gave up meanwhile
	First, Last   uint64 // records that are left; First > Last: none
	Rewritten     uint64 // those of them that have got other lines, see Rewrite
}

// Vacuum rewrites the journal at path, which nobody may have open; key is nil
// if it is not encrypted. Limits evict before: the zero value keeps everything.
// After an error, and after a crash at any point, the journal is as it was, or
// is the new one.
func Vacuum(ctx context.Context, path string, key *Key, l Limits) (v Vacuumed, err error) {
	return Rekey(ctx, path, key, key, l)
}

// Rekey is Vacuum with another key for the new file: it encrypts a journal
// where from is nil, and decrypts one where to is nil. The old file is removed,
// but its bytes may remain on the disk until they are written over.
func Rekey(ctx context.Context, path string, from, to *Key, l Limits) (v Vacuumed, err error) {
	opt, err := vacuumOptions(path, l)
	if err != nil {
		return v, err
	}
	opt.Key = from
	if v, err = rewriteFile(ctx, path, opt, to, l, nil); err != nil {
		return v, err
	}
	opt.Key = to
	err = vacuumPacked(ctx, path, opt, l, &v)
	return v, err
}

// vacuumPacked packs what a recorder that stopped has left unpacked, and
// vacuums once more if there was something.
func vacuumPacked(ctx context.Context, path string, opt Options, l Limits, v *Vacuumed) error {
	if l.MaxAge != 0 {
		return nil // a packed block would hold old records for the sake of newer ones
	}
	packed, err := packFile(ctx, path, opt)
	if err != nil {
		return vacuumError(path, err)
	}
	if packed {
		again, err := vacuumFile(ctx, path, opt, l)
		v.After, v.Last = again.After, again.Last
		return err
	}
	return nil
}

// vacuumOptions opens a file of any size for a copy of any size.
func vacuumOptions(path string, l Limits) (Options, error) {
	if err := l.check(); err != nil {
		return Options{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return Options{}, fmt.Errorf("journal: vacuum: %w", err)
	}
	size := min(max(l.MaxSize, info.Size()+info.Size()/8+4<<20), maxSizeLimit)
	return Options{MaxSize: size, MaxAge: l.MaxAge}.withDefaults()
}

// packFile packs what a recorder that stopped has left as it was committed. It
// reports whether there was anything.
func packFile(ctx context.Context, path string, opt Options) (bool, error) {
	opt.parkLimits.off, opt.walPages = true, -1 // what becomes free is left behind: nobody need write zeros to it
	j, err := Open(path, opt)
	if err != nil {
		return false, err
	}
	err = j.Pack(ctx)
	return j.Stats().Commits > 0, errors.Join(err, j.Close())
}

func vacuumFile(ctx context.Context, path string, opt Options, l Limits) (Vacuumed, error) {
	return rewriteFile(ctx, path, opt, opt.Key, l, nil)
}

// rewriteFile puts a copy of the stopped journal, with the key to, in its
// place. With nil the records stay as they are.
func rewriteFile(ctx context.Context, path string, opt Options, to *Key, l Limits, with *Rewriting) (v Vacuumed, err error) {
	s, err := openStore(path, opt, false)
	if err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	v.Before = s.fileSize()
	first, err := s.firstNumber()
	if err != nil {
		return v, err
	}
	if opt.Key == nil && to != nil {
		opt.MaxSize = min(2*opt.MaxSize, maxSizeLimit) // a tail of single events gets that much longer
	}
	opt.Key = to
	c := newCopier(s, opt, l.MaxSize, newAgeClock(opt).evictBefore())
	defer c.discard()
	if with != nil {
		if c.rewrite, err = newRewriter(ctx, s, *with); err != nil {
			return v, vacuumError(path, err)
		}
	}
	if err := c.copyAll(ctx, &v); err != nil {
		return v, vacuumError(path, err)
	}
	v.Evicted = v.First - first
	if err := c.dst.close(); err != nil {
		return v, vacuumError(path, err)
	}
	opt.vacuumStep("rename")
	if err := replaceBy(c.draft, path); err != nil {
		return v, vacuumError(path, err)
	}
	c.draft = ""
	opt.vacuumStep("close")
	if c.rewrite != nil {
		v.Rewritten = c.rewrite.changed
	}
	return v, nil
}

// copyAll copies everything there is, again with less if it does not fit.
func (c *copier) copyAll(ctx context.Context, v *Vacuumed) error {
	for {
		err := c.begin()
		for more := true; more && err == nil; {
			if err = ctx.Err(); err == nil {
				more, err = c.blocks()
			}
		}
		if err == nil {
			err = c.rest(v)
		}
		if err == nil {
			return c.finish(v)
		}
		if !c.less(err) {
			return err
		}
	}
}

// Vacuum rewrites the file while events go on being recorded and read. Limits
// evict before, once: what Limits of the journal say goes on to hold. Their
// zero value evicts nothing but what is past the journal's own limits. It
// returns ErrVacuuming while another vacuum runs.
func (j *Journal) Vacuum(ctx context.Context, l Limits) (v Vacuumed, err error) {
	if err := l.check(); err != nil {
		return v, err
	}
	if !j.vacuuming.TryLock() {
		return v, ErrVacuuming
	}
	defer j.vacuuming.Unlock()
	defer j.letRepack(ctx)
	first, err := j.store.firstNumber()
	if err != nil {
		return v, err
	}
	c, err := j.beginVacuum(ctx, l)
	if err == nil {
		v.Before = j.store.fileSize()
		err = j.vacuum(ctx, c, &v)
		c.discard()
	}
	if err != nil {
		return v, vacuumError(j.store.path, err)
	}
	v.Evicted = v.First - first
	return v, nil
}

// beginVacuum evicts what is past the limits of the journal and says what the
// copy shall hold.
func (j *Journal) beginVacuum(ctx context.Context, l Limits) (c *copier, err error) {
	err = j.inWriter(ctx, func(w *writer) error {
		opt, ages := j.limited(), j.committer.ages
		before, size := ages.evictBefore(), opt.MaxSize
		if l.MaxAge != 0 {
			before = max(before, ages.before(l.MaxAge))
		}
		if l.MaxSize != 0 {
			size = min(size, l.MaxSize)
		}
		c = newCopier(j.store, opt, size, before)
		w.repack.held = true
		return w.apply(&change{})
	})
	return c, err
}

// letRepack ends what beginVacuum held up: Blocks may change again.
func (j *Journal) letRepack(ctx context.Context) {
	_ = j.inWriter(context.WithoutCancel(ctx), func(w *writer) error {
		w.repack.held = false
		return nil
	})
}

func (j *Journal) vacuum(ctx context.Context, c *copier, v *Vacuumed) error {
	for {
		err := c.begin()
		for more := true; more && err == nil; {
			if err = ctx.Err(); err == nil {
				more, err = c.blocks()
			}
		}
		if err == nil {
			err = j.inWriter(ctx, func(w *writer) error { return j.swapIn(w, c, v) })
		}
		if c.old != nil {
			return errors.Join(err, c.old.close()) // beside the writer: giving many pages back takes its time
		}
		if !c.less(err) {
			return err
		}
	}
}

// swapIn is the last step of a vacuum, between two commits.
func (j *Journal) swapIn(w *writer, c *copier, v *Vacuumed) error {
	if w.out != nil {
		return w.out.err() // what is pending may be in the file, or not
	}
	if err := w.settleLog(); err != nil {
		return err
	}
	for more := true; more; {
		var err error
		if more, err = c.blocks(); err != nil {
			return err
		}
	}
	if err := c.rest(v); err != nil {
		return err
	}
	if err := c.finish(v); err != nil {
		return err
	}
	j.opt.vacuumStep("rename")
	err := replaceBy(c.draft, j.store.path)
	if err != nil && !errors.Is(err, errFolder) {
		return err
	}
	// From here on the new file is the journal, whatever goes wrong.
	c.draft, j.store.unsynced = "", err != nil
	j.opt.vacuumStep("swap")
	c.old = j.store.takeOver(c.dst)
	opt := j.limited() // they may have changed since the copy began
	j.store.setMaxSize(opt.MaxSize)
	_ = w.wal.open(walRegion{}, &walFound{})     // the new file has none yet…
	w.wal.most = opt.logSize(j.store.pageSize()) // …and perhaps pages of another size
	err = j.committer.reset(opt)
	w.tail.evicted(v.First - 1)
	w.env.evicted(v.First - 1)
	return err
}

func vacuumError(path string, err error) error {
	var d *DamageError
	switch {
	case errors.As(err, &d):
		return at(path, err)
	case errors.Is(err, ErrUnjournaled):
		return fmt.Errorf("journal: vacuum %s: %w: make room on its disk, and vacuum when it is written again", filepath.Base(path), err)
	}
	return fmt.Errorf("journal: vacuum %s: %w", filepath.Base(path), ofTarget(err, path))
}
