package query

import "strings"

// intern holds one copy of each word that rows bear, so that neither a row
// nor the line it came from is kept once for every circuit.
type intern struct {
	words  map[string]string
	recent [recentWords]string // some of words, each at its recentWord
}

func newIntern() *intern { return &intern{words: map[string]string{}} }

func (in *intern) word(s string) string {
	if s == "" {
		return ""
	}
	recent := &in.recent[recentWord(s)]
	if *recent == s {
		return *recent
	}
	w, ok := in.words[s]
	if !ok {
		w = strings.Clone(s)
		in.words[w] = w
	}
	*recent = w
	return w
}

// recentWords is how many words are found without a map, which looks at every byte
// of one: most that lines have are a few that come again and again.
const recentWords = 256

// recentWord is a number of a word, which is not empty: relays differ in their
// fingerprints, behind which their names are, other words in their length and ends.
func recentWord(s string) uint8 { return s[len(s)-1] + 7*s[len(s)/4] + 31*s[len(s)/2] + uint8(len(s)) }

// status is word for the status of a circuit, which every event has.
func (in *intern) status(s string) string {
	switch s {
	case statusLaunched:
		return statusLaunched
	case statusExtended:
		return statusExtended
	case statusBuilt:
		return statusBuilt
	case statusFailed:
		return statusFailed
	case statusClosed:
		return statusClosed
	}
	return in.word(s)
}
