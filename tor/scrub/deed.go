package scrub

import (
	"bytes"

	"torjournal/tor/event"
)

// A deed is what a controller did: JOURNAL COMMAND, or the JOURNAL MARK that it
// left. Secrets are not in it, but the names of whom tor's user talks to are.

// isDeed reports whether a JOURNAL event is one.
func isDeed(wire []byte) bool {
	rest, ok := bytes.CutPrefix(wire, []byte("650 JOURNAL "))
	what, _, _ := bytes.Cut(rest, []byte(" "))
	return ok && (string(what) == event.WhatCommand || string(what) == event.WhatMark)
}

// harmlessVerbs are the commands whose arguments name nobody but relays, and
// those that set options, whose values are stripped as others are.
var harmlessVerbs = keySet("SIGNAL", "SAVECONF", "SETCONF", "RESETCONF", "LOADCONF", "EXTENDCIRCUIT", "SETCIRCUITPURPOSE",
	"CLOSECIRCUIT", "ATTACHSTREAM", "CLOSESTREAM", "POSTDESCRIPTOR")

// nobodysPeer is the PEER of a controller that came over a Unix socket.
const nobodysPeer = "unix"

// stripDeed returns a deed without addresses and names.
func stripDeed(wire []byte) []byte {
	keys := map[string]bool{}
	if peer, found := keyword(wire, "PEER"); found && peer != nobodysPeer {
		keys["PEER"] = true
	}
	if verb, found := keyword(wire, "VERB"); found && !harmlessVerbs[verb] {
		keys["ARGS"] = true
	}
	body := bytes.TrimRight(wire, "\r\n")
	out := appendScrubbed(make([]byte, 0, len(wire)+2*len(marker)), withoutValues(body, keys), true)
	return append(out, wire[len(body):]...)
}

// keyword returns the value of the first keyword of that name.
func keyword(wire []byte, name string) (value string, found bool) {
	for i := 0; i < len(wire); {
		word := wire[i : i+event.WordLen(wire[i:])]
		if key, v, ok := bytes.Cut(word, []byte("=")); ok && string(key) == name {
			return string(bytes.TrimRight(v, "\r\n")), true
		}
		i += len(word) + 1
	}
	return "", false
}

// deedField says what a deed's keyword is, given with its "=", f if it is
// nothing special. The plain ones are looked at all the same: who imports a
// log did not write it.
func deedField(keyword string, value []byte, f field) field {
	switch keyword {
	case "PEER=":
		if string(value) == nobodysPeer {
			return plainField
		}
		return addressField
	case "ARGS=":
		return argumentsField
	case "PHASE=", "VERB=", "VERBS=", "CONN=", "N=", "UID=", "PID=", "COUNT=", "CONNS=", "CODE=", "MS=":
		if bytes.Count(value, []byte(".")) <= 1 && len(bytes.Trim(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_,:.0123456789")) == 0 &&
			!isIPv6(value) {
			return plainField
		}
	}
	return f
}

// arguments replaces in those of a command, words between blanks: names of
// onion services, which need not have an ending there, and else what is no word
// of tor's.
func (k *keyed) arguments(from, to int) {
	if to-from >= 2 && k.src[from] == '"' && k.src[to-1] == '"' {
		from, to = from+1, to-1
	}
	for from < to {
		end := to
		if i := bytes.IndexByte(k.src[from:to], ' '); i >= 0 {
			end = from + i
		}
		k.argumentWord(from, end)
		from = end + 1
	}
}

// argumentWord replaces in one word, which may be two with a "=" between them:
// an option and its value, or the two sides of a MAPADDRESS.
func (k *keyed) argumentWord(from, to int) {
	if i := bytes.IndexByte(k.src[from:to], '='); i >= 0 {
		k.argumentPart(from, from+i)
		k.argumentPart(from+i+1, to)
		return
	}
	k.argumentPart(from, to)
}

func (k *keyed) argumentPart(from, to int) {
	switch word := k.src[from:to]; {
	case len(word) == 0, string(word) == marker, string(word) == "...":
	case word[0] == '{' && len(word) >= 4 && word[3] == '}' && isName(word[1:3]): // a country
		if len(word) > 5 {
			k.argumentPart(from+5, to)
		}
	case isOnion(word):
		k.onion(from, to)
	case word[0] == '$' || len(word) >= 40 && isFingerprint(word[:40]):
		k.path(from, to)
	case isName(word): // an option, a signal, a relay's nickname
		k.text(from, to)
	case bytes.ContainsAny(word, ".:") && bytes.IndexByte(word, ',') < 0 && !bytes.HasSuffix(word, []byte(marker)):
		k.endpoint(from, to, true)
	default:
		k.strange(from, to)
	}
}

// isName reports whether a word is written as options, flags and nicknames are.
func isName(word []byte) bool {
	for _, c := range word {
		if !isLetter(c) && !isDigit(c) && c != '_' {
			return false
		}
	}
	return true
}
