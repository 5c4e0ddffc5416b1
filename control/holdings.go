package control

import (
	"bytes"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
)

// holdings are what tor ties to the connection that made it, so to a
// controller's own upstream connection here: tor itself, if the controller has
// taken its ownership (control-spec, section 3.23), and its onion services
// without the flag Detach (section 3.27). They end with the connection, and it
// ends with torjournal, so status and the log name them.
type holdings struct {
	mu     sync.Mutex
	tor    bool                // guarded by mu: tor ends with the connection
	onions map[string]struct{} // guarded by mu: by service ID; nil: none
	up     Upstream            // guarded by mu: the connection; nil if nothing is held
}

// list returns what is held, the onion services in order, and by what; nil: by
// nothing, for there is nothing.
func (h *holdings) list() (tor bool, onions []string, up Upstream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.tor && len(h.onions) == 0 {
		return false, nil, nil
	}
	return h.tor, slices.Sorted(maps.Keys(h.onions)), h.up
}

// drop forgets all: the upstream connection has ended.
func (h *holdings) drop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tor, h.onions, h.up = false, nil, nil
}

// of returns a writer that passes the reply to cmd on to w. When the reply is
// whole, note says what has become of the holdings of up, by which it came.
func (h *holdings) of(cmd command, w io.Writer) (_ io.Writer, note func(up Upstream)) {
	switch cmd.verb {
	case "TAKEOWNERSHIP", "DROPOWNERSHIP", "ADD_ONION", "DEL_ONION":
	default:
		return w, func(Upstream) {}
	}
	cmd.args = strings.Clone(cmd.args) // it may lie in a buffer that is used again
	head := &headReader{to: w}
	return head, func(up Upstream) { h.note(cmd, head, up) }
}

// headReader keeps the first line of a reply.
type headReader struct {
	to   io.Writer
	line []byte
	full bool
}

func (r *headReader) Write(p []byte) (int, error) {
	if !r.full {
		part, _, ended := bytes.Cut(p, []byte("\n"))
		r.full = ended || len(r.line)+len(part) > maxHead
		r.line = append(r.line, part[:min(len(part), maxHead-len(r.line))]...)
	}
	return r.to.Write(p)
}

// maxHead is how much of a reply's first line is looked at, in bytes: that of
// ADD_ONION, with the service's ID, has 72.
const maxHead = 128

func (h *holdings) note(cmd command, head *headReader, up Upstream) {
	line := strings.TrimRight(string(head.line), "\r")
	if !strings.HasPrefix(line, "250") {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if closed(up.Done()) {
		return // drop has been called, and will not be again
	}
	h.up = up
	switch cmd.verb {
	case "TAKEOWNERSHIP":
		h.tor = true
	case "DROPOWNERSHIP":
		h.tor = false
	case "DEL_ONION":
		delete(h.onions, strings.ToLower(strings.TrimSpace(cmd.args)))
	case "ADD_ONION":
		id, ok := strings.CutPrefix(line, "250-ServiceID=")
		if !ok || detaches(cmd.args) {
			return
		}
		if h.onions == nil {
			h.onions = make(map[string]struct{})
		}
		h.onions[id] = struct{}{}
	}
}

// detaches reports whether the arguments of ADD_ONION have the flag Detach.
func detaches(args string) bool {
	for w := range argWords(args) {
		key, value, _ := strings.Cut(w, "=")
		if !strings.EqualFold(key, "Flags") {
			continue
		}
		for flag := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(flag, "Detach") {
				return true
			}
		}
	}
	return false
}
