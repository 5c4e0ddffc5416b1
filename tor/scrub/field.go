package scrub

import (
	"bytes"

	"torjournal/tor/event"
)

// field says what a word of an event is.
type field byte

const (
	textField       field = iota // anything: what looks like an address or a name is replaced
	plainField                   // nothing that names anybody
	targetField                  // host:port that somebody asked for: the port says for which service
	addressField                 // address:port of a program, a proxy or a bridge
	hostField                    // host without port
	onionField                   // an onion service's name without ".onion"
	relayField                   // a relay's name
	entryField                   // the name of a relay that tor connects to
	peerField                    // that, or its address
	pathField                    // relays' names, the first one an entry
	identifierField              // of a descriptor
	credentialField              // user name or password
	portField                    // of an address
	secretField                  // anything that is replaced as a whole
	strangeField                 // of which nothing is known: see strange
	argumentsField               // of a controller's command
)

// layout says what the words of a type's first line are, behind its name.
type layout struct {
	words    []field // those with a fixed place
	more     field   // further words that are no keywords
	keywords field   // values of keywords that keywordField does not know
}

// layoutOf returns the layout of a type ([control-spec] 4.1). Of a type that
// is not known every word is strange, as are the keywords that a newer tor may
// add to a type all of whose keywords are known.
func layoutOf(t event.Type) layout {
	switch t {
	case event.CIRC, event.CIRC_MINOR:
		return layout{circuitWords, pathField, strangeField}
	case event.STREAM:
		return layout{streamWords, strangeField, strangeField}
	case event.ORCONN:
		return layout{orConnWords, strangeField, strangeField}
	case event.GUARD:
		return layout{guardWords, textField, textField}
	case event.NEWDESC:
		return layout{nil, relayField, textField}
	case event.ADDRMAP:
		return layout{addrMapWords, strangeField, strangeField}
	case event.HS_DESC:
		return layout{hsDescWords, identifierField, strangeField}
	case event.HS_DESC_CONTENT:
		return layout{hsDescContentWords, strangeField, strangeField}
	case event.TRANSPORT_LAUNCHED:
		return layout{transportWords, textField, textField}
	case event.STATUS_GENERAL, event.STATUS_CLIENT, event.STATUS_SERVER:
		return layout{statusWords, textField, textField}
	}
	if !t.Known() {
		return layout{nil, strangeField, strangeField}
	}
	return layout{}
}

var (
	circuitWords       = []field{plainField, plainField}
	streamWords        = []field{plainField, plainField, plainField, targetField}
	orConnWords        = []field{peerField, plainField}
	guardWords         = []field{plainField, entryField, plainField}
	addrMapWords       = []field{targetField, targetField, plainField}
	hsDescWords        = []field{plainField, onionField, plainField, relayField}
	hsDescContentWords = []field{onionField, identifierField, relayField}
	transportWords     = []field{plainField, plainField, addressField, portField}
	statusWords        = []field{plainField, plainField}
)

// keywordField says what a keyword's value is, in whatever event; textField if
// the keyword is not known.
func keywordField(key []byte) field {
	switch string(key) {
	case "BUILD_FLAGS", "PURPOSE", "TIME_CREATED", "HS_STATE", "CONFLUX_ID", "CONFLUX_RTT", "HS_POW", "OLD_PURPOSE", "OLD_HS_STATE",
		"REMOTE_REASON", "CLIENT_PROTOCOL", "NYM_EPOCH", "SESSION_GROUP", "ISO_FIELDS",
		"ID", "NCIRCS", "PROGRESS", "TAG", "COUNT", "CACHED", "EXPIRES", "STREAMID", "error":
		return plainField
	case "SOCKS_USERNAME", "SOCKS_PASSWORD":
		return credentialField
	case "REND_QUERY":
		return onionField
	case "SOURCE_ADDR", "ADDRESS", "DIRADDRESS", "ORADDRESS", "HOSTADDR", "DIRAUTH", "NS":
		return addressField
	case "HOSTNAME":
		return hostField
	case "HOSTID":
		return entryField
	case "HSDIR_INDEX", "REPLICA", "DATA":
		return secretField
	}
	return textField
}

