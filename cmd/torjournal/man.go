package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

func (p program) manCommand() *cli.Command {
	return &cli.Command{
		Name:      "man",
		Usage:     "print the manual page",
		UsageText: "torjournal man\n\n   torjournal man | man -l -",
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("man takes no argument, but there is %q: all commands are on one page", c.Args().First())
			}
			app := p.app()
			return manual(p.stdout, app.Usage, describe(app.Commands))
		},
	}
}

// manual writes torjournal(1) in the man macros of roff.
func manual(w io.Writer, usage string, cmds []described) error {
	m := &roff{}
	m.macro("TH", "TORJOURNAL", "1", "", "torjournal "+version, "User Commands")
	m.macro("SH", "NAME")
	m.text("torjournal - " + usage)
	m.macro("SH", "SYNOPSIS")
	m.text("torjournal command [flags] [arguments]")
	m.macro("SH", "DESCRIPTION")
	m.text("torjournal writes every event of a Tor process to a compressed ring journal before anybody sees it, " +
		"serves the same events live on a control port, and tells afterwards what happened.")
	m.text("What was asked for goes to standard output, everything else to standard error. " +
		"Flags may stand before or after arguments.")
	m.macro("SH", "COMMANDS")
	eachCommand(cmds, func(c described) {
		m.macro("SS", "torjournal "+strings.Join(c.path, " "))
		m.text(c.usage)
		for _, line := range c.synopsis {
			m.line("nf")
			m.text("    " + line)
			m.line("fi")
		}
		for _, f := range c.flags {
			m.line("TP")
			var names []string
			for _, n := range f.names {
				names = append(names, `\fB`+escape(dashed(n))+`\fR`)
			}
			value := ""
			if f.value != "" {
				value = ` \fI` + escape(f.value) + `\fR`
			}
			m.raw(strings.Join(names, ", ") + value)
			m.text(f.usage)
		}
	})
	m.macro("SH", "ENVIRONMENT")
	for _, e := range environment {
		m.line("TP")
		m.raw(`\fB` + escape(e[0]) + `\fR`)
		m.text(e[1])
	}
	m.macro("SH", "EXIT STATUS")
	for _, e := range exitStatus {
		m.line("TP")
		m.raw(`\fB` + e[0] + `\fR`)
		m.text(e[1])
	}
	_, err := io.WriteString(w, m.b.String())
	return err
}

var environment = [][2]string{
	{"TORJOURNAL", "the journal's file, where --journal does not name it"},
	{"TORJOURNAL_KEY_FILE", "the file of an encrypted journal's key"},
	{"TORJOURNAL_PAGER, PAGER", "the program that shows long answers on a terminal; cat: none"},
	{"NO_COLOR", "no colours, if it is set"},
}

var exitStatus = [][2]string{
	{"0", "done"},
	{"1", "failed"},
	{"2", "wrong usage"},
	{"3", "status found no recorder"},
}

// roff gathers a page.
type roff struct{ b strings.Builder }

func (r *roff) line(macro string) { fmt.Fprintf(&r.b, ".%s\n", macro) }

func (r *roff) macro(name string, args ...string) {
	r.b.WriteString("." + name)
	for _, a := range args {
		r.b.WriteString(` "` + strings.ReplaceAll(escape(a), `"`, `\(dq`) + `"`)
	}
	r.b.WriteByte('\n')
}

func (r *roff) raw(s string) { r.b.WriteString(s + "\n") }

// text writes a paragraph's text. A line must not begin with what roff takes
// for a request.
func (r *roff) text(s string) {
	s = escape(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	r.raw(s)
}

// escape is s as it is: roff would make other characters of these.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`).Replace(s)
}
