package query

import (
	"context"
	"fmt"
	"strings"
	"time"

	"torjournal/journal"
	"torjournal/query/filter"
	"torjournal/tor/event"
)

// Question is what can be asked of a journal in words: the command line and
// HISTORY ask the same ones, and get the same rows in the same order.
type Question struct {
	Name  string // "circuits"
	Words []Word // what narrows the answer, beside its range
	rows  func(ctx context.Context, rd journal.Reader, r journal.Range, o *Options, part Part, emit func(Row) error) (Notes, error)
}

// Word is one that narrows an answer.
type Word struct {
	Name   string // "status"
	Usage  string // one line; what stands for its value is in backquotes
	Switch bool   // it has no value but yes
	Needed bool   // there is no question without it; on the command line it is an argument
	set    func(o *Options, value string) error
}

// Options are what the words of a question say.
type Options struct {
	now time.Time      // what words of time mean
	loc *time.Location // of times without a zone

	types    event.Set
	wheres   []*filter.Where
	matcher  *filter.Matcher
	circuits CircuitPick
	streams  StreamPick
	orConns  ORConnPick
	by       string // what failures are counted by
	id       string // of the circuit or stream of a timeline
	step     time.Duration
	counts   bool
}

// NewOptions returns those of a question without words.
func NewOptions(now time.Time, loc *time.Location) *Options { return &Options{now: now, loc: loc} }

// Notes say what is to be known beside the rows.
type Notes struct {
	Gaps      []journal.Gap   // records that were evicted while they were to be read
	Bandwidth BandwidthAnswer // of a question about bandwidth; its Gaps are those
	Also      []uint64        // of a timeline: other sessions that have one of that ID
	Undecided int             // records of which the expression is neither true nor false: they are no rows
}

// Questions returns all of them.
func Questions() []Question { return questions }

// FindQuestion returns the question of that name, in upper or lower case.
func FindQuestion(name string) (Question, bool) {
	for _, q := range questions {
		if strings.EqualFold(q.Name, name) {
			return q, true
		}
	}
	return Question{}, false
}

// Set takes one word of the question. The error says what is taken.
func (q Question) Set(o *Options, word, value string) error {
	for _, w := range q.Words {
		if strings.EqualFold(w.Name, word) {
			return w.set(o, value)
		}
	}
	return fmt.Errorf("there is no word %q in a question about %s", word, q.Name)
}

// Bounded reports whether the words say by themselves from when on records
// are looked for.
func (q Question) Bounded(o *Options) bool {
	if o.id != "" {
		return true // it is looked for wherever it is
	}
	r, some := o.narrow(journal.Range{})
	return some && (!r.Since.IsZero() || r.From > 0 || r.Session > 0)
}

// Rows calls emit for the rows of the part, in order; a row more may follow
// that is not. An error of emit ends it and is returned as it is. Of a part
// that has a bound of memory, no answer takes much more.
func (q Question) Rows(ctx context.Context, rd journal.Reader, r journal.Range, o *Options, part Part, emit func(Row) error) (Notes, error) {
	return q.rows(ctx, rd, r, o, part, emit)
}

func rowOf[R Row](emit func(Row) error) func(R) error { return func(r R) error { return emit(r) } }

