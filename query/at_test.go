package query

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// states is a story whose snapshots tell of every kind:
//
//	08:00:00 STATE circuit-status=7 BUILT $A|9 EXTENDED; stream-status=; …
//
// Keys that are not named are empty; with "only" before them they are absent.
func states(t testing.TB, lines string) *memory {
	t.Helper()
	m, session := &memory{}, uint64(1)
	for line := range strings.Lines(lines) {
		when, what, _ := strings.Cut(strings.TrimSpace(line), " ")
		state, isState := strings.CutPrefix(what, "STATE")
		switch {
		case when == "":
		case when == "session":
			if _, err := fmt.Sscan(what, &session); err != nil {
				t.Fatal(err)
			}
		case isState:
			m.add(session, clock(t, when), stateWire(state))
		default:
			m.add(session, clock(t, when), "650 "+what+"\r\n")
		}
	}
	return m
}

func stateWire(state string) string {
	state, only := strings.CutPrefix(strings.TrimSpace(state), "only ")
	told := map[string][]string{}
	for part := range strings.SplitSeq(state, ";") {
		key, lines, _ := strings.Cut(strings.TrimSpace(part), "=")
		told[key] = []string{}
		for line := range strings.SplitSeq(lines, "|") {
			if line != "" {
				told[key] = append(told[key], line)
			}
		}
	}
	reply := "250-version=0.4.9.11\r\n"
	for _, k := range Kinds() {
		lines, ok := told[string(k)]
		switch {
		case !ok && only:
		case len(lines) < 2 && k != EntryGuards:
			reply += "250-" + string(k) + "=" + strings.Join(lines, "") + "\r\n"
		default:
			reply += "250+" + string(k) + "=\r\n" + strings.Join(append(lines, ".\r\n"), "\r\n")
		}
	}
	return string(event.NewSnapshot([]byte(reply + "250-traffic/read=12\r\n250 OK\r\n")).Format())
}

var evening = func() time.Time {
	t, err := time.Parse("2006-01-02T15:04:05", day+"20:00:00")
	if err != nil {
		panic(err)
	}
	return t
}()

