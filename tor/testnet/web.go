package testnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// webServer is the web of a network, on 127.0.0.1.
type webServer struct {
	server *http.Server
	done   chan error // what Serve returned; owned by its goroutine
}

func startWeb(port int, handler http.Handler) (*webServer, error) {
	l, err := net.Listen("tcp4", loopback(port))
	if err != nil {
		return nil, fmt.Errorf("testnet: web server: %w", err)
	}
	w := &webServer{
		server: &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second},
		done:   make(chan error, 1),
	}
	go func() { w.done <- w.server.Serve(l) }()
	return w, nil
}

func (w *webServer) close() error {
	err := w.server.Close()
	if served := <-w.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// maxPage bounds what WebHandler sends and Fetch reads, so that a test cannot
// fill the memory by a slip: 64 MiB.
const maxPage = 64 << 20

// WebHandler serves the pages that every network has: /bytes/N sends N bytes
// (at most 64 MiB), any other path a line of text that names the host asked
// for.
func WebHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.Host)
		fmt.Fprintf(w, "This is %s.\n", host)
	})
	mux.HandleFunc("/bytes/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.PathValue("n"))
		if err != nil || n < 0 || n > maxPage {
			http.Error(w, fmt.Sprintf("ask for 0 to %d bytes", maxPage), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(n))
		chunk := make([]byte, 16<<10)
		for n > 0 {
			sent, err := w.Write(chunk[:min(n, len(chunk))])
			if err != nil {
				return
			}
			n -= sent
		}
	})
	return mux
}

// Fetch gets a page through a client's SOCKS port, once. Names are resolved
// by the exit. Fetches with different isolation strings do not share a
// circuit; it is sent as SOCKS user name, and may be empty. The body, at most
// 64 MiB, is the caller's.
func (n *Node) Fetch(ctx context.Context, page, isolation string) ([]byte, error) {
	if n.SocksAddr == "" {
		return nil, fmt.Errorf("testnet: %s is not a client: fetch through one", n.Nickname)
	}
	proxy := &url.URL{Scheme: "socks5h", Host: n.SocksAddr}
	if isolation != "" {
		proxy.User = url.UserPassword(isolation, "x")
	}
	client := &http.Client{Transport: &http.Transport{
		Proxy:             http.ProxyURL(proxy),
		DisableKeepAlives: true,
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return nil, fmt.Errorf("testnet: fetch %s: %w", page, err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("testnet: fetch through %s: %w", n.Nickname, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPage+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("testnet: fetch %s through %s: %w", page, n.Nickname, err)
	case len(body) > maxPage:
		return nil, fmt.Errorf("testnet: fetch %s: more than %d bytes", page, maxPage)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("testnet: fetch %s through %s: %s", page, n.Nickname, resp.Status)
	}
	return body, nil
}
