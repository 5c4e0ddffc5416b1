package event

import (
	"reflect"
	"strings"
	"testing"
)

// handmade has at least one event of every type, as an in-process source
// would make it, and the bytes that tor sends for it.
var handmade = []struct {
	event Event
	wire  string
}{
	{
		&Circuit{ID: "7", Status: "LAUNCHED", CircuitInfo: CircuitInfo{
			BuildFlags: "NEED_CAPACITY", Purpose: "GENERAL", TimeCreated: "2026-11-23T08:45:50.502072",
		}},
		"650 CIRC 7 LAUNCHED BUILD_FLAGS=NEED_CAPACITY PURPOSE=GENERAL TIME_CREATED=2026-11-23T08:45:50.502072\r\n",
	},
	{
		&Circuit{
			ID: "149", Status: "FAILED", Path: "$D074985ADE267C0F6CBAB4C48785B1655023A3E7~auth0,$6D29555F42EF09AAF7FC2435240F21755DBACE21~relay3",
			CircuitInfo: CircuitInfo{
				BuildFlags: "IS_INTERNAL,NEED_CAPACITY", Purpose: "HS_CLIENT_INTRO", HSState: "HSCI_CONNECTING",
				RendQuery: "myef43a3fs2c32yyxswfgudoyzbqip4qpmvbolfrm3hjkxozpfxr35qd", TimeCreated: "2026-11-23T08:46:25.375332",
				SocksUsername: `it's a "name"`, SocksPassword: "p\xe9\n", HSPoW: "v1,100",
				ConfluxID: "E48D96750FA41F1FDBFC36569AF99FE3", ConfluxRTT: 1234567,
			},
			Reason: "DESTROYED", RemoteReason: "CHANNEL_CLOSED",
		},
		`650 CIRC 149 FAILED $D074985ADE267C0F6CBAB4C48785B1655023A3E7~auth0,$6D29555F42EF09AAF7FC2435240F21755DBACE21~relay3` +
			` BUILD_FLAGS=IS_INTERNAL,NEED_CAPACITY PURPOSE=HS_CLIENT_INTRO HS_STATE=HSCI_CONNECTING` +
			` REND_QUERY=myef43a3fs2c32yyxswfgudoyzbqip4qpmvbolfrm3hjkxozpfxr35qd TIME_CREATED=2026-11-23T08:46:25.375332` +
			` SOCKS_USERNAME="it\'s a \"name\"" SOCKS_PASSWORD="p\351\n" HS_POW=v1,100` +
			` CONFLUX_ID=E48D96750FA41F1FDBFC36569AF99FE3 CONFLUX_RTT=1234567 REASON=DESTROYED REMOTE_REASON=CHANNEL_CLOSED` + "\r\n",
	},
	{
		&CircuitMinor{
			ID: "513", Event: "CANNIBALIZED", Path: "$D074985ADE267C0F6CBAB4C48785B1655023A3E7~auth0",
			CircuitInfo: CircuitInfo{Purpose: "HS_SERVICE_HSDIR", HSState: "HSSI_CONNECTING"},
			OldPurpose:  "HS_SERVICE_INTRO", OldHSState: "HSSI_ESTABLISHED", OldTimeCreated: "2026-11-23T08:47:45.916705",
		},
		"650 CIRC_MINOR 513 CANNIBALIZED $D074985ADE267C0F6CBAB4C48785B1655023A3E7~auth0 PURPOSE=HS_SERVICE_HSDIR HS_STATE=HSSI_CONNECTING" +
			" OLD_PURPOSE=HS_SERVICE_INTRO OLD_HS_STATE=HSSI_ESTABLISHED OLD_TIME_CREATED=2026-11-23T08:47:45.916705\r\n",
	},
	{
		&Stream{
			ID: "65", Status: "REMAP", CircID: "30", Target: "127.0.0.20:18080", Reason: "END", RemoteReason: "MISC", Source: "EXIT",
			SourceAddr: "127.0.0.1:35584", Purpose: "USER", SocksUsername: "u0", SocksPassword: "p 0", ClientProtocol: "SOCKS5",
			NymEpoch: 18446744073709551615, SessionGroup: -4, IsoFields: "SOCKS_USERNAME,SOCKS_PASSWORD,NYM_EPOCH",
		},
		`650 STREAM 65 REMAP 30 127.0.0.20:18080 REASON=END REMOTE_REASON=MISC SOURCE=EXIT SOURCE_ADDR=127.0.0.1:35584 PURPOSE=USER` +
			` SOCKS_USERNAME="u0" SOCKS_PASSWORD="p 0" CLIENT_PROTOCOL=SOCKS5 NYM_EPOCH=18446744073709551615 SESSION_GROUP=-4` +
			` ISO_FIELDS=SOCKS_USERNAME,SOCKS_PASSWORD,NYM_EPOCH` + "\r\n",
	},
	{
		&ORConn{Target: "$C52191F2F9A0CC076353E8178D5A411AD3AF7C5B~relay4", Status: "FAILED", Reason: "CONNECTREFUSED", Circuits: 1, ID: "294"},
		"650 ORCONN $C52191F2F9A0CC076353E8178D5A411AD3AF7C5B~relay4 FAILED REASON=CONNECTREFUSED NCIRCS=1 ID=294\r\n",
	},
	{&ORConn{Target: "[::1]:52586", Status: "NEW", ID: "46"}, "650 ORCONN [::1]:52586 NEW ID=46\r\n"},
	{&Bandwidth{}, "650 BW 0 0\r\n"},
	{&Bandwidth{Read: 18446744073709551615, Written: 10000000000000000000}, "650 BW 18446744073709551615 10000000000000000000\r\n"},
	{&Bandwidth{Read: 1, Written: 2, Rest: Rest{Extra: "DIR=1 OR=2"}}, "650 BW 1 2 DIR=1 OR=2\r\n"},
	{&Log{Severity: DEBUG, Message: "conn_read_callback(): socket 14 wants to read."}, "650 DEBUG conn_read_callback(): socket 14 wants to read.\r\n"},
	{&Log{Severity: INFO, Message: " two  blanks, \x00 and \xff "}, "650 INFO  two  blanks, \x00 and \xff \r\n"},
	{&Log{Severity: NOTICE}, "650 NOTICE \r\n"},
	{&Log{Severity: WARN, Message: "one\n.two\n\nfour", block: true}, "650+WARN\r\none\r\n..two\r\n\r\nfour\r\n.\r\n650 OK\r\n"},
	{&Log{Severity: ERR, Message: "Reading config failed--see warnings above."}, "650 ERR Reading config failed--see warnings above.\r\n"},
	{
		&NewDesc{Names: "$D074985ADE267C0F6CBAB4C48785B1655023A3E7~auth0 $6D29555F42EF09AAF7FC2435240F21755DBACE21"},
		"650 NEWDESC $D074985ADE267C0F6CBAB4C48785B1655023A3E7~auth0 $6D29555F42EF09AAF7FC2435240F21755DBACE21\r\n",
	},
	{
		&AddrMap{Address: "mapped.example", NewAddress: "127.0.0.6", Expiry: "NEVER", Cached: "YES"},
		"650 ADDRMAP mapped.example 127.0.0.6 NEVER CACHED=\"YES\"\r\n",
	},
	{
		&AddrMap{
			Address: "127.0.0.9", NewAddress: "<error>", Expiry: "2026-11-23 09:47:13", Error: "yes",
			Expires: "2026-11-23 08:47:13", Cached: "NO", StreamID: "171",
		},
		`650 ADDRMAP 127.0.0.9 <error> "2026-11-23 09:47:13" error=yes EXPIRES="2026-11-23 08:47:13" CACHED="NO" STREAMID=171` + "\r\n",
	},
	{&DescChanged{}, "650 DESCCHANGED\r\n"},
	{
		&Status{Class: STATUS_GENERAL, Severity: "WARN", Action: "CLOCK_SKEW", Arguments: "MIN_SKEW=-3600 SOURCE=OR:127.0.0.1:9001"},
		"650 STATUS_GENERAL WARN CLOCK_SKEW MIN_SKEW=-3600 SOURCE=OR:127.0.0.1:9001\r\n",
	},
	{
		&Status{Class: STATUS_CLIENT, Severity: "NOTICE", Action: "BOOTSTRAP", Arguments: `PROGRESS=5 TAG=conn SUMMARY="Connecting to a relay"`},
		`650 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=5 TAG=conn SUMMARY="Connecting to a relay"` + "\r\n",
	},
	{
		&Status{Class: STATUS_SERVER, Severity: "NOTICE", Action: "GOOD_SERVER_DESCRIPTOR"},
		"650 STATUS_SERVER NOTICE GOOD_SERVER_DESCRIPTOR\r\n",
	},
	{
		&Guard{Kind: "ENTRY", Name: "$3487DA83E386267730C95033CF1B1B4CE1FEF7A0~auth2", Status: "BAD_L2"},
		"650 GUARD ENTRY $3487DA83E386267730C95033CF1B1B4CE1FEF7A0~auth2 BAD_L2\r\n",
	},
	{
		&NetworkStatus{Name: NS, Entries: "r auth1 9xGo5XB+/PcHX1HkyEEdwx1/fYM\r\ns Exit\r\nw Bandwidth=1\r\n"},
		"650+NS\r\nr auth1 9xGo5XB+/PcHX1HkyEEdwx1/fYM\r\ns Exit\r\nw Bandwidth=1\r\n.\r\n650 OK\r\n",
	},
	{&NetworkStatus{Name: NEWCONSENSUS, Entries: ""}, "650+NEWCONSENSUS\r\n.\r\n650 OK\r\n"},
	{
		&StreamBandwidth{ID: "8", Written: 169, Read: 12, Time: "2026-11-23T08:45:46.789522"},
		"650 STREAM_BW 8 169 12 2026-11-23T08:45:46.789522\r\n",
	},
	{&StreamBandwidth{ID: "8", Written: 1, Read: 2}, "650 STREAM_BW 8 1 2\r\n"},
	{
		&ClientsSeen{TimeStarted: "2008-12-25 23:50:43", CountrySummary: "us=16,de=8,uk=8", IPVersions: "v4=16,v6=40"},
		`650 CLIENTS_SEEN TimeStarted="2008-12-25 23:50:43" CountrySummary=us=16,de=8,uk=8 IPVersions=v4=16,v6=40` + "\r\n",
	},
	{
		&BuildTimeoutSet{
			Kind: "COMPUTED", TotalTimes: 100, TimeoutMS: 38, Xm: 30, Alpha: 6.520469, CutoffQuantile: 0.8,
			TimeoutRate: 0.125, CloseMS: 60000, CloseRate: 0.25,
		},
		"650 BUILDTIMEOUT_SET COMPUTED TOTAL_TIMES=100 TIMEOUT_MS=38 XM=30 ALPHA=6.520469 CUTOFF_QUANTILE=0.800000" +
			" TIMEOUT_RATE=0.125000 CLOSE_MS=60000 CLOSE_RATE=0.250000\r\n",
	},
	{
		&BuildTimeoutSet{Kind: "SUSPENDED", TimeoutMS: 60000, CutoffQuantile: 0.8, CloseMS: 60000},
		"650 BUILDTIMEOUT_SET SUSPENDED TOTAL_TIMES=0 TIMEOUT_MS=60000 XM=0 ALPHA=0.000000 CUTOFF_QUANTILE=0.800000" +
			" TIMEOUT_RATE=0.000000 CLOSE_MS=60000 CLOSE_RATE=0.000000\r\n",
	},
	{&Signal{Signal: "NEWNYM"}, "650 SIGNAL NEWNYM\r\n"},
	{
		&ConfChanged{Options: []Option{
			{Name: "ContactInfo", Value: `quoted "x" = y`, Set: true}, {Name: "NodeFamily", Value: "relay3", Set: true},
			{Name: "NodeFamily", Value: "", Set: true}, {Name: "ExitNodes"},
		}},
		"650-CONF_CHANGED\r\n650-ContactInfo=quoted \"x\" = y\r\n650-NodeFamily=relay3\r\n650-NodeFamily=\r\n650-ExitNodes\r\n650 OK\r\n",
	},
	{&ConfChanged{}, "650-CONF_CHANGED\r\n650 OK\r\n"},
	{
		&TransportLaunched{Kind: "client", Name: "obfs4", Address: "127.0.0.1", Port: 15991},
		"650 TRANSPORT_LAUNCHED client obfs4 127.0.0.1 15991\r\n",
	},
	{&ConnBandwidth{ID: "41", Kind: "DIR", Read: 169, Written: 63}, "650 CONN_BW ID=41 TYPE=DIR READ=169 WRITTEN=63\r\n"},
	{
		&CircuitBandwidth{
			ID: "1", Read: 1527, Written: 2036, Time: "2026-11-23T08:45:51.470828",
			DeliveredRead: 187, OverheadRead: 1307, DeliveredWritten: 384, OverheadWritten: 1608,
			SlowStart: 1, CongestionWindow: 124, RTT: 35, MinRTT: 12,
		},
		"650 CIRC_BW ID=1 READ=1527 WRITTEN=2036 TIME=2026-11-23T08:45:51.470828 DELIVERED_READ=187 OVERHEAD_READ=1307" +
			" DELIVERED_WRITTEN=384 OVERHEAD_WRITTEN=1608 SS=1 CWND=124 RTT=35 MIN_RTT=12\r\n",
	},
	{
		&CircuitBandwidth{ID: "8", Time: "2026-11-23T08:45:52.470084"},
		"650 CIRC_BW ID=8 READ=0 WRITTEN=0 TIME=2026-11-23T08:45:52.470084 DELIVERED_READ=0 OVERHEAD_READ=0" +
			" DELIVERED_WRITTEN=0 OVERHEAD_WRITTEN=0\r\n",
	},
	{
		&CellStats{
			ID: "14", InboundQueue: "19403", InboundConn: "32", InboundAdded: "relay:1", InboundRemoved: "relay:1,created2:2", InboundTime: "relay:0,created2:5",
			OutboundQueue: "6710", OutboundConn: "18", OutboundAdded: "create2:1", OutboundRemoved: "create2:1", OutboundTime: "create2:0",
		},
		"650 CELL_STATS ID=14 InboundQueue=19403 InboundConn=32 InboundAdded=relay:1 InboundRemoved=relay:1,created2:2 InboundTime=relay:0,created2:5" +
			" OutboundQueue=6710 OutboundConn=18 OutboundAdded=create2:1 OutboundRemoved=create2:1 OutboundTime=create2:0\r\n",
	},
	{&CellStats{}, "650 CELL_STATS \r\n"},
	{
		&HSDesc{
			Action: "UPLOAD", Address: "myef43a3fs2c32yyxswfgudoyzbqip4qpmvbolfrm3hjkxozpfxr35qd", AuthType: "UNKNOWN",
			HSDir: "$991D698A71E0EC8B7D060DEEEE12F8FEA2DB48C1~exit7", DescriptorID: "0djKLGE7vcOkVOb5ZXJVexwWhJrNdmM6zQIqKI6u3Xs", HSDirIndex: "AA03",
		},
		"650 HS_DESC UPLOAD myef43a3fs2c32yyxswfgudoyzbqip4qpmvbolfrm3hjkxozpfxr35qd UNKNOWN $991D698A71E0EC8B7D060DEEEE12F8FEA2DB48C1~exit7" +
			" 0djKLGE7vcOkVOb5ZXJVexwWhJrNdmM6zQIqKI6u3Xs HSDIR_INDEX=AA03\r\n",
	},
	{
		&HSDesc{Action: "FAILED", Address: "UNKNOWN", AuthType: "NO_AUTH", HSDir: "UNKNOWN", Reason: "QUERY_NO_HSDIR", Replica: "0"},
		"650 HS_DESC FAILED UNKNOWN NO_AUTH UNKNOWN REASON=QUERY_NO_HSDIR REPLICA=0\r\n",
	},
	{
		&HSDescContent{Address: "pg6m", DescriptorID: "UYIY", HSDir: "$991D~exit7", Descriptor: "hs-descriptor 3\r\n..dot\r\n"},
		"650+HS_DESC_CONTENT pg6m UYIY $991D~exit7\r\nhs-descriptor 3\r\n..dot\r\n.\r\n650 OK\r\n",
	},
	{&NetworkLiveness{Status: "DOWN"}, "650 NETWORK_LIVENESS DOWN\r\n"},
	{
		&PTLog{Program: "/usr/bin/obs4proxy", Severity: "debug", Message: "Connected to bridge A"},
		`650 PT_LOG PT=/usr/bin/obs4proxy SEVERITY=debug MESSAGE="Connected to bridge A"` + "\r\n",
	},
	{
		&PTStatus{Program: "/usr/bin/obs4proxy", Transport: "obfs4", Rest: Rest{Extra: "CONNECT=Success"}},
		"650 PT_STATUS PT=/usr/bin/obs4proxy TRANSPORT=obfs4 CONNECT=Success\r\n",
	},
	{
		&AuthDirNewDescs{Action: "REJECTED", Message: ".hidden: not listed", Descriptor: "router test 127.0.0.1\r\n..\r\n"},
		"650+AUTHDIR_NEWDESCS\r\nREJECTED\r\n..hidden: not listed\r\nrouter test 127.0.0.1\r\n..\r\n.\r\n650 OK\r\n",
	},
	{&Journal{What: WhatMark, Keywords: `TEXT="upgrade begins"`}, `650 JOURNAL MARK TEXT="upgrade begins"` + "\r\n"},
	{&Journal{What: WhatGap, Keywords: "FROM=1 TO=9"}, "650 JOURNAL GAP FROM=1 TO=9\r\n"},
	{
		&Journal{What: WhatSnapshot, Keywords: "VERSION=0.4.9.11", Data: "250+circuit-status=\r\n..\r\n250 OK\r\n", block: true},
		"650+JOURNAL SNAPSHOT VERSION=0.4.9.11\r\n250+circuit-status=\r\n..\r\n250 OK\r\n.\r\n650 OK\r\n",
	},
}

