package testnet

import (
	"context"
	"strings"
	"testing"
	"time"
)

// testLimit bounds what a test with real tors waits for anything.
const testLimit = 120 * time.Second

func testContext(t *testing.T) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("runs real tor processes")
	}
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	t.Cleanup(cancel)
	return ctx
}

func startNetwork(t *testing.T, opts Options) *Network {
	t.Helper()
	ctx := testContext(t)
	opts.Log = t.Output()
	n, err := Start(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func TestFetch(t *testing.T) {
	n := startNetwork(t, Options{})
	for _, host := range []string{"127.0.0.1", "www.example"} {
		page, err := n.Client(0).Fetch(testContext(t), n.URL(host, "/"), "")
		if err != nil {
			t.Error(err)
		} else if !strings.Contains(string(page), host) {
			t.Errorf("asked for %s, got %q", host, page)
		}
	}
}
