package query

// numbering gives words numbers, so that counts by several of them look at few bytes.
type numbering struct {
	numbers map[string]wordNumber
	words   []string // by number
}

// wordNumber is the number of a word, from 0.
type wordNumber int32

func newNumbering() numbering { return numbering{numbers: map[string]wordNumber{}} }

// of returns the number of a word, which it keeps.
func (n *numbering) of(word string) wordNumber {
	number, ok := n.numbers[word]
	if !ok {
		number = wordNumber(len(n.words))
		n.numbers[word] = number
		n.words = append(n.words, word)
	}
	return number
}

// relayNumbers numbers relays, each by all of its names.
type relayNumbers struct {
	names  relayNames
	keys   numbering
	called []string                 // by number: the relay's name
	recent [recentWords]relayNumber // of names, each at its recentWord
}

type relayNumber struct {
	name   string
	number wordNumber
}

func newRelayNumbers() *relayNumbers {
	return &relayNumbers{names: relayNames{}, keys: newNumbering()}
}

// of returns the number of a relay, and remembers its name, which it keeps.
func (r *relayNumbers) of(name string) wordNumber {
	if name == "" {
		return r.learn(name)
	}
	recent := &r.recent[recentWord(name)]
	if recent.name != name || r.called[recent.number] != name {
		*recent = relayNumber{name, r.learn(name)}
	}
	return recent.number
}

// learn is of for a name that may be news.
func (r *relayNumbers) learn(name string) wordNumber {
	key := r.names.key(name)
	n := r.keys.of(key)
	if int(n) == len(r.called) {
		r.called = append(r.called, "")
	}
	r.called[n] = r.names.name(key)
	return n
}

// name is what the relay of a number is called.
func (r *relayNumbers) name(n wordNumber) string { return r.called[n] }
