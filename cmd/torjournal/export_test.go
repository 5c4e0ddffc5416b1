package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"torjournal/journal"
	"torjournal/journal/journaltest"
	"torjournal/tor/event"
)

// cancelling ends a context when something is written.
type cancelling struct {
	bytes.Buffer
	cancel func()
}

func (c *cancelling) Write(b []byte) (int, error) {
	c.cancel()
	return c.Buffer.Write(b)
}

// someEvents returns the path of a journal in a folder of its own. Its first
// event is one on which the expression of failsOnFirst fails.
func someEvents(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal.db")
	j := journaltest.OpenAt(t, path, journal.Options{})
	j.Add(event.NewRaw([]byte("650 STREAM 1 NEW 0 word:80\r\n")))
	j.Add(journaltest.Events(1, 2000)...)
	j.CloseNow()
	return path
}

const failsOnFirst = `int(Target) > 1 or Type != "STREAM"`

// An export that is interrupted fails, and leaves neither a file nor what
// there was of it; a file that it would have replaced stays.
func TestInterruptedExport(t *testing.T) {
	path, room := someEvents(t), t.TempDir()
	to := filepath.Join(room, "events.jsonl")
	if err := os.WriteFile(to, []byte("of yesterday"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"torjournal", "export", "--journal", path, "--format", "jsonl", "--replace", "--where", failsOnFirst, "--to"}
	for _, tc := range []struct {
		to, left string
		early    bool // before anything was read
	}{
		{to, "no file was written", false},
		{to, "no file was written", true},
		{"-", "what was written is not whole", false},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		if tc.early {
			cancel()
		}
		stderr := &cancelling{cancel: cancel} // what the expression fails on is told in the midst of it
		code := program{stdout: io.Discard, stderr: stderr, now: time.Now, loc: time.UTC}.main(ctx, append(args, tc.to))
		if want := "torjournal: export: interrupted; " + tc.left; code != 1 || !strings.Contains(stderr.String(), want) {
			t.Errorf("exit code %d, standard error:\n%swant %s", code, stderr, want)
		}
		cancel()
	}
	onlyFile(t, room, "events.jsonl", "of yesterday")
	var out bytes.Buffer
	if code := (program{stdout: &out, stderr: &out, now: time.Now, loc: time.UTC}).main(t.Context(), append(args, to)); code != 0 {
		t.Errorf("not interrupted: exit code %d, %s", code, &out)
	}
}

// onlyFile checks that a folder holds one file, and what.
func onlyFile(t *testing.T, folder, name, content string) {
	t.Helper()
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 1 || files[0].Name() != name {
		t.Errorf("the folder holds %v", files)
	}
	if b, err := os.ReadFile(filepath.Join(folder, name)); err != nil || string(b) != content {
		t.Errorf("the file holds %.100q, %v", b, err)
	}
}

// full is a disk that takes so many bytes.
type full struct{ room int }

func (f *full) Write(b []byte) (int, error) {
	if f.room -= len(b); f.room < 0 {
		return 0, &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	}
	return len(b), nil
}

// A full disk is told with what to do, in every form and wherever it happens.
func TestExportOntoAFullDisk(t *testing.T) {
	path := someEvents(t)
	for _, format := range formNames() {
		for _, room := range []int{0, 3000} {
			var stderr bytes.Buffer
			p := program{stdout: &full{room}, stderr: &stderr, now: time.Now, loc: time.UTC}
			code := p.main(t.Context(), []string{"torjournal", "export", "--journal", path, "--format", format, "--to", "-"})
			if got := stderr.String(); code != 1 || !strings.Contains(got, "no space left on device") || !strings.Contains(got, "not whole") {
				t.Errorf("%s, %d bytes: exit code %d, %s", format, room, code, got)
			}
		}
	}
}

func TestExportFile(t *testing.T) {
	folder := t.TempDir()
	to := filepath.Join(folder, "f")
	write := func(replace bool) error {
		f, err := createExport(to)
		if err == nil {
			if _, err := os.Stat(to); replace == errors.Is(err, os.ErrNotExist) {
				t.Errorf("before it is whole: %v", err)
			}
			_, err = f.Write([]byte("whole"))
		}
		if err != nil {
			t.Fatal(err)
		}
		return f.finish(replace)
	}
	if err := write(false); err != nil {
		t.Error(err)
	}
	onlyFile(t, folder, "f", "whole")
	if err := write(true); err != nil {
		t.Error(err)
	}

	// it has come while the export was written
	if err := os.Remove(to); err != nil {
		t.Fatal(err)
	}
	f, err := createExport(to)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.finish(false); err == nil || !strings.Contains(err.Error(), "--replace") {
		t.Errorf("error is %v", err)
	}
	onlyFile(t, folder, "f", "another")

	// a disk that refuses
	if f, err = createExport(to); err != nil {
		t.Fatal(err)
	}
	f.temp.Close()
	if f.temp, err = os.OpenFile("/dev/full", os.O_WRONLY, 0); err != nil {
		t.Skip(err)
	}
	defer f.temp.Close()
	if _, err := f.Write([]byte("more")); err == nil || !strings.Contains(err.Error(), "make room") {
		t.Errorf("error is %v", err)
	}
}

// An export of more blocks than are read ahead is what was recorded.
func TestExportOfManyBlocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := journaltest.OpenAt(t, path, journal.Options{})
	var want []string
	for i := range 100 {
		var part []event.Event
		for k := range 1000 {
			n := 1000*i + k
			wire := fmt.Sprintf("650 CIRC %d EXTENDED $%040X,$%040X PURPOSE=GENERAL\r\n", n, n%50, n%70)
			want, part = append(want, wire), append(part, event.NewRaw([]byte(wire)))
		}
		j.Add(part...)
	}
	if err := j.Pack(t.Context()); err != nil {
		t.Fatal(err)
	}
	j.CloseNow()
	var out, said bytes.Buffer
	args := []string{"torjournal", "export", "--journal", path, "--format", "jsonl", "-e", "CIRC", "--to", "-"}
	if code := (program{stdout: &out, stderr: &said, now: time.Now, loc: time.UTC}).main(t.Context(), args); code != 0 {
		t.Fatalf("exit code %d, %s", code, &said)
	}
	for n, dec := 0, json.NewDecoder(&out); ; n++ {
		var row struct{ Raw string }
		err := dec.Decode(&row)
		if err == io.EOF && n == len(want) {
			return
		}
		if err != nil || n >= len(want) || row.Raw != want[n] {
			t.Fatalf("event %d of %d is %q: %v", n, len(want), row.Raw, err)
		}
	}
}
