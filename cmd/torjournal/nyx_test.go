package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"torjournal/tor/controlport"
)

// screens is a tmux server of the test's own, in whose sessions programs run
// that want a terminal.
type screens struct {
	t      *testing.T
	socket string
}

// The terminal is wide and high, so that whole pages are seen at once.
const screenWidth, screenHeight = 200, 400

func startScreens(t *testing.T) screens {
	t.Helper()
	sc := screens{t, filepath.Join(t.TempDir(), "tmux")}
	t.Cleanup(func() { _ = sc.command("kill-server").Run() })
	return sc
}

func (sc screens) command(args ...string) *exec.Cmd {
	return exec.Command("tmux", append([]string{"-f", "/dev/null", "-u", "-S", sc.socket}, args...)...)
}

func (sc screens) do(args ...string) string {
	sc.t.Helper()
	out, err := sc.command(args...).CombinedOutput()
	if err != nil {
		sc.t.Fatalf("tmux %s: %v (is what `make tools` installs there?)\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// nyxScreen is one nyx on a screen.
type nyxScreen struct {
	screens
	name string
}

// startNyx runs nyx on a control port, with a home of its own.
func (sc screens) startNyx(name, control string) nyxScreen {
	sc.t.Helper()
	home := sc.t.TempDir()
	sc.do("new-session", "-d", "-s", name, "-x", fmt.Sprint(screenWidth), "-y", fmt.Sprint(screenHeight),
		"env", "HOME="+home, "LC_ALL=C.UTF-8", "nyx", "-i", control)
	return nyxScreen{sc, name}
}

func (n nyxScreen) keys(keys ...string) {
	n.t.Helper()
	n.do(append([]string{"send-keys", "-t", n.name}, keys...)...)
}

// lines is what is on the screen, without empty lines.
func (n nyxScreen) lines() []string {
	n.t.Helper()
	var out []string
	for l := range strings.Lines(n.do("capture-pane", "-p", "-t", n.name)) {
		if l = strings.TrimSpace(l); l != "" {
			out = append(out, l)
		}
	}
	return out
}

// await waits until the screen has a line with each of these words.
func (n nyxScreen) await(words ...string) {
	n.t.Helper()
	deadline := time.Now().Add(patience)
	for round := 1; ; round++ {
		text := strings.Join(n.lines(), "\n")
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) }) {
			return
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("nyx %s: waited in vain for %q on this screen:\n%s", n.name, words, text)
		}
		n.pause(round)
	}
}

// pause is between two looks at the screen. Nyx draws from several threads at
// once and leaves scraps where they met; now and then it is made to draw all
// of it anew, by another width.
func (n nyxScreen) pause(round int) {
	n.t.Helper()
	const redraw = 20
	if round%redraw == 0 {
		n.do("resize-window", "-t", n.name, "-x", fmt.Sprint(screenWidth+round/redraw%2))
	}
	time.Sleep(50 * time.Millisecond)
}

// nyx, on all its pages, shows of tor what it shows on tor's own port. Both
// run at the same time on the same tor.
func (s *stage) nyx(t *testing.T) {
	sc := startScreens(t)
	pair := [2]nyxScreen{sc.startNyx("tor", s.tor), sc.startNyx("torjournal", s.ours)}
	both := func(keys ...string) {
		for _, n := range pair {
			n.keys(keys...)
		}
	}
	for _, n := range pair {
		n.await("page 1 / 5", "Bandwidth (limit:", "Events (TOR/NYX NOTICE-ERR)")
	}
	own := connect(t, s.tor, controlport.Credentials{})
	// Something to be told on the page of the log: tor reads its torrc again.
	own.must(t, "SIGNAL RELOAD")
	defer s.openSocket(t) // which the torrc does not know
	for _, n := range pair {
		n.await("Received reload signal (hup)")
	}
	sameScreens(t, "graph and log", pair, logPage)

	both("Right")
	fetch(t, s.net, 0, "nyx.example", "nyx")            // a circuit at least
	own.must(t, "SETCONF __DisablePredictedCircuits=1") // and then no more of them
	sameScreens(t, "connections", pair, pageLines("page 2 / 5", "OUTBOUND", "CIRCUIT", "CONTROL"))
	both("Right")
	both("a") // all options
	sameScreens(t, "configuration", pair, pageLines("page 3 / 5", "MaxCircuitDirtiness", "AccountingMax", "WarnPlaintextPorts"))
	both("Right")
	sameScreens(t, "torrc", pair, pageLines("page 4 / 5", "DataDirectory "+s.client.Dir, "SocksPort "+s.client.SocksAddr))
	both("Right", "Enter")
	for _, n := range pair {
		n.await("page 5 / 5", "a blank line to stop")
	}
	for _, line := range []string{"GETINFO version", "GETCONF SocksPort MaxCircuitDirtiness", "SETCONF NoSuchOption=1", "/info exit0", "/events BW"} {
		both("-l", line)
		both("Enter")
	}
	sameScreens(t, "interpreter", pair, pageLines("page 5 / 5", "250-version=", "SocksPort="+s.client.SocksAddr, "Unrecognized option", "exit0"))
	both("Enter") // a blank line leaves the interpreter
	both("q", "q")
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		out, err := sc.command("list-sessions").CombinedOutput()
		if err != nil { // the server ends with its last session
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("nyx was told to quit and did not:\n%s\n%s", out, strings.Join(pair[1].lines(), "\n"))
		}
	}
}

