package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"torjournal/query"
	"torjournal/tor/controlport"
	"torjournal/tor/event"
	"torjournal/tor/testnet"
)

// asked are all types that may be asked for: what is recorded only while it is
// wanted is wanted.
const asked = "CIRC CIRC_MINOR STREAM ORCONN BW DEBUG INFO NOTICE WARN ERR NEWDESC ADDRMAP DESCCHANGED NS STATUS_GENERAL STATUS_CLIENT " +
	"STATUS_SERVER GUARD STREAM_BW CLIENTS_SEEN NEWCONSENSUS BUILDTIMEOUT_SET SIGNAL CONF_CHANGED CONN_BW CELL_STATS CIRC_BW " +
	"TRANSPORT_LAUNCHED HS_DESC HS_DESC_CONTENT NETWORK_LIVENESS"

// recording is a recorder in one role, with a controller that wants all types.
type recording struct {
	*recorder
	watch *subscriber
}

func recordIn(t *testing.T, tor *testnet.Node, args ...string) recording {
	t.Helper()
	port := freePort(t)
	r := startRecorder(t, journalIn(t), append([]string{"--attach", tor.ControlAddr, "--control", port}, args...)...)
	r.attached()
	return recording{r, subscribe(t, port, ownCookie, asked)}
}

// What a role must not keep is in no byte of the file, neither in live pages
// nor in freed ones: addresses, targets, onion names, credentials, identifiers
// of descriptors. On a relay because it is stripped or live only, on a client
// because --scrub replaces it. The same tors recorded without show that it was
// there to be kept.
func TestRolesToTheByte(t *testing.T) {
	needReal(t)
	net := network(t, testnet.Options{
		Exits: 5, Middles: 3, Clients: 2, ClientAddresses: true, RelayTorrc: []string{"SafeLogging 0", "ProtocolWarnings 1"}, ClientTorrc: []string{"SafeLogging 0"},
	})
	relay, client := net.Relays()[0], net.Client(0)
	atTor := subscribe(t, client.ControlAddr, controlport.Credentials{}, "HS_DESC STREAM CIRC")
	atTor.must(t, "SETCONF ExitNodes=$"+relay.Fingerprint) // so that it sees the targets
	relays := map[string]recording{
		"relay":             recordIn(t, relay, "--record", "relay"),
		"bridge":            recordIn(t, relay, "--record", "bridge"),
		"relay --scrub":     recordIn(t, relay, "--record", "relay", "--scrub"),
		"everything":        recordIn(t, relay, "--record", "all"),
		"everything hidden": recordIn(t, relay, "--record", "all", "--scrub"),
	}
	clients := map[string]recording{
		"client":            recordIn(t, client, "--record", "client"),
		"client --scrub":    recordIn(t, client, "--record", "client", "--scrub"),
		"onion --scrub":     recordIn(t, client, "--record", "onion", "--scrub"),
		"everything hidden": recordIn(t, client, "--record", "all", "--scrub"),
	}
	secrets := useClient(t, net, atTor)
	ofRelay := []string{"127.0.0.77", client.Address, net.Client(1).Address}
	for _, r := range relays {
		_ = r.watch.must(t, fmt.Sprintf("SETCONF ContactInfo=%q", "mail to 127.0.0.77"))
	}
	garble(t, relay.ORAddr, client.Address)
	for _, watched := range []map[string]recording{relays, clients} {
		for _, r := range watched {
			r.watch.must(t, "SIGNAL DUMP")
		}
		for _, r := range watched {
			r.watch.awaitEvent(t, "SIGNAL DUMP", func(w string) bool { return w == "650 SIGNAL DUMP\r\n" })
		}
	}
	stopAll := func(rs map[string]recording) map[string][]byte {
		files := map[string][]byte{}
		for name, r := range rs {
			said, _ := torjournal(t, 0, "status", "--journal", r.journal)
			if strings.Contains(strings.Join(r.cmd.Args, " "), "--scrub") != strings.Contains(said, "scrub:") {
				t.Errorf("%s: status says\n%s", name, said)
			}
			r.stop()
			files[name] = everyByte(t, r.journal)
			r.sameBytes(name)
		}
		return files
	}
	ofRelays, ofClients := stopAll(relays), stopAll(clients)
	ofRelays["everything, hashed afterwards"] = hashAfterwards(t, relays["everything"], relays["everything hidden"])
	ofClients["hashed afterwards"] = hashAfterwards(t, clients["client"], clients["client --scrub"])

	shown := found(ofRelays["everything"], append(slices.Clone(ofRelay), secrets...))
	aTarget := func(s string) bool { return strings.HasPrefix(s, "page") || s == "looked-up.example" }
	if !slices.ContainsFunc(shown, aTarget) || !slices.Contains(shown, client.Address) || !slices.Contains(shown, "127.0.0.77") {
		t.Errorf("even with --record all the relay shows only %q: nothing was there to be hidden", shown)
	}
	if shown := found(ofClients["client"], secrets); len(shown) != len(secrets) {
		t.Errorf("the client without --scrub shows only %q of %q", shown, secrets)
	}
	clients["client"].tellsOfOnions("client", func(address string) bool { return slices.Contains(secrets, address) })
	for _, name := range []string{"client --scrub", "onion --scrub"} {
		clients[name].tellsOfOnions(name, func(address string) bool { return strings.HasPrefix(address, "o-") })
	}
	delete(ofRelays, "everything")
	delete(ofClients, "client")
	for name, file := range ofRelays {
		nothingOf(t, "relay recorded as "+name, file, append(slices.Clone(ofRelay), secrets...))
	}
	for name, file := range ofClients {
		nothingOf(t, "client recorded as "+name, file, secrets)
		for _, kept := range []string{"650 STREAM ", ".scrubbed:", "SOCKS_USERNAME=\"c-", "650 HS_DESC ", ".onion:80", "PURPOSE=HS_CLIENT_REND", "REND_QUERY=o-"} {
			if !bytes.Contains(file, []byte(kept)) {
				t.Errorf("client recorded as %s: %q is not there", name, kept)
			}
		}
	}
	for _, name := range []string{"relay", "bridge", "relay --scrub"} {
		for _, typ := range []string{"STREAM", "DEBUG", "INFO", "BW", "CONN_BW", "CIRC_BW", "STREAM_BW", "HS_DESC", "ADDRMAP", "CLIENTS_SEEN"} {
			if bytes.Contains(ofRelays[name], []byte("650 "+typ+" ")) {
				t.Errorf("%s is in the journal of %s: it is live only", typ, name)
			}
		}
	}
}