// wantState compares what stood of a kind at a time of the day.
func wantState(t *testing.T, name string, src source, when string, k Kind, want ...string) {
	t.Helper()
	m, err := at(t.Context(), src, clock(t, when), evening, []Kind{k})
	if err != nil {
		t.Errorf("%s: at %s: %v", name, when, err)
		return
	}
	if got := slices.Collect(m.Lines(k)); !slices.Equal(got, want) {
		t.Errorf("%s: at %s\n got %s\nwant %s", name, when, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

func TestCircuitsThatStood(t *testing.T) {
	const about = "BUILD_FLAGS=NEED_CAPACITY PURPOSE=GENERAL TIME_CREATED=2026-11-23T08:00:01.000001"
	src := states(t, `
		08:00:00 STATE circuit-status=1 BUILT $A~a,$B~b BUILD_FLAGS=NEED_CAPACITY PURPOSE=CONFLUX_LINKED TIME_CREATED=2026-11-23T07:59:59.5 CONFLUX_ID=AB CONFLUX_RTT=7944|2 EXTENDED PURPOSE=GENERAL
		08:00:01 CIRC 3 LAUNCHED `+about+`
		08:00:02 CIRC 3 EXTENDED $A~a `+about+`
		08:00:03 CIRC 3 EXTENDED $A~a,$B~b `+about+`
		08:00:04 CIRC 3 BUILT $A~a,$B~b `+about+`
		08:00:05 CIRC 2 FAILED PURPOSE=GENERAL REASON=TIMEOUT
		08:00:05 CIRC_MINOR 2 PURPOSE_CHANGED PURPOSE=MEASURE_TIMEOUT OLD_PURPOSE=GENERAL
		08:00:06 CIRC_MINOR 3 CANNIBALIZED $A~a,$B~b PURPOSE=HS_CLIENT_INTRO HS_STATE=HSCI_CONNECTING TIME_CREATED=2026-11-23T08:00:06.000001 OLD_PURPOSE=GENERAL OLD_TIME_CREATED=2026-11-23T08:00:01.000001
		08:00:07 CIRC 3 BUILT $A~a,$B~b,$C~c PURPOSE=HS_CLIENT_INTRO HS_STATE=HSCI_CONNECTING
		08:00:08 CIRC_MINOR 1 PURPOSE_CHANGED $A~a,$B~b PURPOSE=GENERAL OLD_PURPOSE=CONFLUX_LINKED OLD_HS_STATE=X
		08:00:09 CIRC 2 FAILED $A~a PURPOSE=MEASURE_TIMEOUT REASON=MEASUREMENT_EXPIRED
		08:00:10 CIRC 3 CLOSED $A~a,$B~b,$C~c PURPOSE=HS_CLIENT_INTRO REASON=FINISHED
		08:00:10 CIRC 77 CLOSED $A~a REASON=FINISHED
		08:00:11 CIRC 1
		08:00:12 CIRC 1 CLOSED
	`)
	const one = "1 BUILT $A~a,$B~b BUILD_FLAGS=NEED_CAPACITY PURPOSE=CONFLUX_LINKED TIME_CREATED=2026-11-23T07:59:59.5 CONFLUX_ID=AB"
	const two = "2 EXTENDED PURPOSE=GENERAL"
	f := func(when string, want ...string) {
		t.Helper()
		wantState(t, "circuits", src, when, CircuitStatus, want...)
	}
	f("08:00:00", one, two)
	f("08:00:00.999999", one, two)
	f("08:00:01", one, two, "3 EXTENDED "+about) // as tor calls it
	f("08:00:02.5", one, two, "3 EXTENDED $A~a "+about)
	f("08:00:04", one, two, "3 BUILT $A~a,$B~b "+about)
	f("08:00:05", one, "3 BUILT $A~a,$B~b "+about, "2 EXTENDED PURPOSE=MEASURE_TIMEOUT")
	f("08:00:06", one, "3 EXTENDED $A~a,$B~b PURPOSE=HS_CLIENT_INTRO HS_STATE=HSCI_CONNECTING TIME_CREATED=2026-11-23T08:00:06.000001", "2 EXTENDED PURPOSE=MEASURE_TIMEOUT")
	f("08:00:08", "1 BUILT $A~a,$B~b PURPOSE=GENERAL", "3 BUILT $A~a,$B~b,$C~c PURPOSE=HS_CLIENT_INTRO HS_STATE=HSCI_CONNECTING", "2 EXTENDED PURPOSE=MEASURE_TIMEOUT")
	f("08:00:11", "1 BUILT $A~a,$B~b PURPOSE=GENERAL")
	f("08:00:12")
	f("19:00:00")

	wantState(t, "a rendezvous circuit is there at once", states(t, `
		08:00:00 STATE circuit-status=3 BUILT $A PURPOSE=GENERAL
		08:00:01 CIRC_MINOR 3 CANNIBALIZED $A PURPOSE=HS_CLIENT_REND HS_STATE=HSCR_CONNECTING OLD_PURPOSE=GENERAL
	`), "08:00:01", CircuitStatus, "3 BUILT $A PURPOSE=HS_CLIENT_REND HS_STATE=HSCR_CONNECTING")
	wantState(t, "events that the snapshot knows already", states(t, `
		08:00:00 STATE circuit-status=3 BUILT $A,$B
		08:00:00 CIRC 2 EXTENDED $A
		08:00:00 CIRC 3 EXTENDED $A,$B
		08:00:00 CIRC 2 CLOSED $A REASON=FINISHED
		08:00:00 CIRC 3 BUILT $A,$B
	`), "08:00:01", CircuitStatus, "3 BUILT $A,$B")
}

// A circuit bears the credentials of the stream that it is built for, then those
// of the first one that it got.
func TestCredentialsOfCircuitsThatStood(t *testing.T) {
	src := states(t, `
		08:00:00 STATE circuit-status=1 BUILT $A PURPOSE=GENERAL TIME_CREATED=2026-11-23T07:59:59.5 CONFLUX_ID=AB|2 BUILT $A|3 BUILT $A SOCKS_USERNAME="own"
		08:00:01 STREAM 9 NEW 0 example.org:80 SOURCE_ADDR=127.0.0.1:4 PURPOSE=USER SOCKS_USERNAME="a \"b\" c" SOCKS_PASSWORD="x y"
		08:00:02 STREAM 9 SENTCONNECT 1 example.org:80 SOCKS_USERNAME="a \"b\" c" SOCKS_PASSWORD="x y" CLIENT_PROTOCOL=SOCKS5
		08:00:03 STREAM 10 SENTCONNECT 1 example.org:80 SOCKS_USERNAME="other" SOCKS_PASSWORD="x"
		08:00:03 STREAM 11 SENTRESOLVE 2 example.org:80 CLIENT_PROTOCOL=SOCKS5
		08:00:03 STREAM 12 SENTCONNECT 2 example.org:80 SOCKS_USERNAME="late" SOCKS_PASSWORD="x"
		08:00:03 STREAM 13 SENTCONNECT 3 example.org:80 SOCKS_USERNAME="late" SOCKS_PASSWORD="x"
		08:00:03 STREAM 14 SENTCONNECT 4 example.org:80 SOCKS_USERNAME="late" SOCKS_PASSWORD="x"
		08:00:04 CIRC_MINOR 1 PURPOSE_CHANGED $A PURPOSE=X SOCKS_USERNAME="as tor says"
	`)
	wantState(t, "before", src, "08:00:01", CircuitStatus,
		"1 BUILT $A PURPOSE=GENERAL TIME_CREATED=2026-11-23T07:59:59.5 CONFLUX_ID=AB", "2 BUILT $A", `3 BUILT $A SOCKS_USERNAME="own"`)
	wantState(t, "then", src, "08:00:03", CircuitStatus,
		`1 BUILT $A PURPOSE=GENERAL TIME_CREATED=2026-11-23T07:59:59.5 SOCKS_USERNAME="a \"b\" c" SOCKS_PASSWORD="x y" CONFLUX_ID=AB`, "2 BUILT $A", `3 BUILT $A SOCKS_USERNAME="late" SOCKS_PASSWORD="x"`)
	wantState(t, "tor's own word", src, "08:00:04", CircuitStatus,
		`1 BUILT $A PURPOSE=X SOCKS_USERNAME="as tor says"`, "2 BUILT $A", `3 BUILT $A SOCKS_USERNAME="late" SOCKS_PASSWORD="x"`)

	src = states(t, `
		08:00:00 STATE
		08:00:01 CIRC 1 EXTENDED $A PURPOSE=GENERAL SOCKS_USERNAME="a" SOCKS_PASSWORD="x"
		08:00:01 CIRC 2 EXTENDED $A PURPOSE=HS_CLIENT_REND SOCKS_USERNAME="a" SOCKS_PASSWORD="x"
		08:00:01 CIRC 3 EXTENDED $A PURPOSE=GENERAL SOCKS_USERNAME="a" SOCKS_PASSWORD="x"
		08:00:02 CIRC 1 BUILT $A,$B PURPOSE=GENERAL SOCKS_USERNAME="a" SOCKS_PASSWORD="x"
		08:00:02 CIRC 2 BUILT $A,$B PURPOSE=HS_CLIENT_REND SOCKS_USERNAME="a" SOCKS_PASSWORD="x"
		08:00:02 CIRC 3 BUILT $A,$B PURPOSE=GENERAL SOCKS_USERNAME="a" SOCKS_PASSWORD="x"
		08:00:02 STREAM 7 SENTCONNECT 3 a:80 SOCKS_USERNAME="a" SOCKS_PASSWORD="x"
		08:00:03 STREAM 8 SENTCONNECT 1 a:80 SOCKS_USERNAME="b" SOCKS_PASSWORD="y"
		08:00:04 CIRC 3 BUILT $A,$B,$C PURPOSE=GENERAL SOCKS_USERNAME="a" SOCKS_PASSWORD="x"
	`)
	const a = `SOCKS_USERNAME="a" SOCKS_PASSWORD="x"`
	wantState(t, "as they are built", src, "08:00:01", CircuitStatus, "1 EXTENDED $A PURPOSE=GENERAL "+a, "2 EXTENDED $A PURPOSE=HS_CLIENT_REND "+a, "3 EXTENDED $A PURPOSE=GENERAL "+a)
	wantState(t, "when they are", src, "08:00:02", CircuitStatus, "1 BUILT $A,$B PURPOSE=GENERAL", "2 BUILT $A,$B PURPOSE=HS_CLIENT_REND "+a, "3 BUILT $A,$B PURPOSE=GENERAL "+a)
	wantState(t, "when another stream comes", src, "08:00:04", CircuitStatus, `1 BUILT $A,$B PURPOSE=GENERAL SOCKS_USERNAME="b" SOCKS_PASSWORD="y"`, "2 BUILT $A,$B PURPOSE=HS_CLIENT_REND "+a, "3 BUILT $A,$B,$C PURPOSE=GENERAL "+a)
}

func TestStreamsThatStood(t *testing.T) {
	src := states(t, `
		08:00:00 STATE stream-status=5 SUCCEEDED 1 example.org:80
		08:00:01 STREAM 6 NEW 0 example.org:443 SOURCE_ADDR=127.0.0.1:4 PURPOSE=USER CLIENT_PROTOCOL=SOCKS5
		08:00:02 STREAM 6 SENTCONNECT 2 example.org:443 CLIENT_PROTOCOL=SOCKS5
		08:00:03 STREAM 6 DETACHED 2 example.org:443 REASON=TIMEOUT
		08:00:04 STREAM 6 CONTROLLER_WAIT 0 example.org:443
		08:00:05 STREAM 6 SENTCONNECT 3 example.org:443
		08:00:06 STREAM 6 REMAP 3 192.0.2.1:443 SOURCE=EXIT
		08:00:07 STREAM 6 SUCCEEDED 3 192.0.2.1:443
		08:00:08 STREAM 6 XOFF_SENT 3 192.0.2.1:443
		08:00:08 STREAM 8 XON_RECV 3 192.0.2.8:443
		08:00:09 STREAM 7 NEWRESOLVE 0 a:0 PURPOSE=DNS_REQUEST
		08:00:10 STREAM 7 SENTRESOLVE 3 a:0
		08:00:11 STREAM 7 DETACHED 3 a:0
		08:00:12 STREAM 7 SENTRESOLVE 3 a:0
		08:00:13 STREAM 7 SUCCEEDED 3 a:0
		08:00:14 STREAM 7 CLOSED 3 a:0 REASON=DONE
		08:00:15 STREAM 6 FAILED 3 192.0.2.1:443 REASON=TIMEOUT
		08:00:16 STREAM 6 CLOSED 3 192.0.2.1:443 REASON=TIMEOUT
		08:00:16 STREAM 5 CLOSED
		08:00:17 STREAM 5 CLOSED 1 example.org:80 REASON=DONE
	`)
	f := func(when string, want ...string) {
		t.Helper()
		wantState(t, "streams", src, when, StreamStatus, want...)
	}
	const five, eight, open = "5 SUCCEEDED 1 example.org:80", "8 SUCCEEDED 3 192.0.2.8:443", "6 SUCCEEDED 3 192.0.2.1:443"
	f("08:00:00", five)
	f("08:00:01", five, "6 NEW 0 example.org:443")
	f("08:00:02", five, "6 SENTCONNECT 2 example.org:443")
	f("08:00:03", five, "6 NEW 0 example.org:443")
	f("08:00:04", five, "6 NEW 0 example.org:443")
	f("08:00:05", five, "6 SENTCONNECT 3 example.org:443")
	f("08:00:06", five, "6 SENTCONNECT 3 192.0.2.1:443")
	f("08:00:07", five, open)
	f("08:00:08", five, open, eight)
	f("08:00:09", five, open, eight, "7 NEWRESOLVE 0 a:0")
	f("08:00:10", five, open, eight, "7 SENTRESOLVE 3 a:0")
	f("08:00:11", five, open, eight, "7 NEWRESOLVE 0 a:0")
	f("08:00:13", five, open, eight)
	f("08:00:15", five, eight)
	f("08:00:16", five, eight)
	f("08:00:17", eight)
}

func TestConnectionsThatStood(t *testing.T) {
	src := states(t, `
		08:00:00 STATE orconn-status=$AA~a CONNECTED|$AA~a LAUNCHED|$BB LAUNCHED|192.0.2.1:9001 NEW|$CC~c CONNECTED
		08:00:01 ORCONN $AA~a CONNECTED ID=3
		08:00:02 ORCONN $BB~b CONNECTED ID=4
		08:00:03 ORCONN $DD~d CONNECTED ID=5
		08:00:04 ORCONN $AA~a CLOSED REASON=DONE NCIRCS=1 ID=2
		08:00:05 ORCONN $EE~e LAUNCHED ID=8
		08:00:06 ORCONN $EE CONNECTED ID=8
		08:00:07 ORCONN $EE FAILED REASON=TIMEOUT ID=9
		08:00:08 ORCONN $EE~e CLOSED REASON=DONE ID=8
		08:00:09 ORCONN $AA~a CLOSED REASON=DONE ID=3
		08:00:10 ORCONN $CC~c LAUNCHED ID=10
	`)
	f := func(when string, want ...string) {
		t.Helper()
		wantState(t, "connections", src, when, ORConnStatus, want...)
	}
	const first, cc = "$AA~a CONNECTED", "$CC~c CONNECTED"
	f("08:00:00", first, "$AA~a LAUNCHED", "$BB LAUNCHED", "192.0.2.1:9001 NEW", cc)
	f("08:00:01", first, "$AA~a LAUNCHED", "$BB LAUNCHED", "192.0.2.1:9001 NEW", cc) // the snapshot may know it already
	f("08:00:02", first, "$AA~a LAUNCHED", "$BB~b CONNECTED", "192.0.2.1:9001 NEW", cc)
	f("08:00:03", first, "$AA~a LAUNCHED", "$BB~b CONNECTED", "$DD~d CONNECTED", cc)
	f("08:00:04", first, "$BB~b CONNECTED", "$DD~d CONNECTED", cc)
	f("08:00:06", first, "$BB~b CONNECTED", "$DD~d CONNECTED", cc, "$EE~e CONNECTED")
	f("08:00:07", first, "$BB~b CONNECTED", "$DD~d CONNECTED", cc, "$EE~e CONNECTED")
	f("08:00:08", first, "$BB~b CONNECTED", "$DD~d CONNECTED", cc)
	f("08:00:09", "$BB~b CONNECTED", "$DD~d CONNECTED", cc)
	f("08:00:10", "$BB~b CONNECTED", "$DD~d CONNECTED", cc, "$CC~c LAUNCHED")

	wantState(t, "of a tor that tells no IDs", states(t, `
		08:00:00 STATE orconn-status=$AA~a CONNECTED
		08:00:01 ORCONN $BB~b LAUNCHED
		08:00:02 ORCONN $AA~a CLOSED REASON=DONE
	`), "08:00:02", ORConnStatus, "$BB~b LAUNCHED")
}

func TestGuardsThatStood(t *testing.T) {
	src := states(t, `
		08:00:00 STATE entry-guards=$AA~a up|$BB~b never-connected|$CC~c down 2026-11-22 10:00:00|$DD~d unusable 2026-11-20 10:00:00
		08:00:01 GUARD ENTRY $EE~e NEW
		08:00:01 GUARD ENTRY $AA~a NEW
		08:00:02.5 GUARD ENTRY $AA~a DOWN
		08:00:03 GUARD ENTRY $AA DOWN
		08:00:04 GUARD ENTRY $EE~e DOWN
		08:00:05 GUARD ENTRY $EE~e UP
		08:00:06 GUARD ENTRY $CC~c UP
		08:00:07 GUARD ENTRY $CC~c BAD
		08:00:08 GUARD ENTRY $CC~c GOOD
		08:00:09 GUARD ENTRY $BB~b GOOD_L2
		08:00:10 GUARD ENTRY $BB~b DROPPED
		08:00:11 GUARD ENTRY $AA~a UP
		08:00:12 GUARD ENTRY
	`)
	f := func(when string, want ...string) {
		t.Helper()
		wantState(t, "guards", src, when, EntryGuards, want...)
	}
	const aDown, b, c, d = "$AA~a down 2026-11-23 08:00:02", "$BB~b never-connected", "$CC~c down 2026-11-22 10:00:00", "$DD~d unusable 2026-11-20 10:00:00"
	f("08:00:00", "$AA~a up", b, c, d)
	f("08:00:01", "$AA~a up", b, c, d, "$EE~e never-connected")
	f("08:00:02.5", aDown, b, c, d, "$EE~e never-connected")
	f("08:00:04", aDown, b, c, d, "$EE~e never-connected")
	f("08:00:05", aDown, b, c, d, "$EE~e up")
	f("08:00:06", aDown, b, "$CC~c up", d, "$EE~e up")
	f("08:00:07", aDown, b, "$CC~c unusable 2026-11-23 08:00:07", d, "$EE~e up")
	f("08:00:09", aDown, b, "$CC~c up", d, "$EE~e up")
	f("08:00:12", "$AA~a up", "$CC~c up", d, "$EE~e up")
}

// Where the journal does not tell, the reason does.
func TestMomentsThatAreNotKnown(t *testing.T) {
	f := func(name string, src source, when, reason string) {
		t.Helper()
		_, err := at(t.Context(), src, clock(t, when), evening, nil)
		var unknown *UnknownState
		if !errors.As(err, &unknown) || !strings.Contains(unknown.Reason, reason) {
			t.Errorf("%s: at %s: %v, want …%s…", name, when, err, reason)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("%s: %q is not one line", name, err)
		}
	}
	f("empty", &memory{}, "08:00:00", "the journal is empty")
	life := states(t, `
		08:00:00 JOURNAL START SESSION=1
		08:00:01 STATE circuit-status=1 BUILT $A
		08:00:02 BW 1 2
		08:01:00 JOURNAL SOURCE_LOST REASON=RESET
		08:02:00 JOURNAL SOURCE_RESTORED SESSION=1 CONTINUED=1
		08:02:01 STATE circuit-status=1 BUILT $B
		08:03:00 JOURNAL STOP
		08:04:00 JOURNAL START SESSION=1 CONTINUED=1
		08:04:01 STATE circuit-status=1 BUILT $C
		08:05:00 BW 1 2
		08:06:00 JOURNAL START SESSION=1 CONTINUED=1
		08:06:01 STATE circuit-status=1 BUILT $D
		08:07:00 BW 1 2
		session 2
		08:08:00 JOURNAL SOURCE_RESTORED SESSION=2
		08:08:01 STATE circuit-status=1 LAUNCHED
		08:09:00 CIRC 1 BUILT $E
	`)
	f("before", life, "07:59:59", "the journal begins at 2026-11-23T08:00:00.000000Z")
	f("attached, nothing told yet", life, "08:00:00.5", "the recorder had just attached")
	f("lost", life, "08:01:30", "tor was lost at 2026-11-23T08:01:00.000000Z (record 4): RESET")
	f("restored", life, "08:02:00.5", "the recorder had just attached")
	f("stopped", life, "08:03:30", "the recorder stopped at 2026-11-23T08:03:00.000000Z")
	f("stopped, just then", life, "08:03:00", "the recorder stopped at")
	f("killed", life, "08:05:30", "nothing was recorded from 2026-11-23T08:05:00.000000Z (record 10) to 2026-11-23T08:06:00.000000Z (record 11)")
	f("another session", life, "08:07:30", "where another session begins")
	f("to come", life, "20:00:01", "still to come")
	// but between those
	wantState(t, "before the loss", life, "08:00:59", CircuitStatus, "1 BUILT $A")
	wantState(t, "after it", life, "08:02:01", CircuitStatus, "1 BUILT $B")
	wantState(t, "after the stop", life, "08:04:30", CircuitStatus, "1 BUILT $C")
	wantState(t, "before the kill", life, "08:05:00", CircuitStatus, "1 BUILT $C")
	wantState(t, "the ID begins again", life, "08:08:02", CircuitStatus, "1 LAUNCHED")
	wantState(t, "the new session", life, "08:09:00", CircuitStatus, "1 BUILT $E")

	f("no snapshot", states(t, `
		08:00:00 CIRC 1 BUILT $A
		session 2
		08:01:00 STATE
	`), "08:00:00", "session 1 has no snapshot")
	f("not recorded", states(t, `08:00:00 STATE only circuit-status=`), "08:00:00", "is recorded")
	gone := states(t, `
		08:00:00 STATE
		08:00:01 BW 1 2
		08:00:02 BW 1 2
		08:00:03 CIRC 1 BUILT $A
		08:00:04 STATE
	`)
	gone.gaps = map[uint64]bool{4: true}
	f("lost to damage", gone, "08:00:03.5", "record 4 of then is gone")
	wantState(t, "before the damage", gone, "08:00:01", CircuitStatus)
	wantState(t, "after the damage", gone, "08:00:05", CircuitStatus)
	gone.gaps = map[uint64]bool{2: true}
	f("lost to damage on the way", gone, "08:00:02", "records 2 to 2 of before are gone")
	evicted := &memory{recs: gone.recs[1:], sessions: gone.sessions}
	f("evicted", evicted, "08:00:02", "the snapshot that it is computed from is gone")
	f("evicted", evicted, "08:00:00", "what was recorded before is gone")
}

// Dropped and unwritten events make unknown what they tell of, until the next
// snapshot.
func TestMomentsAfterDroppedEvents(t *testing.T) {
	src := states(t, `
		08:00:00 STATE circuit-status=1 BUILT $A;entry-guards=$A up
		08:01:00 BW 1 2
		08:02:00 JOURNAL DROPPED TYPES=CIRC,INFO COUNT=7
		08:03:00 BW 1 2
		08:04:00 STATE circuit-status=2 BUILT $A;entry-guards=$A up
		08:05:00 BW 1 2
		08:06:00 JOURNAL JOURNALED COUNT=3 TYPES=BW,GUARD SINCE=2026-11-23T08:05:30.000000Z ERROR="no space left on device"
		08:07:00 BW 1 2
	`)
	unknown := func(when string, k Kind, reason string) {
		t.Helper()
		_, err := at(t.Context(), src, clock(t, when), evening, []Kind{k})
		var u *UnknownState
		if !errors.As(err, &u) || !strings.Contains(u.Reason, reason) {
			t.Errorf("%s at %s: %v, want …%s…", k, when, err, reason)
		}
	}
	wantState(t, "before the drop", src, "08:01:00", CircuitStatus, "1 BUILT $A")
	unknown("08:01:30", CircuitStatus, "events were dropped under overload from 2026-11-23T08:01:00.000000Z (record 2) to 2026-11-23T08:02:00.000000Z (record 3): CIRC,INFO")
	unknown("08:03:00", CircuitStatus, "events were dropped under overload before 2026-11-23T08:02:00.000000Z (record 3)")
	wantState(t, "of other types", src, "08:03:00", EntryGuards, "$A up")
	wantState(t, "told anew", src, "08:04:00", CircuitStatus, "2 BUILT $A")
	unknown("08:05:59", EntryGuards, "no space left on device")
	unknown("08:07:00", EntryGuards, "could not be written")
	wantState(t, "of other types", src, "08:05:59", CircuitStatus, "2 BUILT $A")
}

// Where the clock was put back, a time that came twice is the later one.
func TestMomentsThatCameTwice(t *testing.T) {
	src := states(t, `
		08:00:00 STATE circuit-status=1 BUILT $A
		08:10:00 CIRC 2 BUILT $A
		08:30:00 CIRC 1 CLOSED $A
		08:05:00 CIRC 3 BUILT $A
		08:20:00 CIRC 2 CLOSED $A
		08:40:00 CIRC 4 BUILT $A
		08:35:00 CIRC 5 BUILT $A
	`)
	wantState(t, "once", src, "08:01:00", CircuitStatus, "1 BUILT $A")
	wantState(t, "twice", src, "08:15:00", CircuitStatus, "2 BUILT $A", "3 BUILT $A")
	wantState(t, "twice", src, "08:29:00", CircuitStatus, "3 BUILT $A")
	wantState(t, "only the second time is over", src, "08:39:00", CircuitStatus, "3 BUILT $A", "4 BUILT $A", "5 BUILT $A")
}

// A long session is not read as a whole: the newest snapshot is near.
func TestMomentReadsFromTheNewestSnapshot(t *testing.T) {
	m := &memory{}
	begin := clock(t, "00:00:00")
	for i := range 60000 {
		when := begin.Add(time.Duration(i) * time.Second)
		switch {
		case i%20000 == 0:
			m.add(1, when, stateWire(fmt.Sprintf("circuit-status=%d BUILT $A", i)))
		case i%3 == 0:
			m.add(1, when, "650 JOURNAL MARK\r\n")
		default:
			m.add(1, when, fmt.Sprintf("650 CIRC %d CLOSED $A\r\n", i))
		}
	}
	got, err := at(t.Context(), m, begin.Add(40100*time.Second), evening.Add(time.Hour), []Kind{CircuitStatus})
	if err != nil {
		t.Fatal(err)
	}
	if lines := slices.Collect(got.Lines(CircuitStatus)); !slices.Equal(lines, []string{"40000 BUILT $A"}) || got.Seq != 40101 || got.Snapshot != 40001 {
		t.Errorf("%q, record %d from %d", lines, got.Seq, got.Snapshot)
	}
	if m.read > firstWindow/3+200 {
		t.Errorf("%d records were read, of which 100 can change the answer", m.read)
	}
}

func TestAnswerIsWrittenAsTorDoes(t *testing.T) {
	src := states(t, `
		08:00:00 STATE entry-guards=$A~a up;orconn-status=$A~a CONNECTED
		08:00:01 CIRC 1 LAUNCHED
		08:00:01 CIRC 2 LAUNCHED
	`)
	m, err := at(t.Context(), src, clock(t, "08:00:01"), evening, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, k := range Kinds() {
		got.Write(m.Answer(k, "history/"+string(k)+"@8"))
	}
	const want = "250+history/circuit-status@8=\r\n1 EXTENDED\r\n2 EXTENDED\r\n.\r\n" +
		"250-history/stream-status@8=\r\n250-history/orconn-status@8=$A~a CONNECTED\r\n250+history/entry-guards@8=\r\n$A~a up\r\n.\r\n"
	if got.String() != want {
		t.Errorf("got\n%q\nwant\n%q", got.String(), want)
	}
	if _, err := at(t.Context(), src, clock(t, "08:00:01"), evening, []Kind{"version"}); err == nil {
		t.Error("a kind that does not exist is taken")
	}
}

// On the records of real tors, however they lie in the file, what stood is at
// every moment what a plain reading of the events says.
func TestMomentsOfRealTors(t *testing.T) {
	for _, file := range corpora(t) {
		m := corpus(t, file)
		m.recs = slices.Insert(m.recs, 0, journal.Record{Session: 1, Time: m.recs[0].Time, Type: event.JOURNAL, Wire: []byte(stateWire(""))})
		for i := range m.recs {
			m.recs[i].Seq = uint64(i + 1)
		}
		end := m.recs[len(m.recs)-1].Time.Add(time.Hour)
		for _, part := range []int{1, 2, 3, 5, 8, 10} {
			rec := &m.recs[(len(m.recs)-1)*part/10]
			got, err := at(t.Context(), m, rec.Time, end, []Kind{CircuitStatus, StreamStatus})
			if err != nil {
				t.Fatal(err)
			}
			circuits, streams := plainly(m, got.Seq)
			for k, want := range map[Kind]map[string]bool{CircuitStatus: circuits, StreamStatus: streams} {
				ids := map[string]bool{}
				for row := range got.Rows(k) {
					ids[row.ID] = true
					if row.Status == "" || row.Kind == "" {
						t.Errorf("%s: %s: %+v", file, k, row)
					}
				}
				if fmt.Sprint(ids) != fmt.Sprint(want) {
					t.Errorf("%s: %s at record %d: %v, want %v", file, k, got.Seq, ids, want)
				}
			}
		}
	}
}

// plainly returns the IDs of the circuits and streams of which up to a record
// something was told, and no end last.
func plainly(m *memory, seq uint64) (circuits, streams map[string]bool) {
	circuits, streams = map[string]bool{}, map[string]bool{}
	for _, rec := range m.recs[:seq] {
		word := strings.Fields(string(rec.Wire))
		switch rec.Type {
		case event.CIRC, event.CIRC_MINOR:
			circuits[word[2]] = true
			if word[3] == "CLOSED" || word[3] == "FAILED" {
				delete(circuits, word[2])
			}
		case event.STREAM:
			streams[word[2]] = true
			if word[3] == "CLOSED" || word[3] == "FAILED" || word[3] == "SUCCEEDED" && strings.HasSuffix(word[5], ":0") {
				delete(streams, word[2])
			}
		}
	}
	return circuits, streams
}
