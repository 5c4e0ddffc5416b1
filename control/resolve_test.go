package control

import (
	"slices"
	"strings"
	"sync"
	"testing"
)

// Tor warns of a RESOLVE from a connection that does not listen for the
// answer. Who listens here listens there, once, and nobody else does.
func TestResolveListensUpstream(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	var mu sync.Mutex
	var heard []string
	r.tor.replies = func(cmd string) string {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, strings.TrimSpace(cmd))
		return "250 OK\r\n"
	}
	deaf, p := r.login(), r.subscriber("BW ADDRMAP")
	for _, c := range []*peer{deaf, p, p} {
		c.send("RESOLVE page.example\r\n")
		c.expect("250 OK")
	}
	mu.Lock()
	defer mu.Unlock()
	want := []string{"RESOLVE page.example", "SETEVENTS ADDRMAP", "RESOLVE page.example", "RESOLVE page.example"}
	if !slices.Equal(heard, want) {
		t.Errorf("tor heard %q, want %q", heard, want)
	}
}
