package daemon

import (
	"context"
	"time"

	"torjournal/journal"
)

// backupCheck is how often a daemon looks whether the backup of a migration
// has become too old: it is kept for days.
const backupCheck = time.Hour

// removeBackups removes the files that migrations have left beside the
// journal, when their time is over, until ctx ends. What a backup holds must
// not outlive what the journal itself may keep.
func (d *Daemon) removeBackups(ctx context.Context) error {
	tick := time.NewTicker(backupCheck)
	defer tick.Stop()
	for {
		keep := journal.BackupTime
		if age := d.journal.Limits().MaxAge; age > 0 {
			keep = min(keep, age)
		}
		removed, err := journal.RemoveBackups(d.cfg.Journal, time.Now().Add(-keep))
		for _, b := range removed {
			d.cfg.Logger.Info("the backup of a migration has had its time and is removed", "file", b.Path)
		}
		if err != nil {
			d.cfg.Logger.Warn("the backup of a migration cannot be removed: remove it", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
