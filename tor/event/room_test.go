package event

import (
	"path/filepath"
	"reflect"
	"testing"
)

// Events of a room are what they are without one, until it is reset, however
// many there are; then it takes others, and what it had room for costs nothing.
func TestRoom(t *testing.T) {
	var wires [][]byte
	files, _ := filepath.Glob(sampleDir + "/*.jsonl")
	for _, path := range files {
		records(t, path, func(rec record) { wires = append(wires, []byte(rec.Raw)) })
	}
	var room Room
	for round := range 3 { // of which two make it large enough
		var events []Event
		for _, wire := range wires {
			e, err := room.ParseInPlace(wire)
			if err != nil {
				t.Fatal(err)
			}
			events = append(events, e)
		}
		for i, e := range events {
			if alone, _ := Parse(wires[i]); !reflect.DeepEqual(e, alone) {
				t.Fatalf("round %d: %+v\nalone %+v", round, e, alone)
			}
		}
		room.Reset()
		for _, e := range events {
			if c, ok := e.(*Circuit); ok && round == 2 && !reflect.DeepEqual(c, &Circuit{}) {
				t.Fatalf("round %d: after Reset there is %+v", round, c)
			}
		}
	}
	circuit := []byte("650 CIRC 7 BUILT $A~a,$B~b BUILD_FLAGS=NEED_CAPACITY PURPOSE=GENERAL TIME_CREATED=2026-11-23T08:45:46.724619\r\n")
	if n := testing.AllocsPerRun(100, func() {
		for range 10 {
			if _, err := room.ParseInPlace(circuit); err != nil {
				t.Error(err)
			}
		}
		room.Reset()
	}); n > 0 {
		t.Errorf("%v allocations for ten events", n)
	}
}
