package control

import (
	"strings"
	"testing"

	"torjournal/journal"
	"torjournal/tor/event"
)

// What says that events are missing goes to who asked for JOURNAL and to who
// uses a command of ours, before or after SETEVENTS, and through a filter;
// other JOURNAL events to who asked for them alone. A controller that behaves
// as with tor hears nothing of it.
func TestMissingIsToldToWhoUsesOurs(t *testing.T) {
	const (
		unjournaled = `650 JOURNAL UNJOURNALED SINCE=2026-11-23T08:00:00.000000Z ERROR="no space left on device"`
		journaled   = `650 JOURNAL JOURNALED COUNT=3 TYPES=BW SINCE=2026-11-23T08:00:00.000000Z ERROR="no space left on device"`
		dropped     = "650 JOURNAL DROPPED TYPES=BW COUNT=3"
		lost        = "650 JOURNAL SOURCE_LOST REASON=CLOSED"
	)
	for name, c := range map[string]struct {
		events string
		before string // SETEVENTS
		after  string
		wants  []string
	}{
		"as with tor":               {events: "BW", wants: []string{"650 BW 1 1", "650 BW 2 2"}},
		"asks for JOURNAL":          {events: "BW JOURNAL", wants: []string{"650 BW 1 1", unjournaled, journaled, dropped, lost, "650 BW 2 2"}},
		"asks for nothing else":     {events: "JOURNAL", wants: []string{unjournaled, journaled, dropped, lost}},
		"GETINFO after":             {events: "BW", after: "GETINFO journal/last", wants: []string{"650 BW 1 1", unjournaled, journaled, dropped, "650 BW 2 2"}},
		"GETINFO before":            {events: "BW", before: "GETINFO journal/last", wants: []string{"650 BW 1 1", unjournaled, journaled, dropped, "650 BW 2 2"}},
		"REPLAY":                    {events: "BW", after: "REPLAY UNTIL=2001-01-01", wants: []string{"650 BW 1 1", unjournaled, journaled, dropped, "650 BW 2 2"}},
		"SETFILTER":                 {events: "BW", after: `SETFILTER "Read == 2"`, wants: []string{unjournaled, journaled, dropped, "650 BW 2 2"}},
		"SETFILTER without JOURNAL": {events: "BW JOURNAL", after: `SETFILTER "Type == 'BW'"`, wants: []string{"650 BW 1 1", unjournaled, journaled, dropped, "650 BW 2 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, j := newJournalRig(t, journal.Options{})
			p := r.login()
			if c.before != "" {
				ask(p, c.before)
			}
			ask(p, "SETEVENTS "+c.events)
			if c.after != "" {
				ask(p, c.after)
			}
			record(t, j, "650 BW 1 1")
			for _, wire := range []string{unjournaled, journaled} {
				if err := j.Append(t.Context(), event.Live{Event: event.NewRaw([]byte(wire + "\r\n"))}); err != nil {
					t.Fatal(err)
				}
			}
			record(t, j, dropped, lost, "650 BW 2 2")
			p.expect(c.wants...)
			p.send("GETINFO version\r\n")
			p.expect("250-version=0.4.9.11", "250 OK")
		})
	}
}

// ask sends a command and waits for the end of what it brings.
func ask(p *peer, command string) {
	p.send(command + "\r\n")
	end := "250 OK"
	if strings.HasPrefix(command, "REPLAY") {
		end = "650 JOURNAL CAUGHT_UP"
	}
	for !strings.HasPrefix(p.line(), end) {
	}
}

// Who replays a time in which events are missing is told so in its place.
func TestReplayTellsOfMissing(t *testing.T) {
	const journaled = "650 JOURNAL JOURNALED COUNT=3 TYPES=BW SINCE=2026-11-23T08:00:00.000000Z ERROR=full"
	r, j := newJournalRig(t, journal.Options{})
	record(t, j, "650 BW 1 1", "650 JOURNAL START SESSION=1", journaled, "650 BW 2 2")
	p := r.subscriber("BW")
	for _, until := range []string{"", " UNTIL=2999-01-01"} {
		p.send("REPLAY SINCE=2001-01-01" + until + "\r\n")
		p.expect("250 OK", "650 BW 1 1", journaled, "650 BW 2 2", "650 JOURNAL CAUGHT_UP SEQ=4")
	}
	p.send("REPLAY UNTIL=" + apart() + "\r\n")
	p.expect("250 OK", "650 BW 1 1", journaled, "650 BW 2 2", "650 JOURNAL CAUGHT_UP SEQ=4")
}

// A connection without the history privilege that uses a command of ours hears
// of what is missing, and of nothing else that JOURNAL events say of others,
// also where the records of one commit go out as they are.
func TestOthersCommandsStayHidden(t *testing.T) {
	const (
		command = "650 JOURNAL COMMAND PHASE=SENT CONN=7 N=1 PEER=unix VERB=RESOLVE ARGS=www.example.com"
		dropped = "650 JOURNAL DROPPED TYPES=BW COUNT=3"
	)
	for _, filter := range []string{"", ` "Read > 0"`} {
		_, j := newJournalRig(t, journal.Options{})
		r := newRig(t, Access{NoAuth: true}, func(o *Options) { o.Journal = j })
		p := r.subscriber("BW")
		p.send("SETFILTER" + filter + "\r\n")
		p.expect("250 OK")
		for _, seen := range []string{"650 BW 1 1", dropped} {
			var evs []event.Event
			for _, wire := range []string{command, seen, command, "650 BW 2 2"} {
				evs = append(evs, event.NewRaw([]byte(wire+"\r\n")))
			}
			if err := j.Append(t.Context(), evs...); err != nil {
				t.Fatal(err)
			}
			p.expect(seen, "650 BW 2 2")
		}
	}
}
