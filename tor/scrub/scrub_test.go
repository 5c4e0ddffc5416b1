package scrub

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"torjournal/tor/event"
)

func policy(t testing.TB, record string, conf map[string][]string) *Policy {
	t.Helper()
	p, err := New(record, conf)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRoleOfATor(t *testing.T) {
	conf := func(kv ...string) map[string][]string {
		// What tor answers where nothing is set.
		m := map[string][]string{"ORPort": nil, "BridgeRelay": {"0"}, "TestingTorNetwork": {"0"}, "HiddenServiceDir": nil}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = append(slices.DeleteFunc(m[kv[i]], func(s string) bool { return s == "0" }), kv[i+1])
		}
		return m
	}
	for _, c := range []struct {
		name string
		conf map[string][]string
		want string
	}{
		{"nothing known", nil, Client},
		{"nothing set", conf(), Client},
		{"ORPort 0", conf("ORPort", "0"), Client},
		{"ORPort 9001", conf("ORPort", "9001"), Relay},
		{"two ORPorts", conf("ORPort", "0", "ORPort", "127.0.0.1:9001 NoListen"), Relay},
		{"ORPort auto", conf("ORPort", "auto"), Relay},
		{"bridge", conf("ORPort", "9001", "BridgeRelay", "1"), Bridge},
		{"onion", conf("HiddenServiceDir", "/var/lib/tor/hs"), Onion},
		{"relay with onion", conf("HiddenServiceDir", "/var/lib/tor/hs", "ORPort", "9001"), Relay},
		{"testing relay", conf("ORPort", "9001", "TestingTorNetwork", "1"), Testnet},
	} {
		for _, record := range []string{"", "auto", " AUTO "} {
			if got := policy(t, record, c.conf).Role(); got != c.want {
				t.Errorf("%s, record %q: role %s, want %s", c.name, record, got, c.want)
			}
		}
		if got := policy(t, "relay", c.conf).Role(); got != Relay {
			t.Errorf("%s: --record relay gives %s", c.name, got)
		}
	}
}

// offered is what tor 0.4.9.11 lists as events/names, and one type of a tor
// to come.
var offered = func() event.Set {
	s := event.NewSet("FUTURE")
	for _, name := range strings.Fields("CIRC CIRC_MINOR STREAM ORCONN BW DEBUG INFO NOTICE WARN ERR NEWDESC ADDRMAP " +
		"DESCCHANGED NS STATUS_GENERAL STATUS_CLIENT STATUS_SERVER GUARD STREAM_BW CLIENTS_SEEN NEWCONSENSUS " +
		"BUILDTIMEOUT_SET SIGNAL CONF_CHANGED CONN_BW CELL_STATS CIRC_BW TRANSPORT_LAUNCHED HS_DESC HS_DESC_CONTENT NETWORK_LIVENESS") {
		s = s.Union(event.NewSet(event.Type(name)))
	}
	return s
}()

func TestSubscription(t *testing.T) {
	for _, c := range []struct{ record, want string }{
		{"client", "CIRC STREAM ORCONN BW NOTICE WARN ERR NEWDESC ADDRMAP DESCCHANGED STATUS_GENERAL STATUS_CLIENT " +
			"STATUS_SERVER GUARD STREAM_BW CLIENTS_SEEN NEWCONSENSUS BUILDTIMEOUT_SET SIGNAL CONF_CHANGED CIRC_MINOR " +
			"TRANSPORT_LAUNCHED CIRC_BW HS_DESC NETWORK_LIVENESS FUTURE"},
		{"relay", "CIRC ORCONN BW NOTICE WARN ERR NEWDESC DESCCHANGED STATUS_GENERAL STATUS_CLIENT STATUS_SERVER GUARD " +
			"BUILDTIMEOUT_SET SIGNAL CONF_CHANGED CIRC_MINOR NETWORK_LIVENESS"},
		{"all", offered.Minus(verbose).String()},
		{"testnet", offered.Minus(verbose).String()},
		{"bw, circ PT_LOG", "CIRC BW"},
	} {
		if got := policy(t, c.record, nil).Subscribe(offered).String(); got != c.want {
			t.Errorf("%s subscribes to\n\t%s, want\n\t%s", c.record, got, c.want)
		}
	}
	if policy(t, "client", nil).Subscribe(offered).String() != policy(t, "onion", nil).Subscribe(offered).String() ||
		policy(t, "relay", nil).Subscribe(offered).String() != policy(t, "bridge", nil).Subscribe(offered).String() {
		t.Error("onion is as client, bridge is as relay")
	}
}

