// Package testnet runs private Tor networks made of real tor processes, all on
// loopback, for tests and for the demo.
//
// It promises that nothing leaves the machine (every tor has its own
// DirAuthority lines, may connect only from 127.0.0.1, and resolves names at a
// DNS server of the network), that no tor outlives the
// process that started it, however that process ends, and that copies of a
// network may run beside each other. It does not simulate latency, bandwidth
// or loss, and it does not hide the time: clocks are real.
//
// # Two kinds of network
//
// A live network has a directory authority that votes, so relays come and go
// as in the public network. Its start is bound by the voting schedule: 10 to
// 30 seconds.
//
// A baked network has none running, and starts in two seconds:
//
//	bake, once a week (seconds):
//	    make the authority's keys with tor-gencert
//	    start each relay without network; keep its keys and its descriptor
//	Start:
//	    claim a block of ports
//	    give each relay its keys; write microdescriptors from the descriptors
//	    write a consensus of just these relays on just these ports, and sign
//	        it with the authority's key
//	    start the relays, then the clients: tor finds everything on its disk
//
// Letting an authority vote once and keeping what it made was tried and lost:
// the ports stand in such a consensus, so that two copies of a network could
// not run at the same time, every relay of it must be running, and making it
// took two rounds of voting.
package testnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Options says what network Start starts. The zero value is a baked network
// of 3 exits and 1 client.
type Options struct {
	// Exits exit to 127.0.0.0/8; 0 means 3. Middles do not exit. Onion services
	// need 8 relays; relays build circuits of their own where there are 5.
	Exits, Middles int

	Clients int // 0 means 1

	// Live runs a voting authority instead of writing a signed consensus.
	Live bool

	// TorPath is the tor to run; empty means the one in $PATH. TorGencertPath
	// likewise.
	TorPath, TorGencertPath string

	// ClientAddresses gives each client an address of its own, 127.0.0.11,
	// 127.0.0.12 …, from which relays see it come. Each client then reaches the
	// relays through a proxy in this process. Without it all connect from
	// 127.0.0.1, as the relays do.
	ClientAddresses bool

	// CacheDir holds baked keys, shared by processes. Empty means
	// .cache/testnet in the folder of the go.mod at or above the working
	// directory, else torjournal/testnet in the user's cache folder.
	CacheDir string

	// ClientTorrc and RelayTorrc are lines added to the torrc of each client
	// and each relay.
	ClientTorrc, RelayTorrc []string

	// Handler answers the web server of the network; nil means WebHandler().
	Handler http.Handler

	// Log receives a line for each step; nil means none.
	Log io.Writer
}

// A relay is told apart by its keys, of which a bake makes this many. Twelve
// are four more than onion services need, and cost a bake three seconds.
const maxRelays = 12

// A relay finds paths for circuits of its own among this many relays. Among
// fewer it would try, and fail with a warning, four times a second for ever;
// so there it builds none until it needs one.
const enoughRelays = 5

// A network whose start takes longer than this has failed. A live network
// waits for votes, and a relay that misses one waits for the next.
const (
	bakedStartLimit = 60 * time.Second
	liveStartLimit  = 150 * time.Second
)

// Network is a running private Tor network. Its methods may be called by
// several goroutines at once.
type Network struct {
	opts       Options
	dir        string // of all its nodes; removed by Close
	unlock     func() // says that dir is no longer in use
	ports      *portBlock
	authority  *Node // nil when baked
	relays     []*Node
	clients    []*Node
	webPort    int
	nameserver string         // host:port
	servers    []func() error // close the servers of the network
	closeOnce  sync.Once
	closeErr   error // what Close returns, written inside closeOnce
}

