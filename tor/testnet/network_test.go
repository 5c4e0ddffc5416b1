package testnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

func TestFetch(t *testing.T) {
	n := startNetwork(t, Options{Middles: 1, Clients: 2})
	for _, c := range n.Clients() {
		for _, host := range []string{"127.0.0.1", "www.example"} {
			page, err := c.Fetch(testContext(t), n.URL(host, "/"), "")
			if err != nil {
				t.Error(err)
			} else if want := "This is " + host + ".\n"; string(page) != want {
				t.Errorf("asked %s, got %q, want %q", host, page, want)
			}
		}
	}
	if page, err := n.Client(0).Fetch(testContext(t), n.URL("www.example", "/bytes/100000"), ""); err != nil || len(page) != 100000 {
		t.Errorf("asked for 100000 bytes, got %d and %v", len(page), err)
	}
	if page, err := n.Client(0).Fetch(testContext(t), n.URL("no.such.name", "/"), ""); err == nil {
		t.Errorf("a name that does not exist answered %q", page)
	}
}

func TestIsolation(t *testing.T) {
	n := startNetwork(t, Options{})
	ctx, c := testContext(t), n.Client(0)
	for _, user := range []string{"alice", "bob"} {
		if _, err := c.Fetch(ctx, n.URL("www.example", "/"), user); err != nil {
			t.Fatal(err)
		}
	}
	circuits, err := c.Command(ctx, "GETINFO circuit-status")
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"alice", "bob"} {
		if strings.Count(circuits, "SOCKS_USERNAME=\""+user+"\"") == 0 {
			t.Errorf("no circuit bears the user name %s:\n%s", user, circuits)
		}
	}
}

// Exits refuse what is not on loopback, and say so.
func TestNothingLeaves(t *testing.T) {
	n := startNetwork(t, Options{})
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	events := watch(t, n.Client(0), "STREAM")
	fetched := make(chan error, 1)
	go func() { // tor would go on trying for two minutes
		_, err := n.Client(0).Fetch(ctx, n.URL("192.0.2.1", "/"), "")
		fetched <- err
	}()
	refused := false
	for line := range events {
		if strings.Contains(line, " SUCCEEDED ") {
			t.Errorf("a stream left the machine: %s", line)
		}
		if refused = strings.Contains(line, "REMOTE_REASON=EXITPOLICY"); refused {
			break
		}
	}
	if !refused {
		t.Error("no exit refused the stream")
	}
	cancel()
	if err := <-fetched; err == nil {
		t.Error("a page came from outside")
	}
}

// Clients must be told apart by what relays see of them.
func TestClientAddresses(t *testing.T) {
	n := startNetwork(t, Options{Clients: 2, ClientAddresses: true})
	if _, err := n.Client(1).Fetch(testContext(t), n.URL("www.example", "/"), ""); err != nil {
		t.Error(err)
	}
	seen := ""
	for _, r := range n.Relays() {
		conns, err := r.Command(testContext(t), "GETINFO orconn-status")
		if err != nil {
			t.Fatal(err)
		}
		seen += conns
	}
	for i, want := range []string{"127.0.0.11", "127.0.0.12"} {
		if c := n.Client(i); c.Address != want || !strings.Contains(seen, want) {
			t.Errorf("client %d should connect from %s (field: %s); relays see\n%s", i, want, c.Address, seen)
		}
	}
}

func TestOnionService(t *testing.T) {
	n := startNetwork(t, Options{Exits: 4, Middles: 4, Clients: 2})
	ctx := testContext(t)
	web := strings.TrimPrefix(n.URL("127.0.0.1", ""), "http://")
	reply, err := n.Client(1).Command(ctx, "ADD_ONION NEW:ED25519-V3 Flags=Detach,DiscardPK Port=80,"+web)
	if err != nil {
		t.Fatal(err)
	}
	id, ok := strings.CutPrefix(strings.Split(reply, "\n")[0], "ServiceID=")
	if !ok {
		t.Fatalf("ADD_ONION said %q", reply)
	}
	page := "http://" + id + ".onion/bytes/5000"
	eventually(t, ctx, func() error { // until its descriptor is published
		body, err := n.Client(0).Fetch(ctx, page, "")
		if err == nil && len(body) != 5000 {
			err = fmt.Errorf("got %d bytes, want 5000", len(body))
		}
		return err
	})
}

func TestKilledRelay(t *testing.T) {
	n := startNetwork(t, Options{})
	ctx := testContext(t)
	r := n.Relay(n.Relays()[1].Fingerprint)
	pid, addr := r.PID(), r.ControlAddr
	if err := r.Kill(); err != nil {
		t.Fatal(err)
	}
	if r.PID() != 0 || alive(pid) {
		t.Errorf("killed relay still runs as process %d", pid)
	}
	if _, err := r.Command(ctx, "GETINFO version"); err == nil {
		t.Error("a killed relay answers on its control port")
	}
	if err := r.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if r.PID() == pid || r.PID() == 0 {
		t.Errorf("process %d after the start, %d before", r.PID(), pid)
	}
	if err := r.Start(ctx); err == nil {
		t.Error("a running relay was started again")
	}
	fp, err := r.Command(ctx, "GETINFO fingerprint")
	if err != nil || !strings.Contains(fp, r.Fingerprint) || r.ControlAddr != addr {
		t.Errorf("the relay came back as %q at %s (%v), was %s at %s", fp, r.ControlAddr, err, r.Fingerprint, addr)
	}
	eventually(t, ctx, func() error { // its guards may have to be tried again
		_, err := n.Client(0).Fetch(ctx, n.URL("www.example", "/"), "")
		return err
	})
}

