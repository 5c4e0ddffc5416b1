package scrub

import (
	"bytes"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"torjournal/tor/event"
)

// hashedPolicy returns a policy with a hasher whose key is made of one byte.
func hashedPolicy(t testing.TB, record string, conf map[string][]string, key byte) *Policy {
	t.Helper()
	return policy(t, record, conf).Hashed(hasher(t, key), conf)
}

func hasher(t testing.TB, key byte) *Hasher {
	t.Helper()
	h, err := NewHasher(bytes.Repeat([]byte{key}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// hashes are what a test's table writes for any hash: #.
var hashes = regexp.MustCompile(`\b([ahodcx])-[0-9a-f]{16}\b|\b0{24}[0-9A-F]{16}\b`)

// masked shows every hash of an event as its letter and "-#", that of a bridge
// as "BRIDGE".
func masked(out []byte) string {
	return hashes.ReplaceAllStringFunc(string(out), func(h string) string {
		if h[1] == '-' {
			return h[:2] + "#"
		}
		return "BRIDGE"
	})
}

const (
	service = "myef43a3fs2c32yyxswfgudoyzbqip4qpmvbolfrm3hjkxozpfxr35qd"
	blinded = "0djKLGE7vcOkVOb5ZXJVexwWhJrNdmM6zQIqKI6u3Xs"
	public1 = "$C767D2F921184AFB2F62079EEFBE8AB3C63E4113~exit9"
	public2 = "$991D698A71E0EC8B7D060DEEEE12F8FEA2DB48C1~exit7"
	bridge1 = "$E471C64B236FB65F118F26D0E3056898003351B2~mybridge"
	digits1 = "E471C64B236FB65F118F26D0E3056898003351B2"
)

// Every field by which others can tell whom the user talks to, in every event
// that has it.
func TestHashedFields(t *testing.T) {
	conf := map[string][]string{"Bridge": {"obfs4 203.0.113.7:4711 " + digits1 + " cert=SomeCertificate iat-mode=0"}}
	for _, tc := range []struct{ name, in, want string }{
		// Targets.
		{"host", "650 STREAM 7 NEW 0 www.example.com:443 SOURCE_ADDR=192.0.2.1:38032 PURPOSE=USER", "650 STREAM 7 NEW 0 h-#.scrubbed:443 SOURCE_ADDR=a-#.scrubbed:0 PURPOSE=USER"},
		{"single label", "650 STREAM 7 NEW 0 intranet:80 PURPOSE=USER", "650 STREAM 7 NEW 0 h-#.scrubbed:80 PURPOSE=USER"},
		{"IPv4", "650 STREAM 7 SUCCEEDED 3 192.0.2.1:8080", "650 STREAM 7 SUCCEEDED 3 a-#.scrubbed:8080"},
		{"IPv6", "650 STREAM 7 SUCCEEDED 3 [2001:db8::1]:8080", "650 STREAM 7 SUCCEEDED 3 [a-#.scrubbed]:8080"},
		{"IPv6 bare", "650 STREAM 7 SUCCEEDED 3 2001:db8::1:8080", "650 STREAM 7 SUCCEEDED 3 a-#.scrubbed"},
		{"onion", "650 STREAM 7 NEW 0 " + service + ".onion:80", "650 STREAM 7 NEW 0 o-#.onion:80"},
		{"onion with host", "650 STREAM 7 NEW 0 www.shop." + service + ".onion:80", "650 STREAM 7 NEW 0 h-#.o-#.onion:80"},
		{"no onion", "650 STREAM 7 NEW 0 a.b.onion:80", "650 STREAM 7 NEW 0 h-#.o-#.onion:80"},
		{"exit", "650 STREAM 7 NEW 0 192.0.2.1.$" + public1[1:41] + ".exit:9001", "650 STREAM 7 NEW 0 a-#.scrubbed.$" + public1[1:41] + ".exit:9001"},
		{"exit bridge", "650 STREAM 7 NEW 0 192.0.2.1.$" + digits1 + ".exit:9001", "650 STREAM 7 NEW 0 a-#.scrubbed.$BRIDGE.exit:9001"},
		{"quote in target", "650 STREAM 7 NEW 0 a\"b.example:1 PURPOSE=USER", "650 STREAM 7 NEW 0 h-#.scrubbed:1 PURPOSE=USER"},
		{"equals in target", "650 STREAM 7 NEW 0 a=b.example:1", "650 STREAM 7 NEW 0 h-#.scrubbed:1"},
		{"remap", "650 STREAM 65 REMAP 30 127.0.0.20:18080 SOURCE=EXIT", "650 STREAM 65 REMAP 30 a-#.scrubbed:18080 SOURCE=EXIT"},
		{"none", "650 STREAM 7 NEW 0 :0 PURPOSE=USER", "650 STREAM 7 NEW 0 :0 PURPOSE=USER"},
		// Credentials.
		{"credentials", `650 STREAM 7 NEW 0 x:1 SOCKS_USERNAME="bob" SOCKS_PASSWORD="a \"b\" c" NYM_EPOCH=0`, `650 STREAM 7 NEW 0 h-#.scrubbed:1 SOCKS_USERNAME="c-#" SOCKS_PASSWORD="c-#" NYM_EPOCH=0`},
		{"no credentials", `650 STREAM 7 NEW 0 x:1 SOCKS_USERNAME="" SOCKS_PASSWORD=""`, `650 STREAM 7 NEW 0 h-#.scrubbed:1 SOCKS_USERNAME="" SOCKS_PASSWORD=""`},
		{"unquoted credential", `650 STREAM 7 NEW 0 x:1 SOCKS_USERNAME=bob PURPOSE=USER`, `650 STREAM 7 NEW 0 h-#.scrubbed:1 SOCKS_USERNAME=c-# PURPOSE=USER`},
		{"broken credential", `650 STREAM 7 NEW 0 x:1 SOCKS_USERNAME="bob"by and more`, `650 STREAM 7 NEW 0 h-#.scrubbed:1 SOCKS_USERNAME=x-#`},
		{"open credential", `650 STREAM 7 NEW 0 x:1 SOCKS_USERNAME="bob and more`, `650 STREAM 7 NEW 0 h-#.scrubbed:1 SOCKS_USERNAME=x-#`},
		// Circuits.
		{"circuit", "650 CIRC 5 BUILT " + public1 + "," + public2 + " PURPOSE=HS_CLIENT_REND REND_QUERY=" + service + ` TIME_CREATED=2026-11-23T08:45:46.724619 SOCKS_USERNAME="u"`,
			"650 CIRC 5 BUILT " + public1 + "," + public2 + ` PURPOSE=HS_CLIENT_REND REND_QUERY=o-# TIME_CREATED=2026-11-23T08:45:46.724619 SOCKS_USERNAME="c-#"`},
		{"bridge's circuit", "650 CIRC 5 BUILT " + bridge1 + "," + public2 + " PURPOSE=GENERAL", "650 CIRC 5 BUILT $BRIDGE~scrubbed," + public2 + " PURPOSE=GENERAL"},
		{"bridge in lower case", "650 CIRC 5 BUILT $" + strings.ToLower(digits1) + " PURPOSE=GENERAL", "650 CIRC 5 BUILT $BRIDGE PURPOSE=GENERAL"},
		{"minor", "650 CIRC_MINOR 5 PURPOSE_CHANGED " + bridge1 + " REND_QUERY=" + service, "650 CIRC_MINOR 5 PURPOSE_CHANGED $BRIDGE~scrubbed REND_QUERY=o-#"},
		{"keyword to come", "650 CIRC 5 BUILT PURPOSE=GENERAL FUTURE=www.example.com:80", "650 CIRC 5 BUILT PURPOSE=GENERAL FUTURE=h-#.scrubbed:80"},
		// Peers.
		{"client", "650 ORCONN 192.0.2.1:52586 NEW ID=46", "650 ORCONN a-#.scrubbed:0 NEW ID=46"},
		{"client, IPv6", "650 ORCONN [2001:db8::9]:52586 NEW ID=46", "650 ORCONN [a-#.scrubbed]:0 NEW ID=46"},
		{"relay", "650 ORCONN " + public1 + " LAUNCHED ID=93", "650 ORCONN " + public1 + " LAUNCHED ID=93"},
		{"bridge", "650 ORCONN " + bridge1 + " LAUNCHED ID=93", "650 ORCONN $BRIDGE~scrubbed LAUNCHED ID=93"},
		{"guard", "650 GUARD ENTRY " + public1 + " UP", "650 GUARD ENTRY " + public1 + " UP"},
		{"bridge as guard", "650 GUARD ENTRY " + bridge1 + " UP", "650 GUARD ENTRY $BRIDGE~scrubbed UP"},
		{"descriptors", "650 NEWDESC " + public1 + " " + bridge1, "650 NEWDESC " + public1 + " $BRIDGE~scrubbed"},
		{"transport", "650 TRANSPORT_LAUNCHED server obfs4 192.0.2.1 4711", "650 TRANSPORT_LAUNCHED server obfs4 a-#.scrubbed 0"},
		// Onion services.
		{"descriptor", "650 HS_DESC REQUESTED " + service + " NO_AUTH " + public2 + " " + blinded + " HSDIR_INDEX=AA036439699319C613E3F13522A791E4FB9886E181E790DF59B19A1EE72BD60A",
			"650 HS_DESC REQUESTED o-# NO_AUTH " + public2 + " d-# HSDIR_INDEX=x-#"},
		{"descriptor made", "650 HS_DESC CREATED " + service + " UNKNOWN UNKNOWN " + blinded + " REPLICA=1", "650 HS_DESC CREATED o-# UNKNOWN UNKNOWN d-# REPLICA=x-#"},
		{"descriptor uploaded", "650 HS_DESC UPLOADED " + service + " UNKNOWN " + public2, "650 HS_DESC UPLOADED o-# UNKNOWN " + public2},
		{"descriptor without name", "650 HS_DESC FAILED UNKNOWN NO_AUTH " + public2 + " " + blinded + " REASON=NOT_FOUND", "650 HS_DESC FAILED UNKNOWN NO_AUTH " + public2 + " d-# REASON=NOT_FOUND"},
		{"content", "650+HS_DESC_CONTENT " + service + " " + blinded + " " + public2 + "\r\nhs-descriptor 3\r\n..x\r\n.\r\n650 OK",
			"650+HS_DESC_CONTENT o-# d-# " + public2 + "\r\nx-#\r\n.\r\n650 OK"},
		{"content of a failure", "650+HS_DESC_CONTENT " + service + " " + blinded + " " + public2 + "\r\n\r\n.\r\n650 OK",
			"650+HS_DESC_CONTENT o-# d-# " + public2 + "\r\n\r\n.\r\n650 OK"},
		// Addresses.
		{"mapped", `650 ADDRMAP www.example.com 192.0.2.9 "2026-11-23 08:48:14" EXPIRES="2026-11-23 08:48:14" CACHED="NO" STREAMID=169`,
			`650 ADDRMAP h-#.scrubbed a-#.scrubbed "2026-11-23 08:48:14" EXPIRES="2026-11-23 08:48:14" CACHED="NO" STREAMID=169`},
		{"not mapped", "650 ADDRMAP nx.example <error> NEVER error=yes", "650 ADDRMAP h-#.scrubbed <error> NEVER error=yes"},
		{"mapped to IPv6", "650 ADDRMAP www.example.com 2001:db8::1 NEVER", "650 ADDRMAP h-#.scrubbed a-#.scrubbed NEVER"},
		// Status.
		{"SOCKS", "650 STATUS_CLIENT WARN DANGEROUS_SOCKS PROTOCOL=SOCKS5 ADDRESS=192.0.2.1:80", "650 STATUS_CLIENT WARN DANGEROUS_SOCKS PROTOCOL=SOCKS5 ADDRESS=a-#.scrubbed:0"},
		{"bad SOCKS", `650 STATUS_CLIENT WARN SOCKS_UNKNOWN_PROTOCOL DATA="GET http://secret.example/"`, `650 STATUS_CLIENT WARN SOCKS_UNKNOWN_PROTOCOL DATA="x-#"`},
		{"bad host name", `650 STATUS_CLIENT WARN SOCKS_BAD_HOSTNAME HOSTNAME="my\\host"`, `650 STATUS_CLIENT WARN SOCKS_BAD_HOSTNAME HOSTNAME="h-#.scrubbed"`},
		{"bootstrap", `650 STATUS_CLIENT WARN BOOTSTRAP PROGRESS=10 TAG=conn_done SUMMARY="Connected" HOSTID="` + digits1 + `" HOSTADDR="203.0.113.7:4711"`,
			`650 STATUS_CLIENT WARN BOOTSTRAP PROGRESS=10 TAG=conn_done SUMMARY="Connected" HOSTID="BRIDGE" HOSTADDR="a-#.scrubbed:0"`},
		{"source of a skew", "650 STATUS_GENERAL WARN CLOCK_SKEW SKEW=3 SOURCE=DIRSERV:192.0.2.1:80", "650 STATUS_GENERAL WARN CLOCK_SKEW SKEW=3 SOURCE=DIRSERV:a-#.scrubbed:0"},
		{"own address", "650 STATUS_SERVER NOTICE EXTERNAL_ADDRESS ADDRESS=192.0.2.1 METHOD=CONFIGURED", "650 STATUS_SERVER NOTICE EXTERNAL_ADDRESS ADDRESS=a-#.scrubbed METHOD=CONFIGURED"},
		{"bug", `650 STATUS_GENERAL WARN BUG REASON="went to www.example.com:25 (on Tor 0.4.9.11 )\n"`, `650 STATUS_GENERAL WARN BUG REASON="went to h-#.scrubbed:25 (on Tor 0.4.9.11 )\n"`},
		// Configuration.
		{"bridge line", "650-CONF_CHANGED\r\n650-Bridge=obfs4 203.0.113.7:4711 " + digits1 + " cert=SomeCertificate iat-mode=0\r\n650-UseBridges=1\r\n650 OK",
			"650-CONF_CHANGED\r\n650-Bridge=obfs4 a-#.scrubbed:0 BRIDGE cert=x-# iat-mode=x-#\r\n650-UseBridges=1\r\n650 OK"},
		{"secret options", "650-CONF_CHANGED\r\n650-HidServAuth=" + service + ".onion abc\r\n650-Socks5ProxyPassword=sesame\r\n650-HiddenServiceDir=/var/lib/tor/shop\r\n650-MaxCircuitDirtiness=10\r\n650-ExitNodes\r\n650 OK",
			"650-CONF_CHANGED\r\n650-HidServAuth=x-#\r\n650-Socks5ProxyPassword=x-#\r\n650-HiddenServiceDir=x-#\r\n650-MaxCircuitDirtiness=10\r\n650-ExitNodes\r\n650 OK"},
		{"who", "650-CONF_CHANGED\r\n650-Nickname=bob\r\n650-ContactInfo=bob at home\r\n650-SocksPort=192.0.2.1:9050 IsolateDestAddr\r\n650 OK",
			"650-CONF_CHANGED\r\n650-Nickname=x-#\r\n650-ContactInfo=x-#\r\n650-SocksPort=a-#.scrubbed:0 IsolateDestAddr\r\n650 OK"},
		{"paths", "650-CONF_CHANGED\r\n650-DataDirectory=/home/bob b/tor\r\n650-Log=notice file /home/bob b/log\r\n650-ControlSocket=/home/bob/s GroupWritable\r\n650-SocksPort=unix:\"/home/bob b/s\" IsolateDestAddr\r\n650-Log=notice stdout\r\n650-ExitPolicy=reject 192.0.2.0/24:80\r\n650-Sandbox=C:\\bob\r\n650 OK",
			"650-CONF_CHANGED\r\n650-DataDirectory=x-#\r\n650-Log=notice file x-#\r\n650-ControlSocket=x-# GroupWritable\r\n650-SocksPort=unix:\"x-#\" IsolateDestAddr\r\n650-Log=notice stdout\r\n650-ExitPolicy=reject a-#.scrubbed/24:80\r\n650-Sandbox=x-#\r\n650 OK"},
		// Text.
		{"names in text", "650 NOTICE Have tried resolving or connecting to address 'nx56.example' at 3 different places.", "650 NOTICE Have tried resolving or connecting to address 'h-#.scrubbed' at 3 different places."},
		{"single label in text", "650 NOTICE Have tried resolving or connecting to address 'intranet' at 3 different places. No Tor server allows exit to nas:25.", "650 NOTICE Have tried resolving or connecting to address 'h-#.scrubbed' at 3 different places. No Tor server allows exit to h-#.scrubbed:25."},
		{"number in text", "650 DEBUG Client asked for 2130706433:80", "650 DEBUG Client asked for h-#.scrubbed:80"},
		{"onion in text", "650 WARN Service address \"" + service + "\" invalid checksum, " + service + ".onion:80.", "650 WARN Service address \"o-#\" invalid checksum, o-#.onion:80."},
		{"relay in text", "650 INFO Chose " + public1 + " [lLUqnackOX8BmU2i6wmbOIB45cnFrzm/x5Vd3L3ltbs] at 192.0.2.7", "650 INFO Chose " + public1 + " [d-#] at a-#.scrubbed"},
		{"descriptor's path", "650 DEBUG Received GET command '/tor/hs/3/" + blinded + "'.", "650 DEBUG Received GET command '/tor/hs/3/d-#'."},
		{"index in text", "650 INFO upload request with index D089D108069B1FC2C0022C2282C791217FF60C1052D5FDCFFD78D93E2FBAE332.", "650 INFO upload request with index x-#."},
		{"bridge in text", "650 NOTICE new bridge descriptor 'otherbr' (fresh): $A4D5E794D96338C4A4D0444DCF368E1A5C88C909~otherbr [lLUqnackOX8BmU2i6wmbOIB45cnFrzm/x5Vd3L3ltbs] at 192.0.2.7",
			"650 NOTICE new bridge descriptor 'scrubbed' (fresh): $BRIDGE~scrubbed [d-#] at a-#.scrubbed"},
		{"bridge line in text", "650 WARN Bridge line \"obfs4 [2001:db8::7]:4711 1CB242004AB07AD24761DCE042A2F7CB9FB1E60C cert=AbCdEfGhIjKlMnOp/+ iat-mode=0\" is bad",
			"650 WARN Bridge line \"obfs4 [a-#.scrubbed]:0 BRIDGE cert=x-# iat-mode=0\" is bad"},
		{"bridge known from its line", "650 INFO circuit to 1CB242004AB07AD24761DCE042A2F7CB9FB1E60C by " + bridge1, "650 INFO circuit to BRIDGE by $BRIDGE~scrubbed"},
		{"block of text", "650+WARN\r\nfrom 192.0.2.1\r\n..www.example.com\r\n.\r\n650 OK", "650+WARN\r\nfrom a-#.scrubbed\r\n..h-#.scrubbed\r\n.\r\n650 OK"},
		{"digits in the last label", "650 NOTICE Trying nas.box2:80, then files.lan-2 and srv.2go", "650 NOTICE Trying h-#.scrubbed:80, then h-#.scrubbed and h-#.scrubbed"},
		{"encoded", "650 NOTICE Trying xn--bcher-kva then www.xn--bcher-kva.example and a.xn--p1ai", "650 NOTICE Trying h-#.scrubbed then h-#.scrubbed and h-#.scrubbed"},
		{"other script", "650 NOTICE Trying bücher.example:80, then 例え.テスト and b\\303\\274cher.example.", "650 NOTICE Trying h-#.scrubbed:80, then h-#.scrubbed and h-#.scrubbed."},
		{"user in text", "650 WARN Bad proxy \"http://bob:se,s@me@proxy.example:8080/\", ask bob@example.com or bob:pw@[2001:db8::1]:80 or bob:pw@nas:81 or bob@192.0.2.1",
			"650 WARN Bad proxy \"http://c-#@h-#.scrubbed:8080/\", ask c-#@h-#.scrubbed or c-#@[a-#.scrubbed]:0 or c-#@h-#.scrubbed:81 or c-#@a-#.scrubbed"},
		{"no user in text", "650 NOTICE 250+history/circuit-status@2026-11-23T08:15:00Z= and x@y", "650 NOTICE 250+history/circuit-status@2026-11-23T08:15:00Z= and x@y"},
		{"home in text", `650 NOTICE Read configuration file "/home/bob/torrc" and "C:\\Users\\bob.b\\torrc" and /etc/tor/torrc`, `650 NOTICE Read configuration file "/home/x-#/torrc" and "C:\\Users\\x-#\\torrc" and /etc/tor/torrc`},
		{"asked for in quotes", `650 INFO The application request to "nas":80 has launched 5 circuits; address ""b\303\274""; Map from intranet to 192.0.2.1 okay.`,
			`650 INFO The application request to "h-#.scrubbed":80 has launched 5 circuits; address ""h-#.scrubbed""; Map from h-#.scrubbed to a-#.scrubbed okay.`},
		{"rewritten", `650 INFO Addressmap: rewriting "nas" to "intranet"`, `650 INFO Addressmap: rewriting "h-#.scrubbed" to "h-#.scrubbed"`},
		{"states", `650 DEBUG Changing state of channel from "opening" to "open"`, `650 DEBUG Changing state of channel from "opening" to "open"`},
		{"asked of an exit", `650 DEBUG eventdns said that "intranet" resolves to "2130706433". Launching "nas". Your DNS provider gave an answer for "nas", which`,
			`650 DEBUG eventdns said that "h-#.scrubbed" resolves to "h-#.scrubbed". Launching "h-#.scrubbed". Your DNS provider gave an answer for "h-#.scrubbed", which`},
		{"a probe of a circuit", "650 INFO pathbias_send_usable_probe(): Sending pathbias testing cell to 0.69.30.133:25 on stream 48369 for circ 1347.",
			"650 INFO pathbias_send_usable_probe(): Sending pathbias testing cell to a-#.scrubbed:0 on stream 48369 for circ 1347."},
		{"versions and the like", "650 NOTICE Tor 0.4.9.11-alpha (git-27d4ba90f6) with Libevent 2.1.12-stable, OpenSSL 1.1.1n, Zlib 1.3.1, Linux 6.1.0-18-amd64, in 1.5s at 12.5KB/s, 99.5% in circuitbuild.c",
			"650 NOTICE Tor 0.4.9.11-alpha (git-27d4ba90f6) with Libevent 2.1.12-stable, OpenSSL 1.1.1n, Zlib 1.3.1, Linux 6.1.0-18-amd64, in 1.5s at 12.5KB/s, 99.5% in circuitbuild.c"},
		{"transport's log", `650 PT_LOG PT=/usr/bin/obfs4proxy SEVERITY=debug MESSAGE="to 192.0.2.1:4711"`, `650 PT_LOG PT=/usr/bin/obfs4proxy SEVERITY=debug MESSAGE="to a-#.scrubbed:0"`},
		{"event of nobody knows what", `650 FUTURE 7 BUILT nas user=bob ID=bob TAG=nas COUNT=3 WHEN=2026-11-23T08:15:00 ADDR=2001:db8::1 WHO="Bob B" PATH=` + public1 + "," + public2 + ` AT=bob,192.0.2.1 DONE=yes VIA=` + bridge1,
			`650 FUTURE 7 BUILT x-# user=x-# ID=x-# TAG=x-# COUNT=3 WHEN=2026-11-23T08:15:00 ADDR=a-#.scrubbed WHO="x-#" PATH=` + public1 + "," + public2 + ` AT=x-# DONE=yes VIA=$BRIDGE~scrubbed`},
		{"keyword of nobody knows what", "650 CIRC 5 BUILT PURPOSE=GENERAL FUTURE=nas NEXT=FINE", "650 CIRC 5 BUILT PURPOSE=GENERAL FUTURE=x-# NEXT=FINE"},
		{"event to come", `650 FUTURE www.example.com SOCKS_USERNAME="bob" at=192.0.2.1`, `650 FUTURE h-#.scrubbed SOCKS_USERNAME="c-#" at=a-#.scrubbed`},
		// State.
		{"snapshot", "650+JOURNAL SNAPSHOT\r\n250-version=0.4.9.11\r\n250+circuit-status=\r\n5 BUILT " + bridge1 + " REND_QUERY=" + service + "\r\n..\r\n" +
			"250+stream-status=\r\n9 SUCCEEDED 1 www.example.com:80\r\n10 NEW 0 192.0.2.1:81\r\n..\r\n250-orconn-status=192.0.2.1:555 CONNECTED\r\n" +
			"250+entry-guards=\r\n" + bridge1 + " up\r\n" + public1 + " never-connected\r\n..\r\n250-status/bootstrap-phase=WARN BOOTSTRAP PROGRESS=5 HOSTADDR=192.0.2.1:80\r\n" +
			"250-traffic/read=12\r\n250-address/v4=192.0.2.1\r\n250 OK\r\n.\r\n650 OK",
			"650+JOURNAL SNAPSHOT\r\n250-version=0.4.9.11\r\n250+circuit-status=\r\n5 BUILT $BRIDGE~scrubbed REND_QUERY=o-#\r\n..\r\n" +
				"250+stream-status=\r\n9 SUCCEEDED 1 h-#.scrubbed:80\r\n10 NEW 0 a-#.scrubbed:81\r\n..\r\n250-orconn-status=a-#.scrubbed:0 CONNECTED\r\n" +
				"250+entry-guards=\r\n$BRIDGE~scrubbed up\r\n" + public1 + " never-connected\r\n..\r\n250-status/bootstrap-phase=WARN BOOTSTRAP PROGRESS=5 HOSTADDR=a-#.scrubbed:0\r\n" +
				"250-traffic/read=12\r\n250-address/v4=a-#.scrubbed\r\n250 OK\r\n.\r\n650 OK"},
		{"snapshot of connections", "650+JOURNAL SNAPSHOT\r\n250+orconn-status=\r\n192.0.2.1:555 CONNECTED\r\n" + public1 + " CONNECTED\r\n..\r\n" +
			"250+entry-guards=\r\n" + public1 + " up\r\n..\r\n250 OK\r\n.\r\n650 OK",
			"650+JOURNAL SNAPSHOT\r\n250+orconn-status=\r\na-#.scrubbed:0 CONNECTED\r\n" + public1 + " CONNECTED\r\n..\r\n" +
				"250+entry-guards=\r\n" + public1 + " up\r\n..\r\n250 OK\r\n.\r\n650 OK"},
		// Nothing of the kind.
		{"bandwidth", "650 BW 12 34", "650 BW 12 34"},
		{"signal", "650 SIGNAL NEWNYM", "650 SIGNAL NEWNYM"},
	} {
		p := hashedPolicy(t, "all", conf, 1)
		p.Keep([]byte("650 NOTICE Bridge 1CB242004AB07AD24761DCE042A2F7CB9FB1E60C is there\r\n"))
		in := []byte(tc.in + "\r\n")
		before := bytes.Clone(in)
		out := p.Keep(in).Format()
		if got := masked(out); got != tc.want+"\r\n" {
			t.Errorf("%s:\n%s\nbecame\n%s\nwant\n%s", tc.name, tc.in, got, tc.want)
		}
		if again := p.Keep(out).Format(); !bytes.Equal(again, out) {
			t.Errorf("%s: hashed twice\n%q\nbecame\n%q", tc.name, out, again)
		}
		if !bytes.Equal(in, before) {
			t.Errorf("%s: Keep changed what it was given", tc.name)
		}
		want, got := parsed(t, in), parsed(t, out)
		if want.Type() != got.Type() || isUnknown(want) != isUnknown(got) {
			t.Errorf("%s: %T became %T", tc.name, want, got)
		}
	}
}

func parsed(t *testing.T, wire []byte) event.Event {
	t.Helper()
	ev, err := event.Parse(wire)
	if err != nil {
		t.Fatalf("%v: %q", err, wire)
	}
	return ev
}

func isUnknown(ev event.Event) bool {
	_, is := ev.(*event.Unknown)
	return is
}

// token returns the n-th hash in what an event becomes.
func token(t *testing.T, p *Policy, wire string, n int) string {
	t.Helper()
	out := p.Keep([]byte(wire + "\r\n")).Format()
	found := hashes.FindAllString(string(out), -1)
	if n >= len(found) {
		t.Fatalf("%q became %q", wire, out)
	}
	return found[n]
}

// A value is replaced by the same wherever it stands and however it is
// written, so that what happened to it can still be followed.
func TestHashedEqualStaysEqual(t *testing.T) {
	p := hashedPolicy(t, "all", map[string][]string{"Bridge": {"192.0.2.1:443 " + digits1}}, 1)
	type at struct {
		wire string
		n    int
	}
	for _, same := range [][]at{
		{
			{"650 STREAM 1 NEW 0 192.0.2.1:80", 0}, {"650 STREAM 1 NEW 0 x:80 SOURCE_ADDR=192.0.2.1:555", 1}, {"650 ORCONN 192.0.2.1:443 NEW", 0},
			{"650 ADDRMAP x 192.0.2.1 NEVER", 1}, {"650 NOTICE from 192.0.2.1.", 0}, {"650 NOTICE from 192.0.2.1:9001", 0},
			{"650 NOTICE from [::ffff:192.0.2.1]:9001", 0}, {"650-CONF_CHANGED\r\n650-Bridge=192.0.2.1:443\r\n650 OK", 0},
			{"650 STATUS_CLIENT WARN X HOSTADDR=\"192.0.2.1:443\"", 0}, {"650 TRANSPORT_LAUNCHED client x 192.0.2.1 5", 0},
		},
		{{"650 STREAM 1 NEW 0 [2001:db8::1]:80", 0}, {"650 NOTICE at 2001:DB8:0:0:0:0:0:1", 0}, {"650 ADDRMAP x 2001:db8:0::1 NEVER", 1}},
		{{"650 STREAM 1 NEW 0 www.Example.com:80", 0}, {"650 ADDRMAP www.example.com 192.0.2.1 NEVER", 0}, {"650 NOTICE to 'www.example.com'", 0}, {"650 NOTICE to www.example.com:80.", 0}},
		{{"650 STREAM 1 NEW 0 bücher.example:80", 0}, {"650 NOTICE to bücher.example", 0}, {`650 NOTICE to b\303\274cher.example`, 0}, {`650 INFO request for "b\303\274cher.example" to`, 0}},
		{
			{"650 STREAM 1 NEW 0 " + service + ".onion:80", 0}, {"650 STREAM 1 NEW 0 www." + service + ".onion:80", 1}, {"650 HS_DESC RECEIVED " + service + " NO_AUTH x", 0},
			{"650 CIRC 1 BUILT REND_QUERY=" + service, 0}, {"650 NOTICE for " + service + ".onion.", 0}, {"650 NOTICE for " + strings.ToUpper(service), 0},
		},
		{{"650 HS_DESC RECEIVED x NO_AUTH x " + blinded, 1}, {"650+HS_DESC_CONTENT x " + blinded + " x\r\n\r\n.\r\n650 OK", 1}, {"650 INFO with blinded key " + blinded + " to", 0}},
		{
			{"650 HS_DESC UPLOAD x NO_AUTH x " + blinded + " HSDIR_INDEX=D089D108069B1FC2C0022C2282C791217FF60C1052D5FDCFFD78D93E2FBAE332", 2},
			{"650 INFO index D089D108069B1FC2C0022C2282C791217FF60C1052D5FDCFFD78D93E2FBAE332", 0},
		},
		{{`650 CIRC 1 BUILT SOCKS_USERNAME="a\"b"`, 0}, {`650 STREAM 1 NEW 0 x:1 SOCKS_USERNAME="a\"b"`, 1}, {`650 STREAM 1 NEW 0 x:1 SOCKS_USERNAME=a"b`, 1}},
		{{"650 GUARD ENTRY " + bridge1 + " UP", 0}, {"650 CIRC 1 BUILT $" + digits1, 0}, {"650 NOTICE bridge " + strings.ToLower(digits1), 0}},
	} {
		want := token(t, p, same[0].wire, same[0].n)
		for _, s := range same[1:] {
			if got := token(t, p, s.wire, s.n); got != want {
				t.Errorf("%q has %s, %q has %s", same[0].wire, want, s.wire, got)
			}
		}
	}
	if a, b := token(t, p, "650 STREAM 1 NEW 0 bob:1", 0), token(t, p, `650 CIRC 1 BUILT SOCKS_USERNAME="bob"`, 0); a[2:] == b[2:] {
		t.Errorf("a name and a credential have the same hash %s: who has the one could tell the other", a)
	}
}

func TestHashedByAnotherKey(t *testing.T) {
	one, same, other := hashedPolicy(t, "all", nil, 1), hashedPolicy(t, "all", nil, 1), hashedPolicy(t, "all", nil, 2)
	const wire = "650 STREAM 1 NEW 0 www.example.com:80"
	if token(t, one, wire, 0) != token(t, same, wire, 0) || one.keyed.ID() != same.keyed.ID() {
		t.Error("the same key gives something else")
	}
	if token(t, one, wire, 0) == token(t, other, wire, 0) || one.keyed.ID() == other.keyed.ID() {
		t.Error("another key gives the same")
	}
	if _, err := NewHasher(make([]byte, 31)); err == nil {
		t.Error("a short key was taken")
	}
}

// Tor may use a bridge that its configuration names no fingerprint of: then
// whom it connects to is one.
func TestHashedEntryIsABridgeWhereBridgesAreUsed(t *testing.T) {
	p := hashedPolicy(t, "client", map[string][]string{"UseBridges": {"1"}, "Bridge": {"203.0.113.7:443"}}, 1)
	keep := func(in, want string) {
		t.Helper()
		if got := masked(p.Keep([]byte(in + "\r\n")).Format()); got != want+"\r\n" {
			t.Errorf("%s\nbecame\n%s\nwant\n%s", in, got, want)
		}
	}
	keep("650 GUARD ENTRY "+public1+" DOWN", "650 GUARD ENTRY $BRIDGE~scrubbed DOWN")
	keep("650 NEWDESC "+public1, "650 NEWDESC "+public1) // a guard of old: it is known to all
	keep("650 CIRC 1 EXTENDED "+bridge1+" PURPOSE=GENERAL", "650 CIRC 1 EXTENDED $BRIDGE~scrubbed PURPOSE=GENERAL")
	keep("650 NEWDESC "+bridge1, "650 NEWDESC $BRIDGE~scrubbed")
	keep("650 NOTICE guard mybridge ($"+digits1+") is slow", "650 NOTICE guard scrubbed ($BRIDGE) is slow")
	keep("650-CONF_CHANGED\r\n650-Bridge\r\n650-UseBridges=0\r\n650 OK", "650-CONF_CHANGED\r\n650-Bridge\r\n650-UseBridges=0\r\n650 OK")
	keep("650 CIRC 2 EXTENDED "+public1, "650 CIRC 2 EXTENDED "+public1)
	keep("650 CIRC 1 CLOSED "+bridge1, "650 CIRC 1 CLOSED $BRIDGE~scrubbed")
	keep("650-CONF_CHANGED\r\n650-UseBridges=1\r\n650 OK", "650-CONF_CHANGED\r\n650-UseBridges=1\r\n650 OK")
	keep("650 ORCONN "+public2+" LAUNCHED ID=1", "650 ORCONN $BRIDGE~scrubbed LAUNCHED ID=1")
	keep("650 HS_DESC UPLOADED UNKNOWN NO_AUTH "+public2, "650 HS_DESC UPLOADED UNKNOWN NO_AUTH $BRIDGE~scrubbed")
}

// What is only delivered is hashed too, and what the role strips is not
// hashed.
func TestHashedOnARelay(t *testing.T) {
	p := hashedPolicy(t, "relay", nil, 1)
	live := p.Keep([]byte("650 STREAM 1 NEW 0 www.example.com:80\r\n"))
	if _, is := live.(event.Live); !is || masked(live.Format()) != "650 STREAM 1 NEW 0 h-#.scrubbed:80\r\n" {
		t.Errorf("%T %q", live, live.Format())
	}
	for in, want := range map[string]string{
		"650 ORCONN 192.0.2.1:52586 NEW ID=46":                                      "650 ORCONN [scrubbed] NEW ID=46",
		`650 STATUS_CLIENT WARN SOCKS_UNKNOWN_PROTOCOL DATA="GET"`:                  "650 STATUS_CLIENT WARN SOCKS_UNKNOWN_PROTOCOL DATA=[scrubbed]",
		"650-CONF_CHANGED\r\n650-Bridge=192.0.2.1:1\r\n650-ContactInfo=b\r\n650 OK": "650-CONF_CHANGED\r\n650-Bridge=[scrubbed]\r\n650-ContactInfo=x-#\r\n650 OK",
		"650 NOTICE from 192.0.2.1":                                                 "650 NOTICE from [scrubbed]",
	} {
		if got := masked(p.Keep([]byte(in + "\r\n")).Format()); got != want+"\r\n" {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// A bridge's own name is what its users must not be found by.
func TestHashedSource(t *testing.T) {
	h := hasher(t, 1)
	src := event.Source{Name: "mine", Role: Bridge, Fingerprint: digits1}
	got := h.Describe(src)
	if got.Scrub != h.ID() || !isMasked([]byte(got.Fingerprint)) || len(got.Fingerprint) != 40 || got.Name != "mine" {
		t.Errorf("%+v", got)
	}
	if again := h.Describe(got); again != got {
		t.Errorf("described twice: %+v", again)
	}
	p := policy(t, "bridge", nil).Hashed(h, map[string][]string{"Nickname": {"mybridge"}})
	out := masked(p.Keep([]byte("650 NOTICE Your identity key fingerprint is 'mybridge " + digits1 + "'\r\n")).Format())
	if want := "650 NOTICE Your identity key fingerprint is 'scrubbed BRIDGE'\r\n"; out != want {
		t.Errorf("%q, want %q", out, want)
	}
	src.Role = Relay
	if got := h.Describe(src); got.Fingerprint != digits1 {
		t.Errorf("a relay's fingerprint became %s: it is public", got.Fingerprint)
	}
}

// More bridges than can be remembered: then all relays are taken for bridges.
func TestHashedTooManyBridges(t *testing.T) {
	h := hasher(t, 1)
	p := policy(t, "all", nil).Hashed(h, nil)
	fp := func(n int) string {
		r := rand.New(rand.NewPCG(uint64(n), 7))
		var b strings.Builder
		for range 40 {
			b.WriteByte("123456789ABCDEF"[r.IntN(15)])
		}
		return b.String()
	}
	for n := range maxBridges + 2 {
		p.Keep([]byte("650 NOTICE bridge " + fp(n) + "\r\n"))
	}
	if n := len(h.bridges.known); n > maxBridges {
		t.Errorf("%d bridges remembered", n)
	}
	if got := masked(p.Keep([]byte("650 NEWDESC " + public1 + "\r\n")).Format()); got != "650 NEWDESC $BRIDGE~scrubbed\r\n" {
		t.Errorf("%q", got)
	}
}

func FuzzHashed(f *testing.F) {
	f.Add([]byte("650 STREAM 1 NEW 0 www.example.com:80 SOCKS_USERNAME=\"a \\\" b\" SOURCE_ADDR=[::1]:5\r\n"))
	f.Add([]byte("650+HS_DESC_CONTENT x " + blinded + " y\r\nbody\r\n.\r\n650 OK\r\n"))
	f.Add([]byte("650+HS_DESC_CONTENT x\r\nbody\r\n"))
	f.Add([]byte("650-CONF_CHANGED\r\n650-Bridge=obfs4 1.2.3.4:5 " + digits1 + " cert=x\r\n650-UseBridges=1\r\n650 OK\r\n"))
	f.Add([]byte("650+JOURNAL SNAPSHOT\r\n250+stream-status=\r\n1 NEW 0 a.example:1\r\n..\r\n250 OK\r\n.\r\n650 OK\r\n"))
	f.Add([]byte("650 NOTICE bridge cert=abcdefghijkl [::1%lo]:80 1.2.3.4.5 ::ffff:1.2.3.4:80 a.b.onion " + service + " " + bridge1 + "\r\n"))
	f.Add([]byte("650 CIRC 1 BUILT $,," + bridge1 + ",$ REND_QUERY=.onion\r\n"))
	f.Add([]byte("650 ADDRMAP [::] 2001:db8::1:80 \"x\r\n"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		p := hashedPolicy(t, "all", map[string][]string{"UseBridges": {"1"}}, 1)
		before := bytes.Clone(wire)
		out := p.Keep(wire).Format()
		if !bytes.Equal(before, wire) {
			t.Fatalf("Keep changed what it was given: %q", before)
		}
		in, err := event.Parse(wire)
		if err != nil {
			return
		}
		after, err := event.Parse(out)
		if err != nil {
			t.Fatalf("%v:\n%q became\n%q", err, wire, out)
		}
		if in.Type() != after.Type() {
			t.Fatalf("%s became %s:\n%q\n%q", in.Type(), after.Type(), wire, out)
		}
		// Hashing twice is left to the other tests: what stands for an address
		// that abuts a letter, as no address does, is another name with it.
		switch in.Type() {
		case event.NOTICE, event.STREAM, event.ADDRMAP:
			if found := addressesIn(hashes.ReplaceAll(out, nil)); len(found) > 0 {
				t.Fatalf("%v left:\n%q\n%q", found, wire, out)
			}
		}
	})
}
