package event

import (
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// cutLine cuts a line of one event into texts and cells as somebody may who knows
// nothing of the event: words in capitals and keywords are text. cells are nil of
// what is not one line.
func cutLine(wire string) (form string, cells []uint32) {
	line, found := strings.CutSuffix(wire, "\r\n")
	if !found || strings.ContainsAny(line, "\r\n") {
		return "", nil
	}
	cells = []uint32{}
	for at := 0; ; {
		word, _, more := strings.Cut(line[at:], " ")
		key, _, isKeyword := strings.Cut(word, "=")
		if isKeyword = isKeyword && strings.Trim(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == ""; isKeyword {
			key += "="
		}
		switch {
		case at == 0 || !isKeyword && strings.Trim(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == "":
			form += word
		case isKeyword:
			form += key + "|"
			cells = append(cells, uint32(at+len(key)), uint32(at+len(word)))
		default:
			form += "|"
			cells = append(cells, uint32(at), uint32(at+len(word)))
		}
		if at += len(word) + 1; !more {
			return form, cells
		}
		form += " "
	}
}

// molds are those of the forms that were met.
type molds struct {
	room  Room
	known map[string]*Mold
}

// check parses a line by its form's mold and alone.
func (m *molds) check(t *testing.T, wire string) {
	t.Helper()
	form, cells := cutLine(wire)
	if cells == nil {
		return
	}
	if m.known[form] == nil {
		m.known[form] = new(Mold)
	}
	checkAlike(t, &m.room, m.known[form], wire, cells)
}

func checkAlike(t *testing.T, room *Room, m *Mold, wire string, cells []uint32) {
	t.Helper()
	got, err := room.ParseAlike(m, []byte(wire), cells)
	want, bad := Parse([]byte(wire))
	if (err == nil) != (bad == nil) {
		t.Fatalf("%q: error %v, alone %v", wire, err, bad)
	}
	if err != nil {
		return
	}
	if _, nan := want.(*BuildTimeoutSet); !nan && !reflect.DeepEqual(got, want) {
		t.Fatalf("%q is %+v\nalone %+v", wire, got, want)
	}
	if f := string(got.Format()); f != wire {
		t.Fatalf("%q is formatted as %q", wire, f)
	}
}

// Every line is the event that it is alone, also where it is read as another one
// was, which most circuits are; and so it stays when the first line is overwritten.
func TestAlike(t *testing.T) {
	files, _ := filepath.Glob(sampleDir + "/*.jsonl")
	if whole, _ := filepath.Glob(corpusDir + "/*.jsonl.zst"); !testing.Short() {
		files = append(files, whole...)
	}
	for _, path := range files {
		m := molds{known: map[string]*Mold{}}
		circuits, alike := 0, 0
		records(t, path, func(rec record) {
			form, cells := cutLine(rec.Raw)
			mold := m.known[form]
			m.check(t, rec.Raw)
			if typ := TypeOf([]byte(rec.Raw)); typ == CIRC || typ == CIRC_MINOR {
				circuits++
				if mold != nil && mold.fits(rec.Raw, cells) {
					alike++
				}
			}
			if circuits%100 == 0 {
				m.room.Reset()
			}
		})
		if strings.HasSuffix(path, ".zst") && circuits > 1000 && alike < circuits*9/10 {
			t.Errorf("%s: %d of %d circuits were read as another one", path, alike, circuits)
		}
	}
	m := new(Mold)
	first := []byte("650 CIRC 7 LAUNCHED PURPOSE=GENERAL\r\n")
	var room Room
	if _, err := room.ParseAlike(m, first, []uint32{9, 10, 28, 35}); err != nil {
		t.Fatal(err)
	}
	clear(first)
	checkAlike(t, &room, m, "650 CIRC 8 LAUNCHED PURPOSE=TESTING\r\n", []uint32{9, 10, 28, 35})
}

// oddCells are what cells are seldom.
var oddCells = []string{
	"", `"`, `""`, `"a"`, `"a`, `a"`, `"a"b`, `"a\"`, `"a\"b"`, `"\101"`, "'", `"'"`, "$", "$A", "$A~a,$B~b", `$"`, "=", "A=", "A=B", "=B", "a", "0", "07", `\`,
	"PURPOSE=GENERAL", "REASON=", "\xff", "\x00", "\"\x01\"", "\t", "18446744073709551615", "x\x7f",
}

// A line of odd cells is no worse off for the lines before.
func TestAlikeOddCells(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 5))
	forms := []string{
		"650 CIRC |\r\n", "650 CIRC | |\r\n", "650 CIRC | BUILT |\r\n", "650 CIRC | BUILT | PURPOSE=|\r\n", "650 CIRC | FAILED | REASON=| REMOTE_REASON=|\r\n",
		"650 CIRC | LAUNCHED PURPOSE=| SOCKS_USERNAME=| SOCKS_PASSWORD=|\r\n", "650 CIRC | | BUILD_FLAGS=| CONFLUX_RTT=|\r\n", "650 CIRC | BUILT | PURPOSE=| PURPOSE=|\r\n",
		"650 CIRC | BUILT NEWWORD | NEWKEY=|\r\n", "650 CIRC | BUILT REASON=| PURPOSE=|\r\n", "650 CIRC_MINOR | PURPOSE_CHANGED | PURPOSE=| OLD_PURPOSE=|\r\n",
		"650 CIRC_MINOR | | OLD_HS_STATE=| OLD_TIME_CREATED=|\r\n", "650 CIRC | BUILT SOCKS_USERNAME=\"a| SOCKS_PASSWORD=|\r\n", "650 CIRC x| BUILT |y\r\n", "650 C|RC 7\r\n",
		"650 CIRC 7 BUILT SOCKS_USERNAME=\"a\" PURPOSE=|\r\n", "650-CIRC | BUILT\r\n", "650 STREAM | NEW | |\r\n", "650 CIRC | BUILT\r\nmore |\r\n", "650 CIRC | BUILT",
	}
	for range 20_000 {
		texts := strings.Split(forms[rnd.IntN(len(forms))], "|")
		var room Room
		m := new(Mold)
		usual := make([]string, len(texts)) // what the form's cells are most times
		for i := range usual {
			usual[i] = oddCells[rnd.IntN(len(oddCells))]
			if rnd.IntN(4) > 0 {
				usual[i] = []string{"7", "$A", `"a"`}[rnd.IntN(3)]
			}
		}
		for range 4 {
			wire, cells := texts[0], []uint32(nil)
			for i, text := range texts[1:] {
				cell := usual[i]
				if rnd.IntN(4) == 0 {
					cell = oddCells[rnd.IntN(len(oddCells))]
				}
				cells = append(cells, uint32(len(wire)), uint32(len(wire)+len(cell)))
				wire += cell + text
			}
			checkAlike(t, &room, m, wire, cells)
		}
	}
}

// FuzzAlike: texts, and the cells of several lines, all divided by "|".
func FuzzAlike(f *testing.F) {
	f.Add("650 CIRC | BUILT | PURPOSE=| SOCKS_USERNAME=|\r\n", "7|$A~a|GENERAL|\"u\"|8|$B~b,$C|TESTING|\"v\"")
	f.Add("650 CIRC_MINOR | | |OLD_PURPOSE=|\r\n", "7|PURPOSE_CHANGED|$A|X|=|\"|\"\"|\\")
	f.Add("650 CIRC | EXTENDED | X=\"|\r\n", "7|$A|b|7|$A|b\"")
	f.Fuzz(func(t *testing.T, form, values string) {
		texts, all := strings.Split(form, "|"), strings.Split(values, "|")
		n := len(texts) - 1
		if n == 0 || n > 30 || strings.ContainsAny(values, " \r\n") {
			return
		}
		var room Room
		m := new(Mold)
		for line := range slices.Chunk(all, n) {
			wire, cells := texts[0], []uint32(nil)
			for i, cell := range line {
				cells = append(cells, uint32(len(wire)), uint32(len(wire)+len(cell)))
				wire += cell + texts[i+1]
			}
			if len(line) == n {
				checkAlike(t, &room, m, wire, cells)
			}
		}
	})
}

// What was read before costs nothing to read alike.
func TestAlikeAllocatesNothing(t *testing.T) {
	wire := []byte("650 CIRC 7 BUILT $A~a,$B~b BUILD_FLAGS=NEED_CAPACITY PURPOSE=GENERAL TIME_CREATED=2026-11-23T08:45:46.724619\r\n")
	_, cells := cutLine(string(wire))
	var room Room
	m := new(Mold)
	if n := testing.AllocsPerRun(100, func() {
		for range 3 {
			if _, err := room.ParseAlike(m, wire, cells); err != nil {
				t.Error(err)
			}
		}
		room.Reset()
	}); n > 0 {
		t.Errorf("%v allocations for three events", n)
	}
}
