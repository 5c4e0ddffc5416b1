package journal

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// rollupCheck compares the rollups with the records that are still there.
type rollupCheck struct {
	state   rollupState
	ok      bool // something was summed
	minutes minuteAdder
	next    uint64 // the first number of the summed ones that was not seen
}

// summed finds out which records were summed.
func (v *verifier) summed(t *tree, buckets map[string]treeBucket) {
	b, ok := buckets[string(bucketRollups)]
	if !ok {
		return // schema 1
	}
	r := &v.rollups
	v.eachRollup(t, b, func(val rollupValue, _ []byte) {
		if val.kind == kindState {
			r.state, r.ok, r.next = val.state, true, val.state.first
		}
	}, nil)
}

// eachRollup visits the values that can be read, and tells of the others.
func (v *verifier) eachRollup(t *tree, b treeBucket, visit func(rollupValue, []byte), bad func(error)) {
	again := newTree(t.r, t.meta, func(error) {}) // they are visited twice
	again.keys = t.keys
	again.each(b, func(e element) {
		val, _, data, err := again.rollup(e)
		if err == nil {
			visit(val, data)
		} else if bad != nil {
			bad(err)
		}
	})
}

// rollup reads the value under e, and its key as it is meant.
func (t *tree) rollup(e element) (val rollupValue, key, data []byte, err error) {
	if key, data, err = t.open(kindRollup, e, maxRollups, nil); err == nil {
		val, err = rollupAt(key, data)
	}
	return val, key, data, err
}

// add takes the records of an intact batch.
func (r *rollupCheck) add(recs []Record) {
	for i := range recs {
		if seq := recs[i].Seq; r.ok && seq >= r.state.first && seq <= r.state.last {
			if seq == r.next {
				r.next++
			}
			r.minutes.add(&recs[i])
		}
	}
}

// sums looks at every value, and whether it can be the sum of what is there.
func (v *verifier) sums(t *tree, buckets map[string]treeBucket) {
	b, ok := buckets[string(bucketRollups)]
	if !ok {
		return
	}
	report := func(err error) { v.damage("rollups", nil, err) }
	t.each(b, func(element) {}) // its pages
	stored := map[byte]map[int64]stepSum{}
	var bytes uint64
	bad := false
	v.eachRollup(t, b, func(val rollupValue, data []byte) {
		if hole, ok := val.hole(); ok {
			v.found.Holes = append(v.found.Holes, hole)
		}
		if val.kind == kindState || val.kind == kindAside {
			return
		}
		bytes += rollupBytes(len(data))
		if stored[val.kind] == nil {
			stored[val.kind] = map[int64]stepSum{}
		}
		for _, s := range val.sums {
			stored[val.kind][s.start] = s
		}
	}, func(err error) {
		bad = true
		report(err)
	})
	st := &v.rollups.state
	if v.rollups.ok && v.last > st.last {
		report(fmt.Errorf("records up to %d are summed, the last block reaches to %d", st.last, v.last))
	}
	if bad || t.broken {
		return // what is missing of them is no further damage
	}
	if bytes != st.bytes {
		report(fmt.Errorf("the values take %d bytes, the state says %d", bytes, st.bytes))
	}
	whole := v.rollups.next == st.last+1
	for i := range rollupSteps {
		step := &rollupSteps[i]
		for _, want := range coarser(v.rollups.minutes.sums(), step.slot) {
			if want.start < st.from[i] || v.inHole(step, want.start) {
				continue
			}
			got := stored[step.kind][want.start]
			if whole && got != want || got.seconds < want.seconds || got.peakRead < want.peakRead || got.peakWrit < want.peakWrit {
				report(fmt.Errorf("the sum of %ds from %s is not that of the records there", step.slot, time.Unix(want.start, 0).UTC().Format(time.RFC3339)))
				return
			}
			delete(stored[step.kind], want.start)
		}
		maps.DeleteFunc(stored[step.kind], func(start int64, _ stepSum) bool { return v.inHole(step, start) })
		if whole && len(stored[step.kind]) > 0 {
			report(fmt.Errorf("%d sums of %ds are of no records", len(stored[step.kind]), step.slot))
			return
		}
	}
}

// inHole reports whether the sum of a step that begins at start was damaged.
func (v *verifier) inHole(step *rollupStep, start int64) bool {
	at := time.Unix(start, 0)
	return slices.ContainsFunc(v.found.Holes, func(h RollupHole) bool {
		return h.Step == time.Duration(step.slot)*time.Second && !at.Before(h.From) && at.Before(h.To)
	})
}
