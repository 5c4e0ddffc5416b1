package main

import (
	"testing"
	"time"
)

// Eight bytes at once are looked at as one by one.
func TestPlainBytes(t *testing.T) {
	for size := range 20 {
		for at := range size {
			for c := range 256 {
				b := []byte("abcdefghijklmnopqrst")[:size]
				b[at] = byte(c)
				if got, want := isPlain(b), c >= ' ' && c <= '~'; got != want {
					t.Fatalf("%q: %v", b, got)
				}
				if got, want := string(appendPrintable([]byte("x"), b)), "x"+printable(string(b)); got != want {
					t.Fatalf("%q becomes %q, not %q", b, got, want)
				}
			}
		}
	}
}

// The stamp remembers a second: of two zones, before and after a change of the
// clock, and of a time before 1970.
func TestStamp(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		berlin = time.FixedZone("CET", 3600)
	}
	for _, loc := range []*time.Location{time.UTC, berlin} {
		var s stamp
		for _, us := range []int64{0, 1, 999_999, 1_000_000, 1_000_001, -1, -1_000_001, 1792890000_123456 - 1e6, 1792890000_123456, 1792893600_000007, 1795642982_144299, 1795642982_144300} {
			at := time.UnixMicro(us)
			want := at.In(loc).Format("Jan 02 15:04:05.000000 ")
			if got := string(s.append(nil, at, loc)); got != want {
				t.Errorf("%d in %v is %q, not %q", us, loc, got, want)
			}
		}
	}
	if got := string(new(stamp).append([]byte("x"), time.UnixMicro(5), time.UTC)); got != "xJan 01 00:00:00.000005 " {
		t.Errorf("the first one is %q", got)
	}
}
