package main

import (
	"bytes"
	"net"
	"strings"
	"testing"

	"torjournal/tor/testnet"
)

// A client that becomes a relay while it is recorded is recorded as a relay
// from then on. One that gets an onion service is recorded as before, and no
// controller loses its connection for it.
func TestClientThatBecomesARelayIsRecordedAsOne(t *testing.T) {
	needReal(t)
	tor := loneTor(t, testnet.TorOptions{Torrc: []string{"Nickname changeling"}})
	journal, port := journalIn(t), freePort(t)
	r := startRecorder(t, journal, "--attach", tor.ControlAddr, "--control", port)
	if st := r.attached(); st.Source.Role != "client" {
		t.Fatalf("role %s", st.Source.Role)
	}
	watch := subscribe(t, port, ownCookie, "JOURNAL CONF_CHANGED")
	_, orPort, err := net.SplitHostPort(freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	watch.must(t, `SETCONF ContactInfo="198.51.100.1 as a client"`)
	watch.must(t, "SETCONF HiddenServiceDir="+t.TempDir()+"/onion HiddenServicePort=80")
	watch.must(t, "SETCONF ORPort=127.0.0.1:"+orPort+" ExitRelay=0")
	watch.awaitEvent(t, "the end of the client's record", func(w string) bool { return strings.HasPrefix(w, "650 JOURNAL SOURCE_LOST REASON=ROLE") })
	watch.awaitEvent(t, "the beginning of the relay's", func(w string) bool {
		return strings.HasPrefix(w, "650 JOURNAL SOURCE_RESTORED") && strings.Contains(w, "ROLE=relay")
	})
	later := subscribe(t, port, ownCookie, "CONF_CHANGED")
	later.must(t, `SETCONF ContactInfo="198.51.100.2 as a relay"`)
	later.awaitEvent(t, "the relay's change", func(w string) bool { return strings.Contains(w, "as a relay") })
	r.stop()
	all := everyByte(t, journal)
	if bytes.Contains(all, []byte("ROLE=onion")) {
		t.Error("the client was attached anew because of its onion service")
	}
	if !bytes.Contains(all, []byte("198.51.100.1")) || bytes.Contains(all, []byte("198.51.100.2")) {
		t.Errorf("the client's own address is there: %v; the relay's: %v; want only the first",
			bytes.Contains(all, []byte("198.51.100.1")), bytes.Contains(all, []byte("198.51.100.2")))
	}
}
