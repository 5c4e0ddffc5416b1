package testnet

import (
	"context"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if end := os.Getenv(crashVariable); end != "" {
		crash(end)
	}
	goleak.VerifyTestMain(m)
}

// testLimit bounds what a test with real tors waits for anything.
const testLimit = 5 * time.Minute

func testContext(t testing.TB) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("runs real tor processes")
	}
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	t.Cleanup(cancel)
	return ctx
}

func startNetwork(t testing.TB, opts Options) *Network {
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

// eventually calls check until it returns nil or the test's time is up.
func eventually(t testing.TB, ctx context.Context, check func() error) {
	t.Helper()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-time.After(pollInterval):
		}
	}
}

// watch returns the events of a node, until the test ends.
func watch(t testing.TB, node *Node, types string) <-chan string {
	t.Helper()
	ctx := testContext(t)
	lines := make(chan string, 1000)
	c, err := node.dial(ctx, func(wires [][]byte) {
		for _, w := range wires {
			select {
			case lines <- string(w):
			case <-ctx.Done():
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { c.Close() })
	go func() {
		defer close(done)
		defer close(lines)
		<-c.Done()
	}()
	t.Cleanup(func() { stop(); c.Close(); <-done })
	if _, err := node.ask(ctx, c, "SETEVENTS "+types); err != nil {
		t.Fatal(err)
	}
	return lines
}
