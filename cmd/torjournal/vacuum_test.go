package main

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"torjournal/journal"
	"torjournal/journal/journaltest"
)

// A vacuum that is killed, whenever, leaves the journal as it was or the new
// one, and the next one takes away what it left beside it.
func TestKilledVacuum(t *testing.T) {
	needTime(t)
	path := filepath.Join(t.TempDir(), "journal.db")
	j, err := journal.Open(path, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const records = 12_000
	for i := 0; i < records; i += 1000 {
		if err := j.Append(t.Context(), journaltest.Big(i, 1000)...); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 0))
	left := 0
	for round := range 10 {
		cmd := exec.Command("torjournal", "vacuum", "--journal", path)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rng.IntN(120)) * time.Millisecond) // the random moment
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if v, err := journal.Verify(path, nil); err != nil || v.First != 1 || v.Last != records {
			t.Fatalf("round %d (seed %d): %+v, %v", round, seed, v, err)
		}
		left += drafts(t, path)
	}
	t.Logf("%d drafts were left by vacuums that were killed", left)
	out, _ := torjournal(t, 0, "vacuum", "--journal", path)
	if !strings.Contains(out, "records 1 to 12000 are left, 0 were removed") {
		t.Errorf("it says %q", out)
	}
	if n := drafts(t, path); n != 0 {
		t.Errorf("%d files are left beside the journal", n)
	}
}

func drafts(t *testing.T, path string) (n int) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries) - 1
}

func TestFormatAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		30 * 24 * time.Hour: "30 days", 24 * time.Hour: "1 day", 36 * time.Hour: "36 hours",
		90 * time.Minute: "90 minutes", 90 * time.Second: "1m30s", time.Hour: "1 hour",
	} {
		if got := formatAge(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
