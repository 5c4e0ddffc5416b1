package query

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"torjournal/journal"
)

func onionRows(t *testing.T, src source, r journal.Range, pick OnionPick) string {
	t.Helper()
	return rows(t, func(emit func(*Onion) error) ([]journal.Gap, error) {
		return onions(t.Context(), src, r, pick, Part{}, emit)
	})
}

const serviceStory = `
	08:00:00 HS_DESC CREATED myonion UNKNOWN UNKNOWN blinded
	08:00:01 CIRC 1 LAUNCHED PURPOSE=HS_SERVICE_INTRO HS_STATE=HSSI_CONNECTING
	08:00:02 CIRC 1 BUILT $A,$B~b PURPOSE=HS_SERVICE_INTRO HS_STATE=HSSI_CONNECTING REND_QUERY=myonion
	08:00:04 CIRC_MINOR 1 PURPOSE_CHANGED $A,$B~b PURPOSE=HS_SERVICE_INTRO HS_STATE=HSSI_ESTABLISHED REND_QUERY=myonion OLD_PURPOSE=HS_SERVICE_INTRO OLD_HS_STATE=HSSI_CONNECTING
	08:00:05 CIRC 2 LAUNCHED PURPOSE=HS_SERVICE_INTRO HS_STATE=HSSI_CONNECTING
	08:00:06 CIRC 2 FAILED $A PURPOSE=HS_SERVICE_INTRO HS_STATE=HSSI_CONNECTING REND_QUERY=myonion REASON=TIMEOUT
	08:00:06 CIRC_MINOR 2 PURPOSE_CHANGED $A PURPOSE=MEASURE_TIMEOUT OLD_PURPOSE=HS_SERVICE_INTRO OLD_HS_STATE=HSSI_CONNECTING
	08:00:07 CIRC 2 CLOSED $A,$C PURPOSE=MEASURE_TIMEOUT REASON=FINISHED
	08:00:07 CIRC 3 LAUNCHED PURPOSE=HS_SERVICE_INTRO HS_STATE=HSSI_CONNECTING
	08:00:08 CIRC 3 BUILT $A,$C PURPOSE=HS_SERVICE_INTRO HS_STATE=HSSI_CONNECTING REND_QUERY=myonion
	08:00:08 CIRC_MINOR 3 PURPOSE_CHANGED $A,$C PURPOSE=HS_VANGUARDS OLD_PURPOSE=HS_SERVICE_INTRO OLD_HS_STATE=HSSI_CONNECTING
	08:00:09 HS_DESC UPLOAD myonion UNKNOWN $D blinded HSDIR_INDEX=00
	08:00:09 HS_DESC UPLOAD myonion UNKNOWN $E~e blinded HSDIR_INDEX=01
	08:00:09 HS_DESC UPLOAD myonion UNKNOWN $F~f blinded HSDIR_INDEX=02
	08:00:10 HS_DESC UPLOADED myonion UNKNOWN $D~d
	08:00:11 HS_DESC FAILED myonion NO_AUTH $E~e blinded REASON=UPLOAD_REJECTED
	08:00:12 CIRC 4 LAUNCHED PURPOSE=HS_SERVICE_REND HS_STATE=HSSR_CONNECTING
	08:00:13 CIRC 4 BUILT $A,$C PURPOSE=HS_SERVICE_REND HS_STATE=HSSR_CONNECTING REND_QUERY=myonion
	08:00:14 CIRC_MINOR 4 PURPOSE_CHANGED $A,$C PURPOSE=HS_SERVICE_REND HS_STATE=HSSR_JOINED REND_QUERY=myonion OLD_PURPOSE=HS_SERVICE_REND OLD_HS_STATE=HSSR_CONNECTING
	08:00:15 CIRC 5 LAUNCHED PURPOSE=HS_SERVICE_REND HS_STATE=HSSR_CONNECTING
	08:00:16 CIRC 5 FAILED $A PURPOSE=HS_SERVICE_REND HS_STATE=HSSR_CONNECTING REND_QUERY=myonion REASON=DESTROYED REMOTE_REASON=CONNECTFAILED
	08:00:17 CIRC 4 CLOSED $A,$C PURPOSE=HS_SERVICE_REND HS_STATE=HSSR_JOINED REND_QUERY=myonion REASON=DESTROYED REMOTE_REASON=DESTROYED
	08:00:30 CIRC 1 CLOSED $A,$B~b PURPOSE=HS_SERVICE_INTRO HS_STATE=HSSI_ESTABLISHED REND_QUERY=myonion REASON=DESTROYED REMOTE_REASON=CHANNEL_CLOSED
	08:00:35 CIRC 6 LAUNCHED PURPOSE=HS_SERVICE_INTRO HS_STATE=HSSI_CONNECTING
	08:00:40 CIRC_MINOR 6 PURPOSE_CHANGED $A,$C~c PURPOSE=HS_SERVICE_INTRO HS_STATE=HSSI_ESTABLISHED REND_QUERY=myonion OLD_PURPOSE=HS_SERVICE_INTRO OLD_HS_STATE=HSSI_CONNECTING
	08:00:50 HS_DESC UPLOAD myonion UNKNOWN $D~d blinded HSDIR_INDEX=00
	08:00:51 HS_DESC FAILED myonion NO_AUTH $D~d blinded REASON=UNEXPECTED
	08:01:40 CIRC 7 LAUNCHED PURPOSE=HS_SERVICE_INTRO HS_STATE=HSSI_CONNECTING
`

