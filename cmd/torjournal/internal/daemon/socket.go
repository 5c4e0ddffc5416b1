package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"torjournal/control"
	"torjournal/journal"
	"torjournal/tor/event"
)

// SocketPath returns the place of the private socket of the journal at path.
func SocketPath(path string) string { return path + ".sock" }

// The private socket speaks HTTP/1.1, a stable contract between a daemon and
// the command-line tools of one installation only:
//
//	GET /fetch?seq=N&since=µs&until=µs&to=N&types=A+B&session=N&circuit=ID&stream=ID
//	    200, Torjournal-From/-First/-Last, the batch as stored, decrypted; 204: none yet
//	GET /wait?seq=N    200 when record N exists
//	GET /rollups?since=µs&until=µs    200, the sums of bandwidth as stored, decrypted
//	503: the daemon is ending; any other 4xx or 5xx: a line of text
//	GET /bounds, /sessions, /status    200, JSON
//	POST /vacuum?size=BYTES&age=µs     200, JSON; 403 to any user but the
//	    daemon's own and root
const (
	headerFrom  = "Torjournal-From"
	headerFirst = "Torjournal-First"
	headerLast  = "Torjournal-Last"
)

// maxFetches bounds the blocks that are copied out at once, so that tools
// cannot make the daemon hold more than 8 × 8 MiB = 64 MiB of answers.
const maxFetches = 8

// toolPatience is how long a tool may take to read one block.
const toolPatience = 10 * time.Second

// maxTools bounds the connections on the private socket: at some 20 KiB of
// goroutine and buffers each, 64 of them hold about 1.3 MiB.
const maxTools = 64

// served is what the private socket shows of the journal.
type served interface {
	reader
	Vacuum(context.Context, journal.Limits) (journal.Vacuumed, error)
}

// privateServer answers tools on the private socket.
type privateServer struct {
	reader  served
	status  func() Status
	fetches chan struct{} // holds a token for each fetch under way
	http    http.Server
}

func newPrivateServer(rd served, status func() Status, log *slog.Logger) *privateServer {
	s := &privateServer{reader: rd, status: status, fetches: make(chan struct{}, maxFetches)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /fetch", s.inTurn(s.fetch))
	mux.HandleFunc("GET /wait", s.wait)
	mux.HandleFunc("GET /rollups", s.inTurn(s.rollups))
	mux.HandleFunc("POST /vacuum", s.vacuum)
	mux.HandleFunc("GET /bounds", func(w http.ResponseWriter, r *http.Request) {
		b, err := rd.Bounds(r.Context())
		answer(w, r, b, err)
	})
	mux.HandleFunc("GET /sessions", func(w http.ResponseWriter, r *http.Request) {
		ss, err := rd.Sessions(r.Context())
		answer(w, r, ss, err)
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) { answer(w, r, status(), nil) })
	s.http = http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ConnContext:       withPeer,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return s
}

// serve answers on l until ctx ends, then returns when no request is under
// way any more.
func (s *privateServer) serve(ctx context.Context, l net.Listener) error {
	s.http.BaseContext = func(net.Listener) context.Context { return ctx }
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if s.http.Shutdown(stop) != nil {
			_ = s.http.Close()
		}
	}()
	err := s.http.Serve(&limitedListener{Listener: l, slots: make(chan struct{}, maxTools)})
	if ctx.Err() != nil {
		<-ended
		return nil
	}
	return fmt.Errorf("daemon: private socket: %w", err)
}

// inTurn answers a question about a range when not too many others are answered.
func (s *privateServer) inTurn(answer func(w http.ResponseWriter, r *http.Request, seq uint64, rng journal.Range)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		seq, rng, err := parseRange(r.URL.Query())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		select {
		case s.fetches <- struct{}{}:
			defer func() { <-s.fetches }()
			answer(w, r, seq, rng)
		case <-r.Context().Done():
			fail(w, r, r.Context().Err()) // silence would be taken for an answer
		}
	}
}

