package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"torjournal/journal"
	"torjournal/query"
	"torjournal/query/filter"
)

// HISTORY asks a question about the past and gets its rows in the reply, as
// JSON lines: those that the command line prints with --json.
//
//	HISTORY CIRCUITS SINCE=1h STATUS=failed
//	250+HISTORY=
//	{"session":1,"id":"42", …}
//	.
//	250-GAP FROM=17 TO=20
//	250 TRUNCATED=1 NEXT=1795421700000000:0:48213:5120.1
//
// The last line is "250 OK" where the answer is whole. Else the same command
// with NEXT=… added goes on behind the last row. NEXT has what the words need
// to mean what they meant when the question was asked first: that time, the
// number of SESSION and of the newest record of then; and the last row. So all
// parts together are the answer of then, whatever has been recorded since.
//
// It is answered by the goroutine that reads the connection's commands, so
// that replies keep their order and events go on; see limits.go for what it
// may cost. Who goes away ends his question.

// historyArgs is a HISTORY command.
type historyArgs struct {
	question              query.Question
	since, until, session string // as they were given
	from                  uint64 // 0: not given
	limit                 int    // rows
	next                  *nextPart
	words                 *query.Options
	now                   time.Time // what words of time mean
}

// nextPart is where an answer goes on.
type nextPart struct {
	asked   time.Time // when the question was asked first, to the µs
	session uint64    // number of the session that it is about; 0: any
	to      uint64    // the newest record then; 0: no bound
	after   query.Place
}

func (n *nextPart) String() string {
	return fmt.Sprintf("%d:%d:%d:%v", n.asked.UnixMicro(), n.session, n.to, n.after)
}

func parseNext(s string) (*nextPart, error) {
	bad := fmt.Errorf("NEXT=%s: give it as the reply that was truncated has it", s)
	parts := strings.Split(s, ":")
	if len(parts) != 4 {
		return nil, bad
	}
	asked, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil {
		return nil, bad
	}
	n := &nextPart{asked: time.UnixMicro(asked)}
	if n.session, err = strconv.ParseUint(parts[1], 10, 63); err != nil {
		return nil, bad
	}
	if n.to, err = strconv.ParseUint(parts[2], 10, 63); err != nil {
		return nil, bad
	}
	if n.after, err = query.ParsePlace(parts[3]); err != nil {
		return nil, bad
	}
	return n, nil
}

// historyKeys are those that every question takes.
const historyKeys = "LIMIT= NEXT="

// takes says what a question takes.
func takes(q query.Question) string {
	var b strings.Builder
	b.WriteString("HISTORY " + strings.ToUpper(q.Name) + " takes ")
	if q.Ranged() {
		b.WriteString("SINCE= UNTIL= SESSION= ")
	}
	b.WriteString(historyKeys)
	if q.Name == "records" {
		b.WriteString(" FROM=")
	}
	for _, w := range q.Words {
		b.WriteString(" " + strings.ToUpper(w.Name) + "=")
		if w.Switch {
			b.WriteString("1")
		}
	}
	return b.String() + ", each once"
}

// parseHistory reads the arguments of HISTORY.
func parseHistory(args string, now time.Time) (historyArgs, error) {
	name, rest, _ := strings.Cut(args, " ")
	a := historyArgs{limit: historyRows, now: now.Truncate(time.Microsecond)}
	q, ok := query.FindQuestion(name)
	if !ok {
		var names []string
		for _, q := range query.Questions() {
			names = append(names, strings.ToUpper(q.Name))
		}
		return a, fmt.Errorf("%q: there are %s, for example HISTORY CIRCUITS SINCE=1h", name, strings.Join(names, ", "))
	}
	a.question = q
	given, err := keywords(rest)
	if err != nil {
		return a, fmt.Errorf(`%w; inside it \" stands for a quote and \\ for a backslash`, errHistoryQuote)
	}
	for _, w := range given {
		if w.key == "NEXT" {
			if a.next, err = parseNext(w.value); err != nil {
				return a, err
			}
			a.now = a.next.asked
		}
	}
	a.words = query.NewOptions(a.now, time.Local)
	seen := map[string]bool{}
	for _, w := range given {
		if w.key == "" || seen[w.key] {
			return a, fmt.Errorf("%q: %s", w.text, takes(q))
		}
		seen[w.key] = true
		if err := a.set(w.key, w.value); err != nil {
			return a, err
		}
	}
	for _, w := range q.Words {
		if name := strings.ToUpper(w.Name); w.Needed && !seen[name] {
			return a, fmt.Errorf("%s= is missing; %s", name, takes(q))
		}
	}
	_, err = a.times()
	return a, err
}

