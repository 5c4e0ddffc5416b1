package main

import (
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"
)

// screen is how what is drawn on a terminal shall look. Its zero value is no
// terminal: nothing is drawn there.
type screen struct {
	width  int  // columns; 0: this is no terminal
	colour bool // the user wants colours
	marks  plotMarks
}

// screenOf returns the screen that w shows on: a terminal, or a pager's. $COLUMNS
// says how wide it is, else the terminal itself.
func screenOf(w io.Writer) screen {
	s := screen{colour: coloured(w), marks: blockMarks}
	if !unicodeLocale(os.Getenv) {
		s.marks = asciiMarks
	}
	if pg, ok := w.(*pager); ok {
		w = pg.cmd.Stdout
	}
	if !isTerminal(w) {
		return screen{}
	}
	s.width = 80
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		s.width = n
	} else if n, _, err := term.GetSize(int(w.(*os.File).Fd())); err == nil && n > 0 {
		s.width = n
	}
	return s
}

// unicodeLocale reports whether the user's terminal takes UTF-8: unless the
// environment says otherwise.
func unicodeLocale(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToUpper(getenv(name)); v != "" {
			return strings.Contains(v, "UTF-8") || strings.Contains(v, "UTF8")
		}
	}
	return true
}

// paint returns text in a colour, if there are any here.
func (s screen) paint(colour, text string) string {
	if !s.colour || colour == "" || text == "" {
		return text
	}
	return colour + text + plain
}
