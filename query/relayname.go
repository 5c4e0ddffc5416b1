package query

import "strings"

// tor writes $fingerprint~nickname, and the fingerprint alone as long as it does
// not know the relay's descriptor: when it starts, for instance.

// relay is by what a relay is known again: its fingerprint, else all that
// there is.
func relay(name string) string {
	if name == "" || name[0] != '$' {
		return name
	}
	if end := strings.IndexByte(name, '~'); end > 0 {
		name = name[:end]
	}
	if end := strings.IndexByte(name, '='); end > 0 {
		name = name[:end]
	}
	return name
}

// betterName returns the new name of a relay, or the old one if only that has
// the nickname.
func betterName(old, name string) string {
	if by := relay(name); by == name && relay(old) == by {
		return old
	}
	return name
}

// relayNames knows of each relay that was named what tor called it, so that
// it is one relay by all of its names.
type relayNames map[string]string

// key returns by what a relay is known, and remembers its name. Neither keeps
// the memory of what the name stood in.
func (n relayNames) key(name string) string {
	by := relay(name)
	kept, known := n[by]
	if known && kept == name {
		return kept[:len(by)]
	}
	if better := betterName(kept, name); !known || better != kept {
		kept = strings.Clone(better)
		n[relay(kept)] = kept
	}
	return relay(kept)
}

// name returns what tor called the relay of a key, with its nickname if it ever
// had one, else the key.
func (n relayNames) name(key string) string {
	if name, known := n[key]; known {
		return name
	}
	return key
}
