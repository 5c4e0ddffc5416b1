package journal

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	bolt "go.etcd.io/bbolt"

	"torjournal/tor/event"
)

// told is what a test's journal must not tell without its key, by kind; each of
// 8 bytes at least, so that none is there by chance.
type told map[string][][]byte

func (w told) add(kind string, format string, args ...any) {
	w[kind] = append(w[kind], fmt.Appendf(nil, format, args...))
}

// time adds a time in every form in which a journal stores one.
func (w told) time(t time.Time) {
	for _, n := range []int64{t.UnixMicro(), t.Unix() / 3600 * 3600} {
		w["time"] = append(w["time"], binary.BigEndian.AppendUint64(nil, uint64(n)))
	}
	w.add("time", "%s", t.UTC().Format("2006-01-02T15:04"))
}

// talkative fills a small ring with a client's life, so that all kinds of
// values are made, replaced and given up, and returns what that would tell.
func talkative(t *testing.T, j *Journal, clock *stepClock) told {
	t.Helper()
	w := told{}
	for hour := range 30 {
		if hour%7 == 0 {
			src := event.Source{Name: fmt.Sprintf("my secret tor %d", hour), Version: "0.4.8.12-secret", Fingerprint: fmt.Sprintf("%040X", hour+77), PID: hour + 1}
			w.add("session", "%s", src.Name)
			w.add("session", "%s", src.Version)
			w.add("session", "%s", src.Fingerprint)
			if _, _, err := j.BeginSession(within(t), src); err != nil {
				t.Fatal(err)
			}
			w.time(clock.Now())
		}
		for i := range 40 {
			n := hour*100 + i
			w.add("target", "host%d.example.com", n)
			w.add("fingerprint", "%040X", n*7919)
			w.add("nickname", "nickname%dx", n%50)
			w.time(clock.Now())
			if err := j.Append(within(t),
				raw("650 STREAM %d SUCCEEDED %d host%d.example.com:443", n, n, n),
				raw("650 CIRC %d BUILT $%040X~nickname%dx PURPOSE=GENERAL", n, n*7919, n%50),
				raw("650 BW %d %d", n, n)); err != nil {
				t.Fatal(err)
			}
			<-j.Settled(time.Now())
			clock.step(90 * time.Second)
		}
		appendAll(t, j, raw("650 NOTICE large%d %s", hour, noise(hour, 50<<10)))
	}
	for _, word := range []string{"SUCCEEDED", "PURPOSE=", "650 STREAM", "650 CIRC", "650 NOTICE"} {
		w.add("word", "%s", word)
	}
	return w
}

// found returns which kinds of told the bytes tell: as they are, or in any
// zstd frame among them.
func (w told) found(t *testing.T, content []byte) map[string]string {
	t.Helper()
	texts := [][]byte{content}
	for at := 0; ; at += 4 {
		i := bytes.Index(content[at:], []byte{0x28, 0xB5, 0x2F, 0xFD})
		if i < 0 {
			break
		}
		at += i
		zr, err := zstd.NewReader(bytes.NewReader(content[at:]), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPayload), zstd.IgnoreChecksum(true))
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		_, _ = zr.WriteTo(&out) // what follows the frame is an error
		zr.Close()
		texts = append(texts, out.Bytes())
	}
	type word struct{ kind, text string }
	begins := map[[8]byte][]word{}
	for kind, words := range w {
		for _, text := range words {
			first := [8]byte(text)
			begins[first] = append(begins[first], word{kind, string(text)})
		}
	}
	out := map[string]string{}
	for _, text := range texts {
		for i := range max(0, len(text)-7) {
			for _, word := range begins[[8]byte(text[i:])] {
				if bytes.HasPrefix(text[i:], []byte(word.text)) {
					out[word.kind] = word.text
				}
			}
		}
	}
	return out
}

