package daemon

import "torjournal/control"

// connectionStatus is what status shows of a controller.
func connectionStatus(c control.ConnectionInfo) ConnectionStatus {
	return ConnectionStatus{
		ID: c.ID, Peer: c.Peer, Listener: c.Listener, Since: c.Since.UTC(),
		Authenticated: c.Authenticated, History: c.History, Types: c.Types.String(), Filter: c.Filter, Behind: c.Behind || c.Replaying,
	}
}
