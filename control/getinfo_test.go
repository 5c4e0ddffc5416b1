package control

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"torjournal/journal"
)

// TestInfoIsBounded: one GETINFO takes so many keys if one of them is ours, and
// no answer where others have not read theirs.
func TestInfoIsBounded(t *testing.T) {
	r, _ := newJournalRig(t, journal.Options{})
	p := r.login()
	p.send("GETINFO journal/limits" + strings.Repeat(" version", maxKeys) + "\r\n")
	p.expect("551 A GETINFO with keys of torjournal may have at most 256 keys; ask in several commands")
	p.send("GETINFO" + strings.Repeat(" version", 2*maxKeys) + "\r\n") // of tor's alone tor is the judge
	p.expect(slices.Repeat([]string{"250-version=0.4.9.11"}, 2*maxKeys)...)
	p.expect("250 OK")
	r.srv.answers.Add(maxAnswers) // of others
	p.send("GETINFO journal/last\r\n")
	p.expect("551 GETINFO: the answer has 19 bytes, and others have not read theirs yet: ask for less at once, or try again")
	r.srv.answers.Add(-maxAnswers)
	p.send("GETINFO journal/last\r\n")
	p.expect("250-journal/last=", "250 OK")
}

// TestJoinerHoldsALine: a line of tor's that has no end is not gathered for ever.
func TestJoinerHoldsALine(t *testing.T) {
	j := joiner{out: io.Discard, parts: []part{{key: "a", tor: true}, {key: "journal/x", answer: []byte("250-journal/x=1\r\n")}}}
	piece := []byte(strings.Repeat("x", 64<<10))
	var err error
	for n := 0; n <= maxReplyLine && err == nil; n += len(piece) {
		_, err = j.Write(piece)
	}
	if !errors.Is(err, errLongReply) {
		t.Errorf("%d bytes are held: %v", len(j.line), err)
	}
}
