package controlport

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"torjournal/tor/event"
)

// errRoleChanged ends a life whose tor has become something else: a client
// that is now a relay carries other people's traffic.
var errRoleChanged = errors.New("controlport: tor's configuration gives it another role; attaching anew")

// choosePolicy asks tor for the options that say which role it has.
func (l *life) choosePolicy(ctx context.Context) (Policy, error) {
	rep, err := l.conn.must(ctx, "GETCONF "+strings.Join(slices.Concat(roleOptions, l.opt.Options), " "))
	if err != nil {
		return nil, fmt.Errorf("ask for the options that say which role it has: %w", err)
	}
	p, err := l.opt.Policy(rep.Values())
	if err != nil {
		return nil, fmt.Errorf("choose the role: %w", err)
	}
	return p, nil
}

// checkRole looks, after any change of the configuration, whether the policy
// still fits, and ends the life if not: the next one begins with the right
// policy. It does not look at which options changed, because tor tells some of
// them under other names. It runs in the reader, which does not wait: what tor
// sends before it has answered, a round trip on a local connection, is still
// kept by the old policy.
//
// The end of a life is the end of all controllers' connections, and of what tor
// ties to them. So a role that only has another name, as that of a client which
// is given its first onion service, waits for the next life.
func (l *life) checkRole() {
	l.helpers.Go(func() {
		now, err := l.choosePolicy(l.ctx)
		switch {
		case err != nil || now.Role() == l.policy.Role() && now.Strips() == l.policy.Strips():
		case sameKept(now, l.policy, l.names):
			l.log.Info("tor has another role than before, of which the same is recorded", "address", l.address, "role", now.Role(), "role_before", l.policy.Role())
		default:
			l.conn.fail(errRoleChanged)
		}
	})
}

// sameKept reports whether two policies keep the same of a tor that offers
// such events.
func sameKept(a, b Policy, offered event.Set) bool {
	return a.Strips() == b.Strips() && a.Recorded().Equal(b.Recorded()) && a.Summarized().Equal(b.Summarized()) &&
		a.Subscribe(offered).Equal(b.Subscribe(offered))
}
