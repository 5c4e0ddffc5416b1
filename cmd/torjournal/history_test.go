package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"torjournal/tor/testnet"
)

// HISTORY gives a controller what `torjournal query --json` prints: asked by
// stem, of a tor that builds circuits, and of the past of another tor. When the
// network is dead at last, the doctor says so.
func TestHistoryIsWhatQueryPrints(t *testing.T) {
	needReal(t)
	path, control := journalIn(t), freePort(t)
	corpus, err := filepath.Abs("../../testdata/corpus/client.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	torjournal(t, 0, "import", "--journal", path, corpus)
	net := network(t, testnet.Options{Exits: 5, Middles: 3})
	client := net.Client(0)
	r := startRecorder(t, path, "--attach", client.ControlAddr, "--control", control, "--record", "all")
	r.attached()
	s := subscribe(t, control, ownCookie, "CIRC")
	s.awaitEvent(t, "a circuit is built", func(wire string) bool { return strings.Contains(wire, " BUILT ") })

	until := fmt.Sprintf("@%.3f", float64(time.Now().UnixMilli())/1e3)
	for _, q := range []struct {
		history, flags string
	}{
		{"RECORDS TYPES=CIRC,STREAM", ""},
		{"CIRCUITS", "query circuits"},
		{"CIRCUITS STATUS=built", "query circuits --status built"},
		{"CIRCUITS SESSION=1 PURPOSE=GENERAL", "query circuits --session 1 --purpose GENERAL"},
		{"CIRCUITS RELAY=exit0 SLOWER=1s", "query circuits --relay exit0 --slower 1s"},
		{"BANDWIDTH STEP=1d", "query bandwidth --step 1d"},
		{"OUTAGES", "query outages"},
		{"COMMANDS COUNTS=1", "query commands --counts"},
	} {
		args := append(strings.Fields(q.flags), "--json")
		if q.flags == "" {
			args = []string{"replay", "-e", "CIRC,STREAM", "-o", "json"}
		}
		printed, _ := torjournal(t, 0, append(args, "--journal", path, "--since", "@0", "--until", until)...)
		told, _ := python(t, "testdata/stem_history.py", port(t, control), q.history+" SINCE=@0 UNTIL="+until)
		if told != printed {
			t.Errorf("HISTORY %s:\n--- stem was told\n%.1000s\n--- printed\n%.1000s", q.history, told, printed)
		}
		if n := strings.Count(printed, "\n"); n == 0 && !strings.HasPrefix(q.history, "COMMANDS") && !strings.Contains(q.history, "SLOWER") {
			t.Errorf("HISTORY %s: no rows", q.history)
		}
	}
	if told, _ := python(t, "testdata/stem_history.py", port(t, control), "CIRCUITS SINCE=1h"); !strings.Contains(told, `"outcome":"open"`) {
		t.Errorf("the last hour has no open circuit:\n%s", told)
	}
	doctorSeesDeadRelays(t, net, r, s)
}
