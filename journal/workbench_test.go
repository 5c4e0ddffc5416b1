package journal

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
)

// One is at the bench at a time, and whoever waits for it can be told to stop.
func TestWorkbenchIsForOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkbench()
		if err := w.read(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		waiting := []func(context.Context) error{w.read, w.read, w.seal}
		for _, wait := range waiting {
			go func() { ended <- wait(ctx) }()
		}
		synctest.Wait()
		select {
		case err := <-ended:
			t.Fatalf("a second one is at the bench: %v", err)
		default:
		}
		cancel()
		for range waiting {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want that it was told to stop", err)
			}
		}
		w.done()
		for _, wait := range waiting {
			if err := wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.done()
		}
	})
}

// However many cursors wait, the sealer is the next or the one after.
func TestWorkbenchLetsTheSealerPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkbench()
		if err := w.read(t.Context()); err != nil {
			t.Fatal(err)
		}
		came := make(chan string, 101)
		for range 100 {
			go func() { _ = w.read(t.Context()); came <- "cursor" }()
		}
		synctest.Wait()
		go func() { _ = w.seal(t.Context()); came <- "sealer" }()
		synctest.Wait()
		var order []string
		for range 101 {
			w.done()
			order = append(order, <-came)
		}
		w.done()
		if i := slices.Index(order, "sealer"); i > 1 {
			t.Errorf("%d cursors went before the sealer", i)
		}
	})
}
