package daemon

import (
	"context"
	"strings"

	"torjournal/control"
)

// connectionStatus is what status shows of a controller.
func connectionStatus(c control.ConnectionInfo) ConnectionStatus {
	return ConnectionStatus{
		ID: c.ID, Peer: c.Peer, Listener: c.Listener, Since: c.Since.UTC(),
		Authenticated: c.Authenticated, History: c.History, Types: c.Types.String(), Filter: c.Filter, Behind: c.Behind || c.Replaying,
		OwnsTor: c.OwnsTor, Onions: c.Onions,
	}
}

// untilTold returns a context that ends after ctx, when those controllers have
// been named whose connections take tor or onion services with them.
func (d *Daemon) untilTold(ctx context.Context) (context.Context, context.CancelFunc) {
	told, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if err := d.cfg.Manager.notify("STOPPING=1", nil); err != nil {
			d.cfg.Logger.Warn("the service manager does not know that the recorder ends", "error", err)
		}
		d.tellHolders()
		cancel()
	})
	return told, func() {
		if !stop() {
			<-told.Done()
		}
		cancel()
	}
}

// tellHolders hands on what shall not end with the connections of controllers,
// where there is somebody to take it, and logs what becomes of it.
func (d *Daemon) tellHolders() {
	for _, c := range d.server.Connections() {
		onions := strings.Join(c.Onions, " ")
		switch {
		case !c.OwnsTor && len(c.Onions) == 0:
		case d.legacies.bequeath(c):
			d.cfg.Logger.Warn("the service manager is given a connection that keeps tor, or onion services, alive over a restart, if the unit has FileDescriptorStoreMax=; they end when the service stops for good",
				"conn", c.ID, "peer", c.Peer, "owns_tor", c.OwnsTor, "onions", onions)
		case c.OwnsTor:
			d.cfg.Logger.Warn("tor ends now: the controller that owns it came through this recorder, and its connection ends with it; start tor again",
				"conn", c.ID, "peer", c.Peer, "onions", onions)
		default:
			d.cfg.Logger.Warn("onion services end now: they were made without Flags=Detach by a controller that came through this recorder; it has to make them again",
				"conn", c.ID, "peer", c.Peer, "onions", onions)
		}
	}
}