func TestUnknownRecord(t *testing.T) {
	for record, want := range map[string]string{
		"relais":           `"relais" is no role and no event type; roles are auto, client, onion, relay, bridge, testnet, all`,
		"CIRC,STREEM":      `"STREEM" is no role and no event type`,
		",":                "names no event type",
		"AUTHDIR_NEWDESCS": "leave it out",
		"custom":           "is no role",
	} {
		_, err := New(record, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New(%q): %v; want …%s…", record, err, want)
		}
		if err != nil && strings.Contains(want, "no role and") && !strings.Contains(err.Error(), "HS_DESC") {
			t.Errorf("New(%q) does not list the types: %v", record, err)
		}
	}
}

// Every type, on every role: recorded, or delivered only with tor's bytes.
func TestKeepByRole(t *testing.T) {
	types := append(event.Types(), "FUTURE", "")
	for _, record := range []string{"client", "onion", "relay", "bridge", "testnet", "all", "STREAM BW"} {
		p := policy(t, record, nil)
		for _, typ := range types {
			wire := []byte("650 " + string(typ) + " 1.2.3.4:80 x\r\n")
			if typ == event.CONF_CHANGED {
				wire = []byte("650-CONF_CHANGED\r\n650-Address=1.2.3.4\r\n650 OK\r\n")
			}
			before := bytes.Clone(wire)
			ev := p.Keep(wire)
			live, isLive := ev.(event.Live)
			if isLive == p.Recorded().Has(typ) {
				t.Errorf("%s, %s: live only %v", record, typ, isLive)
			}
			if isLive && !bytes.Equal(live.Format(), wire) {
				t.Errorf("%s, %s: live %q, sent %q", record, typ, live.Format(), wire)
			}
			if ev.Type() != typ {
				t.Errorf("%s: %q became %q", record, typ, ev.Type())
			}
			keepsAll := record != "relay" && record != "bridge" || typ == event.JOURNAL
			if !isLive && keepsAll != bytes.Equal(ev.Format(), wire) {
				t.Errorf("%s, %s: recorded %q", record, typ, ev.Format())
			}
			if !bytes.Equal(wire, before) {
				t.Errorf("%s, %s: Keep changed what it was given", record, typ)
			}
		}
	}
}

