package main

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

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
	if out, _ := torjournal(t, 0, "status", "--journal", journal); !strings.Contains(out, "NOT WRITING since") || !strings.Contains(out, "ulimit -f") {
		t.Errorf("status says\n%s", out)
	}
	r.limitFiles(0)
	mark := sub.awaitEvent(t, "there is room again", isJournal("JOURNALED COUNT="))
	stopLoad()
	sub.must(t, "SETCONF MaxCircuitDirtiness=4711")
	last := func(w string) bool { return strings.Contains(w, "CONF_CHANGED") && strings.Contains(w, "4711") }
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

// startLimited starts a recorder that can make no file larger than size: 0 is
// a disk on which nothing can be written, the journal's own size one that is
// full.
func startLimited(t *testing.T, size int64, journal string, args ...string) *recorder {
	t.Helper()
	line := fmt.Sprintf(`ulimit -f %d; exec torjournal "$@"`, size/512) // POSIX: in units of 512 bytes
	return launchCommand(t, journal, exec.Command("sh", append([]string{"-c", line, "sh", "run", "--journal", journal}, args...)...))
}

// startFull starts a recorder whose journal cannot grow, and returns when
// events are missing in it. The file may have room for a MiB, so what is
// recorded are texts that no compression shortens much.
func startFull(t *testing.T, journal, port string, args ...string) *recorder {
	t.Helper()
	info, err := os.Stat(journal)
	if err != nil {
		t.Fatal(err)
	}
	r := startLimited(t, info.Size(), journal, append(args, "--control", port)...)
	r.answers()
	r.attached()
	sub := subscribe(t, port, ownCookie, "CONF_CHANGED")
	random, text := rand.NewChaCha8([32]byte{}), make([]byte, 12<<10)
	r.await("events are missing", func() bool {
		_, _ = random.Read(text)
		sub.must(t, fmt.Sprintf("SETCONF ContactInfo=%q", base64.StdEncoding.EncodeToString(text)))
		return r.status().Journal.Unjournaled > 20
	})
	return r
}

// ended waits until a recorder has ended with an error, and returns what it
// said.
func (r *recorder) ended() string {
	r.t.Helper()
	select {
	case <-r.exited:
	case <-time.After(patience):
		r.t.Fatalf("it has not ended after %v\n%s", patience, r.log)
	}
	if r.err == nil {
		r.t.Error("it ended as if all were well")
	}
	return r.log.String()
}

// marked starts recorders on a journal twice and returns the one mark of
// missing events that it then has, and its number.
func marked(t *testing.T, journal string, args ...string) (seq int, mark string) {
	t.Helper()
	for range 2 {
		r := startRecorder(t, journal, args...)
		r.attached()
		r.stop()
		marks := 0
		for n, wire := range journaled(t, journal) {
			if strings.HasPrefix(wire, "650 JOURNAL JOURNALED ") {
				marks++
				seq, mark = n, wire
			}
		}
		if marks != 1 {
			t.Fatalf("%d marks of missing events, want 1", marks)
		}
	}
	return seq, mark
}

// What is missing when a recorder ends on a full disk is journaled by the next
// one, before anything else, once and to the number.
func TestEndOnFullDisk(t *testing.T) {
	needReal(t)
	tor := loneTor(t, testnet.TorOptions{})
	journal, port := journalIn(t), freePort(t)
	attach := []string{"--attach", tor.ControlAddr}
	r := startRecorder(t, journal, attach...)
	r.attached()
	r.stop()
	r = startFull(t, journal, port, attach...)
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	said := r.ended()
	lost := regexp.MustCompile(`(\d+) events are lost.*the journal will tell of them when it is opened for writing next`).FindStringSubmatch(said)
	if lost == nil {
		t.Fatalf("it says\n%s", said)
	}
	had := len(journaled(t, journal))
	seq, mark := marked(t, journal, attach...)
	if seq != had+1 || !strings.Contains(mark, " COUNT="+lost[1]+" TYPES=") {
		t.Errorf("%s events were lost after record %d, record %d is %q", lost[1], had, seq, mark)
	}
}

// A recorder that is killed on a full disk leaves word of most of it.
func TestKilledOnFullDisk(t *testing.T) {
	needReal(t)
	tor := loneTor(t, testnet.TorOptions{})
	journal, port := journalIn(t), freePort(t)
	attach := []string{"--attach", tor.ControlAddr}
	r := startRecorder(t, journal, attach...)
	r.attached()
	r.stop()
	r = startFull(t, journal, port, attach...)
	r.kill()
	had := len(journaled(t, journal))
	if seq, mark := marked(t, journal, attach...); seq != had+1 || strings.Contains(mark, " COUNT=0 ") {
		t.Errorf("after record %d, record %d is %q", had, seq, mark)
	}
}

// A recorder that cannot write anything from its start on lets its controllers
// in with the cookie of before, and delivers.
func TestStartWhereNothingCanBeWritten(t *testing.T) {
	needReal(t)
	tor := loneTor(t, testnet.TorOptions{})
	journal, port := journalIn(t), freePort(t)
	args := []string{"--attach", tor.ControlAddr, "--control", port}
	r := startRecorder(t, journal, args...)
	r.attached()
	r.stop()
	r = startLimited(t, 0, journal, args...)
	r.answers()
	r.attached()
	sub := subscribe(t, port, ownCookie, "CONF_CHANGED")
	sub.must(t, "SETCONF MaxCircuitDirtiness=4711")
	sub.awaitEvent(t, "it is delivered", func(w string) bool { return strings.Contains(w, "4711") })
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	said := r.ended()
	for _, want := range []string{"no new cookie can be written: controllers authenticate with the one of before", "events are lost", "nothing else will tell of them"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q but\n%s", want, said)
		}
	}
}

// A start that fails leaves no end without a beginning in the journal.
func TestFailedStartLeavesNothing(t *testing.T) {
	journal := journalIn(t)
	r := startRecorder(t, journal, "--attach", "127.0.0.1:1")
	r.stop()
	r = startLimited(t, 0, journal, "--attach", "127.0.0.1:1", "--control", freePort(t))
	if said := r.ended(); !strings.Contains(said, "write the cookie file "+journal+".cookie") || !strings.Contains(said, "see whether the disk is full") {
		t.Errorf("it says\n%s", said)
	}
	if have := journaled(t, journal); len(have) != 0 {
		t.Errorf("the journal has %v", have)
	}
}
