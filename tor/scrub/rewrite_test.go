package scrub

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"torjournal/tor/event"
)

// own are torjournal's own events, as a recorder writes them without --scrub
// and with the key of hasher(t, 1).
func own(key string) (plain, hashed []string) {
	plain = []string{
		"650 JOURNAL START SESSION=1 CONTINUED=0 ROLE=client VERSION=0.4.9.11 PID=4711\r\n",
		"650+JOURNAL SNAPSHOT\r\n250-version=0.4.9.11\r\n250+stream-status=\r\n7 NEW 0 www.example.com:443\r\n..\r\n250 OK\r\n.\r\n650 OK\r\n",
		"650 JOURNAL CONSENSUS SHA256=" + strings.Repeat("0123456789abcdef", 4) + " BYTES=2000000 VALID_AFTER=2026-11-23T08:00:00\r\n",
		"650 JOURNAL CLOCK FROM=2026-11-23T08:45:46.724619Z TO=2026-11-23T09:45:46.724619Z JUMP_MS=3600000\r\n",
		"650 JOURNAL DROPPED TYPES=CIRC,STREAM COUNT=12\r\n",
		"650 JOURNAL JOURNALED COUNT=12 TYPES=CIRC,STREAM SINCE=2026-11-23T08:45:46.724619Z ERROR=\"no space left on device\"\r\n",
		"650 JOURNAL BANDWIDTH DATE=2026-11-23 READ=1 WRITTEN=2 SECONDS=3\r\n",
		"650 JOURNAL SOURCE_LOST REASON=CLOSED UPTIME=4711\r\n",
		"650 JOURNAL SOURCE_RESTORED SESSION=2 CONTINUED=1 ROLE=client VERSION=0.4.9.11 DOWN_MS=12\r\n",
		"650 JOURNAL STOP PID=4711\r\n",
	}
	hashed = slices.Clone(plain)
	hashed[0] = strings.Replace(plain[0], " PID=", " SCRUB="+key+" PID=", 1)
	hashed[8] = strings.Replace(plain[8], " DOWN_MS=", " SCRUB="+key+" DOWN_MS=", 1)
	return plain, hashed
}

// What was recorded without --scrub is, once it is rewritten, byte for byte
// what would have been recorded with it, in every role: where there are bridges,
// by a recorder that knew them from the beginning from the same records. Rewriting again changes
// nothing, though it begins without what was known of bridges.
func TestRewrittenIsAsRecorded(t *testing.T) {
	conf := map[string][]string{"Bridge": {"203.0.113.7:4711 " + digits1}, "UseBridges": {"1"}}
	eachCorpus(t, func(t *testing.T, wires [][]byte) {
		roles := []string{"all", "relay", "STREAM,NOTICE,INFO,HS_DESC"}
		if len(wires) > 2000 { // a whole corpus: its sample has the other roles
			roles = roles[:1]
		}
		for _, role := range roles {
			for _, conf := range []map[string][]string{nil, conf} {
				var recorded, plain, want [][]byte
				p, key := policy(t, role, conf), hasher(t, 1)
				for _, wire := range wires {
					if raw, ok := p.Keep(wire).(event.Raw); ok {
						recorded, plain = append(recorded, wire), append(plain, raw.Wire)
					}
				}
				if conf != nil {
					keepAll(p.Hashed(key, conf), recorded)
				}
				want = keepAll(p.Hashed(key, conf), recorded)
				got := rewritten(t, plain, conf)
				for i := range want {
					if !bytes.Equal(got[i], want[i]) {
						t.Fatalf("%s:\n%q is rewritten as\n%q, recorded as\n%q", role, plain[i], got[i], want[i])
					}
				}
				for i, again := range rewritten(t, got, nil) {
					if !bytes.Equal(again, got[i]) {
						t.Fatalf("%s: once:\n%q\ntwice:\n%q", role, got[i], again)
					}
				}
			}
		}
	})
}

func keepAll(p *Policy, wires [][]byte) (out [][]byte) {
	for _, wire := range wires {
		out = append(out, p.Keep(wire).Format())
	}
	return out
}

// rewritten returns what a new rewriter makes of records of one session.
func rewritten(t testing.TB, wires [][]byte, conf map[string][]string) (out [][]byte) {
	r := NewRewriter(hasher(t, 1), conf, false)
	for _, wire := range wires {
		r.Learn(1, wire)
	}
	for _, wire := range wires {
		out = append(out, r.Rewrite(1, wire))
	}
	return out
}