func TestHandmade(t *testing.T) {
	seen := map[Type]bool{}
	for _, h := range handmade {
		seen[h.event.Type()] = true
		if got := string(h.event.Format()); got != h.wire {
			t.Errorf("%T formats to\n     %q\nwant %q", h.event, got, h.wire)
		}
		e, err := Parse([]byte(h.wire))
		if err != nil {
			t.Errorf("%v: %q", err, h.wire)
			continue
		}
		if got := string(e.Format()); got != h.wire {
			t.Errorf("parsed and formatted:\n got %q\nwant %q", got, h.wire)
		}
		if forget(e); !reflect.DeepEqual(e, h.event) {
			t.Errorf("%q parses to\n     %+v\nwant %+v", h.wire, e, h.event)
		}
	}
	for _, typ := range Types() {
		if !seen[typ] {
			t.Errorf("no handmade event of type %s", typ)
		}
	}
}

// TestHandmadeFields: no field of any struct goes untested.
func TestHandmadeFields(t *testing.T) {
	filled := map[string]bool{}
	for _, h := range handmade {
		eachField(reflect.ValueOf(h.event).Elem(), func(name string, v reflect.Value) {
			filled[name] = filled[name] || !v.IsZero()
		})
	}
	for name, ok := range filled {
		if !ok {
			t.Errorf("%s is empty in all handmade events", name)
		}
	}
}