// A service: available from 08:00:10, when the descriptor was there, to the end
// of its introduction point at 08:00:30, and again from 08:00:40 on: 80 s of 100.
func TestOnionService(t *testing.T) {
	m := story(t, serviceStory)
	row := `{"role":"service","address":"myonion","first":"08:00:00.000000Z","last":"08:00:51.000000Z",` +
		`"uploads":{"asked":4,"ok":1,"failed":2,"unanswered":1,"reasons":{"UNEXPECTED":1,"UPLOAD_REJECTED":1}},` +
		`"hsdirs":[{"relay":"$D~d","asked":2,"ok":1,"failed":1,"unanswered":0,"last_reason":"UNEXPECTED","last":"08:00:51.000000Z"},` +
		`{"relay":"$E~e","asked":1,"ok":0,"failed":1,"unanswered":0,"last_reason":"UPLOAD_REJECTED","last":"08:00:11.000000Z"},` +
		`{"relay":"$F~f","asked":1,"ok":0,"failed":0,"unanswered":1,"last":"08:00:09.000000Z"}],` +
		`"introductions":{"attempted":4,"ok":2,"failed":1,"unused":1,"open":0,"failed_by":[{"state":"HSSI_CONNECTING","reason":"TIMEOUT","count":1}]},` +
		`"intro_points":[{"relay":"$B~b","session":1,"circuit":"1","established":"08:00:04.000000Z","ended":"08:00:30.000000Z","life_ms":26000,"outcome":"closed","reason":"DESTROYED","remote_reason":"CHANNEL_CLOSED"},` +
		`{"relay":"$C~c","session":1,"circuit":"6","established":"08:00:40.000000Z","outcome":"open"}],` +
		`"rendezvous":{"attempted":2,"ok":1,"failed":1,"unused":0,"open":0,"failed_by":[{"state":"HSSR_CONNECTING","reason":"DESTROYED","remote_reason":"CONNECTFAILED","count":1}]},` +
		`"known_ms":100000,"up_ms":80000,"availability":80}`
	wantRows(t, "all", onionRows(t, m, journal.Range{}, OnionPick{}), row)
	wantRows(t, "by address", onionRows(t, m, journal.Range{}, OnionPick{Role: "SERVICE", Address: "MYon"}), row)
	wantRows(t, "by whole address", onionRows(t, m, journal.Range{}, OnionPick{Address: "myonion.onion"}), row)
	wantRows(t, "another role", onionRows(t, m, journal.Range{}, OnionPick{Role: "client"}))
	wantRows(t, "another address", onionRows(t, m, journal.Range{}, OnionPick{Address: "my-onion"}))
	wantRows(t, "before the first event", onionRows(t, m, journal.Range{Until: clock(t, "07:00:00")}, OnionPick{}))
	wantRows(t, "twenty seconds", onionRows(t, m, journal.Range{Since: clock(t, "08:00:20"), Until: clock(t, "08:00:40")}, OnionPick{}),
		`{"role":"service","address":"myonion","first":"08:00:30.000000Z","last":"08:00:35.000000Z",`+
			`"introductions":{"attempted":2,"ok":2,"failed":0,"unused":0,"open":0},`+
			`"intro_points":[{"relay":"$B~b","session":1,"circuit":"1","established":"08:00:04.000000Z","ended":"08:00:30.000000Z","life_ms":26000,"outcome":"closed","reason":"DESTROYED","remote_reason":"CHANNEL_CLOSED"},`+
			`{"relay":"$C~c","session":1,"circuit":"6","established":"08:00:40.000000Z","outcome":"open"}],`+
			`"known_ms":20000,"up_ms":10000,"availability":50}`)
	wantRows(t, "while nothing happens", onionRows(t, m, journal.Range{Since: clock(t, "08:01:00"), Until: clock(t, "08:01:10")}, OnionPick{}),
		`{"role":"service","address":"myonion",`+
			`"introductions":{"attempted":1,"ok":1,"failed":0,"unused":0,"open":0},`+
			`"intro_points":[{"relay":"$C~c","session":1,"circuit":"6","established":"08:00:40.000000Z","outcome":"open"}],`+
			`"known_ms":10000,"up_ms":10000,"availability":100}`)
}