// fields replaces in the words of an event's first line.
func (k *keyed) fields(t event.Type, from, to int) {
	lay := layoutOf(t)
	deed := t == event.JOURNAL && isDeed(k.src)
	if k.bridged {
		w := nextWord(k.src, nextWord(k.src, from, to, true).to, to, true)
		k.fresh = tellsOfEntry(t, k.src[w.from:to])
	}
	for n, pos := 0, from; ; n++ {
		fixed := n < len(lay.words)
		w := nextWord(k.src, pos, to, fixed)
		if w.from == w.to {
			return
		}
		pos = w.to
		f := lay.more
		switch {
		case w.broken:
			f = secretField
		case fixed:
			f = lay.words[n]
		case w.isKeyword():
			f = keywordField(k.src[w.from : w.value-1])
			if f == textField || f == plainField && !t.Known() {
				f = lay.keywords
			}
		}
		if t == event.JOURNAL && string(k.src[w.from:w.value]) == "SHA256=" {
			f = plainField // of the consensus, which everybody has
		}
		if deed {
			f = deedField(string(k.src[w.from:w.value]), k.src[w.value:w.to], f)
		}
		if fixed && f == plainField && bytes.ContainsAny(k.src[w.from:w.to], ".:") {
			f = textField // tor writes no such word there, or a date
		}
		switch {
		case f == argumentsField:
			k.arguments(w.value, w.to)
		case f == strangeField:
			k.text(w.from, w.value) // the keyword: it may be none
			k.strange(w.value, w.to)
		case f != textField:
			k.field(f, w.value, w.to)
		case !isConstant(k.src[w.from:w.to]):
			k.text(w.from, w.to) // the keyword too: it may be none
		}
	}
}

// isConstant reports whether a word is one of tor's own, or KEYWORD=ONE.
func isConstant(word []byte) bool {
	for _, c := range word {
		if (c < 'A' || c > 'Z') && c != '_' && c != '=' {
			return false
		}
	}
	return true
}

// tellsOfEntry reports whether an event tells of a connection that tor has now
// with the entry that it names; rest begins with its status.
func tellsOfEntry(t event.Type, rest []byte) bool {
	status, rest, _ := bytes.Cut(rest, []byte(" "))
	switch t {
	case event.ORCONN:
		return string(status) == "LAUNCHED" || string(status) == "CONNECTED"
	case event.CIRC:
		path, _, _ := bytes.Cut(rest, []byte(" "))
		return string(status) == "EXTENDED" && bytes.IndexByte(path, ',') < 0 || string(status) == "BUILT"
	}
	return false
}

// field replaces one value. Quotes around it stay.
func (k *keyed) field(f field, from, to int) {
	if to-from >= 2 && k.src[from] == '"' && k.src[to-1] == '"' {
		from, to = from+1, to-1
	}
	value := k.src[from:to]
	if f == plainField || len(value) == 0 {
		return
	}
	switch f {
	case targetField:
		k.endpoint(from, to, true)
	case addressField:
		k.endpoint(from, to, false)
	case hostField:
		k.host(from, to)
	case onionField:
		k.onion(from, to)
	case relayField:
		k.relay(from, to, false)
	case entryField:
		k.relay(from, to, k.bridged)
	case peerField:
		if value[0] == '$' {
			k.relay(from, to, k.bridged)
		} else {
			k.endpoint(from, to, false)
		}
	case pathField:
		k.path(from, to)
	case identifierField:
		k.whole(ofDescriptor, from, to)
	case credentialField:
		k.whole(ofCredential, from, to)
	case portField:
		if string(value) != "0" {
			k.cut(from, to)
			k.dst = append(k.dst, '0')
		}
	case secretField:
		k.whole(ofOther, from, to)
	default:
		k.text(from, to)
	}
}

// strange replaces in a word of which nothing is known but that tor wrote it:
// what a text would be replaced in, and the whole where that leaves a word in
// it that is not tor's. Its own are in capitals; relays keep their names.
func (k *keyed) strange(from, to int) {
	switch word := k.src[from:to]; {
	case len(word) > 41 && word[0] == '$' && isFingerprint(word[1:41]):
		k.path(from, to)
		return
	case len(word) < 40 && bytes.IndexFunc(word, isLower) < 0 && !bytes.ContainsAny(word, ".:"):
		return
	}
	switch string(k.src[from:to]) {
	case "yes", "no", "true", "false":
		return
	}
	before := k.edit
	k.cut(from, from)
	at := len(k.dst)
	k.text(from, to)
	if k.leavesWord(at, to) {
		k.edit = before
		k.field(secretField, from, to)
	}
}

func isLower(r rune) bool { return 'a' <= r && r <= 'z' || r >= 0x80 }

// leavesWord reports whether there is a small letter that is no part of a hash
// in dst[at:] and what has not been copied of src[:to].
func (k *keyed) leavesWord(at, to int) bool {
	out := append(bytes.Clone(k.dst[at:]), k.src[k.copied:to]...)
	for i := 0; i < len(out); i++ {
		switch end := i + hashDigits + 2; {
		case end <= len(out) && isHash(out[i:end], out[i]):
			i = end - 1
		case bytes.HasPrefix(out[i:], []byte(suffix)):
			i += len(suffix) - 1
		case bytes.HasPrefix(out[i:], []byte(".onion")):
			i += len(".onion") - 1
		case isLower(rune(out[i])):
			return true
		}
	}
	return false
}

