package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"torjournal/control"
	"torjournal/journal"
	"torjournal/tor/controlport"
	"torjournal/tor/event"
	"torjournal/tor/testnet"
)

// tailing is `torjournal tail` in a process of its own.
type tailing struct {
	t         *testing.T
	cmd       *exec.Cmd
	out, errs lockedBuffer
	ended     chan struct{}
}

func startTail(t *testing.T, args ...string) *tailing {
	t.Helper()
	l := &tailing{t: t, cmd: exec.Command("torjournal", append([]string{"tail"}, args...)...), ended: make(chan struct{})}
	l.cmd.Stdout, l.cmd.Stderr = &l.out, &l.errs
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = l.cmd.Wait()
		close(l.ended)
	}()
	t.Cleanup(func() {
		_ = l.cmd.Process.Kill()
		<-l.ended
	})
	return l
}

// await waits until what was printed, or said, holds a text so many times.
func (l *tailing) await(text string, times int) {
	l.t.Helper()
	for deadline := time.Now().Add(patience); strings.Count(l.out.String()+l.errs.String(), text) < times; {
		select {
		case <-l.ended:
			l.t.Fatalf("waiting for %d of %q: tail has ended: %s\n%s", times, text, l.out.String(), l.errs.String())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("waiting for %d of %q; tail printed\n%s\nand said\n%s", times, text, l.out.String(), l.errs.String())
		}
	}
}

// interrupt is ^C: the end is no failure.
func (l *tailing) interrupt() {
	l.t.Helper()
	_ = l.cmd.Process.Signal(os.Interrupt)
	select {
	case <-l.ended:
	case <-time.After(patience):
		l.t.Fatal("^C does not end tail")
	}
	if code := l.cmd.ProcessState.ExitCode(); code != 0 {
		l.t.Errorf("^C: exit %d\n%s", code, l.errs.String())
	}
}

// numbers returns the sequence numbers of JSON lines.
func numbers(t *testing.T, out string) (seqs []uint64) {
	t.Helper()
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		var r struct{ Seq uint64 }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		seqs = append(seqs, r.Seq)
	}
	return seqs
}

// contiguous checks that each number from the first to the last came once.
func contiguous(t *testing.T, seqs []uint64, first, last uint64) {
	t.Helper()
	if len(seqs) == 0 || seqs[0] != first || seqs[len(seqs)-1] != last {
		t.Errorf("the numbers are %v, want %d to %d", seqs, first, last)
	}
	for i := 1; i < len(seqs); i++ {
		if seqs[i] != seqs[i-1]+1 {
			t.Errorf("%d follows %d", seqs[i], seqs[i-1])
		}
	}
}

// Tail waits for a recorder that there is not yet, and survives it when it is
// stopped, killed and started again: each record is shown once, in order.
func TestTailSurvivesTheRecorder(t *testing.T) {
	needReal(t)
	tor := loneTor(t, testnet.TorOptions{})
	place, port := journalIn(t), freePort(t)
	l := startTail(t, "--journal", place, "-o", "json")
	chosen := startTail(t, "--journal", place, "-o", "wire", "--where", `Type == "SIGNAL" && Signal == "DUMP"`)
	l.await("no recorder runs on "+place+" yet; waiting for one", 1)
	life := func(n int) *recorder {
		r := startRecorder(t, place, "--attach", tor.ControlAddr, "--control", port)
		r.attached()
		sub := subscribe(t, port, ownCookie, "SIGNAL")
		for range 20 {
			sub.must(t, "SIGNAL DUMP")
		}
		l.await("650 SIGNAL DUMP", 20*n)
		return r
	}
	life(1).stop()
	l.await("the recorder has ended; waiting for it", 1)
	life(2).kill()
	l.await("the recorder has ended; waiting for it", 2)
	r := life(3)
	l.await("the recorder is back", 2)
	chosen.await("650 SIGNAL DUMP\r\n", 60)
	atTor := startTail(t, "--control", tor.ControlAddr, "-e", "SIGNAL", "-o", "wire")
	atUs := startTail(t, "--control", port, "-e", "SIGNAL", "-n", "7", "-o", "wire")
	atUs.await("650 SIGNAL DUMP\r\n", 7)
	sub := connect(t, tor.ControlAddr, controlport.Credentials{})
	for !strings.Contains(atTor.out.String(), "650 SIGNAL RELOAD\r\n") { // it subscribes when it likes
		sub.must(t, "SIGNAL RELOAD")
		time.Sleep(20 * time.Millisecond)
	}
	atUs.await("650 SIGNAL RELOAD\r\n", 1)
	r.stop()
	last := `"raw":"650 JOURNAL STOP`
	l.await(last, 2)
	for _, l := range []*tailing{l, chosen, atTor, atUs} {
		l.interrupt()
	}
	if n := strings.Count(chosen.out.String(), "\n"); n != 60 {
		t.Errorf("%d lines of 60 were chosen:\n%s", n, chosen.out.String())
	}
	all, _ := torjournal(t, 0, "replay", "--journal", place, "--since", "1d", "-o", "json")
	if l.out.String() != all {
		t.Errorf("tail printed\n%s\nreplay says\n%s\nsaid: %s", l.out.String(), all, l.errs.String())
	}
	contiguous(t, numbers(t, l.out.String()), 1, uint64(strings.Count(all, "\n")))
}

