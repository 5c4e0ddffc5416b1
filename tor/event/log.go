package event

import "strings"

// Log is a DEBUG, INFO, NOTICE, WARN or ERR event: a message of Tor's log
// (control-spec, section 4.1.5).
type Log struct {
	Severity Type   // DEBUG, INFO, NOTICE, WARN or ERR
	Message  string // one line, or several with line feeds between them

	block bool // the wire had the multi-line form though it needed none
}

// Type returns the severity.
func (l *Log) Type() Type { return l.Severity }

// Format returns the wire form: a message with line ends takes the multi-line
// form.
func (l *Log) Format() []byte {
	if l.block || strings.IndexByte(l.Message, '\n') >= 0 || strings.IndexByte(l.Message, '\r') >= 0 {
		b := appendName([]byte("650+"), l.Severity)
		b = append(b, '\r', '\n')
		return appendBlock(b, NewData(strings.ReplaceAll(l.Message, "\r", "")+"\n"))
	}
	b := make([]byte, 0, len("650 NOTICE \r\n")+len(l.Message))
	b = appendName(append(b, "650 "...), l.Severity)
	b = append(append(b, ' '), l.Message...)
	return append(b, '\r', '\n')
}

func readLog(f *frame, s *scanner) *Log {
	l := &Log{Severity: f.name}
	if f.sep == ' ' {
		s.bad = s.bad || f.words == ""
		l.Message = strings.TrimPrefix(f.words, " ")
		return l
	}
	data, ok := f.block()
	text := strings.ReplaceAll(strings.TrimSuffix(data.Text(), "\r\n"), "\r\n", "\n")
	l.Message, l.block = text, true
	s.bad = !ok || f.words != "" || strings.Contains(text, "\r") || NewData(text+"\n") != data
	return l
}
