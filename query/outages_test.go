package query

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"torjournal/journal"
)

func outageRows(t testing.TB, src source, r journal.Range) string {
	t.Helper()
	return rows(t, func(emit func(*Outage) error) ([]journal.Gap, error) {
		return outages(t.Context(), src, r, Part{}, emit)
	})
}

// attempts are circuits that are launched one a second from a time on, and end a
// tenth of a second later.
func attempts(from string, first, n int, end string) string {
	at, err := time.Parse("15:04:05", from)
	if err != nil {
		panic(err)
	}
	var b strings.Builder
	for i := range n {
		t := at.Add(time.Duration(i) * time.Second)
		fmt.Fprintf(&b, "%s CIRC %d LAUNCHED BUILD_FLAGS=NEED_CAPACITY PURPOSE=GENERAL\n", t.Format("15:04:05.000"), first+i)
		fmt.Fprintf(&b, "%s CIRC %d %s\n", t.Add(100*time.Millisecond).Format("15:04:05.000"), first+i, end)
	}
	return b.String()
}

const (
	goodCircuit   = "BUILT $A~a,$B~b,$C~c PURPOSE=GENERAL"
	refused       = "FAILED BUILD_FLAGS=NEED_CAPACITY PURPOSE=GENERAL REASON=CHANNEL_CLOSED"
	brokenFurther = "FAILED $A~a,$B~b BUILD_FLAGS=NEED_CAPACITY PURPOSE=GENERAL REASON=DESTROYED REMOTE_REASON=CONNECTFAILED"
)

