package scrub

import "bytes"

// onionLen is the length of an onion service's name without ".onion"
// (rend-spec-v3, section 6): 35 bytes in base 32.
const onionLen = 56

// hostName finds the host name that begins at text[i], with its port. A host
// name is labels joined by single dots, the last of two
// letters or more; a path component is none unless "//" stands before it. An onion
// name is one wherever it stands, also without its ".onion".
func hostName(text []byte, i int) (to int, found bool) {
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
