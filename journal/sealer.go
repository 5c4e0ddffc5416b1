package journal

import (
	"context"
	"errors"
	"fmt"
)

// sealer makes blocks of the tail's batches beside the writer, so that the
// expensive encoding never stands in front of a commit. It reads the batches
// from the file again instead of keeping them in memory.
type sealer struct {
	// immutable
	store *store
	bench *workbench
	enc   *packer         // owned by the sealer's goroutine
	jobs  chan sealJob    // capacity 1; sent to by the writer, which has one job at work at most
	out   chan sealResult // capacity 1; received from by the writer
	done  chan struct{}   // closed when the goroutine has ended
}

// sealJob names what a block is to be made of: batches of the tail or blocks,
// which follow each other and are of one session.
type sealJob struct {
	batches []header
	bucket  []byte
}

// repack reports whether the job is of blocks that are packed again.
func (j *sealJob) repack() bool { return string(j.bucket) == string(bucketBlocks) }

// repackFunc is repacker.find on the writer's file.
type repackFunc func(r *repacker, t *tail) ([]header, error)

// run seals until ctx ends.
func (s *sealer) run(ctx context.Context) {
	defer close(s.done)
	for {
		select {
		case <-ctx.Done():
			return
		case job := <-s.jobs:
			if s.bench.seal(ctx) != nil {
				return
			}
			made, err := s.seal(job)
			s.bench.done()
			s.out <- sealResult{made, err, job.repack()} // never blocks: one job, one place
		}
	}
}

func (s *sealer) seal(job sealJob) (*seal, error) {
	batches, bucket := job.batches, string(job.bucket)
	var recs []Record
	for _, h := range batches {
		data, err := s.read(job.bucket, h)
		if err != nil {
			return nil, err
		}
		_, payload, _, err := splitEnvelope(data)
		if err != nil {
			return nil, at(s.store.path, damaged(bucket, h.first, "%w", err))
		}
		more, err := decodeBatch(h, payload, noTypes)
		if err != nil {
			return nil, at(s.store.path, damaged(bucket, h.first, "%w", err))
		}
		recs = append(recs, more...)
	}
	h, data := s.enc.encode(recs)
	if first, last := batches[0].first, batches[len(batches)-1].last; h.first != first || h.last != last || h.count() != uint64(len(recs)) {
		return nil, fmt.Errorf("journal: seal records %d to %d: the block holds %d to %d", first, last, h.first, h.last)
	}
	return &seal{block: h, data: data, replaces: batches, sums: minuteSums(recs), entities: entitiesOf(&h, recs), repack: job.repack()}, nil
}

// errEvicted means that the ring has taken a batch before it could be sealed.
var errEvicted = errors.New("journal: evicted")

func (s *sealer) read(bucket []byte, h header) (data []byte, err error) {
	err = s.store.view(func(tx *txn) error {
		b, err := appendOnly(tx, bucket)
		if err != nil {
			return err
		}
		found, err := b.get(key(h.first))
		if err == nil && found == nil {
			err = errEvicted
		}
		data = tx.own(found)
		return err
	})
	return data, err
}
