package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	// subscribers of a fan-out.
	subscribers = 1000

	// leadBytes is how far the publisher may be ahead of the average
	// subscriber: they shall be live, not read history.
	leadBytes = 2 << 20
)

// hub is something with subscribers: torjournal behind its source, or NATS.
type hub struct {
	name    string
	pid     int
	publish func(wire []byte) error // whole messages, framed
	join    func() (socket, error)
	cycle   []byte // what publish is given again and again…
	ends    []int  // …and where each event ends in it…
	comes   []int  // …and what has come of it to a subscriber then
	checks  []byte // what comes, if it can be compared
	stalls  bool   // whether the idler is part of the round
	stop    func() error
}

// fanned is what one round found.
type fanned struct {
	rate       float64 // deliveries/s
	idle, load float64 // bytes of memory a subscriber
	realtime   float64 // events/s, one by one, each delivered to all
	lag        time.Duration
	stalled    float64 // deliveries/s with one more that never reads
}

// fanout publishes to subscribers of everything as fast as they read, then
// one by one in real time, then with one more that never reads.
func fanout(ctx context.Context, b *bench) (rows []row, err error) {
	hubs := []func(context.Context, *bench, string) (*hub, error){journalHub, natsHub}
	var found [2][]fanned
	for range pick(b, 2, 1) {
		for i, open := range hubs {
			f, err := fanoutOnce(ctx, b, open)
			if err == nil {
				f.idle, err = idleSubscribers(ctx, b, open)
			}
			if err != nil {
				return rows, err
			}
			b.say("  %-10s %s deliveries/s, %.1f KiB under load, %.1f idle; %.0f events/s one by one",
				[]string{torjournal, "NATS core"}[i], count(f.rate), f.load/1024, f.idle/1024, f.realtime)
			found[i] = append(found[i], f)
		}
	}
	mid := func(i int, of func(fanned) float64) float64 {
		var vs []float64
		for _, f := range found[i] {
			vs = append(vs, of(f))
		}
		return median(vs)
	}
	rate := func(f fanned) float64 { return f.rate }
	load := func(f fanned) float64 { return f.load }
	idle := func(f fanned) float64 { return f.idle }
	const what = "1,000 subscribers of everything"
	lag := func(i int) string {
		return millis(time.Duration(mid(i, func(f fanned) float64 { return float64(f.lag) })))
	}
	realtime := func(f fanned) float64 { return f.realtime }
	return []row{
		row{what: what, ours: count(mid(0, rate)) + " deliveries/s"}.aim(mid(0, rate), atLeast(5e6), "%.0f/s"),
		row{what: what, ours: count(mid(0, rate)) + " deliveries/s", peer: "NATS core " + count(mid(1, rate)) + "/s"}.
			against(mid(0, rate), mid(1, rate), atLeast(4)),
		row{what: "the same, 500 events/s one by one", ours: fmt.Sprintf("%.0f/s, all had the last after %s", mid(0, realtime), lag(0)),
			peer: fmt.Sprintf("NATS core %.0f/s, after %s", mid(1, realtime), lag(1))}.aim(mid(0, realtime), atLeast(495), "%.0f/s"),
		row{what: "the same, memory a subscriber, under load", ours: kib(mid(0, load)), peer: "NATS core " + kib(mid(1, load))}.
			aim(mid(0, load)/1024, atMost(32), "%.0f KiB"),
		row{what: "the same, memory a subscriber, idle", ours: kib(mid(0, idle)), peer: "NATS core " + kib(mid(1, idle))}.
			aim(mid(0, idle)/1024, atMost(12), "%.0f KiB"),
		row{what: "the same, and one more that never reads", ours: count(mid(0, func(f fanned) float64 { return f.stalled })) + " deliveries/s",
			peer: "without it " + count(mid(0, rate)) + "/s"}.
			against(mid(0, func(f fanned) float64 { return f.stalled }), mid(0, rate), atLeast(0.9)),
	}, nil
}

