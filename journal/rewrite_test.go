package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"torjournal/tor/event"
)

// masking replaces "target" by "hidden" in records of the types CIRC and
// STREAM, and tells which numbers each pass was shown.
func masking(passes *[][]uint64) Rewriting {
	return Rewriting{
		Source: func(src event.Source) event.Source { src.Scrub = "key"; return src },
		Pass: func(learning bool) func(*Record) []byte {
			*passes = append(*passes, nil)
			mine := &(*passes)[len(*passes)-1]
			return func(r *Record) []byte {
				*mine = append(*mine, r.Seq)
				if r.Type == event.BW {
					return r.Wire
				}
				return bytes.ReplaceAll(r.Wire, []byte("target"), []byte("hidden and longer"))
			}
		},
	}
}

// toRewrite makes a stopped journal of three sessions with large and small
// batches, sealed and not, and events of an unknown type.
func toRewrite(t *testing.T) (path string, clock *stepClock) {
	t.Helper()
	clock = &stepClock{now: time.Now().Add(-72 * time.Hour).Truncate(time.Second)}
	path = filepath.Join(t.TempDir(), "journal.db")
	j := openTest(t, path, Options{MaxSize: 8 << 20, sealBytes: 16 << 10, Now: clock.Now})
	appendAll(t, j, raw("650 CIRC 0 target0.example before the first session"))
	for day := range 3 {
		if _, _, err := j.BeginSession(within(t), event.Source{Name: "tor", PID: day + 1}); err != nil {
			t.Fatal(err)
		}
		for i := range 6 {
			appendAll(t, j, bw(day*1000+i*90, 90)...)
			appendAll(t, j, raw("650 CIRC %d target%d.example %s", i, i, noise(day*100+i, 160<<10)))
			appendAll(t, j, raw("650 FUTURE %d target%d.example", i, i), raw("650 STREAM %d target%d.example", i, i))
			restSealed(t, j) // the same blocks on any disk
			clock.step(3 * time.Hour)
		}
	}
	closeTest(t, j)
	return path, clock
}

// Every record gets its new line and keeps all else, in the tail and in
// blocks; not a byte of the old ones is left; the sums stay.
func TestRewrite(t *testing.T) {
	path, _ := toRewrite(t)
	was, sums := contents(t, path, nil), storedSums(t, path)
	var passes [][]uint64
	v, err := Rewrite(within(t), path, nil, Limits{}, masking(&passes))
	if err != nil {
		t.Fatal(err)
	}
	want, changed := slices.Clone(was), 0
	for i := range want {
		if want[i].Type != event.BW {
			want[i].Wire = bytes.ReplaceAll(want[i].Wire, []byte("target"), []byte("hidden and longer"))
			changed++
		}
	}
	last := uint64(len(want))
	if v.Rewritten != uint64(changed) || v.First != 1 || v.Last != last || v.Evicted != 0 {
		t.Errorf("%+v, want %d rewritten of %d", v, changed, last)
	}
	if !sameRecords(contents(t, path, nil), want) {
		t.Error("the records are not those that were, with other lines")
	}
	for i, seen := range passes {
		if !slices.Equal(seen, span(1, last)) {
			t.Errorf("pass %d was shown %d records, not 1 to %d in order", i, len(seen), last)
		}
	}
	if len(passes) != 2 {
		t.Errorf("%d passes, want 2", len(passes))
	}
	noTrace(t, path)
	if _, err := Verify(path, nil); err != nil {
		t.Error(err)
	}
	if got := storedSums(t, path); !bytes.Equal(got.Data, sums.Data) {
		// Packing what the recorder had left adds to them.
		before, errB := sums.Decode()
		after, errA := got.Decode()
		if errA != nil || errB != nil || after.First != before.First || after.Last < before.Last {
			t.Errorf("sums of %d to %d (%v), before %d to %d (%v)", after.First, after.Last, errA, before.First, before.Last, errB)
		}
	}
	for _, s := range sessionsOf(t, path) {
		if s.Source.Scrub != "key" || s.Source.PID != int(s.ID) {
			t.Errorf("session %+v", s)
		}
	}
	if got := names(t, filepath.Dir(path)); !slices.Equal(got, []string{"journal.db"}) {
		t.Errorf("the folder holds %q", got)
	}

	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Rewrite(within(t), path, nil, Limits{}, masking(&passes))
	if err != nil || again.Rewritten != 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
	second, err := os.ReadFile(path)
	if err != nil || len(second) != len(file) || !sameRecords(contents(t, path, nil), want) {
		t.Errorf("again: %d bytes, then %d, %v", len(file), len(second), err)
	}
	j := openTest(t, path, Options{})
	appendAll(t, j, bw(1, 100)...)
}

// noTrace looks for what was rewritten in every byte of a file, and in every
// envelope in it.
func noTrace(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte("target")) {
		t.Error("what was rewritten is in the file")
	}
	found := 0
	for at := 0; ; at++ {
		i := bytes.Index(data[at:], []byte(magic))
		if i < 0 {
			break
		}
		at += i
		h, payload, _, err := splitEnvelope(data[at:])
		if err != nil {
			continue
		}
		recs, err := decodeBatch(h, payload, noTypes)
		if err != nil {
			t.Fatal(err)
		}
		for i := range recs {
			if bytes.Contains(recs[i].Wire, []byte("target")) {
				t.Errorf("record %d: %.60q is in the file", recs[i].Seq, recs[i].Wire)
			}
			found++
		}
	}
	if found == 0 {
		t.Error("no envelope was found, so nothing was searched")
	}
}

