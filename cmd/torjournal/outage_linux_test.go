package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"torjournal/tor/controlport"
	"torjournal/tor/testnet"
)

// limitFiles sets how large files may become that the recorder writes: a disk
// that is full, and has room again. 0 takes the limit away.
func (r *recorder) limitFiles(size uint64) {
	r.t.Helper()
	if size == 0 {
		size = unix.RLIM_INFINITY
	}
	limit := unix.Rlimit{Cur: size, Max: unix.RLIM_INFINITY}
	if err := unix.Prlimit(r.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		r.t.Skipf("limits of another process cannot be set: %v", err)
	}
}

// A recorder whose disk is full goes on delivering what tor says, byte for
// byte and in order, tells so who asks, and when there is room again goes on
// recording: with the number of events that are missing in between (guarantee
// G6).
func TestFullDiskHoldsNobodyUp(t *testing.T) {
	needReal(t)
	tor := loneTor(t, testnet.TorOptions{})
	journal, port := journalIn(t), freePort(t)
	r := startRecorder(t, journal, "--attach", tor.ControlAddr, "--control", port, "--record", "all", "--commit-delay", "20ms")
	r.attached()
	direct := subscribe(t, tor.ControlAddr, controlport.Credentials{}, "CONF_CHANGED")
	sub := subscribe(t, port, ownCookie, "CONF_CHANGED JOURNAL")
	noise := subscribe(t, port, ownCookie, "DEBUG INFO")

	info, err := os.Stat(journal)
	if err != nil {
		t.Fatal(err)
	}
	r.limitFiles(uint64(info.Size()))
	stopLoad := load(t, port)
	sub.awaitEvent(t, "the disk is full", isJournal("UNJOURNALED SINCE="))
	before := len(noise.received())
	r.await("events are delivered all the same", func() bool { return len(noise.received()) > before+1000 })
	st := r.status().Journal
	if st.Outage == nil || st.Unjournaled == 0 || st.WriteError == "" {
		t.Errorf("status during the outage: %+v", st)
	}
	if out, _ := torjournal(t, 0, "status", "--journal", journal); !strings.Contains(out, "NOT WRITING since") || !strings.Contains(out, "make room") {
		t.Errorf("status says\n%s", out)
	}
	r.limitFiles(0)
	mark := sub.awaitEvent(t, "there is room again", isJournal("JOURNALED COUNT="))
	stopLoad()
	sub.must(t, "SETCONF MaxCircuitDirtiness=4711")
	last := func(w string) bool { return strings.Contains(w, "4711") }
	sub.awaitEvent(t, "the end", last)
	direct.awaitEvent(t, "the end at tor", last)

	got := slices.DeleteFunc(sub.received(), func(w string) bool { return strings.HasPrefix(w, "650 JOURNAL") || strings.HasPrefix(w, "650+JOURNAL") })
	if want := direct.received(); !slices.Equal(got, want) {
		t.Errorf("tor sent %d events, the subscriber received %d, not the same", len(want), len(got))
	}
	r.stop()
	marks := 0
	for _, wire := range journaled(t, journal) {
		if strings.HasPrefix(wire, strings.TrimSuffix(mark, "\r\n")) {
			marks++
		}
	}
	if marks != 1 {
		t.Errorf("the journal has the mark %q %d times", mark, marks)
	}
	t.Log(strings.TrimSpace(mark))
}

func isJournal(what string) func(string) bool {
	return func(wire string) bool { return strings.HasPrefix(wire, "650 JOURNAL "+what) }
}