func TestOutagesOfTheClient(t *testing.T) {
	f := func(name, lines string, want ...string) {
		t.Helper()
		wantRows(t, name, outageRows(t, story(t, lines), journal.Range{}), want...)
	}
	f("nothing", "")
	f("all is well", attempts("08:00:00", 1, 20, goodCircuit))
	f("an idle tor", attempts("08:00:00", 1, 3, goodCircuit)+attempts("09:00:00", 4, 1, refused)+attempts("11:00:00", 5, 3, goodCircuit))
	f("failures among successes", attempts("08:00:00", 1, 3, refused)+attempts("08:00:03", 4, 1, goodCircuit)+
		attempts("08:00:04", 5, 3, refused)+attempts("08:00:07", 8, 1, goodCircuit))
	f("a guard that is lost", attempts("08:00:00", 1, 20, goodCircuit)+`
		08:00:30 ORCONN $A~a CLOSED REASON=CONNECTRESET ID=9
		08:00:30 GUARD ENTRY $A~a DOWN
	`+attempts("08:00:31", 21, 8, refused)+attempts("08:00:40", 40, 1, goodCircuit),
		`{"session":1,"what":"client","begin":"08:00:31.000000Z","end":"08:00:40.100000Z","length_ms":9100,"cause":"guard lost","detail":"ORCONN CLOSED REASON=CONNECTRESET","failed":8,"purposes":["GENERAL"],"relays":["$A~a"],"evidence":[41,43,58,60]}`)
	f("one that does not end", attempts("08:00:00", 1, 20, goodCircuit)+attempts("08:00:31", 21, 8, refused),
		`{"session":1,"what":"client","begin":"08:00:31.000000Z","cause":"guard lost","detail":"no first hop answered: REASON=CHANNEL_CLOSED","failed":8,"purposes":["GENERAL"],"evidence":[41,56]}`)
	f("behind the guard", attempts("08:00:00", 1, 20, goodCircuit)+attempts("08:00:31", 21, 8, brokenFurther)+attempts("08:00:40", 40, 1, goodCircuit),
		`{"session":1,"what":"client","begin":"08:00:31.000000Z","end":"08:00:40.100000Z","length_ms":9100,"cause":"behind the guard","detail":"REASON=DESTROYED REMOTE_REASON=CONNECTFAILED","failed":8,"purposes":["GENERAL"],"evidence":[41,56,58]}`)
	f("behind the guard, as chance may have it", attempts("08:00:00", 1, 20, goodCircuit)+attempts("08:00:31", 21, 5, brokenFurther)+attempts("08:00:40", 40, 1, goodCircuit))
	f("a tor half of whose circuits fail", strings.Repeat(attempts("08:00:00", 1, 1, goodCircuit)+attempts("08:00:01", 2, 1, refused), 30)+
		attempts("08:00:31", 21, 8, refused)+attempts("08:00:40", 40, 1, goodCircuit))
	f("no way to any relay", attempts("08:00:00", 1, 20, goodCircuit)+`
		08:00:30 ORCONN $A~a FAILED REASON=NOROUTE ID=9
		08:00:30 ORCONN $B~b FAILED REASON=NOROUTE ID=9
	`+attempts("08:00:31", 21, 5, refused),
		`{"session":1,"what":"client","begin":"08:00:31.000000Z","cause":"network down","detail":"no way to 2 relays: ORCONN FAILED REASON=NOROUTE","failed":5,"purposes":["GENERAL"],"evidence":[41,43,52]}`)
	f("a network that is silent", attempts("08:00:00", 1, 20, goodCircuit)+attempts("08:00:31", 21, 3, refused)+`
		08:00:33.5 NETWORK_LIVENESS DOWN
	`+attempts("08:00:34", 24, 2, refused)+`
		08:00:39 NETWORK_LIVENESS UP
		08:00:39 STATUS_CLIENT NOTICE CIRCUIT_ESTABLISHED
	`+attempts("08:00:40", 40, 1, goodCircuit),
		`{"session":1,"what":"client","begin":"08:00:31.000000Z","end":"08:00:40.100000Z","length_ms":9100,"cause":"network down","detail":"NETWORK_LIVENESS DOWN","failed":5,"purposes":["GENERAL"],"evidence":[41,47,51,55]}`)
	f("a clock that differs", attempts("08:00:00", 1, 20, goodCircuit)+`
		08:00:30 STATUS_GENERAL WARN CLOCK_SKEW SKEW=-3600 MIN_SKEW=-300 SOURCE=CONSENSUS
		08:00:31 STATUS_CLIENT NOTICE NOT_ENOUGH_DIR_INFO
		08:10:31 STATUS_CLIENT NOTICE ENOUGH_DIR_INFO
	`+attempts("08:10:32", 40, 1, goodCircuit),
		`{"session":1,"what":"client","begin":"08:00:31.000000Z","end":"08:10:31.000000Z","length_ms":600000,"cause":"clock skew","detail":"CLOCK_SKEW SKEW=-3600","evidence":[41,42,43]}`)
	f("too few relays are known", attempts("08:00:00", 1, 20, goodCircuit)+`
		08:00:31 CIRC 21 LAUNCHED PURPOSE=GENERAL
		08:00:31 STATUS_CLIENT NOTICE NOT_ENOUGH_DIR_INFO
		08:00:31.5 CIRC 21 BUILT $A~a,$B~b,$C~c PURPOSE=GENERAL
		08:00:33 STATUS_CLIENT NOTICE ENOUGH_DIR_INFO
		08:00:34 STATUS_CLIENT NOTICE NOT_ENOUGH_DIR_INFO
		08:00:34.043 STATUS_CLIENT NOTICE ENOUGH_DIR_INFO
	`,
		`{"session":1,"what":"client","begin":"08:00:31.000000Z","end":"08:00:33.000000Z","length_ms":2000,"cause":"no directory information","detail":"NOT_ENOUGH_DIR_INFO","evidence":[42,44]}`)
	disabled := func(at, value string) string { return at + ` CONF_CHANGED_DisableNetwork` + value + "\n" }
	f("no network, and none for a while", attempts("08:00:00", 1, 20, goodCircuit)+disabled("08:00:31", "=1")+disabled("08:00:40", "=0")+
		attempts("08:00:41", 21, 8, refused)+attempts("08:00:50", 40, 1, goodCircuit),
		`{"session":1,"what":"client","begin":"08:00:31.000000Z","end":"08:00:50.100000Z","length_ms":19100,"cause":"network down","detail":"DisableNetwork=1","failed":8,"purposes":["GENERAL"],"evidence":[41,42,58,60]}`)
	f("no network, and then all is well", disabled("08:00:31", "=1")+disabled("08:00:40", "")+attempts("09:00:41", 21, 2, refused)+attempts("09:00:50", 40, 1, goodCircuit),
		`{"session":1,"what":"client","begin":"08:00:31.000000Z","end":"08:00:40.000000Z","length_ms":9000,"cause":"network down","detail":"DisableNetwork=1","evidence":[1,2]}`)
	f("what proves nothing", attempts("08:00:00", 1, 20, goodCircuit)+attempts("08:00:31", 21, 5, refused)+`
		08:00:36 CIRC 30 LAUNCHED BUILD_FLAGS=ONEHOP_TUNNEL,IS_INTERNAL PURPOSE=GENERAL
		08:00:36.1 CIRC 30 BUILT $A~a BUILD_FLAGS=ONEHOP_TUNNEL,IS_INTERNAL PURPOSE=GENERAL
		08:00:37 CIRC_MINOR 20 CANNIBALIZED $A~a,$B~b,$C~c PURPOSE=HS_CLIENT_REND OLD_PURPOSE=GENERAL
		08:00:37.1 CIRC 20 BUILT $A~a,$B~b,$C~c PURPOSE=HS_CLIENT_REND
		08:00:38 CIRC 21 FAILED BUILD_FLAGS=NEED_CAPACITY PURPOSE=GENERAL REASON=REQUESTED
	`+attempts("08:00:40", 40, 1, goodCircuit),
		`{"session":1,"what":"client","begin":"08:00:31.000000Z","end":"08:00:40.100000Z","length_ms":9100,"cause":"guard lost","detail":"no first hop answered: REASON=CHANNEL_CLOSED","failed":5,"purposes":["GENERAL"],"evidence":[41,50,57]}`)
	f("a circuit that is measured on proves that they can be built", attempts("08:00:00", 1, 20, goodCircuit)+`
		08:00:31 CIRC 30 LAUNCHED PURPOSE=GENERAL
		08:00:31 CIRC 31 LAUNCHED PURPOSE=GENERAL
		08:00:31 CIRC 32 LAUNCHED PURPOSE=GENERAL
		08:00:31 CIRC 33 LAUNCHED PURPOSE=GENERAL
		08:00:33 CIRC 30 FAILED BUILD_FLAGS=NEED_CAPACITY PURPOSE=GENERAL REASON=TIMEOUT
		08:00:33 CIRC 31 FAILED BUILD_FLAGS=NEED_CAPACITY PURPOSE=GENERAL REASON=TIMEOUT
		08:00:33 CIRC 32 FAILED BUILD_FLAGS=NEED_CAPACITY PURPOSE=GENERAL REASON=TIMEOUT
		08:00:33 CIRC 33 FAILED BUILD_FLAGS=NEED_CAPACITY PURPOSE=GENERAL REASON=TIMEOUT
		08:00:35 CIRC 33 BUILT $A~a,$B~b,$C~c PURPOSE=MEASURE_TIMEOUT
	`,
		`{"session":1,"what":"client","begin":"08:00:31.000000Z","end":"08:00:35.000000Z","length_ms":4000,"cause":"guard lost","detail":"no first hop answered: REASON=TIMEOUT","failed":4,"purposes":["GENERAL"],"evidence":[41,48,49]}`)
	f("vanguards may all lead to one relay that is gone", attempts("08:00:00", 1, 20, goodCircuit)+
		strings.ReplaceAll(attempts("08:00:31", 21, 30, brokenFurther), "GENERAL", "HS_VANGUARDS"))
	f("a controller asks for one path again and again", attempts("08:00:00", 1, 20, goodCircuit)+
		strings.ReplaceAll(attempts("08:00:31", 21, 30, refused), "BUILD_FLAGS=NEED_CAPACITY ", ""))
	f("events that are missing", attempts("08:00:00", 1, 20, goodCircuit)+attempts("08:00:31", 21, 2, refused)+`
		08:00:34 JOURNAL DROPPED COUNT=12 TYPES=CIRC
	`+attempts("08:00:35", 23, 2, refused)+attempts("08:00:40", 40, 1, goodCircuit))
}

