package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"torjournal/tor/controlport"
	"torjournal/tor/testnet"
)

// network starts a private Tor network.
func network(t *testing.T, opts testnet.Options) *testnet.Network {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	net, err := testnet.Start(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = net.Close() })
	return net
}

// fetch gets a page through Tor. A fresh circuit may fail: once is no fault.
func fetch(t *testing.T, net *testnet.Network, client int, host, isolation string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		body, err := net.Client(client).Fetch(ctx, net.URL(host, "/bytes/20000"), isolation)
		if err == nil && len(body) == 20000 {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("fetch through client %d: %d bytes, %v", client, len(body), err)
		}
	}
}

// The events of real circuits are recorded, byte for byte what tor's own port
// said; the end of tor and its return are journaled, and the circuits of its
// two lives are told apart.
func TestRealCircuitsAcrossTwoLivesOfTor(t *testing.T) {
	needReal(t)
	net := network(t, testnet.Options{Exits: 5, Middles: 3})
	client := net.Client(0)
	journal, port := journalIn(t), freePort(t)
	r := startRecorder(t, journal, "--attach", client.ControlAddr, "--control", port)
	r.attached()

	const types = "CIRC CIRC_MINOR STREAM ORCONN BW CIRC_BW STREAM_BW GUARD HS_DESC ADDRMAP BUILDTIMEOUT_SET SIGNAL NOTICE STATUS_CLIENT NEWDESC"
	atTor := subscribe(t, client.ControlAddr, controlport.Credentials{}, types)
	watch := subscribe(t, port, ownCookie, "JOURNAL SIGNAL")
	atTor.must(t, "SIGNAL DUMP")              // from here …
	atTor.must(t, "SETCONF DisableNetwork=1") // or it may need no OR connection that is not open
	atTor.awaitEvent(t, "a closed OR connection", func(w string) bool { return strings.HasPrefix(w, "650 ORCONN ") })
	atTor.must(t, "SETCONF DisableNetwork=0")
	atTor.must(t, "DROPGUARDS")
	for i := range 3 {
		fetch(t, net, 0, fmt.Sprintf("page%d.example", i), fmt.Sprint("user", i))
	}
	atTor.must(t, "ADD_ONION NEW:ED25519-V3 Flags=DiscardPK Port=80,"+strings.TrimPrefix(net.URL("127.0.0.1", ""), "http://"))
	atTor.awaitEvent(t, "an uploaded descriptor", func(w string) bool { return strings.HasPrefix(w, "650 HS_DESC UPLOADED") })
	atTor.must(t, "SIGNAL RELOAD") // … to here
	mark := func(w string) bool { return w == "650 SIGNAL RELOAD\r\n" }
	atTor.awaitEvent(t, "the mark", mark)
	watch.awaitEvent(t, "the mark through torjournal", mark)

	want := between(strings.Join(atTor.received(), ""))
	wire, _ := torjournal(t, 0, "replay", "--journal", journal, "-o", "wire", "-e", strings.ReplaceAll(types, " ", ","))
	if got := between(wire); got != want {
		t.Errorf("journaled: %d bytes, tor's own port: %d bytes; they differ from byte %d on:\n%.300q\n%.300q",
			len(got), len(want), differ(got, want), got[differ(got, want):], want[differ(got, want):])
	}
	for _, typ := range []string{"CIRC", "STREAM", "ORCONN", "BW", "GUARD", "HS_DESC"} {
		if !strings.Contains(want, "650 "+typ+" ") {
			t.Errorf("there was no %s event to compare", typ)
		}
	}

	if err := client.Kill(); err != nil {
		t.Fatal(err)
	}
	watch.awaitEvent(t, "SOURCE_LOST", func(w string) bool { return strings.HasPrefix(w, "650 JOURNAL SOURCE_LOST") })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := client.Start(ctx); err != nil {
		t.Fatal(err)
	}
	watch.awaitEvent(t, "SOURCE_RESTORED", func(w string) bool { return strings.HasPrefix(w, "650 JOURNAL SOURCE_RESTORED") })
	if err := client.WaitBootstrapped(ctx); err != nil {
		t.Fatal(err)
	}
	fetch(t, net, 0, "again.example", "second life")
	bothLives(t, journal)
	r.stop()
	bothLives(t, journal)
}

