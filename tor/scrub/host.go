package scrub

import (
	"bytes"
	"strings"
)

// onionLen is the length of an onion service's name without ".onion"
// (rend-spec-v3, section 6): 35 bytes in base 32.
const onionLen = 56

// hostName finds the host name that begins at text[i], with its port. A host
// name is labels joined by single dots, the last of them one that isTopLevel
// knows; a path component is none unless "//" stands before it. An onion
// name is one wherever it stands, also without its ".onion", as is a label that
// is an encoded name ("xn--…"), and any word where askedFor says so.
func hostName(text []byte, i int) (to int, found bool) {
	if to, found := askedFor(text, i); found {
		return to, true
	}
	end := nameEnd(text, i)
	for end > i && (text[end-1] == '.' || text[end-1] == '-') {
		end--
	}
	word := bytes.TrimLeft(text[i:end], ".")
	if isOnion(word) || isEncoded(word) && len(word) > len(encoded) {
		return port(text, end), true
	}
	if dot := bytes.LastIndexByte(word, '.'); dot <= 0 || bytes.Contains(word, []byte("..")) || inPath(text, i) || !isTopLevel(word[:dot], word[dot+1:]) {
		return i, false
	}
	return port(text, end), true
}

// nameEnd returns where the characters that host names are written with end.
// Names of other scripts are written as they are, or, where tor writes for
// people, each byte as "\" and three octal digits.
func nameEnd(text []byte, i int) int {
	for i < len(text) && (isNameByte(text[i]) || isEscape(text[i:])) {
		if text[i] == '\\' {
			i += escapeLen - 1
		}
		i++
	}
	return i
}

// beginsName reports whether text[i] is the first character of a word that may
// be a host name; begin is where the text begins.
func beginsName(text []byte, i, begin int) bool {
	if !isNameByte(text[i]) && !isEscape(text[i:]) {
		return false
	}
	if i == begin {
		return true
	}
	return !isNameByte(text[i-1]) // the last digit of an escape is one too
}

func isNameByte(c byte) bool { return isHostByte(c) || c >= 0x80 }

const escapeLen = len(`\303`)

// isEscape reports whether text begins with a byte that is not ASCII, as tor
// escapes it.
func isEscape(text []byte) bool {
	return len(text) >= escapeLen && text[0] == '\\' && '2' <= text[1] && text[1] <= '3' &&
		'0' <= text[2] && text[2] <= '7' && '0' <= text[3] && text[3] <= '7'
}

// unescaped returns a name with its bytes as they are, so that it is the same
// wherever it stands.
func unescaped(name []byte) []byte {
	if bytes.IndexByte(name, '\\') < 0 {
		return name
	}
	out := make([]byte, 0, len(name))
	for i := 0; i < len(name); i++ {
		c := name[i]
		if isEscape(name[i:]) {
			c = (name[i+1]-'0')<<6 | (name[i+2]-'0')<<3 | (name[i+3] - '0')
			i += escapeLen - 1
		}
		out = append(out, c)
	}
	return out
}

// beforeHosts are tor's own words right before a host that somebody asked for:
// there even a word without a dot, or a number, is one (inet_aton takes
// 2130706433 for an address). Tor writes no other word there. Where they end
// in a quote the host goes on to the next one. They are listed by their last
// byte but one, so that few are looked at.
var beforeHosts = byLastButOne(
	// A client's.
	"address '", `address "`, `address ""`, "Address '", `Address "`, "hostname '", `hostname "`, "host '", `host "`,
	"Hostname ", "onion hostname ", "Invalid hostname ", "connect to hostname ", "hostname or IP address ", "private address ",
	"destination '", "Destination '", `destination "`, "lookup for '", "resolve '", "resolving '", "connecting to '", "connect to '", `Connecting to "`,
	"connection to '", "get a connection to ", "attempting connection to ", "allow connection to ", "data for connection to ",
	"asked for ", "allows exit to ", `application request to "`, "direct tunnel to ", "anonymized tunnel to ", "(address ",
	"(re)mapped '", "' to '", "mapped to by '", "mapped to '", "maps to '", `rewriting "`, rewrittenTo, "Map from ", `rewritten "`, `Automapping "`,
	"Redirecting address ", `reverse lookup "`, "lookup hostname of ", "reverse lookup of ", "address for '",
	`malformed hostname: "`, `request for "`, "HOSTNAME=",
	// An exit's.
	`cached answer for "`, `resolve of "`, `dns resolve "`, `(address "`, `Launching "`, `said that "`, `resolves to "`, `error for "`,
	`types for "`, `types  for "`, `Resolved "`, "RESOLVED reply: ", `answer for "`, `has given "`, `redirect "`, `occurrences of "`, "Tried to purge ", "; instead got ",
)

