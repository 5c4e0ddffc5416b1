package query

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// A life's path is what the last event said, whatever the one before; and what is
// kept of an earlier one stays as it was.
func TestHops(t *testing.T) {
	names := []string{"$A~a", "$A", "$A~ab", "$B~b", "b", ""}
	r := rand.New(rand.NewPCG(1, 2))
	words := newIntern()
	var l life
	for range 20_000 {
		path := make([]string, 1+r.IntN(4))
		for i := range path {
			path[i] = names[r.IntN(len(names))]
		}
		if r.IntN(2) == 0 {
			path = append(slices.Clone(l.path), path...)
			path = path[:min(len(path), 1+r.IntN(6))]
		}
		text := strings.Join(path, ",")
		if text == "" {
			continue // nothing is said of it
		}
		kept, before := l.path, slices.Clone(l.path)
		l.hops(text, words)
		if !slices.Equal(l.path, strings.Split(text, ",")) {
			t.Fatalf("behind %q, %q gives %q", before, text, l.path)
		}
		if !slices.Equal(kept, before) {
			t.Fatalf("%q makes %q of what was kept of %q", text, kept, before)
		}
	}
}
