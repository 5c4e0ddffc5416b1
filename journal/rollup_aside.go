package journal

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// A sum that is damaged must not stop the recorder: records are what a journal
// is for. What the next sums would have been added to and cannot be read is set
// aside, under a key of its own that says which times it was of:
//
//	hours     made again of the minutes of that day, if they are whole
//	minutes   set aside; what comes for that time is summed anew, but readers
//	          leave that time out of the sums and read its records
//	state     nobody knows then which records the values are of: all of them
//	          go, and summing begins anew, as in a journal without sums
//
//	pages     where bbolt cannot find its way through the bucket's own pages, all
//	          of it is put aside as it is, unread, in the bucket "damaged",
//	          which the next vacuum leaves behind; summing begins anew
//
// It is logged, told by verify, and told to who asks for the bandwidth of the
// time where the records are gone too. A damaged value that nothing is added
// to stays where it is: who reads it gets an error.

// RollupHole is a time of which the kept sums were damaged.
type RollupHole struct {
	Step     time.Duration // of the sums: a minute, an hour; 0: all sums of before To
	From, To time.Time     // UTC
}

// maxAside bounds what is kept of a damaged value's bytes.
const maxAside = 4 << 10

// hole returns what v stands for; ok is false if it is no hole.
func (v *rollupValue) hole() (h RollupHole, ok bool) {
	if v.kind != kindAside {
		return h, false
	}
	at := time.Unix(v.start, 0).UTC()
	if step := stepOf(v.of); step != nil {
		return RollupHole{time.Duration(step.slot) * time.Second, at, at.Add(time.Duration(step.span()) * time.Second)}, true
	}
	return RollupHole{To: at}, true
}

func asideKey(of byte, start int64) []byte { return append([]byte{kindAside}, rollupKey(of, start)...) }

func (v *rollupValue) readAside(body []byte) error {
	if len(body) == 0 || body[0] != kindState && stepOf(body[0]) == nil || v.start < 0 {
		return errors.New("what was set aside does not say what it was")
	}
	v.of, v.raw = body[0], bytes.Clone(body[1:])
	return nil
}

// errSums means that the pages of the bucket are damaged: what was done in the
// transaction may be half of it.
var errSums = errors.New("journal: the sums of the bandwidth are damaged")

// fence runs f, which uses the bucket. What is wrong with its pages does not
// go through to who would then write nothing any more.
func (l *rollupLimits) fence(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = damaged("rollups", 0, "%v", p)
		}
		var d *DamageError
		if errors.As(err, &d) && (d.Bucket == "" || d.Bucket == string(bucketRollups)) {
			l.broken, err = err, fmt.Errorf("%w: %v", errSums, d.Err)
		}
	}()
	return closedError(f())
}

// giveUp puts the bucket aside, without a look at its pages, and begins a new
// one.
func (l *rollupLimits) giveUp(tx *txn) error {
	if err := putAside(tx.bolt, bucketRollups); err != nil {
		return err
	}
	if _, err := tx.bolt.CreateBucket(bucketRollups); err != nil {
		return err
	}
	b, err := appendOnly(tx, bucketRollups)
	if err != nil {
		return err
	}
	return l.setAside(b, kindState, max(0, l.now().Unix()), nil, l.broken)
}

// setAside keeps the bytes of a damaged value of which times it was.
func (l *rollupLimits) setAside(b *bucket, of byte, start int64, data []byte, why error) error {
	v := rollupValue{kind: kindAside, of: of, start: start, raw: bytes.Clone(data[:min(len(data), maxAside)])}
	if err := b.put(asideKey(of, start), v.append(nil)); err != nil {
		return err
	}
	hole, _ := v.hole()
	l.found = append(l.found, fmt.Sprintf("%v: %v", hole, reason(why)))
	return nil
}

// String says which sums a hole is in.
func (h RollupHole) String() string {
	if h.Step == 0 {
		return "all sums of before " + h.To.Format(time.RFC3339)
	}
	unit := "minutes"
	if h.Step == time.Hour {
		unit = "hours"
	}
	return fmt.Sprintf("the sums of the %s from %s to %s", unit, h.From.Format(time.RFC3339), h.To.Format(time.RFC3339))
}

