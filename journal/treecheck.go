package journal

import (
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"slices"
)

// What must hold of a tree before bbolt is let near it: what it trusts and cannot
// recover from.

// checkFreelist looks at the pages of the freelist: bbolt would read beyond
// its map if their number were wrong.
func (t *tree) checkFreelist() {
	if _, err := t.freePages(); err != nil {
		t.bad(err)
	}
}

// freePages returns the pages that the freelist says are free, in order.
// Memory: 8 bytes each, 2 MiB if all of 1 GiB is free.
func (t *tree) freePages() (free []uint64, err error) {
	const none = ^uint64(0)
	if t.meta.freelist == none {
		return nil, nil
	}
	p, err := t.page(t.meta.freelist)
	if err != nil {
		return nil, err
	}
	n, from := int64(p.count), int64(boltPageHeader)
	if p.count == 0xffff {
		b, err := t.bytes(&p, from, 8)
		if err != nil {
			return nil, err
		}
		n, from = int64(binary.NativeEndian.Uint64(b)), from+8
	}
	if p.flags != pageFreelist || n < 0 || n > (p.extent-from)/8 {
		return nil, fmt.Errorf("%s is no list of free pages", p.name)
	}
	b, err := t.bytes(&p, from, 8*n)
	if err != nil {
		return nil, err
	}
	free = make([]uint64, n)
	for i, last := 0, uint64(1); i < len(free); i++ {
		id := binary.NativeEndian.Uint64(b[8*i:])
		if id <= last || id >= t.meta.pages {
			return nil, fmt.Errorf("%s lists page %d as free", p.name, id)
		}
		free[i], last = id, id
	}
	return free, nil
}

// checkBranches looks at all that is above the leaves, a few pages, and at what
// the leaves say that they are: a branch that leads back to itself would use up
// bbolt's stack or all memory, and nothing recovers from that; nor from a page
// inside another that claims more than it has, which bbolt reads past its end.
func checkBranches(f *os.File, meta boltMeta) (err error) {
	t := newTree(f, meta, func(e error) {
		if err == nil {
			err = damaged("", 0, "%w", e)
		}
	})
	var leaves []uint64
	for _, b := range t.buckets() {
		if b.root != 0 {
			leaves = append(leaves, t.branches(b.root)...)
		} else if p, e := t.inline(b); e != nil {
			t.bad(e)
		} else if _, e := t.elements(&p); e != nil {
			t.bad(e)
		}
	}
	for _, id := range leaves {
		if t.seen[id] {
			t.bad(fmt.Errorf("page %d is used twice", id))
		} else if e := t.isLeaf(id); e != nil {
			t.bad(e)
		}
	}
	t.checkUsed(leaves)
	return err
}

// checkUsed makes sure that no page that was visited, nor any of more, is used
// twice or free: a page that was not written may be an older one that leads to what the
// journal was then, without its newest records. A root page that holds all of
// a small journal itself is told from the newest one by checkRoot.
func (t *tree) checkUsed(more []uint64) {
	used := slices.AppendSeq(slices.Clone(more), maps.Keys(t.seen))
	free, err := t.freePages()
	if err != nil {
		t.bad(err)
		return
	}
	slices.Sort(used)
	for i, id := range used {
		if i > 0 && used[i-1] == id {
			t.bad(fmt.Errorf("page %d is used twice", id))
			return
		}
		if _, found := slices.BinarySearch(free, id); found {
			t.bad(fmt.Errorf("page %d is used and free; the newest records may be missing", id))
			return
		}
	}
}

// isLeaf reads only a page's header: one that is a branch where a leaf should
// be can lead back to itself as well.
func (t *tree) isLeaf(id uint64) error {
	var head [boltPageHeader]byte
	if id < 2 || id >= t.meta.pages {
		return fmt.Errorf("page %d is named, there are pages 2 to %d", id, t.meta.pages-1)
	}
	if _, err := t.r.ReadAt(head[:], int64(id)*int64(t.meta.pageSize)); err != nil {
		return fmt.Errorf("page %d: %w", id, endError(err))
	}
	if flags := binary.NativeEndian.Uint16(head[8:]); flags != pageLeaf {
		return fmt.Errorf("page %d has flags %#x where keys and values should be", id, flags)
	}
	return nil
}

// branches visits the branch pages below page id and returns what should be
// leaves. All leaves of a bucket are on one level: the first says which.
func (t *tree) branches(id uint64) (leaves []uint64) {
	level := []uint64{id}
	for {
		first, err := t.readPage(level[0])
		if err != nil {
			t.bad(err)
			return nil
		}
		if first.flags != pageBranch {
			return level
		}
		var next []uint64
		for _, id := range level {
			p, err := t.page(id)
			if err == nil && p.flags != pageBranch {
				err = fmt.Errorf("%s has flags %#x", p.name, p.flags)
			}
			if err != nil {
				t.bad(err)
				return nil
			}
			ids, err := t.below(&p)
			if err != nil {
				t.bad(err)
				return nil
			}
			next = append(next, ids...)
		}
		if level = next; len(level) == 0 {
			t.bad(fmt.Errorf("%s has nothing below it", first.name))
			return nil
		}
	}
}
