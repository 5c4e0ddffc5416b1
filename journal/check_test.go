package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
)

// Check finds what verify finds, in every block and in the tail, of plain and
// of encrypted journals, while records go on coming.
func TestCheck(t *testing.T) {
	secret, err := NewKey(bytes.Repeat([]byte("k"), 32))
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]*Key{"plain": nil, "encrypted": secret} {
		t.Run(name, func(t *testing.T) {
			j := openTest(t, "", Options{walPages: noLog, sealBytes: 1 << 10, growBytes: 1, Key: k})
			for i := range 100 {
				appendAll(t, j, raw("650 NOTICE %s", noise(i, 200)))
			}
			restSealed(t, j)
			check := func() (found []string) {
				if err := j.Check(within(t), func(d *DamageError) { found = append(found, fmt.Sprintf("%s %d-%d", d.Bucket, d.Seq, d.Last)) }); err != nil {
					t.Error(err)
				}
				return found
			}
			if got := check(); got != nil {
				t.Fatalf("an intact journal: %q", got)
			}
			var blocks []header
			var undo []func()
			err := j.store.view(func(tx *txn) error {
				return eachBatch(tx, func(h header) bool {
					if tx.bolt.Bucket(bucketBlocks).Get(key(h.first)) != nil {
						blocks = append(blocks, h)
					}
					return true
				})
			})
			if err != nil || len(blocks) < 3 {
				t.Fatalf("%d blocks, %v", len(blocks), err)
			}
			hurt := func(bucket []byte, h header) {
				change := func() {
					update(t, j, func(tx *txn) error {
						b := tx.bolt.Bucket(bucket)
						v := slices.Clone(b.Get(key(h.first)))
						v[len(v)-10] ^= 1
						return b.Put(key(h.first), v)
					})
				}
				change()
				undo = append(undo, change)
			}
			hurt(bucketBlocks, blocks[0])
			hurt(bucketBlocks, blocks[2])
			want := []string{fmt.Sprintf("blocks %d-%d", blocks[0].first, blocks[0].last), fmt.Sprintf("blocks %d-%d", blocks[2].first, blocks[2].last)}
			if got := check(); !slices.Equal(got, want) {
				t.Errorf("found %q, want %q", got, want)
			}
			ctx, cancel := context.WithCancel(t.Context())
			if err := j.Check(ctx, func(*DamageError) { cancel() }); !errors.Is(err, context.Canceled) {
				t.Errorf("ended: %v", err)
			}
			for _, u := range undo {
				u()
			}
			if got := check(); got != nil {
				t.Errorf("repaired: %q", got)
			}
		})
	}
}
