package query

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"torjournal/journal"
	"torjournal/tor/event"
)

// memory is a source of records that never saw a file.
type memory struct {
	recs     []journal.Record // in order, numbers without holes
	sessions []journal.Session
	read     int             // records that were looked at and matched
	gaps     map[uint64]bool // records that turn out to be evicted when they are reached
}

func (m *memory) Records(_ context.Context, r journal.Range) iter.Seq2[journal.Record, error] {
	return func(yield func(journal.Record, error) bool) {
		for i := range m.recs {
			rec := m.recs[i]
			if m.gaps[rec.Seq] && r.From <= rec.Seq && (r.To == 0 || rec.Seq <= r.To) {
				if r.From > 0 && !yield(journal.Record{}, &journal.Gap{From: rec.Seq, To: rec.Seq}) {
					return
				}
				continue
			}
			if !r.Match(&rec) {
				continue
			}
			m.read++
			if !yield(rec, nil) {
				return
			}
		}
	}
}

func (m *memory) Bounds(context.Context) (b journal.Bounds, err error) {
	if n := len(m.recs); n > 0 {
		a, z := m.recs[0], m.recs[n-1]
		b = journal.Bounds{First: a.Seq, Last: z.Seq, FirstTime: a.Time, LastTime: z.Time}
	}
	return b, nil
}

func (m *memory) Sessions(context.Context) ([]journal.Session, error) { return m.sessions, nil }

// add appends a record; the first of a session begins it.
func (m *memory) add(session uint64, t time.Time, wire string) {
	seq := uint64(len(m.recs) + 1)
	if n := len(m.sessions); session > 0 && (n == 0 || m.sessions[n-1].ID < session) {
		m.sessions = append(m.sessions, journal.Session{ID: session, First: seq, Begun: t})
	}
	m.recs = append(m.recs, journal.Record{Seq: seq, Session: session, Time: t, Type: event.TypeOf([]byte(wire)), Wire: []byte(wire)})
}

// day is when every told story happens.
const day = "2026-11-23T"

// clock returns the moment 08:15:30.5 of that day.
func clock(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02T15:04:05", day+s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// story returns the records that its lines tell:
//
//	08:15:30.5 CIRC 7 LAUNCHED PURPOSE=GENERAL
//	session 2
//	08:16:00 SNAPSHOT 7 BUILT …| 9 LAUNCHED
//
// An entry of a snapshot's circuit-status ends at "|". What tor has read and
// written may stand before them: SNAPSHOT traffic=300,20 7 BUILT …
// CONF_CHANGED_Name=value is a change of one option.
func story(t testing.TB, lines string) *memory {
	t.Helper()
	m, session := &memory{}, uint64(1)
	for line := range strings.Lines(lines) {
		when, what, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case when == "":
		case when == "session":
			if _, err := fmt.Sscan(what, &session); err != nil {
				t.Fatal(err)
			}
		case strings.HasPrefix(what, "CONF_CHANGED_"):
			m.add(session, clock(t, when), "650-CONF_CHANGED\r\n650-"+strings.TrimPrefix(what, "CONF_CHANGED_")+"\r\n650 OK\r\n")
		case strings.HasPrefix(what, "SNAPSHOT"):
			m.add(session, clock(t, when), snapshotWire(strings.TrimPrefix(what, "SNAPSHOT")))
		default:
			m.add(session, clock(t, when), "650 "+what+"\r\n")
		}
	}
	return m
}

// snapshotWire is a SNAPSHOT event as the attached source writes it.
func snapshotWire(entries string) string {
	var status []string
	traffic := "250-traffic/read=12\r\n"
	if counts, rest, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(entries), "traffic="), ","); ok && strings.Contains(entries, "traffic=") {
		written, circuits, _ := strings.Cut(rest, " ")
		traffic, entries = "250-traffic/read="+counts+"\r\n250-traffic/written="+written+"\r\n", circuits
	}
	for e := range strings.SplitSeq(entries, "|") {
		if e = strings.TrimSpace(e); e != "" {
			status = append(status, e)
		}
	}
	reply := "250-version=0.4.9.11\r\n250-circuit-status=" + strings.Join(status, "") + "\r\n" + traffic + "250 OK\r\n"
	if len(status) > 1 {
		reply = "250-version=0.4.9.11\r\n250+circuit-status=\r\n" + strings.Join(status, "\r\n") + "\r\n.\r\n" + traffic + "250 OK\r\n"
	}
	return string(event.NewSnapshot([]byte(reply)).Format())
}

// rows returns the rows of an answer as JSON lines.
func rows[R any](t testing.TB, answer func(func(R) error) ([]journal.Gap, error)) string {
	t.Helper()
	var b strings.Builder
	enc := json.NewEncoder(&b)
	if _, err := answer(func(r R) error { return enc.Encode(r) }); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func circuitRows(t testing.TB, src source, r journal.Range) string {
	t.Helper()
	return rows(t, func(emit func(*Circuit) error) ([]journal.Gap, error) {
		return circuits(t.Context(), src, r, CircuitPick{}, Part{}, emit)
	})
}

func bandwidthRows(t testing.TB, src source, r journal.Range, step time.Duration) string {
	t.Helper()
	return rows(t, func(emit func(*Bandwidth) error) ([]journal.Gap, error) {
		answer, err := bandwidths(t.Context(), src, r, step, Part{}, emit)
		return answer.Gaps, err
	})
}

// corpora returns the files of recorded tors that there are: the sample of
// this repository, and the full ones where they lie beside it.
func corpora(t testing.TB) []string {
	t.Helper()
	var files []string
	for _, dir := range []string{"../testdata/corpus", "../../shared/corpus"} {
		found, err := filepath.Glob(filepath.Join(dir, "*.jsonl*"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if testing.Short() { // without the large ones
		files = slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, ".zst") })
	}
	return files
}

// corpus returns one file's records, as session 1.
func corpus(t testing.TB, file string) *memory {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var plain io.Reader = f
	if strings.HasSuffix(file, ".zst") {
		z, err := zstd.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		plain = z
	}
	m, dec := &memory{}, json.NewDecoder(plain)
	for {
		var line struct {
			T   time.Time
			Raw string
		}
		if err := dec.Decode(&line); err == io.EOF {
			return m
		} else if err != nil {
			t.Fatal(err)
		}
		m.add(1, line.T, line.Raw)
	}
}

// Parsed spoils what an event stood in once the walk goes on, and takes back the
// event: what a row bears must be the walk's own.
func (m *memory) Parsed(ctx context.Context, r journal.Range) iter.Seq2[*reading, error] {
	return func(yield func(*reading, error) bool) {
		maker := newParsing()
		for rec, err := range m.Records(ctx, r) {
			p := &reading{Record: rec}
			stood := journal.Record{Wire: bytes.Clone(rec.Wire)}
			if err == nil {
				p.As = maker.Make(&stood)
			}
			if !yield(p, err) {
				return
			}
			for i := range stood.Wire {
				stood.Wire[i] = '!'
			}
			*p = reading{}
			maker.Again()
		}
	}
}
