package journal

// A lost entry stands in the index for records that were in the journal once
// and that a salvage could not find any more: an index entry without a block.
// It keeps what is known of them, so that numbers stay contiguous, readers
// tell the gap where it is, and the ring gives it away in its turn.
//
// Where nothing is known of them the entry says that they may have been of any
// session (0) and type, between the times of their neighbours.

// codecLost is the codec of a lost entry. No envelope has it.
const codecLost = 0xff

// lostEntry returns the entry for the records from first to last that are like
// h; bits that h does not know of are set by the caller.
func lostEntry(h header, first, last uint64) header {
	return header{codec: codecLost, first: first, last: last, session: h.session, minTime: h.minTime, maxTime: h.maxTime, mask: h.mask}
}

// lost reports whether h stands for records that are not there.
func (h *header) lost() bool { return h.codec == codecLost }
