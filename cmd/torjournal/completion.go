package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

func (p program) completionCommand() *cli.Command {
	shell := func(name, how string, write func(io.Writer, []described)) *cli.Command {
		return &cli.Command{
			Name:      name,
			Usage:     "completion of commands, flags and their values for " + name,
			UsageText: "torjournal completion " + name + "\n\n   " + how,
			Action: func(c *cli.Context) error {
				if c.Args().Present() {
					return usagef("completion %s takes no argument, but there is %q", name, c.Args().First())
				}
				write(p.stdout, describe(p.app().Commands))
				return nil
			},
		}
	}
	return &cli.Command{
		Name:      "completion",
		Usage:     "print what makes a shell complete torjournal's commands and flags",
		UsageText: "torjournal completion bash|zsh|fish\n\n   . <(torjournal completion bash)",
		Subcommands: []*cli.Command{
			shell("bash", "torjournal completion bash >/usr/share/bash-completion/completions/torjournal", bashCompletion),
			shell("zsh", "torjournal completion zsh >/usr/local/share/zsh/site-functions/_torjournal", zshCompletion),
			shell("fish", "torjournal completion fish >~/.config/fish/completions/torjournal.fish", fishCompletion),
		},
		Action: func(c *cli.Context) error { return cli.ShowSubcommandHelp(c) },
	}
}

// bashCompletion writes a function that walks the words typed down to the
// command they name. Words of bash that begin with _ are its own library's
// and not needed.
func bashCompletion(w io.Writer, cmds []described) {
	fmt.Fprint(w, `# bash completion of torjournal; made by: torjournal completion bash
_torjournal() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} path=torjournal word i
	local -A below flags values
`)
	fmt.Fprintf(w, "\tbelow[torjournal]=%s\n", quoted(strings.Join(namesOf(cmds), " ")))
	eachCommand(cmds, func(c described) {
		path := "torjournal " + strings.Join(c.path, " ")
		if len(c.below) > 0 {
			fmt.Fprintf(w, "\tbelow[%s]=%s\n", quoted(path), quoted(strings.Join(namesOf(c.below), " ")))
		}
		var names []string
		for _, f := range c.flags {
			for _, n := range f.names {
				names = append(names, dashed(n))
				switch {
				case f.values != nil:
					fmt.Fprintf(w, "\tvalues[%s]=%s\n", quoted(path+" "+dashed(n)), quoted(strings.Join(f.values, " ")))
				case f.file:
					fmt.Fprintf(w, "\tvalues[%s]='<file>'\n", quoted(path+" "+dashed(n)))
				case f.value != "":
					fmt.Fprintf(w, "\tvalues[%s]='<none>'\n", quoted(path+" "+dashed(n)))
				}
			}
		}
		fmt.Fprintf(w, "\tflags[%s]=%s\n", quoted(path), quoted(strings.Join(names, " ")))
	})
	fmt.Fprint(w, `	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if [[ " ${below[$path]} " == *" $word "* && $word != -* ]]; then
			path+=" $word"
		fi
	done
	case ${values[$path $prev]-} in
	'<file>') mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
	'<none>') COMPREPLY=(); return ;;
	?*) COMPREPLY=($(compgen -W "${values[$path $prev]}" -- "$cur")); return ;;
	esac
	if [[ $cur == -* ]]; then
		COMPREPLY=($(compgen -W "${flags[$path]-}" -- "$cur"))
	elif [[ -n ${below[$path]-} ]]; then
		COMPREPLY=($(compgen -W "${below[$path]}" -- "$cur"))
	else
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
	fi
}
complete -o filenames -F _torjournal torjournal
`)
}

// zshCompletion writes a function of _arguments for each command.
func zshCompletion(w io.Writer, cmds []described) {
	fmt.Fprint(w, "#compdef torjournal\n# zsh completion of torjournal; made by: torjournal completion zsh\n")
	zshLevel(w, nil, nil, cmds)
	eachCommand(cmds, func(c described) { zshLevel(w, c.path, c.flags, c.below) })
	fmt.Fprint(w, "\nif [ \"$funcstack[1]\" = _torjournal ]; then _torjournal \"$@\"; else compdef _torjournal torjournal; fi\n")
}

