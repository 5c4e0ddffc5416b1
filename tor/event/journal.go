package event

// What happened, according to a JOURNAL event.
const (
	WhatStart          = "START"           // the recorder has attached for the first time
	WhatStop           = "STOP"            // the recorder stops
	WhatSourceLost     = "SOURCE_LOST"     // the source has gone
	WhatSourceRestored = "SOURCE_RESTORED" // the source is back
	WhatSnapshot       = "SNAPSHOT"        // the source's state, in tor's own words
	WhatDropped        = "DROPPED"         // events were dropped
	WhatUnjournaled    = "UNJOURNALED"     // from here on events are delivered but not written; never journaled itself
	WhatJournaled      = "JOURNALED"       // events are written again; COUNT of TYPES since SINCE are missing
	WhatClock          = "CLOCK"           // the wall clock jumped
	WhatConsensus      = "CONSENSUS"       // a consensus arrived: digest and validity
	WhatCommand        = "COMMAND"         // a controller sent a command
	WhatMark           = "MARK"            // a tool's own mark
)

// What happened, in JOURNAL events that go to one connection only and are
// never journaled.
const (
	WhatGap      = "GAP"       // records that were evicted before this connection read them
	WhatCaughtUp = "CAUGHT_UP" // a replay has reached the present
	WhatAt       = "AT"        // number and time of the next event
)

// Journal is a JOURNAL event, torjournal's own: `650 JOURNAL <what>
// KEY=value …`, or multi-line with a data block.
type Journal struct {
	What     string   // one of the What constants
	Keywords Keywords // what there is to say about it
	Data     Data     // the block of the multi-line form: of SNAPSHOT tor's reply

	block bool // multi-line though Data is empty
	form
}

// NewJournal returns a JOURNAL event with the given keys and values,
// alternating. Values are quoted where they need it.
func NewJournal(what string, kv ...string) *Journal {
	return &Journal{What: what, Keywords: NewKeywords(kv...)}
}

// NewSnapshot returns a JOURNAL SNAPSHOT event that carries reply, a whole
// reply as it came from tor: lines ended by CRLF, those of data blocks dot-
// stuffed. Snapshot gives it back.
func NewSnapshot(reply []byte, kv ...string) *Journal {
	return &Journal{
		What: WhatSnapshot, Keywords: NewKeywords(kv...), Data: NewData(string(reply)), block: true,
	}
}

// Type returns JOURNAL.
func (*Journal) Type() Type { return JOURNAL }

// Snapshot returns tor's own reply that the event carries, byte for byte as
// NewSnapshot took it; "" if it carries none.
func (j *Journal) Snapshot() string { return j.Data.Text() }

// Format returns the wire form.
func (j *Journal) Format() []byte {
	if j.Data == "" && !j.block {
		var scratch [256]byte
		return j.finish(j.appendWords(j.open(scratch[:0], JOURNAL)))
	}
	b := make([]byte, 0, len("650+JOURNAL  \r\n")+len(j.What)+len(j.Keywords)+len(j.Data)+len(blockEnd))
	b = append(j.appendWords(append(b, "650+JOURNAL"...)), '\r', '\n')
	return appendBlock(b, j.Data)
}

func (j *Journal) appendWords(b []byte) []byte {
	b = appendWord(b, j.What)
	if j.Keywords == "" {
		return b
	}
	return appendText(append(b, ' '), string(j.Keywords))
}

func readJournal(f *frame, s *scanner) *Journal {
	j := &Journal{What: s.word(), Keywords: Keywords(s.text())}
	if f.sep != '+' {
		j.form = s.form
		return j
	}
	data, ok := f.block()
	j.Data, j.block = data, true
	s.bad = s.bad || !ok
	return j
}
