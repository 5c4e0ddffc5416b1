package scrub

import (
	"regexp"
	"strings"
	"testing"
)

const deedOnion = "myef43a3fs2c32yyxswfgudoyzbqip4qpmvbolfrm3hjkxozpfxr35qd"

var digitsOf = regexp.MustCompile(`-[0-9a-f]{16}`)

// deedCases are what controllers did, what a relay keeps of it, and what stands
// there hashed; "#" is a hash.
var deedCases = []struct{ wire, stripped, hashed string }{
	{
		"PHASE=SENT CONN=12 N=3 PEER=unix UID=1000 PID=4242 VERB=SIGNAL ARGS=NEWNYM", "", "",
	}, {
		"PHASE=SENT CONN=1 N=1 PEER=127.0.0.1:40312 VERB=CLOSECIRCUIT ARGS=\"12 IfUnused\"",
		"PHASE=SENT CONN=1 N=1 PEER=[scrubbed] VERB=CLOSECIRCUIT ARGS=\"12 IfUnused\"",
		"PHASE=SENT CONN=1 N=1 PEER=a-#.scrubbed:0 VERB=CLOSECIRCUIT ARGS=\"12 IfUnused\"",
	}, {
		"PHASE=DONE CONN=1 N=1 VERB=SETCONF CODE=250 MS=0.412", "", "",
	}, {
		"PHASE=COUNT CONN=1 PEER=unix COUNT=61 VERBS=GETCONF:3,GETINFO:58", "", "",
	}, {
		"PHASE=LEFT_OUT COUNT=7312 VERBS=GETINFO:12,SIGNAL:7300 CONNS=2 CONN=3 PEER=192.0.2.1:4000",
		"PHASE=LEFT_OUT COUNT=7312 VERBS=GETINFO:12,SIGNAL:7300 CONNS=2 CONN=3 PEER=[scrubbed]",
		"PHASE=LEFT_OUT COUNT=7312 VERBS=GETINFO:12,SIGNAL:7300 CONNS=2 CONN=3 PEER=a-#.scrubbed:0",
	}, {
		"PHASE=SENT CONN=1 N=1 PEER=unix VERB=SETCONF ARGS=\"DisableNetwork=1 MaxCircuitDirtiness=10minutes ExitNodes={de} Bridge=[scrubbed] [scrubbed] ...\"", "", "",
	}, {
		"PHASE=SENT CONN=1 N=1 PEER=unix VERB=EXTENDCIRCUIT ARGS=\"0 $D074985ADE267C0F6CBAB4C48785B1655023A3E7~auth0,relay3 purpose=controller\"", "",
		"PHASE=SENT CONN=1 N=1 PEER=unix VERB=EXTENDCIRCUIT ARGS=\"0 $D074985ADE267C0F6CBAB4C48785B1655023A3E7~auth0,relay3 purpose=controller\"",
	}, {
		"PHASE=SENT CONN=1 N=1 PEER=unix VERB=REDIRECTSTREAM ARGS=\"5 www.example.com 443\"",
		"PHASE=SENT CONN=1 N=1 PEER=unix VERB=REDIRECTSTREAM ARGS=[scrubbed]",
		"PHASE=SENT CONN=1 N=1 PEER=unix VERB=REDIRECTSTREAM ARGS=\"5 h-#.scrubbed 443\"",
	}, {
		"PHASE=SENT CONN=1 N=1 PEER=unix VERB=RESOLVE ARGS=\"mode=reverse 192.0.2.1\"",
		"PHASE=SENT CONN=1 N=1 PEER=unix VERB=RESOLVE ARGS=[scrubbed]",
		"PHASE=SENT CONN=1 N=1 PEER=unix VERB=RESOLVE ARGS=\"mode=reverse a-#.scrubbed\"",
	}, {
		"PHASE=SENT CONN=1 N=1 PEER=unix VERB=MAPADDRESS ARGS=www.example.com=10.0.0.1",
		"PHASE=SENT CONN=1 N=1 PEER=unix VERB=MAPADDRESS ARGS=[scrubbed]",
		"PHASE=SENT CONN=1 N=1 PEER=unix VERB=MAPADDRESS ARGS=h-#.scrubbed=a-#.scrubbed",
	}, {
		"PHASE=SENT CONN=1 N=1 PEER=unix VERB=DEL_ONION ARGS=" + deedOnion,
		"PHASE=SENT CONN=1 N=1 PEER=unix VERB=DEL_ONION ARGS=[scrubbed]",
		"PHASE=SENT CONN=1 N=1 PEER=unix VERB=DEL_ONION ARGS=o-#",
	}, {
		"PHASE=SENT CONN=1 N=1 PEER=unix VERB=HSPOST ARGS=HSADDRESS=" + deedOnion,
		"PHASE=SENT CONN=1 N=1 PEER=unix VERB=HSPOST ARGS=[scrubbed]",
		"PHASE=SENT CONN=1 N=1 PEER=unix VERB=HSPOST ARGS=HSADDRESS=o-#",
	}, {
		"PHASE=SENT CONN=1 N=1 PEER=unix VERB=ADD_ONION ARGS=\"NEW:BEST Flags=DiscardPK,Detach Port=80,127.0.0.1:8080\"",
		"PHASE=SENT CONN=1 N=1 PEER=unix VERB=ADD_ONION ARGS=[scrubbed]", "-",
	},
}