// sameScreens waits until both screens, as page sees them, are the same. What
// tor is just doing may be on one of them a second earlier.
func sameScreens(t *testing.T, name string, pair [2]nyxScreen, page func([]string) (lines []string, whole bool)) {
	t.Helper()
	began := time.Now()
	deadline := began.Add(patience)
	for round := 1; ; round++ {
		atTor, whole := page(pair[0].lines())
		atUs, wholeToo := page(pair[1].lines())
		if whole && wholeToo && slices.Equal(atTor, atUs) {
			t.Logf("nyx, %s: %d lines are the same after %.1f s", name, len(atTor), time.Since(began).Seconds())
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("nyx, page of %s, whole on tor: %v, on torjournal: %v\nonly on tor\n%s\nonly on torjournal\n%s",
				name, whole, wholeToo, without(atTor, atUs), without(atUs, atTor))
		}
		for _, n := range pair {
			n.pause(round)
		}
	}
}

// without is the lines of a that are not in b, as often as they are not.
func without(a, b []string) string {
	left := map[string]int{}
	for _, l := range b {
		left[l]++
	}
	var out strings.Builder
	for _, l := range a {
		if left[l]--; left[l] < 0 {
			out.WriteString("\t" + l + "\n")
		}
	}
	return out.String()
}

// volatile is what differs from one second and from one nyx to the next.
var volatile = []struct {
	re *regexp.Regexp
	by string
}{
	{regexp.MustCompile(`cpu: .*`), "cpu: …"},                         // with all that follows: memory, pid, uptime
	{regexp.MustCompile(`\+? *\b[0-9.]+[smhd] \(`), " TIME ("},        // how long nyx has seen a connection
	{regexp.MustCompile(`\b[0-9]{2}:[0-9]{2}(:[0-9]{2})?\b`), "TIME"}, // of the clock
	{regexp.MustCompile(`\b[0-9.]+ [KMG]?B(/sec|/s)?\b`), "BYTES"},    // rates and sums
	{regexp.MustCompile(` +`), " "},                                   // columns
}

var bandwidthEvent = regexp.MustCompile(`^\s*BW [0-9]+ [0-9]+\s*$`)

func steady(line string) string {
	for _, v := range volatile {
		line = v.re.ReplaceAllString(line, v.by)
	}
	return line
}

// pageLines takes a page as a set of lines, whole once it has these words:
// nyx orders connections by how long it has seen them. Which of the BW events
// the interpreter shows depends on the moment in which it was asked.
func pageLines(words ...string) func([]string) ([]string, bool) {
	return func(lines []string) ([]string, bool) {
		text := strings.Join(lines, "\n")
		out := make([]string, 0, len(lines))
		for _, l := range lines {
			if !bandwidthEvent.MatchString(l) {
				out = append(out, steady(l))
			}
		}
		slices.Sort(out)
		return out, !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
	}
}

// logPage takes the first page: its titles, and of the log what tor said since
// it was told to read its torrc again. The graphs are drawn of seconds that
// each nyx counts for itself.
func logPage(lines []string) (out []string, whole bool) {
	inLog := false
	for i, l := range lines {
		switch {
		case i < 2, strings.HasPrefix(l, "page "), strings.HasPrefix(l, "Bandwidth ("):
			out = append(out, steady(l))
		case strings.HasPrefix(l, "Events ("):
			inLog = true
			out = append(out, l)
		case inLog && !strings.Contains(l, "[NYX_"):
			out = append(out, steady(l))
			if strings.Contains(l, "Received reload signal (hup)") {
				return out, true
			}
		}
	}
	return out, false
}
