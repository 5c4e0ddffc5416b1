package journal

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The list is a queue, whatever was done to it before, and holds hardly more
// than its items take.
func TestItemList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l itemList
		var want []time.Duration
		next := time.Duration(0)
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			n := rapid.IntRange(0, 3*pieceItems).Draw(t, "n")
			switch rapid.IntRange(0, 2).Draw(t, "step") {
			case 0:
				for range n {
					l.push(&item{mono: next})
					want = append(want, next)
					next++
				}
			case 1:
				for range min(n, len(want)) {
					if got := l.front().mono; got != want[0] {
						t.Fatalf("item %d comes, want %d", got, want[0])
					}
					l.pop()
					want = want[1:]
				}
			default:
				every := time.Duration(n%5 + 1)
				l.keep(func(it *item) bool { return it.mono%every != 0 })
				var kept []time.Duration
				for _, v := range want {
					if v%every != 0 {
						kept = append(kept, v)
					}
				}
				want = kept
			}
			if l.len() != len(want) {
				t.Fatalf("%d items, want %d", l.len(), len(want))
			}
			pieces := 0
			for p := l.first; p != nil; p = p.next {
				pieces++
			}
			if most := len(want)/pieceItems + 2; pieces > most {
				t.Fatalf("%d pieces for %d items", pieces, len(want))
			}
		}
	})
}
