package controlport

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"torjournal/tor/event"
)

// consensusKeys tell until when the consensus that has arrived is good, and
// the keyword that each becomes.
var consensusKeys = []struct{ key, keyword string }{
	{"consensus/valid-after", "VALID_AFTER"},
	{"consensus/fresh-until", "FRESH_UNTIL"},
	{"consensus/valid-until", "VALID_UNTIL"},
}

// summarize appends JOURNAL CONSENSUS in place of a NEWCONSENSUS that nobody
// wants: the SHA-256 and length of its data block, the lines as they are on
// the wire without the "." that ends them. It runs in the reader, which does
// not wait: the event stands where tor's answer about the validity does.
func (l *life) summarize(wire []byte) {
	body := dataBlock(wire)
	sum := sha256.Sum256(body)
	kv := []string{"SHA256", hex.EncodeToString(sum[:]), "BYTES", strconv.Itoa(len(body))}
	var keys []string
	for _, k := range consensusKeys {
		keys = append(keys, k.key)
	}
	l.helpers.Go(func() {
		told := false
		say := func(r Reply) {
			told = true
			l.append(event.NewJournal(event.WhatConsensus, append(kv, validity(r)...)...))
		}
		if _, err := l.conn.getInfo(l.ctx, keys, say); err == nil && !told {
			say(Reply{}) // tor does not say: the digest alone
		}
	})
}

// validity returns the times of a reply as keys and values. Tor's blank
// between date and time becomes a T.
func validity(r Reply) (kv []string) {
	values := r.Values()
	for _, k := range consensusKeys {
		if v := first(values, k.key); v != "" {
			kv = append(kv, k.keyword, strings.Replace(v, " ", "T", 1))
		}
	}
	return kv
}

// dataBlock returns the data block of an asynchronous reply `650+… . 650 OK`,
// still dot-stuffed, empty if it has none.
func dataBlock(wire []byte) []byte {
	i := bytes.IndexByte(wire, '\n') + 1
	j := bytes.LastIndex(wire, []byte("\n.\r\n"))
	if j+1 < i {
		return nil
	}
	return wire[i : j+1]
}
