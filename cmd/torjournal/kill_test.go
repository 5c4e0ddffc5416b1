package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"torjournal/tor/testnet"
)

// killRounds is how often the recorder is killed, each time on the journal
// that the round before left.
var killRounds = flag.Int("kill-rounds", 20, "how often the recorder is killed")

// Whatever a subscriber had received when the recorder was killed is in the
// journal, under the number the subscriber was told (guarantee G1), and the
// numbers have no hole.
func TestKilledRecorderHasJournaledWhatSubscribersReceived(t *testing.T) {
	needReal(t)
	tor := loneTor(t, testnet.TorOptions{})
	journal, port := journalIn(t), freePort(t)
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)

	var received, lastSeq int
	for round := range *killRounds {
		r := startRecorder(t, journal, "--attach", tor.ControlAddr, "--control", port, "--record", "all")
		r.attached()
		sub := connect(t, port, ownCookie)
		sub.must(t, "USEFEATURE JOURNAL_META")
		// Every command makes tor say something at DEBUG.
		sub.must(t, "SETEVENTS DEBUG INFO NOTICE CONF_CHANGED SIGNAL BW")
		stopLoad := load(t, port)
		sub.awaitEvent(t, "load", func(w string) bool { return strings.HasPrefix(w, "650-CONF_CHANGED") })
		// However slow the machine is: each event comes with its number before it.
		r.await("a hundred events are received", func() bool { return len(sub.received()) > 2*100 })
		time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond) // the random moment
		r.kill()
		stopLoad()
		<-sub.Done()

		got := numbered(t, sub.received())
		have := journaled(t, journal)
		for seq, wire := range got {
			if have[seq] != wire {
				t.Fatalf("round %d (seed %d): the subscriber received %d as %q, the journal has %q", round, seed, seq, wire, have[seq])
			}
		}
		for seq := 1; seq <= len(have); seq++ {
			if _, ok := have[seq]; !ok {
				t.Fatalf("round %d (seed %d): record %d of %d is missing", round, seed, seq, len(have))
			}
		}
		if len(have) <= lastSeq {
			t.Fatalf("round %d (seed %d): the journal has %d records, before the round it had %d", round, seed, len(have), lastSeq)
		}
		lastSeq = len(have)
		received += len(got)
	}
	if received < 100*(*killRounds) {
		t.Errorf("only %d events in %d rounds: that was no load", received, *killRounds)
	}
	t.Logf("%d events received in %d rounds, %d records journaled", received, *killRounds, lastSeq)
}

// load keeps a tor busy through torjournal until the returned func is called.
func load(t *testing.T, port string) (stop func()) {
	t.Helper()
	c := connect(t, port, ownCookie)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ctx := t.Context()
		for i := 0; ; i++ {
			if err := c.Forward(ctx, fmt.Appendf(nil, "SETCONF MaxCircuitDirtiness=%d\r\n", 600+i%1000), io.Discard); err != nil {
				return
			}
		}
	}()
	return func() {
		_ = c.Close()
		<-done
	}
}

// numbered pairs each event with the number that JOURNAL_META told before it.
func numbered(t *testing.T, wires []string) map[int]string {
	t.Helper()
	got := map[int]string{}
	seq := 0
	for _, w := range wires {
		if rest, ok := strings.CutPrefix(w, "650 JOURNAL AT SEQ="); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatalf("%q: %v", w, err)
			}
			seq = n
			continue
		}
		if seq == 0 {
			t.Fatalf("%q came without its number", w)
		}
		got[seq] = w
		seq = 0
	}
	return got
}

// journaled reads every record of the journal, as a user would.
func journaled(t *testing.T, journal string) map[int]string {
	t.Helper()
	out, _ := torjournal(t, 0, "replay", "--journal", journal, "--since", "1d", "-o", "json")
	have := map[int]string{}
	for dec := json.NewDecoder(strings.NewReader(out)); ; {
		var rec struct {
			Seq int    `json:"seq"`
			Raw string `json:"raw"`
		}
		if err := dec.Decode(&rec); err == io.EOF {
			return have
		} else if err != nil {
			t.Fatal(err)
		}
		if _, twice := have[rec.Seq]; twice {
			t.Fatalf("record %d is there twice", rec.Seq)
		}
		have[rec.Seq] = rec.Raw
	}
}
