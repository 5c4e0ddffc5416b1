package export

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"torjournal/journal"
	"torjournal/query"
)

// jsonl is a JSON object a line, the ones that `replay -o json` and `query
// --json` print. It gathers nothing.
var jsonl = Form{
	Name:   "jsonl",
	About:  "a JSON object a line; import takes events back",
	Events: func(w io.Writer) (EventWriter, error) { return &jsonEvents{w: w}, nil },
	Rows: func(w io.Writer, _ Set) (RowWriter, error) {
		b := bufio.NewWriterSize(w, 64<<10)
		return &jsonRows{b, query.NewEncoder(b)}, nil
	},
}

type jsonRows struct {
	w   *bufio.Writer
	enc *json.Encoder
}

func (j *jsonRows) Write(row query.Row) error { return j.enc.Encode(row) }
func (j *jsonRows) Close() error              { return j.w.Flush() }

// jsonEvents writes what query's encoder would write of query.Record, several
// times as fast.
type jsonEvents struct {
	w    io.Writer
	buf  []byte
	time clock
}

// flushAt is how many bytes of text are written at once.
const flushAt = 64 << 10

func (j *jsonEvents) Write(recs []journal.Record) (err error) {
	b := j.buf[:0]
	for i := range recs {
		b = j.append(b, &recs[i])
		if len(b) >= flushAt || i == len(recs)-1 {
			if _, err := j.w.Write(b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	if j.buf = b; cap(b) > 16*flushAt {
		j.buf = nil // one event of many megabytes shall not stay
	}
	return nil
}

func (j *jsonEvents) Close() error { return nil }

func (j *jsonEvents) append(b []byte, r *journal.Record) []byte {
	b = strconv.AppendUint(append(b, `{"seq":`...), r.Seq, 10)
	b = strconv.AppendUint(append(b, `,"session":`...), r.Session, 10)
	b = j.time.append(append(b, `,"time":"`...), r.Time)
	b = appendString(append(b, `","type":`...), []byte(r.Type))
	switch {
	case len(r.Wire) == 0:
	case utf8.Valid(r.Wire):
		b = appendString(append(b, `,"raw":`...), r.Wire)
	default:
		b = base64.StdEncoding.AppendEncode(append(b, `,"raw_base64":"`...), r.Wire)
		b = append(b, '"')
	}
	return append(b, '}', '\n')
}

// appendString appends UTF-8 as a JSON string, with the escapes that
// encoding/json chooses where it does not escape for HTML.
func appendString(b, s []byte) []byte {
	b = append(b, '"')
	begun := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c != 0xe2 && c < utf8.RuneSelf {
			continue
		}
		esc, n := escape(s[i:])
		if esc == "" {
			i += n - 1
			continue
		}
		b = append(append(b, s[begun:i]...), esc...)
		i += n - 1
		begun = i + 1
	}
	return append(append(b, s[begun:]...), '"')
}

// escape returns what stands for the first character of s, "" for itself, and
// how many bytes it has.
func escape(s []byte) (string, int) {
	switch c := s[0]; {
	case c == '\r':
		return `\r`, 1
	case c == '\n':
		return `\n`, 1
	case c == '"':
		return `\"`, 1
	case c == '\\':
		return `\\`, 1
	case c == '\t':
		return `\t`, 1
	case c == '\b':
		return `\b`, 1
	case c == '\f':
		return `\f`, 1
	case c < ' ':
		const hex = "0123456789abcdef"
		return `\u00` + string([]byte{hex[c>>4], hex[c&15]}), 1
	}
	switch r, n := utf8.DecodeRune(s); {
	case r == '\u2028':
		return `\u2028`, n
	case r == '\u2029':
		return `\u2029`, n
	case r == utf8.RuneError && n == 1:
		return `\ufffd`, n // of a type's name: the wire form has been looked at
	default:
		return "", n
	}
}

// stampForm is RFC 3339, UTC, always with six decimals, as query's rows have
// it.
const stampForm = "2006-01-02T15:04:05.000000Z"

// clock writes times. It remembers the last second, which many records share.
type clock struct {
	sec  int64
	text []byte // of the second, with the point; none: of no second yet
}

func (c *clock) append(b []byte, t time.Time) []byte {
	if sec := t.Unix(); sec != c.sec || len(c.text) == 0 {
		c.sec = sec
		c.text = t.UTC().AppendFormat(c.text[:0], "2006-01-02T15:04:05.")
	}
	b = append(b, c.text...)
	us := t.Nanosecond() / 1000
	for by := 100_000; by > 0; by /= 10 {
		b = append(b, byte('0'+us/by%10))
	}
	return append(b, 'Z')
}