// idleSubscribers measures in a fresh process what each of a thousand
// subscribers costs that wait for the first event. A process that has worked
// has room from its collector that would hide them.
func idleSubscribers(ctx context.Context, b *bench, open func(context.Context, *bench, string) (*hub, error)) (perSubscriber float64, err error) {
	dir, remove, err := b.folder()
	if err != nil {
		return 0, err
	}
	defer remove()
	h, err := open(ctx, b, dir)
	if err != nil {
		return 0, err
	}
	defer func() {
		if serr := h.stop(); err == nil {
			err = serr
		}
	}()
	before, err := anonBytes(h.pid)
	if err != nil {
		return 0, err
	}
	c, err := gather(subscribers, h.join, nil)
	if err != nil {
		return 0, err
	}
	defer c.close()
	time.Sleep(time.Second)
	after, err := anonBytes(h.pid)
	return float64(after-before) / subscribers, err
}

func fanoutOnce(ctx context.Context, b *bench, open func(context.Context, *bench, string) (*hub, error)) (f fanned, err error) {
	dir, remove, err := b.folder()
	if err != nil {
		return f, err
	}
	defer remove()
	h, err := open(ctx, b, dir)
	if err != nil {
		return f, err
	}
	defer func() {
		if serr := h.stop(); err == nil {
			err = serr
		}
	}()
	// What the server needs whoever subscribes is not a subscriber's.
	if err := h.warmUp(); err != nil {
		return f, fmt.Errorf("%s: %w", h.name, err)
	}
	before, err := anonBytes(h.pid)
	if err != nil {
		return f, err
	}
	c, err := gather(subscribers, h.join, h.checks)
	if err != nil {
		return f, fmt.Errorf("%s: %w", h.name, err)
	}
	defer c.close()
	p := &publisher{hub: h}
	watch := watchMemory(h.pid)
	f.rate, err = p.flood(c, pick(b, 5*time.Second, 2*time.Second))
	f.load = float64(watch()-before) / subscribers
	if err != nil {
		return f, fmt.Errorf("%s: %w", h.name, err)
	}
	if f.realtime, f.lag, err = p.oneByOne(c, 500, pick(b, 8*time.Second, 3*time.Second)); err != nil {
		return f, fmt.Errorf("%s: %w", h.name, err)
	}
	if !h.stalls {
		return f, nil // NATS holds its publisher up for it, as it says it does
	}
	idler, err := h.join()
	if err != nil {
		return f, err
	}
	defer idler.close()
	f.stalled, err = p.flood(c, pick(b, 4*time.Second, 2*time.Second))
	return f, err
}

// watchMemory samples a process until the returned function is called, which
// gives the most that it had.
func watchMemory(pid int) (most func() int64) {
	stop, result := make(chan struct{}), make(chan int64)
	go func() {
		var top int64
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			if n, err := anonBytes(pid); err == nil {
				top = max(top, n)
			}
			select {
			case <-stop:
				result <- top
				return
			case <-tick.C:
			}
		}
	}()
	return func() int64 {
		close(stop)
		return <-result
	}
}

// publisher publishes a hub's cycle again and again.
type publisher struct {
	*hub
	next   int   // event of the cycle
	events int   // since the beginning
	bytes  int64 // that have to come to a subscriber
}

// some publishes the next events, at most n, not beyond the cycle's end.
func (p *publisher) some(n int) error {
	to := min(p.next+n, len(p.ends))
	from, had := 0, 0
	if p.next > 0 {
		from, had = p.ends[p.next-1], p.comes[p.next-1]
	}
	p.bytes += int64(p.comes[to-1] - had)
	p.events += to - p.next
	wire := p.cycle[from:p.ends[to-1]]
	p.next = to % len(p.ends)
	return p.publish(wire)
}

