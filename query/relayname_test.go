package query

import "testing"

// A relay is called by the nickname that was told last, also if that is shorter
// than the one before; that tor has forgotten it says nothing.
func TestRelayNames(t *testing.T) {
	n := relayNames{}
	for _, c := range []struct{ told, want string }{
		{"$A", "$A"}, {"$A~gatekeeper", "$A~gatekeeper"}, {"$A", "$A~gatekeeper"}, {"$A~door", "$A~door"},
		{"$A", "$A~door"}, {"$A=old", "$A=old"}, {"$A~entrance", "$A~entrance"},
	} {
		if key := n.key(c.told); key != "$A" || n.name(key) != c.want {
			t.Errorf("%s: %s is called %s, want %s", c.told, key, n.name(key), c.want)
		}
	}
	if key := n.key("beta"); key != "beta" || n.name(key) != "beta" || len(n) != 2 {
		t.Errorf("without a fingerprint: %s, %v", key, n)
	}
}
