package migrations

import bolt "go.etcd.io/bbolt"

// create leads from an empty bbolt file to schema 1.
//
//	before            after
//	──────            ─────
//	(nothing)         meta      schema   → 1, 8 bytes
//	                            evicted  → last sequence number that the ring
//	                                       gave up, 8 bytes; absent: none yet
//	                  tail      first sequence number → batch
//	                  blocks    first sequence number → block
//	                  index     first sequence number → what the block holds
//	                  sessions  number of the session → its source
//
// Numbers in keys are 8 bytes, big endian, so that bbolt's order is theirs. A
// batch or block that is larger than half a page lies in a bucket of its own
// below its key: bbolt rewrites a leaf as a whole, and large neighbours in it
// would be written again with every append.
func create(tx *bolt.Tx) error {
	for _, name := range []string{"meta", "tail", "blocks", "index", "sessions"} {
		if _, err := tx.CreateBucket([]byte(name)); err != nil {
			return err
		}
	}
	return nil
}
