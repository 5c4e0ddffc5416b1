package controlport

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// getInfo asks for all keys in one GETINFO. Tor refuses the whole command for
// one key that it does not know (552) or cannot answer just now (551), so
// such keys are left out and the rest is asked again. then, if not nil, is
// called as in Conn.do, with the reply that was not refused. If no key is
// left the reply is zero and then is not called.
func (c *Conn) getInfo(ctx context.Context, keys []string, then func(Reply)) (Reply, error) {
	for len(keys) > 0 {
		rep, err := c.do(ctx, "GETINFO "+strings.Join(keys, " "), func(r Reply) {
			if r.Err() == nil && then != nil {
				then(r)
			}
		})
		if err != nil {
			return rep, err
		}
		err = rep.err("GETINFO")
		if err == nil {
			return rep, nil
		}
		if keys, err = c.answerable(ctx, keys, err); err != nil {
			return rep, err
		}
	}
	return Reply{}, nil
}

// answerable returns keys without those that tor refused. 552 names the one;
// 551 does not, then each is asked for alone.
func (c *Conn) answerable(ctx context.Context, keys []string, refusal error) ([]string, error) {
	var r *Refusal
	if !errors.As(refusal, &r) {
		return nil, refusal
	}
	for i, k := range keys {
		if strings.Contains(r.reply.String(), `"`+k+`"`) {
			return slices.Delete(slices.Clone(keys), i, i+1), nil
		}
	}
	var good []string
	for _, k := range keys {
		rep, err := c.Do(ctx, "GETINFO "+k)
		if err != nil {
			return nil, err
		}
		if rep.Err() == nil {
			good = append(good, k)
		}
	}
	if len(good) == len(keys) { // refused together, answered alone: there is no sense in going on
		return nil, fmt.Errorf("controlport: %w", refusal)
	}
	return good, nil
}

// first returns the first value of key, "" without one.
func first(values map[string][]string, key string) string {
	if v := values[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}