var questions = []Question{
	{"records", recordWords, func(ctx context.Context, rd journal.Reader, r journal.Range, o *Options, part Part, emit func(Row) error) (n Notes, err error) {
		r, some := o.narrow(r)
		if !some {
			return n, nil
		}
		n.Gaps, err = Records(ctx, rd, r, o.keep(&n.Undecided), part, rowOf[*Record](emit))
		return n, err
	}},
	{"bandwidth", bandwidthWords, func(ctx context.Context, rd journal.Reader, r journal.Range, o *Options, part Part, emit func(Row) error) (n Notes, err error) {
		step := o.step
		if step == 0 {
			step = time.Minute
		}
		n.Bandwidth, err = Bandwidths(ctx, rd, r, step, part, rowOf[*Bandwidth](emit))
		n.Gaps = n.Bandwidth.Gaps
		return n, err
	}},
	{"circuits", circuitWords, func(ctx context.Context, rd journal.Reader, r journal.Range, o *Options, part Part, emit func(Row) error) (n Notes, err error) {
		n.Gaps, err = Circuits(ctx, rd, r, o.circuits, part, rowOf[*Circuit](emit))
		return n, err
	}},
	{"streams", streamWords, func(ctx context.Context, rd journal.Reader, r journal.Range, o *Options, part Part, emit func(Row) error) (n Notes, err error) {
		n.Gaps, err = Streams(ctx, rd, r, o.streams, part, rowOf[*Stream](emit))
		return n, err
	}},
	{"circuit", []Word{idWord("circuit")}, func(ctx context.Context, rd journal.Reader, r journal.Range, o *Options, part Part, emit func(Row) error) (Notes, error) {
		line, err := CircuitTimeline(ctx, rd, r, o.id, part, rowOf[*Step](emit))
		return Notes{Gaps: line.Gaps, Also: line.Also}, err
	}},
	{"stream", []Word{idWord("stream")}, func(ctx context.Context, rd journal.Reader, r journal.Range, o *Options, part Part, emit func(Row) error) (Notes, error) {
		line, err := StreamTimeline(ctx, rd, r, o.id, part, rowOf[*Step](emit))
		return Notes{Gaps: line.Gaps, Also: line.Also}, err
	}},
	{"failures", failureWords, func(ctx context.Context, rd journal.Reader, r journal.Range, o *Options, part Part, emit func(Row) error) (n Notes, err error) {
		by := o.by
		if by == "" {
			by = ByReason
		}
		n.Gaps, err = Failures(ctx, rd, r, by, part, rowOf[*Failure](emit))
		return n, err
	}},
	{"builds", nil, func(ctx context.Context, rd journal.Reader, r journal.Range, _ *Options, part Part, emit func(Row) error) (n Notes, err error) {
		n.Gaps, err = Builds(ctx, rd, r, part, rowOf[*Build](emit))
		return n, err
	}},
	{"guards", nil, func(ctx context.Context, rd journal.Reader, r journal.Range, _ *Options, part Part, emit func(Row) error) (n Notes, err error) {
		n.Gaps, err = Guards(ctx, rd, r, part, rowOf[*Guard](emit))
		return n, err
	}},
	{"relays", nil, func(ctx context.Context, rd journal.Reader, r journal.Range, _ *Options, part Part, emit func(Row) error) (n Notes, err error) {
		n.Gaps, err = Relays(ctx, rd, r, part, rowOf[*Relay](emit))
		return n, err
	}},
	{"orconns", orConnWords, func(ctx context.Context, rd journal.Reader, r journal.Range, o *Options, part Part, emit func(Row) error) (n Notes, err error) {
		n.Gaps, err = ORConns(ctx, rd, r, o.orConns, part, rowOf[*ORConn](emit))
		return n, err
	}},
	{"bootstrap", nil, func(ctx context.Context, rd journal.Reader, r journal.Range, _ *Options, part Part, emit func(Row) error) (n Notes, err error) {
		n.Gaps, err = Bootstraps(ctx, rd, r, part, rowOf[*Bootstrap](emit))
		return n, err
	}},
	{"sessions", nil, func(ctx context.Context, rd journal.Reader, r journal.Range, _ *Options, part Part, emit func(Row) error) (n Notes, err error) {
		n.Gaps, err = Sessions(ctx, rd, r, part, rowOf[*Session](emit))
		return n, err
	}},
	{"commands", commandWords, func(ctx context.Context, rd journal.Reader, r journal.Range, o *Options, part Part, emit func(Row) error) (n Notes, err error) {
		n.Gaps, err = Commands(ctx, rd, r, o.counts, part, rowOf[*Command](emit))
		return n, err
	}},
}

var recordWords = []Word{
	{Name: "types", Usage: "only these `TYPES`, for example CIRC,BW", set: func(o *Options, s string) (err error) {
		o.types, err = filter.Types(s)
		return err
	}},
	{Name: "where", Usage: "only events of which `EXPRESSION` is true", set: (*Options).where},
	{Name: "circuit", Usage: "only events that name circuit `N`", set: func(o *Options, s string) error { return o.named("CircID", "circuit", s) }},
	{Name: "stream", Usage: "only events that name stream `N`", set: func(o *Options, s string) error { return o.named("StreamID", "stream", s) }},
}

var bandwidthWords = []Word{
	{Name: "step", Usage: "`LENGTH` of a step, whole seconds: 10s, 5m, 1h (default: 1m)", set: func(o *Options, s string) (err error) {
		o.step, err = filter.Duration(s)
		if err == nil && (o.step < time.Second || o.step%time.Second != 0) {
			err = fmt.Errorf("%q: write whole seconds, at least 1s, for example 5m", s)
		}
		return err
	}},
}

var circuitWords = []Word{
	{Name: "status", Usage: "only circuits of that `WORD`: tor's last status or the outcome (built, failed, open, lost …)", set: func(o *Options, s string) error {
		o.circuits.Status = s
		return oneOf(s, CircuitWords())
	}},
	{Name: "purpose", Usage: "only circuits of that `PURPOSE`, as tor writes it: GENERAL, HS_CLIENT_REND …", set: func(o *Options, s string) error {
		o.circuits.Purpose = s
		return notEmpty(s, "GENERAL")
	}},
	{Name: "reason", Usage: "only circuits that ended for that `REASON`, local or remote: TIMEOUT, DESTROYED …", set: func(o *Options, s string) error {
		o.circuits.Reason = s
		return notEmpty(s, "TIMEOUT")
	}},
	{Name: "relay", Usage: "only circuits through that `RELAY`: nickname, fingerprint, or $ and the beginning of one", set: func(o *Options, s string) error {
		o.circuits.Relay = s
		return notEmpty(s, "relay7")
	}},
	{Name: "slower", Usage: "only circuits that took longer than `TIME` to build: 2s, 1m", set: func(o *Options, s string) (err error) {
		o.circuits.Slower, err = filter.Duration(s)
		return err
	}},
}

