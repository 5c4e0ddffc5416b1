package main

import (
	"fmt"
	"runtime"

	"github.com/urfave/cli/v2"
)

func (p program) versionCommand() *cli.Command {
	return &cli.Command{
		Name:      "version",
		Usage:     "print the version",
		UsageText: "torjournal version",
		Action: func(*cli.Context) error {
			_, err := fmt.Fprintf(p.stdout, "torjournal %s (%s %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
