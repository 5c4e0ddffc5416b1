package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"torjournal/cmd/torjournal/internal/daemon"
	"torjournal/journal"
	"torjournal/tor/event"
)

func (p program) statusCommand() *cli.Command {
	return &cli.Command{
		Name:      "status",
		Usage:     "show how the recorder and its journal are",
		UsageText: "torjournal status [--journal FILE] [--json]; exits 3 when no recorder runs on the journal\n\n   torjournal status --journal /var/lib/torjournal/journal.db",
		Flags: append(journalFlags(),
			&cli.BoolFlag{Name: "json", Usage: "one JSON object"},
			&cli.BoolFlag{Name: "utc", Usage: "times are UTC"},
		),
		Action: p.status,
	}
}

func (p program) status(c *cli.Context) error {
	path, err := journalPath(c)
	if err != nil {
		return err
	}
	client, err := daemon.Dial(c.Context, path)
	if err != nil {
		return p.statusOfFile(c, path, err)
	}
	defer client.Close()
	st, err := client.Status(c.Context)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(p.stdout, st)
	}
	return p.printStatus(st, p.location(c))
}

// statusOfFile tells what the file says where no recorder runs.
func (p program) statusOfFile(c *cli.Context, path string, dialed error) error {
	if errors.Is(dialed, os.ErrPermission) {
		return fmt.Errorf("%w; run as that user, or start the daemon with --group", dialed)
	}
	key, err := readKey(c)
	if err != nil {
		return &exitError{code: exitNotRunning, err: fmt.Errorf("no recorder runs on %s: %w", path, err)}
	}
	f, err := journal.OpenFile(path, key)
	if err != nil {
		return &exitError{code: exitNotRunning, err: noJournal{fmt.Errorf("no recorder runs on %s: %w", path, err)}}
	}
	defer f.Close()
	ctx, cancel := context.WithTimeout(c.Context, 30*time.Second)
	defer cancel()
	b, err := f.Bounds(ctx)
	if err != nil {
		return err
	}
	st := daemon.StoppedStatus(path, b, key != nil)
	if c.Bool("json") {
		err = printJSON(p.stdout, st)
	} else {
		w := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)
		fmt.Fprintf(w, "recorder:\tnot running; `torjournal run` starts one\n")
		printJournal(w, st.Journal, p.location(c))
		err = w.Flush()
	}
	if err != nil {
		return err
	}
	return &exitError{code: exitNotRunning}
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

const shortTime = "2006-01-02 15:04:05"

func (p program) printStatus(st daemon.Status, loc *time.Location) error {
	w := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "recorder:\trunning, version %s, pid %d, since %s\n", st.Version, st.PID, st.Started.In(loc).Format(shortTime))
	fmt.Fprintf(w, "source:\t%s\n", sourceLine(st.Source, loc))
	if e := st.Source.LastError; e != "" {
		fmt.Fprintf(w, "\tlast error: %s\n", printable(e))
	}
	if st.Source.Role != "" {
		fmt.Fprintf(w, "recorded:\trole %s: %s\n", st.Source.Role, st.Source.Recorded)
	}
	if live := liveOnly(st.Source); live != "" {
		fmt.Fprintf(w, "live only:\t%s\n", live)
	}
	if st.Source.Scrub != "" {
		fmt.Fprintf(w, "scrub:\ton: names and addresses are replaced by hashes of key %s\n", st.Source.Scrub)
	}
	printJournal(w, st.Journal, loc)
	fmt.Fprintf(w, "rates:\t%.1f events/s over the last minute, %.0f in the last second\n", st.Rates.Minute, st.Rates.Now)
	fmt.Fprintf(w, "since start:\t%d journaled in %d commits, %d live only, %d dropped, %s waiting\n",
		st.Journal.Records, st.Journal.Commits, st.Journal.LiveOnly, st.Journal.Dropped, formatSize(uint64(st.Journal.QueueBytes)))
	fmt.Fprintf(w, "by type:\t%s\n", byCount(st.Journal.ByType))
	if len(st.Listeners) > 0 {
		fmt.Fprintf(w, "control port:\t%s\n", strings.Join(st.Listeners, ", "))
	}
	fmt.Fprintf(w, "connections:\t%d\n", len(st.Connections))
	for _, c := range st.Connections {
		fmt.Fprintf(w, "\t#%d %s on %s since %s%s\n", c.ID, c.Peer, c.Listener, c.Since.In(loc).Format(shortTime), connectionNotes(c))
	}
	for _, l := range st.Legacies {
		var what []string
		if l.OwnsTor {
			what = append(what, "tor")
		}
		if len(l.Onions) > 0 {
			what = append(what, "onion services "+printable(strings.Join(l.Onions, " ")))
		}
		fmt.Fprintf(w, "kept alive:\t%s, for a controller of before the restart of %s\n", strings.Join(what, " and "), l.Since.In(loc).Format(shortTime))
	}
	if len(st.Subscribers) > 0 {
		fmt.Fprintf(w, "subscribers:\t%s\n", byCount(st.Subscribers))
	}
	fmt.Fprintf(w, "memory:\t%s of Go heap\n", formatSize(st.HeapBytes))
	return w.Flush()
}

