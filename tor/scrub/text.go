package scrub

import (
	"bytes"
	"strings"
)

// idLen is the length of 32 bytes in Base64 without "=": the identity of a
// relay, the blinded key that is a descriptor's identifier.
const idLen = 43

// indexLen is the length of 32 bytes in hex: the place of a directory in the
// ring that descriptors are spread over.
const indexLen = 64

// endsInID reports whether a run of Base64 digits, of which "/" is one, is an
// identifier or a path that ends in one, such as /tor/hs/3/….
func endsInID(run []byte) bool {
	n := len(run) - idLen
	return n == 0 || n > 0 && run[n-1] == '/'
}

// text replaces in what tor wrote for people, where anything may stand: all
// addresses, host names and identifiers, and the names of bridges.
func (k *keyed) text(from, to int) {
	src := k.src[:to]
	bridges := aboutBridges(src[from:])
	if bridges {
		k.bridges.learnFrom(src[from:])
	}
	users := bytes.IndexByte(src[from:], '@') >= 0
	begin := from // of what has not been looked at
	for i := from; i < to; {
		c := src[i]
		if users {
			if at, found := userInfo(src, i); found {
				i = k.user(i, at, to)
				begin = i
				continue
			}
		}
		if c == '=' && bridges {
			i = k.argument(i+1, to)
			continue
		}
		if !isNameByte(c) && !isBase64(c) && c != ':' && c != '\\' {
			i++
			continue
		}
		end := i
		if c == '/' || c == '\\' {
			end = k.home(i, to)
		}
		if end == i && (i == begin || !isBase64(src[i-1])) {
			end = k.name(i, to)
		}
		if end == i {
			end = k.place(i, begin, to)
		}
		if end > i && k.copied == end {
			begin = end
		}
		i = max(i+1, end)
	}
}

// name replaces what stands at src[i] if it is a bridge's name or an
// identifier, and returns its end, or i.
func (k *keyed) name(i, to int) int {
	n := base64Run(k.src[i:to])
	switch {
	case endsInID(k.src[i : i+n]):
		k.whole(ofDescriptor, i+n-idLen, i+n)
		return i + n
	case n == indexLen && isHex(k.src[i:i+n]):
		k.whole(ofOther, i, i+n)
		return i + n
	case n == 40 && isFingerprint(k.src[i:i+n]):
		end := i + n
		if nick := nickAfter(k.src[end:to]); nick != nil {
			end += 1 + len(nick)
		}
		k.relay(i, end, false)
		return end
	}
	if n := nickLen(k.src[i:to]); n > 0 && k.bridges.hasNick(k.src[i:i+n]) {
		k.cut(i, i+n)
		k.dst = append(k.dst, nickname...)
		return i + n
	}
	return i
}

// place replaces the host or address that begins at src[i], and returns its
// end. If there is none it returns where one may begin next, or i.
func (k *keyed) place(i, begin, to int) int {
	src := k.src[:to]
	if beginsName(src, i, begin) {
		if end, found := hostName(src, i); found {
			for src[i] == '.' { // of a stuffed line, or the end of a sentence
				i++
			}
			k.endpoint(i, end, false)
			return end
		}
	}
	if !isAddressByte(src[i]) {
		return i
	}
	from, end, found := addressAt(src, i, i == begin || !isAddressByte(src[i-1]))
	if !found {
		return end
	}
	k.literal(from, end)
	return end
}

// homes are the folders whose subfolders bear the names of users.
var homes = []string{"/home/", "/Users/", `\Users\`, `\\Users\\`}

// home replaces the user's name in the path of a home folder that begins at
// src[i], and returns its end, or i.
func (k *keyed) home(i, to int) int {
	for _, folder := range homes {
		if at := i + len(folder); at < to && string(k.src[i:at]) == folder {
			end := at
			for end < to && strings.IndexByte(`/\"' ,:;)`, k.src[end]) < 0 {
				end++
			}
			k.field(secretField, at, end)
			return end
		}
	}
	return i
}

// user replaces what stands before the "@" at src[at]; and behind it a host
// that would not be seen as one elsewhere. It returns where to go on.
func (k *keyed) user(from, at, to int) int {
	k.whole(ofCredential, from, at)
	src := k.src[:to]
	if _, found := hostName(src, at+1); found || src[at+1] == '[' {
		return at + 1
	}
	if _, _, found := addressAt(src, at+1, true); found {
		return at + 1
	}
	end := port(src, nameEnd(src, at+1))
	k.endpoint(at+1, end, false)
	return end
}

// literal replaces what is written as an address is.
func (k *keyed) literal(from, end int) {
	hostEnd, portAt := splitPort(k.src[from:end])
	hostFrom, hostTo := from, from+hostEnd
	if k.src[hostFrom] == '[' {
		hostFrom, hostTo = hostFrom+1, hostTo-1
	}
	k.cut(hostFrom, hostTo)
	k.dst = k.appendAddress(k.dst, k.src[hostFrom:hostTo])
	if portAt > 0 {
		k.field(portField, from+portAt, end)
	}
	k.cut(end, end)
}

// argument replaces, in a text about bridges, the value that begins at src[i]
// if it is long enough to find a bridge by (cert=…), and returns where to go
// on.
func (k *keyed) argument(i, to int) int {
	const short = 8
	n := 0
	for i+n < to && (isBase64(k.src[i+n]) || k.src[i+n] == '-' || k.src[i+n] == '_' || k.src[i+n] == '=') {
		n++
	}
	if n < short || n == idLen || n == 40 || i+n < to && (k.src[i+n] == '.' || k.src[i+n] == ':') {
		return i
	}
	k.whole(ofOther, i, i+n)
	return i + n
}

// aboutBridges reports whether a text has the word bridge in it, in any case.
func aboutBridges(text []byte) bool {
	for {
		i := bytes.Index(text, []byte("idge"))
		if i < 0 {
			break
		}
		if i >= 2 && (text[i-1] == 'r' || text[i-1] == 'R') && (text[i-2] == 'b' || text[i-2] == 'B') {
			return true
		}
		text = text[i+4:]
	}
	return bytes.Contains(text, []byte("BRIDGE"))
}
