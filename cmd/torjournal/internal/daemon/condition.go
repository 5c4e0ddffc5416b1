package daemon

import (
	"context"
	"fmt"
	"time"
)

// conditionLook is how often it is looked for what the manager may show.
const conditionLook = time.Second

// describe tells the manager in a line how the recorder is, for `systemctl
// status`, whenever that has changed, until ctx ends. There is no hurry in it,
// and one that is not heard is none.
func (m Manager) describe(ctx context.Context, condition func() string) {
	if m.socket == "" {
		return
	}
	tick := time.NewTicker(conditionLook)
	defer tick.Stop()
	for told := ""; ; {
		if now := condition(); now != told && m.notify("STATUS="+now, nil) == nil {
			told = now
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// condition says in one line what the recorder does.
func (d *Daemon) condition() string {
	s := d.sourceStatus()
	what := fmt.Sprintf("Recording tor %s at %s, role %s", s.Version, s.Address, s.Role)
	if !s.Attached {
		what = "Waiting for a tor at " + s.Address
	}
	if since := d.journal.Stats().Outage; !since.IsZero() {
		what += "; the journal cannot be written since " + since.Format(time.RFC3339) + ", events are delivered but not recorded"
	}
	return what
}
