package control

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Who shows a wrong password or cookie again and again guesses. The refusals
// of a peer come later and later, and few of its attempts are looked at at a
// time, so that it can try a few times a second at most on however many
// connections. What is right is answered at once: all programs of this machine
// are one peer, and a stray one must not keep nyx waiting. Only while
// guessesAtOnce refusals wait does a right one wait for its turn among them.
const (
	// freeGuesses is how often a peer may be wrong before it waits: a user who
	// mistypes a password, a tool that tries each method.
	freeGuesses = 5

	// firstWait is how late the first refusal after those comes; each next one
	// comes twice as late, up to longestWait: less than authTime, and short
	// enough for a user who has mistyped again.
	firstWait   = 100 * time.Millisecond
	longestWait = 5 * time.Second

	// guessesAtOnce is how many attempts of one peer are under way at a time,
	// those whose refusal waits included. guessesAtOnce / longestWait = 3.2
	// guesses a second: 10^8 a year, a password of 27 random bits.
	guessesAtOnce = 16

	// forgiveTime is after how long one wrong attempt is forgotten.
	forgiveTime = 20 * time.Second

	// maxGuessers bounds the peers that are remembered: 1024 × 200 B = 200 KiB.
	// Beyond that the one whose last attempt is oldest is forgotten.
	maxGuessers = 1024
)

// guesses counts the wrong attempts of each peer.
type guesses struct {
	// Immutable.
	now  func() time.Time
	wait func(wrong int) time.Duration // how late a refusal comes; guessWait but in tests

	mu    sync.Mutex
	peers map[string]*guesser // guarded by mu
}

// guesser is a peer that was wrong lately.
type guesser struct {
	turn chan struct{} // capacity guessesAtOnce: a token for each attempt

	// Guarded by guesses.mu.
	wrong  int       // attempts, less those forgiven
	since  time.Time // when one was forgiven last
	inside int       // attempts under way
}

func newGuesses(now func() time.Time) *guesses {
	return &guesses{now: now, wait: guessWait, peers: make(map[string]*guesser)}
}

// guessWait says how late the refusal of a peer's n-th wrong attempt comes.
func guessWait(n int) time.Duration {
	if n <= freeGuesses {
		return 0
	}
	return min(firstWait<<min(n-freeGuesses-1, 10), longestWait)
}

// attempt waits until an attempt of the peer may be judged, or ctx ends; then
// ok is false. The caller calls done behind it, and refuse if it was wrong.
func (g *guesses) attempt(ctx context.Context, peer string) (a *guesser, ok bool) {
	g.mu.Lock()
	a = g.peers[peer]
	if a == nil {
		g.makeRoom()
		a = &guesser{turn: make(chan struct{}, guessesAtOnce), since: g.now()}
		g.peers[peer] = a
	}
	a.inside++
	g.mu.Unlock()
	select {
	case a.turn <- struct{}{}:
		return a, true
	case <-ctx.Done():
		g.mu.Lock()
		a.inside--
		g.mu.Unlock()
		return nil, false
	}
}

// done ends an attempt. A peer that has not been wrong is forgotten.
func (g *guesses) done(peer string, a *guesser) {
	<-a.turn
	g.mu.Lock()
	defer g.mu.Unlock()
	a.inside--
	if a.forgive(g.now()); a.inside == 0 && a.wrong == 0 {
		delete(g.peers, peer)
	}
}

// refuse notes that an attempt was wrong and waits as long as its peer has
// earned, or until ctx ends. first says that it is the first one that waits.
func (g *guesses) refuse(ctx context.Context, a *guesser, first func()) {
	g.mu.Lock()
	a.forgive(g.now())
	a.wrong++
	wrong := a.wrong
	g.mu.Unlock()
	d := g.wait(wrong)
	if d == 0 {
		return
	}
	if wrong == freeGuesses+1 {
		first()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// forgive forgets one wrong attempt for each forgiveTime that has passed.
func (a *guesser) forgive(now time.Time) {
	n := int(now.Sub(a.since) / forgiveTime)
	if n <= 0 {
		return
	}
	a.since = a.since.Add(time.Duration(n) * forgiveTime)
	a.wrong = max(0, a.wrong-n)
}

// makeRoom forgets a peer if there are as many as may be. mu is held.
func (g *guesses) makeRoom() {
	if len(g.peers) < maxGuessers {
		return
	}
	oldest := ""
	for name, a := range g.peers {
		if a.inside == 0 && (oldest == "" || a.since.Before(g.peers[oldest].since)) {
			oldest = name
		}
	}
	delete(g.peers, oldest)
}

// peerKey says whom attempts on a connection are counted for: the address that
// it comes from (of IPv6 the first 64 bits, which one machine has all of), or
// the Unix socket that it came to.
func peerKey(remote, listener net.Addr) string {
	tcp, ok := remote.(*net.TCPAddr)
	if !ok {
		return listener.String()
	}
	addr, ok := netip.AddrFromSlice(tcp.IP)
	if !ok {
		return listener.String()
	}
	addr = addr.Unmap()
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.String()
		}
	}
	return addr.String()
}
