package journal

import (
	"bytes"
	"cmp"
	"slices"
)

// Batches in a damaged file may claim the same numbers, and all of them be
// intact: a block and the batches it was made of, blocks that were packed
// again, what a crash left behind. choose decides which counts. What it drops
// may still be the only place where other records are: extend takes those out
// of it, if what it has in common with what counts is the same there.

// extend returns the batches of kept, which do not overlap, and parts of
// dropped ones for the numbers between and around them that dropped ones have.
func (s *salvage) extend(kept, dropped []found) []found {
	slices.SortFunc(dropped, func(a, b found) int {
		switch {
		case better(&a, &b):
			return -1
		case better(&b, &a):
			return 1
		}
		return 0
	})
	for i := range dropped {
		d := &dropped[i]
		free := uncovered(kept, d.first, d.last)
		if len(free) == 0 {
			continue
		}
		recs, err := s.records(d)
		if err != nil || !s.consistent(recs, overlapping(kept, d.first, d.last)) {
			continue
		}
		for _, g := range free {
			part := *d
			part.of = d
			part.header = headerOf(cut(recs, g.From, g.To))
			at, _ := slices.BinarySearchFunc(kept, part.first, func(k found, n uint64) int { return cmp.Compare(k.first, n) })
			kept = slices.Insert(kept, at, part)
		}
	}
	return kept
}

// overlapping returns the batches of kept that have numbers from first to last.
func overlapping(kept []found, first, last uint64) []found {
	from, _ := slices.BinarySearchFunc(kept, first, func(k found, n uint64) int { return cmp.Compare(k.last, n) })
	to := from
	for to < len(kept) && kept[to].first <= last {
		to++
	}
	return kept[from:to]
}

// uncovered returns which numbers from first to last no batch of kept has.
func uncovered(kept []found, first, last uint64) (free []Gap) {
	for _, k := range overlapping(kept, first, last) {
		if k.first > first {
			free = append(free, Gap{first, k.first - 1})
		}
		first = k.last + 1
	}
	if first <= last {
		free = append(free, Gap{first, last})
	}
	return free
}

// consistent reports whether recs are what kept batches say of the same
// numbers. Those that cannot be read say nothing.
func (s *salvage) consistent(recs []Record, kept []found) bool {
	for i := range kept {
		theirs, err := s.records(&kept[i])
		if err != nil {
			continue
		}
		from, to := max(recs[0].Seq, theirs[0].Seq), min(recs[len(recs)-1].Seq, theirs[len(theirs)-1].Seq)
		if from > to || !slices.EqualFunc(cut(recs, from, to), cut(theirs, from, to), equalRecords) {
			return false
		}
	}
	return true
}

func equalRecords(a, b Record) bool {
	return a.Seq == b.Seq && a.Session == b.Session && a.Time.Equal(b.Time) && a.Type == b.Type && bytes.Equal(a.Wire, b.Wire)
}

// cut returns the records from from to to of records that follow each other.
func cut(recs []Record, from, to uint64) []Record {
	return recs[from-recs[0].Seq : to-recs[0].Seq+1]
}

// records returns the records of a batch in the old file, all of them: of a
// part those of the whole.
func (s *salvage) records(f *found) ([]Record, error) {
	if f.of != nil {
		f = f.of
	}
	data, err := s.envelope(f, nil)
	if err != nil {
		return nil, err
	}
	h, payload, _, err := splitEnvelope(data)
	if err != nil {
		return nil, err
	}
	recs, err := decodeBatch(h, payload, noTypes)
	if err == nil {
		err = agrees(h, recs)
	}
	return recs, err
}
