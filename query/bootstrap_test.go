package query

import (
	"testing"

	"torjournal/journal"
	"torjournal/tor/event"
)

func TestBootstraps(t *testing.T) {
	m := story(t, `
		08:00:00 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=5 TAG=conn SUMMARY="Connecting to a relay"
		08:00:01 STATUS_CLIENT WARN BOOTSTRAP PROGRESS=5 TAG=conn SUMMARY="Connecting to a relay" WARNING="No route to host" REASON=NOROUTE COUNT=1 RECOMMENDATION=ignore HOSTID="AAAA" HOSTADDR="192.0.2.1:443"
		08:00:02 STATUS_CLIENT NOTICE CIRCUIT_ESTABLISHED
		08:00:03 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=100 TAG=done SUMMARY="Done"
		09:00:00 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=0 TAG=starting SUMMARY="Starting"
		session 2
		10:00:01 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=x TAG=odd
	`)
	m.add(2, clock(t, "10:00:02"), string(event.NewSnapshot([]byte("250-version=0.4.9.11\r\n250-status/bootstrap-phase=NOTICE BOOTSTRAP PROGRESS=100 TAG=done SUMMARY=\"Done\"\r\n250 OK\r\n")).Format()))
	ask := func(r journal.Range) string {
		return rows(t, func(emit func(*Bootstrap) error) ([]journal.Gap, error) {
			return bootstraps(t.Context(), m, r, Part{}, emit)
		})
	}
	warned := `{"time":"08:00:01.000000Z","session":1,"severity":"WARN","progress":5,"tag":"conn","summary":"Connecting to a relay","warning":"No route to host","reason":"NOROUTE","host":"AAAA","step_ms":1000,"after_ms":1000}`
	wantRows(t, "all", ask(journal.Range{}),
		`{"time":"08:00:00.000000Z","session":1,"severity":"NOTICE","progress":5,"tag":"conn","summary":"Connecting to a relay","after_ms":0}`,
		warned,
		`{"time":"08:00:03.000000Z","session":1,"severity":"NOTICE","progress":100,"tag":"done","summary":"Done","step_ms":2000,"after_ms":3000}`,
		`{"time":"09:00:00.000000Z","session":1,"severity":"NOTICE","progress":0,"tag":"starting","summary":"Starting","after_ms":0}`,
		`{"time":"10:00:02.000000Z","session":2,"severity":"NOTICE","progress":100,"tag":"done","summary":"Done","snapshot":true}`)
	wantRows(t, "a start that began before the range", ask(journal.Range{Since: clock(t, "08:00:01"), Until: clock(t, "08:00:02")}), warned)
	wantRows(t, "none", ask(journal.Range{Until: clock(t, "07:00:00")}))
}

func TestSessions(t *testing.T) {
	m := story(t, `
		08:00:00 BW 1 2
		08:00:01 BW 1 2
		session 2
		09:00:00 BW 1 2
		session 3
		10:00:00 BW 1 2
		10:00:05 BW 1 2
	`)
	m.sessions[1].Source = event.Source{Name: "tor two", Version: "0.4.9.11", Role: "relay", Fingerprint: "AA", PID: 7, Started: clock(t, "08:59:00")}
	ask := func(r journal.Range) string {
		return rows(t, func(emit func(*Session) error) ([]journal.Gap, error) {
			return sessions(t.Context(), m, r, Part{}, emit)
		})
	}
	one := `{"session":1,"name":"","begun":"08:00:00.000000Z","ended":"08:00:01.000000Z","first":1,"last":2,"records":2}`
	two := `{"session":2,"name":"tor two","version":"0.4.9.11","role":"relay","fingerprint":"AA","pid":7,"started":"08:59:00.000000Z","begun":"09:00:00.000000Z","ended":"09:00:00.000000Z","first":3,"last":3,"records":1}`
	three := `{"session":3,"name":"","begun":"10:00:00.000000Z","first":4,"last":5,"records":2}`
	wantRows(t, "all", ask(journal.Range{}), one, two, three)
	wantRows(t, "of a range", ask(journal.Range{Since: clock(t, "08:00:01"), Until: clock(t, "09:30:00")}), one, two)
	wantRows(t, "one", ask(journal.Range{Session: 2}), two)
	wantRows(t, "as it was", ask(journal.Range{To: 4}), one, two, `{"session":3,"name":"","begun":"10:00:00.000000Z","first":4,"last":4,"records":1}`)
	wantRows(t, "none", ask(journal.Range{Until: clock(t, "07:00:00")}))
}