func connectionNotes(c daemon.ConnectionStatus) string {
	var notes []string
	if !c.Authenticated {
		notes = append(notes, "not authenticated")
	}
	if c.History {
		notes = append(notes, "may read history")
	}
	if c.OwnsTor {
		notes = append(notes, "owns tor, which ends with it")
	}
	if len(c.Onions) > 0 {
		notes = append(notes, "onion services that end with it: "+printable(strings.Join(c.Onions, " ")))
	}
	if c.Behind {
		notes = append(notes, "reading history")
	}
	if c.Types != "" {
		notes = append(notes, c.Types)
	}
	if c.Filter != "" {
		notes = append(notes, "where "+printable(c.Filter))
	}
	if len(notes) == 0 {
		return ""
	}
	return ": " + strings.Join(notes, "; ")
}

func sourceLine(s daemon.SourceStatus, loc *time.Location) string {
	if !s.Attached {
		return "not attached; trying " + s.Address
	}
	line := fmt.Sprintf("tor %s at %s", s.Version, s.Address)
	if s.Name != "" && s.Name != s.Address {
		line += " (" + s.Name + ")"
	}
	if s.PID != 0 {
		line += fmt.Sprintf(", pid %d", s.PID)
	}
	if s.Fingerprint != "" {
		line += ", relay " + s.Fingerprint
	}
	if s.Since != nil {
		line += ", attached since " + s.Since.In(loc).Format(shortTime)
	}
	return line
}

// liveOnly names what is subscribed but not recorded.
func liveOnly(s daemon.SourceStatus) string {
	recorded := strings.Fields(s.Recorded)
	if slices.Contains(recorded, "ALL") {
		return ""
	}
	var live []string
	for _, t := range strings.Fields(s.Subscribed) {
		if !slices.Contains(recorded, t) {
			live = append(live, t)
		}
	}
	return strings.Join(live, " ")
}

func printJournal(w io.Writer, j daemon.JournalStatus, loc *time.Location) {
	fmt.Fprintf(w, "journal:\t%s\n", j.Path)
	fmt.Fprintf(w, "\t%s%s\n", formatSize(uint64(j.Size)), limitText(j))
	if j.Encrypted {
		fmt.Fprintf(w, "\tencrypted\n")
	}
	if j.FirstTime == nil || j.LastTime == nil {
		fmt.Fprintf(w, "\tempty\n")
	} else {
		fmt.Fprintf(w, "\trecords %d to %d, %s to %s\n", j.First, j.Last, j.FirstTime.In(loc).Format(shortTime), j.LastTime.In(loc).Format(shortTime))
	}
	if j.Outage != nil {
		fmt.Fprintf(w, "\tNOT WRITING since %s: %s\n", j.Outage.In(loc).Format(shortTime), printable(j.WriteError))
		step := "make room on the disk or replace it"
		if strings.Contains(j.WriteError, syscall.EFBIG.Error()) {
			step = "let its file become larger (ulimit -f; LimitFSIZE= of a service)"
		}
		fmt.Fprintf(w, "\tevents are delivered but not recorded; %s, writing goes on by itself\n", step)
	}
	if j.Unjournaled > 0 {
		fmt.Fprintf(w, "\t%d events since the start were delivered but are not recorded\n", j.Unjournaled)
	}
}

func limitText(j daemon.JournalStatus) string {
	if j.MaxSize == 0 {
		return "" // a recorder sets it
	}
	text := " of at most " + formatSize(uint64(j.MaxSize))
	if j.MaxAge > 0 {
		text += "; records are kept for " + formatAge(time.Duration(j.MaxAge*float64(time.Second)))
	}
	return text
}

// byCount writes counts, the largest first.
func byCount[N int | uint64](counts map[event.Type]N) string {
	types := make([]event.Type, 0, len(counts))
	for t := range counts {
		types = append(types, t)
	}
	slices.SortFunc(types, func(a, b event.Type) int {
		if counts[a] != counts[b] {
			if counts[a] > counts[b] {
				return -1
			}
			return 1
		}
		return strings.Compare(string(a), string(b))
	})
	var b strings.Builder
	for i, t := range types {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %d", t, counts[t])
	}
	if b.Len() == 0 {
		return "none"
	}
	return b.String()
}
