package logfile

import (
	"bytes"
	"errors"
	"fmt"
)

// DetectSize is how much of a log Detect wants to see: enough that the middle
// of a descriptor, with which a rotated log may begin, is passed over.
const DetectSize = 64 << 10

// ErrUnclear means that the beginning of a log is of no format.
var ErrUnclear = errors.New("no format that torjournal knows")

// Detect says of what format a log is that begins with head: that of the first
// line that can only be of one. The error wraps ErrUnclear and lists the
// formats.
func Detect(head []byte) (Format, error) {
	remarks := false
	for rest := head; len(rest) > 0; {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		_, text, timed := cutStamp(line)
		switch {
		case timed && isEvent(text):
			return Torctl, nil
		case timed && twoBrackets(text):
			return OnionTrace, nil
		case timed:
			remarks = true
		case isStatus(line):
			return Wire, nil
		case isJSON(line):
			return JSONLines, nil
		}
	}
	if remarks {
		return Torctl, nil
	}
	return "", fmt.Errorf("logfile: %w; there are %s", ErrUnclear, formatNames())
}

// isJSON reports whether line looks like an object with a wire form. The head
// of a log may hold only the beginning of a long line.
func isJSON(line []byte) bool {
	line = bytes.TrimLeft(line, " \t")
	return len(line) > 0 && line[0] == '{' && (bytes.Contains(line, []byte(`"raw"`)) || bytes.Contains(line, []byte(`"raw_base64"`)))
}