func TestStripping(t *testing.T) {
	onion := strings.Repeat("abcdefg2", 7)
	relay := policy(t, "auto", map[string][]string{"ORPort": {"9001"}})
	for _, c := range [][2]string{
		{"650 ORCONN 203.0.113.9:60890 NEW ID=13\r\n", "650 ORCONN [scrubbed] NEW ID=13\r\n"},
		{"650 ORCONN [2001:db8::1]:443 CLOSED REASON=DONE ID=1\r\n", "650 ORCONN [scrubbed] CLOSED REASON=DONE ID=1\r\n"},
		{"650 ORCONN $D074985ADE267C0F6CBAB4C48785B1655023A3E7~auth0 FAILED REASON=CONNECTREFUSED NCIRCS=1 ID=77\r\n", ""},
		{"650 ORCONN host.example:443 LAUNCHED ID=1\r\n", "650 ORCONN [scrubbed] LAUNCHED ID=1\r\n"},
		{"650 NOTICE New control connection from 127.0.0.1.\r\n", "650 NOTICE New control connection from [scrubbed].\r\n"},
		{"650 WARN Received http status code 404 (\"Not found\") from server 203.0.113.1:15100 while fetching.\r\n",
			"650 WARN Received http status code 404 (\"Not found\") from server [scrubbed] while fetching.\r\n"},
		{"650 NOTICE Tor 0.4.9.11 running on Linux with Libevent 2.1.12-stable, OpenSSL 3.0.19 at 20:55:56.958.\r\n", ""},
		{"650 NOTICE Guard $D074985ADE267C0F6CBAB4C48785B1655023A3E7~auth0 sent 1.5 GB in 1:02:03 hours, 98.7%\r\n", ""},
		{"650 WARN from src/core/or/connection_or.c:1234: /etc/tor/torrc: 2026-11-23T08:45:55.691378 (on Tor 0.4.9.11 )\r\n", ""},
		{"650 WARN Have tried resolving 'www.example.com' at 3 places, https://a-b.example/x?y\r\n",
			"650 WARN Have tried resolving '[scrubbed]' at 3 places, https://[scrubbed]/x?y\r\n"},
		{"650 WARN service " + onion + ".onion and " + onion + " down\r\n", "650 WARN service [scrubbed] and [scrubbed] down\r\n"},
		{"650 NOTICE Have tried resolving or connecting to address 'intranet' at 3 places; Address '2130706433' refused; No Tor server allows exit to 0x7f000001:25. Rejecting.\r\n",
			"650 NOTICE Have tried resolving or connecting to address '[scrubbed]' at 3 places; Address '[scrubbed]' refused; No Tor server allows exit to [scrubbed]. Rejecting.\r\n"},
		{"650 WARN Invalid hostname nas; rejecting '/tor/hs/3/" + blinded + "'.\r\n", "650 WARN Invalid hostname [scrubbed]; rejecting '/tor/hs/3/[scrubbed]'.\r\n"},
		{"650 ERR ::ffff:203.0.113.9 [fe80::1%eth0]:80 fe80::2%eth0, 2001:DB8:0:0:1:2:3:4. 1.2.3.4:5:\r\n",
			"650 ERR [scrubbed] [scrubbed] [scrubbed], [scrubbed]. [scrubbed]:\r\n"},
		{"650 NOTICE eventdns said that \"intranet\" resolves to \"2130706433\"; cached answer for \"nas\"; Resolved \"b\\303\\274cher\" which\r\n",
			"650 NOTICE eventdns said that \"[scrubbed]\" resolves to \"[scrubbed]\"; cached answer for \"[scrubbed]\"; Resolved \"[scrubbed]\" which\r\n"},
		{"650 WARN Rejecting invalid destination address \"nas\"; http://bob:sesame@nas.box2:80/ and xn--bcher-kva and bücher.example:80\r\n",
			"650 WARN Rejecting invalid destination address \"[scrubbed]\"; http://[scrubbed]@[scrubbed]/ and [scrubbed] and [scrubbed]\r\n"},
		{"650 NOTICE Performing bandwidth self-test...done.\r\n", ""},
		{"650 NOTICE pathbias_send_usable_probe(): Sending pathbias testing cell to 0.69.30.133:25 on stream 48369, then 0.7.30.133:25, 0.75.1.2.\r\n",
			"650 NOTICE pathbias_send_usable_probe(): Sending pathbias testing cell to [scrubbed] on stream 48369, then [scrubbed], [scrubbed].\r\n"},
		{"650 NOTICE Tor 0.4.9.11: 0.4.8.21, 0.4.9.11-alpha; 0.0.0.0/8 is refused\r\n", ""},
		{"650 NOTICE listens on [::]:9001 and :: and 0.0.0.0:9001\r\n", ""},
		{"650+WARN\r\nfirst 1.2.3.4\r\n..5.6.7.8\r\n.\r\n650 OK\r\n", "650+WARN\r\nfirst [scrubbed]\r\n..[scrubbed]\r\n.\r\n650 OK\r\n"},
		{"650 STATUS_SERVER NOTICE EXTERNAL_ADDRESS ADDRESS=203.0.113.7 METHOD=CONFIGURED\r\n",
			"650 STATUS_SERVER NOTICE EXTERNAL_ADDRESS ADDRESS=[scrubbed] METHOD=CONFIGURED\r\n"},
		{"650 STATUS_SERVER NOTICE NAMESERVER_STATUS NS=127.0.0.1:53 STATUS=DOWN ERR=\"request timed out.\"\r\n",
			"650 STATUS_SERVER NOTICE NAMESERVER_STATUS NS=[scrubbed] STATUS=DOWN ERR=\"request timed out.\"\r\n"},
		{"650 STATUS_CLIENT WARN SOCKS_UNKNOWN_PROTOCOL DATA=\"GET / x=1 \\\" HOSTADDR=y\" A=1\r\n",
			"650 STATUS_CLIENT WARN SOCKS_UNKNOWN_PROTOCOL DATA=[scrubbed] A=1\r\n"},
		{"650 STATUS_CLIENT WARN BOOTSTRAP PROGRESS=5 HOSTID=\"D0\" HOSTADDR=\"localhost:9001\"\r\n",
			"650 STATUS_CLIENT WARN BOOTSTRAP PROGRESS=5 HOSTID=\"D0\" HOSTADDR=[scrubbed]\r\n"},
		{"650 STATUS_GENERAL WARN CLOCK_SKEW SKEW=3 SOURCE=DIRSERV:203.0.113.7:80\r\n",
			"650 STATUS_GENERAL WARN CLOCK_SKEW SKEW=3 SOURCE=DIRSERV:[scrubbed]\r\n"},
		{"650-CONF_CHANGED\r\n650-Bridge=obfs4 1.2.3.4:5 D0 cert=x\r\n650-HashedControlPassword=16:AB\r\n650-Nickname=a\r\n650-ContactInfo=me 10.0.0.1\r\n650-ExitPolicy=reject 1.2.3.0/24:80\r\n650-HiddenServicePort\r\n650 OK\r\n",
			"650-CONF_CHANGED\r\n650-Bridge=[scrubbed]\r\n650-HashedControlPassword=[scrubbed]\r\n650-Nickname=a\r\n650-ContactInfo=me [scrubbed]\r\n650-ExitPolicy=reject [scrubbed]/24:80\r\n650-HiddenServicePort\r\n650 OK\r\n"},
		{"650 CIRC 8 BUILT $D0~a,$91~b PURPOSE=HS_CLIENT_REND REND_QUERY=" + onion + " TIME_CREATED=2026-11-23T08:45:56.693160 SOCKS_USERNAME=\"a \\\" b\" SOCKS_PASSWORD=\"x\"\r\n",
			"650 CIRC 8 BUILT $D0~a,$91~b PURPOSE=HS_CLIENT_REND REND_QUERY=[scrubbed] TIME_CREATED=2026-11-23T08:45:56.693160 SOCKS_USERNAME=[scrubbed] SOCKS_PASSWORD=[scrubbed]\r\n"},
		{"650 BUILDTIMEOUT_SET COMPUTED TOTAL_TIMES=124 TIMEOUT_MS=9019 XM=1375 ALPHA=0.855662 CUTOFF_QUANTILE=0.800000\r\n", ""},
		{"650 NEWDESC $0F202538159272CA30AC915874CF5E80DFA1ED19~exit6\r\n", ""},
		{"650 SIGNAL DUMP\r\n", ""},
		{"650 JOURNAL START VERSION=0.4.9.11\r\n", ""},
	} {
		want := c[1]
		if want == "" {
			want = c[0]
		}
		if got := string(relay.Keep([]byte(c[0])).Format()); got != want {
			t.Errorf("%q\n\tbecame %q\n\twant   %q", c[0], got, want)
		}
		if got := string(policy(t, "all", nil).Keep([]byte(c[0])).Format()); got != c[0] {
			t.Errorf("--record all: %q became %q", c[0], got)
		}
	}
}

