package main

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// commandLine moves the flags of the command that args name before its
// arguments: the cli library stops looking for flags at the first argument,
// while people write `torjournal query circuits --since 1h` and
// `torjournal query --since 1h circuits` alike. A command that there is not is
// told before anybody wonders about its flags.
//
// Flags of the file that --config names come behind those of the line.
func commandLine(cmds []*cli.Command, args []string, file *config) ([]string, error) {
	if len(args) == 0 {
		return args, nil
	}
	run := findCommand(cmds, "run")
	path := args[:1:1]
	var flags, words []string
	var cmd *cli.Command
	for rest := args[1:]; len(rest) > 0; {
		arg := rest[0]
		rest = rest[1:]
		switch sub := findCommand(cmds, arg); {
		case arg == "--":
			words = append(append(words, arg), rest...)
			rest = nil
		case strings.HasPrefix(arg, "-") && arg != "-":
			flags = append(flags, arg)
			if takesValue(cmd, cmds, arg) && len(rest) > 0 {
				flags = append(flags, rest[0])
				rest = rest[1:]
			}
		case sub != nil && len(words) == 0:
			path, cmd, cmds = append(path, arg), sub, sub.Subcommands
		default:
			words = append(words, arg)
		}
	}
	if help := len(words) > 0 && words[0] == "help"; len(cmds) > 0 && !help {
		name := strings.Join(path, " ")
		switch {
		case len(words) > 0:
			return nil, usagef("there is no command %q; `%s -h` lists what there is", strings.TrimPrefix(name+" "+words[0], args[0]+" "), name)
		case cmd != nil && len(flags) > 0 && !helpFlag(flags[0]):
			return nil, usagef("%s: a word is missing before %s; `%s -h` lists what there is", cmd.Name, flags[0], name)
		}
	}
	if cmd != nil {
		var err error
		if flags, err = file.merge(cmd, flags, run.Flags); err != nil {
			return nil, err
		}
	}
	return append(append(path, flags...), words...), nil
}

func helpFlag(arg string) bool { return arg == "-h" || arg == "--help" || arg == "-help" }

func findCommand(cmds []*cli.Command, name string) *cli.Command {
	for _, c := range cmds {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

// takesValue reports whether the flag of cmd, or of a command below it, is
// followed by a value of its own.
func takesValue(cmd *cli.Command, below []*cli.Command, arg string) bool {
	name := strings.TrimLeft(arg, "-")
	if strings.Contains(name, "=") {
		return false
	}
	if cmd != nil {
		for _, f := range cmd.Flags {
			for _, n := range f.Names() {
				if n == name {
					_, isBool := f.(*cli.BoolFlag)
					return !isBool
				}
			}
		}
	}
	for _, c := range below {
		if takesValue(c, c.Subcommands, arg) {
			return true
		}
	}
	return false
}