func TestOutagesOfTheRecord(t *testing.T) {
	f := func(name, lines string, want ...string) {
		t.Helper()
		wantRows(t, name, outageRows(t, story(t, lines), journal.Range{}), want...)
	}
	start := "08:00:00 JOURNAL START SESSION=1 CONTINUED=0\n" + attempts("08:00:01", 1, 3, goodCircuit)
	f("tor is killed", start+`
		08:10:00 JOURNAL SOURCE_LOST REASON=CLOSED
		session 2
		08:12:00 JOURNAL SOURCE_RESTORED SESSION=2 CONTINUED=0 DOWN_MS=120000
	`, `{"session":1,"what":"client","begin":"08:10:00.000000Z","end":"08:12:00.000000Z","length_ms":120000,"cause":"tor down","detail":"SOURCE_LOST REASON=CLOSED","evidence":[8,9]}`)
	f("the connection to it ends", start+`
		08:10:00 JOURNAL SOURCE_LOST REASON=RESET
		08:12:00 JOURNAL SOURCE_RESTORED SESSION=1 CONTINUED=1 DOWN_MS=120000
	`, `{"session":1,"what":"client","begin":"08:10:00.000000Z","end":"08:12:00.000000Z","length_ms":120000,"cause":"not recorded","detail":"SOURCE_LOST REASON=RESET","evidence":[8,9]}`)
	f("tor is down", start+"08:10:00 JOURNAL SOURCE_LOST REASON=CLOSED\n",
		`{"session":1,"what":"client","begin":"08:10:00.000000Z","cause":"tor down","detail":"SOURCE_LOST REASON=CLOSED","evidence":[8]}`)
	f("the recorder ends and begins", start+`
		08:10:00 JOURNAL STOP PID=1
		08:12:00 JOURNAL START SESSION=1 CONTINUED=1
	`, `{"session":1,"what":"client","begin":"08:10:00.000000Z","end":"08:12:00.000000Z","length_ms":120000,"cause":"daemon down","detail":"STOP","evidence":[8,9]}`)
	f("the recorder is killed", start+`
		08:09:59 BW 1 2
		session 2
		08:12:00 JOURNAL START SESSION=2 CONTINUED=0
	`, `{"session":1,"what":"client","begin":"08:09:59.000000Z","end":"08:12:00.000000Z","length_ms":121000,"cause":"daemon down","detail":"no STOP","evidence":[8,9]}`)
	f("tor is lost, and the recorder ends too", start+`
		08:10:00 JOURNAL SOURCE_LOST REASON=CLOSED
		08:11:00 JOURNAL STOP PID=1
		session 2
		08:12:00 JOURNAL START SESSION=2 CONTINUED=0
	`, `{"session":1,"what":"client","begin":"08:10:00.000000Z","end":"08:12:00.000000Z","length_ms":120000,"cause":"tor down","detail":"SOURCE_LOST REASON=CLOSED, then START: the recorder ended too","evidence":[8,10]}`)
	f("an outage that lasts when tor is killed", start+attempts("08:09:50", 10, 9, refused)+`
		08:10:00 JOURNAL SOURCE_LOST REASON=CLOSED
	`, `{"session":1,"what":"client","begin":"08:09:50.000000Z","end":"08:10:00.000000Z","length_ms":10000,"cause":"guard lost","detail":"no first hop answered: REASON=CHANNEL_CLOSED","failed":9,"purposes":["GENERAL"],"evidence":[8,25,26]}`,
		`{"session":1,"what":"client","begin":"08:10:00.000000Z","cause":"tor down","detail":"SOURCE_LOST REASON=CLOSED","evidence":[26]}`)
	f("files have no recorder", attempts("08:00:01", 1, 3, goodCircuit)+"session 2\n"+attempts("09:00:01", 1, 3, goodCircuit))
	f("a file between two recorders", start+"session 2\n"+attempts("07:00:01", 1, 3, goodCircuit)+"session 3\n08:12:00 JOURNAL START SESSION=3 CONTINUED=0\n")
}