const reply = "250-version=0.4.9.11\r\n" +
	"250-status/bootstrap-phase=WARN BOOTSTRAP PROGRESS=5 TAG=conn SUMMARY=\"To 203.0.113.9\" HOSTADDR=\"203.0.113.9:1\"\r\n" +
	"250+circuit-status=\r\n1 BUILT $D0~a SOCKS_USERNAME=\"me 1\"\r\n2 BUILT $D1~b\r\n.\r\n" +
	"250-stream-status=9 SUCCEEDED 1 www.example.com:80\r\n" +
	"250+orconn-status=\r\n$D0~a CONNECTED\r\n203.0.113.9:60890 CONNECTED\r\n.\r\n" +
	"250-entry-guards=$D0~a up\r\n" +
	"250+ns/all=\r\nr x 203.0.113.9\r\n..\r\n.\r\n" +
	"250-traffic/read=12\r\n" +
	"250-bw-event-cache=1,2 3,4\r\n" +
	"250 OK\r\n"

func TestSnapshot(t *testing.T) {
	snap := event.NewSnapshot([]byte(reply), "KEYS", "9").Format()
	inner := func(wire []byte) string {
		t.Helper()
		ev, err := event.Parse(wire)
		if err != nil {
			t.Fatalf("%v\n%s", err, wire)
		}
		return ev.(*event.Journal).Snapshot()
	}
	for _, record := range []string{"client", "all"} {
		if got := policy(t, record, nil).Keep(snap).Format(); !bytes.Equal(got, snap) {
			t.Errorf("%s: %q", record, got)
		}
	}
	for record, want := range map[string]string{
		"relay": "250-version=0.4.9.11\r\n" +
			"250-status/bootstrap-phase=WARN BOOTSTRAP PROGRESS=5 TAG=conn SUMMARY=\"To [scrubbed]\" HOSTADDR=[scrubbed]\r\n" +
			"250+circuit-status=\r\n1 BUILT $D0~a SOCKS_USERNAME=[scrubbed]\r\n2 BUILT $D1~b\r\n.\r\n" +
			"250+orconn-status=\r\n$D0~a CONNECTED\r\n[scrubbed] CONNECTED\r\n.\r\n" +
			"250-entry-guards=$D0~a up\r\n" +
			"250-traffic/read=12\r\n" +
			"250 OK\r\n",
		"STREAM BW": "250-version=0.4.9.11\r\n" +
			"250-stream-status=9 SUCCEEDED 1 www.example.com:80\r\n" +
			"250-traffic/read=12\r\n" +
			"250-bw-event-cache=1,2 3,4\r\n" +
			"250 OK\r\n",
	} {
		if got := inner(policy(t, record, nil).Keep(snap).Format()); got != want {
			t.Errorf("%s keeps\n%s\nwant\n%s", record, got, want)
		}
	}
}

