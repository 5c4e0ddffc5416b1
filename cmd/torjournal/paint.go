package main

import (
	"bytes"
	"io"
	"os"

	"torjournal/journal"
	"torjournal/tor/event"
)

// Colours of a terminal (ECMA-48, SGR). What went wrong is red, what came
// about is green, what comes every second is faint.
const (
	plain  = "\x1b[0m"
	faint  = "\x1b[2m"
	red    = "\x1b[31m"
	bold   = "\x1b[1;31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	violet = "\x1b[35m"
)

// coloured reports whether w is a terminal whose user wants colours.
func coloured(w io.Writer) bool {
	_, paged := w.(*pager)
	return (paged || isTerminal(w)) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

var (
	bad  = [][]byte{[]byte(" FAILED"), []byte(" DOWN"), []byte(" SOURCE_LOST"), []byte(" DROPPED"), []byte(" UNJOURNALED")}
	good = [][]byte{[]byte(" BUILT "), []byte(" SUCCEEDED "), []byte(" CONNECTED "), []byte(" RECEIVED "), []byte(" UPLOADED "), []byte(" UP")}
)

// colourOf returns the colour of a record's line, "" for none.
func colourOf(r *journal.Record) string {
	switch r.Type {
	case event.ERR:
		return bold
	case event.WARN:
		return yellow
	case event.DEBUG, event.INFO, event.BW, event.CIRC_BW, event.STREAM_BW, event.CONN_BW, event.CELL_STATS:
		return faint
	case event.NOTICE, event.NEWDESC, event.NS, event.CONF_CHANGED, event.STATUS_GENERAL, event.STATUS_CLIENT, event.STATUS_SERVER:
		return ""
	}
	// The words of status stand first.
	head := r.Wire[:min(len(r.Wire), 160)]
	switch {
	case hasAny(head, bad):
		return red
	case r.Type == event.JOURNAL:
		return violet
	case hasAny(head, good):
		return green
	}
	return ""
}

func hasAny(b []byte, words [][]byte) bool {
	for _, w := range words {
		if bytes.Contains(b, w) {
			return true
		}
	}
	return false
}
