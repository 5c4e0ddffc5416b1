package query

import (
	"os"
	"testing"

	"torjournal/journal"
)

func streamRows(t testing.TB, src source, r journal.Range) string {
	t.Helper()
	return rows(t, func(emit func(*Stream) error) ([]journal.Gap, error) {
		return streams(t.Context(), src, r, StreamPick{}, Part{}, emit)
	})
}

func TestStreamLives(t *testing.T) {
	f := func(name, lines string, want ...string) {
		t.Helper()
		wantRows(t, name, streamRows(t, story(t, lines), journal.Range{}), want...)
	}
	f("the usual life", `
		08:00:00 STREAM 5 NEW 0 example.org:80 SOURCE_ADDR=127.0.0.1:4000 PURPOSE=USER
		08:00:00.1 STREAM 5 SENTCONNECT 9 example.org:80
		08:00:00.4 STREAM 5 REMAP 9 192.0.2.7:80 SOURCE=EXIT
		08:00:00.5 STREAM 5 SUCCEEDED 9 192.0.2.7:80
		08:00:01 STREAM_BW 5 10 100
		08:00:02 STREAM 5 CLOSED 9 192.0.2.7:80 REASON=DONE
		08:00:02 STREAM_BW 5 1 11
	`, `{"session":1,"id":"5","circuits":["9"],"target":"example.org:80","source":"127.0.0.1:4000","purpose":"USER","opened":"08:00:00.000000Z","succeeded":"08:00:00.500000Z","closed":"08:00:02.000000Z","status":"CLOSED","outcome":"succeeded","connect_ms":500,"reason":"DONE","read_bytes":111,"written_bytes":11}`)

	f("detached, tried on another circuit, and on the first again", `
		08:00:00 STREAM 5 NEW 0 a:80 PURPOSE=USER
		08:00:01 STREAM 5 SENTCONNECT 1 a:80
		08:00:02 STREAM 5 DETACHED 1 a:80 REASON=TIMEOUT
		08:00:03 STREAM 5 SENTCONNECT 2 a:80
		08:00:04 STREAM 5 DETACHED 2 a:80 REASON=END REMOTE_REASON=MISC
		08:00:05 STREAM 5 SENTCONNECT 1 a:80
		08:00:06 STREAM 5 SUCCEEDED 1 a:80
	`, `{"session":1,"id":"5","circuits":["1","2","1"],"target":"a:80","purpose":"USER","opened":"08:00:00.000000Z","succeeded":"08:00:06.000000Z","status":"SUCCEEDED","outcome":"open","connect_ms":6000}`)

	f("failed, and closed behind that", `
		08:00:00 STREAM 5 NEWRESOLVE 0 a:0
		08:00:01 STREAM 5 SENTRESOLVE 1 a:0
		08:00:02 STREAM 5 FAILED 1 a:0 REASON=RESOLVEFAILED
		08:00:03 STREAM 5 CLOSED 1 a:0 REASON=DONE
		08:00:04 BW 1 2
	`, `{"session":1,"id":"5","circuits":["1"],"target":"a:0","opened":"08:00:00.000000Z","closed":"08:00:02.000000Z","status":"CLOSED","outcome":"failed","reason":"RESOLVEFAILED"}`)

	f("never attached", `
		08:00:00 STREAM 5 NEW 0 a:80
		08:00:02 STREAM 5 CLOSED 0 a:80 REASON=TIMEOUT
	`, `{"session":1,"id":"5","target":"a:80","opened":"08:00:00.000000Z","closed":"08:00:02.000000Z","status":"CLOSED","outcome":"closed","reason":"TIMEOUT"}`)

	f("the same ID once more, and in another session", `
		08:00:00 STREAM 5 NEW 0 a:80
		08:00:01 STREAM 5 CLOSED 0 a:80 REASON=DONE
		08:00:02 STREAM 5 NEW 0 b:80
		session 2
		08:01:00 STREAM 5 NEW 0 c:80
	`,
		`{"session":1,"id":"5","target":"a:80","opened":"08:00:00.000000Z","closed":"08:00:01.000000Z","status":"CLOSED","outcome":"closed","reason":"DONE"}`,
		`{"session":1,"id":"5","target":"b:80","opened":"08:00:02.000000Z","status":"NEW","outcome":"lost"}`,
		`{"session":2,"id":"5","target":"c:80","opened":"08:01:00.000000Z","status":"NEW","outcome":"opening"}`)

	f("bytes alone are no stream", `08:00:00 STREAM_BW 5 1 2`)
}

func TestStreamsOfARange(t *testing.T) {
	m := story(t, `
		08:00:00 STREAM 1 NEW 0 a:80
		08:00:01 STREAM 2 NEW 0 b:80
		08:00:02 STREAM 1 CLOSED 0 a:80 REASON=DONE
		08:00:10 STREAM 3 NEW 0 c:80
		08:00:20 STREAM 2 CLOSED 0 b:80 REASON=DONE
	`)
	wantRows(t, "what lived then", streamRows(t, m, journal.Range{Since: clock(t, "08:00:05"), Until: clock(t, "08:00:08")}),
		`{"session":1,"id":"2","target":"b:80","opened":"08:00:01.000000Z","closed":"08:00:20.000000Z","status":"CLOSED","outcome":"closed","reason":"DONE"}`)
	wantRows(t, "nothing", streamRows(t, m, journal.Range{Until: clock(t, "07:00:00")}))
}

func TestStreamPick(t *testing.T) {
	m := story(t, `
		08:00:00 STREAM 1 NEW 0 Example.org:80 PURPOSE=USER
		08:00:01 STREAM 1 SENTCONNECT 7 Example.org:80
		08:00:02 STREAM 1 FAILED 7 Example.org:80 REASON=END REMOTE_REASON=RESOLVEFAILED
		08:00:03 STREAM 2 NEW 0 b:80 PURPOSE=DIR_FETCH
	`)
	for pick, want := range map[StreamPick]string{
		{}: "12", {Status: "failed"}: "1", {Status: "NEW"}: "2", {Purpose: "user"}: "1", {Reason: "resolvefailed"}: "1", {Reason: "END"}: "1",
		{Target: "example.ORG"}: "1", {Circuit: "7"}: "1", {Circuit: "8"}: "",
	} {
		got := ""
		if _, err := streams(t.Context(), m, journal.Range{}, pick, Part{}, func(s *Stream) error { got += s.ID; return nil }); err != nil || got != want {
			t.Errorf("%+v: %q, want %q; %v", pick, got, want, err)
		}
	}
}

func TestGoldenStreams(t *testing.T) {
	const file = "../testdata/corpus/client.jsonl"
	if _, err := os.Stat(file); err != nil {
		t.Fatal(err)
	}
	golden(t, "client-sample.streams.jsonl", streamRows(t, corpus(t, file), journal.Range{}))
}