// A list of types on a relay is stripped as a relay's events are.
func TestListOnARelay(t *testing.T) {
	conf := map[string][]string{"ORPort": {"9001"}}
	wire := []byte("650 ORCONN 203.0.113.9:60890 NEW ID=13\r\n")
	if got := policy(t, "ORCONN", conf).Keep(wire).Format(); bytes.Contains(got, []byte("203.0.113.9")) {
		t.Errorf("kept %q", got)
	}
	if got := policy(t, "ORCONN", nil).Keep(wire).Format(); !bytes.Equal(got, wire) {
		t.Errorf("on a client: kept %q", got)
	}
}

// addressesIn returns the addresses in text, taken from the words between the
// characters that cannot be part of one, as others would find them.
func addressesIn(text []byte) (found []netip.Addr) {
	words := bytes.FieldsFunc(text, func(r rune) bool {
		return !(r < 0x80 && (isAddressByte(byte(r)) || isHostByte(byte(r)) || r == '%'))
	})
	for _, w := range words {
		s := strings.Trim(string(w), ".")
		for _, s := range []string{s, strings.TrimSuffix(s, ":"), strings.TrimPrefix(s, ":")} {
			if i := strings.LastIndexByte(s, ':'); i > 0 && strings.Count(s, ":") == 1 {
				s = s[:i]
			}
			a, err := netip.ParseAddr(s)
			if err != nil || a.WithZone("").IsUnspecified() || a.Is4() && a.As4()[0] == 0 && a.As4()[1] < 10 {
				continue
			}
			found = append(found, a)
		}
	}
	return found
}

