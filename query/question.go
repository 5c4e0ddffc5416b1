package query

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"torjournal/journal"
	"torjournal/query/filter"
)

// Question is what can be asked of a journal in words: the command line and
// HISTORY ask the same ones, and get the same rows in the same order.
type Question struct {
	Name  string // "circuits"
	Words []Word // what narrows the answer, beside its range
	rows  asking
}

// RowFields lists what an expression over the question's rows can name; none:
// there is no word "where" over rows.
func (q Question) RowFields() []filter.Field {
	if q.rows.of == nil {
		return nil
	}
	return filter.RowFields(q.rows.of)
}

// Word is one that narrows an answer.
type Word struct {
	Name   string // "status"
	Usage  string // one line; what stands for its value is in backquotes
	Switch bool   // it has no value but yes
	Needed bool   // there is no question without it; on the command line it is an argument
	Span   bool   // it is a range of time: a question that has such words takes no other
	set    func(o *Options, value string) error
}

// Options are what the words of a question say.
type Options struct {
	now time.Time      // what words of time mean
	loc *time.Location // of times without a zone

	events   filter.Choice
	circuits CircuitPick
	streams  StreamPick
	onions   OnionPick
	orConns  ORConnPick
	by       string // what failures are counted by
	id       string // of the circuit or stream of a timeline
	step     time.Duration
	counts   bool
	total    bool
	spans    [2]filter.Span   // that are compared
	where    *filter.RowWhere // that rows must match; nil: all do
}

// NewOptions returns those of a question without words.
func NewOptions(now time.Time, loc *time.Location) *Options { return &Options{now: now, loc: loc} }

// AskedError says what is wrong with the words of a question that can be seen only
// where all of them stand together, or beside the journal: two ranges overlap, or a
// session is not there.
type AskedError struct{ Err error }

func (e *AskedError) Error() string { return "query: " + e.Err.Error() }
func (e *AskedError) Unwrap() error { return e.Err }