// rewrittenTo is before a host only behind "rewriting"; channels go from "opening"
// to "open".
const rewrittenTo = `" to "`

func byLastButOne(words ...string) (by [256][]string) {
	for _, w := range words {
		c := w[len(w)-2]
		by[c] = append(by[c], w)
	}
	return by
}

// askedFor finds the host that begins at text[i], with its port, if tor's
// words before it say that it is one.
func askedFor(text []byte, i int) (to int, found bool) {
	if i < len("host '") || strings.IndexByte(` '"=`, text[i-1]) < 0 {
		return i, false
	}
	for _, before := range beforeHosts[text[i-2]] {
		if bytes.HasSuffix(text[:i], []byte(before)) && (before != rewrittenTo || bytes.Contains(text[:i], []byte("rewriting "))) {
			return hostEnd(text, i)
		}
	}
	return i, false
}

// hostEnd returns the end of the host that begins at text[i], with its port:
// it goes on to the quote that closes it, if one stands before it, else as long
// as names do.
func hostEnd(text []byte, i int) (to int, found bool) {
	if q := text[i-1]; q == '"' || q == '\'' {
		if n := bytes.IndexByte(text[i:], q); n > 0 && bytes.IndexByte(text[i:i+n], ' ') < 0 {
			return port(text, i+n), true
		}
	}
	to = nameEnd(text, i)
	for to > i && text[to-1] == '.' {
		to--
	}
	return port(text, to), to > i
}

// userInfo finds the user name, and the password, that begin at text[i] and
// stand before a host: user:password@host. at is where the "@" is. Without a
// password, what follows must look like a host by itself.
func userInfo(text []byte, i int) (at int, found bool) {
	if i > 0 && isUserByte(text[i-1]) {
		return i, false
	}
	for end := i; end < len(text) && isUserByte(text[end]); end++ {
		if text[end] == '@' {
			at = end
		}
	}
	if at <= i || at+1 == len(text) {
		return i, false
	}
	if bytes.IndexByte(text[i:at], ':') > 0 {
		return at, text[at+1] == '[' || nameEnd(text, at+1) > at+1
	}
	if _, found = hostName(text, at+1); !found && text[at+1] != '[' {
		_, _, found = addressAt(text, at+1, true)
	}
	return at, found
}

// isUserByte reports whether c may stand in the part of a URL before its host
// (RFC 3986, section 3.2.1), or is the "@" behind it. What closes a quote or a
// bracket around it is left out, and "=", which a keyword ends with.
func isUserByte(c byte) bool {
	return isNameByte(c) || strings.IndexByte("~%!$&*+,;:@", c) >= 0
}

// descriptorPath finds the identifier in the path that begins at text[i], if
// it is that of an onion service's descriptor: /tor/hs/3/<identifier>.
func descriptorPath(text []byte, i int) (from, to int, found bool) {
	const before = "/tor/hs/"
	n := base64Run(text[i:])
	if n <= len(before)+idLen || string(text[i:i+len(before)]) != before || !endsInID(text[i:i+n]) {
		return i, i, false
	}
	return i + n - idLen, i + n, true
}

func isOnion(word []byte) bool {
	if len(word) > len(".onion") && bytes.EqualFold(word[len(word)-len(".onion"):], []byte(".onion")) {
		return true
	}
	if len(word) != onionLen {
		return false
	}
	for _, c := range word {
		if !isLetter(c) && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

// encoded is what a label in another script than ours begins with (RFC 5890).
const encoded = "xn--"

func isEncoded(word []byte) bool {
	return len(word) >= len(encoded) && bytes.EqualFold(word[:len(encoded)], []byte(encoded))
}

// inPath reports whether what begins at text[i] is a component of a path.
func inPath(text []byte, i int) bool {
	return i > 0 && text[i-1] == '/' && (i < 2 || text[i-2] != '/')
}

// isTopLevel reports whether label can be the last one of a host name: two
// letters or more, or a label in another script, or one with a digit, as only
// private names have. A version number ends in such a label too (1.1.1n,
// 0.4.9.1-alpha): behind numbers it is none.
func isTopLevel(before, label []byte) bool {
	letters, others := 0, 0
	for _, c := range label {
		switch {
		case isLetter(c):
			letters++
		case c >= 0x80 || c == '\\':
			return true
		default:
			others++
		}
	}
	switch {
	case others == 0:
		return letters >= 2
	case isEncoded(label):
		return true
	}
	last := before[bytes.LastIndexByte(before, '.')+1:]
	return letters > 0 && digits(last, 0) < len(last)
}

func isHostByte(c byte) bool { return isLetter(c) || isDigit(c) || c == '.' || c == '-' || c == '_' }

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
