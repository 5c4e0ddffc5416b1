package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"torjournal/query"
	"torjournal/query/filter"
)

// GETINFO history/circuit-status@TIME is answered as tor would have answered
// GETINFO circuit-status at that time; so are the other keys that query.Kinds
// names. Keys of a GETINFO end at a blank, and so does TIME.

// moments answers the keys under history/ among parts. Those of one time are
// computed together, and all in one turn. It leaves alone what is no key.
func (c *conn) moments(parts []part) error {
	now := c.srv.now()
	asked := map[time.Time]map[query.Kind][]*part{}
	for i := range parts {
		p := &parts[i]
		name, when, _ := strings.Cut(strings.TrimPrefix(p.key, momentKeys), "@")
		kind, ok := query.FindKind(name)
		if !ok || !strings.HasPrefix(p.key, momentKeys) {
			continue
		}
		t, err := filter.Time(when, now, time.Local)
		if err != nil {
			return &badHistory{fmt.Errorf("%s: after the @ stands a time without blanks: %w", p.key, err)}
		}
		if asked[t] == nil {
			asked[t] = map[query.Kind][]*part{}
		}
		asked[t][kind] = append(asked[t][kind], p)
	}
	if len(asked) == 0 {
		return nil
	}
	_, err := c.inTurn(func(ctx context.Context) ([]byte, error) {
		size := 0
		for t, wanted := range asked {
			n, err := c.srv.moment(ctx, t, now, wanted)
			if err != nil {
				return nil, err
			}
			if size += n; size > maxAnswers {
				return nil, fmt.Errorf("the answers have more than %d MiB: ask for less at once", maxAnswers>>20)
			}
		}
		return nil, nil
	})
	return err
}

// moment answers what is asked of one time, and returns the size of the
// answers.
func (s *Server) moment(ctx context.Context, t, now time.Time, wanted map[query.Kind][]*part) (size int, err error) {
	var kinds []query.Kind
	for k := range wanted {
		kinds = append(kinds, k)
	}
	m, err := query.At(ctx, s.records, t, now, kinds...)
	var unknown *query.UnknownState
	switch {
	case errors.As(err, &unknown):
		return 0, err
	case err != nil:
		return 0, fmt.Errorf("GETINFO history/…: %w", err)
	}
	for k, parts := range wanted {
		for _, p := range parts {
			p.answer = m.Answer(k, p.key)
			size += len(p.answer)
		}
	}
	return size, nil
}
