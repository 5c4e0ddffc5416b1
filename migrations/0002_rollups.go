package migrations

import bolt "go.etcd.io/bbolt"

// rollups adds the bucket for sums of bandwidth, which outlive the records.
//
//	before                after
//	──────                ─────
//	meta, tail, blocks,   meta, tail, blocks, index, sessions   (as they were)
//	index, sessions       rollups   s         → which records were summed; absent: none
//	                                m + start → an hour by the minute
//	                                h + start → a day by the hour
//
// The blocks that are there are not summed: that would mean to decode them.
// Sums begin with the first block that is made after this step, and the value
// under s, which that block's transaction writes, says with which record. What
// is older is answered from the records for as long as they are there.
func rollups(tx *bolt.Tx) error {
	_, err := tx.CreateBucket([]byte("rollups"))
	return err
}
