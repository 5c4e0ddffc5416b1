package control

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"torjournal/query"
)

// errNoKey says that there is no such key under journal/.
var errNoKey = errors.New("control: no such key")

// infoKeys are our keys of GETINFO, as info/names describes keys.
var infoKeys = []struct{ name, about string }{
	{"first", "Number and time of the oldest record."},
	{"last", "Number and time of the newest record."},
	{"limits", "Size in bytes and age in seconds (0: none) that the journal is kept to."},
	{"sessions", "Lives of the source whose records the journal holds, one a line."},
	{"size", "Bytes of the journal's file."},
	{"status", "What was recorded since the start, and whether writing succeeds."},
}

// journalKeys is what info/names says of our keys.
func journalKeys() string {
	var b strings.Builder
	for _, k := range infoKeys {
		b.WriteString(ownKeys + k.name + " -- " + k.about + "\r\n")
	}
	for _, k := range query.Kinds() {
		b.WriteString(momentKeys + string(k) + "@* -- What " + string(k) + " was at a time, for example @2026-11-23T08:15:30.\r\n")
	}
	return b.String()
}

// journalInfo answers GETINFO journal/KEY. The answer is one line without its
// end, or several lines with theirs.
func (s *Server) journalInfo(ctx context.Context, key string) (string, error) {
	switch key {
	case "status":
		return s.journalStatus(), nil
	case "first", "last":
		b, err := s.records.Bounds(ctx)
		switch {
		case err != nil:
			return "", err
		case b.Last == 0:
			return "", nil // nothing recorded yet
		case key == "first":
			return fmt.Sprintf("SEQ=%d TIME=%s", b.First, stamp(b.FirstTime)), nil
		}
		return fmt.Sprintf("SEQ=%d TIME=%s", b.Last, stamp(b.LastTime)), nil
	case "size":
		return strconv.FormatInt(s.records.Stats().Size, 10), nil
	case "limits":
		st := s.records.Stats()
		return fmt.Sprintf("SIZE=%d AGE=%d", st.MaxSize, int64(st.MaxAge/time.Second)), nil
	case "sessions":
		return s.journalSessions(ctx)
	}
	return "", errNoKey
}

func (s *Server) journalStatus() string {
	st, conns := s.records.Stats(), s.Connections()
	owners, onions := 0, 0
	for _, c := range conns {
		onions += len(c.Onions)
		if c.OwnsTor {
			owners++
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "FIRST=%d LAST=%d SIZE=%d SESSION=%d RECORDED=%d LIVE_ONLY=%d UNJOURNALED=%d DROPPED=%d COMMITS=%d QUEUED_BYTES=%d CONNECTIONS=%d OWNERS=%d ONIONS=%d",
		st.First, st.Last, st.Size, st.Session, st.Records, st.LiveOnly, st.Unjournaled, st.Dropped, st.Commits, st.QueueBytes, len(conns), owners, onions)
	if !st.Outage.IsZero() {
		b.WriteString(" OUTAGE=" + stamp(st.Outage))
	}
	if st.WriteError != "" {
		b.WriteString(" ERROR=" + quote(st.WriteError))
	}
	return b.String()
}

// journalSessions is a line for each session, the oldest first.
func (s *Server) journalSessions(ctx context.Context) (string, error) {
	all, err := s.records.Sessions(ctx)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, x := range all {
		fmt.Fprintf(&b, "ID=%d FIRST=%d BEGUN=%s NAME=%s VERSION=%s ROLE=%s PID=%d",
			x.ID, x.First, stamp(x.Begun), quote(x.Source.Name), quote(x.Source.Version), quote(x.Source.Role), x.Source.PID)
		if !x.Source.Started.IsZero() {
			b.WriteString(" STARTED=" + stamp(x.Source.Started))
		}
		if x.Source.Fingerprint != "" {
			b.WriteString(" FINGERPRINT=" + x.Source.Fingerprint)
		}
		b.WriteString("\r\n")
	}
	return b.String(), nil
}
