// Command torjournal-demo shows torjournal at work, in well under a minute
// and without the Internet: it starts a private Tor network on loopback, runs
// the torjournal binary on its client, fetches pages through Tor, kills a
// relay, and lets the command line tell what happened. `make demo` runs it.
//
// Everything that it prints below a line that begins with "$" is the output
// of that command, run as it stands there.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"torjournal/tor/testnet"
)

func main() {
	binary := flag.String("torjournal", "bin/torjournal", "`path` of the torjournal binary")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *binary, os.Stdout); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		fmt.Fprintln(os.Stderr, "torjournal-demo:", err)
		os.Exit(1)
	}
}

// run plays the whole demo and leaves nothing behind, also when ctx ends.
func run(ctx context.Context, binary string, out io.Writer) (err error) {
	if binary, err = exec.LookPath(binary); err == nil {
		binary, err = filepath.Abs(binary)
	}
	if err != nil {
		return fmt.Errorf("%w; `make build` builds it", err)
	}
	dir, err := os.MkdirTemp("", "torjournal-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	colour := isTerminal(out)
	out = &inTurn{w: out}
	s := &stage{out: out, binary: binary, journal: filepath.Join(dir, "journal.db"), colour: colour}

	s.say("A private Tor network of real tor processes, on 127.0.0.1 only")
	net, err := testnet.Start(ctx, testnet.Options{
		Exits: 4, Middles: 2, Log: out,
		ClientTorrc: []string{"ConfluxEnabled 0"}, // one circuit a page reads better than two
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, net.Close()) }()
	s.shell("export TORJOURNAL=" + s.journal)
	d, err := s.startDaemon(ctx, net.Client(0).ControlAddr, filepath.Join(dir, "daemon.log"))
	if err != nil {
		return err
	}
	defer d.stop()
	if err := play(ctx, s, d, net); err != nil {
		return fmt.Errorf("%w\nlog of the recorder:\n%s", err, d.log())
	}
	return nil
}

// play is the demo proper.
func play(ctx context.Context, s *stage, d *recorder, net *testnet.Network) error {
	s.say("Events of the client, live, while pages are fetched and a relay is killed")
	if err := s.live(ctx, net); err != nil {
		return err
	}
	for _, scene := range []struct{ say, args string }{
		{"What happened, told again", "replay --since 5m -n 20"},
		{"Every circuit, with its path and its end", "query circuits --since 5m"},
		{"Bandwidth in steps of ten seconds", "query bandwidth --since 5m --step 10s"},
		{"How the recorder is", "status"},
	} {
		s.say(scene.say)
		if err := s.torjournal(ctx, scene.args); err != nil {
			return err
		}
	}
	s.say("The recorder is stopped. Its journal remains, and is read from the file")
	if err := d.stop(); err != nil {
		return err
	}
	return s.torjournal(ctx, "replay -n 5")
}

// stage is where the demo is seen: headings, commands and their output.
type stage struct {
	out     io.Writer
	binary  string
	journal string
	colour  bool
}

func (s *stage) say(text string) { s.heading("\n## "+text, "1;36") }

// note says, between the lines of an output, what the demo does.
func (s *stage) note(text string) { s.heading("-- "+text, "33") }

// shell shows a command.
func (s *stage) shell(command string) { s.heading("$ "+command, "1") }

func (s *stage) heading(text, style string) {
	if s.colour {
		text = "\x1b[" + style + "m" + text + "\x1b[0m"
	}
	fmt.Fprintln(s.out, text)
}

// torjournal shows a command line of torjournal and runs it.
func (s *stage) torjournal(ctx context.Context, args string) error {
	s.shell("torjournal " + args)
	cmd := s.command(ctx, args)
	cmd.Stdout, cmd.Stderr = s.out, s.out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("torjournal %s: %w", args, err)
	}
	return nil
}

// command makes a command that is interrupted when ctx ends.
func (s *stage) command(ctx context.Context, args string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.binary, strings.Fields(args)...)
	cmd.Env = append(os.Environ(), "TORJOURNAL="+s.journal)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = patience
	return cmd
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
