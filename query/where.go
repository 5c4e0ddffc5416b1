package query

import (
	"context"
	"errors"
	"slices"

	"torjournal/journal"
	"torjournal/query/filter"
)

// Rows of most questions can be chosen by an expression over what they say. It
// is asked of rows that are finished, when they leave the answer.

// withWhere adds the word "where" to the questions whose rows can be chosen.
func withWhere(questions []Question) []Question {
	for i, q := range questions {
		if q.rows.of == nil {
			continue
		}
		questions[i].Words = append(slices.Clip(q.Words), Word{
			Name: "where", Usage: "only rows of which `EXPRESSION` is true, over the names that --json has; help lists them",
			set: func(o *Options, s string) (err error) {
				o.where, err = filter.CompileRows(s, q.rows.of, o.now, o.loc)
				return err
			},
		})
	}
	return questions
}

// wherePart is how many rows at least are looked at before a part of an answer
// is asked for again from there on.
const wherePart = 4096

// errPassed ends a walk that has told as many rows as it was asked for.
var errPassed = errors.New("query: there are more rows")

// matching is Rows of rows that match the expression. A part that bounds rows
// means those that match, so the answer is gone through in parts of its own.
func (q Question) matching(ctx context.Context, rd journal.Reader, r journal.Range, o *Options, part Part, emit func(Row) error) (Notes, error) {
	undecided := 0
	if part.Rows > 0 {
		part.Rows = max(part.Rows, wherePart)
	}
	for {
		rows, last := 0, Place{}
		n, err := q.rows.ask(ctx, rd, r, o, part, func(row Row) error {
			if part.Rows > 0 && rows == part.Rows {
				return errPassed
			}
			rows, last = rows+1, row.Place()
			match, err := o.where.Match(row)
			switch {
			case err != nil:
				undecided++
				return nil
			case !match:
				return nil
			}
			return emit(row)
		})
		if n.Undecided = undecided; err != errPassed {
			return n, err
		}
		part.After = &last
	}
}
