package daemon

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"torjournal/journal"
)

// lockedLog is what a running daemon has logged.
type lockedLog struct {
	mu  sync.Mutex
	log bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.String()
}

// A recorder that starts on a journal with a damaged block says which records
// that costs, and records on.
func TestDamageIsToldAtTheStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j, err := journal.Open(path, journal.Options{MaxSize: 16 << 20}) // blocks of 512 KiB
	if err != nil {
		t.Fatal(err)
	}
	for _, ev := range noisy(200) {
		if err := j.Append(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Vacuum(t.Context(), journal.Limits{}); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndex(b, []byte("tjbk\x01"))
	b[at+5000] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	var d *journal.DamageError
	if _, err := journal.VerifyEach(path, nil, func(found *journal.DamageError) { d = found }); err != nil || d == nil {
		t.Fatalf("verify: %v, %v", d, err)
	}
	want := fmt.Sprintf("first=%d last=%d ", d.Seq, d.Last)
	log := &lockedLog{}
	stop := runningWith(t, Config{Journal: path, Options: journal.Options{MaxSize: 16 << 20}, Logger: slog.New(slog.NewTextHandler(log, nil))})
	for end := time.Now().Add(patience); !strings.Contains(log.String(), want); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("want %q in\n%s", want, log)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "cannot be read"); n != 1 || !strings.Contains(log.String(), "torjournal verify") {
		t.Errorf("%d warnings:\n%s", n, log)
	}
}
