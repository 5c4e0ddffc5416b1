package filter

import (
	"strings"
	"testing"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

func TestDuration(t *testing.T) {
	f := func(in string, want time.Duration) {
		t.Helper()
		if got, err := Duration(in); err != nil || got != want {
			t.Errorf("Duration(%q) = %v, %v, want %v", in, got, err, want)
		}
	}
	f("0s", 0)
	f("1s", time.Second)
	f(" 5m ", 5*time.Minute)
	f("0.25s", 250*time.Millisecond)
	f("0.000000001s", 1)
	f("1.999999999w", 7*24*time.Hour+999999999*7*24*3600)
	f("1h30m", 90*time.Minute)
	f("60ms", 60*time.Millisecond)
	f("1.5ms", 1500*time.Microsecond)
	f("2m1s5ms", 2*time.Minute+time.Second+5*time.Millisecond)
	f("1d", 24*time.Hour)
	f("10000w", 10000*7*24*time.Hour)
	for _, bad := range []string{"", "5", "m", "-5m", "5 m", "5min", "1m1h", "5M", "10500w", "1e3s", "٣h", "5ms1s", "5us", "1ms2m"} {
		if got, err := Duration(bad); err == nil || !strings.Contains(err.Error(), "for example 30s") {
			t.Errorf("Duration(%q) = %v, %v, want an error with an example", bad, got, err)
		}
	}
}

func TestTypes(t *testing.T) {
	f := func(in string, want event.Set) {
		t.Helper()
		if got, err := Types(in); err != nil || !got.Equal(want) {
			t.Errorf("Types(%q) = %v, %v, want %v", in, got, err, want)
		}
	}
	f("", event.Set{})
	f(" , ", event.Set{})
	f("CIRC", event.NewSet(event.CIRC))
	f("circ,Bw", event.NewSet(event.CIRC, event.BW))
	f("CIRC BW\tstream, ORCONN,,CIRC", event.NewSet(event.CIRC, event.BW, event.STREAM, event.ORCONN))
	f("journal", event.NewSet(event.JOURNAL))
	f("all", event.AllTypes())
	f("BW,ALL", event.AllTypes())
	for _, want := range event.Types() {
		f(strings.ToLower(string(want)), event.NewSet(want))
	}
}

func TestTypesRefuses(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if _, err := Types(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Types(%q): %v, want an error with %q", in, err, want)
		}
	}
	f("CIRK", `"CIRK" is no event type; did you mean CIRC?`)
	f("cric", "did you mean CIRC?")
	f("CIRC,STREM", "did you mean STREAM?")
	f("HS-DESC", "did you mean HS_DESC?")
	f("WARNING", "write ALL or some of CIRC STREAM")
	f("CIRC;BW", `"CIRC;BW" is no event type`)
	f(strings.Repeat("x", 5000), "5000 bytes")
	f(strings.Repeat("x", 4000), "no event type")
}

func TestSession(t *testing.T) {
	sessions := []journal.Session{{ID: 3}, {ID: 4}, {ID: 7}}
	f := func(in string, want uint64) {
		t.Helper()
		if got, err := Session(in, sessions); err != nil || got != want {
			t.Errorf("Session(%q) = %d, %v, want %d", in, got, err, want)
		}
	}
	f("", 7)
	f("0", 7)
	f("-0", 7)
	f("-1", 4)
	f("-2", 3)
	f("3", 3)
	f(" 7 ", 7)
}

func TestSessionRefuses(t *testing.T) {
	some := []journal.Session{{ID: 3}, {ID: 4}, {ID: 7}}
	f := func(in string, sessions []journal.Session, want string) {
		t.Helper()
		if got, err := Session(in, sessions); err == nil || got != 0 || !strings.Contains(err.Error(), want) {
			t.Errorf("Session(%q) = %d, %v, want an error with %q", in, got, err, want)
		}
	}
	f("0", nil, "no session yet")
	f("-3", some, "the journal holds sessions 3 to 7; the oldest is -2")
	f("-1", some[:1], "the journal holds session 3 only, which is 0")
	f("5", some, "the journal holds sessions 3 to 7")
	f("1", some[:1], "the journal holds session 3 only")
	f("x", some, "for example -1")
	f("--1", some, "for example -1")
	f("-", some, "for example -1")
	f("99999999999999999999", some, "is no session")
}
