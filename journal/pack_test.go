package journal

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"torjournal/tor/event"
)

// manyRecords returns records of a few types, as a sealed block has them.
func manyRecords(n int) []Record {
	recs := make([]Record, n)
	at := time.UnixMicro(1795423546724619).UTC()
	for i := range recs {
		at = at.Add(time.Duration(i%77) * time.Millisecond)
		r := Record{Seq: 41 + uint64(i), Session: 3, Time: at, Type: event.CIRC}
		switch i % 4 {
		case 0:
			r.Type, r.Wire = event.BW, fmt.Appendf(nil, "650 BW %d %d\r\n", i*i, i)
		case 1:
			r.Type, r.Wire = "FUTURE_TYPE", fmt.Appendf(nil, "650 FUTURE_TYPE x=%d\r\n", i%5)
		default:
			r.Wire = fmt.Appendf(nil, "650 CIRC %d BUILT $A~a,$B~b PURPOSE=GENERAL\r\n", i/3)
		}
		recs[i] = r
	}
	return recs
}

func testPacker(t testing.TB) *packer {
	t.Helper()
	p, err := newPacker()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPackedBlock(t *testing.T) {
	recs := manyRecords(5000)
	h, data := testPacker(t).encode(recs)
	lines, asLines := testEncoder(t).encode(recs)
	if h.codec != codecColumns {
		t.Fatalf("codec %d", h.codec)
	}
	if len(data)*2 > len(asLines) {
		t.Errorf("%d bytes by columns, %d by lines", len(data), len(asLines))
	}
	lines.codec, lines.stored, lines.crc = h.codec, h.stored, 0
	if got, _, _, err := splitEnvelope(data); err != nil || got != h {
		t.Fatalf("header %+v, %v", got, err)
	}
	h.crc = 0
	if h != lines {
		t.Errorf("the header says\n%+v, of the same records by lines\n%+v", h, lines)
	}
	st := Stored{First: 41, Last: 5040, Data: data}
	got, err := st.Decode(event.Set{})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, recs) {
		t.Fatal("other records came back")
	}
	got, err = st.Decode(event.NewSet(event.BW, "FUTURE_TYPE"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		// Of each four records the first two are of these types.
		if want := recs[i/2*4+i%2]; !reflect.DeepEqual(got[i], want) {
			t.Fatalf("selected record %d is %+v, not %+v", i, got[i], want)
		}
	}
	if len(got) != len(recs)/2 {
		t.Fatalf("%d of %d records are of the types", len(got), len(recs))
	}
}

// Where columns do not fit, or would be larger, a block is made of lines.
func TestPackedByLines(t *testing.T) {
	p := testPacker(t)
	few := manyRecords(2)
	h, _ := p.encode(few)
	if h.codec == codecColumns {
		t.Errorf("two records take columns")
	}
	var wild []Record
	for i := range 300 {
		r := few[0]
		r.Seq, r.Type = uint64(i+1), event.Type(fmt.Sprintf("T%d", i))
		r.Wire = fmt.Appendf(nil, "650 T%d %0300d\r\n", i, i)
		wild = append(wild, r)
	}
	h, data := p.encode(wild)
	if h.codec != codecZstd {
		t.Errorf("300 types have codec %d", h.codec)
	}
	got, err := Stored{First: 1, Last: 300, Data: data}.Decode(event.Set{})
	if err != nil || !reflect.DeepEqual(got, wild) {
		t.Errorf("other records came back: %v", err)
	}
}