// flood publishes as fast as everybody reads.
func (p *publisher) flood(c *crowd, during time.Duration) (deliveries float64, err error) {
	begin, had := time.Now(), p.events
	for time.Since(begin) < during {
		if p.bytes-c.average() > leadBytes {
			time.Sleep(20 * time.Microsecond)
			continue
		}
		if err := p.some(64); err != nil {
			return 0, err
		}
	}
	err = c.wait(p.bytes)
	return float64(p.events-had) * float64(len(c.socks)) / time.Since(begin).Seconds(), err
}

// oneByOne publishes in real time. lag is how long after the last event
// everybody had it.
func (p *publisher) oneByOne(c *crowd, perSecond int, during time.Duration) (rate float64, lag time.Duration, err error) {
	begin, had := time.Now(), p.events
	if err := paced(perSecond, during, func(int) error { return p.some(1) }); err != nil {
		return 0, 0, err
	}
	sent := time.Now()
	err = c.wait(p.bytes)
	lag = time.Since(sent)
	// The last event has an interval of its own.
	took := max(during, time.Since(begin))
	return float64(p.events-had) / took.Seconds(), lag, err
}

// warmUp publishes to one subscriber until the server's own buffers are full.
func (h *hub) warmUp() error {
	one, err := gather(1, h.join, nil)
	if err != nil {
		return err
	}
	defer one.close()
	p := &publisher{hub: h}
	if err := paced(200, 4*time.Second, func(int) error { return p.some(64) }); err != nil {
		return err
	}
	for p.next != 0 { // the crowd's first byte is the cycle's
		if err := p.some(len(p.ends)); err != nil {
			return err
		}
	}
	return one.wait(p.bytes)
}

// journalHub is torjournal behind a fake tor, at a TCP port as NATS is.
func journalHub(ctx context.Context, b *bench, dir string) (*hub, error) {
	address, err := freePort()
	if err != nil {
		return nil, err
	}
	r, err := b.record(ctx, torjournal, dir, address)
	if err != nil {
		return nil, err
	}
	h := &hub{
		name: torjournal, pid: r.cmd.Process.Pid, publish: r.tor.send, stop: r.stop, stalls: true,
		join: func() (socket, error) { return subscribe(address) },
	}
	h.cycle, h.ends = b.client.stream()
	h.comes, h.checks = h.ends, h.cycle
	return h, nil
}

// natsHub is a NATS server with the same payloads on one subject.
func natsHub(ctx context.Context, b *bench, _ string) (*hub, error) {
	address, err := freePort()
	if err != nil {
		return nil, err
	}
	program, err := b.peer()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, "nats", address)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	h := &hub{name: "NATS core", pid: cmd.Process.Pid}
	h.join = func() (socket, error) { return joinNATS(address, "SUB e 1\r\n") }
	for _, s := range b.client.events {
		h.cycle = fmt.Appendf(h.cycle, "PUB e %d\r\n%s\r\n", len(s.wire), s.wire)
		h.ends = append(h.ends, len(h.cycle))
		came := len(fmt.Sprintf("MSG e 1 %d\r\n%s\r\n", len(s.wire), s.wire))
		if n := len(h.comes); n > 0 {
			came += h.comes[n-1]
		}
		h.comes = append(h.comes, came)
	}
	var pub socket
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if pub, err = joinNATS(address, ""); err == nil {
			break
		}
		if time.Since(begin) > patience {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			return nil, fmt.Errorf("NATS: %w", err)
		}
	}
	h.publish = pub.write
	h.stop = func() error {
		pub.close()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		return cmd.Wait()
	}
	return h, nil
}

// joinNATS opens a connection to a NATS server and says something on it.
func joinNATS(address, say string) (socket, error) {
	s, err := dial(address)
	if err != nil {
		return s, err
	}
	err = s.say("", "\r\n") // INFO
	if err == nil {
		err = s.say(strings.Join([]string{"CONNECT {\"verbose\":false}\r\n", say, "PING\r\n"}, ""), "PONG\r\n")
	}
	if err != nil {
		s.close()
		return -1, err
	}
	return s, nil
}
