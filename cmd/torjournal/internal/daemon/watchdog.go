package daemon

import (
	"context"
	"log/slog"
	"time"
)

// The watchdog: systemd starts a service anew that has been silent for
// WatchdogSec=. A recorder is worth nothing when its writer stands still,
// however well everything else runs, so it is the writer's pulse that is passed
// on: a disk that does not answer or a loop that has come to an end is heard of
// by silence. A tor that says nothing, a tor that is gone and a disk that
// answers with errors stop no pulse; a new process would not mend them, and
// would cost all controllers their connections.

// watch tells the manager twice as often as it demands that the recorder is
// alive, as long as pulse goes on (journal.Pulse), until ctx ends.
func (m Manager) watch(ctx context.Context, pulse func() uint64, log *slog.Logger) {
	if m.socket == "" || m.patience == 0 {
		return
	}
	every := m.patience / 2
	next := time.NewTimer(0)
	defer next.Stop()
	for last := pulse(); ; {
		select {
		case <-next.C:
		case <-ctx.Done():
			return
		}
		now := pulse()
		if now == last {
			// A commit may take nearly as long as the manager waits: that it
			// has come back is told soon.
			next.Reset(every / 8)
			continue
		}
		last = now
		if err := m.notify("WATCHDOG=1", nil); err != nil {
			log.Warn("the service manager does not know that the recorder is alive", "error", err)
		}
		next.Reset(every)
	}
}