// hashAfterwards runs vacuum --scrub on a copy of a journal, with the key of a
// recorder that has hashed the events of the same tor as they came. Both have
// the same lines then, of the types that both record, as far as both were there.
func hashAfterwards(t *testing.T, plain, hashed recording) (everything []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal.db")
	data, err := os.ReadFile(plain.journal)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ := torjournal(t, 0, "vacuum", "--journal", path, "--scrub", "--scrub-key", hashed.journal+".scrubkey")
	t.Log(out)
	lines := func(path string) string {
		wire, _ := torjournal(t, 0, "replay", "--journal", path, "-o", "wire", "-e", "CIRC,CIRC_MINOR,STREAM,ORCONN,NOTICE,WARN,ADDRMAP,HS_DESC,CONF_CHANGED,SIGNAL")
		before, _, found := strings.Cut(wire, "650 SIGNAL DUMP")
		if !found {
			t.Errorf("%s: the end is not there", path)
		}
		return before
	}
	a, b := lines(path), lines(hashed.journal)
	if n := min(len(a), len(b)); n < 1000 || a[len(a)-n:] != b[len(b)-n:] {
		t.Errorf("%d and %d bytes of lines, hashed afterwards and as they came, are not the same", len(a), len(b))
	}
	return everyByte(t, path)
}

// sameBytes checks that the journal has, for those types that it records, the
// very bytes that the controller was sent when they came.
func (r recording) sameBytes(name string) {
	r.t.Helper()
	const types = "CIRC CIRC_MINOR ORCONN NOTICE WARN STATUS_CLIENT STATUS_SERVER GUARD SIGNAL CONF_CHANGED"
	var live strings.Builder
	for _, w := range r.watch.received() {
		if slices.Contains(strings.Fields(types), string(event.TypeOf([]byte(w)))) {
			live.WriteString(w)
		}
	}
	wire, _ := torjournal(r.t, 0, "replay", "--journal", r.journal, "-o", "wire", "-e", strings.ReplaceAll(types, " ", ","))
	if live.Len() == 0 || !strings.Contains(wire, live.String()) {
		r.t.Errorf("%s: %d bytes were delivered that the journal's %d do not have so", name, live.Len(), len(wire))
	}
}

