package controlport

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestDailyBandwidth(t *testing.T) {
	var mu sync.Mutex
	now := time.Date(2026, 11, 23, 23, 59, 58, 0, time.UTC)
	tor := startFake(t, plainTor().answer)
	sink := &memorySink{}
	s := newSource(t, SourceOptions{
		Addresses: []Address{tor.address()}, Sink: sink, sleep: brief,
		Policy: func(map[string][]string) (Policy, error) { return relayLike{keepAll{"relay"}}, nil },
		now:    func() time.Time { mu.Lock(); defer mu.Unlock(); return now },
	})
	stop := runSource(t, s)
	seen := 0
	bw := func(read int) {
		t.Helper()
		until(t, "the attachment", func() bool { return s.Status().Attached })
		seen++
		tor.send(fmt.Sprintf("650 BW %d 1\r\n", read))
		until(t, "BW", func() bool { return sink.count("650 BW") == seen })
	}
	bw(10)
	tor.drop()
	until(t, "the loss", func() bool { return sink.count("650 JOURNAL SOURCE_LOST") == 1 })
	bw(20)
	if sink.count("650 JOURNAL BANDWIDTH") != 0 {
		t.Error("a sum before the day was over")
	}
	mu.Lock()
	now = now.Add(2 * time.Second)
	mu.Unlock()
	bw(5)
	if got := sink.find("650 JOURNAL BANDWIDTH"); got != "650 JOURNAL BANDWIDTH DATE=2026-11-23 READ=30 WRITTEN=2 SECONDS=2\r\n" {
		t.Errorf("%q", got)
	}
	bw(6)
	stop()
	if got := sink.find("650 JOURNAL BANDWIDTH"); got != "650 JOURNAL BANDWIDTH DATE=2026-11-24 READ=11 WRITTEN=2 SECONDS=2\r\n" {
		t.Errorf("at the end: %q", got)
	}
	if n := sink.count("650 JOURNAL SOURCE_LOST"); n != 1 {
		t.Errorf("%d times SOURCE_LOST: the end of the recorder is no loss of tor", n)
	}
	for i, w := range sink.all() {
		if strings.HasPrefix(w, "650 BW") && !sink.live[i] {
			t.Errorf("%q is recorded", w)
		}
	}
}

func TestNoDailyBandwidth(t *testing.T) {
	tor := startFake(t, plainTor().answer)
	s, sink := attached(t, tor, SourceOptions{})
	tor.send("650 BW 1 2\r\n")
	until(t, "BW", func() bool { return sink.count("650 BW") == 1 })
	s.endDay(testContext(t))
	if got := sink.find("650 JOURNAL BANDWIDTH"); got != "" {
		t.Error(got)
	}
}
