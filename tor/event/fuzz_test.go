package event

import "testing"

// FuzzParse: nothing that Parse takes is lost, and nothing makes it panic.
func FuzzParse(f *testing.F) {
	f.Add([]byte("650 BW 1 2\r\n"))
	f.Add([]byte("650 CIRC 5 BUILT $AB~c PURPOSE=GENERAL FOO=1 REASON=X SOCKS_USERNAME=\"a\\'\\303\"\r\n"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		e, err := Parse(wire)
		if err != nil {
			return
		}
		if got := string(e.Format()); got != string(wire) {
			t.Fatalf("%T %+v\n got %q\nwant %q", e, e, got, wire)
		}
	})
}
