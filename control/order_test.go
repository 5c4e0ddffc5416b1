package control

import (
	"testing"
	"time"

	"torjournal/tor/event"
)

// waiting reports whether somebody waits for commits.
func (m *memory) waiting() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.waits) > 0
}

func (m *memory) holdCommits(hold bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hold = hold
}

// subscriber is an authenticated connection that subscribed to types.
func (r *rig) subscriber(types string) *peer {
	r.t.Helper()
	p := r.login()
	p.send("SETEVENTS " + types + "\r\n")
	p.expect("250 OK")
	return p
}

// TestReplyAfterEarlierEvents is invariant T3: the reply waits for the commit
// of what arrived before it, and goes before what arrived with it or later.
func TestReplyAfterEarlierEvents(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	p := r.subscriber("BW")
	r.log.holdCommits(true)
	r.log.arrive(time.Now().Add(-time.Second), "650 BW 1 1", "650 CIRC 1 BUILT", "650 BW 2 2")
	r.log.arrive(time.Now().Add(time.Hour), "650 BW 3 3")
	r.log.arrive(time.Now().Add(-time.Second), "650 BW 4 4") // the clock was put back: order is that of the journal
	p.send("GETINFO version\r\n")
	until(t, "the reply to wait", r.log.waiting)
	r.log.publish()
	p.expect("650 BW 1 1", "650 BW 2 2", "250-version=0.4.9.11", "250 OK", "650 BW 3 3", "650 BW 4 4")
}

// TestEventsAwaitReply is invariant T4: what a command causes may be committed
// before the command's reply begins, and comes after it all the same.
func TestEventsAwaitReply(t *testing.T) {
	r := newRig(t, Access{NoAuth: true}, func(o *Options) { o.slack = time.Hour })
	p := r.subscriber("BW")
	r.tor.began, r.tor.answer = make(chan struct{}), make(chan struct{})
	p.send("SIGNAL DUMP\r\n")
	<-r.tor.began
	r.log.arrive(time.Now().Add(-2*time.Hour), "650 BW 1 1")
	p.expect("650 BW 1 1")  // this one came long before
	r.log.holdCommits(true) // one chunk: the next one is not looked at while one waits
	r.log.arrive(time.Now(), "650 BW 2 2")
	r.log.arrive(time.Now().Add(time.Hour), "650 BW 3 3") // the clock was put back
	r.log.publish()
	until(t, "the events to be seen", func() bool { return r.srv.Connections()[0].Position == 4 })
	r.tor.answer <- struct{}{}
	p.expect("250 OK", "650 BW 2 2", "650 BW 3 3")
}

// TestCausedEventsAfterReply is the second half of T3: what arrives after a
// command was sent goes after its reply, also if it is older than replySlack,
// unless the command only asks; what arrived before it was sent goes before.
func TestCausedEventsAfterReply(t *testing.T) {
	for _, tt := range []struct {
		command string
		want    []string
	}{
		{"SIGNAL DUMP", []string{"650 BW 1 1", "250 OK", "650 BW 2 2"}},
		{"GETINFO version", []string{"650 BW 1 1", "650 BW 2 2", "250-version=0.4.9.11", "250 OK"}},
	} {
		r := newRig(t, Access{NoAuth: true}, func(o *Options) { o.cause = time.Hour })
		r.tor.began, r.tor.answer = make(chan struct{}), make(chan struct{})
		p := r.subscriber("BW")
		r.log.holdCommits(true)
		r.log.arrive(time.Now().Add(-time.Second), "650 BW 1 1")
		p.send(tt.command + "\r\n")
		<-r.tor.began
		began := time.Now()
		for time.Since(began) < 10*replySlack { // the event is to be older than replySlack
			time.Sleep(replySlack)
		}
		r.log.arrive(time.Now().Add(-5*replySlack), "650 BW 2 2")
		r.log.publish()
		r.tor.answer <- struct{}{}
		p.expect(tt.want...)
	}
}

// TestEventsAwaitNoReplyLong: a slow command delays events by the slack alone.
func TestEventsAwaitNoReplyLong(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	p := r.subscriber("BW")
	r.tor.began, r.tor.answer = make(chan struct{}), make(chan struct{})
	p.send("SIGNAL DUMP\r\n")
	<-r.tor.began
	r.log.arrive(time.Now().Add(time.Hour), "650 BW 1 1")
	p.expect("650 BW 1 1")
	r.tor.answer <- struct{}{}
	p.expect("250 OK")
}

