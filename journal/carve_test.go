package journal

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func carved(t testing.TB, content []byte, key *Key) (out []found) {
	t.Helper()
	c := carver{r: bytes.NewReader(content), size: int64(len(content)), keys: &keyring{key: key}, envelope: func(off int64, h header) {
		out = append(out, found{header: h, off: off})
	}}
	if err := c.envelopes(t.Context()); err != nil {
		t.Fatal(err)
	}
	return out
}

// envelopes returns n envelopes that follow each other, as they lie in a file.
func envelopes(t testing.TB, key *Key, n, size int) (out [][]byte) {
	t.Helper()
	c, err := key.newFile()
	if err != nil {
		t.Fatal(err)
	}
	enc, err := newEncoder(zstd.SpeedFastest)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		_, data := enc.encode([]Record{{Seq: uint64(i + 1), Session: 1, Time: lostHour(0), Type: "NOTICE", Wire: []byte(noise(i, size))}})
		out = append(out, c.encrypt(kindBatch, nil, data))
	}
	return out
}

// Envelopes are found wherever they lie: at the ends of the file, without a
// byte between them, across the ends of windows, behind magics that head
// nothing.
func TestCarve(t *testing.T) { plainAndEncrypted(t, testCarve) }

func testCarve(t *testing.T, key *Key) {
	all := envelopes(t, key, scaled(40, 15), 300<<10)
	magic := magic
	if key != nil {
		magic = cryptoMagic
	}
	r := rand.New(rand.NewPCG(1, 1))
	for round := range scaled(6, 2) {
		var file []byte
		var want []int64
		for _, e := range all {
			switch n := r.IntN(4); {
			case round == 0 || n == 0:
			case n == 1:
				file = append(file, magic[:1+r.IntN(3)]...)
			case n == 2:
				file = append(file, e[:headerSize+r.IntN(100)]...) // the beginning of one
			default:
				for range r.IntN(5000) {
					file = append(file, byte(r.Uint32()))
				}
			}
			want = append(want, int64(len(file)))
			file = append(file, e...)
		}
		got := carved(t, file, key)
		if !slices.EqualFunc(got, want, func(f found, off int64) bool { return f.off == off }) {
			t.Errorf("round %d: %d of %d envelopes found", round, len(got), len(want))
		}
	}
	for n := range headerSize + 10 { // short files
		if got := carved(t, all[0][:n], key); len(got) != 0 {
			t.Errorf("an envelope is found in %d bytes", n)
		}
	}
	small := envelopes(t, key, 1, 4)[0]
	for at := carveWindow - len(small) - 4; at <= carveWindow+4; at += scaled(1, 17) {
		file := append(make([]byte, at), small...)
		if got := carved(t, file, key); len(got) != 1 || got[0].off != int64(at) {
			t.Errorf("the envelope at %d is not found: %v", at, got)
		}
	}
}

// Which of the batches that claim the same numbers count.
func TestChoose(t *testing.T) {
	f := func(first, last uint64, at int64, live bool) found {
		return found{header: header{first: first, last: last, minTime: at, maxTime: at}, off: int64(first), live: live}
	}
	for name, c := range map[string]struct{ all, want []found }{
		"a block and its batches":         {[]found{f(1, 2, 1, false), f(3, 4, 2, false), f(1, 4, 2, false)}, []found{f(1, 4, 2, false)}},
		"batches of a block that is lost": {[]found{f(1, 2, 1, false), f(3, 4, 2, false), f(5, 9, 3, true)}, []found{f(1, 2, 1, false), f(3, 4, 2, false), f(5, 9, 3, true)}},
		"the live ones":                   {[]found{f(1, 9, 9, false), f(1, 2, 1, true), f(3, 9, 2, true)}, []found{f(1, 2, 1, true), f(3, 9, 2, true)}},
		"what a crash left":               {[]found{f(5, 9, 1, false), f(5, 5, 2, false), f(6, 7, 3, false)}, []found{f(5, 5, 2, false), f(6, 7, 3, false)}},
		"what fits in the end": {
			[]found{f(1, 9, 1, false), f(1, 3, 0, false), f(4, 5, 5, true), f(6, 9, 0, false)},
			[]found{f(1, 3, 0, false), f(4, 5, 5, true), f(6, 9, 0, false)},
		},
		"nothing": {nil, nil},
	} {
		for range 10 {
			got, _ := choose(slices.Clone(c.all))
			if !slices.Equal(got, c.want) {
				t.Errorf("%s: %+v, want %+v", name, got, c.want)
			}
			rand.Shuffle(len(c.all), func(i, j int) { c.all[i], c.all[j] = c.all[j], c.all[i] })
		}
	}
}