// introduction is an event of an introduction circuit.
func introduction(at, id, what, point, state string) string {
	return at + " CIRC " + id + " " + what + " $A~a,$B~b,$" + point + " PURPOSE=HS_SERVICE_INTRO HS_STATE=" + state + " REND_QUERY=abc" + "\n"
}

func TestOutagesOfOnionServices(t *testing.T) {
	f := func(name, lines string, want ...string) {
		t.Helper()
		wantRows(t, name, outageRows(t, story(t, lines), journal.Range{}), want...)
	}
	established := func(at, id, point string) string {
		return strings.Replace(introduction(at, id, "PURPOSE_CHANGED", point, "HSSI_ESTABLISHED"), " CIRC ", " CIRC_MINOR ", 1)
	}
	ended := func(at, id, why string) string {
		return strings.TrimSuffix(introduction(at, id, "CLOSED", "X~x", "HSSI_ESTABLISHED"), "\n") + " REASON=" + why + "\n"
	}
	upload := func(at, action string) string {
		var b strings.Builder
		for _, dir := range []string{"$1~one", "$2~two"} {
			fmt.Fprintf(&b, "%s HS_DESC %s abc UNKNOWN %s\n", at, action, dir)
		}
		return b.String()
	}
	up := established("08:00:01", "1", "X~x") + established("08:00:01", "2", "Y~y") + upload("08:00:02", "UPLOAD") + upload("08:00:03", "UPLOADED")
	f("all is well", up)
	f("one of two dies", up+ended("08:10:00", "1", "DESTROYED"))
	row := `{"session":1,"what":"onion","onion":"abc","without":"introduction","begin":"08:10:01.000000Z",`
	dead := up + ended("08:10:00", "1", "DESTROYED") + ended("08:10:01", "2", "DESTROYED REMOTE_REASON=CHANNEL_CLOSED")
	f("both die", dead, row+`"cause":"introduction points lost","detail":"REASON=DESTROYED REMOTE_REASON=CHANNEL_CLOSED","evidence":[8]}`)
	f("one is reached again", dead+established("08:10:09", "3", "X~x"),
		row+`"end":"08:10:09.000000Z","length_ms":8000,"cause":"introduction points lost","detail":"REASON=DESTROYED REMOTE_REASON=CHANNEL_CLOSED","evidence":[8,9]}`)
	f("visitors must be told of another", dead+established("08:10:09", "3", "Z~z")+upload("08:10:20", "UPLOAD")+upload("08:10:21", "UPLOADED"),
		row+`"end":"08:10:21.000000Z","length_ms":20000,"cause":"introduction points lost","detail":"REASON=DESTROYED REMOTE_REASON=CHANNEL_CLOSED","evidence":[8,12]}`)
	f("the service is taken away", up+ended("08:10:00", "1", "FINISHED")+ended("08:10:01", "2", "FINISHED"))
	f("tor ends them and begins others", up+ended("08:10:00", "1", "FINISHED")+ended("08:10:01", "2", "FINISHED")+introduction("08:10:02", "3", "EXTENDED", "X~x", "HSSI_CONNECTING"),
		row+`"evidence":[8]}`)
	f("tor may use no network", up+"08:10:01 CONF_CHANGED_DisableNetwork=1\n"+ended("08:10:01", "1", "DESTROYED")+ended("08:10:01", "2", "DESTROYED"),
		`{"session":1,"what":"client","begin":"08:10:01.000000Z","cause":"network down","detail":"DisableNetwork=1","evidence":[7]}`,
		row+`"cause":"network down","detail":"DisableNetwork=1","evidence":[9]}`)
	f("tor is killed", "08:00:00 JOURNAL START SESSION=1 CONTINUED=0\n"+up+"08:10:01 JOURNAL SOURCE_LOST REASON=CLOSED\n",
		`{"session":1,"what":"client","begin":"08:10:01.000000Z","cause":"tor down","detail":"SOURCE_LOST REASON=CLOSED","onions":["abc"],"evidence":[8]}`)
	f("no HSDir takes a descriptor", established("08:00:01", "1", "X~x")+upload("08:00:02", "UPLOAD")+
		strings.ReplaceAll(upload("08:00:03", "FAILED"), "\n", " REASON=UPLOAD_REJECTED\n")+upload("08:01:02", "UPLOAD")+upload("08:01:03", "UPLOADED"),
		`{"session":1,"what":"onion","onion":"abc","without":"descriptor","begin":"08:00:03.000000Z","end":"08:01:03.000000Z","length_ms":60000,"detail":"HS_DESC FAILED REASON=UPLOAD_REJECTED","failed":2,"evidence":[4,5,8]}`)
	f("the one that they have still serves", up+upload("08:30:02", "UPLOAD")+upload("08:30:03", "FAILED"))
	f("the one that they had has run out", up+upload("11:30:02", "UPLOAD")+upload("11:30:03", "FAILED"),
		`{"session":1,"what":"onion","onion":"abc","without":"descriptor","begin":"11:30:03.000000Z","detail":"HS_DESC FAILED REASON=","failed":2,"evidence":[10]}`)
	f("failed fetches are no uploads", up+upload("08:30:03", "FAILED"))
	rendezvous := func(from, n int, end string) string {
		var b strings.Builder
		for i := range n {
			at := clock(t, "08:20:00").Add(time.Duration(from+i) * 5 * time.Second)
			fmt.Fprintf(&b, "%s CIRC %d EXTENDED $A~a PURPOSE=HS_SERVICE_REND HS_STATE=HSSR_CONNECTING REND_QUERY=abc\n", at.Format("15:04:05"), 100+from+i)
			fmt.Fprintf(&b, "%s CIRC%s $A~a PURPOSE=HS_SERVICE_REND HS_STATE=%s REND_QUERY=abc REASON=TIMEOUT\n", at.Add(time.Second).Format("15:04:05"),
				strings.Replace(end, "ID", fmt.Sprint(100+from+i), 1), map[bool]string{true: "HSSR_JOINED", false: "HSSR_CONNECTING"}[strings.HasPrefix(end, "_MINOR")])
		}
		return b.String()
	}
	f("visitors do not come through", up+rendezvous(0, 1, "_MINOR ID PURPOSE_CHANGED")+rendezvous(1, 12, " ID FAILED")+rendezvous(13, 1, "_MINOR ID PURPOSE_CHANGED"),
		`{"session":1,"what":"onion","onion":"abc","without":"rendezvous","begin":"08:20:05.000000Z","end":"08:21:06.000000Z","length_ms":61000,"failed":12,"evidence":[9,28,30,32,34]}`)
	f("one visitor does not", up+rendezvous(1, 4, " ID FAILED"))
	var others strings.Builder // that end otherwise
	for i := range maxServices + 100 {
		fmt.Fprintf(&others, "08:10:00 CIRC %d EXTENDED $A~a PURPOSE=HS_SERVICE_REND HS_STATE=HSSR_CONNECTING REND_QUERY=abc\n", 5000+i)
		fmt.Fprintf(&others, "08:10:01 CIRC %d FAILED $A~a PURPOSE=HS_SERVICE_REND HS_STATE=HSSR_CONNECTING REND_QUERY=abc REASON=FINISHED\n", 5000+i)
	}
	f("visitors do not come through after very many others", up+others.String()+rendezvous(1, 12, " ID FAILED")+rendezvous(13, 1, "_MINOR ID PURPOSE_CHANGED"),
		`{"session":1,"what":"onion","onion":"abc","without":"rendezvous","begin":"08:20:05.000000Z","end":"08:21:06.000000Z","length_ms":61000,"failed":12,"evidence":[2255,2274,2276,2278,2280]}`)
}