// Notes say what is to be known beside the rows.
type Notes struct {
	Gaps      []journal.Gap   // records that were evicted while they were to be read
	Bandwidth BandwidthAnswer // of a question about bandwidth; its Gaps are those
	Also      []uint64        // of a timeline: other sessions that have one of that ID
	Undecided int             // records or rows of which the expression can not be decided: they are left out
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

// Ranged reports whether the question is about a range beside its words.
func (q Question) Ranged() bool {
	return !slices.ContainsFunc(q.Words, func(w Word) bool { return w.Span })
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
	if o.id != "" || !q.Ranged() {
		return true // it is looked for wherever it is
	}
	return o.events.Bounded()
}

// Rows calls emit for the rows of the part, in order; a row more may follow
// that is not. An error of emit ends it and is returned as it is. Of a part
// that has a bound of memory, no answer takes much more.
func (q Question) Rows(ctx context.Context, rd journal.Reader, r journal.Range, o *Options, part Part, emit func(Row) error) (Notes, error) {
	if o.where != nil {
		return q.matching(ctx, rd, r, o, part, emit)
	}
	return q.rows.ask(ctx, rd, r, o, part, emit)
}

func rowOf[R Row](emit func(Row) error) func(R) error { return func(r R) error { return emit(r) } }

// asking answers a question.
type asking struct {
	ask answer
	of  reflect.Type // its rows, which an expression can choose; nil: none can
}

// answer is Question.Rows of a question.
type answer func(ctx context.Context, rd journal.Reader, r journal.Range, o *Options, part Part, emit func(Row) error) (Notes, error)

// chosenBy returns an asking whose rows are all of one struct.
func chosenBy[R Row](ask answer) asking {
	a := asking{ask: ask}
	if t := reflect.TypeFor[R](); t.Kind() == reflect.Pointer {
		a.of = t
	}
	return a
}

// rowsOf asks for rows that no words narrow.
func rowsOf[R Row](ask func(context.Context, journal.Reader, journal.Range, Part, func(R) error) ([]journal.Gap, error)) asking {
	return chosenBy[R](func(ctx context.Context, rd journal.Reader, r journal.Range, _ *Options, part Part, emit func(Row) error) (n Notes, err error) {
		n.Gaps, err = ask(ctx, rd, r, part, rowOf[R](emit))
		return n, err
	})
}

// rowsBy asks for rows that are picked by what words say.
func rowsBy[R Row, P any](ask func(context.Context, journal.Reader, journal.Range, P, Part, func(R) error) ([]journal.Gap, error), pick func(*Options) P) asking {
	return chosenBy[R](func(ctx context.Context, rd journal.Reader, r journal.Range, o *Options, part Part, emit func(Row) error) (n Notes, err error) {
		n.Gaps, err = ask(ctx, rd, r, pick(o), part, rowOf[R](emit))
		return n, err
	})
}

// stepsOf asks for a timeline.
func stepsOf(ask func(context.Context, journal.Reader, journal.Range, string, Part, func(*Step) error) (Timeline, error)) asking {
	return chosenBy[*Step](func(ctx context.Context, rd journal.Reader, r journal.Range, o *Options, part Part, emit func(Row) error) (Notes, error) {
		line, err := ask(ctx, rd, r, o.id, part, rowOf[*Step](emit))
		return Notes{Gaps: line.Gaps, Also: line.Also}, err
	})
}

func askRecords(ctx context.Context, rd journal.Reader, r journal.Range, o *Options, part Part, emit func(Row) error) (n Notes, err error) {
	r, some := o.events.Narrow(r)
	if !some {
		return n, nil
	}
	n.Gaps, err = Records(ctx, rd, r, o.keep(&n.Undecided), part, rowOf[*Record](emit))
	return n, err
}

func askBandwidth(ctx context.Context, rd journal.Reader, r journal.Range, o *Options, part Part, emit func(Row) error) (n Notes, err error) {
	var sum BandwidthSum
	each, all := rowOf[*Bandwidth](emit), part
	if o.total {
		each, all.After = func(b *Bandwidth) error { sum.Add(b); return nil }, nil
	}
	n.Bandwidth, err = Bandwidths(ctx, rd, r, cmp.Or(o.step, time.Minute), all, each)
	n.Gaps = n.Bandwidth.Gaps
	total, ok := sum.Total()
	if ok && err == nil && part.begun(total.Place()) {
		total.Unrecorded = n.Bandwidth.Unrecorded
		err = emit(&total)
	}
	return n, err
}

func askDiff(ctx context.Context, rd journal.Reader, r journal.Range, o *Options, part Part, emit func(Row) error) (n Notes, err error) {
	n.Gaps, err = Diff(ctx, rd, r.To, o.spans[0], o.spans[1], part, rowOf[*Difference](emit))
	return n, err
}

var questions = withWhere([]Question{
	{"records", recordWords, asking{ask: askRecords}}, // its expression is over events
	{"bandwidth", bandwidthWords, asking{ask: askBandwidth}},
	{"circuits", circuitWords, rowsBy(Circuits, func(o *Options) CircuitPick { return o.circuits })},
	{"streams", streamWords, rowsBy(Streams, func(o *Options) StreamPick { return o.streams })},
	{"circuit", []Word{idWord("circuit")}, stepsOf(CircuitTimeline)},
	{"stream", []Word{idWord("stream")}, stepsOf(StreamTimeline)},
	{"failures", failureWords, rowsBy(Failures, func(o *Options) string { return cmp.Or(o.by, ByReason) })},
	{"outages", nil, rowsOf(Outages)},
	{"builds", nil, rowsOf(Builds)},
	{"guards", nil, rowsOf(Guards)},
	{"relays", nil, rowsOf(Relays)},
	{"onions", onionWords, rowsBy(Onions, func(o *Options) OnionPick { return o.onions })},
	{"orconns", orConnWords, rowsBy(ORConns, func(o *Options) ORConnPick { return o.orConns })},
	{"bootstrap", nil, rowsOf(Bootstraps)},
	{"doctor", nil, rowsOf(Doctor)},
	{"summary", nil, rowsOf(Summarize)},
	{"sessions", nil, rowsOf(Sessions)},
	{"diff", diffWords, asking{ask: askDiff}}, // its rows are in two columns, which an expression has no names for
	{"commands", commandWords, rowsBy(Commands, func(o *Options) bool { return o.counts })},
})

var recordWords = []Word{
	{Name: "types", Usage: "only these `TYPES`, for example CIRC,BW", set: func(o *Options, s string) (err error) {
		o.events.Types, err = filter.Types(s)
		return err
	}},
	{Name: "where", Usage: "only events of which `EXPRESSION` is true", set: func(o *Options, s string) error { return o.events.Where(s, o.now, o.loc) }},
	{Name: "circuit", Usage: "only events that name circuit `N`", set: func(o *Options, s string) error { return o.events.Circuit(s) }},
	{Name: "stream", Usage: "only events that name stream `N`", set: func(o *Options, s string) error { return o.events.Stream(s) }},
}

var bandwidthWords = []Word{
	{Name: "step", Usage: "`LENGTH` of a step, whole seconds: 10s, 5m, 1h (default: 1m)", set: func(o *Options, s string) (err error) {
		o.step, err = filter.Duration(s)
		if err == nil && (o.step < time.Second || o.step%time.Second != 0) {
			err = fmt.Errorf("%q: write whole seconds, at least 1s, for example 5m", s)
		}
		return err
	}},
	{Name: "total", Usage: "only what they come to: one row of sums, means, peaks and 95th percentiles", Switch: true, set: func(o *Options, _ string) error {
		o.total = true
		return nil
	}},
}

var circuitWords = []Word{
	choiceWord("status", "only circuits of that `WORD`: tor's last status or the outcome (built, failed, open, lost …)", CircuitWords(), func(o *Options) *string { return &o.circuits.Status }),
	textWord("purpose", "only circuits of that `PURPOSE`, as tor writes it: GENERAL, HS_CLIENT_REND …", "GENERAL", func(o *Options) *string { return &o.circuits.Purpose }),
	textWord("reason", "only circuits that ended for that `REASON`, local or remote: TIMEOUT, DESTROYED …", "TIMEOUT", func(o *Options) *string { return &o.circuits.Reason }),
	textWord("relay", "only circuits through that `RELAY`: nickname, fingerprint, or $ and the beginning of one", "relay7", func(o *Options) *string { return &o.circuits.Relay }),
	{Name: "slower", Usage: "only circuits that took longer than `TIME` to build: 300ms, 2s", set: func(o *Options, s string) (err error) {
		o.circuits.Slower, err = filter.Duration(s)
		return err
	}},
}

var streamWords = []Word{
	choiceWord("status", "only streams of that `WORD`: tor's last status or the outcome (succeeded, failed, open, lost …)", StreamWords(), func(o *Options) *string { return &o.streams.Status }),
	textWord("purpose", "only streams of that `PURPOSE`, as tor writes it: USER, DIR_FETCH …", "USER", func(o *Options) *string { return &o.streams.Purpose }),
	textWord("reason", "only streams that ended for that `REASON`, local or remote: TIMEOUT, RESOLVEFAILED …", "TIMEOUT", func(o *Options) *string { return &o.streams.Reason }),
	textWord("target", "only streams whose target contains `TEXT`", "example.org:443", func(o *Options) *string { return &o.streams.Target }),
	{Name: "circuit", Usage: "only streams that were on circuit `N`", set: func(o *Options, s string) error {
		o.streams.Circuit = s
		return filter.ID(s, "circuit")
	}},
}

var onionWords = []Word{
	choiceWord("role", "only what this tor is to them: `WORD` is "+strings.Join(OnionRoles(), " or "), OnionRoles(), func(o *Options) *string { return &o.onions.Role }),
	textWord("address", "only services whose `ADDRESS` begins so, with or without .onion", "expyuzz4wqqyqhjn", func(o *Options) *string { return &o.onions.Address }),
}

var orConnWords = []Word{
	choiceWord("status", "only connections of that `WORD`: tor's last status or the outcome (open, closed, failed, lost …)", ORConnWords(), func(o *Options) *string { return &o.orConns.Status }),
	textWord("reason", "only connections that ended for that `REASON`: TLS_ERROR, CONNECTREFUSED …", "TLS_ERROR", func(o *Options) *string { return &o.orConns.Reason }),
	textWord("relay", "only connections to that `RELAY`: nickname, fingerprint, or $ and the beginning of one", "relay7", func(o *Options) *string { return &o.orConns.Relay }),
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

var diffWords = []Word{spanWord("a", "range of time to compare with", 0), spanWord("b", "range of time to compare", 1)}

// spanWord is one of the two ranges of a comparison.
func spanWord(name, usage string, nth int) Word {
	return Word{Name: name, Usage: usage, Needed: true, Span: true, set: func(o *Options, s string) (err error) {
		o.spans[nth], err = filter.ReadSpan(s, o.now, o.loc)
		return err
	}}
}

// idWord is the word of a timeline, which must be there.
func idWord(what string) Word {
	return Word{Name: "id", Usage: "number of the " + what, Needed: true, set: func(o *Options, s string) error {
		o.id = s
		return filter.ID(s, what)
	}}
}

// textWord is a word of any value, such as the example, that goes to a place in
// the options.
func textWord(name, usage, example string, to func(*Options) *string) Word {
	return Word{Name: name, Usage: usage, set: func(o *Options, s string) error {
		if *to(o) = s; s == "" {
			return fmt.Errorf("it is empty; write for example %s", example)
		}
		return nil
	}}
}

// choiceWord is a word that has one of some values, in upper or lower case.
func choiceWord(name, usage string, values []string, to func(*Options) *string) Word {
	return Word{Name: name, Usage: usage, set: func(o *Options, s string) error {
		*to(o) = s
		return oneOf(s, values)
	}}
}

func oneOf(s string, words []string) error {
	for _, w := range words {
		if strings.EqualFold(w, s) {
			return nil
		}
	}
	return fmt.Errorf("%q: there are %s", s, strings.Join(words, ", "))
}

// keep tells which records are wanted, and counts those of which that cannot
// be said. nil: all are.
func (o *Options) keep(undecided *int) func(*journal.Record) bool {
	if !o.events.Decides() {
		return nil
	}
	count := func(error) { *undecided++ }
	return func(r *journal.Record) bool { return o.events.Match(r, count) }
}
