package journal

import (
	"bytes"
	"errors"
	"fmt"
)

// summaries reads what is told of the entities of blocks. Some may be of blocks
// that another program has given up or packed again: those are of no use, and no
// damage.
func (v *verifier) summaries(t *tree, buckets map[string]treeBucket) {
	b, ok := buckets[string(bucketEntities)]
	if !ok {
		return
	}
	v.entities = map[uint64]summary{}
	t.each(b, func(e element) {
		k, data, err := t.open(kindEntities, e, maxEntities, nil)
		var s summary
		if err == nil {
			s, err = parseEntities(k, bytes.Clone(data))
		}
		if errors.Is(err, errLaterEntities) {
			return
		}
		if err != nil {
			v.damage("entities", nil, err)
			return
		}
		v.entities[s.first] = s
	})
}

// told compares what is told of an intact block's entities with its records: one
// that is not told would be hidden from who asks about it.
func (v *verifier) told(h *header, recs []Record) {
	s, ok := v.entities[h.first]
	if !ok || !s.of(h) {
		return
	}
	circuits, streams := gather(recs)
	for _, k := range []struct {
		what string
		got  *entities
		runs []byte
		odd  bool
	}{
		{"circuit", circuits, s.circuits, s.flags&oddCircuits != 0},
		{"stream", streams, s.streams, s.flags&oddStreams != 0},
	} {
		if k.got.odd && !k.odd {
			v.damage("entities", h, fmt.Errorf("the block names a %s by an ID that is no number, and its entities tell of none", k.what))
		}
		for _, n := range k.got.ids {
			if !runsHold(k.runs, n) {
				v.damage("entities", h, fmt.Errorf("the block names %s %d, and its entities do not", k.what, n))
				break
			}
		}
	}
}
