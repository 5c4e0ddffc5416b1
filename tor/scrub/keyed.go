package scrub

import (
	"bytes"
	"slices"

	"torjournal/tor/event"
)

// keyed hashes the events of one life of a tor. Its hasher's lock guards it.
type keyed struct {
	*Hasher

	// bridged is whether tor uses bridges: whom it connects to is one, also
	// one that its configuration gives no fingerprint of.
	bridged bool

	// fresh is whether the present line tells of a connection that tor has
	// now, or makes: who is at the other end is a bridge if bridged holds.
	// Other lines may tell of the time before.
	fresh bool

	edit
}

// HashedOptions are the options of tor that Hashed wants to know.
func HashedOptions() []string { return []string{"Bridge", "UseBridges", "Nickname"} }

// Hashed returns the policy that replaces, after all that p does, the fields
// by which others can tell whom the tor's users talk to by keyed hashes, also
// of what is delivered only. conf is the tor's configuration, HashedOptions in
// it. Keep must be called for each event once, in tor's order: it follows which
// relays are bridges.
func (p *Policy) Hashed(h *Hasher, conf map[string][]string) *Policy {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, line := range conf["Bridge"] {
		h.bridges.learnFrom([]byte(line))
	}
	if p.role == Bridge {
		for _, nick := range conf["Nickname"] {
			h.bridges.learnNick([]byte(nick))
		}
	}
	hashed := *p
	hashed.keyed = &keyed{Hasher: h, bridged: slices.Contains(conf["UseBridges"], "1")}
	return &hashed
}

// hash returns an event with what is to be replaced replaced; wire itself if
// that is nothing.
func (k *keyed) hash(t event.Type, wire []byte) []byte {
	switch t {
	case event.BW, event.CIRC_BW, event.STREAM_BW, event.CONN_BW, event.CELL_STATS, event.BUILDTIMEOUT_SET, event.CLIENTS_SEEN,
		event.DESCCHANGED, event.SIGNAL, event.NETWORK_LIVENESS,
		event.NS, event.NEWCONSENSUS: // everybody has the consensus
		return wire
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.edit = edit{src: wire}
	switch {
	case t == event.JOURNAL && isSnapshot(wire):
		k.state()
	case t == event.HS_DESC_CONTENT:
		k.descriptor()
	default:
		k.lines(t)
	}
	out := k.result()
	k.edit = edit{}
	return out
}

// line returns where the line that begins at src[at] ends, without and with
// its line end.
func (k *keyed) line(at int) (end, next int) {
	i := bytes.IndexByte(k.src[at:], '\n')
	if i < 0 {
		return len(k.src), len(k.src)
	}
	end, next = at+i, at+i+1
	if end > at && k.src[end-1] == '\r' {
		end--
	}
	return end, next
}

// lines replaces in every line of an event: the first by its type's grammar.
func (k *keyed) lines(t event.Type) {
	inData := false
	for at, n := 0, 0; at < len(k.src); n++ {
		end, next := k.line(at)
		text := k.src[at:end]
		switch {
		case inData && string(text) == ".":
			inData = false
		case inData || !hasCode(text):
			k.text(at, end)
		default:
			inData = text[3] == '+'
			k.reply(t, at+4, end, n)
		}
		at = next
	}
}

// reply replaces in what stands in line n of a reply behind the code.
func (k *keyed) reply(t event.Type, from, to, n int) {
	switch {
	case n == 0:
		name, _, _ := bytes.Cut(k.src[from:to], []byte(" "))
		from += len(name)
		if isLog(t) {
			k.text(from, to)
		} else {
			k.fields(t, from, to)
		}
	case t == event.CONF_CHANGED:
		k.option(from, to)
	default:
		k.text(from, to)
	}
}

func isLog(t event.Type) bool {
	switch t {
	case event.NOTICE, event.WARN, event.ERR, event.INFO, event.DEBUG:
		return true
	}
	return false
}

// descriptor replaces the first line's fields and, as one, the data block of
// an HS_DESC_CONTENT. The empty block of a failed fetch stays.
func (k *keyed) descriptor() {
	end, body := k.line(0)
	if hasCode(k.src[:end]) {
		k.reply(event.HS_DESC_CONTENT, 4, end, 0)
	} else {
		k.text(0, end)
	}
	last, rest := len(k.src), len(k.src) // the block's end, without and with "."
	for at := body; at < len(k.src); {
		end, next := k.line(at)
		if string(k.src[at:end]) == "." {
			last, rest = at, next
			break
		}
		at = next
	}
	if text := bytes.TrimRight(k.src[body:last], "\r\n"); len(text) > 0 && !isHash(text, ofOther) {
		k.cut(body, last)
		k.dst = append(k.appendHash(k.dst, ofOther, text), '\r', '\n')
	}
	for at := rest; at < len(k.src); {
		end, next := k.line(at)
		k.text(at, end)
		at = next
	}
}
