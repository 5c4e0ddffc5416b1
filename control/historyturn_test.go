package control

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"torjournal/journal"
)

// slowRecords hands out no record before it is let; it tells when it is asked.
type slowRecords struct {
	*memory
	asked, let chan struct{}
	ended      chan error // why a question ended, of those that were not let
}

func (s *slowRecords) Fetch(ctx context.Context, seq uint64, r journal.Range) (journal.Stored, error) {
	s.asked <- struct{}{}
	select {
	case <-s.let:
		return s.memory.Fetch(ctx, seq, r)
	case <-ctx.Done():
		s.ended <- ctx.Err()
		return journal.Stored{}, ctx.Err()
	}
}

func slowRig(t *testing.T, tune ...func(*Options)) (*rig, *slowRecords) {
	r := newRig(t, Access{NoAuth: true, History: true}, tune...)
	slow := &slowRecords{memory: r.log, asked: make(chan struct{}, 9), let: make(chan struct{}), ended: make(chan error, 9)}
	r.srv.records = slow
	r.log.arrive(time.Time{}, "650 BW 1 2")
	return r, slow
}

func (s *slowRecords) await(t *testing.T, c <-chan error) error {
	t.Helper()
	select {
	case err := <-c:
		return err
	case <-time.After(patience):
		t.Fatal("nothing happened")
		return nil
	}
}

// While an answer is computed, events reach this connection and others, and
// others' commands are answered; this one's wait for their turn.
func TestHistoryHoldsUpNobody(t *testing.T) {
	r, slow := slowRig(t)
	p, other := r.login(), r.login()
	for _, x := range []*peer{p, other} {
		x.send("SETEVENTS BW\r\n")
		x.expect("250 OK")
	}
	p.send("HISTORY CIRCUITS\r\nGETINFO version\r\n")
	<-slow.asked
	r.log.arrive(time.Time{}, "650 BW 3 4")
	p.expect("650 BW 3 4")
	other.expect("650 BW 3 4")
	other.send("GETINFO version\r\n")
	other.expect("250-version=0.4.9.11", "250 OK")
	close(slow.let)
	p.expect("250+HISTORY=", ".", "250 OK", "250-version=0.4.9.11", "250 OK")
}

// One answer is computed at a time; who has waited too long is told.
func TestHistoryOneAtATime(t *testing.T) {
	r, slow := slowRig(t, func(o *Options) { o.askPatience = 50 * time.Millisecond })
	p, other := r.login(), r.login()
	p.send("HISTORY CIRCUITS\r\n")
	<-slow.asked
	other.send("HISTORY CIRCUITS\r\n")
	if got := other.line(); !strings.HasPrefix(got, "551 HISTORY: one is answered at a time") {
		t.Error(got)
	}
	other.send("HISTORY CIRCUITS LIMIT=0\r\n")
	if got := other.line(); !strings.HasPrefix(got, "512 ") {
		t.Error(got)
	}
	if n := len(slow.asked); n != 0 {
		t.Errorf("the journal was asked %d times more", n)
	}
	close(slow.let)
	p.expect("250+HISTORY=", ".", "250 OK")
	other.send("HISTORY CIRCUITS\r\n")
	other.expect("250+HISTORY=", ".", "250 OK")
}

func TestHistoryThatTakesTooLong(t *testing.T) {
	r, slow := slowRig(t, func(o *Options) { o.askTime = 20 * time.Millisecond })
	p := r.login()
	p.send("HISTORY CIRCUITS\r\n")
	if got := p.line(); !strings.HasPrefix(got, "551 HISTORY: the answer takes too long") {
		t.Error(got)
	}
	slow.await(t, slow.ended)
	close(slow.let)
	for got := ""; got != "250+HISTORY=\r\n"; { // also where the machine stands still for 20 ms
		for len(slow.asked) > 0 {
			<-slow.asked
		}
		p.send("HISTORY CIRCUITS\r\n")
		if got = p.line(); !strings.HasPrefix(got, "250+") && !strings.HasPrefix(got, "551 HISTORY: the answer takes too long") {
			t.Fatal(got)
		}
	}
	p.expect(".", "250 OK")
}

// A question ends with its connection, and lets the next one begin. Who has
// sent a command behind it is waited for.
func TestHistoryEndsWithItsConnection(t *testing.T) {
	r, slow := slowRig(t)
	p, waiting, other := r.login(), r.login(), r.login()
	p.send("HISTORY CIRCUITS\r\n")
	<-slow.asked
	waiting.send("HISTORY CIRCUITS\r\n")
	waiting.sock.Close()
	p.sock.Close()
	if err := slow.await(t, slow.ended); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	other.send("HISTORY CIRCUITS\r\nQUIT\r\n")
	for range 2 { // waiting may have had its turn before it was missed
		<-slow.asked
		if len(slow.ended) == 0 {
			break
		}
		<-slow.ended
	}
	if half, ok := other.sock.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		t.Fatal("the socket cannot be closed by half")
	}
	close(slow.let)
	other.expect("250+HISTORY=", ".", "250 OK", "250 closing connection")
	other.closed()
}

// The end of the server ends a question.
func TestHistoryEndsWithTheServer(t *testing.T) {
	r, slow := slowRig(t)
	p := r.login()
	p.send("HISTORY CIRCUITS\r\n")
	<-slow.asked
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.srv.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	slow.await(t, slow.ended)
}

// A connection that asks about the past outlives the source.
func TestHistoryOutlivesTheSource(t *testing.T) {
	r, slow := slowRig(t)
	p := r.login()
	p.send("HISTORY CIRCUITS\r\n")
	<-slow.asked
	r.tor.lose()
	r.log.arrive(time.Time{}, "650 JOURNAL SOURCE_LOST")
	close(slow.let)
	p.expect("250+HISTORY=", ".", "250 OK")
	p.send("HISTORY CIRCUITS\r\n")
	p.expect("250+HISTORY=", ".", "250 OK")
}

// TestHistoryAnswersTogether: where others do not read their answers, one more
// is not held.
func TestHistoryAnswersTogether(t *testing.T) {
	r, j := newJournalRig(t, journal.Options{})
	record(t, j, "650 BW 1 1")
	p := r.login()
	r.srv.answers.Add(maxAnswers) // of others
	p.send("HISTORY RECORDS FROM=1\r\n")
	p.expect("551 HISTORY: other connections have not read their answers yet, and there is no room for one more: try again")
	r.srv.answers.Add(-maxAnswers)
	if a := p.ask("RECORDS FROM=1"); a.rows == "" || a.last != "OK" {
		t.Errorf("%+v", a)
	}
}

// TestHistoryBeforeTheEnd: who sends a question, another command and then the
// end of his stream gets both answers, however long the first takes.
func TestHistoryBeforeTheEnd(t *testing.T) {
	r, j := newJournalRig(t, journal.Options{})
	record(t, j, "650 BW 1 1")
	p := r.login()
	r.srv.asking <- struct{}{} // somebody else's question is answered
	p.send("HISTORY RECORDS FROM=1\r\nGETINFO version\r\n")
	if err := p.sock.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond) // so that a faulty server has its chance
	<-r.srv.asking
	p.expect("250+HISTORY=")
	for l := p.line(); l != "250 OK\r\n"; l = p.line() {
	}
	p.expect("250-version=0.4.9.11", "250 OK")
	p.closed()
}
