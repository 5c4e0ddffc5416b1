package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
)

// pagerFlags are of commands whose answers may be longer than a screen.
func pagerFlags() []cli.Flag {
	return []cli.Flag{&cli.BoolFlag{Name: "no-pager", Usage: "print straight to the terminal: not through $TORJOURNAL_PAGER, $PAGER or less"}}
}

// pager is a program that shows page by page what is written to it. It stands
// for the terminal that it writes to.
type pager struct {
	io.WriteCloser
	cmd *exec.Cmd
}

// lessOptions is what less does unless the user says otherwise in $LESS: end
// at once if all fits the screen (F) and leave it there (X), pass colours (R),
// cut long lines (S), say where one is (M), end on Ctrl-C (K).
const lessOptions = "FRSXMK"

// paged runs action with what it prints going through a pager, if that is a
// terminal's.
func (p program) paged(action func(program, *cli.Context) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		name := pagerName(os.Getenv, exec.LookPath)
		if name == "" || c.Bool("no-pager") || c.Bool("follow") || !isTerminal(p.stdout) {
			return action(p, c)
		}
		pg, err := p.startPager(name)
		if err != nil {
			return action(p, c) // what was asked for matters more
		}
		q := p
		q.stdout = pg
		err = action(q, c)
		if errors.Is(err, syscall.EPIPE) {
			err = nil // the user has seen enough
		}
		return errors.Join(err, pg.end())
	}
}

// pagerName returns the command of the pager, "" for none.
func pagerName(getenv func(string) string, lookPath func(string) (string, error)) string {
	for _, name := range []string{"TORJOURNAL_PAGER", "PAGER"} {
		if v := strings.TrimSpace(getenv(name)); v == "cat" {
			return ""
		} else if v != "" {
			return v
		}
	}
	if getenv("TERM") == "dumb" {
		return ""
	}
	if _, err := lookPath("less"); err != nil {
		return ""
	}
	return "less"
}

func (p program) startPager(name string) (*pager, error) {
	cmd := exec.Command("sh", "-c", name)
	cmd.Stdout, cmd.Stderr = p.stdout, p.stderr
	cmd.Env = os.Environ()
	if os.Getenv("LESS") == "" {
		cmd.Env = append(cmd.Env, "LESS="+lessOptions)
	}
	if os.Getenv("LESSCHARSET") == "" && unicodeLocale(os.Getenv) {
		cmd.Env = append(cmd.Env, "LESSCHARSET=utf-8") // without a locale less shows codes for what plots are made of
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	return &pager{in, cmd}, cmd.Start()
}

// end waits until the user has seen enough. What the pager says by its exit
// code is between it and the user.
func (p *pager) end() error {
	_ = p.Close() // it has ended, or ends now
	var exit *exec.ExitError
	if err := p.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}
