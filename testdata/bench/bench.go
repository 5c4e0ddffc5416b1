package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// bench is one run: where it works, and what measurements share.
type bench struct {
	quick   bool
	corpus  string // folder
	program string // torjournal
	asked   string // journal that questions are asked of; "": one is made
	root    string // folder on the disk to measure on

	dir      string // in root, of this run alone
	sockets  string // a short path: that of a Unix socket has at most 107 bytes
	peerPath string // built when first needed
	client   *corpus
	ringPath string // built when first needed
}

func (b *bench) prepare() (err error) {
	for _, p := range []*string{&b.corpus, &b.program, &b.root} {
		if *p, err = filepath.Abs(*p); err != nil {
			return err
		}
	}
	if _, err := os.Stat(b.program); err != nil {
		return fmt.Errorf("%w: `make build` makes it", err)
	}
	if b.client, err = readCorpus(b.corpus, "client"); err != nil {
		return err
	}
	if err := os.MkdirAll(b.root, 0o700); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp(b.root, "run"); err != nil {
		return err
	}
	b.sockets, err = os.MkdirTemp("", "tjb")
	return err
}

func (b *bench) remove() {
	for _, dir := range []string{b.dir, b.sockets} {
		if err := os.RemoveAll(dir); err != nil {
			b.say("%v", err)
		}
	}
}

// folder returns an empty folder on the disk to measure on, and what removes
// it.
func (b *bench) folder() (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp(b.dir, "m")
	return dir, func() { _ = os.RemoveAll(dir) }, err
}

// socket returns a path where a Unix socket can be made.
func (b *bench) socket(name string) string {
	return filepath.Join(b.sockets, fmt.Sprintf("%s%d", name, time.Now().UnixNano()))
}

// pick returns the first in a full run, the second in a quick one.
func pick[T any](b *bench, full, quick T) T {
	if b.quick {
		return quick
	}
	return full
}

// say tells of the progress; the table alone goes to standard output.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "# "+format+"\n", args...)
}

// peer returns the program of the peers, which it builds if need be.
func (b *bench) peer() (string, error) {
	if b.peerPath != "" {
		return b.peerPath, nil
	}
	b.say("building the peers (SQLite, NATS): takes its time once")
	path := filepath.Join(b.root, "peer")
	if out, err := exec.Command("go", "build", "-o", path, "./peer").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the peers: %w: %s", err, out)
	}
	b.peerPath = path
	return path, nil
}