// While nobody records, tail follows the file; and it notices that another
// journal takes its place.
func TestTailOfAFile(t *testing.T) {
	place := journalIn(t)
	early := startTail(t, "--journal", place, "-o", "json", "-n", "3") // of a journal that is not there yet all is shown
	early.await("yet; waiting for one", 1)
	written(t, place, 1, 12)
	early.await("650 BW 12 12", 1)
	early.interrupt()
	contiguous(t, numbers(t, early.out.String()), 1, 12)
	l := startTail(t, "--journal", place, "-o", "json", "-n", "3")
	l.await("no recorder runs on "+place+"; waiting for one", 1)
	l.await("650 BW 12 12", 1)
	none := startTail(t, "--journal", place, "-o", "json", "-n", "0")
	none.await("waiting for one", 1)
	written(t, place, 13, 15)
	l.await("650 BW 15 15", 1)
	none.await("650 BW 15 15", 1)
	contiguous(t, numbers(t, l.out.String()), 10, 15)
	contiguous(t, numbers(t, none.out.String()), 13, 15)
	none.interrupt()

	before := l.out.String()
	other := journalIn(t)
	written(t, other, 1, 4)
	if err := os.Rename(other, place); err != nil {
		t.Fatal(err)
	}
	r := startRecorder(t, place, "--attach", freePort(t))
	l.await("another journal is in this place; its records follow from the first", 1)
	l.await("650 BW 4 4", 1)
	r.stop()
	l.await("the recorder has ended; waiting for it", 1)
	written(t, place, 5, 6)
	l.await("650 BW 6 6", 1)
	contiguous(t, numbers(t, strings.TrimPrefix(l.out.String(), before)), 1, 6) // a recorder without a tor writes nothing itself

	before = l.out.String()
	if err := os.Remove(place); err != nil {
		t.Fatal(err)
	}
	l.await("no recorder runs on "+place+" yet; waiting for one", 1)
	written(t, place, 1, 3)
	l.await("another journal is in this place; its records follow from the first", 2)
	l.await("650 BW 3 3", 2)
	l.interrupt()
	contiguous(t, numbers(t, strings.TrimPrefix(l.out.String(), before)), 1, 3)
}

// until PATTERN ARGS… runs torjournal until what it prints or says matches,
// and ends it by ^C.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until PATTERN ARGS…")
	}
	pattern := regexp.MustCompile(args[0])
	cmd := exec.Command("torjournal", args[1:]...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), []string{"HOME=" + ts.Getenv("HOME"), "TZ=UTC"}
	var out, errs lockedBuffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	ts.Check(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	found := func() bool { return pattern.MatchString(out.String()) || pattern.MatchString(errs.String()) }
	for deadline := time.Now().Add(patience); !found(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = cmd.Process.Kill()
			ts.Fatalf("%v: no %q in %q, %q", <-ended, args[0], out.String(), errs.String())
		}
	}
	_ = cmd.Process.Signal(os.Interrupt)
	ts.Check(<-ended)
	fmt.Fprint(ts.Stdout(), out.String())
	fmt.Fprint(ts.Stderr(), errs.String())
}

