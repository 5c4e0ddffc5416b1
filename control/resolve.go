package control

import (
	"io"

	"torjournal/tor/event"
)

// resolve passes a RESOLVE on. Tor answers by an ADDRMAP event, and warns in
// its log if the connection that asks has not subscribed to those. Ours has,
// but from the journal; so for tor its upstream connection subscribes as well,
// where events are dropped.
func (c *conn) resolve(cmd command) error {
	c.mu.Lock()
	listens := c.types.Has(event.ADDRMAP)
	c.mu.Unlock()
	if listens && c.connect() == nil && c.listening != c.up {
		if c.up.Forward(c.ctx, []byte("SETEVENTS ADDRMAP\r\n"), io.Discard) == nil {
			c.listening = c.up
		}
	}
	return c.forward(cmd)
}