func TestRewriteOwnEvents(t *testing.T) {
	plain, want := own(hasher(t, 1).ID())
	want[1] = string(hashedPolicy(t, "client", nil, 1).Keep([]byte(plain[1])).Format())
	r := NewRewriter(hasher(t, 1), nil, false)
	for i, wire := range plain {
		got := string(r.Rewrite(1, []byte(wire)))
		if got != want[i] {
			t.Errorf("%q\nis rewritten as %q\n           want %q", wire, got, want[i])
		}
		if again := string(r.Rewrite(1, []byte(got))); again != got {
			t.Errorf("once %q\ntwice %q", got, again)
		}
	}
	if got := string(r.Rewrite(1, []byte("650 JOURNAL MARK TEXT=\"went to www.example.com\"\r\n"))); strings.Contains(got, "example") {
		t.Errorf("a mark becomes %q", got)
	}
}

// A bridge that the records tell of late is hidden from the first of them on;
// that a tor uses bridges counts for its session alone.
func TestRewriterLearnsBridgesFirst(t *testing.T) {
	circuit := "650 CIRC 1 BUILT " + bridge1 + "," + public1 + " PURPOSE=GENERAL\r\n"
	other := "650 CIRC 1 BUILT " + public2 + "," + public1 + " PURPOSE=GENERAL\r\n"
	records := []struct {
		session uint64
		wire    string
		hidden  bool
	}{
		{1, circuit, true},
		{1, "650 NOTICE new bridge descriptor 'mybridge' (fresh): " + bridge1 + " at 203.0.113.7\r\n", true},
		{2, circuit, true},
		{2, other, false},
		{3, "650-CONF_CHANGED\r\n650-UseBridges=1\r\n650 OK\r\n", false},
		{3, strings.ReplaceAll(other, public2, "$1234567890123456789012345678901234567890~third"), true},
		{4, other, false},
	}
	r := NewRewriter(hasher(t, 1), nil, false)
	for _, rec := range records {
		r.Learn(rec.session, []byte(rec.wire))
	}
	for _, rec := range records {
		got := string(r.Rewrite(rec.session, []byte(rec.wire)))
		if (got != rec.wire) != rec.hidden || rec.hidden && (strings.Contains(got, digits1) || strings.Contains(got, "mybridge")) {
			t.Errorf("%d %q\nis rewritten as %q", rec.session, rec.wire, got)
		}
	}
}

func TestRewriterDescribes(t *testing.T) {
	h := hasher(t, 1)
	r := NewRewriter(h, nil, false)
	if src := r.Describe(event.Source{Name: "tor", Role: Relay, Fingerprint: digits1}); src.Scrub != h.ID() || src.Fingerprint != digits1 {
		t.Errorf("a relay: %+v", src)
	}
	if src := r.Describe(event.Source{Role: Bridge, Fingerprint: digits1}); src.Scrub != h.ID() || src.Fingerprint == digits1 {
		t.Errorf("a bridge: %+v", src)
	}
	if src := r.Describe(event.Source{Scrub: "another"}); src.Scrub != "another" {
		t.Errorf("hashed with another key: %+v", src)
	}
	if got := string(r.Rewrite(1, []byte("650 NOTICE I am $"+digits1+"\r\n"))); strings.Contains(got, digits1) {
		t.Errorf("the bridge's own name stays: %q", got)
	}
}

// Stripping leaves no trace of addresses, not even a hash.
func TestRewriterStrips(t *testing.T) {
	r := NewRewriter(hasher(t, 1), nil, true)
	for in, want := range map[string]string{
		"650 NOTICE from 192.0.2.1:80 to www.example.com\r\n":             "650 NOTICE from [scrubbed] to [scrubbed]\r\n",
		"650 ORCONN 192.0.2.1:52586 NEW ID=46\r\n":                        "650 ORCONN [scrubbed] NEW ID=46\r\n",
		"650 STREAM 7 NEW 0 www.example.com:443 PURPOSE=USER\r\n":         "650 STREAM 7 NEW 0 [scrubbed] PURPOSE=USER\r\n",
		"650 STREAM 7 NEW 0 intranet:443 SOURCE_ADDR=192.0.2.1:38032\r\n": "650 STREAM 7 NEW 0 h-#.scrubbed:443 SOURCE_ADDR=[scrubbed]\r\n",
		"650 BW 1 2\r\n": "650 BW 1 2\r\n",
	} {
		if got := masked(r.Rewrite(1, []byte(in))); got != want {
			t.Errorf("%q\nbecomes %q\n   want %q", in, got, want)
		}
	}
}