var streamWords = []Word{
	{Name: "status", Usage: "only streams of that `WORD`: tor's last status or the outcome (succeeded, failed, open, lost …)", set: func(o *Options, s string) error {
		o.streams.Status = s
		return oneOf(s, StreamWords())
	}},
	{Name: "purpose", Usage: "only streams of that `PURPOSE`, as tor writes it: USER, DIR_FETCH …", set: func(o *Options, s string) error {
		o.streams.Purpose = s
		return notEmpty(s, "USER")
	}},
	{Name: "reason", Usage: "only streams that ended for that `REASON`, local or remote: TIMEOUT, RESOLVEFAILED …", set: func(o *Options, s string) error {
		o.streams.Reason = s
		return notEmpty(s, "TIMEOUT")
	}},
	{Name: "target", Usage: "only streams whose target contains `TEXT`", set: func(o *Options, s string) error {
		o.streams.Target = s
		return notEmpty(s, "example.org:443")
	}},
	{Name: "circuit", Usage: "only streams that were on circuit `N`", set: func(o *Options, s string) error {
		o.streams.Circuit = s
		return anID(s, "circuit")
	}},
}

var orConnWords = []Word{
	{Name: "status", Usage: "only connections of that `WORD`: tor's last status or the outcome (open, closed, failed, lost …)", set: func(o *Options, s string) error {
		o.orConns.Status = s
		return oneOf(s, ORConnWords())
	}},
	{Name: "reason", Usage: "only connections that ended for that `REASON`: TLS_ERROR, CONNECTREFUSED …", set: func(o *Options, s string) error {
		o.orConns.Reason = s
		return notEmpty(s, "TLS_ERROR")
	}},
	{Name: "relay", Usage: "only connections to that `RELAY`: nickname, fingerprint, or $ and the beginning of one", set: func(o *Options, s string) error {
		o.orConns.Relay = s
		return notEmpty(s, "relay7")
	}},
}

var failureWords = []Word{
	{Name: "by", Usage: "count by `WORD`: " + strings.Join(FailureGroups(), ", ") + " (default: reason)", set: func(o *Options, s string) error {
		o.by = strings.ToLower(s)
		return oneOf(s, FailureGroups())
	}},
}

var commandWords = []Word{
	{Name: "counts", Usage: "also how many other commands each connection sent in each minute", Switch: true, set: func(o *Options, _ string) error {
		o.counts = true
		return nil
	}},
}

// idWord is the word of a timeline, which must be there.
func idWord(what string) Word {
	return Word{Name: "id", Usage: "number of the " + what, Needed: true, set: func(o *Options, s string) error {
		o.id = s
		return anID(s, what)
	}}
}

func notEmpty(s, example string) error {
	if s == "" {
		return fmt.Errorf("it is empty; write for example %s", example)
	}
	return nil
}

func oneOf(s string, words []string) error {
	for _, w := range words {
		if strings.EqualFold(w, s) {
			return nil
		}
	}
	return fmt.Errorf("%q: there are %s", s, strings.Join(words, ", "))
}

// where adds an expression that must be true.
func (o *Options) where(expression string) error {
	w, err := filter.CompileWhere(expression, o.now, o.loc)
	if err != nil {
		return err
	}
	o.wheres, o.matcher = append(o.wheres, w), filter.NewMatcher()
	return nil
}

// named makes events that name a circuit or a stream the only ones.
func (o *Options) named(field, what, id string) error {
	if err := anID(id, what); err != nil {
		return err
	}
	return o.where(fmt.Sprintf("%s == %q", field, id))
}

// anID refuses what cannot be the ID of a circuit or a stream (control-spec,
// section 2.4).
func anID(s, what string) error {
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			s = s[:0]
		}
	}
	if s == "" || len(s) > 16 {
		return fmt.Errorf("the number of a %s is wanted, for example 42", what)
	}
	return nil
}

// narrow returns what of r can hold records that are wanted; it is false if
// that is nothing at all.
func (o *Options) narrow(r journal.Range) (journal.Range, bool) {
	some := true
	r.Types = o.types
	for _, w := range o.wheres {
		var ok bool
		r, ok = w.Narrow(r)
		some = some && ok
	}
	return r, some
}

// keep tells which records are wanted, and counts those of which that cannot
// be said. nil: all are.
func (o *Options) keep(undecided *int) func(*journal.Record) bool {
	if len(o.wheres) == 0 {
		return nil
	}
	return func(r *journal.Record) bool {
		for _, w := range o.wheres {
			ok, err := o.matcher.Match(w, r)
			if err != nil {
				*undecided++
			}
			if !ok {
				return false
			}
		}
		return true
	}
}
