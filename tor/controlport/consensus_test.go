package controlport

import (
	"strings"
	"testing"

	"torjournal/tor/event"
)

const consensus = "650+NEWCONSENSUS\r\nr a 1.2.3.4\r\ns Fast\r\n.\r\n650 OK\r\n"

func TestConsensus(t *testing.T) {
	tor := startFake(t, plainTor().answer)
	s, sink := attached(t, tor, SourceOptions{})
	tor.send("650 BW 1 1\r\n" + consensus + "650 BW 2 2\r\n")
	// printf 'r a 1.2.3.4\r\ns Fast\r\n' | sha256sum
	const want = "650 JOURNAL CONSENSUS SHA256=37f5411405f7e8b7ebc7eb8adbf0de52036dddf22a87d6492efbe4ca53778737 BYTES=21 " +
		"VALID_AFTER=2026-11-23T08:00:00 FRESH_UNTIL=2026-11-23T09:00:00 VALID_UNTIL=2026-11-23T11:00:00\r\n"
	until(t, "the digest", func() bool { return sink.find("650 JOURNAL CONSENSUS") != "" })
	if got := sink.find("650 JOURNAL CONSENSUS"); got != want {
		t.Errorf("%q, want\n%q", got, want)
	}
	if err := s.Want(testContext(t), 1, event.NewSet(event.NEWCONSENSUS)); err != nil {
		t.Fatal(err)
	}
	tor.send(consensus)
	until(t, "the consensus", func() bool { return sink.find("650+NEWCONSENSUS") == consensus })
	if sink.count("650 JOURNAL CONSENSUS") != 1 || sink.count("650 BW") != 2 {
		t.Errorf("the sink has %q", sink.all())
	}
}

func TestConsensusOfUnknownValidity(t *testing.T) {
	answers := plainTor()
	answers["GETINFO consensus/"] = "551 Could not open cached consensus\r\n"
	tor := startFake(t, answers.answer)
	_, sink := attached(t, tor, SourceOptions{})
	tor.send(consensus)
	until(t, "the digest", func() bool { return sink.find("650 JOURNAL CONSENSUS") != "" })
	if got := sink.find("650 JOURNAL CONSENSUS"); !strings.HasSuffix(got, " BYTES=21\r\n") {
		t.Errorf("%q", got)
	}
}