// eachField calls each with the exported fields of a struct and of what it
// embeds.
func eachField(v reflect.Value, each func(string, reflect.Value)) {
	for i := range v.NumField() {
		switch f := v.Type().Field(i); {
		case f.Anonymous && f.Type.Kind() == reflect.Struct:
			eachField(v.Field(i), each)
		case f.IsExported():
			each(v.Type().Name()+"."+f.Name, v.Field(i))
		}
	}
}

// forget makes a parsed event one made by hand: only its fields count.
func forget(e Event) {
	if c, ok := e.(interface{ self() *form }); ok {
		*c.self() = form{}
	}
}

func (f *form) self() *form { return f }

// TestForged: whatever a field of a hand-made event holds, the wire form is
// one reply of the event's type, and keywords keep their values.
func TestForged(t *testing.T) {
	for _, s := range hostile {
		for _, h := range handmade {
			forged(t, h.event, s)
		}
	}
}

// hostile are values that would break a line if they were written as they
// are.
var hostile = []string{
	"a\r\n650 BW 1 1", "a\n650 BW 1 1", "\r\n.\r\n650 OK\r\n650 BW 1 1\r\n", ".\r\n650 OK\r\n", ".", "\r", "\n", "\r\n", "a\rb", "a b", ` "`,
	`"`, `"a`, `"a"`, `"a" b`, `\`, `a"b c"`, "=", "A=b", "a\x00b", "\xff", "é", "  ", " a", "a ", "\t", "\n.\n",
}

// forged fills every text of an event like e with s and formats it.
func forged(t *testing.T, like Event, s string) {
	t.Helper()
	e := reflect.New(reflect.TypeOf(like).Elem())
	fill(e.Elem(), s)
	switch v := e.Interface().(type) { // these have no name of their own
	case *Log:
		v.Severity = WARN
	case *Status:
		v.Class = STATUS_CLIENT
	case *NetworkStatus:
		v.Name = NS
	}
	event := e.Interface().(Event)
	wire := event.Format()
	f, err := cut(string(wire))
	if err != nil {
		t.Fatalf("%T with %q everywhere formats to %q: %v", event, s, wire, err)
	}
	if f.name != event.Type() || f.stray {
		t.Fatalf("%T with %q everywhere formats to %q", event, s, wire)
	}
	if f.sep == ' ' && f.rest != "" {
		t.Fatalf("%T with %q everywhere has further lines: %q", event, s, wire)
	}
	back, err := Parse(wire)
	if err != nil || string(back.Format()) != string(wire) {
		t.Fatalf("%T with %q everywhere: %q, %v", event, s, wire, err)
	}
	if c, ok := back.(*Stream); ok && s != "" && (c.Reason != s || c.SocksUsername != s || c.Target != s) {
		t.Fatalf("a stream with %q everywhere comes back as %+v", s, c)
	}
}

func fill(v reflect.Value, s string) {
	switch v.Kind() {
	case reflect.String:
		if v.CanSet() {
			v.SetString(s)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), s)
		}
	case reflect.Slice:
		if v.CanSet() {
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			for i := range v.Len() {
				fill(v.Index(i), s)
			}
		}
	}
}

// TestJournalWords: what NewJournal makes comes back, whatever the values.
func TestJournalWords(t *testing.T) {
	for _, s := range hostile {
		j := NewJournal(WhatMark, "TEXT", s, "bad key\r\n=", s, "N", "7")
		e, err := Parse(j.Format())
		if err != nil {
			t.Fatal(err)
		}
		back, ok := e.(*Journal)
		if !ok {
			t.Fatalf("%q is parsed to %+v", j.Format(), e)
		}
		for _, key := range []string{"TEXT", "bad_key___"} {
			if got, ok := back.Keywords.Get(key); got != s || !ok {
				t.Errorf("%s of %q is %q, want %q", key, j.Format(), got, s)
			}
		}
		if n, _ := back.Keywords.Get("N"); n != "7" || back.Keywords.Len() != 3 {
			t.Errorf("%q has %d keywords, N=%q", j.Format(), back.Keywords.Len(), n)
		}
	}
	if got := NewKeywords("A", "", "B"); got != `A="" B` {
		t.Errorf("keywords %q", got)
	}
}

// TestSnapshot: tor's own reply comes back byte for byte.
func TestSnapshot(t *testing.T) {
	replies := []string{
		"",
		"250 OK\r\n",
		"250-version=0.4.9.11\r\n250+circuit-status=\r\n7 LAUNCHED\r\n.\r\n250 OK\r\n",
		"250+x=\r\n..stuffed\r\n...\r\n.\r\n250 OK\r\n",
		"\r\n\r\n.\r\n.\r\n",
		strings.Repeat("250-x\r\n", 1000),
	}
	for _, reply := range replies {
		j := NewSnapshot([]byte(reply), "VERSION", "0.4.9.11")
		e, err := Parse(j.Format())
		if err != nil {
			t.Fatal(err)
		}
		if back := e.(*Journal); back.What != WhatSnapshot || back.Snapshot() != reply {
			t.Errorf("reply %q comes back as %q", reply, back.Snapshot())
		}
	}
	if got := NewSnapshot([]byte("250 OK\n.")).Snapshot(); got != "250 OK\r\n.\r\n" {
		t.Errorf("a reply with bare line feeds becomes %q", got)
	}
}