var errHistoryQuote = errors.New("a quoted value has no closing quote")

func (a *historyArgs) set(key, value string) (err error) {
	if (key == "SINCE" || key == "UNTIL" || key == "SESSION") && !a.question.Ranged() {
		return fmt.Errorf("%q: %s", key, takes(a.question))
	}
	switch key {
	case "SINCE":
		a.since = value
	case "UNTIL":
		a.until = value
	case "SESSION":
		a.session = value
	case "LIMIT":
		if a.limit, err = strconv.Atoi(value); err != nil || a.limit < 1 || a.limit > historyRows {
			return fmt.Errorf("LIMIT is a number of rows, from 1 to %d", historyRows)
		}
	case "NEXT": // parseHistory has taken it
	case "FROM":
		if a.question.Name != "records" {
			return fmt.Errorf("%q: %s", key, takes(a.question))
		}
		if a.from, err = strconv.ParseUint(value, 10, 63); err != nil || a.from == 0 {
			return errors.New("FROM is the number of a record, from 1; GETINFO journal/first journal/last says which there are")
		}
	default:
		return a.word(key, value)
	}
	return nil
}

// word takes a key that only this question has.
func (a *historyArgs) word(key, value string) error {
	for _, w := range a.question.Words {
		switch {
		case !strings.EqualFold(w.Name, key):
		case w.Switch && value == "0":
			return nil
		case w.Switch && value != "1":
			return fmt.Errorf("%s is 1 or 0", key)
		default:
			if err := a.question.Set(a.words, w.Name, value); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			return nil
		}
	}
	return fmt.Errorf("%q: %s", key, takes(a.question))
}

// times returns the range of SINCE and UNTIL.
func (a *historyArgs) times() (r journal.Range, err error) {
	if a.since != "" {
		if r.Since, err = filter.Time(a.since, a.now, time.Local); err != nil {
			return r, fmt.Errorf("SINCE: %w", err)
		}
	}
	if a.until != "" {
		if r.Until, err = filter.Time(a.until, a.now, time.Local); err != nil {
			return r, fmt.Errorf("UNTIL: %w", err)
		}
	}
	if !r.Since.IsZero() && !r.Until.IsZero() && !r.Since.Before(r.Until) {
		return r, errors.New("SINCE must be earlier than UNTIL")
	}
	return r, nil
}

// span returns the range that is asked about: as the command line's, the last
// hour if nothing says from when on.
func (a *historyArgs) span(ctx context.Context, rd journal.Reader) (r journal.Range, err error) {
	if r, err = a.times(); err != nil {
		return r, err
	}
	r.From = a.from
	if r.Since.IsZero() && a.session == "" && r.From == 0 && !a.question.Bounded(a.words) {
		r = filter.LastHour(r, a.now)
	}
	if a.next != nil {
		r.Session, r.To = a.next.session, a.next.to
		return r, nil
	}
	if a.session != "" {
		sessions, err := rd.Sessions(ctx)
		if err != nil {
			return r, err
		}
		if r.Session, err = filter.Session(a.session, sessions); err != nil {
			return r, &badHistory{fmt.Errorf("SESSION: %w", err)}
		}
	}
	if a.question.Name == "bandwidth" {
		return r, nil // its rows go by time, and sums that are kept know no numbers
	}
	b, err := rd.Bounds(ctx)
	r.To = b.Last
	return r, err
}

// badHistory is about arguments.
type badHistory struct{ error }

func (e *badHistory) Unwrap() error { return e.error }

// askHistory answers HISTORY.
func (c *conn) askHistory(cmd command) error {
	if !c.history.Load() {
		return c.say("551 HISTORY %s", noHistory)
	}
	text, err := c.historyAnswer(cmd.args)
	var wrong *badHistory
	var asked *query.AskedError
	switch {
	case errors.As(err, &wrong):
		return c.say("512 Bad arguments to HISTORY: %v", wrong.error)
	case errors.As(err, &asked):
		return c.say("512 Bad arguments to HISTORY: %v", asked.Err)
	case c.ctx.Err() != nil:
		return context.Cause(c.ctx)
	case err != nil:
		return c.say("551 HISTORY: %v", err)
	}
	defer c.srv.answers.Add(-int64(len(text)))
	if c.srv.answers.Add(int64(len(text))) > maxAnswers {
		return c.say("551 HISTORY: other connections have not read their answers yet, and there is no room for one more: try again")
	}
	return c.answer(text, nil)
}

// historyAnswer waits for its turn, and makes the reply.
func (c *conn) historyAnswer(args string) ([]byte, error) {
	now := c.srv.now()
	if err := c.checkHistory(args, now); err != nil {
		return nil, err
	}
	return c.inTurn(func(ctx context.Context) ([]byte, error) {
		a, err := parseHistory(args, now)
		if err != nil {
			return nil, &badHistory{err}
		}
		return c.srv.history(ctx, a)
	})
}

