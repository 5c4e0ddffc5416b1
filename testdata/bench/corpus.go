package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// corpus is a recording of a real tor.
type corpus struct {
	name   string
	events []sample
	span   time.Duration // from the first event to the last, and a pause

	circuits, streams int // the greatest IDs
}

// sample is one event of a corpus.
type sample struct {
	at      time.Duration // arrival after the first event
	wire    []byte
	created int           // place of the time that wire names; 0: it names none
	age     time.Duration // arrival minus that time
}

const createdForm = "2006-01-02T15:04:05.000000"

// readCorpus reads NAME.jsonl or NAME.jsonl.zst of a folder.
func readCorpus(folder, name string) (*corpus, error) {
	path := filepath.Join(folder, name+".jsonl")
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = os.Open(path + ".zst")
	}
	if err != nil {
		return nil, fmt.Errorf("corpus: %w", err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(f.Name(), ".zst") {
		zr, err := zstd.NewReader(f)
		if err != nil {
			return nil, err
		}
		defer zr.Close()
		r = zr
	}
	c := &corpus{name: name}
	var first time.Time
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		var line struct {
			T   time.Time
			Raw string
		}
		if err := json.Unmarshal(sc.Bytes(), &line); err != nil {
			return nil, fmt.Errorf("corpus %s: %w", f.Name(), err)
		}
		if first.IsZero() {
			first = line.T
		}
		c.add(line.T, line.T.Sub(first), []byte(line.Raw))
	}
	if sc.Err() != nil || len(c.events) == 0 {
		return nil, fmt.Errorf("corpus %s: %d events, %w", f.Name(), len(c.events), sc.Err())
	}
	c.span = c.events[len(c.events)-1].at + time.Second
	return c, nil
}

// timeInLine finds the time that a line names: TIME_CREATED of a circuit, TIME
// of CIRC_BW, the last word of STREAM_BW.
var timeInLine = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}`)

func (c *corpus) add(t time.Time, at time.Duration, wire []byte) {
	s := sample{at: at, wire: wire}
	if n := len(c.events); n > 0 {
		s.at = max(s.at, c.events[n-1].at)
	}
	if at := timeInLine.FindIndex(wire); at != nil {
		if made, err := time.Parse(createdForm, string(wire[at[0]:at[1]])); err == nil {
			s.created, s.age = at[0], t.Sub(made)
		}
	}
	c.events = append(c.events, s)
	if words := bytes.Fields(wire[:min(len(wire), 64)]); len(words) > 2 {
		n, _ := strconv.Atoi(string(words[2]))
		switch string(words[1]) {
		case "CIRC":
			c.circuits = max(c.circuits, n)
		case "STREAM":
			c.streams = max(c.streams, n)
		}
	}
}

// corpora returns the names of what lies in a folder.
func corpora(folder string) (names []string, err error) {
	entries, err := os.ReadDir(folder)
	for _, e := range entries {
		if name, ok := strings.CutSuffix(strings.TrimSuffix(e.Name(), ".zst"), ".jsonl"); ok {
			names = append(names, name)
		}
	}
	return slices.Compact(names), err
}

// without returns the corpus without the events whose wire form has a word in
// its second place.
func (c *corpus) without(word string) *corpus {
	rest := &corpus{name: c.name + " without " + word, span: c.span}
	for _, s := range c.events {
		if !bytes.HasPrefix(s.wire[4:], []byte(word+" ")) {
			rest.events = append(rest.events, s)
		}
	}
	return rest
}

// timeline repeats a corpus with times that go on, and those in the lines with them.
type timeline struct {
	*corpus
	start   time.Time
	stretch float64 // of the times between events; 0 is 1
	number  bool    // IDs of circuits and streams go on too, as those of one tor do
}

// event returns event i, counted on through the repetitions. The wire form is
// the caller's.
func (l timeline) event(i int) (at time.Time, wire []byte) {
	pass, s := i/len(l.events), &l.events[i%len(l.events)]
	since := time.Duration(pass)*l.span + s.at
	if l.stretch != 0 {
		since = time.Duration(float64(since) * l.stretch)
	}
	at = l.start.Add(since)
	wire = bytes.Clone(s.wire)
	if s.created > 0 {
		// Not in place: AppendFormat writes nine digits before it cuts three.
		copy(wire[s.created:], at.Add(-s.age).UTC().Format(createdForm))
	}
	if l.number && pass > 0 {
		wire = l.renumber(wire, pass)
	}
	return at, wire
}

// renumber returns an event of a later repetition with the numbers that its
// circuit and its stream have there.
func (l timeline) renumber(wire []byte, pass int) []byte {
	line, rest, _ := bytes.Cut(wire, []byte("\r\n"))
	words := bytes.Split(line, []byte(" "))
	more := func(i int, key string, most int) {
		if i >= len(words) || !bytes.HasPrefix(words[i], []byte(key)) {
			return
		}
		if n, err := strconv.Atoi(string(words[i][len(key):])); err == nil && n > 0 {
			words[i] = strconv.AppendInt([]byte(key), int64(n+pass*most), 10)
		}
	}
	if len(words) < 3 {
		return wire
	}
	switch string(words[1]) {
	case "CIRC", "CIRC_MINOR":
		more(2, "", l.circuits)
	case "CIRC_BW", "CELL_STATS":
		more(2, "ID=", l.circuits)
	case "STREAM":
		more(2, "", l.streams)
		more(4, "", l.circuits)
	case "STREAM_BW":
		more(2, "", l.streams)
	}
	return append(append(bytes.Join(words, []byte(" ")), "\r\n"...), rest...)
}

// text is one pass as a text log: time, blank, event.
func (l timeline) text() (out []byte) {
	for i := range l.events {
		at, wire := l.event(i)
		out = append(at.UTC().AppendFormat(out, "2006-01-02T15:04:05.000000Z"), ' ')
		out = append(out, wire...)
	}
	return out
}

// stream is one pass as a tor sends it, and where each event ends in it.
func (c *corpus) stream() (wire []byte, ends []int) {
	for _, s := range c.events {
		wire = append(wire, s.wire...)
		ends = append(ends, len(wire))
	}
	return wire, ends
}
