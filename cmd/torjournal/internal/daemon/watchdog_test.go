package daemon

import (
	"log/slog"
	"testing"
	"time"
)

func TestWatchdogTime(t *testing.T) {
	for usec, want := range map[string]time.Duration{
		"30000000": 30 * time.Second, "1": time.Microsecond, "": 0, "0": 0, "30s": 0, "-5": 0,
		"9223372036854775": 9223372036854775 * time.Microsecond, "9223372036854776": 0, "18446744073709551616": 0,
	} {
		if got := watchdogTime(usec); got != want {
			t.Errorf("%q: %v, want %v", usec, got, want)
		}
	}
}

// Who is no service, or is not asked, sends nothing and does not wait.
func TestNobodyWatches(t *testing.T) {
	for _, m := range []Manager{{}, {patience: time.Second}, {socket: "/nowhere"}} {
		m.watch(t.Context(), nil, slog.New(slog.DiscardHandler))
	}
	Manager{}.describe(t.Context(), nil)
}
