package scrub

import "bytes"

// The scanner below looks at maximal runs of the characters that network
// addresses are written with. What it takes for an address may be more than
// one, never less: a number in dotted form too many is no harm, one too few
// is. What looks like an address and can be nobody's stays: the unspecified
// addresses "::" and 0.0.0.0, and what tor's version numbers look like
// (0.4.9.11; see isVersion). The rest of 0.0.0.0/8 is nobody's either, but tor
// probes its circuits with random addresses of it, 0.69.30.133:25, by which the
// same circuit can be found in another log.

// appendScrubbed appends text with every address in it replaced, and with
// hosts every host name and every path of an onion service's descriptor too.
func appendScrubbed(dst, text []byte, hosts bool) []byte {
	copied := 0 // text[:copied] is in dst
	users := bytes.IndexByte(text, '@') >= 0
	for i := 0; i < len(text); {
		from, to, found := i, i, false
		if hosts && users {
			to, found = userInfo(text, i)
		}
		if hosts && !found && beginsName(text, i, copied) {
			to, found = hostName(text, i)
		}
		if hosts && !found && text[i] == '/' {
			from, to, found = descriptorPath(text, i)
		}
		if !found && isAddressByte(text[i]) {
			from, to, found = addressAt(text, i, i == copied || !isAddressByte(text[i-1]))
		}
		if !found {
			i = max(i+1, to)
			continue
		}
		dst = append(append(dst, text[copied:from]...), marker...)
		copied, i = to, to
	}
	return append(dst, text[copied:]...)
}

// addressAt finds the address that begins at text[i], with its brackets, zone
// and port. If there is none, none begins before to either. With first,
// text[i] begins a run of address characters.
func addressAt(text []byte, i int, first bool) (from, to int, found bool) {
	if first {
		end := i
		for end < len(text) && isAddressByte(text[end]) {
			end++
		}
		if isIPv6(text[i:end]) {
			from, to = widen(text, i, trimPunctuation(text, i, end))
			return from, to, true
		}
	}
	if !isDigit(text[i]) {
		return i, i, false
	}
	if to, found = ipv4(text, i); found {
		to = port(text, to)
	}
	return i, to, found
}

// isIPv6 reports whether a run of hex digits, colons and dots is or holds an
// IPv6 address: one with "::" beside a digit, or one of six colons and more.
func isIPv6(run []byte) bool {
	colons := bytes.Count(run, []byte(":"))
	if colons >= 6 {
		return true
	}
	return bytes.Contains(run, []byte("::")) && len(bytes.Trim(run, ":.")) > 0
}

// trimPunctuation leaves out what ends a clause rather than the address.
func trimPunctuation(text []byte, from, to int) int {
	for to > from && text[to-1] == '.' {
		to--
	}
	if to > from+1 && text[to-1] == ':' && text[to-2] != ':' {
		to--
	}
	return to
}

// widen adds to an IPv6 address its zone, brackets and port.
func widen(text []byte, from, to int) (int, int) {
	if to < len(text) && text[to] == '%' {
		for to++; to < len(text) && isHostByte(text[to]); to++ {
		}
	}
	if from > 0 && text[from-1] == '[' && to < len(text) && text[to] == ']' {
		return from - 1, port(text, to+1)
	}
	return from, to
}

// ipv4 finds four or more numbers of up to three digits, joined by dots, that
// begin at the digit text[i]. If there are none, none begin before end either.
func ipv4(text []byte, i int) (end int, found bool) {
	count, next := 0, i
	for {
		n := digits(text, next)
		if n == 0 || n > 3 {
			break
		}
		count++
		end = next + n
		if end+1 >= len(text) || text[end] != '.' || !isDigit(text[end+1]) {
			break
		}
		next = end + 1
	}
	if count < 4 {
		return i + digits(text, i), false
	}
	if count == 4 && (string(text[i:end]) == "0.0.0.0" || isVersion(text[i:end]) && port(text, end) == end) {
		return end, false
	}
	return end, true
}

// isVersion reports whether four numbers may be a version of tor: the first is
// 0 and the second has one digit.
func isVersion(dotted []byte) bool {
	return dotted[0] == '0' && dotted[1] == '.' && dotted[3] == '.'
}

// port returns the end of a ":port" at text[i], or i.
func port(text []byte, i int) int {
	if i < len(text) && text[i] == ':' {
		if n := digits(text, i+1); n > 0 {
			return i + 1 + n
		}
	}
	return i
}

// digits returns how many digits there are from text[i] on.
func digits(text []byte, i int) (n int) {
	for i+n < len(text) && isDigit(text[i+n]) {
		n++
	}
	return n
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isAddressByte(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' || c == ':' || c == '.'
}
