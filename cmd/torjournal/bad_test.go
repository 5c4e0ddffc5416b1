package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"torjournal/tor/controlport"
	"torjournal/tor/testnet"
)

// say sends bytes to a control port and returns all that comes back until the
// other side closes.
func say(t *testing.T, addr, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	go func() { _, _ = io.WriteString(c, text) }() // the other side may close while we still talk
	answer, _ := io.ReadAll(c)                     // a reset after the answer is no fault
	return string(answer)
}

// What strangers and broken controllers say to the control port gets tor's
// own refusals, and the recorder goes on recording.
func TestNonsenseOnTheControlPortLosesNothing(t *testing.T) {
	needReal(t)
	tor := loneTor(t, testnet.TorOptions{})
	journal, port := journalIn(t), freePort(t)
	r := startRecorder(t, journal, "--attach", tor.ControlAddr, "--control", port)
	r.attached()
	sub := subscribe(t, port, ownCookie, "CONF_CHANGED")

	for _, tc := range []struct{ name, send, want string }{
		{"wrong cookie", "AUTHENTICATE " + strings.Repeat("00", 32) + "\r\n", "515 "},
		{"no credential", "AUTHENTICATE\r\n", "515 "},
		{"not authenticated", "GETINFO version\r\n", "514 Authentication required.\r\n"},
		{"garbage", "\x00\xff\xfe\x16\x03\x01\x02\r\n", "514 "},
		{"HTTP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.0 501 "},
		{"over-long line", "AUTHENTICATE " + strings.Repeat("A", 3<<20) + "\r\n", "500 Line too long."},
	} {
		if got := say(t, port, tc.send); !strings.HasPrefix(got, tc.want) {
			t.Errorf("%s: the answer is %q, want %q…", tc.name, got, tc.want)
		}
	}
	if _, err := tryConnect(port, controlport.Credentials{CookieFile: "/dev/null"}); err == nil {
		t.Error("an empty cookie was taken")
	}

	sub.must(t, "SETCONF MaxCircuitDirtiness=999")
	sub.awaitEvent(t, "an event after the nonsense", func(w string) bool { return strings.Contains(w, "=999") })
	wire, _ := torjournal(t, 0, "replay", "--journal", journal, "-o", "wire", "-e", "CONF_CHANGED")
	if wire != strings.Join(sub.received(), "") {
		t.Errorf("journaled %q, received %q", wire, sub.received())
	}
}

// A second daemon on the same journal is refused, told who holds it, and
// disturbs nothing.
func TestSecondRecorderIsRefused(t *testing.T) {
	needReal(t)
	tor := loneTor(t, testnet.TorOptions{})
	journal := journalIn(t)
	r := startRecorder(t, journal, "--attach", tor.ControlAddr)
	r.attached()
	_, stderr := torjournal(t, 1, "run", "--journal", journal, "--attach", tor.ControlAddr)
	if !strings.Contains(stderr, fmt.Sprint(r.cmd.Process.Pid)) {
		t.Errorf("the refusal does not name the holder, pid %d:\n%s", r.cmd.Process.Pid, stderr)
	}
	if st := r.status(); !st.Source.Attached {
		t.Error("the first recorder lost its tor")
	}
	torjournal(t, 0, "replay", "--journal", journal)
}

// Nothing listens: the recorder says so, and records as soon as tor is there.
func TestNothingListensAtTheAddress(t *testing.T) {
	needReal(t)
	nowhere := freePort(t)
	r := startRecorder(t, journalIn(t), "--attach", nowhere)
	r.await("the log names the address", func() bool {
		return strings.Contains(r.log.String(), nowhere) && strings.Contains(r.log.String(), "refused")
	})
	if st := r.status(); st.Source.Attached || !strings.Contains(st.Source.LastError, "refused") {
		t.Errorf("status: attached %v, last error %q", st.Source.Attached, st.Source.LastError)
	}
	out, _ := torjournal(t, 0, "status", "--journal", r.journal)
	if !strings.Contains(out, "not attached") {
		t.Errorf("status:\n%s", out)
	}
}

// A recorder whose --attach leads to its own control port, by another name than
// --control has, says so: it neither records itself nor quotes itself without end.
func TestAttachToItself(t *testing.T) {
	own := freePort(t)
	r := startRecorder(t, journalIn(t), "--attach", own, "--control", strings.Replace(own, "127.0.0.1", "localhost", 1))
	r.await("it knows itself", func() bool {
		return strings.Contains(r.status().Source.LastError, "a torjournal, not a tor")
	})
}

// A damaged file is refused by every command, with the next step, and is not
// changed by it.
func TestDamagedJournalIsRefused(t *testing.T) {
	needReal(t)
	tor := loneTor(t, testnet.TorOptions{})
	whole := journalIn(t)
	r := startRecorder(t, whole, "--attach", tor.ControlAddr)
	r.attached()
	r.stop()
	content, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		damage func(t *testing.T, path string)
		want   string
	}{
		{"cut short", func(t *testing.T, path string) { truncate(t, path, 16*4096) }, "short"},
		{"cut to one page", func(t *testing.T, path string) { truncate(t, path, 4096) }, "short"},
		{"a newer schema", newerSchema, "newer"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "journal.db")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			tc.damage(t, path)
			before, _ := os.ReadFile(path)
			for _, args := range [][]string{
				{"replay"}, {"query", "circuits"}, {"run", "--attach", tor.ControlAddr},
			} {
				_, stderr := torjournal(t, 1, append(args, "--journal", path)...)
				told, names := strings.ReplaceAll(stderr, path, ""), strings.Contains(stderr, path)
				if !strings.Contains(told, tc.want) || !names {
					t.Errorf("%s: the error lacks %q or the file:\n%s", args[0], tc.want, stderr)
				}
			}
			if after, _ := os.ReadFile(path); string(after) != string(before) {
				t.Error("a refused file was changed")
			}
		})
	}
}

func truncate(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

// newerSchema makes the file look as if a later torjournal had written it.
func newerSchema(t *testing.T, path string) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put([]byte("schema"), []byte{0, 0, 0, 0, 0, 0, 0, 99})
	})
	if err != nil {
		t.Fatal(err)
	}
}