func storedSums(t *testing.T, path string) StoredRollups {
	t.Helper()
	f, err := OpenFile(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out, err := f.Rollups(within(t), time.Time{}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sessionsOf(t *testing.T, path string) []Session {
	t.Helper()
	f, err := OpenFile(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out, err := f.Sessions(within(t))
	if err != nil || len(out) == 0 {
		t.Fatalf("%d sessions, %v", len(out), err)
	}
	return out
}

// Limits evict before: what is left is rewritten.
func TestRewriteWithLimits(t *testing.T) {
	for name, l := range map[string]Limits{"size": {MaxSize: MinMaxSize}, "age": {MaxAge: 25 * time.Hour}} {
		path, _ := toRewrite(t)
		last := uint64(len(contents(t, path, nil)))
		var passes [][]uint64
		v, err := Rewrite(within(t), path, nil, l, masking(&passes))
		if err != nil || v.First < last/4 || v.Last != last || v.Rewritten == 0 {
			t.Errorf("%s: %+v of %d, %v", name, v, last, err)
			continue
		}
		if !slices.Equal(numbers(contents(t, path, nil)), span(v.First, last)) {
			t.Errorf("%s: other records are left than %d to %d", name, v.First, last)
		}
		if seen := passes[len(passes)-1]; len(seen) == 0 || seen[0] < v.First && name == "age" || seen[len(seen)-1] != last {
			t.Errorf("%s: the last pass was shown %d records", name, len(seen))
		}
		noTrace(t, path)
	}
}

// What is too much for a size only with its longer lines goes too: the copy
// begins again, and so does the pass.
func TestRewriteBeginsAgain(t *testing.T) {
	path, _ := toRewrite(t)
	last := uint64(len(contents(t, path, nil)))
	var passes [][]uint64
	with := masking(&passes)
	pass := with.Pass
	with.Pass = func(learning bool) func(*Record) []byte {
		line := pass(learning)
		return func(r *Record) []byte {
			if out := line(r); r.Type != "FUTURE" {
				return out
			}
			return fmt.Appendf(nil, "650 FUTURE %s\r\n", noise(int(r.Seq), 160<<10))
		}
	}
	v, err := Rewrite(within(t), path, nil, Limits{MaxSize: 2 << 20}, with)
	if err != nil || v.Last != last || v.After > 2<<20 {
		t.Fatalf("%+v of %d, %v", v, last, err)
	}
	if !slices.Equal(numbers(contents(t, path, nil)), span(v.First, last)) {
		t.Errorf("other records are left than %d to %d", v.First, last)
	}
	if n := len(passes); n < 3 || passes[n-1][0] > v.First {
		t.Errorf("%d passes, the last from %d, the file from %d", n, passes[n-1][0], v.First)
	}
}

// Whatever step it has come to when the process is killed, the next opening
// finds the journal as it was, or all of it rewritten.
func TestRewriteKilledAtAnyStep(t *testing.T) {
	path, _ := toRewrite(t)
	was := contents(t, path, nil)
	opt, err := vacuumOptions(path, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	steps := 0
	opt.vacuumStep = func(step string) {
		steps++
		image := filepath.Join(t.TempDir(), "image")
		if err := os.CopyFS(image, os.DirFS(filepath.Dir(path))); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(image, "journal.db")
		if same := sameRecords(contents(t, file, nil), was); same != (step == "rename") {
			t.Errorf("%s: the journal is as it was: %v", step, same)
		}
		closeTest(t, openTest(t, file, Options{MaxSize: 8 << 20}))
		if left := names(t, image); !slices.Equal(left, []string{"journal.db"}) {
			t.Errorf("%s: afterwards the folder holds %q", step, left)
		}
	}
	var passes [][]uint64
	with := masking(&passes)
	if _, err := rewriteFile(within(t), path, opt, nil, Limits{}, &with); err != nil {
		t.Fatal(err)
	}
	if steps != 2 {
		t.Errorf("%d steps", steps)
	}
}

// What is damaged is not rewritten, nor is anything when it is interrupted:
// the file stays as it is.
func TestRewriteRefuses(t *testing.T) {
	path, _ := toRewrite(t)
	var passes [][]uint64
	with := masking(&passes)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Rewrite(ended, path, nil, Limits{}, with); !errors.Is(err, context.Canceled) {
		t.Errorf("context ended: %v", err)
	}
	j := openTest(t, path, Options{MaxSize: 8 << 20})
	if _, err := rewriteFile(within(t), path, shortLock(t, path), nil, Limits{}, &with); !errors.Is(err, ErrLocked) {
		t.Errorf("open: %v, want ErrLocked", err)
	}
	closeTest(t, j)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "damaged.db")
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(whole, liveBlock(t, path))
	whole[at+headerSize+100] ^= 1
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	var d *DamageError
	if _, err := Rewrite(within(t), path, nil, Limits{}, with); !errors.As(err, &d) || d.Path != path || !strings.Contains(err.Error(), "torjournal salvage") {
		t.Errorf("damaged: %v", err)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, whole) {
		t.Errorf("the damaged file was changed, %v", err)
	}
}

func shortLock(t *testing.T, path string) Options {
	t.Helper()
	opt, err := vacuumOptions(path, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	opt.lockTimeout = time.Millisecond
	return opt
}
