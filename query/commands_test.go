package query

import (
	"errors"
	"testing"
	"time"

	"torjournal/journal"
)

func commandRows(t *testing.T, m *memory, r journal.Range) string {
	t.Helper()
	return rows(t, func(emit func(*Command) error) ([]journal.Gap, error) {
		return commands(t.Context(), m, r, true, Part{}, emit)
	})
}

const commandStory = `
	08:00:00 JOURNAL START SESSION=1
	08:00:01 JOURNAL COMMAND PHASE=SENT CONN=1 N=1 PEER=unix UID=1000 PID=42 VERB=SETCONF ARGS="DisableNetwork=1 Bridge=[scrubbed]"
	08:00:01 CONF_CHANGED
	08:00:02 JOURNAL COMMAND PHASE=SENT CONN=2 N=1 PEER=127.0.0.1:4000 VERB=SIGNAL ARGS=NEWNYM
	08:00:02 JOURNAL COMMAND PHASE=DONE CONN=2 N=1 VERB=SIGNAL CODE=250 MS=0.412
	08:00:03 JOURNAL COMMAND PHASE=DONE CONN=1 N=1 VERB=SETCONF CODE=513 MS=2000.000
	08:00:04 JOURNAL COMMAND PHASE=COUNT CONN=2 PEER=127.0.0.1:4000 COUNT=61 VERBS=GETCONF:3,GETINFO:58
	08:00:05 JOURNAL COMMAND PHASE=SENT CONN=1 N=2 PEER=unix VERB=SIGNAL ARGS=HALT
	08:00:06 JOURNAL START SESSION=2
	08:00:07 JOURNAL COMMAND PHASE=DONE CONN=1 N=2 VERB=SIGNAL CODE=250 MS=1.000
	08:00:08 JOURNAL COMMAND PHASE=SENT CONN=1 N=1 PEER=unix VERB=TAKEOWNERSHIP
	08:00:09 JOURNAL COMMAND PHASE=DONE CONN=1 N=1 VERB=TAKEOWNERSHIP CODE=250 MS=x
	08:00:09 JOURNAL COMMAND PHASE=DONE CONN=1 N=1 VERB=TAKEOWNERSHIP CODE=251 MS=1
	08:00:10 JOURNAL COMMAND PHASE=FUTURE CONN=1 N=2
	08:00:11 JOURNAL MARK CONN=1 PEER=unix TEXT="a mark"
	08:00:12 JOURNAL COMMAND PHASE=LEFT_OUT COUNT=7312 VERBS=GETINFO:12,SIGNAL:7300 CONNS=2 CONN=3 PEER=unix UID=1000 PID=42
`

var (
	setconfRow = `{"time":"08:00:01.000000Z","session":1,"conn":"1","n":"1","peer":"unix","uid":1000,"pid":42,"verb":"SETCONF","args":"DisableNetwork=1 Bridge=[scrubbed]","code":513,"ms":2000}`
	newnymRow  = `{"time":"08:00:02.000000Z","session":1,"conn":"2","n":"1","peer":"127.0.0.1:4000","verb":"SIGNAL","args":"NEWNYM","code":250,"ms":0.412}`
	countRow   = `{"time":"08:00:04.000000Z","session":1,"conn":"2","peer":"127.0.0.1:4000","count":61,"verbs":{"GETCONF":3,"GETINFO":58}}`
	haltRow    = `{"time":"08:00:05.000000Z","session":1,"conn":"1","n":"2","peer":"unix","verb":"SIGNAL","args":"HALT"}`
	ownerRow   = `{"time":"08:00:08.000000Z","session":1,"conn":"1","n":"1","peer":"unix","verb":"TAKEOWNERSHIP","code":250}`
	leftRow    = `{"time":"08:00:12.000000Z","session":1,"conn":"3","peer":"unix","uid":1000,"pid":42,"count":7312,"verbs":{"GETINFO":12,"SIGNAL":7300},"conns":2}`
)

func TestCommands(t *testing.T) {
	m := story(t, commandStory)
	wantRows(t, "all", commandRows(t, m, journal.Range{}), setconfRow, newnymRow, countRow, haltRow, ownerRow, leftRow)
	wantRows(t, "an answer behind the range", commandRows(t, m, journal.Range{Until: clock(t, "08:00:02")}), setconfRow)
	wantRows(t, "an answer in the range to what was sent before", commandRows(t, m, journal.Range{Since: clock(t, "08:00:02"), Until: clock(t, "08:00:05")}),
		newnymRow, countRow)
	wantRows(t, "what connections only asked left away", rows(t, func(emit func(*Command) error) ([]journal.Gap, error) {
		return commands(t.Context(), m, journal.Range{}, false, Part{}, emit)
	}), setconfRow, newnymRow, haltRow, ownerRow, leftRow)
	wantRows(t, "nothing", commandRows(t, m, journal.Range{Since: clock(t, "09:00:00")}))
}

// An answer that never comes holds back the rows behind it for answerTime only.
func TestCommandsWithoutAnswer(t *testing.T) {
	m := story(t, `
		08:00:00 JOURNAL COMMAND PHASE=SENT CONN=1 N=1 VERB=SIGNAL
		08:00:01 JOURNAL COMMAND PHASE=SENT CONN=2 N=1 VERB=DROPGUARDS
		08:00:02 JOURNAL COMMAND PHASE=DONE CONN=2 N=1 VERB=DROPGUARDS CODE=250 MS=1
		08:10:01 JOURNAL COMMAND PHASE=SENT CONN=1 N=1 VERB=SIGNAL
		08:10:02 JOURNAL COMMAND PHASE=SENT CONN=1 N=1 VERB=SAVECONF
		08:10:03 JOURNAL COMMAND PHASE=DONE CONN=1 N=1 VERB=SAVECONF CODE=250 MS=2
	`)
	got := 0
	stop := errors.New("stop")
	_, err := commands(t.Context(), m, journal.Range{}, true, Part{}, func(c *Command) error {
		if got++; got == 2 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) {
		t.Errorf("emit's error came back as %v", err)
	}
	wantRows(t, "all", commandRows(t, m, journal.Range{}),
		`{"time":"08:00:00.000000Z","session":1,"conn":"1","n":"1","verb":"SIGNAL"}`,
		`{"time":"08:00:01.000000Z","session":1,"conn":"2","n":"1","verb":"DROPGUARDS","code":250,"ms":1}`,
		`{"time":"08:10:01.000000Z","session":1,"conn":"1","n":"1","verb":"SIGNAL"}`,
		`{"time":"08:10:02.000000Z","session":1,"conn":"1","n":"1","verb":"SAVECONF","code":250,"ms":2}`)

	w := commandWalk{sent: map[[2]string]*Command{}, emit: func(*Command) error { return nil }}
	w.walker.src = m
	if err := w.read(t.Context(), journal.Range{Until: m.recs[3].Time}); err != nil {
		t.Fatal(err)
	}
	if len(w.rows) != 2 || w.rows[0].settled {
		t.Errorf("before answerTime %d rows are held", len(w.rows))
	}
	w.settle(m.recs[3].Time.Add(-answerTime + time.Second))
	if err := w.flush(); err != nil || len(w.rows) != 0 {
		t.Errorf("after it %d are, %v", len(w.rows), err)
	}
}
