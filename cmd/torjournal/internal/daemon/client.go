package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"torjournal/journal"
)

// maxAnswer bounds what a tool takes from the daemon as one block: a batch
// holds whole records, and the largest record is a consensus.
const maxAnswer = 64 << 20

// errUnreachable wraps what means that no daemon answers on the socket.
var errUnreachable = errors.New("no daemon answers")

// Client reads a journal through the daemon that holds it.
type Client struct {
	path string // of the journal
	http *http.Client
}

// Dial returns a client of the daemon that holds the journal at path. The
// error wraps os.ErrPermission if the socket is not ours to use.
func Dial(ctx context.Context, path string) (*Client, error) {
	c := &Client{path: path}
	c.http = &http.Client{Transport: &http.Transport{
		DisableCompression: true,
		MaxIdleConns:       2,
		IdleConnTimeout:    time.Minute,
		DialContext: func(ctx context.Context, _, _ string) (conn net.Conn, err error) {
			err = atSocket(SocketPath(path), func(short string) (err error) {
				var d net.Dialer
				conn, err = d.DialContext(ctx, "unix", short)
				return err
			})
			return conn, err
		},
	}}
	if _, err := c.Bounds(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close drops the connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func (c *Client) ask(ctx context.Context, method, path, query string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://torjournal"+path+"?"+query, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if ctx.Err() != nil {
		if err == nil {
			_ = resp.Body.Close()
		}
		return nil, ctx.Err()
	}
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // the address inside is of no use to anybody
		}
		return nil, fmt.Errorf("%w on %s: %w", errUnreachable, SocketPath(c.path), err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if resp.StatusCode == http.StatusServiceUnavailable {
		return nil, fmt.Errorf("%w on %s: it is ending", errUnreachable, SocketPath(c.path))
	}
	return nil, errors.New(strings.TrimSpace(string(text)))
}

func (c *Client) getJSON(ctx context.Context, path, query string, v any) error {
	return c.askJSON(ctx, http.MethodGet, path, query, v)
}

func (c *Client) askJSON(ctx context.Context, method, path, query string, v any) error {
	resp, err := c.ask(ctx, method, path, query)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		return fmt.Errorf("%w: answer to %s: %w", errUnreachable, path, err)
	}
	return nil
}

// Fetch is journal.Reader's.
func (c *Client) Fetch(ctx context.Context, seq uint64, r journal.Range) (journal.Stored, error) {
	resp, err := c.ask(ctx, http.MethodGet, "/fetch", rangeQuery(seq, r).Encode())
	if err != nil {
		return journal.Stored{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return journal.Stored{}, io.EOF
	}
	if resp.ContentLength < 0 || resp.ContentLength > maxAnswer {
		return journal.Stored{}, fmt.Errorf("daemon: a block of %d bytes, more than the %d that a block may have", resp.ContentLength, maxAnswer)
	}
	st := journal.Stored{Data: make([]byte, resp.ContentLength)}
	if _, err := io.ReadFull(resp.Body, st.Data); err != nil {
		return journal.Stored{}, fmt.Errorf("%w: block after %d: %w", errUnreachable, seq, err)
	}
	for key, to := range map[string]*uint64{headerFrom: &st.From, headerFirst: &st.First, headerLast: &st.Last} {
		if *to, err = strconv.ParseUint(resp.Header.Get(key), 10, 64); err != nil {
			return journal.Stored{}, fmt.Errorf("daemon: header %s: %w", key, err)
		}
	}
	return st, nil
}

// Wait is journal.Reader's.
func (c *Client) Wait(ctx context.Context, seq uint64) error {
	var ok struct{}
	return c.getJSON(ctx, "/wait", "seq="+strconv.FormatUint(seq, 10), &ok)
}

// Bounds is journal.Reader's.
func (c *Client) Bounds(ctx context.Context) (b journal.Bounds, err error) {
	err = c.getJSON(ctx, "/bounds", "", &b)
	return b, err
}

// Sessions is journal.Reader's.
func (c *Client) Sessions(ctx context.Context) (ss []journal.Session, err error) {
	err = c.getJSON(ctx, "/sessions", "", &ss)
	return ss, err
}

// Rollups is like journal.File's.
func (c *Client) Rollups(ctx context.Context, since, until time.Time) (out journal.StoredRollups, err error) {
	resp, err := c.ask(ctx, http.MethodGet, "/rollups", rangeQuery(0, journal.Range{Since: since, Until: until}).Encode())
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	if resp.ContentLength < 0 || resp.ContentLength > maxAnswer {
		return out, fmt.Errorf("daemon: rollups of %d bytes, more than %d", resp.ContentLength, maxAnswer)
	}
	out.Data = make([]byte, resp.ContentLength)
	if _, err := io.ReadFull(resp.Body, out.Data); err != nil {
		return out, fmt.Errorf("%w: rollups: %w", errUnreachable, err)
	}
	return out, nil
}

// Status asks the daemon how it is.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	err = c.getJSON(ctx, "/status", "", &s)
	return s, err
}

// Vacuum has the daemon vacuum its journal, see journal.Journal.Vacuum. It is
// given up if ctx ends before it is done.
func (c *Client) Vacuum(ctx context.Context, l journal.Limits) (v journal.Vacuumed, err error) {
	err = c.askJSON(ctx, http.MethodPost, "/vacuum", limitsQuery(l).Encode(), &v)
	return v, err
}