// whole replaces a value as it is. What a quoted one says counts, not how it
// is spelled.
func (k *keyed) whole(domain byte, from, to int) {
	value := k.src[from:to]
	if isHash(value, domain) || isHash(value, ofOther) || string(value) == marker {
		return
	}
	if bytes.IndexByte(value, '\\') >= 0 {
		if said, ok := event.Unquote(`"` + string(value) + `"`); ok {
			value = []byte(said)
		}
	}
	k.cut(from, to)
	k.dst = k.appendHash(k.dst, domain, value)
}

// nobody reports whether a value stands where a name would because there is
// none, or none any more.
func nobody(value []byte) bool {
	switch string(value) {
	case "", "UNKNOWN", "<error>", marker, marker[1 : len(marker)-1]:
		return true
	}
	return false
}

// onion replaces a service's name, which may lack its ".onion".
func (k *keyed) onion(from, to int) {
	name := k.src[from:to]
	if nobody(name) || isHash(name, ofOnion) {
		return
	}
	name = bytes.ToLower(name)
	k.cut(from, to)
	if label, ok := bytes.CutSuffix(name, []byte(".onion")); ok {
		k.dst = append(k.appendOnion(k.dst, label), ".onion"...)
		return
	}
	k.dst = k.appendHash(k.dst, ofOnion, name)
}

// host replaces a host, and says whether it is an address. Brackets around it
// are not part of it.
func (k *keyed) host(from, to int) (isAddress bool) {
	name := k.src[from:to]
	if nobody(name) {
		return false
	}
	if exit, ok := bytes.CutSuffix(name, []byte(".exit")); ok {
		if dot := bytes.LastIndexByte(exit, '.'); dot >= 0 {
			isAddress = k.host(from, from+dot)
			k.relay(from+dot+1, to-len(".exit"), false)
			return isAddress
		}
	}
	k.cut(from, to)
	k.dst, isAddress = k.appendHost(k.dst, name)
	return isAddress
}

// endpoint replaces a host with or without a port. The port is kept where it
// says which service was asked for: with a name, or if keepPort says so.
// Elsewhere it would find a bridge, or a user, and becomes 0.
func (k *keyed) endpoint(from, to int, keepPort bool) {
	hostEnd, portAt := splitPort(k.src[from:to])
	hostFrom, hostTo := from, from+hostEnd
	if hostTo-hostFrom >= 2 && k.src[hostFrom] == '[' && k.src[hostTo-1] == ']' {
		hostFrom, hostTo = hostFrom+1, hostTo-1
	}
	isAddress := k.host(hostFrom, hostTo)
	if portAt > 0 && isAddress && !keepPort {
		k.field(portField, from+portAt, to)
	}
}

// splitPort finds the port of host:port; port is 0 if there is none.
func splitPort(s []byte) (host, port int) {
	i := bytes.LastIndexByte(s, ':')
	if i < 0 || i+1 == len(s) || digits(s, i+1) != len(s)-i-1 {
		return len(s), 0
	}
	if bytes.IndexByte(s[:i], ':') >= 0 && s[i-1] != ']' {
		if _, ok := parseAddress(s); ok {
			return len(s), 0 // an IPv6 address, not one and a port
		}
	}
	return i, i + 1
}

// path replaces in a circuit's path.
func (k *keyed) path(from, to int) {
	for first := true; from <= to; first = false {
		end := to
		if i := bytes.IndexByte(k.src[from:to], ','); i >= 0 {
			end = from + i
		}
		k.relay(from, end, first && k.bridged)
		from = end + 1
	}
}

// relay replaces a relay's name, "$fingerprint~nickname" or a part of it, if
// it is a bridge. With entry it is one that tor, which uses bridges, is or was
// connected to.
func (k *keyed) relay(from, to int, entry bool) {
	if from < to && k.src[from] == '$' {
		from++
	}
	if to-from < 40 || !isFingerprint(k.src[from:from+40]) {
		k.text(from, to) // a nickname, or none of our kind of words
		return
	}
	fp, rest := k.src[from:from+40], k.src[from+40:to]
	if isMasked(fp) {
		return
	}
	if entry && k.fresh {
		k.bridges.learn(fp, nickAfter(rest))
	}
	if !entry && !k.bridges.has(fp) {
		return
	}
	k.cut(from, to)
	k.dst = k.appendFingerprint(k.dst, fp)
	if len(rest) > 0 {
		k.dst = append(k.dst, rest[0])
		if len(rest) > 1 {
			k.dst = append(k.dst, nickname...)
		}
	}
}
