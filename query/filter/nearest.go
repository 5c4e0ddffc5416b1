package filter

import (
	"strings"
)

// nearest returns the word of words that a slip of the fingers may have made
// s of, "" if none is near: a third of its letters may be wrong, one at least.
func nearest(s string, words []string) string {
	s = strings.ToLower(s)
	best, at := "", 0
	for _, w := range words {
		allowed := max(1, len(w)/3)
		if d := len(w) - len(s); d > allowed || -d > allowed {
			continue
		}
		if d := distance(s, strings.ToLower(w)); d <= allowed && (best == "" || d < at) {
			best, at = w, d
		}
	}
	return best
}

// distance is the least number of letters to insert, to delete, to replace or
// to exchange with their neighbour that makes b of a.
func distance(a, b string) int {
	row := func() []int { return make([]int, len(b)+1) }
	before, last, now := row(), row(), row()
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		now[0] = i
		for j := 1; j <= len(b); j++ {
			wrong := 0
			if a[i-1] != b[j-1] {
				wrong = 1
			}
			now[j] = min(last[j]+1, now[j-1]+1, last[j-1]+wrong)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
		before, last, now = last, now, before
	}
	return last[len(b)]
}