// bothLives checks that `query circuits` lists circuits of sessions 1 and 2.
func bothLives(t *testing.T, journal string) {
	t.Helper()
	out, _ := torjournal(t, 0, "query", "circuits", "--journal", journal, "--json")
	built := map[int]int{}
	seen := map[string]bool{}
	for dec := json.NewDecoder(strings.NewReader(out)); ; {
		var row struct {
			Session int      `json:"session"`
			ID      string   `json:"id"`
			Built   string   `json:"built"`
			Path    []string `json:"path"`
		}
		if err := dec.Decode(&row); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		key := fmt.Sprint(row.Session, "/", row.ID)
		if seen[key] {
			t.Errorf("circuit %s is told twice", key)
		}
		seen[key] = true
		if row.Built != "" && len(row.Path) > 0 {
			built[row.Session]++
		}
	}
	if built[1] < 3 || built[2] < 1 || len(built) != 2 {
		t.Errorf("built circuits by session: %v; both lives of tor built some", built)
	}
	table, _ := torjournal(t, 0, "query", "circuits", "--journal", journal)
	if n := strings.Count(table, "\n"); n < len(seen) {
		t.Errorf("the table has %d lines for %d circuits", n, len(seen))
	}
}

// between returns what lies between the marks SIGNAL DUMP and SIGNAL RELOAD.
func between(wire string) string {
	_, wire, _ = strings.Cut(wire, "650 SIGNAL DUMP\r\n")
	wire, _, _ = strings.Cut(wire, "650 SIGNAL RELOAD\r\n")
	return wire
}

// differ returns the first place where a and b are not the same.
func differ(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// A relay recorded as a relay: no client's address is in any byte of the
// file, whatever a subscriber was shown live.
func TestRelayJournalNamesNoClient(t *testing.T) {
	needReal(t)
	net := network(t, testnet.Options{Exits: 3, Clients: 2, ClientAddresses: true, RelayTorrc: []string{"SafeLogging 0", "ProtocolWarnings 1"}})
	relay := net.Relays()[0]
	journal, everything, port := journalIn(t), journalIn(t), freePort(t)
	r := startRecorder(t, journal, "--attach", relay.ControlAddr, "--control", port, "--record", "relay")
	r.attached()
	// The same relay with --record all shows that there was something to hide.
	all := startRecorder(t, everything, "--attach", relay.ControlAddr, "--record", "all")
	all.attached()

	const types = "CIRC STREAM ORCONN BW DEBUG INFO NOTICE WARN ERR CIRC_BW STREAM_BW CONN_BW STATUS_GENERAL STATUS_SERVER SIGNAL CONF_CHANGED CELL_STATS"
	live := subscribe(t, port, ownCookie, types)
	for round := range 2 {
		for i := range net.Clients() {
			fetch(t, net, i, fmt.Sprintf("site%d.example", i), fmt.Sprint("round", round))
		}
		live.must(t, "SIGNAL DUMP")
		live.must(t, fmt.Sprintf("SETCONF ContactInfo=%q", fmt.Sprint("mail 127.0.0.77 round ", round)))
		// A notice and a warning of tor's own that name an address.
		live.must(t, `SETCONF Log="notice stdout"`)
		garble(t, relay.ORAddr, net.Client(0).Address)
	}
	live.awaitEvent(t, "a live DEBUG event", func(w string) bool { return strings.HasPrefix(w, "650 DEBUG ") || strings.HasPrefix(w, "650+DEBUG") })
	live.awaitEvent(t, "SIGNAL DUMP", func(w string) bool { return w == "650 SIGNAL DUMP\r\n" })
	r.stop()
	all.stop()

	secrets := []string{"127.0.0.77", "site0.example", "site1.example"}
	for _, c := range net.Clients() {
		secrets = append(secrets, c.Address)
	}
	hidden := everyByte(t, journal)
	shown := everyByte(t, everything)
	exposed := 0
	for _, s := range secrets {
		if i := bytes.Index(hidden, []byte(s)); i >= 0 {
			t.Errorf("%s is in the relay's journal: …%q…", s, hidden[max(0, i-200):min(len(hidden), i+100)])
		}
		if bytes.Contains(shown, []byte(s)) {
			exposed++
		}
	}
	if exposed < 2 {
		t.Errorf("even --record all shows only %d of %q: nothing was there to be hidden", exposed, secrets)
	}
	for _, typ := range []string{"650 STREAM ", "650 DEBUG ", "650 INFO ", "650 BW ", "650 CONN_BW ", "650 CIRC_BW "} {
		if bytes.Contains(hidden, []byte(typ)) {
			t.Errorf("%sis in the relay's journal: it is live only", typ)
		}
	}
	for _, typ := range []string{"650 SIGNAL DUMP", "CONF_CHANGED", "650 ORCONN ", "JOURNAL SNAPSHOT"} {
		if !bytes.Contains(hidden, []byte(typ)) {
			t.Errorf("the relay's journal has no %s", typ)
		}
	}
}
