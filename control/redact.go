package control

import (
	"bytes"
	"strings"

	"torjournal/tor/event"
)

// What the audit shows of a command's arguments. The rule is the same
// everywhere: a word is shown if its place in the command allows it and it has
// the form of what belongs there. What is not known is not shown, so that a
// newer tor's secret, or a password typed in the wrong place, is not either.

// redacted stands for what is not shown. It is what tor writes (SafeLogging),
// and what tor/scrub leaves as it is.
const redacted = "[scrubbed]"

// maxShown bounds what is shown of one command, in bytes. The longest that are
// not lists, an EXTENDCIRCUIT by eight fingerprints with nicknames, have 600.
const maxShown = 1 << 10

// shape tells what is shown of a word; ok is false if it is none of its kind.
type shape func(word string) (shown string, ok bool)

// deeds are the commands that change something in tor, with the shapes of their
// arguments (control-spec, section 3).
var deeds = map[string][]shape{
	"SETCONF":                  nil, // options: see redact
	"RESETCONF":                nil,
	"+LOADCONF":                nil,
	"SAVECONF":                 {constant("FORCE")},
	"SIGNAL":                   {constant(strings.Fields("RELOAD HUP SHUTDOWN DUMP USR1 DEBUG USR2 HALT TERM INT NEWNYM CLEARDNSCACHE HEARTBEAT ACTIVE DORMANT")...)},
	"TAKEOWNERSHIP":            nil,
	"DROPOWNERSHIP":            nil,
	"DROPGUARDS":               nil,
	"DROPTIMEOUTS":             nil,
	"MAPADDRESS":               {mapping},
	"EXTENDCIRCUIT":            {digits, keyed("purpose", constant(purposes...)), relays},
	"SETCIRCUITPURPOSE":        {digits, keyed("purpose", constant(purposes...))},
	"SETROUTERPURPOSE":         {relays, constant(purposes...)},
	"CLOSECIRCUIT":             {digits, constant("IfUnused")},
	"ATTACHSTREAM":             {digits, keyed("HOP", digits)},
	"REDIRECTSTREAM":           {digits, host},
	"CLOSESTREAM":              {digits},
	"RESOLVE":                  {keyed("mode", constant("reverse")), host},
	"HSFETCH":                  {onion, keyed("SERVER", relays)},
	"+HSPOST":                  {keyed("SERVER", relays), keyed("HSADDRESS", onion)},
	"+POSTDESCRIPTOR":          {keyed("purpose", constant(purposes...)), keyed("cache", constant("yes", "no"))},
	"ADD_ONION":                {constant("NEW:BEST", "NEW:ED25519-V3"), onionKey, keyed("Flags", flags), keyed("MaxStreams", digits), keyed("Port", onionPort), keyed("PoWDefensesEnabled", digits), keyed("PoWQueueRate", digits), keyed("PoWQueueBurst", digits), hidden("ClientAuth"), hidden("ClientAuthV3")},
	"DEL_ONION":                {onion},
	"ONION_CLIENT_AUTH_ADD":    {onion, clientKey, hidden("ClientName"), keyed("Flags", constant("Permanent"))},
	"ONION_CLIENT_AUTH_REMOVE": {onion},
	"ONION_CLIENT_AUTH_VIEW":   {onion}, // changes nothing, but hands out keys
}

// purposes of circuits and descriptors.
var purposes = []string{"general", "controller", "bridge"}

// countedVerbs are the commands that change nothing but the connection.
var countedVerbs = map[string]bool{
	"GETINFO": true, "GETCONF": true, "SETEVENTS": true, "USEFEATURE": true, "PROTOCOLINFO": true, "AUTHCHALLENGE": true,
	"AUTHENTICATE": true, "QUIT": true, "REPLAY": true, "HISTORY": true, "SETFILTER": true, "JOURNAL": true,
}

// otherVerb stands for a command that nobody knows.
const otherVerb = "OTHER"

// changes reports whether a command may change something in tor. One that is
// not known may.
func changes(verb string) bool { return !countedVerbs[verb] }

func shownVerb(verb string) string {
	if _, known := deeds[verb]; known {
		return strings.TrimPrefix(verb, "+")
	}
	return otherVerb
}

