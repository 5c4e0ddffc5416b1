package controlport

import (
	"context"
	"time"

	"torjournal/tor/event"
)

// snapshotKeys are the GETINFO keys of the state that a history begins with.
// traffic/* tells the bytes that went through while nobody recorded;
// bw-event-cache is the bandwidth of the seconds before. Documents (ns/all,
// md/all …) are megabytes and no state of this tor: never in it.
var snapshotKeys = []string{
	"version", "status/bootstrap-phase", "circuit-status", "stream-status", "orconn-status",
	"entry-guards", "traffic/read", "traffic/written", "bw-event-cache",
}

// againKeys are asked for again while a life lasts: bw-event-cache tells
// nothing then that BW events have not.
var againKeys = snapshotKeys[:len(snapshotKeys)-1]

// snapshotEvery is how often the state is recorded again while a life lasts.
// How tor stood at a moment is computed from the snapshot before it: what lies
// between is read, and when the ring gives up a snapshot, what followed cannot be
// computed until the next one. = 2 to 5 KiB an hour of a client, as stored; some
// 100 KiB of a relay with 5,000 connections, which keeps them for a day.
const snapshotEvery = time.Hour

// again records the state from time to time until the connection ends.
func (l *life) again(ctx context.Context) {
	for {
		next := time.NewTimer(l.opt.snapshotEvery)
		select {
		case <-next.C:
			l.snapshot(ctx, againKeys, "AGAIN", "1")
			continue
		case <-ctx.Done():
			l.conn.fail(context.Cause(ctx))
		case <-l.conn.dying:
		}
		next.Stop()
		return
	}
}

// snapshot asks for tor's state and appends it where the answer stands in the
// stream of events: what tor sent before it is in it, what follows may be.
func (l *life) snapshot(ctx context.Context, keys []string, kv ...string) {
	rep, err := l.conn.getInfo(ctx, keys, func(r Reply) {
		if ev := l.policy.Keep(event.NewSnapshot(r.raw, kv...).Format()); ev != nil {
			l.append(ev)
		}
	})
	if err == nil && rep.raw != nil {
		return
	}
	if !isClosed(l.conn.dying) { // else the loss is told anyway
		l.log.Warn("tor's state at this time is not in the journal: tor did not tell it", "address", l.address, "error", err)
	}
}
