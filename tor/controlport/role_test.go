package controlport

import (
	"sync/atomic"
	"testing"
)

// A tor that gets another role is attached anew if other things are to be kept
// of it, and else goes on: nobody's connection ends for the sake of a name.
func TestRoleChanges(t *testing.T) {
	for name, then := range map[string]struct {
		policy Policy
		ends   bool
	}{
		"same":              {keepAll{"client"}, false},
		"another name":      {keepAll{"onion"}, false},
		"a relay":           {relayLike{keepAll{"relay"}}, true},
		"stripped of a few": {strippedClient{keepAll{"client"}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			var changed atomic.Bool
			tor := startFake(t, plainTor().answer)
			asked := make(chan struct{}, 10)
			s, sink := attached(t, tor, SourceOptions{Policy: func(map[string][]string) (Policy, error) {
				asked <- struct{}{}
				if changed.Load() {
					return then.policy, nil
				}
				return keepAll{"client"}, nil
			}})
			lost := s.Lost()
			<-asked
			changed.Store(true)
			tor.send("650-CONF_CHANGED\r\n650-HiddenServiceDir=/var/lib/tor/x\r\n650 OK\r\n")
			<-asked
			if then.ends {
				await(t, "the end of the life", lost)
				if got := sink.find("650 JOURNAL SOURCE_LOST"); got[:len("650 JOURNAL SOURCE_LOST REASON=ROLE")] != "650 JOURNAL SOURCE_LOST REASON=ROLE" {
					t.Errorf("%q", got)
				}
				return
			}
			s.mu.Lock()
			l := s.life
			s.mu.Unlock()
			if l == nil {
				t.Fatal("the life has ended")
			}
			l.helpers.Wait() // the only one there is
			if isClosed(l.conn.dying) {
				t.Errorf("the life has ended: %v", l.conn.Err())
			}
		})
	}
}

// strippedClient keeps what a client's does, without addresses.
type strippedClient struct{ keepAll }

func (strippedClient) Strips() bool { return true }