// What stood when the recorder attached is known from the snapshot.
func TestOutagesAfterASnapshot(t *testing.T) {
	m := story(t, `
		08:00:00 JOURNAL START SESSION=1 CONTINUED=0
		08:00:01 SNAPSHOT 1 BUILT $A~a,$B~b,$X~x PURPOSE=HS_SERVICE_INTRO HS_STATE=HSSI_ESTABLISHED REND_QUERY=abc | 2 EXTENDED $A~a PURPOSE=GENERAL
		08:00:02 CIRC 2 BUILT $A~a,$B~b,$C~c PURPOSE=GENERAL
		08:10:01 CIRC 1 CLOSED $A~a,$B~b,$X~x PURPOSE=HS_SERVICE_INTRO HS_STATE=HSSI_ESTABLISHED REND_QUERY=abc REASON=DESTROYED
	`)
	wantRows(t, "a service that stood", outageRows(t, m, journal.Range{}),
		`{"session":1,"what":"onion","onion":"abc","without":"introduction","begin":"08:10:01.000000Z","cause":"introduction points lost","detail":"REASON=DESTROYED","evidence":[4]}`)
}

// An outage belongs to a range if any of it lies inside, and is told whole.
func TestOutagesOfARange(t *testing.T) {
	m := story(t, "08:00:00 JOURNAL START SESSION=1 CONTINUED=0\n"+attempts("08:00:01", 1, 20, goodCircuit)+attempts("08:00:31", 21, 8, refused)+
		attempts("08:00:40", 40, 1, goodCircuit)+`
		09:00:00 JOURNAL SOURCE_LOST REASON=CLOSED
		session 2
		09:10:00 JOURNAL SOURCE_RESTORED SESSION=2 CONTINUED=0 DOWN_MS=600000
		`+attempts("09:10:01", 1, 20, goodCircuit)+`
		09:20:00 JOURNAL STOP PID=1
		session 3
		09:30:00 JOURNAL START SESSION=3 CONTINUED=0
	`)
	all := strings.SplitAfter(outageRows(t, m, journal.Range{}), "\n")
	if len(all) != 4 {
		t.Fatalf("%d outages: %v", len(all)-1, all)
	}
	for _, c := range []struct {
		name string
		r    journal.Range
		want string
	}{
		{"all", journal.Range{}, all[0] + all[1] + all[2]},
		{"since the middle of the first", journal.Range{Since: clock(t, "08:00:35")}, all[0] + all[1] + all[2]},
		{"up to its first failure", journal.Range{Until: clock(t, "08:00:31.05")}, all[0]},
		{"before it", journal.Range{Until: clock(t, "08:00:31")}, ""},
		{"within it", journal.Range{Since: clock(t, "08:00:32"), Until: clock(t, "08:00:33")}, all[0]},
		{"between two", journal.Range{Since: clock(t, "08:30:00"), Until: clock(t, "08:40:00")}, ""},
		{"while tor is down", journal.Range{Since: clock(t, "09:05:00"), Until: clock(t, "09:06:00")}, all[1]},
		{"since tor is back", journal.Range{Since: clock(t, "09:10:00")}, all[1] + all[2]},
		{"since a little later", journal.Range{Since: clock(t, "09:10:01")}, all[2]},
		{"since the third session", journal.Range{Since: clock(t, "09:30:00")}, all[2]},
		{"the first session", journal.Range{Session: 1}, all[0] + all[1]},
		{"the second session", journal.Range{Session: 2}, all[2]},
		{"the third session", journal.Range{Session: 3}, ""},
		{"before everything", journal.Range{Until: clock(t, "07:00:00")}, ""},
		{"after everything", journal.Range{Since: clock(t, "17:00:00")}, ""},
	} {
		if got := outageRows(t, m, c.r); got != c.want {
			t.Errorf("%s\n--- got\n%s--- want\n%s", c.name, got, c.want)
		}
	}
}