// redact returns what is shown of a command's arguments, "" if it has none.
func redact(cmd command) string {
	var s shownWords
	switch cmd.verb {
	case "SETCONF", "RESETCONF":
		for w := range argWords(cmd.args) {
			s.add(option(w))
		}
	case "+LOADCONF":
		configLines(&s, cmd.raw)
	default:
		for w := range argWords(cmd.args) {
			s.add(shown(w, deeds[cmd.verb]))
		}
	}
	return s.b.String()
}

// shownWords gathers words up to maxShown bytes.
type shownWords struct {
	b    strings.Builder
	full bool
}

func (s *shownWords) add(word string) {
	const more = " ..."
	switch {
	case s.full:
		return
	case s.b.Len()+1+len(word)+len(more) > maxShown:
		s.full = true
		word = strings.TrimPrefix(more, " ")
	}
	if s.b.Len() > 0 {
		s.b.WriteByte(' ')
	}
	s.b.WriteString(word)
}

// argWords yields words at whose quotes blanks do not end them.
func argWords(args string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for args = strings.TrimLeft(args, " \t\v\f\r"); args != ""; args = strings.TrimLeft(args, " \t\v\f\r") {
			n := event.WordLen(args)
			if !yield(args[:n]) {
				return
			}
			args = args[n:]
		}
	}
}

// shown returns what a word may be shown as by any of the shapes.
func shown(word string, shapes []shape) string {
	for _, s := range shapes {
		if text, ok := s(word); ok {
			return text
		}
	}
	return redacted
}

// option returns what is shown of "Name" or "Name=value".
func option(word string) string {
	name, value, isSet := strings.Cut(word, "=")
	return optionText(name, value, isSet)
}

func optionText(name, value string, isSet bool) string {
	kind := optionKinds[strings.ToLower(name)]
	switch {
	case kind == unknownOption:
		return redacted
	case !isSet || value == "":
		return name
	}
	if text, ok := event.Unquote(value); ok {
		value = text
	}
	if kind == numberOption && isQuantity(value) || kind == nodeOption && isNodeList(value) {
		return name + "=" + strings.ReplaceAll(value, " ", "") // "10 minutes" is one word here
	}
	return name + "=" + redacted
}

// configLines shows the options of a LOADCONF, whose data block has one in a
// line with a blank before its value.
func configLines(s *shownWords, raw []byte) {
	_, block, _ := bytes.Cut(raw, []byte("\n"))
	for line := range bytes.Lines(block) {
		text := strings.TrimSpace(string(line))
		if text == "" || text[0] == '#' || text == "." {
			continue
		}
		name, value, _ := strings.Cut(text, " ")
		s.add(optionText(name, strings.TrimSpace(value), true))
		if s.full {
			return
		}
	}
}

// isQuantity reports whether a value is a number with or without a unit, or a
// switch.
func isQuantity(value string) bool {
	number, unit, _ := strings.Cut(value, " ")
	if number == "auto" && unit == "" {
		return true
	}
	if _, ok := digits(strings.Replace(strings.TrimPrefix(number, "-"), ".", "", 1)); !ok {
		return false
	}
	switch strings.ToLower(unit) {
	case "", "b", "byte", "bytes", "kb", "kbyte", "kbytes", "kilobytes", "mb", "mbyte", "mbytes", "megabytes", "gb", "gbyte", "gbytes", "gigabytes",
		"kbits", "mbits", "gbits", "bits", "tb", "terabytes",
		"msec", "millisecond", "milliseconds", "second", "seconds", "minute", "minutes", "hour", "hours", "day", "days", "week", "weeks", "month", "months":
		return true
	}
	return false
}

// isNodeList reports whether a value names relays by fingerprint, countries, or
// both. Addresses and nicknames may be in such lists too, and are not shown.
func isNodeList(value string) bool {
	for part := range strings.SplitSeq(value, ",") {
		part = strings.TrimSpace(part)
		country := len(part) == 4 && part[0] == '{' && part[3] == '}' && isAlnum(part[1:3])
		if country || part == "{??}" {
			continue
		}
		if !isFingerprint(strings.TrimPrefix(part, "$")) {
			return false
		}
	}
	return true
}

