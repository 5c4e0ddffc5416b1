package daemon

import (
	"context"
	"errors"
	"log/slog"

	"torjournal/journal"
)

// damageTold is how many damaged blocks a start tells of one by one: verify
// lists them all.
const damageTold = 5

// checked is what has been recorded before, as it can be checked.
type checked interface {
	Check(ctx context.Context, report func(*journal.DamageError)) error
}

// checkOnce reads through the journal once, slowly, until ctx ends, and warns
// of what is damaged: else that is found out when somebody needs those records,
// and the ring has given up what a salvage would have saved beside them.
func checkOnce(ctx context.Context, j checked, log *slog.Logger) {
	const next = "what is recorded now is not touched by it; `torjournal verify` lists the damage, `torjournal salvage OLD NEW` saves the rest into a new journal"
	found := 0
	err := j.Check(ctx, func(d *journal.DamageError) {
		if found++; found <= damageTold {
			log.Warn("these records of the journal are damaged and cannot be read: "+next, "first", d.Seq, "last", d.Last, "since", d.Since, "until", d.Until, "error", d.Err)
		}
	})
	if more := found - damageTold; more > 0 {
		log.Warn("more blocks of the journal are damaged", "blocks", more)
	}
	var d *journal.DamageError
	switch {
	case errors.As(err, &d):
		log.Warn("the journal is damaged, and what lies behind has not been looked at: "+next, "record", d.Seq, "error", d.Err)
	case err != nil && ctx.Err() == nil && !errors.Is(err, journal.ErrClosed):
		log.Warn("the journal could not be checked for damage", "error", err)
	}
}