// Nothing is recorded while tor is down; that it is so is told all the same. What
// else lasted at the last record is unknown later.
func TestOutagesWithoutARecord(t *testing.T) {
	start := "08:00:00 JOURNAL START SESSION=1 CONTINUED=0\n" + attempts("08:00:01", 1, 20, goodCircuit)
	since := journal.Range{Since: clock(t, "12:00:00")}
	wantRows(t, "tor is down", outageRows(t, story(t, start+"08:10:00 JOURNAL SOURCE_LOST REASON=CLOSED\n"), since),
		`{"session":1,"what":"client","begin":"08:10:00.000000Z","cause":"tor down","detail":"SOURCE_LOST REASON=CLOSED","evidence":[42]}`)
	wantRows(t, "circuits failed", outageRows(t, story(t, start+attempts("08:10:00", 30, 8, refused)), since))
}

// However an answer is cut into parts, together they are the answer.
func TestPartsOfOutages(t *testing.T) {
	m := story(t, "08:00:00 JOURNAL START SESSION=1 CONTINUED=0\n"+attempts("08:00:01", 1, 20, goodCircuit)+
		introduction("08:00:22", "90", "EXTENDED", "X~x", "HSSI_ESTABLISHED")+attempts("08:00:31", 21, 8, refused)+
		introduction("08:00:39", "90", "CLOSED", "X~x", "HSSI_ESTABLISHED")+attempts("08:00:40", 40, 1, goodCircuit)+`
		09:00:00 JOURNAL SOURCE_LOST REASON=CLOSED
		session 2
		09:10:00 JOURNAL SOURCE_RESTORED SESSION=2 CONTINUED=0 DOWN_MS=600000
		09:20:00 JOURNAL STOP PID=1
		session 3
		09:30:00 JOURNAL START SESSION=3 CONTINUED=0
	`)
	for _, r := range []journal.Range{{}, {Since: clock(t, "08:00:39")}, {Session: 1}, {Until: clock(t, "09:05:00")}} {
		ask := func(part Part, emit func(Row) error) error {
			_, err := outages(t.Context(), m, r, part, asRows[*Outage](emit))
			return err
		}
		want, n := pages(t, 1<<30, ask)
		if got, _ := pages(t, 1, ask); got != want || n < 3 {
			t.Errorf("%d outages of %+v one by one:\n%s", n, r, firstDifference(got, want))
		}
	}
}

