package journal

import "fmt"

// parked makes sure that parked pages hold nothing: else they may be somebody's.
func (v *verifier) parked(t *tree, buckets map[string]treeBucket) {
	b, ok := buckets[string(bucketParked)]
	if !ok {
		return
	}
	var have uint64
	t.each(b, func(e element) {
		run := 0
		val, err := t.value(e, maxPayload, v.buf)
		if err == nil {
			v.buf = val
			run, err = parkedRun(val, int(t.meta.pageSize))
		}
		if have += uint64(run); err == nil && string(e.key) != string(key(have)) {
			err = fmt.Errorf("its key is %x, not %d", e.key, have)
		}
		if err != nil {
			v.damage(string(bucketParked), nil, fmt.Errorf("parked pages: %w", err))
		}
	})
	if have != b.sequence {
		v.damage(string(bucketParked), nil, fmt.Errorf("%d pages are parked, not %d", have, b.sequence))
	}
}
