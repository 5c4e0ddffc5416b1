package columns

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// odd are records that look like events and are not quite: each must come
// back byte for byte.
var odd = []string{
	"",
	"650",
	"650 ",
	"650 \r\n",
	"650  \r\n",
	"650 BW\r\n",
	"650 BW 1 2",
	"650 BW 1 2\n",
	"650 BW 1 2\r\nmore",
	"650 BW 1  2 \r\n",
	"650 BW 01 -0\r\n",
	"650 BW -1 +2\r\n",
	"650 BW 999999999999999999 1000000000000000000\r\n",
	"650 BW 99999999999999999999 -9223372036854775808\r\n",
	"650 BW 1.5 .5\r\n",
	"650 BW 1. 0.50\r\n",
	"650 BW -0.50 -0.00\r\n",
	"650+BW\r\n",
	"650+BW 1\r\ndata\r\n.\r\n650 OK\r\n",
	"650+BW 1\r\n",
	"650-BW=1\r\n650 OK\r\n",
	"650*BW 1 2\r\n",
	"250 OK\r\n",
	"650 CIRC x BUILT\r\n",
	"650 CIRC\r\n",
	"650 CIRC 7\r\n",
	"650 CIRC 07 BUILT $A,$B\r\n",
	"650 CIRC -7 BUILT $A,,$B,\r\n",
	"650 CIRC 7 BUILT $A,$B TIME_CREATED=2026-11-23T08:45:46.724619\r\n",
	"650 CIRC 7 BUILT ,$A TIME_CREATED=2026-02-30T08:45:46.724619\r\n",
	"650 CIRC 7 BUILT $B TIME_CREATED=2026-11-23T08:45:46\r\n",
	"650 CIRC 7 BUILT $B TIME_CREATED=0000-01-01T00:00:00.000000\r\n",
	"650 CIRC 7 BUILT $B TIME_CREATED=9999-12-31T23:59:59.999999\r\n",
	"650 CIRC 7 BUILT  TIME_CREATED=\r\n",
	"650 CIRC 7 BUILT " + strings.Repeat("$A,", 2000) + "\r\n",
	"650 CIRC_BW READ=1 ID=9\r\n",
	"650 CIRC_BW READ=1 ID=9 ID=10\r\n",
	"650 CIRC_BW READ=1 ID=\"9\"\r\n",
	"650 NOTICE a\tb \x00 \xff 12 $x \"q = r\"\r\n",
	"650 NOTICE a\nb\r\n",
	"650 NOTICE \r \r\n",
	"650 NOTICE " + strings.Repeat("w ", 200) + "\r\n",
	"650 NOTICE " + strings.Repeat("7 ", 200) + "\r\n",
	"650 NEWTYPE K=V " + strings.Repeat("x", 5000) + "\r\n",
	"650 NEWTYPE A=1 B=2 C=3 D=4 E=5 F=6 G=7 H=8 I=9 J=1 K=2 L=3 M=4 N=5 O=6 P=7 Q=8 R=9 S=1 T=2 U=3 V=4 W=5 X=6 Y=7 Z=8 AA=9 AB=1 AC=2 AD=3 AE=4 AF=5\r\n",
}

func TestOddRecordsComeBack(t *testing.T) {
	e, d := newPair(t)
	var rows []Row
	for round := range 3 {
		for i, s := range odd {
			rows = append(rows, row(int64(round*1000-i*i), s))
		}
	}
	checkSame(t, d, encode(t, e, rows), rows, nil)
	for i, r := range rows[:len(odd)] {
		one := []Row{r}
		checkSame(t, d, encode(t, e, one), one, nil)
		two := []Row{rows[(i+1)%len(odd)], r}
		checkSame(t, d, encode(t, e, two), two, nil)
	}
}

func TestEmptyBlock(t *testing.T) {
	e, d := newPair(t)
	checkSame(t, d, encode(t, e, nil), nil, nil)
}

func TestTypesApart(t *testing.T) {
	e, d := newPair(t)
	rows := life(3000)
	data := encode(t, e, rows)
	checkSame(t, d, data, rows, nil)
	for _, types := range []string{"BW", "CIRC", "CIRC_BW NOTICE", "STREAM BW", "NONE"} {
		want := strings.Fields(types)
		checkSame(t, d, data, rows, func(typ string) bool { return slices.Contains(want, typ) })
	}
}

// A block must not depend on the ones that its encoder made before.
func TestBlocksStandAlone(t *testing.T) {
	e, d := newPair(t)
	rows := life(2000)
	first := encode(t, e, rows[:700])
	encode(t, e, rows[700:])
	e.Append(row(0, "650 BW 1 2\r\n"))
	for range maxTemplates + 1 {
		e.Append(row(0, fmt.Sprintf("650 BW K%d=1\r\n", e.rows)))
	}
	if _, err := e.Finish(nil); !errors.Is(err, ErrUnfit) {
		t.Fatalf("more forms than a block takes: %v", err)
	}
	again := encode(t, e, rows[:700])
	if string(first) != string(again) {
		t.Fatal("the same records gave another block")
	}
	fresh, _ := newPair(t)
	if string(encode(t, fresh, rows[:700])) != string(first) {
		t.Fatal("a new encoder gave another block")
	}
	checkSame(t, d, first, rows[:700], nil)
}