// reason is what a DamageError says without its place and its next step.
func reason(err error) error {
	var d *DamageError
	if errors.As(err, &d) {
		return d.Err
	}
	return err
}

// restart sets the state aside and gives up what it says nothing of any more.
func (l *rollupLimits) restart(b *bucket, why error) error {
	data, err := b.get(stateKey)
	if err != nil {
		data = nil // it cannot be decrypted, so nobody will ever read it
	}
	data = bytes.Clone(data)
	for _, kind := range []byte{kindState, kindMinute, kindHour} {
		err := b.deleteIf(kind, func([]byte, held) bool { return true })
		if err != nil {
			return err
		}
	}
	return l.setAside(b, kindState, max(0, l.now().Unix()), data, why)
}

// mend returns what takes the place of the damaged value v of a step, which
// was of that start, and whether the sums that are being added are in it.
func (l *rollupLimits) mend(b *bucket, st *rollupState, step *rollupStep, start int64, data []byte, why error) (v rollupValue, whole bool, err error) {
	v = rollupValue{kind: step.kind, start: start}
	if step.kind == kindHour {
		if v.sums, whole = minutesOfDay(b, st, step, start); whole {
			l.found = append(l.found, fmt.Sprintf("the sums of the hours of %s: %v; they have been made again of the minutes",
				time.Unix(start, 0).UTC().Format(time.DateOnly), reason(why)))
			return v, true, nil
		}
	}
	return v, false, l.setAside(b, step.kind, start, data, why)
}

// errAside means that minutes of the day were set aside.
var errAside = errors.New("journal: minutes of it were set aside")

// minutesOfDay adds up the minutes that the value of hours from start is of,
// if all that there were are there.
func minutesOfDay(b *bucket, st *rollupState, step *rollupStep, start int64) (sums []stepSum, whole bool) {
	end := start + step.span()
	if st.from[0] > start {
		return nil, false
	}
	err := b.eachOf(kindAside, func(k []byte, _ held) error {
		if bytes.Compare(k, asideKey(kindMinute, start)) >= 0 && bytes.Compare(k, asideKey(kindMinute, end)) < 0 {
			return errAside
		}
		return nil
	})
	if err != nil {
		return nil, false
	}
	starts, err := b.starts(kindMinute)
	if err != nil {
		return nil, false
	}
	for _, at := range starts {
		if at < start || at >= end {
			continue
		}
		k := rollupKey(kindMinute, at)
		data, err := b.get(k)
		if err != nil {
			return nil, false
		}
		v, err := rollupAt(k, data)
		if err != nil {
			return nil, false
		}
		sums = append(sums, v.sums...)
	}
	return coarser(sums, step.slot), true
}

// pruneAside forgets holes in what was given up since.
func pruneAside(b *bucket, st *rollupState, now int64) error {
	return b.deleteIf(kindAside, func(k []byte, at held) bool {
		data, err := at.plain()
		var v rollupValue
		if err == nil {
			v, err = rollupAt(k, data)
		}
		hole, _ := v.hole()
		end := hole.To.Unix()
		switch {
		case err != nil: // damaged twice: of what, nobody can tell
		case v.of == kindMinute && end > st.from[0], v.of == kindHour && end > st.from[1]:
			return false
		case v.of == kindState && end > now-int64(rollupSteps[1].keep/time.Second):
			return false
		}
		return true
	})
}

// appendHoles adds to what is read of the rollups what [since, until) touches
// of what was set aside.
func appendHoles(out *StoredRollups, b *bucket, since, until time.Time) error {
	return b.eachOf(kindAside, func(k []byte, at held) error {
		data, err := at.plain()
		if err != nil {
			return err
		}
		v, err := rollupAt(k, data)
		if err != nil {
			return err
		}
		if h, _ := v.hole(); (until.IsZero() || h.From.Before(until)) && (since.IsZero() || h.To.After(since)) {
			out.Data = append(out.Data, data...)
		}
		return nil
	})
}
