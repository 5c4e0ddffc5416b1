package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"torjournal/query/export"
	"torjournal/tor/event"
)

// described is a command as completions and the manual show it: they are made
// of what the command line itself is made of.
type described struct {
	path     []string // its words behind torjournal
	usage    string
	synopsis []string // lines
	flags    []describedFlag
	below    []described
}

type describedFlag struct {
	names  []string // without dashes, the long one first
	usage  string
	value  string   // what stands for its value; "": it takes none
	values []string // that it may have; nil: there are too many to list
	file   bool     // its value is a file
}

// describe returns the commands of app, and what is below them.
func describe(cmds []*cli.Command, above ...string) (out []described) {
	for _, c := range cmds {
		if c.Hidden || c.Name == "help" {
			continue
		}
		d := described{path: append(slices.Clip(above), c.Name), usage: c.Usage}
		for line := range strings.SplitSeq(c.UsageText, "\n") {
			if line = strings.TrimSpace(line); line != "" {
				d.synopsis = append(d.synopsis, line)
			}
		}
		for _, f := range c.Flags {
			if df, ok := describeFlag(f); ok && df.names[0] != "help" {
				df.values = valuesOf(c.Name, df.names[0])
				d.flags = append(d.flags, df)
			}
		}
		d.flags = append(d.flags, describedFlag{names: []string{"help", "h"}, usage: "show the flags and an example"})
		d.below = describe(c.Subcommands, d.path...)
		out = append(out, d)
	}
	return out
}

// valuesOf returns the values of flags that have few, or the usual ones.
func valuesOf(command, flag string) []string {
	switch flag {
	case "output":
		if command == "replay" {
			return recordForms
		}
	case "events":
		types := event.Types()
		names := make([]string, len(types))
		for i, t := range types {
			names[i] = string(t)
		}
		return names
	case "speed":
		return []string{"1x", "10x", "max"}
	case "since", "until":
		return []string{"1h", "1d", "7d", "today", "yesterday", "now"}
	case "format":
		if command == "export" {
			return formNames()
		}
	case "what":
		return strings.Split(export.SetNames(), ", ")
	case "log-format":
		return []string{"auto", "text", "json"}
	}
	return nil
}

func describeFlag(f cli.Flag) (describedFlag, bool) {
	doc, ok := f.(cli.DocGenerationFlag)
	if v, vis := f.(cli.VisibleFlag); !ok || vis && !v.IsVisible() {
		return describedFlag{}, false
	}
	d := describedFlag{names: slices.Clone(f.Names()), usage: doc.GetUsage()}
	slices.SortStableFunc(d.names, func(a, b string) int { return min(len(b), 2) - min(len(a), 2) })
	if doc.TakesValue() {
		d.value = "VALUE"
		if _, rest, ok := strings.Cut(d.usage, "`"); ok {
			d.value, _, _ = strings.Cut(rest, "`")
		}
	}
	d.usage = strings.ReplaceAll(d.usage, "`", "")
	d.file = d.value == "FILE" || d.value == "FOLDER"
	return d, true
}

// dashed returns a flag's name as it is typed.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// eachCommand visits the commands and those below them.
func eachCommand(cmds []described, visit func(described)) {
	for _, c := range cmds {
		visit(c)
		eachCommand(c.below, visit)
	}
}

func namesOf(cmds []described) (names []string) {
	for _, c := range cmds {
		names = append(names, c.path[len(c.path)-1])
	}
	return names
}
