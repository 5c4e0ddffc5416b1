package journal

// wal holds what the log has against what it should be.
func (v *verifier) wal(t *tree, buckets map[string]treeBucket) {
	b, ok := buckets[string(bucketWAL)]
	if !ok {
		return
	}
	r, err := t.walRegion(b)
	if v.damage("wal", nil, err); err != nil || v.next == 0 {
		return
	}
	found, err := r.read(t.r, v.next-1, func(data []byte) ([]byte, error) {
		_, plain, err := t.keys.decrypt(nil, kindBatch, nil, data)
		return plain, err
	})
	for i := range found.pages {
		p := &found.pages[i]
		v.follows("wal", &p.hdr)
		_, err := v.whole(p.hdr, p.data)
		if v.damage("wal", &p.hdr, err); err == nil {
			v.found.Batches++
			v.count(&p.hdr)
		}
	}
	v.damage("wal", nil, err)
}