func (s *privateServer) fetch(w http.ResponseWriter, r *http.Request, seq uint64, rng journal.Range) {
	st, err := s.reader.Fetch(r.Context(), seq, rng)
	if errors.Is(err, io.EOF) {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if err != nil {
		fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set(headerFrom, strconv.FormatUint(st.From, 10))
	h.Set(headerFirst, strconv.FormatUint(st.First, 10))
	h.Set(headerLast, strconv.FormatUint(st.Last, 10))
	answerStored(w, st.Data)
}

// answerStored gives bytes as the journal has them.
func answerStored(w http.ResponseWriter, data []byte) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	// A tool that has stopped reading must not keep its place from others.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(toolPatience))
	_, _ = w.Write(data)
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
}

func (s *privateServer) rollups(w http.ResponseWriter, r *http.Request, _ uint64, rng journal.Range) {
	out, err := s.reader.Rollups(r.Context(), rng.Since, rng.Until)
	if err != nil {
		fail(w, r, err)
		return
	}
	answerStored(w, out.Data)
}

func (s *privateServer) wait(w http.ResponseWriter, r *http.Request) {
	seq, err := strconv.ParseUint(r.URL.Query().Get("seq"), 10, 64)
	if err != nil {
		http.Error(w, "seq: a number is needed", http.StatusBadRequest)
		return
	}
	answer(w, r, struct{}{}, s.reader.Wait(r.Context(), seq))
}

func (s *privateServer) vacuum(w http.ResponseWriter, r *http.Request) {
	if !mayChange(r) {
		http.Error(w, "only the user that the daemon runs as, and root, may vacuum its journal", http.StatusForbidden)
		return
	}
	l, err := parseLimits(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	v, err := s.reader.Vacuum(r.Context(), l)
	answer(w, r, v, err)
}

// limitsQuery and parseLimits are each other's inverse.
func limitsQuery(l journal.Limits) url.Values {
	return url.Values{
		"size": {strconv.FormatInt(l.MaxSize, 10)},
		"age":  {strconv.FormatInt(l.MaxAge.Microseconds(), 10)},
	}
}

func parseLimits(q url.Values) (l journal.Limits, err error) {
	size, err := strconv.ParseInt(q.Get("size"), 10, 64)
	if err != nil {
		return l, fmt.Errorf("size: %q is no number", q.Get("size"))
	}
	age, err := strconv.ParseInt(q.Get("age"), 10, 64)
	if err != nil || age > math.MaxInt64/1000 || age < 0 {
		return l, fmt.Errorf("age: %q is no time in µs", q.Get("age"))
	}
	return journal.Limits{MaxSize: size, MaxAge: time.Duration(age) * time.Microsecond}, nil
}

// fail says that a question has no answer: 503 if the daemon is ending, and
// the file will answer soon.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	code := http.StatusInternalServerError
	if r.Context().Err() != nil || errors.Is(err, journal.ErrClosed) {
		code = http.StatusServiceUnavailable
	}
	http.Error(w, err.Error(), code)
}

func answer(w http.ResponseWriter, r *http.Request, v any, err error) {
	if err != nil {
		fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// rangeQuery and parseRange are each other's inverse.
func rangeQuery(seq uint64, r journal.Range) url.Values {
	q := url.Values{"seq": {strconv.FormatUint(seq, 10)}}
	if r.To != 0 {
		q.Set("to", strconv.FormatUint(r.To, 10))
	}
	if !r.Since.IsZero() {
		q.Set("since", strconv.FormatInt(r.Since.UnixMicro(), 10))
	}
	if !r.Until.IsZero() {
		q.Set("until", strconv.FormatInt(r.Until.UnixMicro(), 10))
	}
	if r.Session != 0 {
		q.Set("session", strconv.FormatUint(r.Session, 10))
	}
	if r.Circuit != "" {
		q.Set("circuit", r.Circuit)
	}
	if r.Stream != "" {
		q.Set("stream", r.Stream)
	}
	if !r.Types.Empty() && !r.Types.All() {
		q.Set("types", r.Types.String())
	}
	return q
}

func parseRange(q url.Values) (seq uint64, r journal.Range, err error) {
	number := func(key string) (n uint64) {
		if s := q.Get(key); s != "" && err == nil {
			if n, err = strconv.ParseUint(s, 10, 64); err != nil {
				err = fmt.Errorf("%s: %q is no number", key, s)
			}
		}
		return n
	}
	instant := func(key string) (t time.Time) {
		if s := q.Get(key); s != "" && err == nil {
			var us int64
			if us, err = strconv.ParseInt(s, 10, 64); err != nil {
				err = fmt.Errorf("%s: %q is no time in µs", key, s)
			}
			t = time.UnixMicro(us).UTC()
		}
		return t
	}
	seq = number("seq")
	r = journal.Range{
		To: number("to"), Since: instant("since"), Until: instant("until"), Session: number("session"),
		Circuit: q.Get("circuit"), Stream: q.Get("stream"),
	}
	var types []event.Type
	for _, name := range strings.Fields(q.Get("types")) {
		types = append(types, event.Type(name))
	}
	r.Types = event.NewSet(types...)
	return seq, r, err
}

// limitedListener accepts no further connection while all slots are taken.
type limitedListener struct {
	net.Listener
	slots chan struct{} // holds a token for each open connection
}

func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.slots <- struct{}{}:
			return &limitedConn{Conn: c, slots: l.slots}, nil
		default:
			_ = c.Close()
		}
	}
}

type limitedConn struct {
	net.Conn
	slots chan struct{}
	once  sync.Once
}

func (c *limitedConn) Close() error {
	c.once.Do(func() { <-c.slots })
	return c.Conn.Close()
}

// listenPrivate makes the private socket. The caller holds the journal's
// lock, so a socket file that lies there is a dead daemon's and is removed.
func listenPrivate(ctx context.Context, path, group string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("daemon: remove old socket: %w", err)
	}
	var l net.Listener
	err := atSocket(path, func(short string) (err error) {
		l, err = control.ListenOwn(ctx, short)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("daemon: private socket %s: %w", path, err)
	}
	// The address in l may be a short name that is gone by now: unlink ourselves.
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := control.ShareSocket(path, group); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}
