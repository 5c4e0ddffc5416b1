package event

import (
	"iter"
	"strings"
)

// Router is how an event names a relay: a LongName (control-spec, section
// 2.4), `$` 40 hex digits `~` nickname, or one of its parts.
type Router struct {
	Fingerprint string // 40 hex digits without the `$`, "" if not named
	Nickname    string // "" if not named
}

// ParseRouter splits a LongName or ServerSpec. It does not allocate.
func ParseRouter(s string) Router {
	if s == "" || s[0] != '$' {
		return Router{Nickname: s}
	}
	s = s[1:]
	if i := strings.IndexAny(s, "~="); i >= 0 {
		return Router{Fingerprint: s[:i], Nickname: s[i+1:]}
	}
	return Router{Fingerprint: s}
}

// String returns r as a LongName.
func (r Router) String() string {
	switch {
	case r.Fingerprint == "":
		return r.Nickname
	case r.Nickname == "":
		return "$" + r.Fingerprint
	}
	return "$" + r.Fingerprint + "~" + r.Nickname
}

// Path is a circuit's path as the wire has it (control-spec, section 4.1.1):
// LongNames separated by commas, the first hop first.
type Path string

// NewPath returns the path over the given routers.
func NewPath(hops ...Router) Path {
	var b strings.Builder
	for i, h := range hops {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(h.String())
	}
	return Path(b.String())
}

// Len returns the number of hops.
func (p Path) Len() int {
	if p == "" {
		return 0
	}
	return 1 + strings.Count(string(p), ",")
}

// Hops returns the routers of the path, the first hop first.
func (p Path) Hops() []Router {
	hops := make([]Router, 0, p.Len())
	for h := range p.All() {
		hops = append(hops, h)
	}
	return hops
}

// All yields the routers of the path without allocating.
func (p Path) All() iter.Seq[Router] { return routers(string(p), ",") }

func routers(list, sep string) iter.Seq[Router] {
	return func(yield func(Router) bool) {
		for rest, more := list, list != ""; more; {
			var name string
			name, rest, more = strings.Cut(rest, sep)
			if !yield(ParseRouter(name)) {
				return
			}
		}
	}
}