// Without the key an encrypted journal tells nothing: no name, address, word
// or time, in no form, in no page, also of what was given up; and neither does
// anything that lies beside it at any time. A journal that is not encrypted
// tells all of it.
func TestEncryptedTellsNothing(t *testing.T) {
	for _, key := range []*Key{nil, testKey(t)} {
		clock := &stepClock{now: time.Date(2026, 3, 1, 7, 11, 13, 171819000, time.UTC)}
		dir, remove := inMemory(t)
		t.Cleanup(remove)
		path := filepath.Join(dir, "journal.db")
		var w told
		check := func(when string) {
			t.Helper()
			for _, name := range names(t, filepath.Dir(path)) {
				content, err := os.ReadFile(filepath.Join(filepath.Dir(path), name))
				if err != nil {
					t.Fatal(err)
				}
				got := w.found(t, content)
				if key == nil && !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(w))) {
					t.Errorf("%s: the plain file %s tells %q only", when, name, got)
				}
				if key != nil && len(got) > 0 {
					t.Errorf("%s: %s tells %q", when, name, got)
				}
			}
		}
		j := openTest(t, path, Options{
			Key: key, MaxSize: MinMaxSize, sealBytes: 16 << 10, Now: clock.Now,
			vacuumStep: func(step string) {
				if !testing.Short() {
					check("vacuum, " + step)
				}
			},
		})
		w = talkative(t, j, clock)
		waitForSealer(t, j)
		r := readRollups(t, j, time.Time{}, time.Time{})
		if b, err := j.Bounds(within(t)); err != nil || b.First == 1 || len(r.Hours) < 10 || len(r.Minutes) < 600 {
			t.Fatalf("bounds %+v, %d hours, %d minutes, %v", b, len(r.Hours), len(r.Minutes), err)
		}
		check("while it is open")
		closeTest(t, j)
		check("closed")
		saved := filepath.Join(filepath.Dir(path), "saved.db")
		if _, err := Salvage(within(t), path, saved, SalvageOptions{Key: key, Evicted: true}); err != nil {
			t.Fatal(err)
		}
		check("salvaged")
		j = openTest(t, path, j.opt)
		if _, err := j.Vacuum(within(t), Limits{}); err != nil {
			t.Fatal(err)
		}
		closeTest(t, j)
		if _, err := Vacuum(within(t), path, key, Limits{}); err != nil {
			t.Fatal(err)
		}
		check("vacuumed")
	}
}

