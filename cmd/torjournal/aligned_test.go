package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

type fullDisk struct{ err error }

func (f fullDisk) Write([]byte) (int, error) { return 0, f.err }

// What a table could not be written for is said once.
func TestAlignedSaysOnceWhatFailed(t *testing.T) {
	full := fullDisk{errors.New("no space left on device")}
	for _, lines := range []int{5, 5 * alignedLines} {
		a := newAligned(full, 0)
		_, err := io.WriteString(a, strings.Repeat("a\tb\n", lines))
		if err == nil {
			err = a.Flush()
		}
		if err == nil || err.Error() != full.err.Error() {
			t.Errorf("%d lines: %q, not %q", lines, err, full.err)
		}
	}
}

// A long table comes in parts. In each the cells stand below each other, in columns
// as wide as the widest cell so far; no line is more or less than was written.
func TestAlignedLongTable(t *testing.T) {
	var got, want bytes.Buffer
	a := newAligned(&got, 0)
	for i := range 3*alignedLines + 10 {
		wide := strings.Repeat("é", 1+i%7)
		if i == alignedLines+500 {
			wide += "as wide as no other"
		}
		line := fmt.Sprintf("%s\t%d\t%s\tend %d\n", wide, i, strings.Repeat("x", i%3), i)
		want.WriteString(line)
		if err := writeInTwo(a, line, i%len(line)); err != nil {
			t.Fatal(err)
		}
		if held := i%alignedLines == alignedLines-1; held && bytes.Count(got.Bytes(), []byte("\n")) < i-200 {
			t.Fatalf("behind line %d there are %d", i, bytes.Count(got.Bytes(), []byte("\n")))
		}
	}
	if err := a.Flush(); err != nil {
		t.Fatal(err)
	}
	lines, cells := strings.Split(got.String(), "\n"), strings.Split(want.String(), "\n")
	if len(lines) != len(cells) {
		t.Fatalf("%d lines, not %d", len(lines), len(cells))
	}
	var widths [3]int // as the columns should have them
	for i, line := range lines[:len(lines)-1] {
		if have, wrote := strings.Fields(line), strings.Fields(cells[i]); fmt.Sprint(have) != fmt.Sprint(wrote) {
			t.Fatalf("line %d: %q of %q", i, line, cells[i])
		}
		if i%alignedLines == 0 {
			for _, row := range cells[i:min(i+alignedLines, len(cells)-1)] {
				for c, cell := range strings.Split(row, "\t")[:len(widths)] {
					widths[c] = max(widths[c], len([]rune(cell))+2)
				}
			}
		}
		at := len([]rune(line[:strings.Index(line, "end")]))
		if want := widths[0] + widths[1] + widths[2]; at != want {
			t.Fatalf("line %d begins its last cell at %d, not %d", i, at, want)
		}
	}
}

func writeInTwo(w io.Writer, s string, at int) error {
	_, err := io.WriteString(w, s[:at])
	if err == nil {
		_, err = io.WriteString(w, s[at:])
	}
	return err
}
