package event

import (
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// FuzzParse: nothing that Parse takes is lost, and nothing makes it panic.
func FuzzParse(f *testing.F) {
	for _, h := range handmade {
		f.Add([]byte(h.wire))
	}
	for _, o := range odd {
		f.Add([]byte(o.wire))
	}
	seen := map[string]bool{}
	files, _ := filepath.Glob(sampleDir + "/*.jsonl")
	for _, path := range files {
		records(f, path, func(rec record) {
			if s := shape(rec.Raw); !seen[s] {
				seen[s] = true
				f.Add([]byte(rec.Raw))
			}
		})
	}
	f.Fuzz(lossless)
}

func lossless(t *testing.T, wire []byte) {
	e, err := Parse(wire)
	if err != nil {
		return
	}
	if got := string(e.Format()); got != string(wire) {
		t.Fatalf("%T %+v\n got %q\nwant %q", e, e, got, wire)
	}
	if e.Type() != TypeOf(wire) {
		t.Fatalf("type %q, TypeOf says %q: %q", e.Type(), TypeOf(wire), wire)
	}
	var room Room
	in, err := room.ParseInPlace(wire)
	_, nan := e.(*BuildTimeoutSet) // it may have a number that equals nothing
	if err != nil || !nan && !reflect.DeepEqual(in, e) {
		t.Fatalf("in a room %+v, %v\nalone %+v", in, err, e)
	}
	circuitSays(t, e, wire)
}

// circuitSays compares what a circuit's event says with what its line has, which
// is looked for in another way.
func circuitSays(t *testing.T, e Event, wire []byte) {
	var info *CircuitInfo
	own := map[string]string{}
	switch e := e.(type) {
	case *Circuit:
		info = &e.CircuitInfo
		own["REASON"], own["REMOTE_REASON"] = e.Reason, e.RemoteReason
	case *CircuitMinor:
		info = &e.CircuitInfo
		own["OLD_PURPOSE"], own["OLD_HS_STATE"], own["OLD_TIME_CREATED"] = e.OldPurpose, e.OldHSState, e.OldTimeCreated
	default:
		return
	}
	own["BUILD_FLAGS"], own["PURPOSE"], own["HS_STATE"] = info.BuildFlags, info.Purpose, info.HSState
	own["REND_QUERY"], own["TIME_CREATED"] = info.RendQuery, info.TimeCreated
	line, _, _ := strings.Cut(string(wire[4+len(e.Type()):]), "\r\n")
	for range 2 { // the ID and the status, whatever they look like
		line = line[valueEnd(line, 1):]
	}
	said := map[string]string{}
	for key, value := range Keywords(strings.TrimPrefix(line, " ")).All() {
		if _, again := said[key]; !again {
			said[key] = value
		}
	}
	for key, value := range own {
		if value != said[key] {
			t.Fatalf("%s is %q: %q", key, value, wire)
		}
	}
}

// typeWords is the number of event names that vocabulary begins with.
const typeWords = 23

// vocabulary is what FuzzWords makes lines of: names, keywords and the
// characters where grammars break.
var vocabulary = strings.Fields(`
	CIRC CIRC_MINOR STREAM ORCONN BW STREAM_BW CIRC_BW CONN_BW CELL_STATS ADDRMAP STATUS_CLIENT GUARD HS_DESC
	BUILDTIMEOUT_SET CLIENTS_SEEN PT_LOG PT_STATUS NEWDESC SIGNAL TRANSPORT_LAUNCHED JOURNAL NOTICE DESCCHANGED
	PURPOSE= BUILD_FLAGS= REASON= REMOTE_REASON= SOCKS_USERNAME= SOCKS_PASSWORD= TIME_CREATED= CONFLUX_RTT= OLD_PURPOSE=
	NYM_EPOCH= SESSION_GROUP= ISO_FIELDS= ID= NCIRCS= READ= WRITTEN= CWND= SS= InboundConn= error= EXPIRES= CACHED=
	ALPHA= XM= TimeStarted= IPVersions= PT= MESSAGE= TRANSPORT= HSDIR_INDEX= NEW= = 0 1 007 -4 0.800000 1e3 nan
	$A~a,$B "" "a" "a\"b" "it's" "it\'s" " \ \" a\nb \351 é word KEY
`)

// FuzzWords: as FuzzParse, over lines made of words that mean something. Every
// second byte says what stands between two words: nothing, a blank or two.
func FuzzWords(f *testing.F) {
	f.Add([]byte{64, 65, 66, 67})
	for i := range vocabulary {
		f.Add([]byte{byte(i % typeWords), 64, 64, 64, 64, 64, byte(i), 0, 86, 64, byte(i), 0, 90, 64, 26, 0, 70, 71, 3})
	}
	f.Fuzz(func(t *testing.T, choices []byte) { lossless(t, lineOf(choices)) })
}

func lineOf(choices []byte) []byte {
	wire := []byte("650 ")
	for i, c := range choices {
		if i%2 == 0 {
			wire = append(wire, vocabulary[int(c)%len(vocabulary)]...)
		} else if c > 40 {
			wire = append(wire, "  "[:1+c%8/7]...)
		}
	}
	return append(wire, '\r', '\n')
}

// TestWords is FuzzWords over a fixed number of random lines.
func TestWords(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	for range 50_000 {
		choices := make([]byte, 1+r.IntN(24))
		for i := range choices {
			choices[i] = byte(r.UintN(256))
		}
		if r.IntN(4) > 0 {
			choices[0] %= typeWords
		}
		lossless(t, lineOf(choices))
	}
}

// FuzzHandmade: an event whose fields hold anything is one reply of its type.
func FuzzHandmade(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, h := range handmade {
			forged(t, h.event, s)
		}
	})
}

// FuzzQuote: a quoted text comes back, in both ways of quoting, and is one
// word of one line.
func FuzzQuote(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, q := range []string{Quote(s), string(appendQuoted(nil, s, true))} {
			if back, ok := Unquote(q); back != s || !ok {
				t.Fatalf("%q is quoted as %s and comes back as %q", s, q, back)
			}
			if strings.ContainsAny(q, "\r\n") || valueEnd(q+" x", 0) != len(q) {
				t.Fatalf("%q is quoted as %q", s, q)
			}
		}
		if v, ok := Unquote(s); !ok && v != s {
			t.Fatalf("%q, which is not quoted, becomes %q", s, v)
		}
	})
}

// FuzzData: any text can be a data block, and comes back with CRLF for its
// line ends.
func FuzzData(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d := NewData(s)
		want := strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
		if want != "" && !strings.HasSuffix(want, "\r\n") {
			want = strings.TrimSuffix(want, "\r") + "\r\n"
		}
		if got := d.Text(); got != want || !d.wellFormed() {
			t.Fatalf("%q becomes %q and comes back as %q", s, d, got)
		}
		lossless(t, (&NetworkStatus{Name: NS, Entries: Data(s)}).Format())
		lossless(t, NewSnapshot([]byte(s)).Format())
	})
}
