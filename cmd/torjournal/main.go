// Command torjournal is a flight recorder for Tor: it records every event of
// a Tor process in a ring journal before anybody sees it, serves the same
// events live on a control port, and tells afterwards what happened.
//
// This package is flags, wiring and printing, one file a subcommand. What the
// commands compute lives in the packages they call.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
)

// version is set by the build (-ldflags "-X main.version=…").
var version = "devel"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := program{stdout: os.Stdout, stderr: os.Stderr, now: time.Now, loc: time.Local}.main(ctx, os.Args)
	stop()
	os.Exit(code)
}

// program is one run of the command line.
type program struct {
	stdout, stderr io.Writer
	now            func() time.Time
	loc            *time.Location // of times without a zone, in and out
	file           *config        // what --config names, as main reads it
}

// main runs the command line and returns the exit code: 0 done, 1 failed, 2
// wrong usage, 3 status found no recorder.
func (p program) main(ctx context.Context, args []string) int {
	p.file = &config{}
	app := p.app()
	line, err := commandLine(app.Commands, args, p.file)
	if err == nil {
		err = app.RunContext(ctx, line)
	}
	return p.report(err)
}

func (p program) app() *cli.App {
	app := &cli.App{
		Name:                      "torjournal",
		Usage:                     "a flight recorder for Tor",
		UsageText:                 "torjournal command [flags] [arguments]\n\n   torjournal replay --since 1h",
		Version:                   version,
		DisableSliceFlagSeparator: true, // --control takes commas
		Writer:                    p.stdout,
		ErrWriter:                 p.stderr,
		ExitErrHandler:            func(*cli.Context, error) {}, // report does it
		Action:                    p.noCommand,
		Commands: []*cli.Command{
			p.runCommand(),
			p.replayCommand(),
			p.tailCommand(),
			p.queryCommand(),
			p.exportCommand(),
			p.importCommand(),
			p.statusCommand(),
			p.vacuumCommand(),
			p.migrateCommand(),
			p.verifyCommand(),
			p.salvageCommand(),
			p.completionCommand(),
			p.manCommand(),
			p.versionCommand(),
		},
	}
	onUsageError(app.Commands)
	app.OnUsageError = usageFailed
	return app
}

func (p program) noCommand(c *cli.Context) error { return cli.ShowAppHelp(c) }

func onUsageError(cmds []*cli.Command) {
	for _, cmd := range cmds {
		cmd.OnUsageError = usageFailed
		onUsageError(cmd.Subcommands)
	}
}

func usageFailed(c *cli.Context, err error, _ bool) error {
	name := "torjournal"
	if c.Command != nil && c.Command.HelpName != "" {
		name = c.Command.HelpName
	}
	return usagef("%w; `%s -h` shows the flags and an example", err, name)
}

// report prints err as the user shall see it and returns the exit code.
func (p program) report(err error) int {
	var coded *exitError
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return 0
	case errors.As(err, &coded):
		if coded.err != nil {
			p.complain(coded.err)
		}
		return coded.code
	default:
		p.complain(err)
		return 1
	}
}