// What the ring had given up stays given up while the file says what that is,
// unless it is asked for.
func TestSalvageEvicted(t *testing.T) {
	path, _ := aged(t, nil, true)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	was := contents(t, path, nil)
	run := func(name string, content []byte, opt SalvageOptions) (Salvaged, []Record) {
		old, saved := filepath.Join(t.TempDir(), name), filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(old, content, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Salvage(within(t), old, saved, opt)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(saved, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		f, err := OpenFile(saved, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		recs, _ := readAll(t, f, Range{})
		return s, recs
	}
	s, recs := run("as it is", content, SalvageOptions{})
	if !sameRecords(recs, was) || len(s.Missing) > 0 || !s.Marked || !s.Whole || !s.Sums {
		t.Errorf("%+v; the records are the same: %v", s, sameRecords(recs, was))
	}
	all, recs := run("evicted", content, SalvageOptions{Evicted: true})
	if all.Records < s.Records || all.Records > s.Records+s.Left || s.Left > 0 && all.Records == s.Records || !sameRecords(recs[len(recs)-len(was):], was) {
		t.Errorf("with what was evicted: %+v, without: %+v", all, s)
	}
	headless := bytes.Clone(content)
	clear(headless[:2*os.Getpagesize()])
	s, recs = run("headless", headless, SalvageOptions{})
	if s.Marked || s.Whole || s.Records != all.Records || !sameRecords(recs[len(recs)-len(was):], was) {
		t.Errorf("without a tree: %+v, want %d records", s, all.Records)
	}
	if s.Sessions == 0 || s.Remade > 0 && s.First >= was[0].Seq { // those of evicted records are forgotten
		t.Errorf("sessions without a tree: %+v", s)
	}
}

// A new journal takes no other file's place, and an interrupted one leaves
// nothing.
func TestSalvageRefuses(t *testing.T) {
	path, _ := sample(t, nil)
	if _, err := Salvage(within(t), path, path, SalvageOptions{}); !errors.Is(err, os.ErrExist) {
		t.Errorf("into itself: %v", err)
	}
	dir := t.TempDir()
	if _, err := Salvage(within(t), filepath.Join(dir, "none"), filepath.Join(dir, "new"), SalvageOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
	ctx := within(t)
	cctx, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Salvage(cctx, path, filepath.Join(dir, "new"), SalvageOptions{}); !errors.Is(err, cctx.Err()) {
		t.Errorf("interrupted: %v", err)
	}
	j := openTest(t, path, Options{})
	if _, err := Salvage(ctx, path, filepath.Join(dir, "new"), SalvageOptions{}); !errors.Is(err, ErrLocked) {
		t.Errorf("beside a recorder: %v", err)
	}
	closeTest(t, j)
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Whatever bytes a carver is given, it finds only what proves itself, and what
// it finds can be looked at.
func FuzzCarve(f *testing.F) {
	for _, e := range envelopes(f, nil, 3, 200) {
		f.Add(append([]byte("garbage"), e...), 7)
	}
	path, _ := sample(f, nil)
	b, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[:16<<10], 100)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		end := int64(0)
		for _, e := range carved(t, b, nil) {
			if e.off < end {
				t.Fatalf("an envelope at %d lies in the one before, which ends at %d", e.off, end)
			}
			end = e.off + int64(e.size())
			if _, _, _, err := splitEnvelope(b[e.off:end]); err != nil {
				t.Fatal(err)
			}
		}
		if cut > 0 && cut < len(b) {
			b = b[cut:]
		}
		for _, size := range []uint32{512, 4096} {
			if _, err := carveLeaves(t.Context(), bytes.NewReader(b), int64(len(b)), size, &keyring{}); err != nil {
				t.Fatal(err)
			}
		}
		meta, _ := pageSizeOf(bytes.NewReader(b))
		_, _ = readLive(bytes.NewReader(b), meta, &keyring{})
	})
}