func TestOnionClient(t *testing.T) {
	m := story(t, `
		08:00:00 STREAM 1 NEW 0 www.theirs.onion:80 PURPOSE=USER
		08:00:00 HS_DESC REQUESTED theirs NO_AUTH $D~d blinded HSDIR_INDEX=00
		08:00:01 HS_DESC FAILED theirs NO_AUTH $D~d blinded REASON=NOT_FOUND
		08:00:01 HS_DESC REQUESTED theirs NO_AUTH $E~e blinded HSDIR_INDEX=01
		08:00:02 HS_DESC FAILED theirs NO_AUTH $E~e blinded REASON=UNEXPECTED
		08:00:02 HS_DESC FAILED theirs NO_AUTH UNKNOWN blinded REASON=QUERY_NO_HSDIR
		08:00:02 STREAM 1 FAILED 0 www.theirs.onion:80 REASON=RESOLVEFAILED
		08:00:02 STREAM 1 CLOSED 0 www.theirs.onion:80 REASON=RESOLVEFAILED
		08:01:00 STREAM 2 NEW 0 Theirs.Onion:443 PURPOSE=USER
		08:01:00 HS_DESC REQUESTED theirs NO_AUTH $D~d blinded HSDIR_INDEX=00
		08:01:01 HS_DESC RECEIVED theirs NO_AUTH $D~d blinded
		08:01:01 CIRC 1 LAUNCHED PURPOSE=HS_CLIENT_REND HS_STATE=HSCR_CONNECTING
		08:01:02 CIRC 1 FAILED $A PURPOSE=HS_CLIENT_REND HS_STATE=HSCR_CONNECTING REND_QUERY=theirs REASON=DESTROYED REMOTE_REASON=DESTROYED
		08:01:02 CIRC 2 LAUNCHED PURPOSE=HS_VANGUARDS
		08:01:02 CIRC 2 BUILT $A,$B PURPOSE=HS_VANGUARDS
		08:01:02 CIRC_MINOR 2 PURPOSE_CHANGED $A,$B PURPOSE=HS_CLIENT_REND HS_STATE=HSCR_CONNECTING REND_QUERY=theirs OLD_PURPOSE=HS_VANGUARDS
		08:01:02 CIRC_MINOR 2 PURPOSE_CHANGED $A,$B PURPOSE=HS_CLIENT_REND HS_STATE=HSCR_ESTABLISHED_IDLE REND_QUERY=theirs OLD_PURPOSE=HS_CLIENT_REND OLD_HS_STATE=HSCR_CONNECTING
		08:01:02 CIRC 3 LAUNCHED PURPOSE=HS_CLIENT_INTRO HS_STATE=HSCI_CONNECTING
		08:01:03 CIRC 3 BUILT $A,$C PURPOSE=HS_CLIENT_INTRO HS_STATE=HSCI_CONNECTING REND_QUERY=theirs
		08:01:03 CIRC_MINOR 3 PURPOSE_CHANGED $A,$C PURPOSE=HS_CLIENT_INTRO HS_STATE=HSCI_DONE REND_QUERY=theirs OLD_PURPOSE=HS_CLIENT_INTRO OLD_HS_STATE=HSCI_INTRO_SENT
		08:01:03 CIRC_MINOR 3 PURPOSE_CHANGED $A,$C PURPOSE=CIRCUIT_PADDING REND_QUERY=theirs OLD_PURPOSE=HS_CLIENT_INTRO OLD_HS_STATE=HSCI_DONE
		08:01:04 CIRC_MINOR 2 PURPOSE_CHANGED $A,$B PURPOSE=HS_CLIENT_REND HS_STATE=HSCR_JOINED REND_QUERY=theirs OLD_PURPOSE=HS_CLIENT_REND OLD_HS_STATE=HSCR_ESTABLISHED_IDLE
		08:01:04 STREAM 2 SUCCEEDED 2 theirs.onion:443
		08:01:09 STREAM 2 CLOSED 2 theirs.onion:443 REASON=DONE
		08:02:00 STREAM 3 NEW 0 theirs.onion:443 PURPOSE=USER
		08:02:01 STREAM 3 CLOSED 0 theirs.onion:443 REASON=DONE
		08:02:02 STREAM 4 NEW 0 theirs.onion:443 PURPOSE=USER
		08:02:02 STREAM 5 NEW 0 theirs.onion.example:443 PURPOSE=USER
		08:02:03 STREAM 6 NEW 0 other.example:80 PURPOSE=USER
		08:02:03 STREAM 6 REMAP 0 other.onion:80
		08:02:04 STREAM 6 FAILED 0 other.onion:80 REASON=END REMOTE_REASON=CONNECTREFUSED
	`)
	wantRows(t, "all", onionRows(t, m, journal.Range{}, OnionPick{}),
		`{"role":"client","address":"theirs","first":"08:00:00.000000Z","last":"08:02:02.000000Z",`+
			`"fetches":{"asked":3,"ok":1,"failed":3,"unanswered":0,"reasons":{"NOT_FOUND":1,"QUERY_NO_HSDIR":1,"UNEXPECTED":1}},`+
			`"hsdirs":[{"relay":"$D~d","asked":2,"ok":1,"failed":1,"unanswered":0,"last_reason":"NOT_FOUND","last":"08:01:01.000000Z"},`+
			`{"relay":"$E~e","asked":1,"ok":0,"failed":1,"unanswered":0,"last_reason":"UNEXPECTED","last":"08:00:02.000000Z"}],`+
			`"introductions":{"attempted":1,"ok":1,"failed":0,"unused":0,"open":0},`+
			`"rendezvous":{"attempted":2,"ok":1,"failed":1,"unused":0,"open":0,"failed_by":[{"state":"HSCR_CONNECTING","reason":"DESTROYED","remote_reason":"DESTROYED","count":1}]},`+
			`"connections":{"asked":4,"ok":1,"failed":1,"given_up":1,"open":1,"reasons":{"RESOLVEFAILED":1}},"availability":33.33}`,
		`{"role":"client","address":"other","first":"08:02:03.000000Z","last":"08:02:04.000000Z",`+
			`"connections":{"asked":1,"ok":0,"failed":1,"given_up":0,"open":0,"reasons":{"END/CONNECTREFUSED":1}},"availability":0}`)
	// What was begun before the range does not count as begun, nor as unanswered.
	wantRows(t, "from the answer on", onionRows(t, m, journal.Range{Since: clock(t, "08:01:00.5"), Until: clock(t, "08:01:01")}, OnionPick{}))
	wantRows(t, "the answer alone", onionRows(t, m, journal.Range{Since: clock(t, "08:01:00.5"), Until: clock(t, "08:01:01.5"), To: 11}, OnionPick{}),
		`{"role":"client","address":"theirs","first":"08:01:01.000000Z","last":"08:01:01.000000Z","fetches":{"asked":0,"ok":1,"failed":0,"unanswered":0},`+
			`"hsdirs":[{"relay":"$D~d","asked":0,"ok":1,"failed":0,"unanswered":0,"last":"08:01:01.000000Z"}]}`)
}

