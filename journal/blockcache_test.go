package journal

import (
	"context"
	"errors"
	"testing"
)

// TestBlockCacheTurn checks that one cursor reads a block at a time, and that
// whoever waits for it can be told to stop.
func TestBlockCacheTurn(t *testing.T) {
	b := newBlockCache()
	if err := b.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error)
	go func() { second <- b.begin(ctx) }()
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Fatalf("a second one reads at the same time: %v", err)
	}
	b.end()
	if err := b.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.end()
}
