package journal

import "context"

// workbench is the room for one block that is being taken apart or put
// together: 13 MiB with its records and its columns. A thousand cursors that
// read at once would need ten gigabytes, and be no faster: it is zstd and the
// columns that take the time, and those keep a core busy; the writer and the
// live subscribers have the others.
//
// The sealer has a place in the queue of its own. Behind all cursors it would
// wait for a thousand blocks, and the tail would grow meanwhile; so it waits
// for one.
type workbench struct {
	readers chan struct{} // capacity 1; the token is with the one cursor that may wait for the bench
	bench   chan struct{} // capacity 1; the token is with who is at the bench
}

func newWorkbench() *workbench {
	return &workbench{readers: make(chan struct{}, 1), bench: make(chan struct{}, 1)}
}

// read waits for the bench on behalf of a cursor, until ctx ends. After nil
// the caller calls done once.
func (w *workbench) read(ctx context.Context) error {
	if err := enter(ctx, w.readers); err != nil {
		return err
	}
	defer func() { <-w.readers }()
	return enter(ctx, w.bench)
}

// seal waits for the bench on behalf of the sealer, as read does.
func (w *workbench) seal(ctx context.Context) error { return enter(ctx, w.bench) }

func (w *workbench) done() { <-w.bench }

func enter(ctx context.Context, place chan struct{}) error {
	select {
	case place <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