// TestDeeds: on a relay no argument names anybody, hashed none names a client's
// peers; what is replaced stays as it is when it comes again.
func TestDeeds(t *testing.T) {
	relay, hashed := policy(t, "relay", nil), hashedPolicy(t, "client", nil, 1)
	for _, c := range deedCases {
		wire := "650 JOURNAL COMMAND " + c.wire + "\r\n"
		for _, p := range []struct {
			*Policy
			want string
		}{{relay, c.stripped}, {hashed, c.hashed}, {policy(t, "client", nil), ""}} {
			got := string(p.Keep([]byte(wire)).Format())
			text := digitsOf.ReplaceAllString(strings.TrimSuffix(strings.TrimPrefix(got, "650 JOURNAL COMMAND "), "\r\n"), "-#")
			if p.want == "" {
				p.want = c.wire
			}
			if text != p.want && p.want != "-" {
				t.Errorf("%s\n became %s\n   want %s", c.wire, text, p.want)
			}
			if again := string(p.Keep([]byte(got)).Format()); again != got {
				t.Errorf("%s comes again as %s", got, again)
			}
			if p.Policy != nil && p.Policy != relay && p.Policy != hashed {
				continue
			}
			for _, name := range []string{"127.0.0.1:", "example", "192.0.2.1", "10.0.0.1", deedOnion} {
				if strings.Contains(got, name) {
					t.Errorf("%s holds %s", got, name)
				}
			}
		}
	}
}

func TestMarks(t *testing.T) {
	const wire = "650 JOURNAL MARK CONN=1 PEER=127.0.0.1:9 TEXT=\"fetch www.example.com from 192.0.2.1\"\r\n"
	if got, want := string(policy(t, "relay", nil).Keep([]byte(wire)).Format()),
		"650 JOURNAL MARK CONN=1 PEER=[scrubbed] TEXT=\"fetch [scrubbed] from [scrubbed]\"\r\n"; got != want {
		t.Errorf("relay keeps %s", got)
	}
	got := string(hashedPolicy(t, "client", nil, 1).Keep([]byte(wire)).Format())
	if got = digitsOf.ReplaceAllString(got, "-#"); got != "650 JOURNAL MARK CONN=1 PEER=a-#.scrubbed:0 TEXT=\"fetch h-#.scrubbed from a-#.scrubbed\"\r\n" {
		t.Errorf("hashed it is %s", got)
	}
}
