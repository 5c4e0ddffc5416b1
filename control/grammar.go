package control

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"iter"
	"strings"
	"sync"
)

// Why no command could be read, beside the errors of the connection itself.
var (
	errTooLong = errors.New("control: command too long")
	errCrowded = errors.New("control: too much unfinished input on all connections together")
)

// command is one command of a controller (control-spec, section 2.2).
type command struct {
	raw  []byte // exact bytes, line ends and data block included; valid until the next one is read
	verb string // first word, upper-cased; begins with "+" if a data block follows
	args string // what follows it on the first line, without blanks at the ends
}

// commandReader cuts a connection's bytes into commands. Lines end with LF,
// CRLF being the usual case, as tor takes them; a command that begins with
// "+" goes on until a line that is a single dot.
type commandReader struct {
	src *bufio.Reader // lent by readBuffers while there is input
	buf []byte        // of commands longer than src's buffer, and of data blocks

	// grow is asked before buf holds n bytes in all; its error ends the
	// reading. 0 says that the command is done with.
	grow func(n int) error
}

var readBuffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readBuffer) }}

// begin takes a buffer; end gives it and everything else back.
func (r *commandReader) begin(src io.Reader) {
	r.src = readBuffers.Get().(*bufio.Reader)
	r.src.Reset(src)
}

func (r *commandReader) end() {
	r.release()
	r.src.Reset(nil)
	readBuffers.Put(r.src)
	r.src = nil
}

// next reads one command.
func (r *commandReader) next() (command, error) {
	r.release()
	line, err := r.line()
	if err != nil {
		return command{}, err
	}
	if line[0] == '+' {
		if line, err = r.dataBlock(line); err != nil {
			return command{}, err
		}
	}
	return parseCommand(line), nil
}

// release gives back what a long command took.
func (r *commandReader) release() {
	if cap(r.buf) > 0 {
		r.buf = nil
		_ = r.grow(0)
	}
}

// line returns the next line with its end, from the read buffer if it fits.
func (r *commandReader) line() ([]byte, error) {
	line, err := r.src.ReadSlice('\n')
	if err == nil {
		return line, r.grow(len(line))
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		if gerr := r.keep(line); gerr != nil {
			return nil, gerr
		}
		line, err = r.src.ReadSlice('\n')
	}
	if err != nil {
		return nil, err
	}
	err = r.keep(line)
	return r.buf, err
}

// dataBlock appends lines to first until the block's end.
func (r *commandReader) dataBlock(first []byte) ([]byte, error) {
	if len(r.buf) == 0 {
		if err := r.keep(first); err != nil {
			return nil, err
		}
	}
	for start := len(r.buf); ; {
		part, err := r.src.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		if gerr := r.keep(part); gerr != nil {
			return nil, gerr
		}
		if err != nil {
			continue
		}
		if l := r.buf[start:]; string(l) == ".\r\n" || string(l) == ".\n" {
			return r.buf, nil
		}
		start = len(r.buf)
	}
}

func (r *commandReader) keep(part []byte) error {
	if err := r.grow(len(r.buf) + len(part)); err != nil {
		return err
	}
	r.buf = append(r.buf, part...)
	return nil
}

// parseCommand takes a whole command apart. As in tor, a NUL ends what is
// looked at: nobody may hide a command of ours behind one.
func parseCommand(raw []byte) command {
	line := raw
	if i := bytes.IndexAny(line, "\n\x00"); i >= 0 {
		line = line[:i]
	}
	verb, args := line, []byte(nil)
	if i := bytes.IndexAny(line, " \t\v\f\r"); i >= 0 {
		verb, args = line[:i], line[i:]
	}
	return command{
		raw:  raw,
		verb: strings.ToUpper(string(verb)),
		args: string(bytes.Trim(args, " \t\v\f\r")),
	}
}

// fields splits arguments at blanks, as GETINFO, SETEVENTS and USEFEATURE do.
// It makes no list: that of a long command would be many times as large.
func fields(args string) iter.Seq[string] {
	return strings.FieldsFuncSeq(args, func(r rune) bool { return r == ' ' })
}

// word is one argument of a command.
type word struct {
	text   string // without its quotes and escapes
	quoted bool
}

// errQuote is about a quoted string without its second quote.
var errQuote = errors.New("control: a quoted string has no end")

// words splits arguments that may be quoted strings. A backslash in a quoted
// string stands for the character after it.
func words(args string) ([]word, error) {
	var out []word
	for {
		args = strings.TrimLeft(args, " \t\v\f\r")
		if args == "" {
			return out, nil
		}
		if args[0] != '"' {
			end := strings.IndexAny(args, " \t\v\f\r")
			if end < 0 {
				end = len(args)
			}
			out = append(out, word{text: args[:end]})
			args = args[end:]
			continue
		}
		text, rest, err := unquote(args)
		if err != nil {
			return nil, err
		}
		out = append(out, word{text: text, quoted: true})
		args = rest
	}
}

// keyword is one KEY=value of a command of ours; the value may be quoted.
type keyword struct{ text, key, value string } // text: as it was given, for errors

// keywords splits args into KEY=value; a word without "=" has no key.
func keywords(args string) (out []keyword, err error) {
	for args = strings.TrimLeft(args, " \t"); args != ""; args = strings.TrimLeft(args, " \t") {
		key, rest, ok := strings.Cut(args, "=")
		if !ok || strings.ContainsAny(key, " \t") || !strings.HasPrefix(rest, `"`) {
			word, after, _ := strings.Cut(args, " ")
			key, value, ok := strings.Cut(word, "=")
			if !ok {
				key, value = "", word
			}
			out = append(out, keyword{word, strings.ToUpper(key), value})
			args = after
			continue
		}
		value, after, err := unquote(rest)
		if err != nil {
			return nil, err
		}
		out = append(out, keyword{args[:len(args)-len(after)], strings.ToUpper(key), value})
		args = after
	}
	return out, nil
}

// unquote reads the quoted string that s begins with.
func unquote(s string) (text, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], nil
		case '\\':
			if i++; i == len(s) {
				return "", "", errQuote
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", errQuote
}

// quote writes s as a quoted string; control characters become octal escapes,
// as tor writes file names.
func quote(s string) string {
	b := []byte{'"'}
	for i := range len(s) {
		switch ch := s[i]; {
		case ch == '"' || ch == '\\':
			b = append(b, '\\', ch)
		case ch < ' ' || ch >= 0x7f:
			b = append(b, '\\', '0'+ch>>6, '0'+ch>>3&7, '0'+ch&7)
		default:
			b = append(b, ch)
		}
	}
	return string(append(b, '"'))
}