// TestReplyWithoutEvents: who subscribed to nothing waits for no commit.
func TestReplyWithoutEvents(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	p := r.subscriber("BW")
	p.send("SETEVENTS\r\n")
	p.expect("250 OK")
	r.log.holdCommits(true)
	r.log.arrive(time.Now().Add(-time.Second), "650 BW 1 1")
	p.send("GETINFO version\r\n")
	p.expect("250-version=0.4.9.11", "250 OK")
	r.log.publish()
	p.send("GETINFO version\r\n")
	p.expect("250-version=0.4.9.11", "250 OK")
}

// TestEventsDoNotSplitReplies is invariant T2 for replies.
func TestEventsDoNotSplitReplies(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	p := r.subscriber("BW")
	r.tor.during = func() {
		r.log.arrive(time.Time{}, "650 BW 1 1")
		time.Sleep(100 * time.Microsecond) // so that a faulty outlet has its chance
	}
	p.send("GETINFO version circuit-status\r\n")
	p.expect("250-version=0.4.9.11", "250+circuit-status=", "1 BUILT $AA~a", ".", "250 OK")
	p.expect("650 BW 1 1")
}

// TestSetEventsBetweenEvents is invariant T2 for what a command changes.
func TestSetEventsBetweenEvents(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	p := r.subscriber("BW CIRC")
	r.log.holdCommits(true)
	r.log.arrive(time.Now().Add(-time.Second), "650 BW 1 1")
	r.log.arrive(time.Now().Add(time.Hour), "650 BW 2 2", "650 CIRC 2 BUILT")
	p.send("SETEVENTS CIRC\r\n")
	until(t, "the reply to wait", r.log.waiting)
	r.log.publish()
	p.expect("650 BW 1 1", "250 OK", "650 CIRC 2 BUILT")
}

// TestSetEventsAfterArrivals: what arrived before a SETEVENTS belongs to the
// subscription of before, though it is not committed yet: who did not have it
// does not get it, who has it no more does.
func TestSetEventsAfterArrivals(t *testing.T) {
	r := newRig(t, Access{NoAuth: true}, func(o *Options) { o.slack = time.Hour })
	old, young := r.subscriber("BW"), r.login()
	r.log.holdCommits(true)
	r.log.arrive(time.Now(), "650 BW 1 1")
	for _, p := range []*peer{old, young} {
		p.send(map[*peer]string{old: "SETEVENTS CIRC\r\n", young: "SETEVENTS BW CIRC\r\n"}[p])
	}
	until(t, "both to wait for the commit", func() bool {
		r.log.mu.Lock()
		defer r.log.mu.Unlock()
		return len(r.log.waits) == 2
	})
	r.log.publish()
	old.expect("650 BW 1 1", "250 OK")
	young.expect("250 OK")
	r.log.arrive(time.Time{}, "650 CIRC 2 BUILT")
	r.log.publish()
	old.expect("650 CIRC 2 BUILT")
	young.expect("650 CIRC 2 BUILT")
}

// TestNothingAfterQuit: the answer to QUIT is the last line.
func TestNothingAfterQuit(t *testing.T) {
	r := newRig(t, Access{NoAuth: true})
	p := r.subscriber("BW")
	r.log.holdCommits(true)
	r.log.arrive(time.Now().Add(-time.Second), "650 BW 1 1")
	r.log.arrive(time.Now().Add(time.Hour), "650 BW 2 2", "650 BW 3 3")
	p.send("QUIT\r\n")
	until(t, "the reply to wait", r.log.waiting)
	r.log.publish()
	p.expect("650 BW 1 1", "250 closing connection")
	p.closed()
}

// TestSlowDiskLeavesControl: a reply does not wait for ever.
func TestSlowDiskLeavesControl(t *testing.T) {
	r := newRig(t, Access{NoAuth: true}, func(o *Options) { o.waits.reply = 100 * time.Millisecond })
	p := r.subscriber("BW")
	r.log.holdCommits(true)
	r.log.arrive(time.Now().Add(-time.Second), "650 BW 1 1")
	p.send("GETINFO version\r\n")
	p.expect("250-version=0.4.9.11", "250 OK")
	r.log.publish()
	p.expect("650 BW 1 1")
}

