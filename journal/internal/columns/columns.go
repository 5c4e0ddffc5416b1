// Package columns codes the records of one block by columns, and back.
//
// An event line is split at its spaces. What the lines of one form share (the
// words in capitals, the keywords and their order) is a template and stored
// once; each place where they differ is a column. A column codes its values
// in the way that suits them: numbers and times as differences, paths hop by
// hop, other words by a dictionary; a value that the same circuit or stream
// had before costs nothing. Columns of one kind of bytes then compress far
// better than lines do.
//
// Any bytes come back as they were: a line is only ever taken apart where
// putting the pieces together gives the same line again, and what fits no form
// is a column of its own. Every block stands alone. Types that share nothing
// are stored apart, so that a reader who wants BW does not decode CIRC.
//
// The package knows how tor writes lines, not what they mean; it does no I/O.
// FORMAT.md in package journal describes the bytes.
package columns

import "errors"

// ErrUnfit means that a block cannot be coded by columns, because it has more
// forms of lines than the format takes, or more columns for more entities:
// store it another way.
var ErrUnfit = errors.New("columns: the records have too many forms")

// version begins every block, so that the format can change.
const version = 1

// Limits of the format. A decoder refuses more, so that a damaged block
// cannot ask for memory without end.
const (
	maxGroups    = 256
	maxTemplates = 1 << 12 // of one group
	maxShapes    = 1 << 14 // of one group
	maxColumns   = 1 << 12 // of one group
	maxCells     = 30      // of one line: two bits each of a shape's 64; what follows is one cell
	maxTokens    = 64      // of one line
	maxHops      = 1 << 8  // of one path: a longer one is an escape
	maxID        = 1 << 26 // numbers of words, hops and keys: more than a block has records
	maxStream    = 48 << 20
)

// Row is a record of a block, as the journal knows it.
type Row struct {
	Type string // as in the wire form
	Time int64  // arrival, µs since 1970 UTC
	Wire []byte
	Line *Line // a Decoder's, of how Wire was put together; nil: that is not known
}

// Line says how a wire form was put together from the texts that all of its form
// share, and from the cells between them, none of which has a blank, a CR or an LF.
// It is the decoder's, and there until the next row.
type Line struct {
	Form  *Form
	Cells []uint32 // where each cell begins and ends in the wire form, in turn
}

// Form is what some wire forms of a block have in common. It is there as long as
// the block is decoded, and for one goroutine.
type Form struct {
	Known any // what who gets the rows has found out about it; nil at first
}

// kind is how a column codes its values.
type kind uint8

const (
	kindWord   kind = iota // any bytes without a space or line end, by dictionary
	kindNumber             // decimal numbers with a fixed count of fraction digits
	kindTime               // 2026-11-23T08:45:46.724619
	kindPath               // hops divided by commas, from the block's dictionary
	kindData               // any bytes at all
)

// op is what a cell of a row is made of; a shape holds those of a line.
type op uint8

const (
	opSame   op = iota // what the row's entity had last in this column
	opCoded            // the column's next value
	opEscape           // does not fit the column's kind: the next word of the group's escapes
)

// frame is how a line begins and ends.
type frame uint8

const (
	frameRaw  frame = iota // the whole wire form is one cell
	frameLine              // "650 " … CRLF
	frameData              // "650+" … CRLF, then a cell with all that follows
	frameMid               // "650-" … CRLF, then a cell with all that follows
	frames
)

var frameHead = [frames]string{"", "650 ", "650+", "650-"}

// family says which types share a group, because they speak of the same
// entities, and where the entity's number stands: a position from 0 among
// the words that are no keywords, or a keyword. In types that are not named
// here every line speaks of what the line before did.
var family = map[string]struct{ group, key string }{
	"CIRC":       {"CIRC", "0"},
	"CIRC_MINOR": {"CIRC", "0"},
	"STREAM":     {"STREAM", "0"},
	"STREAM_BW":  {"STREAM_BW", "0"},
	"CIRC_BW":    {"CIRC_BW", "ID"},
	"CELL_STATS": {"CELL_STATS", "ID"},
	"CONN_BW":    {"CONN_BW", "ID"},
	"ORCONN":     {"ORCONN", "ID"},
}

// prose names the types whose lines are messages: there a word without a
// digit belongs to the template, and equal places of different messages have
// nothing in common.
var prose = map[string]bool{
	"DEBUG": true, "INFO": true, "NOTICE": true, "WARN": true, "ERR": true,
	"STATUS_GENERAL": true, "STATUS_CLIENT": true, "STATUS_SERVER": true,
	"PT_LOG": true,
}
