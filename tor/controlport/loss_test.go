package controlport

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"torjournal/tor/event"
)

func TestLossAndReturn(t *testing.T) {
	for reason, fault := range map[string]func(*fakeTor){
		"CLOSED":    (*fakeTor).drop,
		"MALFORMED": func(f *fakeTor) { f.send("650 BW 1 2\r\nHTTP/1.0 200 OK\r\n") },
	} {
		tor := startFake(t, plainTor().answer)
		sink := &memorySink{}
		var mu sync.Mutex
		now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
		forward := func(d time.Duration) { mu.Lock(); now = now.Add(d); mu.Unlock() }
		s := newSource(t, SourceOptions{
			Addresses: []Address{tor.address()}, Sink: sink,
			now:   func() time.Time { mu.Lock(); defer mu.Unlock(); return now },
			sleep: func(ctx context.Context, _ time.Duration) { forward(1500 * time.Millisecond); brief(ctx, 0) },
		})
		runSource(t, s)
		until(t, "the snapshot", func() bool { return sink.count("650+JOURNAL SNAPSHOT") == 1 })
		lost := s.Lost()
		if isClosed(lost) {
			t.Fatal("lost while attached")
		}
		forward(time.Minute)
		fault(tor)
		await(t, "the loss", lost)
		if got, want := sink.find("650 JOURNAL SOURCE_LOST"), "650 JOURNAL SOURCE_LOST REASON="+reason+" UPTIME=660\r\n"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		until(t, "the return", func() bool { return sink.count("650+JOURNAL SNAPSHOT") == 2 })
		want := "650 JOURNAL SOURCE_RESTORED SESSION=1 CONTINUED=1 ROLE=client VERSION=0.4.9.11 DOWN_MS=1500\r\n"
		if got := sink.find("650 JOURNAL SOURCE_RESTORED"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if reason == "MALFORMED" && sink.find("650 BW 1 2") == "" {
			t.Error("the event before the fault is lost")
		}
		if isClosed(s.Lost()) {
			t.Error("Lost is closed after the return")
		}
	}
}

// Who reads that tor is there may use it at once, though tor may not have taken
// the subscription yet.
func TestOpenWaitsForATorThatIsComing(t *testing.T) {
	answers, read := plainTor(), make(chan struct{})
	tor := startFake(t, func(c *fakeConn, line string) string {
		if strings.HasPrefix(line, "SETEVENTS") {
			<-read
		}
		return answers.answer(c, line)
	})
	opened := make(chan error, 1)
	var s *Source
	sink := &memorySink{taken: func(ev event.Event) {
		if !strings.HasPrefix(string(ev.Format()), "650 JOURNAL START ") {
			return
		}
		if isClosed(s.Lost()) {
			t.Error("it is lost before it was there")
		}
		go func() {
			c, err := s.Open(testContext(t))
			if err == nil {
				err = c.Close()
			}
			opened <- err
		}()
		go func() {
			defer close(read)
			select {
			case err := <-opened:
				t.Errorf("Open did not wait: %v", err)
				opened <- err
			case <-time.After(50 * time.Millisecond):
			}
		}()
	}}
	s = newSource(t, SourceOptions{Addresses: []Address{tor.address()}, Sink: sink, sleep: brief})
	runSource(t, s)
	if err := <-opened; err != nil {
		t.Errorf("Open: %v", err)
	}
}

func TestSinkBlocks(t *testing.T) {
	tor := startFake(t, plainTor().answer)
	s, sink := attached(t, tor, SourceOptions{})
	block := make(chan struct{})
	sink.mu.Lock()
	sink.block = block
	sink.mu.Unlock()
	var sent sync.WaitGroup
	done := make(chan struct{})
	sent.Go(func() {
		defer close(done)
		for range 100 {
			tor.send(strings.Repeat("650 BW 1 2\r\n", 1000))
		}
	})
	select {
	case <-done:
		t.Error("everything was read although the journal took nothing")
	case <-time.After(200 * time.Millisecond):
	}
	if !s.Status().Attached {
		t.Error("a blocked sink is no loss of tor")
	}
	close(block)
	await(t, "the events", done)
	until(t, "the events in the sink", func() bool { return sink.count("650 BW") == 100_000 })
	sent.Wait()
}

func TestEndWhileTheSinkBlocks(t *testing.T) {
	tor := startFake(t, plainTor().answer)
	sink := &memorySink{}
	s := newSource(t, SourceOptions{Addresses: []Address{tor.address()}, Sink: sink})
	stop := runSource(t, s)
	until(t, "the snapshot", func() bool { return sink.find("650+JOURNAL SNAPSHOT") != "" })
	sink.mu.Lock()
	sink.block = make(chan struct{})
	sink.mu.Unlock()
	tor.send(strings.Repeat("650 BW 1 2\r\n", 1000))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Want(ctx, 1, event.NewSet(event.DEBUG)); err == nil {
		t.Error("a reply passed the events before it")
	}
	stop()
	await(t, "Lost", s.Lost())
	if n := sink.count("650 JOURNAL SOURCE_LOST"); n != 0 {
		t.Error("the end of the recorder is no loss of tor")
	}
}
