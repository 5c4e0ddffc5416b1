package journal

// tailWalk goes over the batches that are no blocks yet: those of the tail, and
// what the log has behind them.
type tailWalk struct {
	c      *cursor
	k      []byte
	v      held
	logged []logged
	past   uint64 // last record that a transaction has appended
}

// tailFrom begins with the batch that may hold record seq, or the first.
func (tx *txn) tailFrom(seq uint64) (*tailWalk, error) {
	tail, err := appendOnly(tx, bucketTail)
	if err != nil {
		return nil, err
	}
	w := &tailWalk{c: tail.cursor(), logged: tx.logged, past: tail.sequence()}
	w.k, w.v = seekHolder(w.c, seq)
	return w, nil
}

// next returns the next batch; ok is false where there is none. The bytes are
// valid until the transaction ends.
func (w *tailWalk) next() (h header, data []byte, ok bool, err error) {
	if w.k != nil {
		if data, err = w.v.plain(); err == nil {
			h, err = headerAt("tail", w.k, data)
		}
		w.k, w.v = w.c.next()
		return h, data, true, err
	}
	for len(w.logged) > 0 {
		p := &w.logged[0]
		w.logged = w.logged[1:]
		if p.hdr.last > w.past { // else it was taken since
			return p.hdr, p.data, true, nil
		}
	}
	return h, nil, false, nil
}
