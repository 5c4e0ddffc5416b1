package query

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"torjournal/journal"
	"torjournal/tor/event"
)

// many returns a story in which lines of the form
//
//	12x5s 08:15:30 CIRC {n} LAUNCHED
//
// are told 12 times, 5 s apart, with numbers that go on from line to line; lines
// of the form "12x5s" that follow each other are told together, one by one.
func many(t testing.TB, lines string) string {
	t.Helper()
	var out strings.Builder
	n := 100
	form := regexp.MustCompile(`^(\d+)x(\S+) (\S+) (.*)$`)
	all := strings.Split(strings.TrimSpace(lines), "\n")
	for i := 0; i < len(all); i++ {
		m := form.FindStringSubmatch(strings.TrimSpace(all[i]))
		if m == nil {
			fmt.Fprintln(&out, all[i])
			continue
		}
		together := [][]string{m}
		for i+1 < len(all) {
			next := form.FindStringSubmatch(strings.TrimSpace(all[i+1]))
			if next == nil || next[1] != m[1] || next[2] != m[2] {
				break
			}
			together, i = append(together, next), i+1
		}
		times, _ := strconv.Atoi(m[1])
		apart, err := time.ParseDuration(m[2])
		if err != nil {
			t.Fatal(err)
		}
		for k := range times {
			n++
			for _, m := range together {
				at := clock(t, m[3]).Add(time.Duration(k) * apart)
				fmt.Fprintf(&out, "%s %s\n", at.Format("15:04:05.000000"), strings.ReplaceAll(m[4], "{n}", strconv.Itoa(n)))
			}
		}
	}
	return out.String()
}