// A recorder attaches to a tor whose service runs. Then it is not known whether
// the descriptor is there, until it is uploaded anew. What happens while tor is
// lost is not known either.
func TestOnionServiceFoundRunning(t *testing.T) {
	const stands = `SNAPSHOT 9 BUILT $A,$B~b PURPOSE=HS_SERVICE_INTRO HS_STATE=HSSI_ESTABLISHED REND_QUERY=myonion TIME_CREATED=2026-11-23T07:00:00.000000`
	begin := `
		08:00:00 JOURNAL START
		08:00:00 ` + stands + `
		08:00:10 HS_DESC UPLOAD myonion UNKNOWN $D blinded
		08:00:20 HS_DESC UPLOADED myonion UNKNOWN $D
	`
	lost := `
		08:00:40 JOURNAL SOURCE_LOST REASON=EOF
		08:10:00 JOURNAL SOURCE_RESTORED
		08:10:00 ` + stands + `
		08:10:10 CIRC 9 CLOSED $A,$B~b PURPOSE=HS_SERVICE_INTRO HS_STATE=HSSI_ESTABLISHED REND_QUERY=myonion REASON=DESTROYED
		08:10:30 BW 1 2
	`
	for _, c := range []struct {
		name, story, want string
	}{
		{"told later", begin + "08:00:40 BW 1 2\n", `"known_ms":20000,"up_ms":20000,"availability":100}`},
		{"not told", "08:00:00 JOURNAL START\n08:00:00 " + stands + "\n08:00:40 BW 1 2\n", `"outcome":"open"}]}`},
		{"never told", "08:00:00 JOURNAL START\n08:00:00 " + stands + "\n08:30:00 HS_DESC UPLOAD myonion UNKNOWN $D\n11:30:00 BW 1 2\n", `"known_ms":1800000,"up_ms":0,"availability":0}`},
		{"not for long enough", begin + "11:00:40 BW 1 2\n", `"known_ms":10820000,"up_ms":10800000,"availability":99.81}`},
		{"tor was lost", begin + lost, `"known_ms":50000,"up_ms":30000,"availability":60}`},
		{"recorder was killed", begin + strings.Replace(strings.Replace(lost, "JOURNAL SOURCE_LOST REASON=EOF", "BW 1 2", 1), "SOURCE_RESTORED", "START", 1), `"known_ms":50000,"up_ms":30000,"availability":60}`},
		{"events were lost", begin + "08:00:30 JOURNAL DROPPED TYPES=CIRC,BW COUNT=7\n08:00:40 " + stands + "\n08:01:00 BW 1 2\n", `"known_ms":30000,"up_ms":30000,"availability":100}`},
		{"other events were lost", begin + "08:00:30 JOURNAL DROPPED TYPES=BW COUNT=7\n08:00:40 " + stands + "\n08:01:00 BW 1 2\n", `"known_ms":40000,"up_ms":40000,"availability":100}`},
		{"events could not be written", begin + "08:01:00 JOURNAL JOURNALED COUNT=1 TYPES=HS_DESC SINCE=2026-11-23T08:00:30.000000Z\n08:01:10 " + stands + "\n08:01:20 BW 1 2\n", `"known_ms":20000,"up_ms":20000,"availability":100}`},
		{"gone when tor came back", begin + "08:00:40 JOURNAL SOURCE_LOST REASON=EOF\n08:10:00 JOURNAL SOURCE_RESTORED\n08:10:00 SNAPSHOT\n08:10:30 BW 1 2\n", `"known_ms":50000,"up_ms":20000,"availability":40}`},
		{"tor itself closed it", begin + "08:00:40 CIRC 9 CLOSED $A,$B~b PURPOSE=HS_SERVICE_INTRO HS_STATE=HSSI_ESTABLISHED REND_QUERY=myonion REASON=FINISHED\n08:01:00 BW 1 2\n", `"known_ms":20000,"up_ms":20000,"availability":100}`},
		{"and opened another", begin + "08:00:40 CIRC 9 CLOSED $A,$B~b PURPOSE=HS_SERVICE_INTRO HS_STATE=HSSI_ESTABLISHED REND_QUERY=myonion REASON=FINISHED\n08:01:00 HS_DESC CREATED myonion UNKNOWN UNKNOWN x\n", `"known_ms":40000,"up_ms":20000,"availability":50}`},
		// Another life of tor does not have what the one before had uploaded or established.
		{"tor restarted", begin + "08:00:40 BW 1 2\nsession 2\n08:01:00 JOURNAL START\n08:01:00 SNAPSHOT\n08:01:10 HS_DESC CREATED myonion UNKNOWN UNKNOWN x\n08:01:30 BW 1 2\n", `"known_ms":40000,"up_ms":20000,"availability":50}`},
	} {
		got := strings.ReplaceAll(onionRows(t, story(t, c.story), journal.Range{}, OnionPick{}), day, "")
		if strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, c.want+"\n") {
			t.Errorf("%s: got\n%s want it to end with\n%s", c.name, got, c.want)
		}
	}
}

