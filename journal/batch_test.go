package journal

import (
	"encoding/hex"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"torjournal/tor/event"
)

func testRecords() []Record {
	at := time.Date(2026, 3, 1, 12, 0, 0, 250_000, time.UTC)
	rec := func(seq uint64, d time.Duration, wire string) Record {
		return Record{Seq: seq, Session: 3, Time: at.Add(d), Type: event.TypeOf([]byte(wire)), Wire: []byte(wire)}
	}
	return []Record{
		rec(7, 0, "650 BW 1 2\r\n"),
		rec(8, time.Microsecond, "650 CIRC 4 BUILT\r\n"),
		rec(9, -time.Hour, "650 FUTURE_TYPE x\r\n"),
		rec(10, time.Second, "650+NS\r\nr a\r\n.\r\n650 OK\r\n"),
		rec(11, time.Second, ""),
		rec(12, time.Second, "650 NOTICE "+strings.Repeat("long ", 4000)+"\r\n"),
	}
}

func testEncoder(t testing.TB) *encoder {
	t.Helper()
	e, err := newEncoder(zstd.SpeedFastest)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestBatchRoundTrip(t *testing.T) {
	recs := testRecords()
	live := Record{Time: recs[0].Time, Type: event.INFO, Wire: []byte("650 INFO not written\r\n")}
	with := append([]Record{live}, recs...)
	h, data := testEncoder(t).encode(with)
	if h.first != 7 || h.last != 12 || h.session != 3 || h.codec != codecZstd {
		t.Fatalf("header %+v", h)
	}
	st := Stored{First: 7, Last: 12, Data: data}
	got, err := st.Decode(event.Set{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if len(got[i].Wire) == 0 {
			got[i].Wire = recs[i].Wire
		}
	}
	if !reflect.DeepEqual(got, recs) {
		t.Fatalf("got\n%+v\nwant\n%+v", got, recs)
	}
	some, err := st.Decode(event.NewSet("FUTURE_TYPE", event.BW))
	if err != nil || len(some) != 2 || some[0].Seq != 7 || some[1].Seq != 9 {
		t.Fatalf("selected %+v, %v", some, err)
	}
}

// The bytes of the format: a change here is a new version, not a new test.
func TestBatchBytes(t *testing.T) {
	h, data := testEncoder(t).encode(testRecords()[:2])
	want := strings.Join([]string{
		"746a626b", "01000000", // magic; version, codec
		"0000002b", "0000002b", // payload, stored and before compression
		"0000000000000007", "0000000000000008", // first, last
		"0000000000000003",                     // session
		"00064bf535af10fa", "00064bf535af10fb", // times
		"0000000000000009", // BW, CIRC
		"00000000",
	}, "")
	if got := hex.EncodeToString(data[:headerSize-4]); got != want {
		t.Errorf("header is\n%s, want\n%s", got, want)
	}
	if len(data) != h.size() {
		t.Errorf("%d bytes, the header says %d", len(data), h.size())
	}
	// Each record: bit of the type, time as a difference, length, wire form.
	payload := "\x03\xf4\xc3\xf8\xda\xa6\xfd\xa5\x06\x0c650 BW 1 2\r\n" + "\x00\x02\x12650 CIRC 4 BUILT\r\n"
	if got := string(data[headerSize:]); got != payload {
		t.Errorf("payload is\n%q, want\n%q", got, payload)
	}
}

// FORMAT.md lists the types in the order of their bits: a second reader has
// nothing else.
func TestFormatListsTheTypes(t *testing.T) {
	page, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(page), "of this list:\n")
	list, _, _ = strings.Cut(list, "\n\nTypes are")
	var want []string
	for _, typ := range event.Types() {
		want = append(want, string(typ))
	}
	if got := strings.Fields(list); !slices.Equal(got, want) {
		t.Errorf("it lists %v, want %v", got, want)
	}
}

// Whatever bit of a batch is flipped, it is noticed.
func TestBatchEveryBitCounts(t *testing.T) {
	_, data := testEncoder(t).encode(testRecords()[:4])
	for i := range data {
		for bit := range 8 {
			data[i] ^= 1 << bit
			_, err := Stored{First: 7, Last: 10, Data: data}.Decode(event.Set{})
			var d *DamageError
			if !errors.As(err, &d) {
				t.Fatalf("byte %d, bit %d: %v, want a *DamageError", i, bit, err)
			}
			data[i] ^= 1 << bit
		}
	}
}

func TestMayHold(t *testing.T) {
	at := func(us int64) time.Time { return time.UnixMicro(us) }
	h := header{first: 10, last: 20, session: 2, minTime: 1000, maxTime: 2000, mask: event.BW.Mask() | event.CIRC.Mask()}
	other := h
	other.mask = 1 << otherBit
	for name, c := range map[string]struct {
		r    Range
		h    header
		want bool
	}{
		"all":                    {Range{}, h, true},
		"to before":              {Range{To: 9}, h, false},
		"to first":               {Range{To: 10}, h, true},
		"from after":             {Range{From: 21}, h, false},
		"from last":              {Range{From: 20}, h, true},
		"since after":            {Range{Since: at(2001)}, h, false},
		"since last":             {Range{Since: at(2000)}, h, true},
		"until first":            {Range{Until: at(1000)}, h, false},
		"until just after first": {Range{Until: at(1000).Add(time.Nanosecond)}, h, true},
		"session":                {Range{Session: 2}, h, true},
		"other session":          {Range{Session: 1}, h, false},
		"type":                   {Range{Types: event.NewSet(event.BW)}, h, true},
		"other type":             {Range{Types: event.NewSet(event.STREAM)}, h, false},
		"every type":             {Range{Types: event.AllTypes()}, h, true},
		"unknown type":           {Range{Types: event.NewSet("NEW")}, h, false},
		"unknown when written":   {Range{Types: event.NewSet(event.STREAM)}, other, true},
		"unknown then and now":   {Range{Types: event.NewSet("NEW")}, other, true},
	} {
		if got := c.r.mayHold(&c.h); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// FuzzDecode: no bytes panic or take more memory than the limit allows, and
// what decodes is what its header says.
func FuzzDecode(f *testing.F) {
	e, err := newEncoder(zstd.SpeedFastest)
	if err != nil {
		f.Fatal(err)
	}
	for n := range testRecords() {
		_, data := e.encode(testRecords()[:n+1])
		f.Add(data)
	}
	h, data := e.encode(testRecords())
	f.Add(data[:headerSize])
	p, err := newPacker()
	if err != nil {
		f.Fatal(err)
	}
	_, data = p.encode(manyRecords(500))
	f.Add(data)
	f.Add(appendEnvelope(nil, &h, []byte("not zstd")))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := parseHeader(data)
		if err != nil {
			return
		}
		// Past the checksum too: the payload must be able to be anything.
		h.stored = uint32(len(data) - headerSize)
		fixed := appendEnvelope(nil, &h, data[headerSize:])
		if h.raw > 1<<20 {
			return
		}
		recs, err := Stored{First: h.first, Last: h.last, Data: fixed}.Decode(event.Set{})
		if err != nil {
			var d *DamageError
			if !errors.As(err, &d) {
				t.Fatalf("%v, want a *DamageError", err)
			}
			return
		}
		if uint64(len(recs)) != h.count() {
			t.Fatalf("%d records, the header says %d", len(recs), h.count())
		}
		if h.codec == codecColumns {
			return
		}
		payload := appendRecords(nil, recs)
		h.codec, h.raw = codecPlain, uint32(len(payload))
		more, err := decodeBatch(h, payload, event.Set{})
		if err != nil || len(more) != len(recs) {
			t.Fatalf("encoded again: %d records, %v", len(more), err)
		}
	})
}
