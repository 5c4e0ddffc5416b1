package journal

import (
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"
)

// rollupCheck compares the rollups with the records that are still there.
type rollupCheck struct {
	state   rollupState
	ok      bool // something was summed
	minutes minuteAdder
	next    uint64 // the first number of the summed ones that was not seen
}

// summed finds out which records were summed.
func (v *verifier) summed(tx *bolt.Tx) (err error) {
	b := tx.Bucket(bucketRollups)
	if b == nil {
		return nil // schema 1
	}
	r := &v.rollups
	r.state, r.ok, err = readRollupState(b)
	v.report("rollups", 0, err)
	r.next = r.state.first
	return nil
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
func (v *verifier) sums(tx *bolt.Tx) error {
	b := tx.Bucket(bucketRollups)
	if b == nil {
		return nil
	}
	report := func(err error) error {
		v.report("rollups", 0, err)
		return nil
	}
	st := &v.rollups.state
	last, h, err := newestBlock(tx)
	if err != nil {
		return report(err)
	}
	if v.rollups.ok && h != nil && st.last < last {
		_ = report(fmt.Errorf("records up to %d are summed, the last block reaches to %d", st.last, last))
	}
	stored := map[byte]map[int64]stepSum{}
	var bytes uint64
	err = b.ForEach(func(k, data []byte) error {
		val, err := rollupAt(k, data)
		if err != nil {
			return report(err)
		}
		if val.kind == kindState {
			return nil
		}
		bytes += rollupBytes(data)
		if stored[val.kind] == nil {
			stored[val.kind] = map[int64]stepSum{}
		}
		for _, s := range val.sums {
			stored[val.kind][s.start] = s
		}
		return nil
	})
	if err != nil {
		return err
	}
	if bytes != st.bytes {
		_ = report(fmt.Errorf("the values take %d bytes, the state says %d", bytes, st.bytes))
	}
	whole := v.rollups.next == st.last+1
	for i := range rollupSteps {
		step := &rollupSteps[i]
		for _, want := range coarser(v.rollups.minutes.sums(), step.slot) {
			if want.start < st.from[i] {
				continue
			}
			got := stored[step.kind][want.start]
			if whole && got != want || got.seconds < want.seconds || got.peakRead < want.peakRead || got.peakWrit < want.peakWrit {
				return report(fmt.Errorf("the sum of %ds from %s is not that of the records there", step.slot, time.Unix(want.start, 0).UTC().Format(time.RFC3339)))
			}
			delete(stored[step.kind], want.start)
		}
		if whole && len(stored[step.kind]) > 0 {
			return report(fmt.Errorf("%d sums of %ds are of no records", len(stored[step.kind]), step.slot))
		}
	}
	return nil
}

func newestBlock(tx *bolt.Tx) (last uint64, h *header, err error) {
	index, err := appendOnly(tx, bucketIndex)
	if err != nil {
		return 0, nil, err
	}
	k, v := index.Cursor().Last()
	if k == nil {
		return 0, nil, nil
	}
	e, err := entryAt(k, v)
	return e.last, &e, err
}
