package daemon

import (
	"log/slog"
	"time"

	"torjournal/journal"
	"torjournal/tor/scrub"
)

// backupCheck is how often a daemon looks whether the backup of a migration
// has become too old: it is kept for a day at the least.
const backupCheck = time.Hour

// backupAge is how long the file that a migration has left may stay: what it
// holds must not outlive what the journal itself may keep, nor, where the
// recorded tor serves others, what its role allows, whatever the user says.
func backupAge(l journal.Limits, others bool) time.Duration {
	keep := journal.BackupTime
	if others {
		keep = min(keep, othersAge)
	}
	if l.MaxAge > 0 {
		keep = min(keep, l.MaxAge)
	}
	return keep
}

// BackupAge is how long a daemon with the usual limits leaves the file of a
// migration beside a journal of these sessions.
func BackupAge(sessions []journal.Session) time.Duration {
	return backupAge(journal.Limits{}, servesOthers(sessions))
}

// servesOthers reports whether the newest session is of a tor that carries
// other people's traffic.
func servesOthers(sessions []journal.Session) bool {
	n := len(sessions)
	if n == 0 {
		return false
	}
	role := sessions[n-1].Source.Role
	return role == scrub.Relay || role == scrub.Bridge
}

// removeBackups returns what removes the backups beside the journal at path
// that are older than keep.
func removeBackups(path string, log *slog.Logger) func(keep time.Duration) {
	return func(keep time.Duration) {
		removed, err := journal.RemoveBackups(path, time.Now().Add(-keep))
		for _, b := range removed {
			log.Info("the backup of a migration has had its time and is removed", "file", b.Path)
		}
		if err != nil {
			log.Warn("the backup of a migration cannot be removed: remove it", "error", err)
		}
	}
}