// Where the key is missing, wrong or one too many, everything that opens the
// journal says so and what to do, and leaves the file as it is.
func TestWrongKey(t *testing.T) {
	right := testKey(t)
	wrong, err := NewKey(bytes.Repeat([]byte{7}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	encrypted, _ := sample(t, right)
	plain, _ := sample(t, nil)
	old, _ := oldFile(t)
	for name, c := range map[string]struct {
		path string
		key  *Key
		want error
		step string
	}{
		"no key":               {encrypted, nil, ErrEncrypted, "--key-file"},
		"another key":          {encrypted, wrong, ErrWrongKey, "--key-file"},
		"not encrypted":        {plain, right, ErrNotEncrypted, "vacuum --encrypt"},
		"old schema and a key": {old, right, ErrNotEncrypted, "vacuum --encrypt"},
	} {
		t.Run(name, func(t *testing.T) {
			before, err := os.ReadFile(c.path)
			if err != nil {
				t.Fatal(err)
			}
			for what, do := range map[string]func() error{
				"Open":     func() error { _, err := Open(c.path, Options{Key: c.key}); return err },
				"OpenFile": func() error { _, err := OpenFile(c.path, c.key); return err },
				"Verify":   func() error { _, err := Verify(c.path, c.key); return err },
				"Vacuum":   func() error { _, err := Vacuum(within(t), c.path, c.key, Limits{}); return err },
				"Rekey":    func() error { _, err := Rekey(within(t), c.path, c.key, nil, Limits{}); return err },
				"Salvage": func() error {
					_, err := Salvage(within(t), c.path, c.path+".new", SalvageOptions{Key: c.key})
					return err
				},
			} {
				err := do()
				var d *DamageError
				if !errors.Is(err, c.want) || errors.As(err, &d) || !strings.Contains(err.Error(), c.path) || !strings.Contains(err.Error(), c.step) {
					t.Errorf("%s: %v; want %v, the path and %q", what, err, c.want, c.step)
				}
			}
			if after, err := os.ReadFile(c.path); err != nil || !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
			if left := names(t, filepath.Dir(c.path)); len(left) != 1 {
				t.Errorf("left behind: %q", left)
			}
			lockFree(t, c.path)
		})
	}
	if m, err := PlanMigration(encrypted); err != nil || m.From != m.To { // looks at no value
		t.Errorf("PlanMigration without a key: %+v, %v", m, err)
	}
}

// The entry in meta is what tells a wrong key from damage.
func TestCipherEntry(t *testing.T) {
	key := testKey(t)
	c, err := key.newFile()
	if err != nil {
		t.Fatal(err)
	}
	entry := c.entry()
	again, err := key.forEntry(entry)
	if err != nil || again.id != c.id {
		t.Fatalf("%+v, %v", again, err)
	}
	for i := range entry {
		bad := bytes.Clone(entry)
		bad[i] ^= 1
		_, err := key.forEntry(bad)
		var d *DamageError
		if !errors.As(err, &d) {
			t.Errorf("byte %d: %v, want a *DamageError", i, err)
		}
	}
	for n := range entry {
		if _, err := key.forEntry(entry[:n]); err == nil {
			t.Errorf("%d bytes of it are enough", n)
		}
	}
	newer := append(bytes.Clone(entry), "what a later version adds"...)
	newer[4] = cipherVersion + 1
	if _, err := key.forEntry(newer); !errors.Is(err, ErrNewerSchema) {
		t.Errorf("of a later version: %v", err)
	}
	if other, err := key.newFile(); err != nil || other.id == c.id || other.check == c.check {
		t.Errorf("two files have the same keys: %v", err)
	}
	if s := fmt.Sprintf("%v %+v %#v %s %x", key, key, key, key, key); strings.Contains(s, "secret") || strings.Contains(s, "736563") || strings.Contains(s, "115") {
		t.Errorf("a key prints as %s", s)
	}
}

// A value cannot take another's place, nor its own at another time, without
// being seen: not one that the same journal, or another of the same key, had
// under another key or for another purpose.
func TestEncryptedValuesKeepTheirPlace(t *testing.T) {
	key := testKey(t)
	sampled, _ := sample(t, key)
	intact, err := os.ReadFile(sampled)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := sample(t, key) // the same records
	type place struct{ bucket, key []byte }
	values := func(path string) map[string][]byte {
		out := map[string][]byte{}
		err := errors.Join(withBolt(path, func(tx *bolt.Tx) error {
			for _, name := range [][]byte{bucketMeta, bucketIndex, bucketEntities, bucketSessions, bucketRollups, bucketBlocks, bucketTail} {
				b := tx.Bucket(name)
				if err := b.ForEach(func(k, v []byte) error {
					if string(k) != "schema" && string(k) != string(keyCipher) {
						out[string(name)+" "+hex.EncodeToString(k)] = bytes.Clone(value(b, k, v))
					}
					return nil
				}); err != nil {
					return err
				}
			}
			return nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	parse := func(name string) place {
		bucket, k, _ := strings.Cut(name, " ")
		raw, err := hex.DecodeString(k)
		if err != nil {
			t.Fatal(err)
		}
		return place{[]byte(bucket), raw}
	}
	all, foreign := values(sampled), values(other)
	tried := 0
	swap := func(name, what string, data []byte) {
		if bytes.Equal(all[name], data) {
			return
		}
		tried++
		path := filepath.Join(t.TempDir(), "journal.db")
		if err := os.WriteFile(path, intact, 0o600); err != nil {
			t.Fatal(err)
		}
		at := parse(name)
		if err := withBolt(path, func(tx *bolt.Tx) error {
			b := tx.Bucket(at.bucket)
			if kinds[string(at.bucket)] == kindBatch {
				return putValue(b, at.key, data)
			}
			return b.Put(at.key, data)
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(path, key); err == nil {
			t.Errorf("%s in the place of %s: Verify finds nothing", what, name)
		}
		if string(at.bucket) == string(bucketEntities) { // readers do without them
			checkNaming(t, openFileTest(t, path, key))
			return
		}
		if err := readDamaged(t, name, path, key, 0); err == nil {
			t.Errorf("%s in the place of %s: a reader finds nothing", what, name)
		}
	}
	keys := slices.Sorted(maps.Keys(all))
	for i, name := range keys {
		bucket, _, _ := strings.Cut(name, " ")
		for _, j := range []int{i + 1, i + len(keys)/2} { // a neighbour, and something else
			from := keys[j%len(keys)]
			swap(name, from, all[from])
		}
		if data, ok := foreign[name]; ok { // of another journal
			swap(name, "another journal's "+bucket, data)
		}
	}
	if tried < 30 {
		t.Errorf("only %d values were swapped", tried)
	}
}

// withBolt changes a closed journal past everything that this package does.
func withBolt(path string, f func(*bolt.Tx) error) error {
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		return err
	}
	return errors.Join(db.Update(f), db.Close())
}

// A file whose tree is gone, the entry that says how it is encrypted too, gives
// all its records to who has the key, and says to others what they lack.
func TestSalvageEncryptedWithoutTree(t *testing.T) {
	key := testKey(t)
	wrong, err := NewKey(make([]byte, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	headless := func(path string) string {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		content = content[:2*os.Getpagesize()]
		clear(content)
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt(content, 0); err != nil {
			t.Fatal(err)
		}
		return path
	}
	encrypted, records := sample(t, key)
	plain, _ := sample(t, nil)
	want := contents(t, encrypted, key)
	encrypted, plain = headless(moved(t, encrypted)), headless(moved(t, plain))
	for _, c := range []struct {
		path string
		key  *Key
		want error
	}{{encrypted, nil, ErrEncrypted}, {encrypted, wrong, ErrWrongKey}, {plain, key, ErrNotEncrypted}} {
		if _, err := Salvage(within(t), c.path, c.path+".new", SalvageOptions{Key: c.key}); !errors.Is(err, c.want) {
			t.Errorf("%v, want %v", err, c.want)
		}
	}
	saved := encrypted + ".new"
	s, err := Salvage(within(t), encrypted, saved, SalvageOptions{Key: key})
	if err != nil || s.Records != records || s.Sessions != 2 || s.Remade != 0 || len(s.Missing) > 0 {
		t.Errorf("%+v, %v; want %d records of 2 sessions", s, err, records)
	}
	if _, err := OpenFile(saved, nil); !errors.Is(err, ErrEncrypted) {
		t.Errorf("the salvaged journal without the key: %v", err)
	}
	if got := contents(t, saved, key); !sameRecords(got, want) {
		t.Errorf("%d records, want %d", len(got), len(want))
	}
}

// A journal becomes encrypted, gets another key, and becomes plain again, with
// all that it holds.
func TestRekey(t *testing.T) {
	path, _ := aged(t, nil, true)
	path = moved(t, path)
	if _, err := Vacuum(within(t), path, nil, Limits{}); err != nil { // which sums what is in the tail
		t.Fatal(err)
	}
	want := contents(t, path, nil)
	first := testKey(t)
	second, err := NewKey(bytes.Repeat([]byte{9}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	sums, all := fileRollups(t, path, nil), fileSessions(t, path, nil)
	var key *Key
	for i, to := range []*Key{first, second, second, nil} {
		v, err := Rekey(within(t), path, key, to, Limits{})
		if err != nil || v.Evicted != 0 {
			t.Fatalf("step %d: %+v, %v", i, v, err)
		}
		key = to
		if got := contents(t, path, key); !sameRecords(got, want) {
			t.Errorf("step %d: %d records, want %d", i, len(got), len(want))
		}
		if got := fileRollups(t, path, key); total(got.Hours) != total(sums.Hours) || total(got.Minutes) != total(sums.Minutes) || got.First != sums.First {
			t.Errorf("step %d: the sums are other ones", i)
		}
		if got := fileSessions(t, path, key); !sameSessions(got, all) {
			t.Errorf("step %d: sessions %+v, want %+v", i, got, all)
		}
		j := openTest(t, moved(t, path), Options{Key: key, MaxSize: 4 << 20})
		appendAll(t, j, bw(1, 10)...)
		closeTest(t, j)
		if left := names(t, filepath.Dir(path)); len(left) != 1 {
			t.Errorf("step %d: left behind: %q", i, left)
		}
	}
}

func fileRollups(t *testing.T, path string, key *Key) Rollups {
	t.Helper()
	f, err := OpenFile(path, key)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return readRollups(t, f, time.Time{}, time.Time{})
}

func fileSessions(t *testing.T, path string, key *Key) []Session {
	t.Helper()
	f, err := OpenFile(path, key)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := f.Sessions(within(t))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Whatever is given out as a cryptogram, only what was encrypted for just that
// place is a value.
func FuzzDecrypt(f *testing.F) {
	key := testKey(f)
	c, err := key.file(fileID{1, 2, 3})
	if err != nil {
		f.Fatal(err)
	}
	kindsOf := []byte{kindBatch, kindIndex, kindSession, kindRollup, kindMeta}
	k := []byte("the key!")
	valid, values := map[byte][]byte{}, map[byte]string{}
	for i, kind := range kindsOf {
		values[kind] = strings.Repeat("value ", i)
		valid[kind] = c.encrypt(kind, k, []byte(values[kind])) // another nonce in each process of the fuzzer
		f.Add(valid[kind], uint8(i), k)
		f.Add(valid[kind], uint8(i+1), k)
		f.Add(valid[kind][:len(valid[kind])-1], uint8(i), k)
	}
	f.Fuzz(func(t *testing.T, data []byte, n uint8, under []byte) {
		kind := kindsOf[int(n)%len(kindsOf)]
		plain, err := c.decrypt(nil, kind, under, data)
		place := kind == kindBatch || bytes.Equal(under, k)
		if err == nil && (!place || string(plain) != values[kind]) || err != nil && place && bytes.Equal(data, valid[kind]) {
			t.Errorf("kind %q under %q: %q, %v", kind, under, plain, err)
		}
		for _, key := range []*Key{key, nil} {
			r := keyring{key: key}
			if _, got, err := r.decrypt(nil, kind, under, data); err == nil && key != nil && !bytes.Equal(got, plain) {
				t.Errorf("the keyring says %q, not %q", got, plain)
			}
		}
		if name := c.hide(under); !bytes.Equal(c.show(name), under) {
			t.Errorf("%x is hidden as %x and shown as %x", under, name, c.show(name))
		}
		_ = c.show(data[:min(len(data), nameSize)])
		if _, err := key.forEntry(data); err == nil {
			t.Errorf("%x is taken for an entry", data)
		}
	})
}
