package journal

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The kernel fails one call of a recording process, the first, the second, and
// so on until none is left to fail: nothing that a subscriber received is lost,
// no number is used twice, every event is in the file or counted as missing,
// and no lock is left.
func TestFailedCalls(t *testing.T) {
	if testing.Short() {
		t.Skip("needs strace")
	}
	for _, tc := range []struct{ call, errno, says string }{
		{"fdatasync", "EIO", "input/output error"},
		{"fsync", "EIO", "input/output error"},
		{"pwrite64", "ENOSPC", "no space left on device"},
		{"ftruncate", "ENOSPC", "no space left on device"},
	} {
		for _, how := range []struct {
			name string
			new  bool
			key  *Key
		}{{"new", true, nil}, {"there", false, nil}, {"new, encrypted", true, testKey(t)}} {
			t.Run(tc.call+"/"+how.name, func(t *testing.T) {
				t.Parallel()
				n := 1
				for ; ; n++ {
					r := injected(t, tc.call, tc.errno, fmt.Sprint(n), how.new, how.key)
					if !r.fired {
						break
					}
					r.check(t, fmt.Sprintf("%s %d", tc.call, n), tc.says, false)
					if t.Failed() {
						t.Logf("the calls of the process:\n%s", r.trace)
						return
					}
				}
				if n == 1 && tc.call != "ftruncate" {
					t.Error("no call failed: nothing is tested")
				}
				t.Logf("%d calls failed, one at a time", n-1)
			})
		}
		t.Run(tc.call+"/from then on", func(t *testing.T) {
			t.Parallel()
			keys := [2]*Key{nil, testKey(t)}
			for n := 1; ; n += 3 {
				r := injected(t, tc.call, tc.errno, fmt.Sprintf("%d+", n), false, keys[n%2])
				if !r.fired {
					break
				}
				r.check(t, fmt.Sprintf("%s from %d", tc.call, n), tc.says, true)
				if t.Failed() {
					t.Logf("the calls of the process:\n%s", r.trace)
					return
				}
			}
		})
	}
}

// ran is what became of a process whose calls failed.
type ran struct {
	path   string
	key    *Key
	fired  bool
	trace  []byte
	stdout []byte
}

