// Bench measures torjournal beside its peers, in one run on one machine, and
// prints a Markdown table: our figure, the peer's, the ratio and the goal.
//
// It drives the real program: a recorder process is attached to a control port
// that this process plays, and subscribers are sockets of this process. What
// has no control port (sizes, bytes written, opening) goes through the
// journal's own door, with a clock of the bench. Peers (package peer) are
// processes too, so that their libraries stay out of torjournal and out of
// this program.
//
// It needs Linux: it counts what a process wrote and holds in /proc. It runs in
// its own folder, as `make bench` starts it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// measurement is one part of the run; it can run alone.
type measurement struct {
	name string
	does string
	run  func(context.Context, *bench) ([]row, error)
}

// measurements in the order in which they run: what other processes' writes
// could disturb comes first.
var measurements = []measurement{
	{"latency", "arrival to a subscriber's socket, against bare bbolt commits", latency},
	{"asking", "the same beside questions of the past on the control port", asking},
	{"ingest", "durable ingest through sockets, against a text log, SQLite and stem", ingest},
	{"fanout", "1,000 subscribers, against NATS", fanout},
	{"encode", "making a sealed block", encode},
	{"scan", "reading everything, and BW only", scan},
	{"replay", "replay --since 1h from a journal of 30 days", replaySince},
	{"questions", "what people ask of a journal of 30 days, exports, and a recorder beside them", questions},
	{"opening", "open and first commit after kill -9", opening},
	{"commit", "bytes written for a commit a second", commitBytes},
	{"written", "bytes written for each byte kept", writtenBytes},
	{"size", "bytes an event in the vacuumed file, for each corpus", size},
	{"heap", "the daemon's heap with 1,000 stalled subscribers", heap},
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == crashWriterArg {
		crashWriter(os.Args[2])
		return
	}
	var b bench
	var which string
	var list bool
	flag.StringVar(&which, "run", ".", "measure what this `regexp` matches")
	flag.BoolVar(&list, "list", false, "list what can be measured")
	flag.BoolVar(&b.quick, "quick", false, "fewer and smaller rounds: under two minutes, weak figures")
	flag.StringVar(&b.corpus, "corpus", "../corpus", "`folder` of NAME.jsonl or NAME.jsonl.zst, {\"t\":…,\"raw\":…} a line")
	flag.StringVar(&b.program, "torjournal", "../../bin/torjournal", "the `program` to measure")
	flag.StringVar(&b.asked, "journal", "", "the `file` that questions are asked of; without it one is made")
	flag.StringVar(&b.root, "dir", "../../.cache/bench", "`folder` on the disk to measure on; what is made there is removed")
	flag.Parse()
	if list {
		for _, m := range measurements {
			fmt.Printf("%-8s %s\n", m.name, m.does)
		}
		return
	}
	re, err := regexp.Compile(which)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: -run:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ok, err := b.all(ctx, re)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// all runs what re selects and prints the table. ok is false if something
// could not be measured; a goal that is missed is no failure.
func (b *bench) all(ctx context.Context, re *regexp.Regexp) (ok bool, err error) {
	if err := b.prepare(); err != nil {
		return false, err
	}
	defer b.remove()
	ok = true
	begin := time.Now()
	var rows []row
	for _, m := range measurements {
		if !re.MatchString(m.name) {
			continue
		}
		b.say("%s: %s", m.name, m.does)
		since := time.Now()
		got, err := m.run(ctx, b)
		rows = append(rows, got...)
		if err != nil {
			ok = false
			rows = append(rows, row{what: m.name, ours: "not measured: " + oneLine(err)})
			b.say("%s: %v", m.name, err)
		}
		b.say("%s took %.1f s", m.name, time.Since(since).Seconds())
		if ctx.Err() != nil {
			break
		}
	}
	fmt.Printf("%s, in %.0f s:\n\n", b.circumstances(), time.Since(begin).Seconds())
	printTable(os.Stdout, rows)
	return ok, nil
}

// circumstances is what a reader of the figures must know.
func (b *bench) circumstances() string {
	mode := "full run"
	if b.quick {
		mode = "quick run"
	}
	return fmt.Sprintf("%s, %s/%s, %d CPUs (%s), corpus of %d client events",
		mode, runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), cpuName(), len(b.client.events))
}

func cpuName() string {
	data, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(data)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return "of unknown make"
}

func oneLine(err error) string {
	return strings.ReplaceAll(strings.ReplaceAll(err.Error(), "\n", "; "), "|", "/")
}