func FuzzStripping(f *testing.F) {
	f.Add("NOTICE from 1.2.3.4:5 and [::1%lo]:80, ::ffff:1.2.3.4 0.4.9.11 1.2.3.4.5.6 a.b.example:80", false)
	f.Add("STATUS_CLIENT WARN X ADDRESS=1.2.3.4:80 DATA=\"a \\\" 1.2.3.4\" HOSTADDR=\"x", false)
	f.Add("ORCONN 1.2.3.4:5 NEW ID=1", false)
	f.Add("CIRC 1 BUILT SOCKS_USERNAME=\"1.2.3.4\"", false)
	f.Add("CONF_CHANGED\r\n650-Bridge=1.2.3.4:5\r\n650-Address=2001:db8::1.", false)
	f.Add("WARN\r\n1.2.3.4\r\n..1.2.3.4", true)
	f.Add("JOURNAL SNAPSHOT\r\n250+orconn-status=\r\n1.2.3.4:5 NEW\r\n..\r\n250-x=1.2.3.4\r\n250 OK", true)
	f.Add("NOTICE 12345.6.7.8.9 :1::2: 1:2:3:4:5:6:7:8:9 ::1.2.3.4:80::. fe80::%-_.", false)
	relay := policy(f, "relay", nil)
	f.Fuzz(func(t *testing.T, body string, block bool) {
		wire := []byte("650 " + strings.ReplaceAll(body, "\r\n650", "\r\n650-")) // any lines
		if block {
			wire = []byte("650+" + body + "\r\n.\r\n650 OK")
		}
		wire = append(wire, "\r\n"...)
		ev := relay.Keep(wire)
		if _, live := ev.(event.Live); live {
			return
		}
		out := ev.Format()
		if found := addressesIn(out); len(found) > 0 && ev.Type() != event.JOURNAL {
			t.Errorf("%v left in\n%q of\n%q", found, out, wire)
		}
		if ev.Type() == event.JOURNAL {
			return
		}
		if got, want := bytes.Count(out, []byte("\n")), bytes.Count(wire, []byte("\n")); got != want {
			t.Errorf("%d lines became %d:\n%q\n%q", want, got, wire, out)
		}
		if _, err := event.Parse(wire); err == nil {
			if _, err := event.Parse(out); err != nil {
				t.Errorf("%v:\n%q became\n%q", err, wire, out)
			}
		}
	})
}

func FuzzSnapshot(f *testing.F) {
	f.Add([]byte(reply))
	f.Add([]byte("250+orconn-status=\r\n.\r\n"))
	f.Add([]byte("250+orconn-status=\r\n1.2.3.4 NEW\r\n..5.6.7.8\r\n250 OK\r\n"))
	relay := policy(f, "relay", nil)
	f.Fuzz(func(t *testing.T, reply []byte) {
		out := relay.Keep(event.NewSnapshot(reply).Format()).Format()
		if _, err := event.Parse(out); err != nil {
			t.Errorf("%v: %q", err, out)
		}
		if found := addressesIn(out); len(found) > 0 {
			t.Errorf("%v left in %q", found, out)
		}
	})
}

func BenchmarkStripLog(b *testing.B) {
	p := policy(b, "relay", nil)
	wire := []byte("650 WARN Received http status code 404 (\"Not found\") from server 127.0.0.1:15100 while fetching consensus directory.\r\n")
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		p.Keep(wire)
	}
}