// Colours are for terminals, and for who wants them.
func TestColours(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	if !coloured(terminal) || coloured(&lockedBuffer{}) {
		t.Error("a terminal gets no colours, or something else does")
	}
	t.Setenv("NO_COLOR", "1")
	if coloured(terminal) {
		t.Error("colours in spite of NO_COLOR")
	}
	for line, want := range map[string]string{
		"650 CIRC 7 FAILED REASON=TIMEOUT":     faint + "Jan 01 00:00:00.000000 " + plain + red + "CIRC 7 FAILED REASON=TIMEOUT" + plain + "\n",
		"650 CIRC 7 BUILT $A~a":                faint + "Jan 01 00:00:00.000000 " + plain + green + "CIRC 7 BUILT $A~a" + plain + "\n",
		"650 BW 1 2":                           faint + "Jan 01 00:00:00.000000 " + plain + faint + "BW 1 2" + plain + "\n",
		"650 NOTICE \x1b[2J":                   faint + "Jan 01 00:00:00.000000 " + plain + "NOTICE \\x1b[2J" + plain + "\n",
		"650 JOURNAL SOURCE_LOST REASON=ended": faint + "Jan 01 00:00:00.000000 " + plain + red + "JOURNAL SOURCE_LOST REASON=ended" + plain + "\n",
	} {
		var b strings.Builder
		out, err := newRecordPrinter(&b, "short", time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		out.colour = true
		wire := []byte(line + "\r\n")
		r := journal.Record{Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Type: event.TypeOf(wire), Wire: wire}
		if err := out.print(r); err != nil || out.w.Flush() != nil || b.String() != want {
			t.Errorf("%q, %v\nwant %q", b.String(), err, want)
		}
	}
}

// written appends events to the journal at path, and closes it.
func written(t *testing.T, path string, from, to int) {
	t.Helper()
	j, err := journal.Open(path, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	bandwidth(t, j, from, to)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func bandwidth(t *testing.T, j *journal.Journal, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		if err := j.Append(t.Context(), event.NewRaw(fmt.Appendf(nil, "650 BW %d %d\r\n", i, i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// serveControl serves a journal on a control port until it is stopped.
func serveControl(t *testing.T, j *journal.Journal, addr string, a control.Access) (stop func()) {
	t.Helper()
	ln, err := control.Listen(t.Context(), addr, "")
	if err != nil {
		t.Fatal(err)
	}
	s := control.NewServer(control.Options{Journal: j})
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background(), ln, a) }()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

// A torjournal's control port that goes and comes back: who may read history
// misses nothing, who may not is told.
func TestTailOfAControlPort(t *testing.T) {
	place, addr := journalIn(t), freePort(t)
	j, err := journal.Open(place, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	bandwidth(t, j, 1, 12)
	l := startTail(t, "--control", addr, "-o", "json", "-e", "BW")
	l.await("trying again", 1)
	stop := serveControl(t, j, addr, control.Access{NoAuth: true, History: true})
	l.await("650 BW 12 12", 1)
	live := startTail(t, "--control", addr, "-o", "json", "-n", "0", "--where", "Read > 14", "-e", "BW")
	odd := startTail(t, "--control", addr, "-o", "json", "-n", "2", "--where", "Read % 2 == 1", "-e", "BW")
	odd.await("650 BW 11 11", 1)
	for i := 13; !strings.Contains(live.out.String(), "BW"); i++ { // it subscribes when it likes
		bandwidth(t, j, i, i)
		time.Sleep(5 * time.Millisecond)
	}
	before := j.Stats().Last
	l.await(fmt.Sprintf("650 BW %d ", before), 1)
	stop()
	l.await("has closed the connection", 1)
	bandwidth(t, j, int(before)+1, int(before)+10)
	stop = serveControl(t, j, addr, control.Access{NoAuth: true, History: true})
	for _, l := range []*tailing{l, live, odd} {
		l.await("-- back --", 1)
	}
	bandwidth(t, j, int(before)+11, int(before)+12)
	end := before + 12
	l.await(fmt.Sprintf("650 BW %d ", end), 1)
	live.await(fmt.Sprintf("650 BW %d ", end), 1)
	odd.await(fmt.Sprintf("650 BW %d ", end-1+end%2), 1)
	contiguous(t, numbers(t, l.out.String()), 3, end)
	seqs := numbers(t, live.out.String())
	contiguous(t, seqs, seqs[0], end)
	for i, n := range numbers(t, odd.out.String()) {
		if n != uint64(9+2*i) {
			t.Errorf("the odd ones are %v", numbers(t, odd.out.String()))
			break
		}
	}
	stop()
	l.await("has closed the connection", 2)
	stop = serveControl(t, j, addr, control.Access{NoAuth: true})
	l.await("back; what happened meanwhile may not be read by this controller", 1)
	for _, l := range []*tailing{l, live, odd} {
		l.interrupt()
	}
	_, stderr := torjournal(t, 2, "tail", "--control", addr, "-n", "5")
	if !strings.Contains(stderr, "does not let this controller read history") {
		t.Errorf("without the privilege -n says: %s", stderr)
	}
	stop()
}

// A tor knows nothing of journals: its events are shown as they come, and what
// is missed is said to be unknown.
func TestTailOfATor(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	asked := make(chan string, 10)
	go func() {
		for n := 1; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			talkLikeTor(c, asked, fmt.Sprintf("650 CIRC %d BUILT\r\n650 CIRC %d FAILED REASON=TIMEOUT\r\n650 BW %d 1\r\n", n, n, n))
		}
	}()
	l := startTail(t, "--control", ln.Addr().String(), "--where", `Status == "FAILED" or Read > 0`, "-o", "wire")
	l.await("650 BW 1 1\r\n", 1)
	l.await("back; what happened meanwhile is not known", 2)
	l.await("650 BW 3 1\r\n", 1)
	l.interrupt()
	if got := <-asked; got != "SETEVENTS CIRC STREAM BW" {
		t.Errorf("tail asked for %q", got)
	}
	if out := l.out.String(); strings.Contains(out, "BUILT") || !strings.Contains(out, "650 CIRC 2 FAILED REASON=TIMEOUT\r\n") {
		t.Errorf("tail printed %q", out)
	}
	if _, stderr := torjournal(t, 2, "tail", "--control", ln.Addr().String(), "-n", "5"); !strings.Contains(stderr, "leave -n away") {
		t.Errorf("-n of a tor says: %s", stderr)
	}
}

// talkLikeTor answers as tor does, sends events and ends.
func talkLikeTor(c net.Conn, asked chan<- string, events string) {
	defer c.Close()
	in := bufio.NewScanner(c)
	for in.Scan() {
		answer := "250 OK\r\n"
		switch line := in.Text(); {
		case strings.HasPrefix(line, "PROTOCOLINFO"):
			answer = "250-PROTOCOLINFO 1\r\n250-AUTH METHODS=NULL\r\n250-VERSION Tor=\"0.4.9.11\"\r\n250 OK\r\n"
		case strings.HasPrefix(line, "USEFEATURE"):
			answer = "552 Unrecognized feature \"JOURNAL_META\"\r\n"
		case line == "GETINFO events/names":
			answer = "250-events/names=CIRC STREAM BW DEBUG NOTICE\r\n250 OK\r\n"
		case strings.HasPrefix(line, "SETEVENTS"):
			select {
			case asked <- line:
			default:
			}
			_, _ = c.Write([]byte(answer + events))
			return
		}
		if _, err := c.Write([]byte(answer)); err != nil {
			return
		}
	}
}
