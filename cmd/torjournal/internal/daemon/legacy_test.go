package daemon

import (
	"slices"
	"strings"
	"testing"
	"time"

	"torjournal/control"
)

// What a name in the store says comes out of it again, as far as it has room.
func TestLegacyNames(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	id := func(c string) string { return strings.Repeat(c, 56) }
	for _, tt := range []struct {
		owns   bool
		onions []string
		want   []string
	}{
		{true, nil, nil},
		{false, []string{id("a")}, []string{id("a")}},
		{true, []string{id("a"), id("b"), id("c")}, []string{id("a"), id("b"), id("c")}},
		{false, []string{id("a"), id("b"), id("c"), id("d"), id("e")}, []string{id("a"), id("b"), id("c")}},
	} {
		name := legacyName(control.ConnectionInfo{ID: 1 << 40, OwnsTor: tt.owns, Onions: tt.onions}, at)
		l, ok := parseLegacy(name)
		if !ok || len(name) > maxName || strings.ContainsAny(name, ": \n") || l.OwnsTor != tt.owns || !l.Since.Equal(at) || !slices.Equal(l.Onions, tt.want) {
			t.Errorf("%q: %+v, %v", name, l, ok)
		}
	}
	for _, name := range []string{"", "stored", "torjournal-owner", "torjournal-other-1-1-", "torjournal-owner-x-1-", "other-owner-1-1-"} {
		if l, ok := parseLegacy(name); ok {
			t.Errorf("%q: %+v", name, l)
		}
	}
}