func isFingerprint(s string) bool {
	return len(s) == 40 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

func isAlnum(s string) bool {
	for _, c := range []byte(s) {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') {
			return false
		}
	}
	return s != ""
}

// constant is one of the given words, in any case.
func constant(words ...string) shape {
	return func(word string) (string, bool) {
		for _, w := range words {
			if strings.EqualFold(w, word) {
				return word, true
			}
		}
		return "", false
	}
}

// keyed is KEY=value with a value of that shape; another value is not shown,
// the key is.
func keyed(key string, of shape) shape {
	return func(word string) (string, bool) {
		k, value, ok := strings.Cut(word, "=")
		if !ok || !strings.EqualFold(k, key) {
			return "", false
		}
		if text, ok := event.Unquote(value); ok {
			value = text
		}
		if text, ok := of(value); ok {
			return k + "=" + text, true
		}
		return k + "=" + redacted, true
	}
}

// hidden is KEY=value whose value is never shown.
func hidden(key string) shape {
	return keyed(key, func(string) (string, bool) { return "", false })
}

func digits(word string) (string, bool) {
	return word, word != "" && len(word) <= 20 && strings.Trim(word, "0123456789") == ""
}

// relays is a path: fingerprints or nicknames with commas between them. A
// nickname has at most 19 letters and digits.
func relays(word string) (string, bool) {
	for r := range strings.SplitSeq(word, ",") {
		fp := strings.TrimPrefix(r, "$")
		if i := strings.IndexAny(fp, "~="); i >= 0 {
			if nick := fp[i+1:]; len(nick) > 19 || !isAlnum(nick) {
				return "", false
			}
			fp = fp[:i]
		} else if fp == r && len(r) <= 19 && isAlnum(r) {
			continue
		}
		if !isFingerprint(fp) {
			return "", false
		}
	}
	return word, true
}

// host is a name or an address.
func host(word string) (string, bool) {
	ok := len(word) <= 255 && strings.ContainsAny(word, ".:")
	for _, c := range []byte(word) {
		ok = ok && (isAlnum(string(c)) || strings.IndexByte("-_.:[]", c) >= 0)
	}
	return word, ok
}

// mapping is "from=to" of MAPADDRESS.
func mapping(word string) (string, bool) {
	from, to, ok := strings.Cut(word, "=")
	_, a := host(strings.TrimPrefix(from, "*"))
	_, b := host(strings.TrimPrefix(to, "*"))
	return word, ok && a && b
}

// onion is the name of an onion service, with or without ".onion".
func onion(word string) (string, bool) {
	name := strings.TrimSuffix(strings.ToLower(word), ".onion")
	return word, len(name) == 56 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// onionKey is "KeyType:KeyBlob" of ADD_ONION: only the type is shown.
func onionKey(word string) (string, bool) {
	typ, _, ok := strings.Cut(word, ":")
	return typ + ":" + redacted, ok && (typ == "ED25519-V3" || typ == "RSA1024")
}

// clientKey is the same of ONION_CLIENT_AUTH_ADD.
func clientKey(word string) (string, bool) {
	typ, _, ok := strings.Cut(word, ":")
	return typ + ":" + redacted, ok && typ == "x25519"
}

// flags is a list of words that tor has names for.
func flags(word string) (string, bool) {
	for f := range strings.SplitSeq(word, ",") {
		switch strings.ToLower(f) {
		case "discardpk", "detach", "basicauth", "v3auth", "nonanonymous", "maxstreamsclosecircuit":
		default:
			return "", false
		}
	}
	return word, true
}

// onionPort is "VIRTPORT[,TARGET]"; a target that is a path is not shown.
func onionPort(word string) (string, bool) {
	virtual, target, both := strings.Cut(word, ",")
	if _, ok := digits(virtual); !ok {
		return "", false
	}
	if _, ok := digits(target); both && !ok {
		if _, ok := host(target); !ok || strings.HasPrefix(target, "unix:") {
			return virtual + "," + redacted, true
		}
	}
	return word, true
}
