package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The demo is run as a newcomer runs it, and must show what it says.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real tor processes for half a minute")
	}
	binary := filepath.Join(t.TempDir(), "torjournal")
	if out, err := exec.Command("go", "build", "-o", binary, "../torjournal").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var out strings.Builder
	err := run(ctx, binary, &out)
	if err != nil {
		t.Errorf("the demo failed: %v", err)
	}
	sections := strings.Split(out.String(), "\n## ")
	for i, want := range []string{
		``,
		`the network is up`,
		`CIRC \d+ BUILT .*(?s:.)*-- killing the relay exit(?s:.)*CIRC \d+ (CLOSED|FAILED)`,
		`(?m)(^\w{3} \d\d \d\d:\d\d:\d\d\.\d{6} [A-Z_]+ .*\n){20}`,
		`(?i)exit\d`,
		`(?m)(^.*\d.*\n){2}`,
		`attached since`,
		`JOURNAL STOP`,
	} {
		if i >= len(sections) {
			t.Fatalf("there are %d sections only", len(sections)-1)
		}
		if !regexp.MustCompile(want).MatchString(sections[i]) {
			t.Errorf("section %d does not show %s:\n%s", i, want, sections[i])
		}
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

func TestNoBinary(t *testing.T) {
	err := run(t.Context(), "/nonexistent/torjournal", nil)
	if err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("%v", err)
	}
}