// Of a session whose beginning the ring has given up, nothing is known before its
// first snapshot: circuits may stand of which no event speaks.
func TestOnionServiceOfEvictedBeginning(t *testing.T) {
	m := story(t, `
		08:00:00 BW 1 2
		08:00:05 HS_DESC UPLOADED myonion UNKNOWN $D
		08:00:10 BW 1 2
		08:00:20 SNAPSHOT 9 BUILT $A,$B~b PURPOSE=HS_SERVICE_INTRO HS_STATE=HSSI_ESTABLISHED REND_QUERY=myonion
		08:00:30 BW 1 2
	`)
	for _, c := range []struct {
		name      string
		from, to  int
		wantToEnd string
	}{
		{"all of it is there", 0, 5, `"known_ms":25000,"up_ms":10000,"availability":40}`},
		{"the first record is gone", 1, 5, `"known_ms":10000,"up_ms":10000,"availability":100}`},
		{"and there is no snapshot", 1, 3, `"last":"08:00:05.000000Z"}]}`},
	} {
		part := &memory{recs: m.recs[c.from:c.to], sessions: m.sessions}
		got := strings.TrimSpace(strings.ReplaceAll(onionRows(t, part, journal.Range{}, OnionPick{}), day, ""))
		if !strings.HasSuffix(got, c.wantToEnd) {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

// Where a role hides addresses, or tor does not know one, a row tells of all of
// them together; where they are hashed they are as good as others.
func TestOnionsWithoutAddress(t *testing.T) {
	m := story(t, strings.ReplaceAll(serviceStory, "myonion", "[scrubbed]"))
	got := onionRows(t, m, journal.Range{}, OnionPick{})
	if strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, `{"role":"service","first":`) || strings.Contains(got, "known_ms") || !strings.Contains(got, `"introductions":{"attempted":4,"ok":2,`) {
		t.Errorf("hidden:\n%s", got)
	}
	plain := onionRows(t, story(t, serviceStory), journal.Range{}, OnionPick{})
	hashed := onionRows(t, story(t, strings.ReplaceAll(serviceStory, "myonion", "o-ABC23")), journal.Range{}, OnionPick{})
	if strings.ReplaceAll(hashed, "o-ABC23", "myonion") != plain {
		t.Errorf("hashed:\n%s", hashed)
	}
	stripped := onionRows(t, story(t, `
		08:00:00 HS_DESC FAILED UNKNOWN NO_AUTH $D blinded REASON=NOT_FOUND
		08:00:01 CIRC 1 LAUNCHED PURPOSE=HS_CLIENT_REND
	`), journal.Range{}, OnionPick{})
	wantRows(t, "not known", stripped, `{"role":"client","first":"08:00:00.000000Z","last":"08:00:00.000000Z",`+
		`"fetches":{"asked":0,"ok":0,"failed":1,"unanswered":0,"reasons":{"NOT_FOUND":1}},`+
		`"hsdirs":[{"relay":"$D","asked":0,"ok":0,"failed":1,"unanswered":0,"last_reason":"NOT_FOUND","last":"08:00:00.000000Z"}]}`)
}

// One that visits its own service has two rows. Whose a failure is, is told by
// its reason, or by who waits.
func TestOnionOfBothRoles(t *testing.T) {
	m := story(t, `
		08:00:00 HS_DESC REQUESTED both NO_AUTH $D x
		08:00:01 HS_DESC FAILED both NO_AUTH $D x REASON=UNEXPECTED
		08:00:02 HS_DESC UPLOAD both UNKNOWN $D x
		08:00:03 HS_DESC FAILED both NO_AUTH $D x REASON=UNEXPECTED
		08:00:04 HS_DESC UPLOAD both UNKNOWN $D x
		08:00:05 HS_DESC FAILED both UNKNOWN $D REASON=UNEXPECTED
		08:00:06 HS_DESC FAILED both NO_AUTH $D x REASON=BAD_DESC
		08:00:07 HS_DESC FAILED both UNKNOWN $E REASON=UNEXPECTED
		08:00:08 HS_DESC UPLOAD both UNKNOWN $F x
		08:00:08 HS_DESC REQUESTED both NO_AUTH $F x
		08:00:09 HS_DESC FAILED both NO_AUTH $F x REASON=UNEXPECTED
	`)
	got := onionRows(t, m, journal.Range{}, OnionPick{})
	for _, want := range []string{
		`"uploads":{"asked":3,"ok":0,"failed":3,"unanswered":1,"reasons":{"UNEXPECTED":3}}`,
		`"fetches":{"asked":2,"ok":0,"failed":3,"unanswered":0,"reasons":{"BAD_DESC":1,"UNEXPECTED":2}}`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
	if !strings.HasPrefix(got, `{"role":"service"`) { // although the client was there first
		t.Errorf("the service does not stand first:\n%s", got)
	}
}

// What a circuit does, and when, tells to what it counts.
func TestOnionCircuits(t *testing.T) {
	const begins = "08:00:00 CIRC 1 LAUNCHED PURPOSE=HS_CLIENT_REND HS_STATE=HSCR_CONNECTING\n08:00:01 CIRC 1 EXTENDED $A PURPOSE=HS_CLIENT_REND HS_STATE=HSCR_CONNECTING REND_QUERY=x\n"
	const becomesIntro = "08:00:02 CIRC_MINOR 1 PURPOSE_CHANGED $A PURPOSE=HS_CLIENT_INTRO HS_STATE=HSCI_CONNECTING REND_QUERY=x OLD_PURPOSE=HS_CLIENT_REND\n"
	ends := func(purpose string) string {
		return "08:00:09 CIRC 1 CLOSED $A PURPOSE=" + purpose + " REASON=FINISHED\n"
	}
	for _, c := range []struct {
		name, story string
		r           journal.Range
		want        string // "": no row
	}{
		{"stands", begins, journal.Range{}, `"rendezvous":{"attempted":1,"ok":0,"failed":0,"unused":0,"open":1}`},
		{"lost", begins + "session 2\n08:01:00 SNAPSHOT\n", journal.Range{}, `"rendezvous":{"attempted":1,"ok":0,"failed":0,"unused":0,"open":1}`},
		{"failed, then tested", begins + "08:00:02 CIRC 1 FAILED $A PURPOSE=HS_CLIENT_REND HS_STATE=HSCR_CONNECTING REND_QUERY=x REASON=TORPROTOCOL\n" +
			"08:00:02 CIRC_MINOR 1 PURPOSE_CHANGED $A PURPOSE=PATH_BIAS_TESTING OLD_PURPOSE=HS_CLIENT_REND\n" + ends("PATH_BIAS_TESTING"), journal.Range{},
			`"failed":1,"unused":0,"open":0,"failed_by":[{"state":"HSCR_CONNECTING","reason":"TORPROTOCOL","count":1}]`},
		{"its failure is missing", begins + "08:00:02 CIRC_MINOR 1 PURPOSE_CHANGED $A PURPOSE=MEASURE_TIMEOUT OLD_PURPOSE=HS_CLIENT_REND\n" + ends("MEASURE_TIMEOUT"), journal.Range{},
			`"failed":1,"unused":0,"open":0,"failed_by":[{"state":"HSCR_CONNECTING","reason":"FINISHED","count":1}]`},
		{"used for two", begins + becomesIntro + ends("HS_CLIENT_INTRO"), journal.Range{},
			`"introductions":{"attempted":1,"ok":0,"failed":1,"unused":0,"open":0,"failed_by":[{"state":"HSCI_CONNECTING","reason":"FINISHED","count":1}]},"rendezvous":{"attempted":1,"ok":0,"failed":0,"unused":1,"open":0}`},
		{"the second one later", begins + becomesIntro, journal.Range{Until: clock(t, "08:00:02")},
			`"last":"08:00:00.000000Z","rendezvous":{"attempted":1,"ok":0,"failed":0,"unused":1,"open":0}`},
		{"a stream speaks of it later", begins + ends("HS_CLIENT_REND") + "08:00:10 STREAM 1 CLOSED 1 x.onion:80 REASON=DONE\n", journal.Range{Since: clock(t, "08:00:10")}, ""},
		{"an answer to one before", "08:00:00 HS_DESC REQUESTED x NO_AUTH $D b\n08:00:02 HS_DESC REQUESTED x NO_AUTH $D b\n08:00:03 HS_DESC RECEIVED x NO_AUTH $D b\n", journal.Range{Since: clock(t, "08:00:01")},
			`"fetches":{"asked":1,"ok":1,"failed":0,"unanswered":1}`},
		{"and the next one", "08:00:00 HS_DESC REQUESTED x NO_AUTH $D b\n08:00:02 HS_DESC REQUESTED x NO_AUTH $D b\n08:00:03 HS_DESC RECEIVED x NO_AUTH $D b\n08:00:04 HS_DESC RECEIVED x NO_AUTH $D b\n",
			journal.Range{Since: clock(t, "08:00:01")}, `"fetches":{"asked":1,"ok":2,"failed":0,"unanswered":0}`},
	} {
		got := strings.ReplaceAll(onionRows(t, story(t, c.story), c.r, OnionPick{}), day, "")
		if !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: %s is not in\n%s", c.name, c.want, got)
		}
	}
}

// However many introduction points there are, a row tells of the newest.
func TestOnionRowsAreBounded(t *testing.T) {
	const n = 3 * MaxIntroPoints
	m, at := &memory{}, time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	for i := range n {
		for _, line := range []string{
			"CIRC %d LAUNCHED PURPOSE=HS_SERVICE_INTRO HS_STATE=HSSI_CONNECTING",
			"CIRC_MINOR %d PURPOSE_CHANGED $A PURPOSE=HS_SERVICE_INTRO HS_STATE=HSSI_ESTABLISHED REND_QUERY=x",
			"CIRC %d CLOSED $A PURPOSE=HS_SERVICE_INTRO HS_STATE=HSSI_ESTABLISHED REND_QUERY=x REASON=FINISHED",
		} {
			at = at.Add(time.Millisecond)
			m.add(1, at, fmt.Sprintf("650 "+line+"\r\n", i))
		}
	}
	_, err := onions(t.Context(), m, journal.Range{}, OnionPick{}, Part{Memory: 512 << 10}, func(o *Onion) error {
		if len(o.IntroPoints) != MaxIntroPoints || o.IntroPoints[MaxIntroPoints-1].Circuit != fmt.Sprint(n-1) || o.Introductions.OK != n {
			t.Errorf("%d introduction points, the last one %+v, of %d", len(o.IntroPoints), o.IntroPoints[len(o.IntroPoints)-1], o.Introductions.OK)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	// Names that are never seen again cost memory, whatever tells of them.
	for _, line := range []string{"STREAM %d NEW 0 a%[1]d.onion:80", "HS_DESC CREATED a%d UNKNOWN UNKNOWN x"} {
		m := &memory{}
		for i := range 1000 {
			m.add(1, at, fmt.Sprintf("650 "+line+"\r\n", i))
		}
		if _, err := onions(t.Context(), m, journal.Range{}, OnionPick{}, Part{Memory: 512 << 10}, func(*Onion) error { return nil }); !errors.Is(err, ErrTooMuch) {
			t.Errorf("a thousand names in 512 KiB: %v", err)
		}
	}
}

// The rows of recorded tors agree with what python3-stem counts.
func TestOnionsAgreeWithStem(t *testing.T) {
	if testing.Short() {
		t.Skip("starts python")
	}
	for _, file := range corpora(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			m := corpus(t, file)
			var want string
			stemCount(t, "stem_onions.py", m, &want)
			if got := onionRows(t, m, journal.Range{}, OnionPick{}); got != want {
				t.Error(firstDifference(got, want))
			}
		})
	}
}