// tellsOfOnions checks that the journal tells of the client's own onion service,
// that it visited too, by the name that it has there.
func (r recording) tellsOfOnions(name string, named func(address string) bool) {
	r.t.Helper()
	out, _ := torjournal(r.t, 0, "query", "onions", "--journal", r.journal, "--since", "2020-01-01", "--json")
	var rows []query.Onion
	for dec := json.NewDecoder(strings.NewReader(out)); ; {
		var row query.Onion
		err := dec.Decode(&row)
		if err == io.EOF {
			break
		}
		if err != nil {
			r.t.Fatal(err)
		}
		rows = append(rows, row)
	}
	if len(rows) != 2 || rows[0].Role != query.OnionService || rows[1].Role != query.OnionClient || rows[0].Address != rows[1].Address || !named(rows[0].Address) {
		r.t.Errorf("%s: no onion service and its client:\n%s", name, out)
		return
	}
	s, c := rows[0], rows[1]
	if s.Uploads == nil || s.Uploads.OK < 1 || s.Introductions == nil || s.Introductions.OK < 1 || len(s.IntroPoints) < 1 || s.Rendezvous == nil || s.Rendezvous.OK < 1 || s.UpMS == nil || *s.UpMS < 1 {
		r.t.Errorf("%s: the onion service was reached, and its row is\n%s", name, out)
	}
	if c.Fetches == nil || c.Fetches.OK < 1 || c.Introductions == nil || c.Introductions.OK < 1 || c.Rendezvous == nil || c.Rendezvous.OK < 1 || c.Connections == nil || c.Connections.OK < 1 || c.Availability == nil {
		r.t.Errorf("%s: its client reached it, and its row is\n%s", name, out)
	}
}

// useClient does with the first client what people do, and returns what nobody
// else shall know of it.
func useClient(t *testing.T, net *testnet.Network, atTor *subscriber) (secrets []string) {
	t.Helper()
	for i := range 3 {
		fetch(t, net, 0, fmt.Sprintf("page%d.example", i), fmt.Sprint("isolated-", i))
		fetch(t, net, 1, fmt.Sprintf("other%d.example", i), "")
		secrets = append(secrets, fmt.Sprintf("page%d.example", i), fmt.Sprint("isolated-", i))
	}
	atTor.nowhere(t, net.Client(0), net.URL("127.0.0.91", "/"))
	web := strings.TrimPrefix(net.URL("127.0.0.1", ""), "http://")
	onion := atTor.must(t, "ADD_ONION NEW:ED25519-V3 Flags=DiscardPK Port=80,"+web).Values()["ServiceID"][0]
	atTor.awaitEvent(t, "an uploaded descriptor", func(w string) bool { return strings.HasPrefix(w, "650 HS_DESC UPLOADED "+onion) })
	fetchOnion(t, net.Client(0), onion)
	atTor.must(t, "MAPADDRESS 127.0.0.92=mapped.example")
	atTor.must(t, "RESOLVE looked-up.example")
	atTor.must(t, `SETCONF Bridge="127.0.0.93:4711 E471C64B236FB65F118F26D0E3056898003351B2"`)
	atTor.must(t, `SETCONF ContactInfo="somebody at 127.0.0.94"`)
	secrets = append(secrets, "127.0.0.91", onion, "127.0.0.92", "mapped.example", "looked-up.example",
		"127.0.0.93", "E471C64B236FB65F118F26D0E3056898003351B2", "127.0.0.94")
	ids := regexp.MustCompile(`650 HS_DESC (?:REQUESTED|RECEIVED|UPLOAD|CREATED) \S+ \S+ \S+ ([A-Za-z0-9+/]{43})`)
	index := regexp.MustCompile(`HSDIR_INDEX=([0-9A-F]{64})`)
	found := map[string]bool{}
	for _, w := range atTor.received() {
		for _, re := range []*regexp.Regexp{ids, index} {
			if m := re.FindStringSubmatch(w); m != nil {
				found[m[1]] = true
			}
		}
	}
	if len(found) < 3 {
		t.Errorf("only %d identifiers of descriptors were seen", len(found))
	}
	for id := range found {
		secrets = append(secrets, id)
	}
	return secrets
}

// nowhere asks for a page where nobody serves one, until tor tells of it.
func (s *subscriber) nowhere(t *testing.T, from *testnet.Node, url string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = from.Fetch(ctx, url, "isolated-0")
	}()
	host := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/")
	s.awaitEvent(t, "a stream to "+host, func(w string) bool { return strings.Contains(w, " "+host+" ") })
	cancel()
	<-ended
}

// fetchOnion gets a page from an onion service at its port 80.
func fetchOnion(t *testing.T, from *testnet.Node, onion string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		body, err := from.Fetch(ctx, "http://"+onion+".onion/bytes/1000", "isolated-0")
		if err == nil && len(body) == 1000 {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("fetch from the onion service: %d bytes, %v", len(body), err)
		}
	}
}

// found returns which of words are in a file.
func found(file []byte, words []string) (in []string) {
	for _, w := range words {
		if bytes.Contains(file, []byte(w)) {
			in = append(in, w)
		}
	}
	return in
}

// nothingOf checks that none of words is in a file.
func nothingOf(t *testing.T, what string, file []byte, words []string) {
	t.Helper()
	for _, w := range words {
		if i := bytes.Index(file, []byte(w)); i >= 0 {
			t.Errorf("%s: %.60s is in the journal: …%q…", what, w, file[max(0, i-200):min(len(file), i+100)])
		}
	}
}
