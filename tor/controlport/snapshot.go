package controlport

import (
	"context"

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

// snapshot asks for tor's state and appends it where the answer stands in the
// stream of events: what tor sent before it is in it, what follows may be.
func (l *life) snapshot(ctx context.Context) {
	rep, err := l.conn.getInfo(ctx, snapshotKeys, func(r Reply) {
		if ev := l.policy.Keep(event.NewSnapshot(r.raw).Format()); ev != nil {
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