// What is known to have happened to the tors of the corpora: the network was
// disabled twice, for six seconds and for four; documents were exchanged for
// others, which took two times more than a second; relays stood still for
// forty seconds. The relays and the authority had no outage.
func TestOutagesOfTheCorpora(t *testing.T) {
	want := map[string][]string{
		"client.jsonl.zst": {
			"client 08:47:32 6s network down", "onion 08:47:32 7s network down", "client 08:47:43 2s no directory information", "client 08:47:46 2s guard lost",
			"client 08:48:08 1s no directory information", "client 08:50:32 40s guard lost", "client 08:51:53 4s network down",
		},
		"client2-hs.jsonl.zst": {"client 08:50:54 18s guard lost"},
		"client.jsonl":         {"client 08:47:43 2s no directory information", "client 08:48:08 0s no directory information"}, // a sample that ends then
	}
	for _, file := range corpora(t) {
		var got []string
		for line := range strings.Lines(outageRows(t, corpus(t, file), journal.Range{})) {
			var o Outage
			if err := json.Unmarshal([]byte(line), &o); err != nil {
				t.Fatal(err)
			}
			length := time.Duration(0)
			if o.LengthMS != nil {
				length = (time.Duration(*o.LengthMS) * time.Millisecond).Round(time.Second)
			}
			got = append(got, fmt.Sprintf("%s %s %v %s", o.What, o.Begin.Format("15:04:05"), length, o.Cause))
		}
		if g, w := strings.Join(got, "\n"), strings.Join(want[filepath.Base(file)], "\n"); g != w {
			t.Errorf("%s\n--- got\n%s\n--- want\n%s", file, g, w)
		}
	}
}

func BenchmarkOutages(b *testing.B) {
	m := benchCorpus(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := outages(b.Context(), m, journal.Range{}, Part{}, func(*Outage) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(m.recs))*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