// Start starts a network and returns when every client has bootstrapped.
// The network ends by Close or with this process, not with ctx, which bounds
// the start only.
func Start(ctx context.Context, opts Options) (*Network, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	limit := bakedStartLimit
	if opts.Live {
		limit = liveStartLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	n := &Network{opts: opts}
	if err := n.start(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (o Options) withDefaults() (Options, error) {
	if o.Exits == 0 {
		o.Exits = 3
	}
	if o.Clients == 0 {
		o.Clients = 1
	}
	if o.Exits < 1 || o.Middles < 0 || o.Exits+o.Middles < 3 || o.Exits+o.Middles > maxRelays {
		return o, fmt.Errorf("testnet: %d exits and %d middle relays: a network has 3 to %d relays, at least one of them an exit", o.Exits, o.Middles, maxRelays)
	}
	if o.Clients < 0 || o.Clients > maxClients {
		return o, fmt.Errorf("testnet: %d clients: a network has at most %d", o.Clients, maxClients)
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.Handler == nil {
		o.Handler = WebHandler()
	}
	if o.CacheDir == "" {
		dir, err := defaultCacheDir()
		if err != nil {
			return o, err
		}
		o.CacheDir = dir
	}
	var err error
	if o.TorPath, err = findTool("tor", o.TorPath); err != nil {
		return o, err
	}
	o.TorGencertPath, err = findTool("tor-gencert", o.TorGencertPath)
	return o, err
}

func (n *Network) start(ctx context.Context) error {
	began := time.Now()
	keys, err := bakedKeys(ctx, n.opts)
	if err != nil {
		return err
	}
	if n.dir, n.unlock, err = makeRunDir(); err != nil {
		return err
	}
	if n.ports, err = claimPorts(ctx); err != nil {
		return err
	}
	if err := n.serve(); err != nil {
		return err
	}
	if err := n.layOut(keys); err != nil {
		return err
	}
	if n.opts.Live {
		err = n.startLive(ctx)
	} else {
		err = n.startBaked(ctx, keys)
	}
	if err != nil {
		return err
	}
	n.logf("the network is up after %.1f s", time.Since(began).Seconds())
	return nil
}

// serve starts the servers that the exits reach.
func (n *Network) serve() error {
	dns, err := startDNS(n.ports.take())
	if err != nil {
		return err
	}
	n.servers = append(n.servers, dns.close)
	n.nameserver = dns.addr
	n.webPort = n.ports.take()
	web, err := startWeb(n.webPort, n.opts.Handler)
	if err != nil {
		return err
	}
	n.servers = append(n.servers, web.close)
	return nil
}

// layOut makes the nodes and their folders, without starting them.
func (n *Network) layOut(keys *bakery) error {
	resolv := filepath.Join(n.dir, "resolv.conf")
	if err := os.WriteFile(resolv, []byte("nameserver "+n.nameserver+"\n"), 0o600); err != nil {
		return fmt.Errorf("testnet: write the relays' resolv.conf: %w", err)
	}
	auth := authority{
		v3ident: keys.v3ident, fingerprint: keys.authority.fingerprint,
		orPort: n.ports.take(), dirPort: n.ports.take(),
	}
	common := append(privateLines(auth), "TestingTorNetwork 1", "TestingEnableConnBwEvent 1", "TestingEnableCellStatsEvent 1")
	relay := relayLines(resolv)
	if n.opts.Exits+n.opts.Middles < enoughRelays {
		relay = append(relay, "__DisablePredictedCircuits 1")
	}
	relay = append(relay, n.opts.RelayTorrc...)
	if n.opts.Live {
		n.authority = n.newNode("auth0", keys.authority, auth.orPort, common, authorityLines(auth), relay)
	}
	for i := range n.opts.Exits + n.opts.Middles {
		name, policy := fmt.Sprintf("exit%d", i), exitLines(n.opts.Live)
		if i >= n.opts.Exits {
			name, policy = fmt.Sprintf("middle%d", i-n.opts.Exits), middleLines()
		}
		node := n.newNode(name, keys.relays[i], n.ports.take(), common, policy, relay)
		node.Exit = i < n.opts.Exits
		n.relays = append(n.relays, node)
	}
	for i := range n.opts.Clients {
		client, err := n.newClient(i, common)
		if err != nil {
			return err
		}
		n.clients = append(n.clients, client)
	}
	for _, node := range n.nodes() {
		if err := node.prepare(); err != nil {
			return err
		}
	}
	return nil
}

func (n *Network) newNode(name string, id identity, orPort int, lines ...[]string) *Node {
	node := n.bareNode(name)
	node.Address = "127.0.0.1"
	node.Fingerprint = id.fingerprint
	node.ORAddr = loopback(orPort)
	node.keys = id.keys
	node.addLines(lines...)
	node.addLines([]string{"ORPort " + node.ORAddr, "SocksPort 0", "Address 127.0.0.1"})
	return node
}

// firstClientAddress ends the source address of the first client, where
// clients have their own. The last must stay below 127.0.0.255, and all ports
// within a block.
const (
	firstClientAddress = 11
	maxClients         = 8
)

func (n *Network) newClient(i int, common []string) (*Node, error) {
	node := n.bareNode(fmt.Sprintf("client%d", i))
	node.Address = "127.0.0.1"
	node.SocksAddr = loopback(n.ports.take())
	node.addLines(common, clientLines(), []string{"SocksPort " + node.SocksAddr})
	if n.opts.ClientAddresses {
		node.Address = fmt.Sprintf("127.0.0.%d", firstClientAddress+i)
		proxy, err := startAddressProxy(n.ports.take(), node.Address)
		if err != nil {
			return nil, err
		}
		n.servers = append(n.servers, proxy.close)
		node.addLines([]string{"HTTPSProxy " + proxy.addr()})
	}
	node.addLines(n.opts.ClientTorrc)
	return node, nil
}

func (n *Network) bareNode(name string) *Node {
	node := &Node{
		Nickname:    name,
		ControlAddr: loopback(n.ports.take()),
		Dir:         filepath.Join(n.dir, name),
		torPath:     n.opts.TorPath,
	}
	node.CookieFile = filepath.Join(node.Dir, "control_auth_cookie")
	node.addLines([]string{"Nickname " + name, "ControlPort " + node.ControlAddr, "CookieAuthentication 1"})
	return node
}

func (n *Network) startBaked(ctx context.Context, keys *bakery) error {
	docs, err := writeConsensus(keys, n.relays, time.Now())
	if err != nil {
		return err
	}
	for _, node := range n.nodes() {
		if err := docs.install(node.Dir); err != nil {
			return err
		}
	}
	if err := startNodes(ctx, n.relays); err != nil {
		return err
	}
	n.logf("%d relays are up", len(n.relays))
	return n.startClients(ctx)
}

func (n *Network) startLive(ctx context.Context) error {
	if err := startNodes(ctx, append([]*Node{n.authority}, n.relays...)); err != nil {
		return err
	}
	n.logf("authority and %d relays are up, waiting for a consensus that lists them", len(n.relays))
	if err := n.waitListed(ctx); err != nil {
		return err
	}
	n.logf("the consensus lists every relay")
	return n.startClients(ctx)
}

func (n *Network) startClients(ctx context.Context) error {
	if err := startNodes(ctx, n.clients); err != nil {
		return err
	}
	return each(n.clients, func(c *Node) error { return c.WaitBootstrapped(ctx) })
}

// startNodes starts nodes at the same time and waits until each answers.
func startNodes(ctx context.Context, nodes []*Node) error {
	return each(nodes, func(node *Node) error { return node.Start(ctx) })
}

// each calls do for all nodes at once and waits for all.
func each(nodes []*Node, do func(*Node) error) error {
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, node := range nodes {
		wg.Go(func() { errs[i] = do(node) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Client returns client i, from 0.
func (n *Network) Client(i int) *Node { return n.clients[i] }

// Clients returns all clients. The caller must not change the slice.
func (n *Network) Clients() []*Node { return n.clients }

// Relays returns the exits, then the middle relays, without the authority.
// The caller must not change the slice.
func (n *Network) Relays() []*Node { return n.relays }

// Relay returns the relay with that fingerprint (40 upper-case hexadecimal
// digits, no $), or nil.
func (n *Network) Relay(fingerprint string) *Node {
	for _, r := range n.relays {
		if r.Fingerprint == fingerprint {
			return r
		}
	}
	return nil
}

// Authority returns the directory authority, nil in a baked network.
func (n *Network) Authority() *Node { return n.authority }

// Dir is the folder of the network, removed by Close.
func (n *Network) Dir() string { return n.dir }

// URL is the address of a page of the network's web server, on that host: a
// name below .example (all lead to 127.0.0.1), or "127.0.0.1". The path
// begins with a slash.
func (n *Network) URL(host, path string) string {
	return fmt.Sprintf("http://%s%s", net.JoinHostPort(host, fmt.Sprint(n.webPort)), path)
}

func (n *Network) nodes() []*Node {
	var nodes []*Node
	if n.authority != nil {
		nodes = append(nodes, n.authority)
	}
	nodes = append(nodes, n.relays...)
	return append(nodes, n.clients...)
}

// Close kills every tor of the network, waits for it, and removes the
// network's files. It may be called more than once.
func (n *Network) Close() error {
	n.closeOnce.Do(func() { n.closeErr = n.close() })
	return n.closeErr
}

func (n *Network) close() error {
	errs := []error{each(n.nodes(), (*Node).Close)}
	for _, end := range n.servers {
		errs = append(errs, end())
	}
	if n.ports != nil {
		errs = append(errs, n.ports.release())
	}
	if n.dir != "" {
		errs = append(errs, os.RemoveAll(n.dir))
		n.unlock()
	}
	return errors.Join(errs...)
}

func (n *Network) logf(format string, args ...any) {
	fmt.Fprintf(n.opts.Log, "testnet: "+format+"\n", args...)
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