// TestReplyDuringReplay is invariant T4.
func TestReplyDuringReplay(t *testing.T) {
	r := newRig(t, Access{NoAuth: true, History: true})
	r.log.arrive(time.Now().Add(-2*time.Hour), "650 BW 1 1")
	r.log.arrive(time.Now().Add(-time.Hour), "650 BW 2 2")
	p := r.subscriber("BW")
	p.send("REPLAY SPEED=0.5\r\n")
	p.expect("250 OK at this SPEED the replay never catches up with the present", "650 BW 1 1")
	r.log.holdCommits(true)
	r.log.arrive(time.Now().Add(-time.Second), "650 BW 3 3")
	p.send("GETINFO version\r\n") // at once, though the next event is two hours away
	p.expect("250-version=0.4.9.11", "250 OK")
	if r.log.waiting() {
		t.Error("the reply waited for a commit")
	}
	if info := r.srv.Connections(); len(info) != 1 || !info[0].Replaying {
		t.Errorf("status says %+v", info)
	}
	r.log.publish()
	p.send("REPLAY FROM=2 SPEED=1000000\r\n") // replaces the first
	p.expect("250 OK", "650 BW 2 2", "650 BW 3 3", "650 JOURNAL CAUGHT_UP SEQ=3")
}

// TestMarks: what is said of gaps is said to who uses what is ours.
func TestMarks(t *testing.T) {
	r := newRig(t, Access{NoAuth: true, History: true})
	plain, ours := r.subscriber("BW"), r.subscriber("BW JOURNAL")
	r.log.arrive(time.Time{}, "650 BW 1 1")
	for _, p := range []*peer{plain, ours} {
		p.expect("650 BW 1 1")
	}
	r.log.holdCommits(true)
	r.log.arrive(time.Time{}, "650 BW 2 2", "650 BW 3 3", "650 BW 4 4")
	r.log.mu.Lock()
	r.log.evicted = 3
	r.log.mu.Unlock()
	r.log.publish()
	plain.expect("650 BW 4 4")
	ours.expect("650 JOURNAL GAP FROM=2 TO=3", "650 BW 4 4")

	plain.send("SETEVENTS\r\n")
	plain.expect("250 OK")
	r.log.mu.Lock()
	r.log.lost = map[event.Type]uint64{event.STREAM: 2, event.CIRC: 3}
	r.log.mu.Unlock()
	r.log.arrive(time.Time{}, "650 BW 5 5")
	r.log.publish()
	ours.expect("650 JOURNAL DROPPED TYPES=CIRC,STREAM COUNT=5", "650 BW 5 5")
}

// TestReplaySince passes over records by their own time, in journal order.
func TestReplaySince(t *testing.T) {
	r := newRig(t, Access{NoAuth: true, History: true})
	old, young := time.Now().Add(-2*time.Hour), time.Now().Add(-time.Minute)
	r.log.arrive(young, "650 BW 1 1")
	r.log.arrive(old, "650 BW 2 2") // the clock was put back
	r.log.arrive(young, "650 BW 3 3")
	p := r.subscriber("BW")
	srv := r.srv
	c := func() *conn {
		srv.mu.Lock()
		defer srv.mu.Unlock()
		return srv.conns[1]
	}()
	// The stub cannot look up times: begin by hand what REPLAY SINCE=1h plans.
	err := c.answer([]byte("250 OK\r\n"), func(o *outlet) {
		o.rewind(&replay{since: time.Now().Add(-time.Hour), last: 3, now: time.Now}, 1)
	})
	if err != nil {
		t.Fatal(err)
	}
	p.expect("250 OK", "650 BW 1 1", "650 BW 3 3", "650 JOURNAL CAUGHT_UP SEQ=3")
	err = c.answer(nil, func(o *outlet) { o.rewind(&replay{last: 2, now: time.Now}, 1) }) // the third came in between
	if err != nil {
		t.Fatal(err)
	}
	p.expect("650 BW 1 1", "650 BW 2 2", "650 JOURNAL CAUGHT_UP SEQ=2", "650 BW 3 3")
	r.log.arrive(old, "650 BW 4 4")
	p.expect("650 BW 4 4") // live: the time does not matter any more
}