// zshLevel writes the function of one command.
func zshLevel(w io.Writer, path []string, flags []describedFlag, below []described) {
	name := strings.Join(append([]string{"_torjournal"}, path...), "_")
	fmt.Fprintf(w, "\n%s() {\n", strings.ReplaceAll(name, "-", "_"))
	var specs []string
	for _, f := range flags {
		for _, n := range f.names {
			spec := dashed(n) + "[" + zshText(f.usage) + "]"
			switch {
			case f.values != nil:
				spec += ":" + f.value + ":(" + strings.Join(f.values, " ") + ")"
			case f.file:
				spec += ":" + f.value + ":_files"
			case f.value != "":
				spec += ":" + f.value + ":"
			}
			specs = append(specs, quoted(spec))
		}
	}
	if len(below) == 0 {
		specs = append(specs, quoted("*:file:_files"))
		fmt.Fprintf(w, "\t_arguments %s\n}\n", strings.Join(specs, " \\\n\t\t"))
		return
	}
	specs = append(specs, quoted("1:command:->command"), quoted("*::word:->word"))
	fmt.Fprintf(w, "\tlocal line state\n\t_arguments -C %s\n\tcase $state in\n\tcommand)\n\t\tlocal -a commands=(\n", strings.Join(specs, " \\\n\t\t"))
	for i, n := range namesOf(below) {
		fmt.Fprintf(w, "\t\t\t%s\n", quoted(n+":"+strings.ReplaceAll(below[i].usage, ":", `\:`)))
	}
	fmt.Fprint(w, "\t\t)\n\t\t_describe command commands\n\t\t;;\n\tword)\n\t\tcase $line[1] in\n")
	for _, n := range namesOf(below) {
		fmt.Fprintf(w, "\t\t%s) %s ;;\n", n, strings.ReplaceAll(name+"_"+n, "-", "_"))
	}
	fmt.Fprint(w, "\t\tesac\n\t\t;;\n\tesac\n}\n")
}

// zshText is usage inside [ ] of _arguments.
func zshText(usage string) string {
	return strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`, ":", `\:`).Replace(usage)
}

// fishCompletion writes one line a command and flag.
func fishCompletion(w io.Writer, cmds []described) {
	fmt.Fprint(w, `# fish completion of torjournal; made by: torjournal completion fish
complete -c torjournal -f
function __torjournal_at
	# whether the commands typed so far are these
	set -l typed
	for w in (commandline -opc)[2..]
		string match -q -- '-*' $w; or set -a typed $w
	end
	if test (count $argv) -eq 0
		test (count $typed) -eq 0
		return
	end
	string match -q -- "$argv *" "$typed "
end
`)
	fishBelow(w, nil, cmds)
	eachCommand(cmds, func(c described) {
		at := quoted("__torjournal_at " + strings.Join(c.path, " "))
		for _, f := range c.flags {
			line := "complete -c torjournal -n " + at
			for _, n := range f.names {
				if len(n) == 1 {
					line += " -s " + n
				} else {
					line += " -l " + n
				}
			}
			switch {
			case f.values != nil:
				line += " -x -a " + quoted(strings.Join(f.values, " "))
			case f.file:
				line += " -r -F"
			case f.value != "":
				line += " -x"
			}
			fmt.Fprintln(w, line+" -d "+quoted(f.usage))
		}
		fishBelow(w, c.path, c.below)
		if len(c.below) == 0 {
			fmt.Fprintf(w, "complete -c torjournal -n %s -F\n", at)
		}
	})
}

func fishBelow(w io.Writer, path []string, below []described) {
	for i, n := range namesOf(below) {
		cond := "__torjournal_at " + strings.Join(path, " ")
		if len(path) > 0 {
			cond += "; and not __fish_seen_subcommand_from " + strings.Join(namesOf(below), " ")
		}
		fmt.Fprintf(w, "complete -c torjournal -n %s -a %s -d %s\n", quoted(strings.TrimSpace(cond)), n, quoted(below[i].usage))
	}
}

// quoted is s as one word of a shell.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