// What has several words in a cell has no Line; other records do, where they are
// wanted.
func TestLines(t *testing.T) {
	e, d := newPair(t)
	rows := life(3000)
	usual := len(rows)
	rows = append(rows, row(0, "650+NS\r\nr a b\r\n.\r\n650 OK\r\n"), row(0, "650 BW 1 2\r\nmore"), row(0, "650 LONG"+strings.Repeat(" 7", 100)+"\r\n"), row(0, "650 CIRC a\rb7 BUILT\r\n"))
	check := func(rows []Row, usual int) {
		t.Helper()
		data := encode(t, e, rows)
		for _, lines := range []bool{true, false} {
			err := d.Decode(data, len(rows), wireBytes(rows), Want{Line: lines}, func(i int, r Row) bool {
				if (r.Line != nil) != (lines && i < usual) {
					t.Errorf("lines %v: record %d, %q, has a line: %v", lines, i, r.Wire, r.Line)
				}
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	check(rows, usual)
	check([]Row{row(0, "650 CIRC 7 LAUNCHED\r\n"), row(0, "650 CIRC 7 BUILT $A,$B\rC,$D\r\n")}, 1)
}

// The point of it all: far smaller than the text, and repeated words free.
func TestSmall(t *testing.T) {
	e, _ := newPair(t)
	rows := life(8000)
	size := len(encode(t, e, rows))
	if per := float64(size) / float64(len(rows)); per > 10 {
		t.Errorf("%.1f bytes an event of %d, expected less than 10", per, wireBytes(rows)/len(rows))
	}
}

func TestManyTypes(t *testing.T) {
	e, d := newPair(t)
	var rows []Row
	for i := range maxGroups {
		rows = append(rows, row(0, fmt.Sprintf("650 T%d 1\r\n", i)))
	}
	checkSame(t, d, encode(t, e, rows), rows, nil)
	for _, r := range append(rows, row(0, "650 ONEMORE 1\r\n")) {
		e.Append(r)
	}
	if _, err := e.Finish(nil); !errors.Is(err, ErrUnfit) {
		t.Fatalf("more types than a block takes: %v", err)
	}
}

// A block that was made to hurt is refused before it takes memory.
func TestHostileBlocks(t *testing.T) {
	e, d := newPair(t)
	section := func(dst, b []byte) []byte { return e.out.append(dst, b) }
	none := func(int, Row) bool { return true }
	bomb := []byte{version}
	for range 2 {
		bomb = section(bomb, []byte{8})
	}
	bomb = append(section(bomb, bytes.Repeat([]byte{','}, 40<<20)), 0)
	if err := d.Decode(bomb, 1, 100, Want{}, none); err == nil {
		t.Error("40 million hops in 100 bytes")
	}
	// One shape, of a template that is not there.
	meta := []byte{0, 1, 5, 0, 0, 0, 1, 1, 1, 1}
	group := append([]byte{1, 2, 'B', 'W'}, section(nil, meta)...)
	group = section(group, nil)
	bad := section(section(section([]byte{version}, []byte{8}), []byte{0}), nil)
	bad = append(append(bad, 1, byte(len(group))), group...)
	if err := d.Decode(bad, 1, 100, Want{}, none); err == nil {
		t.Error("a shape without a template")
	}
}

// A few bytes of many columns, for the last of many circuits, would make a
// decoder remember all circuits in each of them.
func TestManyColumnsOfManyEntities(t *testing.T) {
	e, d := newPair(t)
	var rows []Row
	for id := range 1 << 14 {
		rows = append(rows, row(0, fmt.Sprintf("650 CIRC %d BUILT\r\n", id+1)))
	}
	for k := range 200 {
		rows = append(rows, row(0, fmt.Sprintf("650 CIRC %d BUILT K%d=1\r\n", 1<<14, k)))
	}
	for _, r := range rows {
		e.Append(r)
	}
	if _, err := e.Finish(nil); !errors.Is(err, ErrUnfit) {
		t.Fatalf("more than a decoder remembers: %v", err)
	}
	for _, r := range rows {
		e.Append(r)
	}
	e.size = 1 << 30
	data, err := e.Finish(nil)
	if err != nil {
		t.Fatal(err)
	}
	if d.Decode(data, len(rows), wireBytes(rows), Want{}, func(int, Row) bool { return true }) == nil {
		t.Error("a decoder remembers it all the same")
	}
	checkSame(t, d, encode(t, e, rows[:1<<14]), rows[:1<<14], nil) // it can be used again
}

// Rows that are not wanted leave no trace in those that are, and the decoder
// ends when it is told to.
func TestSomeRows(t *testing.T) {
	e, d := newPair(t)
	rows := life(2000)
	data := encode(t, e, rows)
	since := rows[700].Time
	var got []int
	want := Want{
		Type: func(typ string) bool { return typ != "BW" },
		Row:  func(i int, us int64) bool { return us >= since && i%3 > 0 },
	}
	err := d.Decode(data, len(rows), wireBytes(rows), want, func(i int, r Row) bool {
		if !bytes.Equal(r.Wire, rows[i].Wire) || r.Type == "BW" || i%3 == 0 || r.Time < since {
			t.Fatalf("record %d: %s %d %q", i, r.Type, r.Time, r.Wire)
		}
		got = append(got, i)
		return len(got) < 100
	})
	if err != nil || len(got) != 100 {
		t.Fatalf("%d records came, %v", len(got), err)
	}
	if from := slices.IndexFunc(rows, func(r Row) bool { return r.Time >= since }); got[0] > from+3 {
		t.Fatalf("the first one is %d, from %d on they are wanted", got[0], from)
	}
	checkSame(t, d, data, rows, nil)
}

// Whatever is cut off or added is an error and never another block.
func TestCutBlocks(t *testing.T) {
	e, d := newPair(t)
	rows := life(300)
	data := encode(t, e, rows)
	none := func(int, Row) bool { return true }
	for n := range data {
		if d.Decode(data[:n], len(rows), wireBytes(rows), Want{}, none) == nil {
			t.Fatalf("the first %d of %d bytes decode", n, len(data))
		}
	}
	if d.Decode(append(slices.Clone(data), 0), len(rows), wireBytes(rows), Want{}, none) == nil {
		t.Error("a byte more decodes")
	}
	for _, n := range []int{len(rows) - 1, len(rows) + 1} {
		if d.Decode(data, n, wireBytes(rows), Want{}, none) == nil {
			t.Errorf("%d records are found to be %d", len(rows), n)
		}
	}
	if d.Decode(data, len(rows), wireBytes(rows)-1, Want{}, none) == nil {
		t.Error("the limit of bytes does not hold")
	}
}

// What went wrong with one block is no matter for the next.
func TestDecoderAfterError(t *testing.T) {
	e, d := newPair(t)
	rows := life(200)
	data := encode(t, e, rows)
	long := []Row{row(0, "650 NOTICE "+strings.Repeat("w", 500)+" "+strings.Repeat("7", 500)+"\r\n")}
	one := encode(t, e, long)
	none := func(int, Row) bool { return true }
	for limit := range wireBytes(long) {
		checkSame(t, d, data, rows, nil)
		if d.Decode(one, 1, limit, Want{}, none) == nil {
			t.Fatalf("%d bytes are decoded into %d", wireBytes(long), limit)
		}
	}
	checkSame(t, d, one, long, nil)
}

func TestTimeAt(t *testing.T) {
	e, d := newPair(t)
	rows := life(500)
	data := encode(t, e, rows)
	for i, r := range rows {
		if us, err := d.TimeAt(data, i); err != nil || us != r.Time {
			t.Fatalf("record %d: %d, %v, want %d", i, us, err, r.Time)
		}
	}
	if _, err := d.TimeAt(data, len(rows)); err == nil {
		t.Error("a record more has a time")
	}
	for n := range len(data) / 8 {
		_, _ = d.TimeAt(data[:n], 0) // must not panic
	}
}

// What columns remember by entity counts once, however often it is looked up, or
// a damaged block could make a decoder remember more than FORMAT.md says.
func TestStateCounts(t *testing.T) {
	e, d := newPair(t)
	var rows []Row
	for round := range 3 {
		for id := 1; id <= 50; id++ {
			rows = append(rows, row(start, fmt.Sprintf("650 CIRC %d EXTENDED $%d~a,$%d~b PURPOSE=GENERAL%d TIME_CREATED=2026-11-23T08:45:%d.%06d", id, id, round, round, round+10, id)+"\r\n"))
		}
	}
	data := encode(t, e, rows)
	limit := wireBytes(rows)
	if err := d.Decode(data, len(rows), limit, Want{}, func(int, Row) bool { return true }); err != nil {
		t.Fatal(err)
	}
	took := 0
	for _, g := range d.groups {
		took += len(g.escapes.last)
		for i := range g.cols {
			took += len(g.cols[i].num) + len(g.cols[i].last) + pathState*len(g.cols[i].paths)
		}
	}
	if counted := stateLimit(limit) - d.state; counted != took || took == 0 {
		t.Errorf("%d values are remembered, %d were counted", took, counted)
	}
}
