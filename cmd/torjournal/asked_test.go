package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"torjournal/tor/controlport"
	"torjournal/tor/testnet"
)

// Tor is asked for INFO exactly while somebody wants it: what happens after the
// 250 of who asked is delivered and recorded, what happens after the 250 of the
// last one who does not want it any more is not even sent.
func TestInfoIsAskedForWhileItIsWanted(t *testing.T) {
	needReal(t)
	tor := loneTor(t, testnet.TorOptions{})
	addr, journal := freePort(t), journalIn(t)
	r := startRecorder(t, journal, "--attach", tor.ControlAddr, "--control", addr)
	r.attached()
	atTor := connect(t, tor.ControlAddr, controlport.Credentials{})
	a, b := connect(t, addr, ownCookie), connect(t, addr, ownCookie)
	mark := func(name string, n int, who ...*subscriber) string { // tor tells of it in an INFO
		from := fmt.Sprintf("%s-%d.example", name, n)
		atTor.must(t, "MAPADDRESS "+from+"=mapped.example")
		text := "(re)mapped '" + from + "'"
		for _, s := range who {
			s.awaitEvent(t, text, func(w string) bool { return strings.Contains(w, text) })
		}
		return text
	}
	asked := func() bool { return slices.Contains(strings.Fields(r.status().Source.Subscribed), "INFO") }
	var wanted, unwanted []string
	for n := range 20 {
		a.must(t, "SETEVENTS SIGNAL INFO")
		wanted = append(wanted, mark("a", n, a))
		b.must(t, "SETEVENTS INFO")
		wanted = append(wanted, mark("ab", n, a, b))
		a.must(t, "SETEVENTS SIGNAL")
		wanted = append(wanted, mark("b", n, b))
		if !asked() {
			t.Fatalf("round %d: one still wants INFO, and tor is not asked for it", n)
		}
		b.must(t, "SETEVENTS")
		unwanted = append(unwanted, mark("nobody", n))
		if asked() {
			t.Fatalf("round %d: nobody wants INFO, and tor is asked for it", n)
		}
	}
	a.must(t, "SETEVENTS INFO") // the end of all that came before
	mark("end", 0, a)
	_ = a.Close()
	r.await("INFO is wanted no more, for its connection has ended", func() bool { return !asked() })

	toA, toB := strings.Join(a.received(), ""), strings.Join(b.received(), "")
	recorded, _ := torjournal(t, 0, "replay", "--journal", journal, "-o", "wire", "-e", "INFO")
	for i, m := range wanted {
		if !strings.Contains(recorded, m) {
			t.Errorf("%s is not recorded", m)
		}
		if strings.Contains(toA, m) != (i%3 < 2) || strings.Contains(toB, m) != (i%3 > 0) {
			t.Errorf("%s reached the first: %v, the second: %v", m, strings.Contains(toA, m), strings.Contains(toB, m))
		}
	}
	for _, m := range unwanted {
		if strings.Contains(recorded+toA+toB, m) {
			t.Errorf("%s was sent, and nobody wanted it", m)
		}
	}
}
