package event

import "bytes"

// Entities calls circuit and stream with the ID of every circuit and stream
// that an event of that type names, as its wire form spells it: those in the
// fields of the type's struct, and those that a JOURNAL SNAPSHOT lists as
// standing. It parses nothing, so it is fast enough for every event that is
// recorded, and it may call with too much but never with too little: where a
// line is not as tor writes it, with what stands in the ID's place. The IDs are
// parts of wire.
func Entities(t Type, wire []byte, circuit, stream func(id []byte)) {
	switch t {
	case CIRC, CIRC_MINOR:
		id, _ := word(words(t, wire))
		circuit(id)
	case STREAM:
		id, rest := word(words(t, wire))
		stream(id)
		status, rest := word(rest)
		for _, w := range [][]byte{id, status} {
			if len(w) > 0 && w[0] == '"' {
				circuit(w) // where it ends is another question
			}
		}
		id, _ = word(rest)
		circuit(id)
	case STREAM_BW:
		id, _ := word(words(t, wire))
		stream(id)
	case CIRC_BW, CELL_STATS:
		eachValue(words(t, wire), idKey, circuit)
	case ADDRMAP:
		eachValue(words(t, wire), streamIDKey, stream)
	case JOURNAL:
		standing(wire, circuit, stream)
	}
}

var (
	idKey       = []byte("ID=")
	streamIDKey = []byte("STREAMID=")
	lineEnd     = []byte("\r\n")
)

// words returns what follows the name of an event of type t.
func words(t Type, wire []byte) []byte {
	return wire[min(len(wire), len("650 ")+len(t)+1):]
}

// word returns the first word of a line, and what follows the blank behind it;
// nothing does at the line's end.
func word(line []byte) (w, rest []byte) {
	for i, c := range line { // words are short where this matters
		switch c {
		case ' ':
			return line[:i], line[i+1:]
		case '\r', '\n':
			return line[:i], nil
		}
	}
	return line, nil
}

// eachValue calls do with what follows key wherever a word of the line begins
// with it, and once where the first one does, as tor has it.
func eachValue(line, key []byte, do func([]byte)) {
	if bytes.HasPrefix(line, key) {
		w, _ := word(line[len(key):])
		do(w)
		return
	}
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
	}
	for {
		i := bytes.Index(line, key)
		if i < 0 {
			return
		}
		begins := i == 0 || line[i-1] == ' '
		if line = line[i+len(key):]; begins {
			w, _ := word(line)
			do(w)
		}
	}
}

// standing finds the lists of circuits and streams in tor's reply that a
// SNAPSHOT carries (control-spec, section 3.9), dot-stuffed as it is in the
// event.
func standing(wire []byte, circuit, stream func([]byte)) {
	if !bytes.HasPrefix(wire, []byte("650+JOURNAL "+WhatSnapshot)) {
		return
	}
	_, body, _ := bytes.Cut(wire, lineEnd[1:])
	list, block := "", false
	for len(body) > 0 {
		var line []byte
		line, body, _ = bytes.Cut(body, lineEnd[1:])
		line = bytes.TrimSuffix(line, lineEnd[:1])
		line = bytes.TrimPrefix(line, []byte(".")) // that of the event's own stuffing
		switch {
		case block && len(line) == 1 && line[0] == '.':
			block, list = false, ""
			continue
		case block:
			line = bytes.TrimPrefix(line, []byte("."))
		case len(line) < 4 || string(line[:3]) != "250":
			continue
		default:
			name, value, _ := bytes.Cut(line[4:], []byte("="))
			list, block, line = string(name), line[3] == '+', value
			if block || len(value) == 0 {
				continue
			}
		}
		switch list {
		case "circuit-status":
			id, _ := word(line)
			circuit(id)
		case "stream-status":
			id, rest := word(line)
			stream(id)
			_, rest = word(rest)
			id, _ = word(rest)
			circuit(id)
		}
	}
}