// injected runs childRecord while strace lets a call fail.
func injected(t *testing.T, call, errno, when string, new bool, key *Key) ran {
	t.Helper()
	dir, err := os.MkdirTemp("", "journal-inject-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	r := ran{path: filepath.Join(dir, "journal.db"), key: key}
	if !new {
		opt := childOptions
		opt.Key = key
		j, err := Open(r.path, opt)
		if err == nil {
			err = j.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	trace := filepath.Join(dir, "trace")
	cmd := exec.Command("strace", "-f", "--seccomp-bpf", "-qq", "-o", trace,
		"-e", "trace=fdatasync,fsync,pwrite64,ftruncate", "-e", "signal=none", "-s", "0",
		"-e", fmt.Sprintf("inject=%s:error=%s:when=%s", call, errno, when), os.Args[0])
	cmd.Env = append(childEnviron("record", r.path, key),
		"GORACE=atexit_sleep_ms=0") // the race detector would wait a second at each exit
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if r.stdout, err = cmd.Output(); err != nil {
		t.Fatalf("%s %s: %v\n%s", call, when, err, &stderr)
	}
	if r.trace, err = os.ReadFile(trace); err != nil {
		t.Fatal(err)
	}
	r.fired = bytes.Contains(r.trace, []byte("(INJECTED)"))
	return r
}

// check compares the file with what the process said. If every call fails from
// some time on, events may be lost; then Close has said so.
func (r ran) check(t *testing.T, what, says string, forGood bool) {
	t.Helper()
	received := map[uint64]string{}
	var lastSeq uint64
	appended, closed := -1, ""
	for line := range strings.Lines(string(r.stdout)) {
		line = strings.TrimSuffix(line, "\n")
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "record":
			var seq uint64
			var wire string
			if _, err := fmt.Sscanf(rest, "%d %q", &seq, &wire); err != nil {
				t.Fatalf("%s: %q: %v", what, line, err)
			}
			if seq == 0 {
				continue
			}
			if seq <= lastSeq {
				t.Errorf("%s: record %d was received after %d", what, seq, lastSeq)
			}
			lastSeq, received[seq] = seq, wire
		case "appended":
			_, _ = fmt.Sscan(rest, &appended)
		case "close":
			closed = rest
		case "open":
			if !strings.Contains(rest, says) || !strings.Contains(rest, r.path) {
				t.Errorf("%s: Open says %q, want the file and %q", what, rest, says)
			}
		default:
			t.Errorf("%s: %s", what, line)
		}
	}
	if forGood {
		if closed != "" && (!strings.Contains(closed, says) || !strings.Contains(closed, "events are lost")) {
			t.Errorf("%s: Close says %q, want how many are lost and %q", what, closed, says)
		}
		if _, err := os.Stat(r.path); appended < 0 && os.IsNotExist(err) {
			return
		}
	} else if closed != "" || appended < 0 {
		t.Errorf("%s: after one failure %d events were appended, Close: %q", what, appended, closed)
	}
	if _, err := Verify(r.path, r.key); err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	f, err := OpenFile(r.path, r.key)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	recs, gaps := readAll(t, f, Range{})
	if !slices.Equal(numbers(recs), span(1, uint64(len(recs)))) || len(gaps) > 0 {
		t.Errorf("%s: the file has %v, gaps %v", what, numbers(recs), gaps)
		return
	}
	missing, next := 0, 0
	for _, rec := range recs {
		if k, ok := markCount(rec); ok {
			missing += int(k)
			continue
		}
		n := -1
		if _, err := fmt.Sscanf(string(rec.Wire), "650 BW %d ", &n); err != nil || n < next {
			t.Errorf("%s: record %d is %s after event %d", what, rec.Seq, head(rec.Wire), next-1)
		}
		missing -= n - next
		next = n + 1
	}
	if !forGood {
		missing -= appended - next
	}
	if missing != 0 {
		t.Errorf("%s: %d events were appended, the last in the file is %d, the marks are wrong by %d", what, appended, next-1, missing)
	}
	for seq, wire := range received {
		if int(seq) > len(recs) || head(recs[seq-1].Wire) != fmt.Sprintf("%q", wire) {
			t.Errorf("%s: record %d, received as %q, is not in the file of %d", what, seq, wire, len(recs))
		}
	}
}

var (
	failedSync = regexp.MustCompile(`fdatasync\(.*INJECTED`)
	pageWrite  = regexp.MustCompile(`pwrite64\(\d+, .*, (\d+)\) += \d+`)
	goodSync   = regexp.MustCompile(`(fsync|fdatasync)\(\d+\) += 0`)
)

// A sync that failed leaves pages marked as clean that are not on disk. If one
// of them is the meta page, it is written again, and synced, before anything
// else is written.
func TestMetaPageIsWrittenAgainAfterFailedSync(t *testing.T) {
	if testing.Short() {
		t.Skip("needs strace")
	}
	seen := 0
	for n := 1; n < 40; n++ {
		r := injected(t, "fdatasync", "EIO", fmt.Sprint(n), false, nil)
		if !r.fired {
			break
		}
		meta, again := "", false
		last := ""
		for line := range strings.Lines(string(r.trace)) {
			w := pageWrite.FindStringSubmatch(line)
			switch {
			case w != nil && meta != "":
				if again || w[1] != meta {
					t.Fatalf("after the failed sync of the meta page at %s comes %s%s", meta, line, r.trace)
				}
				again = true
			case w != nil:
				last = w[1]
			case failedSync.MatchString(line):
				if last == "0" || last == fmt.Sprint(os.Getpagesize()) {
					meta = last
					seen++
				}
			case again && goodSync.MatchString(line):
				meta, again = "", false
			}
		}
		if meta != "" {
			t.Fatalf("the meta page at %s was never synced:\n%s", meta, r.trace)
		}
	}
	if seen < 3 {
		t.Errorf("only %d failed syncs of a meta page", seen)
	}
}