// inTurn computes an answer from the past, when those before it are done.
func (c *conn) inTurn(compute func(context.Context) ([]byte, error)) ([]byte, error) {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	defer c.untilGone(cancel)()
	if err := c.turnToAsk(ctx); err != nil {
		return nil, err
	}
	defer func() { <-c.srv.asking }()
	ctx, stop := context.WithTimeoutCause(ctx, c.srv.askTime, errSlowHistory)
	defer stop()
	text, err := compute(ctx)
	switch {
	case context.Cause(ctx) == errSlowHistory:
		return nil, errSlowHistory
	case ctx.Err() != nil:
		return nil, c.gone()
	}
	return text, err
}

// turnToAsk waits until nobody else's question is answered.
func (c *conn) turnToAsk(ctx context.Context) error {
	select { // who need not wait has not waited too long, whatever the clock says
	case c.srv.asking <- struct{}{}:
		return nil
	default:
	}
	patience := time.NewTimer(c.srv.askPatience)
	defer patience.Stop()
	select {
	case c.srv.asking <- struct{}{}:
		return nil
	case <-patience.C:
		return fmt.Errorf("one is answered at a time, and those before this one have taken %v: try again", c.srv.askPatience)
	case <-ctx.Done():
		return c.gone()
	}
}

var errSlowHistory = errors.New("the answer takes too long to compute here: narrow the range, or ask by `torjournal query`")

// checkHistory refuses bad arguments before there is a wait for anything. From
// then on the connection uses what is ours.
func (c *conn) checkHistory(args string, now time.Time) error {
	select {
	case c.srv.compiling <- struct{}{}:
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
	_, err := parseHistory(args, now)
	<-c.srv.compiling
	if err != nil {
		return &badHistory{err}
	}
	return c.answer(nil, (*outlet).useOurs)
}

// gone ends the connection, whose peer has left.
func (c *conn) gone() error {
	c.end()
	return context.Canceled
}

// untilGone calls cancel when the peer closes the connection, until the
// function that it returns is called. A peer that has sent commands behind this
// one, and then no more, waits for the replies.
func (c *conn) untilGone(cancel func()) (enough func()) {
	over := make(chan struct{})
	go func() {
		defer close(over)
		n := c.in.src.Buffered()
		if n >= c.in.src.Size() {
			return // what lies behind is not looked at
		}
		_, err := c.in.src.Peek(n + 1)
		switch {
		case err == nil, errors.Is(err, os.ErrDeadlineExceeded):
		case n == 0:
			cancel()
		}
	}()
	return func() {
		_ = c.sock.SetReadDeadline(time.Unix(1, 0))
		<-over
		_ = c.sock.SetReadDeadline(time.Time{})
	}
}

// errPartFull ends a question whose part is full.
var errPartFull = errors.New("control: the answer is full")

// history computes an answer.
func (s *Server) history(ctx context.Context, a historyArgs) ([]byte, error) {
	r, err := a.span(ctx, s.records)
	if err != nil {
		return nil, err
	}
	part := query.Part{Rows: a.limit, Memory: historyMemory}
	if a.next != nil {
		part.After = &a.next.after
	}
	next := nextPart{asked: a.now, session: r.Session, to: r.To}
	rows, full := 0, false
	out, line := bytes.NewBufferString("250+HISTORY=\r\n"), new(bytes.Buffer)
	enc := query.NewEncoder(line)
	var notes query.Notes
	if r.To > 0 || a.question.Name == "bandwidth" {
		notes, err = a.question.Rows(ctx, s.records, r, a.words, part, func(row query.Row) error {
			line.Reset()
			if err := enc.Encode(row); err != nil {
				return err
			}
			if full = rows == a.limit || rows > 0 && out.Len()+line.Len() > historyBytes; full {
				return errPartFull
			}
			out.Write(bytes.TrimSuffix(line.Bytes(), []byte("\n"))) // it begins with a brace, never with a dot
			out.WriteString("\r\n")
			rows++
			next.after = row.Place()
			return nil
		})
	}
	if err != nil && !full {
		return nil, err
	}
	out.WriteString(".\r\n")
	if err := s.historyFirst(ctx, out, r, a.words); err != nil {
		return nil, err
	}
	historyNotes(out, notes)
	if full {
		fmt.Fprintf(out, "250 TRUNCATED=1 NEXT=%v\r\n", &next)
	} else {
		out.WriteString("250 OK\r\n")
	}
	return out.Bytes(), nil
}