// findings returns what the doctor finds in m.
func findings(t testing.TB, src source, r journal.Range) (all []*Finding) {
	t.Helper()
	if _, err := doctor(t.Context(), src, r, Part{}, func(f *Finding) error { all = append(all, f); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// ruleCase is a story in which a rule finds something, and one that differs as
// little as may be, in which it does not.
type ruleCase struct {
	rule, severity, what string
	found, not           string
}

const (
	guardA = "$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA~alpha"
	guardB = "$BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB~beta"
	guardC = "$CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC~gamma"
)

var ruleCases = []ruleCase{
	{
		"recorder-stopped", "notice", "The recorder was stopped, and has recorded nothing since: what tor does now is not known.", `
			08:00:00 BW 1 1
			08:00:01 JOURNAL STOP PID=7`, `
			08:00:00 BW 1 1
			08:00:01 JOURNAL STOP PID=7
			08:00:09 JOURNAL START SESSION=1`,
	}, {
		"source-lost", "error", "The recorder has lost tor: its control port is gone.", `
			08:00:00 BW 1 1
			08:00:01 JOURNAL SOURCE_LOST REASON=CLOSED UPTIME=7`, `
			08:00:00 BW 1 1
			08:00:01 JOURNAL SOURCE_LOST REASON=CLOSED UPTIME=7
			08:00:03 JOURNAL SOURCE_RESTORED SESSION=1 DOWN_MS=2000`,
	}, {
		"source-lost", "error", "The recorder has lost tor: its control port has been gone for 5 min.", `
			08:00:01 JOURNAL SOURCE_LOST REASON=CLOSED UPTIME=7
			08:05:01 JOURNAL CLOCK JUMP_MS=1`, `
			08:00:01 JOURNAL SOURCE_LOST REASON=CLOSED UPTIME=7
			08:05:00 JOURNAL SOURCE_RESTORED SESSION=1 DOWN_MS=299000
			08:05:01 JOURNAL CLOCK JUMP_MS=1`,
	}, {
		"source-lost", "warning", "Tor was gone for 5 min: nothing is known of that time.", `
			08:00:01 JOURNAL SOURCE_LOST REASON=CLOSED UPTIME=7
			08:05:01 JOURNAL SOURCE_RESTORED SESSION=1 DOWN_MS=300000`, `
			08:00:01 JOURNAL SOURCE_LOST REASON=CLOSED UPTIME=7
			08:05:01 JOURNAL SOURCE_RESTORED SESSION=1 DOWN_MS=299999`,
	}, {
		"source-lost", "warning", "The recorder lost tor 3 times, and found it again each time.", `
			3x60s 08:00:01 JOURNAL SOURCE_LOST REASON=CLOSED UPTIME=7
			3x60s 08:00:02 JOURNAL SOURCE_RESTORED SESSION=1 DOWN_MS=1000`, `
			2x60s 08:00:01 JOURNAL SOURCE_LOST REASON=CLOSED UPTIME=7
			2x60s 08:00:02 JOURNAL SOURCE_RESTORED SESSION=1 DOWN_MS=1000`,
	}, {
		"tor-restarts", "warning", "Tor was started 3 times.", `
			08:00:00 BW 1 1
			session 2
			08:00:10 BW 1 1
			session 3
			08:00:20 BW 1 1`, `
			08:00:00 BW 1 1
			session 2
			08:00:10 BW 1 1`,
	}, {
		"events-missing", "error", "Events could not be written, and are missing in the record: no space left on device.", `
			08:00:00 BW 1 1
			08:00:09 JOURNAL JOURNALED COUNT=12 TYPES=CIRC,BW SINCE=2026-11-23T08:00:01.000000Z ERROR="no space left on device"`, `
			08:00:00 BW 1 1`,
	}, {
		"events-missing", "warning", "The recorder could not keep up with tor and dropped events.", `
			08:00:00 JOURNAL DROPPED TYPES=DEBUG COUNT=12`, `
			08:00:00 BW 1 1`,
	}, {
		"disk-full", "error", "Tor cannot write its files: the disk is full, or may not be written.", `
			08:00:00 WARN Error writing to "/var/lib/tor/state.tmp": No space left on device`, `
			08:00:00 WARN Error writing to "/var/lib/tor/state.tmp": Permission denied`,
	}, {
		"clock-skew", "error", "The clock of this machine is slow by 2 h, says tor: it cannot use directory documents that are not valid yet, or any more.", `
			08:00:00 STATUS_GENERAL WARN CLOCK_SKEW SKEW=-7300 SOURCE=OR:192.0.2.1:9001`, `
			08:00:00 STATUS_GENERAL WARN BUG REASON=x`,
	}, {
		"clock-jumps", "notice", "The clock of this machine jumped 3 times: it is set by force, or the machine is suspended.", `
			3x60s 08:00:00 JOURNAL CLOCK FROM=x TO=y JUMP_MS=90000`, `
			2x60s 08:00:00 JOURNAL CLOCK FROM=x TO=y JUMP_MS=90000
			2x60s 08:00:00 STATUS_GENERAL NOTICE CLOCK_JUMPED TIME=90`,
	}, {
		"network-down", "error", "Tor takes the network for down: it has heard from no relay for a while.", `
			08:00:00 NETWORK_LIVENESS UP
			08:00:10 NETWORK_LIVENESS DOWN`, `
			08:00:10 NETWORK_LIVENESS DOWN
			08:00:20 NETWORK_LIVENESS UP`,
	}, {
		"connections-failing", "error", "Connections to 3 relays could not be made: NOROUTE (4), TIMEOUT (1).", `
			2x1s 08:00:00 ORCONN ` + guardA + ` FAILED REASON=NOROUTE NCIRCS=1 ID={n}
			2x1s 08:00:00 ORCONN ` + guardB + ` FAILED REASON=NOROUTE NCIRCS=1 ID={n}
			08:00:10 ORCONN ` + guardC + ` FAILED REASON=TIMEOUT NCIRCS=1 ID=98`, `
			2x1s 08:00:00 ORCONN ` + guardA + ` FAILED REASON=NOROUTE NCIRCS=1 ID={n}
			08:00:10 ORCONN ` + guardB + ` FAILED REASON=NOROUTE NCIRCS=1 ID=97
			08:00:10 ORCONN ` + guardC + ` FAILED REASON=TIMEOUT NCIRCS=1 ID=98`,
	}, {
		"connections-failing", "error", "Connections to 3 relays could not be made: NOROUTE (6), TIMEOUT (3).", `
			3x1s 08:00:00 ORCONN ` + guardA + ` FAILED REASON=NOROUTE NCIRCS=1 ID={n}
			3x1s 08:00:00 ORCONN ` + guardB + ` FAILED REASON=NOROUTE NCIRCS=1 ID={n}
			3x1s 08:00:10 ORCONN ` + guardC + ` FAILED REASON=TIMEOUT NCIRCS=1 ID={n}
			08:00:20 ORCONN ` + guardC + ` CONNECTED ID=99`, `
			3x1s 08:00:00 ORCONN ` + guardA + ` FAILED REASON=NOROUTE NCIRCS=1 ID={n}
			3x1s 08:00:00 ORCONN ` + guardB + ` FAILED REASON=NOROUTE NCIRCS=1 ID={n}
			3x1s 08:00:10 ORCONN ` + guardC + ` FAILED REASON=TIMEOUT NCIRCS=1 ID={n}
			4x1s 08:00:20 ORCONN ` + guardC + ` CONNECTED ID={n}`,
	}, {
		"connections-failing", "error", "Connections to 3 relays could not be made: NOROUTE (6), TIMEOUT (3).", `
			3x1s 08:00:00 ORCONN ` + guardA + ` FAILED REASON=NOROUTE NCIRCS=1 ID={n}
			3x1s 08:00:00 ORCONN ` + guardB + ` FAILED REASON=NOROUTE NCIRCS=1 ID={n}
			3x1s 08:00:10 ORCONN ` + guardC + ` FAILED REASON=TIMEOUT NCIRCS=1 ID={n}`, `
			3x1s 08:00:00 ORCONN ` + guardA + ` FAILED REASON=NOROUTE NCIRCS=1 ID={n}
			6x1s 08:00:00 ORCONN ` + guardB + ` FAILED REASON=NOROUTE NCIRCS=1 ID={n}`,
	}, {
		"transport-failing", "warning", "The proxy or pluggable transport that tor goes out through has failed.", `
			08:00:00 WARN Managed proxy "/usr/bin/obfs4proxy" having PID 7867 terminated with status code 1`, `
			08:00:00 WARN Managed proxy "/usr/bin/obfs4proxy" has said something`,
	}, {
		"no-answer", "error", "Tor has read no byte for 3 min, although it wrote in 5 seconds of them and sent 0 streams out: what it sends does not arrive.", `
			08:00:00 BW 7 7
			5x1s 08:00:01 BW 0 9
			175x1s 08:00:06 BW 0 0`, `
			08:00:00 BW 7 7
			4x1s 08:00:01 BW 0 9
			200x1s 08:00:06 BW 0 0`,
	}, {
		"no-answer", "error", "Tor has read no byte for 3 min, although it wrote in 0 seconds of them and sent 3 streams out: what it sends does not arrive.", `
			180x1s 08:00:06 BW 0 0
			3x1s 08:03:06 STREAM {n} SENTCONNECT 7 192.0.2.1:80`, `
			180x1s 08:00:06 BW 0 0
			3x1s 08:03:06 STREAM {n} SENTCONNECT 7 192.0.2.1:80
			08:03:10 BW 1 0`,
	}, {
		"no-answer", "error", "Tor has read no byte for 3 min, although it wrote in 180 seconds of them and sent 3 streams out: what it sends does not arrive.", `
			180x1s 08:00:06 BW 0 9
			3x1s 08:03:06 STREAM {n} SENTCONNECT 7 192.0.2.1:80`, `
			179x1s 08:00:06 BW 0 9
			3x1s 08:03:06 STREAM {n} SENTCONNECT 7 192.0.2.1:80`,
	}, {
		"no-answer", "error", "Tor has read no byte for 3 min, although it wrote in 4 seconds of them and sent 3 streams out: what it sends does not arrive.", `
			4x1s 08:00:00 BW 0 9
			180x1s 08:00:06 BW 0 0
			3x1s 08:03:06 STREAM {n} SENTCONNECT 7 192.0.2.1:80`, `
			4x1s 08:00:00 BW 0 9
			180x1s 08:00:06 BW 0 0
			2x1s 08:03:06 STREAM {n} SENTCONNECT 7 192.0.2.1:80`,
	}, {
		"bootstrap-stuck", "error", "Tor's start stands at 10 % (Connected to a relay): No route to host (NOROUTE), 10 problems so far, the last one with $AAAAAAAA.", `
			08:00:00 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=10 TAG=conn_done SUMMARY="Connected to a relay"
			08:00:40 STATUS_CLIENT WARN BOOTSTRAP PROGRESS=10 TAG=conn_done SUMMARY="Connected to a relay" WARNING="No route to host" REASON=NOROUTE COUNT=10 RECOMMENDATION=warn HOSTID="AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" HOSTADDR="192.0.2.1:9001"`, `
			08:00:00 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=10 TAG=conn_done SUMMARY="Connected to a relay"
			08:00:40 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=10 TAG=conn_done SUMMARY="Connected to a relay" WARNING="No route to host" REASON=NOROUTE COUNT=9 RECOMMENDATION=ignore HOSTID="AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" HOSTADDR="192.0.2.1:9001"`,
	}, {
		"bootstrap-stuck", "error", "Tor's start stands at 45 % (Asking for relay descriptors) and has not gone on for 2 min.", `
			08:00:00 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=45 TAG=requesting_descriptors SUMMARY="Asking for relay descriptors"
			08:02:00 BW 1 1`, `
			08:00:00 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=45 TAG=requesting_descriptors SUMMARY="Asking for relay descriptors"
			08:01:59 BW 1 1`,
	}, {
		"no-directory-info", "error", "Tor has had too little directory information to build circuits for 60 s.", `
			08:00:00 STATUS_CLIENT NOTICE ENOUGH_DIR_INFO
			08:01:00 STATUS_CLIENT NOTICE NOT_ENOUGH_DIR_INFO
			08:02:00 BW 1 1`, `
			08:01:00 STATUS_CLIENT NOTICE NOT_ENOUGH_DIR_INFO
			08:01:30 CIRC 1 BUILT $A,$B,$C PURPOSE=GENERAL
			08:02:00 BW 1 1`,
	}, {
		"guards-down", "error", "All 2 guards that tor has tried are down.", `
			08:00:00 GUARD ENTRY ` + guardC + ` NEW
			08:00:00 GUARD ENTRY ` + guardA + ` UP
			08:00:10 GUARD ENTRY ` + guardA + ` DOWN
			08:00:11 GUARD ENTRY ` + guardB + ` DOWN`, `
			08:00:00 GUARD ENTRY ` + guardA + ` DOWN
			08:00:10 GUARD ENTRY ` + guardB + ` DOWN
			08:00:11 GUARD ENTRY ` + guardA + ` UP`,
	}, {
		"guards-down", "error", "All 2 guards that tor has tried are down.", `
			08:00:10 GUARD ENTRY ` + guardA + ` DOWN
			08:00:11 GUARD ENTRY ` + guardB + ` DOWN`, `
			08:00:10 GUARD ENTRY ` + guardA + ` DOWN`,
	}, {
		"guard-unreachable", "notice", "The guard alpha has been down for 10 min; tor uses others.", `
			08:00:00 GUARD ENTRY ` + guardA + ` DOWN
			08:00:01 GUARD ENTRY ` + guardB + ` UP
			08:10:00 BW 1 1`, `
			08:00:00 GUARD ENTRY ` + guardA + ` DOWN
			08:00:01 GUARD ENTRY ` + guardB + ` UP
			08:09:59 BW 1 1`,
	}, {
		"guard-flapping", "warning", "The guard alpha went down 3 times and came back.", `
			3x60s 08:00:00 GUARD ENTRY ` + guardA + ` DOWN
			3x60s 08:00:10 GUARD ENTRY ` + guardA + ` UP`, `
			2x60s 08:00:00 GUARD ENTRY ` + guardA + ` DOWN
			2x60s 08:00:10 GUARD ENTRY ` + guardA + ` UP`,
	}, {
		"guard-failing", "warning", "18 of 20 circuits over the guard alpha failed, and far fewer of those over others.", `
			18x1s 08:00:00 CIRC {n} LAUNCHED PURPOSE=GENERAL
			18x1s 08:00:00 CIRC {n} FAILED ` + guardA + ` PURPOSE=GENERAL REASON=DESTROYED
			2x1s 08:01:00 CIRC {n} BUILT ` + guardA + `,$D,$E PURPOSE=GENERAL
			20x1s 08:01:00 CIRC {n} BUILT ` + guardB + `,$D,$E PURPOSE=GENERAL`, `
			18x1s 08:00:00 CIRC {n} LAUNCHED PURPOSE=GENERAL
			18x1s 08:00:00 CIRC {n} FAILED ` + guardA + ` PURPOSE=GENERAL REASON=DESTROYED
			2x1s 08:01:00 CIRC {n} BUILT ` + guardA + `,$D,$E PURPOSE=GENERAL
			9x1s 08:01:00 CIRC {n} BUILT ` + guardB + `,$D,$E PURPOSE=GENERAL`,
	}, {
		"no-circuit-built", "error", "No circuit is built any more: the last 10 failed, in 63 s.", `
			08:00:00 CIRC 1 BUILT $A,$B,$C PURPOSE=GENERAL
			10x7s 08:00:01 CIRC {n} FAILED PURPOSE=GENERAL REASON=TIMEOUT`, `
			10x7s 08:00:01 CIRC {n} FAILED PURPOSE=GENERAL REASON=TIMEOUT
			08:02:00 CIRC 1 BUILT $A,$B,$C PURPOSE=GENERAL`,
	}, {
		"first-hop-failing", "warning", "10 of 40 circuits broke before their first relay: it is the guard, or the network between.", `
			30x1s 08:00:00 CIRC {n} BUILT $A,$B,$C PURPOSE=GENERAL
			10x1s 08:00:00 CIRC {n} FAILED PURPOSE=GENERAL REASON=TIMEOUT`, `
			30x1s 08:00:00 CIRC {n} BUILT $A,$B,$C PURPOSE=GENERAL
			9x1s 08:00:00 CIRC {n} FAILED PURPOSE=GENERAL REASON=TIMEOUT`,
	}, {
		"circuits-failing", "warning", "10 of 50 circuits were torn down by a relay (DESTROYED/OR_CONN_CLOSED).", `
			40x1s 08:00:00 CIRC {n} BUILT $A,$B,$C PURPOSE=GENERAL
			10x1s 08:00:00 CIRC {n} FAILED $A PURPOSE=GENERAL REASON=DESTROYED REMOTE_REASON=OR_CONN_CLOSED`, `
			90x1s 08:00:00 CIRC {n} BUILT $A,$B,$C PURPOSE=GENERAL
			10x1s 08:00:00 CIRC {n} FAILED $A PURPOSE=GENERAL REASON=DESTROYED REMOTE_REASON=OR_CONN_CLOSED`,
	}, {
		"circuits-failing", "warning", "25 of 50 circuits took too long to build (TIMEOUT); a fifth is usual.", `
			25x2s 08:00:00 CIRC {n} BUILT $A,$B,$C PURPOSE=GENERAL
			25x1s 08:00:00 CIRC {n} FAILED $A PURPOSE=GENERAL REASON=TIMEOUT`, `
			40x1s 08:00:00 CIRC {n} BUILT $A,$B,$C PURPOSE=GENERAL
			10x1s 08:00:00 CIRC {n} FAILED $A PURPOSE=GENERAL REASON=TIMEOUT`,
	}, {
		"relay-failing", "notice", "20 of 20 circuits that came to the relay beta failed there, beside 2 different neighbours.", `
			30x1s 08:00:00 CIRC {n} BUILT $A,$D,$E PURPOSE=GENERAL
			10x2s 08:01:00 CIRC {n} FAILED $A,` + guardB + ` PURPOSE=GENERAL REASON=DESTROYED
			10x1s 08:01:00 CIRC {n} FAILED $D,` + guardB + ` PURPOSE=GENERAL REASON=DESTROYED`, `
			30x1s 08:00:00 CIRC {n} BUILT $A,$D,$E PURPOSE=GENERAL
			20x1s 08:01:00 CIRC {n} FAILED $A,` + guardB + ` PURPOSE=GENERAL REASON=DESTROYED`,
	}, {
		"link-failing", "notice", "10 of 10 circuits from alpha to beta failed between the two.", `
			10x1s 08:01:00 CIRC {n} FAILED ` + guardA + ` PURPOSE=GENERAL REASON=TIMEOUT
			10x1s 08:01:00 CIRC {n} EXTENDED ` + guardA + `,` + guardB + ` PURPOSE=MEASURE_TIMEOUT`, `
			9x1s 08:01:00 CIRC {n} FAILED ` + guardA + ` PURPOSE=GENERAL REASON=TIMEOUT
			9x1s 08:01:00 CIRC {n} EXTENDED ` + guardA + `,` + guardB + ` PURPOSE=MEASURE_TIMEOUT`,
	}, {
		"conflux-failing", "warning", "10 of 11 legs of conflux circuits failed, and far fewer of the other circuits.", `
			10x1s 08:00:00 CIRC {n} BUILT $A,$B,$C PURPOSE=GENERAL
			08:00:00 CIRC 1 BUILT $A,$B,$C PURPOSE=CONFLUX_LINKED
			10x1s 08:01:00 CIRC {n} FAILED $A PURPOSE=CONFLUX_UNLINKED REASON=TIMEOUT`, `
			10x1s 08:00:00 CIRC {n} BUILT $A,$B,$C PURPOSE=GENERAL
			10x1s 08:00:00 CIRC {n} BUILT $A,$B,$C PURPOSE=CONFLUX_LINKED
			10x1s 08:01:00 CIRC {n} FAILED $A PURPOSE=CONFLUX_UNLINKED REASON=TIMEOUT`,
	}, {
		"build-timeout-reset", "warning", "Tor forgot its circuit build times 3 times, since nearly all circuits timed out or a controller said so: the network changes, or breaks off.", `
			3x60s 08:00:00 BUILDTIMEOUT_SET RESET TOTAL_TIMES=0 TIMEOUT_MS=60000`, `
			2x60s 08:00:00 BUILDTIMEOUT_SET RESET TOTAL_TIMES=0 TIMEOUT_MS=60000`,
	}, {
		"build-timeout-swinging", "notice", "The time after which tor gives up building a circuit swings between about 861 ms and 4.1 s.", `
			30x1s 08:00:00 BUILDTIMEOUT_SET COMPUTED TOTAL_TIMES=100 TIMEOUT_MS=1000
			20x1s 08:00:30 BUILDTIMEOUT_SET COMPUTED TOTAL_TIMES=100 TIMEOUT_MS=4100`, `
			30x1s 08:00:00 BUILDTIMEOUT_SET COMPUTED TOTAL_TIMES=100 TIMEOUT_MS=1000
			20x1s 08:00:30 BUILDTIMEOUT_SET COMPUTED TOTAL_TIMES=100 TIMEOUT_MS=3000`,
	}, {
		"build-timeout-swinging", "notice", "The time after which tor gives up building a circuit swings between about 861 ms and 8.2 s.", `
			30x1s 08:00:00 BUILDTIMEOUT_SET COMPUTED TOTAL_TIMES=100 TIMEOUT_MS=1000
			20x1s 08:00:30 BUILDTIMEOUT_SET COMPUTED TOTAL_TIMES=100 TIMEOUT_MS=9000`, `
			30x1s 08:00:00 BUILDTIMEOUT_SET COMPUTED TOTAL_TIMES=100 TIMEOUT_MS=1000
			19x1s 08:00:30 BUILDTIMEOUT_SET COMPUTED TOTAL_TIMES=100 TIMEOUT_MS=9000`,
	}, {
		"streams-failing", "warning", "10 of 30 streams of applications failed: tor says TIMEOUT, no circuit or no answer came in time.", `
			20x1s 08:00:00 STREAM {n} NEW 0 a.example:80 PURPOSE=USER
			10x1s 08:01:00 STREAM {n} NEW 0 b.example:80 PURPOSE=USER
			10x1s 08:01:00 STREAM {n} FAILED 0 b.example:80 REASON=TIMEOUT
			10x1s 08:01:00 STREAM {n} CLOSED 0 b.example:80 REASON=TIMEOUT`, `
			20x1s 08:00:00 STREAM {n} NEW 0 a.example:80 PURPOSE=USER
			9x1s 08:01:00 STREAM {n} NEW 0 b.example:80 PURPOSE=USER
			9x1s 08:01:00 STREAM {n} FAILED 0 b.example:80 REASON=TIMEOUT
			9x1s 08:01:00 STREAM {n} CLOSED 0 b.example:80 REASON=TIMEOUT
			5x1s 08:02:00 STREAM {n} NEW 0 192.0.2.1:80 PURPOSE=DIR_FETCH
			5x1s 08:02:00 STREAM {n} FAILED 0 192.0.2.1:80 REASON=TIMEOUT`,
	}, {
		"streams-failing", "notice", "10 of 30 streams of applications failed: the exit says CONNECTREFUSED, the destination refused the connection.", `
			20x1s 08:00:00 STREAM {n} NEW 0 a.example:80 PURPOSE=USER
			10x1s 08:01:00 STREAM {n} NEW 0 b.example:80 PURPOSE=USER
			10x1s 08:01:00 STREAM {n} FAILED 7 b.example:80 REASON=END REMOTE_REASON=CONNECTREFUSED`, `
			80x1s 08:00:00 STREAM {n} NEW 0 a.example:80 PURPOSE=USER
			10x1s 08:01:00 STREAM {n} NEW 0 b.example:80 PURPOSE=USER
			10x1s 08:01:00 STREAM {n} FAILED 7 b.example:80 REASON=END REMOTE_REASON=CONNECTREFUSED`,
	}, {
		"names-unresolved", "warning", "10 of 20 streams failed since their name has no address: 10 names, asked at 2 exits.", `
			08:00:00 CIRC 7 BUILT $A,$B,$C PURPOSE=GENERAL
			08:00:00 CIRC 8 BUILT $A,$B,$D PURPOSE=GENERAL
			10x2s 08:00:00 STREAM {n} NEW 0 good.example:80 PURPOSE=USER
			10x1s 08:01:00 STREAM {n} NEW 0 no{n}.example:80 PURPOSE=USER
			10x1s 08:01:00 STREAM {n} DETACHED 7 no{n}.example:80 REASON=END REMOTE_REASON=RESOLVEFAILED
			10x1s 08:01:00 STREAM {n} FAILED 8 no{n}.example:80 REASON=END REMOTE_REASON=RESOLVEFAILED`, `
			08:00:00 CIRC 7 BUILT $A,$B,$C PURPOSE=GENERAL
			08:00:00 CIRC 8 BUILT $A,$B,$D PURPOSE=GENERAL
			10x2s 08:00:00 STREAM {n} NEW 0 good.example:80 PURPOSE=USER
			10x1s 08:01:00 STREAM {n} NEW 0 no.example:80 PURPOSE=USER
			10x1s 08:01:00 STREAM {n} DETACHED 7 no.example:80 REASON=END REMOTE_REASON=RESOLVEFAILED
			10x1s 08:01:00 STREAM {n} FAILED 8 no.example:80 REASON=END REMOTE_REASON=RESOLVEFAILED`,
	}, {
		"names-unresolved", "warning", "10 of 10 streams failed since their name has no address: 3 names, asked at 2 exits.", `
			08:00:00 CIRC 7 BUILT $A,$B,$C PURPOSE=GENERAL
			08:00:00 CIRC 8 BUILT $A,$B,$D PURPOSE=GENERAL
			8x1s 08:01:00 STREAM {n} NEW 0 one.example:80 PURPOSE=USER
			8x1s 08:01:00 STREAM {n} FAILED 7 one.example:80 REASON=END REMOTE_REASON=RESOLVEFAILED
			1x1s 08:02:00 STREAM {n} NEW 0 two.example:80 PURPOSE=USER
			1x1s 08:02:00 STREAM {n} FAILED 8 two.example:80 REASON=END REMOTE_REASON=RESOLVEFAILED
			1x2s 08:02:00 STREAM {n} NEW 0 three.example:80 PURPOSE=USER
			1x2s 08:02:00 STREAM {n} FAILED 8 three.example:80 REASON=END REMOTE_REASON=RESOLVEFAILED`, `
			08:00:00 CIRC 7 BUILT $A,$B,$C PURPOSE=GENERAL
			08:00:00 CIRC 8 BUILT $A,$B,$D PURPOSE=GENERAL
			8x1s 08:01:00 STREAM {n} NEW 0 one.example:80 PURPOSE=USER
			8x1s 08:01:00 STREAM {n} FAILED 7 one.example:80 REASON=END REMOTE_REASON=RESOLVEFAILED
			2x1s 08:02:00 STREAM {n} NEW 0 two.example:80 PURPOSE=USER
			2x1s 08:02:00 STREAM {n} FAILED 8 two.example:80 REASON=END REMOTE_REASON=RESOLVEFAILED`,
	}, {
		"exit-dns-failing", "warning", "The exit gamma could not resolve 10 names, where others could: its DNS is broken.", `
			08:00:00 CIRC 7 BUILT $A,$B,` + guardC + ` PURPOSE=GENERAL
			08:00:00 CIRC 8 BUILT $A,$B,$D PURPOSE=GENERAL
			10x1s 08:01:00 STREAM {n} NEW 0 host{n}.example:80 PURPOSE=USER
			10x1s 08:01:00 STREAM {n} DETACHED 7 host{n}.example:80 REASON=END REMOTE_REASON=RESOLVEFAILED
			10x1s 08:01:00 STREAM {n} SUCCEEDED 8 192.0.2.1:80`, `
			08:00:00 CIRC 7 BUILT $A,$B,` + guardC + ` PURPOSE=GENERAL
			08:00:00 CIRC 8 BUILT $A,$B,$D PURPOSE=GENERAL
			10x1s 08:01:00 STREAM {n} NEW 0 host{n}.example:80 PURPOSE=USER
			10x1s 08:01:00 STREAM {n} DETACHED 7 host{n}.example:80 REASON=END REMOTE_REASON=RESOLVEFAILED
			10x1s 08:01:00 STREAM {n} FAILED 8 host{n}.example:80 REASON=END REMOTE_REASON=RESOLVEFAILED`,
	}, {
		"onion-upload-failing", "error", "No directory takes the descriptor of the onion service aaaaaaaaaaaaaaaa….onion: clients do not find it.", `
			3x1s 08:00:00 HS_DESC UPLOAD aaaaaaaaaaaaaaaaaaaa UNKNOWN $A~a desc
			3x1s 08:00:00 HS_DESC FAILED aaaaaaaaaaaaaaaaaaaa UNKNOWN $A~a desc REASON=UPLOAD_REJECTED`, `
			3x1s 08:00:00 HS_DESC UPLOAD aaaaaaaaaaaaaaaaaaaa UNKNOWN $A~a desc
			3x1s 08:00:00 HS_DESC FAILED aaaaaaaaaaaaaaaaaaaa UNKNOWN $A~a desc REASON=UPLOAD_REJECTED
			08:00:05 HS_DESC UPLOADED aaaaaaaaaaaaaaaaaaaa UNKNOWN $B~b desc`,
	}, {
		"onion-upload-failing", "error", "The descriptor of the onion service aaaa.onion was sent to 6 directories, and none has taken it: clients do not find the service.", `
			6x1s 08:00:00 HS_DESC UPLOAD aaaa UNKNOWN $A~a desc
			08:02:05 BW 1 1`, `
			6x1s 08:00:00 HS_DESC UPLOAD aaaa UNKNOWN $A~a desc
			08:02:04 BW 1 1`,
	}, {
		"onion-upload-failing", "warning", "6 of 10 uploads of the descriptor of the onion service aaaa.onion failed: some clients do not find it.", `
			10x1s 08:00:00 HS_DESC UPLOAD aaaa UNKNOWN $A~a desc
			6x1s 08:00:10 HS_DESC FAILED aaaa UNKNOWN $A~a desc REASON=UPLOAD_REJECTED
			4x1s 08:00:20 HS_DESC UPLOADED aaaa UNKNOWN $A~a desc`, `
			20x1s 08:00:00 HS_DESC UPLOAD aaaa UNKNOWN $A~a desc
			6x1s 08:00:10 HS_DESC FAILED aaaa UNKNOWN $A~a desc REASON=UPLOAD_REJECTED
			14x1s 08:00:20 HS_DESC UPLOADED aaaa UNKNOWN $A~a desc`,
	}, {
		"onion-not-found", "notice", "The descriptor of the onion service aaaa.onion was not found at any of the directories that were asked: it is down, or the address is wrong.", `
			6x1s 08:00:00 HS_DESC FAILED aaaa NO_AUTH $A~a desc REASON=NOT_FOUND`, `
			6x1s 08:00:00 HS_DESC FAILED aaaa NO_AUTH $A~a desc REASON=NOT_FOUND
			08:00:07 HS_DESC RECEIVED aaaa NO_AUTH $B~b desc`,
	}, {
		"onion-not-found", "notice", "The descriptor of the onion service aaaa.onion was not found at any of the directories that were asked: it is down, or the address is wrong.", `
			6x1s 08:00:00 HS_DESC FAILED aaaa NO_AUTH $A~a desc REASON=NOT_FOUND`, `
			5x1s 08:00:00 HS_DESC FAILED aaaa NO_AUTH $A~a desc REASON=NOT_FOUND`,
	}, {
		"onion-flooded", "warning", "An onion service here was asked for 600 circuits in one minute: that is an attack, or very many clients.", `
			600x50ms 08:00:00 CIRC {n} LAUNCHED PURPOSE=HS_SERVICE_REND`, `
			599x50ms 08:00:00 CIRC {n} LAUNCHED PURPOSE=HS_SERVICE_REND
			599x49ms 08:01:00 CIRC {n} LAUNCHED PURPOSE=HS_SERVICE_REND`,
	}, {
		"relay-unreachable", "error", "This relay cannot be reached from outside: tor does not publish it.", `
			08:00:00 STATUS_SERVER WARN REACHABILITY_FAILED ORADDRESS=192.0.2.1:9001`, `
			08:00:00 STATUS_SERVER WARN REACHABILITY_FAILED ORADDRESS=192.0.2.1:9001
			08:09:00 STATUS_SERVER NOTICE REACHABILITY_SUCCEEDED ORADDRESS=192.0.2.1:9001`,
	}, {
		"relay-unreachable", "error", "The directory authorities do not take this relay's descriptor.", `
			08:00:00 STATUS_SERVER WARN BAD_SERVER_DESCRIPTOR DIRAUTH=192.0.2.1:80 REASON="Clock"`, `
			08:00:00 STATUS_SERVER WARN BAD_SERVER_DESCRIPTOR DIRAUTH=192.0.2.1:80 REASON="Clock"
			08:00:01 STATUS_SERVER NOTICE ACCEPTED_SERVER_DESCRIPTOR DIRAUTH=192.0.2.1:80`,
	}, {
		"relay-unreachable", "error", "The directory authorities do not take this relay's descriptor.", `
			08:00:00 STATUS_SERVER NOTICE ACCEPTED_SERVER_DESCRIPTOR DIRAUTH=192.0.2.1:80
			08:00:01 STATUS_SERVER NOTICE ACCEPTED_SERVER_DESCRIPTOR DIRAUTH=192.0.2.2:80
			09:00:00 STATUS_SERVER WARN BAD_SERVER_DESCRIPTOR DIRAUTH=192.0.2.1:80 REASON="Clock"
			09:00:01 STATUS_SERVER NOTICE ACCEPTED_SERVER_DESCRIPTOR DIRAUTH=192.0.2.2:80`, `
			08:00:00 STATUS_SERVER NOTICE ACCEPTED_SERVER_DESCRIPTOR DIRAUTH=192.0.2.1:80
			08:00:01 STATUS_SERVER NOTICE ACCEPTED_SERVER_DESCRIPTOR DIRAUTH=192.0.2.2:80
			08:00:02 STATUS_SERVER WARN BAD_SERVER_DESCRIPTOR DIRAUTH=192.0.2.3:80 REASON="Fingerprint is marked rejected"`,
	}, {
		"relay-unreachable", "warning", "This relay cannot be reached from outside at [2001:db8::1]:9001; at its other address it can.", `
			08:00:00 STATUS_SERVER NOTICE REACHABILITY_SUCCEEDED ORADDRESS=192.0.2.1:9001
			08:20:00 STATUS_SERVER WARN REACHABILITY_FAILED ORADDRESS=[2001:db8::1]:9001`, `
			08:00:00 STATUS_SERVER NOTICE REACHABILITY_SUCCEEDED ORADDRESS=192.0.2.1:9001
			08:20:00 STATUS_SERVER WARN REACHABILITY_FAILED ORADDRESS=[2001:db8::1]:9001
			08:40:00 STATUS_SERVER NOTICE REACHABILITY_SUCCEEDED ORADDRESS=[2001:db8::1]:9001`,
	}, {
		"nameservers-down", "error", "All name servers of this exit were down 3 times: clients cannot resolve names through it.", `
			3x60s 08:00:00 STATUS_SERVER WARN NAMESERVER_ALL_DOWN`, `
			2x60s 08:00:00 STATUS_SERVER WARN NAMESERVER_ALL_DOWN`,
	}, {
		"memory-low", "warning", "Tor has too little memory and ends circuits to get some.", `
			08:00:00 NOTICE We're low on memory (cell queues total alloc: 1 buffer total alloc: 2). Killing circuits with over-long queues. (This behavior is controlled by MaxMemInQueues.)`, `
			08:00:00 NOTICE Heartbeat: Tor's uptime is 6:00 hours, with 0 circuits open.`,
	}, {
		"too-many-connections", "error", "Tor has as many connections as it may, and refuses others.", `
			08:00:00 STATUS_GENERAL WARN TOO_MANY_CONNECTIONS CURRENT=1000`, `
			08:00:00 STATUS_GENERAL WARN BUG REASON=x`,
	}, {
		"dangerous-version", "warning", "Tor 0.4.5.1 is too old, say the directory authorities (OBSOLETE).", `
			08:00:00 STATUS_GENERAL WARN DANGEROUS_VERSION CURRENT=0.4.5.1 REASON=OBSOLETE RECOMMENDED="0.4.8.1,0.4.9.1"`, `
			08:00:00 STATUS_GENERAL WARN BUG REASON=x`,
	}, {
		"dangerous-version", "notice", "Tor 0.5.0.1 is newer than what the directory authorities know (NEW).", `
			08:00:00 STATUS_GENERAL NOTICE DANGEROUS_VERSION CURRENT=0.5.0.1 REASON=NEW RECOMMENDED="0.4.8.1,0.4.9.1"`, ``,
	}, {
		"dangerous-socks", "warning", "An application asked tor for an address 3 times, not for a name: it resolves names itself, and who serves them sees where it goes.", `
			3x1s 08:00:00 STATUS_CLIENT WARN DANGEROUS_SOCKS PROTOCOL=SOCKS5 ADDRESS=192.0.2.1:80`, `
			2x1s 08:00:00 STATUS_CLIENT WARN DANGEROUS_SOCKS PROTOCOL=SOCKS5 ADDRESS=192.0.2.1:80`,
	}, {
		"newnym-limited", "notice", "A controller asked for a new identity too often: tor delayed that 5 times (it gives one in ten seconds).", `
			5x1s 08:00:00 NOTICE Rate limiting NEWNYM request: delaying by 8 second(s)`, `
			4x1s 08:00:00 NOTICE Rate limiting NEWNYM request: delaying by 8 second(s)`,
	}, {
		"tor-bug", "notice", "Tor met with a bug of its own.", `
			2x1s 08:00:00 STATUS_GENERAL WARN BUG REASON="x(): Bug: y"`, `
			08:00:00 WARN x(): Bug: y`,
	}, {
		"log-error", "error", "Tor logged an error, after which it usually ends.", `
			08:00:00 ERR Reading config failed--see warnings above.`, `
			08:00:00 WARN Reading config failed--see warnings above.`,
	}, {
		"log-repeats", "notice", "Tor warned 20 times: Received http status code 404 (\"Not found\") from server 192.0.2.101:80.", `
			20x1s 08:00:00 WARN Received http status code 404 ("Not found") from server 192.0.2.{n}:80.`, `
			19x1s 08:00:00 WARN Received http status code 404 ("Not found") from server 192.0.2.{n}:80.
			30x1s 08:00:00 WARN Bug:     /usr/sbin/tor(log_backtrace_impl+0x{n}) (on Tor 0.4.9.11 )
			19x1s 08:00:00 WARN Received nothing from server 192.0.2.{n}:80.`,
	},
}

// Each rule finds what it is for, and not what comes next to it.
func TestRules(t *testing.T) {
	tested := map[string]bool{"ring-too-small": true} // see TestRingTooSmall
	for _, c := range ruleCases {
		tested[c.rule] = true
		var got []string
		for _, f := range findings(t, story(t, many(t, c.found)), journal.Range{}) {
			if f.Rule != c.rule {
				continue
			}
			got = append(got, f.Severity+": "+f.What)
			if len(f.Records) == 0 || f.Last.IsZero() || len(f.Next) == 0 {
				t.Errorf("%s has no evidence or no next step: %+v", c.rule, f)
			}
			if !slices.IsSorted(f.Records) || len(f.Records) > shownRecords {
				t.Errorf("%s names the records %v", c.rule, f.Records)
			}
		}
		if want := []string{c.severity + ": " + c.what}; !slices.Equal(got, want) {
			t.Errorf("%s found\n\t%q, want\n\t%q in\n%s", c.rule, got, want, c.found)
		}
		for _, f := range findings(t, story(t, many(t, c.not)), journal.Range{}) {
			if f.Rule == c.rule {
				t.Errorf("%s found %q in\n%s", c.rule, f.What, c.not)
			}
		}
	}
	for _, name := range RuleNames() {
		if !tested[name] {
			t.Errorf("rule %s has no test", name)
		}
	}
}

// The ring gave up a part of what was asked for, of an hour ago.
func TestRingTooSmall(t *testing.T) {
	m := story(t, "08:30:00 BW 1 1\n08:40:00 BW 1 1")
	r := journal.Range{Since: clock(t, "08:00:00")}
	if all := findings(t, m, r); len(all) != 0 {
		t.Errorf("of a journal that begins then: %+v", all[0])
	}
	for i := range m.recs {
		m.recs[i].Seq += 100
	}
	m.sessions[0].First = 1
	all := findings(t, m, r)
	if len(all) != 1 || all[0].Rule != "ring-too-small" || all[0].What != "The journal holds the last 10 min only: the ring has given up what was before." {
		t.Errorf("found %+v", all)
	}
	m.recs[1].Time = m.recs[0].Time.Add(smallRing - time.Second)
	if all := findings(t, m, r); len(all) != 1 || !strings.Contains(all[0].What, "the last 11 h only") {
		t.Errorf("of nearly twelve hours: %+v", all)
	}
	m.recs[1].Time = m.recs[0].Time.Add(12 * time.Hour)
	if all := findings(t, m, r); len(all) != 0 {
		t.Errorf("of twelve hours: %+v", all[0])
	}
	if all := findings(t, m, journal.Range{Since: clock(t, "08:35:00")}); len(all) != 0 {
		t.Errorf("of the range that it holds: %+v", all[0])
	}
	m.recs[1].Time = m.recs[0].Time.Add(-time.Hour)
	if all := findings(t, m, journal.Range{Since: clock(t, "07:00:00")}); len(all) != 0 {
		t.Errorf("of an older log that was imported later: %+v", all[0])
	}
}

// A session of which records are gone is told of, and none of which all are there.
func TestRingTooSmallForASession(t *testing.T) {
	m := story(t, "08:00:00 BW 1 1\n08:30:00 BW 1 1\n08:40:00 BW 1 1\nsession 2\n08:45:00 BW 1 1")
	m.recs = m.recs[1:]
	since := clock(t, "07:00:00")
	for _, r := range []journal.Range{{Session: 1}, {Session: 1, Since: since}} {
		all := findings(t, m, r)
		if len(all) != 1 || all[0].Rule != "ring-too-small" || all[0].What != "The journal holds the last 15 min only: the ring has given up the beginning of session 1, records 1 to 1." ||
			!slices.Equal(all[0].Records, []uint64{2}) || !all[0].First.Equal(clock(t, "08:30:00")) {
			t.Errorf("of %+v: %+v", r, all)
		}
	}
	for _, r := range []journal.Range{{Session: 2}, {Session: 2, Since: since}, {Session: 1, Since: clock(t, "08:35:00")}, {}} {
		if all := findings(t, m, r); len(all) != 0 {
			t.Errorf("of %+v: %+v", r, all[0])
		}
	}
	whole := story(t, "08:00:00 BW 1 1")
	if all := findings(t, whole, journal.Range{Session: 1}); len(all) != 0 {
		t.Errorf("of a whole journal: %+v", all[0])
	}
}

// What happened before the range and after it is none of its findings, but for
// what still holds.
func TestDoctorKeepsToItsRange(t *testing.T) {
	m := story(t, many(t, `
		20x1s 08:00:00 WARN This is said again and again.
		08:01:00 STATUS_CLIENT NOTICE NOT_ENOUGH_DIR_INFO
		30x1s 09:00:00 BW 1 1
		20x1s 10:00:00 WARN This is said again and again.`))
	r := journal.Range{Since: clock(t, "08:30:00"), Until: clock(t, "09:30:00")}
	all := findings(t, m, r)
	if len(all) != 1 || all[0].Rule != "no-directory-info" || !slices.Equal(all[0].Records, []uint64{21}) {
		t.Fatalf("found %+v", all)
	}
	if want := "torjournal replay -e STATUS_CLIENT,NOTICE,WARN --since 2026-11-23T08:30:00Z --until 2026-11-23T09:30:00Z"; all[0].Next[0] != want {
		t.Errorf("it says what to ask next\n\t%s, want\n\t%s", all[0].Next[0], want)
	}
	// Nothing was recorded since the recorder was stopped.
	m = story(t, "08:00:00 BW 1 1\n08:00:01 JOURNAL STOP PID=7")
	if all := findings(t, m, journal.Range{Since: clock(t, "09:00:00")}); len(all) != 1 || all[0].Rule != "recorder-stopped" {
		t.Errorf("found %+v", all)
	}
	if all := findings(t, m, journal.Range{Until: clock(t, "07:00:00")}); len(all) != 0 {
		t.Errorf("before the first record: %+v", all[0])
	}
	if all := findings(t, &memory{}, journal.Range{}); len(all) != 0 {
		t.Errorf("in an empty journal: %+v", all[0])
	}
}

// Errors come first, and parts of the answer are the answer.
func TestDoctorInParts(t *testing.T) {
	m := story(t, many(t, `
		2x1s 08:00:00 STATUS_GENERAL WARN BUG REASON="x(): Bug: y"
		3x1s 08:00:00 STATUS_CLIENT WARN DANGEROUS_SOCKS PROTOCOL=SOCKS5 ADDRESS=192.0.2.1:80
		08:00:03 STATUS_GENERAL WARN TOO_MANY_CONNECTIONS CURRENT=1000`))
	var names []string
	for _, f := range findings(t, m, journal.Range{}) {
		names = append(names, f.Rule)
	}
	if want := []string{"too-many-connections", "dangerous-socks", "tor-bug"}; !slices.Equal(names, want) {
		t.Errorf("found %v, want %v", names, want)
	}
	ask := func(part Part, emit func(Row) error) error {
		_, err := doctor(t.Context(), m, journal.Range{}, part, asRows[*Finding](emit))
		return err
	}
	whole, _ := pages(t, 1<<30, ask)
	if got, _ := pages(t, 1, ask); got != whole {
		t.Errorf("in parts:\n%s\nas a whole:\n%s", got, whole)
	}
}

// A tor that does its work gives no finding: it is restarted once, circuits fail
// now and then, a guard goes down and comes back, an application asks for a name
// that there is not.
func TestHealthyTorHasNoFinding(t *testing.T) {
	const week = `
		07:00:00 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=100 TAG=done SUMMARY="Done"
		07:00:00 GUARD ENTRY ` + guardA + ` UP
		07:00:00 GUARD ENTRY ` + guardB + ` UP
		07:00:01 CIRC 7 BUILT ` + guardA + `,$B,$C PURPOSE=GENERAL
		200x10s 07:00:00 CIRC {n} LAUNCHED PURPOSE=GENERAL
		200x10s 07:00:01 CIRC {n} BUILT ` + guardA + `,$B,$C PURPOSE=GENERAL
		200x10s 07:00:02 BUILDTIMEOUT_SET COMPUTED TOTAL_TIMES=100 TIMEOUT_MS=1500
		200x10s 07:00:03 BW 9 9
		40x10s 07:00:00 CIRC {n} LAUNCHED PURPOSE=GENERAL
		40x10s 07:00:02 CIRC {n} FAILED ` + guardA + ` PURPOSE=GENERAL REASON=TIMEOUT
		9x30s 07:10:00 CIRC {n} FAILED ` + guardA + `,$B PURPOSE=GENERAL REASON=DESTROYED REMOTE_REASON=CHANNEL_CLOSED
		200x10s 07:00:00 STREAM {n} NEW 0 good{n}.example:443 PURPOSE=USER
		200x10s 07:00:01 STREAM {n} SUCCEEDED 7 192.0.2.1:443
		200x10s 07:00:02 STREAM {n} CLOSED 7 192.0.2.1:443 REASON=DONE
		2x60s 07:20:00 STREAM {n} NEW 0 wrong.example:443 PURPOSE=USER
		2x60s 07:20:01 STREAM {n} FAILED 7 wrong.example:443 REASON=END REMOTE_REASON=RESOLVEFAILED
		07:15:00 GUARD ENTRY ` + guardA + ` DOWN
		07:25:00 GUARD ENTRY ` + guardA + ` UP
		07:16:00 BUILDTIMEOUT_SET RESET TOTAL_TIMES=0 TIMEOUT_MS=60000
		3x1s 07:00:00 WARN Received http status code 404 ("Not found") from server 192.0.2.1:80.
		07:40:00 JOURNAL SOURCE_LOST REASON=CLOSED UPTIME=7
		session 2
		07:40:20 JOURNAL SOURCE_RESTORED SESSION=2 DOWN_MS=20000
		07:40:21 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=0 TAG=starting SUMMARY="Starting"
		07:40:40 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=100 TAG=done SUMMARY="Done"
		600x1s 07:41:00 BW 0 0`
	for _, f := range findings(t, story(t, many(t, week)), journal.Range{}) {
		t.Errorf("%s: %s", f.Rule, f.What)
	}
}

// The memory of an answer is bounded, however many kinds of lines there are.
func TestDoctorIsBounded(t *testing.T) {
	m := crowd(2000)
	at := m.recs[len(m.recs)-1].Time
	letters := func(n int) string {
		return strings.Map(func(c rune) rune { return c - '0' + 'a' }, strconv.Itoa(n))
	}
	for i := range 3 * maxKinds {
		m.add(1, at, "650 WARN "+letters(i)+"\r\n")
	}
	c := newChart(m, journal.Range{}, Part{}, chartTypes)
	if err := c.read(t.Context()); err != nil || len(c.seen[event.WARN]) != maxKinds || c.seen.kinds() > maxKinds+10 {
		t.Errorf("%d kinds, %v", c.seen.kinds(), err)
	}
	// Nor do they hide others.
	m.add(1, at, "650 STATUS_GENERAL WARN CLOCK_SKEW SKEW=-7200 SOURCE=OR:192.0.2.1:9001\r\n")
	for i := range 3 * maxKinds {
		m.add(1, at, fmt.Sprintf("650 ORCONN $%040d~a FAILED REASON=TIMEOUT NCIRCS=1 ID=%d\r\n", i, i))
	}
	skew := false
	for _, f := range findings(t, m, journal.Range{}) {
		switch f.Rule {
		case "clock-skew":
			skew = true
		case "connections-failing":
			if f.Count != 3*maxKinds {
				t.Errorf("%+v", f)
			}
		}
	}
	if !skew {
		t.Error("what comes after too many kinds of lines is not seen")
	}
	n := 0
	if _, err := doctor(t.Context(), m, journal.Range{}, Part{Memory: 16 << 20}, func(*Finding) error { n++; return nil }); err != nil {
		t.Errorf("%d findings, %v", n, err)
	}
	if _, err := doctor(t.Context(), m, journal.Range{}, Part{Memory: 1 << 10}, func(*Finding) error { return nil }); err != ErrTooMuch {
		t.Errorf("in 1 KiB: %v", err)
	}
}

// What streams are kept apart by is no evidence.
func TestFindingsShowNoPassword(t *testing.T) {
	m := story(t, many(t, `
		10x1s 08:01:00 STREAM {n} NEW 0 b.example:80 PURPOSE=USER SOCKS_USERNAME="secret" SOCKS_PASSWORD="secret"
		10x1s 08:01:00 STREAM {n} FAILED 0 b.example:80 REASON=TIMEOUT SOCKS_USERNAME="secret" SOCKS_PASSWORD="secret"`))
	all := findings(t, m, journal.Range{})
	text, err := json.Marshal(all)
	if err != nil || len(all) != 1 || strings.Contains(string(text), "secret") {
		t.Errorf("%s, %v", text, err)
	}
}

// What the doctor says of the tors that the corpora were recorded of: of each it
// is known what was done to it (README.md beside them).
//
//   - client: a SOCKS5 proxy and a transport that are not there, guards stopped and
//     killed, DROPTIMEOUTS and DisableNetwork, SOCKS5 by address, targets that refuse,
//     onion services that do not exist, option lists set again and again.
//   - client2-hs, exit, relay: circuits over relays that were killed and stopped.
//   - exit: no name server.
//   - the authority and the seconds of INFO were let alone.
func TestDoctorOfCorpora(t *testing.T) {
	want := map[string][]string{
		"client": {
			"transport-failing", "first-hop-failing", "circuits-failing", "build-timeout-reset", "dangerous-socks",
			"build-timeout-swinging", "streams-failing", "onion-not-found", "onion-not-found", "onion-not-found", "tor-bug", "log-repeats",
		},
		"client2-hs":         {"circuits-failing"},
		"exit":               {"nameservers-down", "circuits-failing", "log-repeats", "log-repeats"},
		"relay":              {"circuits-failing", "log-repeats", "log-repeats"},
		"auth":               nil,
		"short-debug-client": {"onion-not-found"},
		"short-info-relay":   nil,
	}
	for _, file := range corpora(t) {
		name, whole := strings.CutSuffix(filepath.Base(file), ".jsonl.zst")
		if !whole {
			continue // samples leave out what says that something is over
		}
		var got []string
		for _, f := range findings(t, corpus(t, file), journal.Range{}) {
			got = append(got, f.Rule)
		}
		if !slices.Equal(got, want[name]) {
			t.Errorf("%s: found %q, want %q", name, got, want[name])
		}
	}
}
