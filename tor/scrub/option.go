package scrub

import (
	"bytes"
	"strings"
)

// secretOptions are the options of tor, in lower case, whose value is a
// secret, or names others as a whole: what would be left of it says too much
// or nothing.
var secretOptions = keySet(
	"bridge", "bridgepassword", "hashedcontrolpassword", "__hashedcontrolsessionpassword", "hidservauth", "clientonionauthdir",
	"httpproxy", "httpsproxy", "socks4proxy", "socks5proxy", "tcpproxy",
	"httpproxyauthenticator", "httpsproxyauthenticator", "socks5proxyusername", "socks5proxypassword",
	"mapaddress", "clienttransportplugin", "servertransportoptions", "servertransportlistenaddr",
	"automaphostssuffixes", "trackhostexits", "nodefamily",
)

// fileOptions are the options of tor, in lower case, whose value is the name of
// a file or folder, which tells who its user is and what else he does. It may
// have blanks in it.
var fileOptions = keySet(
	"datadirectory", "cachedirectory", "keydirectory", "pidfile", "geoipfile", "geoipv6file", "cookieauthfile",
	"extorportcookieauthfile", "controlportwritetofile", "dirportfrontpage", "serverdnsresolvconffile", "v3bandwidthsfile",
	"guardfractionfile",
)

// stripOption appends a line of CONF_CHANGED: "<option>" or "<option>=<value>".
func stripOption(dst, text []byte) []byte {
	name, value, isSet := bytes.Cut(text, []byte("="))
	if !isSet {
		return appendScrubbed(dst, text, false)
	}
	dst = append(appendScrubbed(dst, name, false), '=') // the name: it may be none
	if isSecret(strings.ToLower(string(name))) && len(value) > 0 {
		return append(dst, marker...)
	}
	return appendScrubbed(dst, value, true)
}

func isSecret(option string) bool {
	return secretOptions[option] || strings.HasPrefix(option, "hiddenservice")
}

// option replaces in a line of CONF_CHANGED, "<option>" or "<option>=<value>".
func (k *keyed) option(from, to int) {
	name, value, isSet := bytes.Cut(k.src[from:to], []byte("="))
	if !isSet {
		name, value = k.src[from:to], nil
	}
	at := to - len(value)
	if len(value) > 0 {
		k.text(from, at)
	}
	switch option := strings.ToLower(string(name)); {
	case option == "usebridges":
		k.bridged = string(value) == "1"
	case len(value) == 0:
		k.text(from, to)
	case option == "bridge":
		k.bridgeLine(at, to)
	case isSecret(option), fileOptions[option], option == "nickname", option == "contactinfo":
		k.whole(ofOther, at, to)
	default:
		begin, end := filePath(k.src[at:to], option == "log")
		k.text(at, at+begin)
		k.field(secretField, at+begin, at+end)
		k.text(at+end, to)
	}
}

// filePath finds a path in the value of an option: behind a blank, a quote or
// "unix:". It ends at the quote that stands before it, else at a blank, but with
// toEnd at the end. Without one, begin and end are len(value).
func filePath(value []byte, toEnd bool) (begin, end int) {
	for begin < len(value) && !beginsPath(value, begin) {
		begin++
	}
	if toEnd {
		return begin, len(value)
	}
	closing := byte(' ')
	if begin > 0 && value[begin-1] == '"' {
		closing = '"'
	}
	if n := bytes.IndexByte(value[begin:], closing); n >= 0 {
		return begin, begin + n
	}
	return begin, len(value)
}

func beginsPath(value []byte, i int) bool {
	rest := value[i:]
	if i > 0 && value[i-1] != ' ' && value[i-1] != '"' && !bytes.HasSuffix(value[:i], []byte("unix:")) {
		return false
	}
	for _, begin := range []string{"/", "~", "./", "../"} {
		if bytes.HasPrefix(rest, []byte(begin)) {
			return true
		}
	}
	return len(rest) > 2 && isLetter(rest[0]) && rest[1] == ':' && (rest[2] == '\\' || rest[2] == '/')
}

// bridgeLine replaces in the value of Bridge: "[transport] address:port
// [fingerprint] [key=value …]".
func (k *keyed) bridgeLine(from, to int) {
	k.bridges.learnFrom(k.src[from:to])
	for n, pos := 0, from; ; n++ {
		w := nextWord(k.src, pos, to, false)
		if w.from == w.to {
			return
		}
		pos = w.to
		switch word := k.src[w.from:w.to]; {
		case w.isKeyword():
			k.field(secretField, w.value, w.to)
		case isFingerprint(word) || len(word) > 40 && word[0] == '$':
			k.relay(w.from, w.to, true)
		case bytes.ContainsAny(word, ".:"):
			k.endpoint(w.from, w.to, false)
		case n > 0:
			k.field(secretField, w.from, w.to)
		}
	}
}
