package query

import (
	"testing"

	"torjournal/journal"
)

func TestORConns(t *testing.T) {
	m := story(t, `
		08:00:00 ORCONN $A LAUNCHED ID=9
		08:00:01 ORCONN $A~a CONNECTED ID=9
		08:00:02 ORCONN 192.0.2.1:443 NEW ID=10
		08:00:03 ORCONN $B~b LAUNCHED ID=11
		08:00:04 ORCONN $B~b FAILED REASON=CONNECTREFUSED NCIRCS=2 ID=11
		08:00:04 ORCONN $B~b CLOSED REASON=DONE ID=11
		08:01:00 ORCONN $A~a CLOSED REASON=IOERROR NCIRCS=3 ID=9
		08:02:00 ORCONN 192.0.2.1:443 CONNECTED ID=10
		session 2
		08:03:00 ORCONN $C~c LAUNCHED ID=9
		08:03:01 ORCONN $D~d LAUNCHED
	`)
	ask := func(r journal.Range, pick ORConnPick) string {
		return rows(t, func(emit func(*ORConn) error) ([]journal.Gap, error) {
			return orConns(t.Context(), m, r, pick, Part{}, emit)
		})
	}
	a := `{"session":1,"id":"9","relay":"$A~a","launched":"08:00:00.000000Z","connected":"08:00:01.000000Z","closed":"08:01:00.000000Z","status":"CLOSED","outcome":"closed","connect_ms":1000,"life_ms":60000,"reason":"IOERROR","circuits":3}`
	in := `{"session":1,"id":"10","relay":"192.0.2.1:443","incoming":true,"launched":"08:00:02.000000Z","connected":"08:02:00.000000Z","status":"CONNECTED","outcome":"lost","connect_ms":118000}`
	b := `{"session":1,"id":"11","relay":"$B~b","launched":"08:00:03.000000Z","closed":"08:00:04.000000Z","status":"FAILED","outcome":"failed","life_ms":1000,"reason":"CONNECTREFUSED","circuits":2}`
	c := `{"session":2,"id":"9","relay":"$C~c","launched":"08:03:00.000000Z","status":"LAUNCHED","outcome":"connecting"}`
	d := `{"session":2,"relay":"$D~d","launched":"08:03:01.000000Z","status":"LAUNCHED","outcome":"connecting"}`
	wantRows(t, "all", ask(journal.Range{}, ORConnPick{}), a, in, b, c, d)
	wantRows(t, "later", ask(journal.Range{Since: clock(t, "08:00:30"), Until: clock(t, "08:02:30")}, ORConnPick{}), a, in)
	wantRows(t, "failed", ask(journal.Range{}, ORConnPick{Status: "failed", Reason: "connectrefused"}), b)
	wantRows(t, "relay", ask(journal.Range{}, ORConnPick{Relay: "A"}), a)
	wantRows(t, "none", ask(journal.Range{Until: clock(t, "07:00:00")}, ORConnPick{}))
}
