package scrub

import "bytes"

// maxBridges bounds what is remembered. A client has a handful; a relay's
// descriptor that says it is one does not make it one.
const maxBridges = 10_000

// bridges are the relays whose names are to be replaced, by fingerprint (40
// upper-case hex digits) and by nickname.
type bridges struct {
	known map[string]bool
	nicks map[string]bool
	all   bool // there were too many: every relay is taken for one
}

// learn remembers a bridge. The nickname may be empty.
func (b *bridges) learn(fp, nick []byte) {
	if isMasked(fp) || b.all {
		return
	}
	if b.known == nil {
		b.known = make(map[string]bool)
	}
	if len(b.known) >= maxBridges || len(b.nicks) >= maxBridges {
		b.all = true
		return
	}
	if !b.has(fp) {
		b.known[string(bytes.ToUpper(fp))] = true
	}
	b.learnNick(nick)
}

// learnNick remembers a bridge's nickname. One that is too short to be told
// from a word stays, as does what relays without one are called.
func (b *bridges) learnNick(nick []byte) {
	if len(nick) < 3 || string(nick) == nickname || string(nick) == "Unnamed" || b.nicks[string(nick)] {
		return
	}
	if b.nicks == nil {
		b.nicks = make(map[string]bool)
	}
	b.nicks[string(nick)] = true
}

// has reports whether a fingerprint, whose digits may be of either case, is a
// bridge's.
func (b *bridges) has(fp []byte) bool {
	if b.all {
		return true
	}
	if len(b.known) == 0 || len(fp) != 40 {
		return false
	}
	var upper [40]byte
	for i, c := range fp {
		if 'a' <= c && c <= 'f' {
			c -= 'a' - 'A'
		}
		upper[i] = c
	}
	return b.known[string(upper[:])]
}

func (b *bridges) hasNick(nick []byte) bool { return len(b.nicks) > 0 && b.nicks[string(nick)] }

// learnFrom remembers every fingerprint in a text that is about bridges, and
// the nicknames that stand with them.
func (b *bridges) learnFrom(text []byte) {
	for i := 0; i < len(text); {
		n := base64Run(text[i:])
		if n == 40 && isFingerprint(text[i:i+n]) {
			b.learn(text[i:i+n], nickAfter(text[i+n:]))
		}
		i += max(n, 1)
	}
}

// nickAfter returns the nickname that follows a fingerprint, "~nick" or
// "=nick".
func nickAfter(rest []byte) []byte {
	if len(rest) == 0 || rest[0] != '~' && rest[0] != '=' {
		return nil
	}
	return rest[1 : 1+nickLen(rest[1:])]
}

// nickLen returns how long the nickname is that text begins with.
func nickLen(text []byte) (n int) {
	for n < len(text) && (isLetter(text[n]) || isDigit(text[n])) {
		n++
	}
	return n
}

// base64Run returns how many digits of Base64 text begins with.
func base64Run(text []byte) (n int) {
	for n < len(text) && isBase64(text[n]) {
		n++
	}
	return n
}

func isBase64(c byte) bool { return isLetter(c) || isDigit(c) || c == '+' || c == '/' }