func TestRestartedClient(t *testing.T) {
	n := startNetwork(t, Options{})
	ctx, c := testContext(t), n.Client(0)
	pid, exited := c.PID(), c.Exited()
	if err := c.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	<-exited
	if err := c.WaitBootstrapped(ctx); err != nil {
		t.Fatal(err)
	}
	if c.PID() == pid {
		t.Error("the process is the same")
	}
	if _, err := c.Fetch(ctx, n.URL("www.example", "/"), ""); err != nil {
		t.Error(err)
	}
}

func TestPause(t *testing.T) {
	n := startNetwork(t, Options{})
	ctx, r := testContext(t), n.Relays()[0]
	if err := r.Pause(); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	if _, err := r.Command(short, "GETINFO version"); err == nil {
		t.Error("a paused relay answers")
	}
	if err := r.Continue(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Command(ctx, "GETINFO version"); err != nil {
		t.Error(err)
	}
	if err := r.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := r.Stop(ctx); err != nil || r.PID() != 0 {
		t.Errorf("stopping a paused relay: %v, process %d", err, r.PID())
	}
	if err := r.Pause(); err == nil {
		t.Error("a relay that does not run was paused")
	}
}

func TestLive(t *testing.T) {
	n := startNetwork(t, Options{Live: true})
	ctx := testContext(t)
	// Relays that have only just read of each other refuse circuits for a moment.
	err := n.Client(0).await(ctx, "fetch a page", func() error {
		_, err := n.Client(0).Fetch(ctx, n.URL("www.example", "/"), "")
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if reply, err := n.Authority().Command(ctx, "GETINFO ns/all"); err != nil || strings.Count(reply, "r exit") != 3 {
		t.Errorf("the authority lists %q (%v)", reply, err)
	}
}

func TestClose(t *testing.T) {
	n := startNetwork(t, Options{})
	var pids []int
	for _, node := range n.nodes() {
		pids = append(pids, node.PID())
	}
	if err := errors.Join(n.Relays()[0].Pause(), n.Close(), n.Close()); err != nil {
		t.Error(err)
	}
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("process %d outlived its network", pid)
		}
	}
	if _, err := os.Stat(n.Dir()); !os.IsNotExist(err) {
		t.Errorf("%s is still there (%v)", n.Dir(), err)
	}
	if err := n.Client(0).Start(testContext(t)); err == nil {
		t.Error("a client of a closed network was started")
	}
	l, err := net.Listen("tcp4", n.Client(0).ControlAddr)
	if err != nil {
		t.Fatal("a port of the network is still taken:", err)
	}
	l.Close()
}

func TestWrongOptions(t *testing.T) {
	for _, test := range []struct {
		name string
		opts Options
		want string
	}{
		{"no tor", Options{TorPath: "/nonexistent/tor"}, "apt-get install tor"},
		{"no tor-gencert", Options{TorGencertPath: "/nonexistent/tor-gencert"}, "apt-get install tor"},
		{"too few relays", Options{Exits: 2}, "3 to 12 relays"},
		{"too many relays", Options{Exits: 6, Middles: 7}, "3 to 12 relays"},
		{"too many clients", Options{Clients: 9}, "at most 8"},
		{"no folder", Options{CacheDir: "/dev/null/cache"}, "cache folder"},
	} {
		if n, err := Start(t.Context(), test.opts); err == nil {
			n.Close()
			t.Errorf("%s: a network started", test.name)
		} else if !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %q does not say %q", test.name, err, test.want)
		}
	}
}

// Who reads that a network failed must see why.
func TestFailedStart(t *testing.T) {
	for _, test := range []struct {
		name  string
		torrc string
		want  []string
	}{
		{"no network", "DisableNetwork 1", []string{"client0 did not bootstrap", "PROGRESS=0", "DisableNetwork is set"}},
		{"wrong torrc", "NoSuchOption 1", []string{"client0 did not answer", "exited (exit status 1)", "Unknown option 'NoSuchOption'"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := failedStart(t, test.torrc)
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q:\n%v", want, err)
				}
			}
		})
	}
}

// failedStart gives a network that cannot start the time in which all but its
// client do, and returns the error.
func failedStart(t *testing.T, torrc string) error {
	t.Helper()
	for limit := 8 * time.Second; ; limit *= 2 {
		ctx, cancel := context.WithTimeout(testContext(t), limit)
		n, err := Start(ctx, Options{ClientTorrc: []string{torrc}})
		cancel()
		if err == nil {
			n.Close()
			t.Fatal("it started")
		}
		if strings.Contains(err.Error(), "client0") || limit > testLimit/2 {
			return err
		}
	}
}

// BenchmarkStart is the time from nothing to a client that has built a
// circuit, with keys baked before.
func BenchmarkStart(b *testing.B) {
	for _, size := range []Options{{}, {Exits: 4, Middles: 4, Clients: 2}} {
		b.Run(fmt.Sprintf("relays=%d,clients=%d", max(size.Exits, 3)+size.Middles, max(size.Clients, 1)), func(b *testing.B) {
			startNetwork(b, size).Close() // bakes
			for b.Loop() {
				n, err := Start(b.Context(), size)
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				n.Close()
				b.StartTimer()
			}
		})
	}
}
