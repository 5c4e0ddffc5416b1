package journal

import "fmt"

// wal holds what the log has against what it should be.
func (v *verifier) wal(t *tree, buckets map[string]treeBucket) {
	r, err := t.walRegion(buckets)
	if v.damage("wal", nil, err); err != nil || r.pages == 0 || v.next == 0 {
		return
	}
	found, err := r.read(t.r, v.next-1, t.decryptLogged)
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
	if found.overtaken > 0 {
		v.damage("wal", nil, fmt.Errorf("records up to %d were given away; a program that does not know the log has written others under their numbers", found.overtaken))
	}
}
