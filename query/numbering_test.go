package query

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// someNames are more than are found without a map, many of which fall together
// there: relays of which some have several names, and words that are none.
func someNames() (names []string) {
	for i := range 400 {
		name := fmt.Sprintf("$%08X%032X", i%300, 7)
		if i%3 > 0 {
			name += fmt.Sprintf("%c%s", "~="[i%2], []string{"relay", "x", ""}[i%7%3])
		}
		names = append(names, name)
	}
	return append(names, "", "?", "client", "$", "beta")
}

// A relay that has a number is the one that relayNames knows, and called likewise,
// whatever it was called before.
func TestRelayNumbers(t *testing.T) {
	names, rnd := someNames(), rand.New(rand.NewPCG(1, 9))
	r, byKey := newRelayNumbers(), relayNames{}
	numbers := map[string]wordNumber{}
	for range 20_000 {
		name := names[rnd.IntN(len(names))]
		if rnd.IntN(2) == 0 {
			name = names[rnd.IntN(9)+300*rnd.IntN(2)] // several names of some
		}
		n, key := r.of(name), byKey.key(name)
		if before, ok := numbers[key]; ok && before != n {
			t.Fatalf("%s was number %d and is %d", key, before, n)
		}
		numbers[key] = n
		other := names[rnd.IntN(len(names))]
		if n, ok := numbers[relay(other)]; ok && r.name(n) != byKey.name(relay(other)) {
			t.Fatalf("%s is called %s, not %s", other, r.name(n), byKey.name(relay(other)))
		}
	}
	seen := map[wordNumber]bool{}
	for key, n := range numbers {
		if seen[n] {
			t.Errorf("another relay than %s has number %d too", key, n)
		}
		seen[n] = true
	}
}

// A word is what it is, and there is one of it.
func TestIntern(t *testing.T) {
	names, rnd := someNames(), rand.New(rand.NewPCG(1, 10))
	in, met := newIntern(), map[string]bool{}
	line := make([]byte, 64)
	for range 20_000 {
		word := names[rnd.IntN(len(names))]
		met[word] = word != ""
		n := copy(line, word)
		if got := in.word(string(line[:n])); got != word {
			t.Fatalf("%q is %q", word, got)
		}
	}
	if len(in.words) != len(met)-1 {
		t.Errorf("%d words of %d", len(in.words), len(met)-1)
	}
}
