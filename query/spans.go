package query

import (
	"cmp"
	"slices"
)

// spans are times: in order, none empty, none touching another.
type spans []span

// unite returns the times that any of some spans has. It orders them.
func unite(some []span) (u spans) {
	slices.SortFunc(some, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	for _, s := range some {
		switch n := len(u); {
		case s.empty():
		case n > 0 && s.from <= u[n-1].to:
			u[n-1].to = max(u[n-1].to, s.to)
		default:
			u = append(u, s)
		}
	}
	return u
}

// and returns the times that both have.
func (s spans) and(o spans) (both spans) {
	for i, j := 0, 0; i < len(s) && j < len(o); {
		if b := (span{max(s[i].from, o[j].from), min(s[i].to, o[j].to)}); !b.empty() {
			both = append(both, b)
		}
		if s[i].to < o[j].to {
			i++
		} else {
			j++
		}
	}
	return both
}

// without returns the times of s that o does not have.
func (s spans) without(o spans) (rest spans) {
	for _, part := range s {
		for _, hole := range o {
			if hole.to <= part.from || hole.from >= part.to {
				continue
			}
			if before := (span{part.from, hole.from}); !before.empty() {
				rest = append(rest, before)
			}
			part.from = hole.to
		}
		if !part.empty() {
			rest = append(rest, part)
		}
	}
	return rest
}

// length returns how long they are together, in µs.
func (s spans) length() (sum int64) {
	for _, part := range s {
		sum += part.to - part.from
	}
	return sum
}
