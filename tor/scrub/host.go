package scrub

import "bytes"

// onionLen is the length of an onion service's name without ".onion"
// (rend-spec-v3, section 6): 35 bytes in base 32.
const onionLen = 56

// hostName finds the host name that begins at text[i], with its port. A host
// name is labels joined by single dots, the last of two
// letters or more; a path component is none unless "//" stands before it. An onion
// name is one wherever it stands, also without its ".onion", and so is any word
// where askedFor says so.
func hostName(text []byte, i int) (to int, found bool) {
	if to, found := askedFor(text, i); found {
		return to, true
	}
	end := i
	for end < len(text) && isHostByte(text[end]) {
		end++
	}
	for end > i && (text[end-1] == '.' || text[end-1] == '-') {
		end--
	}
	word := bytes.TrimLeft(text[i:end], ".")
	if isOnion(word) {
		return port(text, end), true
	}
	dot := bytes.LastIndexByte(word, '.')
	if dot <= 0 || bytes.Contains(word, []byte("..")) || inPath(text, i) || !isTopLevel(word[dot+1:]) {
		return i, false
	}
	return port(text, end), true
}

// beforeHosts are tor's own words right before a host that somebody asked for:
// there even a word without a dot, or a number, is one (inet_aton takes
// 2130706433 for an address). Tor writes no other word there.
var beforeHosts = []string{
	"address '", "address \"", "Address '", "hostname '", "hostname \"", "host '", "host \"", "Hostname ", "onion hostname ",
	"destination '", "Destination '", "lookup for '", "resolve '", "resolving '", "connecting to '", "connection to '",
	"asked for ", "allows exit to ", "Invalid hostname ", "data for connection to ",
}

// askedFor finds the host that begins at text[i], with its port, if tor's
// words before it say that it is one.
func askedFor(text []byte, i int) (to int, found bool) {
	if i < len("host '") || text[i-1] != ' ' && text[i-1] != '\'' && text[i-1] != '"' {
		return i, false
	}
	for _, before := range beforeHosts {
		if before[len(before)-1] == text[i-1] && bytes.HasSuffix(text[:i], []byte(before)) {
			for to = i; to < len(text) && isHostByte(text[to]); to++ {
			}
			for to > i && text[to-1] == '.' {
				to--
			}
			return port(text, to), to > i
		}
	}
	return i, false
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

// inPath reports whether what begins at text[i] is a component of a path.
func inPath(text []byte, i int) bool {
	return i > 0 && text[i-1] == '/' && (i < 2 || text[i-2] != '/')
}

func isTopLevel(label []byte) bool {
	if bytes.HasPrefix(bytes.ToLower(label), []byte("xn--")) {
		return true
	}
	for _, c := range label {
		if !isLetter(c) {
			return false
		}
	}
	return len(label) >= 2
}

func isHostByte(c byte) bool { return isLetter(c) || isDigit(c) || c == '.' || c == '-' || c == '_' }

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
