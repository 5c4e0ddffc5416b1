package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"torjournal/cmd/torjournal/internal/daemon"
	"torjournal/journal"
	"torjournal/tor/event"
	"torjournal/tor/scrub"
)

// sample returns the events of a committed corpus, with their times.
func sample(t *testing.T, path string) (evs []journal.Arrival) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for dec := json.NewDecoder(f); ; {
		var rec struct {
			T   time.Time `json:"t"`
			Raw string    `json:"raw"`
		}
		if err := dec.Decode(&rec); err == io.EOF {
			return evs
		} else if err != nil {
			t.Fatal(err)
		}
		evs = append(evs, journal.Arrival{Time: rec.T, Wire: []byte(rec.Raw)})
	}
}

// writeSamples makes a journal of all samples, a session each; line returns what
// is recorded of a line.
func writeSamples(t *testing.T, path, key string, line func(session int, wire []byte) []byte) {
	t.Helper()
	files, _ := filepath.Glob("../../testdata/corpus/*.jsonl")
	if len(files) == 0 {
		t.Fatal("no sample")
	}
	j, err := journal.Open(path, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, file := range files {
		evs := sample(t, file)
		if _, err := j.BeginImport(t.Context(), event.Source{Name: filepath.Base(file), Role: scrub.All, Scrub: key}, evs[0].Time); err != nil {
			t.Fatal(err)
		}
		for k := range evs {
			evs[k].Wire = line(i, evs[k].Wire)
		}
		if err := j.Import(t.Context(), evs); err != nil {
			t.Fatal(err)
		}
		if i == len(files)-2 {
			if err := j.Pack(t.Context()); err != nil { // the last one stays in the tail
				t.Fatal(err)
			}
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// words are what might be a secret.
var words = regexp.MustCompile(`[A-Za-z0-9+/._:-]{7,}`)

// A journal that was recorded without --scrub becomes, by vacuum --scrub, the
// one that would have been recorded with it: line by line the same, sessions
// too; and nothing of what was replaced is left in any byte of the file.
func TestVacuumScrub(t *testing.T) {
	dir := t.TempDir()
	keyFile := filepath.Join(dir, "key")
	h, err := daemon.OpenHasher(keyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	plain, hashed := filepath.Join(dir, "plain.db"), filepath.Join(dir, "hashed.db")
	var was, is []byte // all lines, before and after
	writeSamples(t, plain, "", func(_ int, wire []byte) []byte { was = append(was, wire...); return wire })
	var policy *scrub.Policy
	session := -1
	writeSamples(t, hashed, h.ID(), func(n int, wire []byte) []byte {
		if n != session {
			session = n
			all, err := scrub.New(scrub.All, nil)
			if err != nil {
				t.Fatal(err)
			}
			policy = all.Hashed(h, nil)
		}
		wire = policy.Keep(wire).Format()
		is = append(is, wire...)
		return wire
	})
	stdout, stderr := torjournal(t, 0, "vacuum", "--journal", plain, "--scrub", "--scrub-key", keyFile)
	if !regexp.MustCompile(`records 1 to \d+ are left, 0 were removed\nchanged by --scrub, with the key `+h.ID()+`: \d+ records\n$`).MatchString(stdout) || stderr != "" {
		t.Errorf("it says\n%s%s", stdout, stderr)
	}
	torjournal(t, 0, "vacuum", "--journal", hashed)
	for _, form := range []string{"wire", "json"} {
		got, _ := torjournal(t, 0, "replay", "--journal", plain, "--since", "2000-01-01", "-o", form)
		want, _ := torjournal(t, 0, "replay", "--journal", hashed, "--since", "2000-01-01", "-o", form)
		if got != want || want == "" {
			t.Errorf("%s: %d bytes are not the %d that recording with --scrub writes", form, len(got), len(want))
		}
	}
	a, b := sessionsIn(t, plain), sessionsIn(t, hashed)
	if !slices.Equal(a, b) || a[0].Source.Scrub != h.ID() {
		t.Errorf("sessions\n%+v, want\n%+v", a, b)
	}
	all, secrets := everyByte(t, plain), map[string]bool{}
	for _, w := range words.FindAll(was, -1) {
		if !bytes.Contains(is, w) {
			secrets[string(w)] = true
		}
	}
	if len(secrets) < 300 {
		t.Fatalf("only %d words were replaced", len(secrets))
	}
	for w := range secrets {
		if bytes.Contains(all, []byte(w)) {
			t.Errorf("%q is in the file", w)
		}
	}
	again, _ := torjournal(t, 0, "vacuum", "--journal", plain, "--scrub", "--scrub-key", keyFile, "--json")
	var v vacuumed
	if err := json.Unmarshal([]byte(again), &v); err != nil || v.Replaced == nil || *v.Replaced != 0 || v.Scrub != h.ID() || v.Before != v.After {
		t.Errorf("again: %s, %v", again, err)
	}
}

func sessionsIn(t *testing.T, path string) []journal.Session {
	t.Helper()
	f, err := journal.OpenFile(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := f.Sessions(t.Context())
	if err != nil || len(all) == 0 {
		t.Fatalf("%d sessions, %v", len(all), err)
	}
	for i := range all {
		all[i].Begun = all[i].Begun.UTC()
	}
	return all
}

// Which relays are bridges can be told by a torrc; another key leaves what is
// hashed as it is; --strip leaves not even hashes.
func TestVacuumScrubsBridges(t *testing.T) {
	const bridge, public = "$E471C64B236FB65F118F26D0E3056898003351B2~mybridge", "$C767D2F921184AFB2F62079EEFBE8AB3C63E4113~exit9"
	path := journalIn(t)
	dir := filepath.Dir(path)
	j, err := journal.Open(path, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	evs := []journal.Arrival{
		{Time: time.Unix(1, 0), Wire: []byte("650 CIRC 1 BUILT " + bridge + "," + public + " PURPOSE=GENERAL\r\n")},
		{Time: time.Unix(2, 0), Wire: []byte("650 NOTICE mybridge knows 192.0.2.77\r\n")},
	}
	if _, err := j.BeginImport(t.Context(), event.Source{Name: "log"}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := j.Import(t.Context(), evs); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	original, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	torrc := filepath.Join(dir, "torrc")
	text := "# mine\nSocksPort 9050\nusebridges 1\nBridge 203.0.113.7:4711 " + bridge[1:41] + " # at home\n"
	if err := os.WriteFile(torrc, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	lines := func() string {
		out, _ := torjournal(t, 0, "replay", "--journal", path, "--since", "@0", "-o", "wire")
		return out
	}
	masked := regexp.MustCompile(`\$0{24}[0-9A-F]{16}~scrubbed,\` + public)

	_, stderr := torjournal(t, 0, "vacuum", "--journal", path, "--scrub")
	if out := lines(); !strings.Contains(out, bridge) || strings.Contains(out, "192.0.2.77") {
		t.Errorf("without a torrc:\n%s", out)
	}
	if !strings.Contains(stderr, "the key was made, and lies in "+path+".scrubkey: keep it to yourself") {
		t.Errorf("of the key it says %q", stderr)
	}
	torjournal(t, 0, "vacuum", "--journal", path, "--scrub", "--torrc", torrc)
	if out := lines(); !masked.MatchString(out) || strings.Contains(out, "mybridge") {
		t.Errorf("with a torrc:\n%s", out)
	}
	before := lines()
	_, stderr = torjournal(t, 0, "vacuum", "--journal", path, "--scrub", "--scrub-key", filepath.Join(dir, "other"))
	if lines() != before || !strings.Contains(stderr, "1 session had been hashed with another key, and stay so") {
		t.Errorf("another key: %q\n%s", stderr, lines())
	}
	if err := os.WriteFile(path, original, 0o600); err != nil {
		t.Fatal(err)
	}
	torjournal(t, 0, "vacuum", "--journal", path, "--scrub", "--strip")
	if out := lines(); !strings.Contains(out, "knows [scrubbed]") {
		t.Errorf("stripped:\n%s", out)
	}
}

// What --scrub refuses names the next step.
func TestVacuumScrubRefuses(t *testing.T) {
	path := journalIn(t)
	r := startRecorder(t, path, "--attach", "127.0.0.1:1")
	if _, err := torjournal(t, 1, "vacuum", "--journal", path, "--scrub"); !strings.Contains(err, "a recorder runs on") || !strings.Contains(err, "stop it, scrub, and start it with --scrub") {
		t.Errorf("beside a recorder: %q", err)
	}
	if _, err := torjournal(t, 1, "migrate", "--journal", path); !strings.Contains(err, "a recorder migrates when it starts") || !strings.Contains(err, "stop its holder first") {
		t.Errorf("migrate beside a recorder: %q", err)
	}
	r.stop()
	if _, err := os.Stat(path + ".scrubkey"); err == nil {
		t.Error("a key was made for nothing")
	}
	for want, args := range map[string][]string{
		"--torrc goes with --scrub":      {"--torrc", path},
		"--strip goes with --scrub":      {"--strip"},
		"only --scrub says":              {"--scrub-key", path},
		"no such file":                   {"--scrub", "--torrc", path + ".torrc"},
		"holds no key":                   {"--scrub", "--scrub-key", path},
		"torjournal run --journal FILE`": {"--scrub", "--journal", path + ".none"},
	} {
		code := 2
		if want == "holds no key" || strings.HasPrefix(want, "torjournal run") {
			code = 1
		}
		if _, err := torjournal(t, code, append([]string{"vacuum", "--journal", path}, args...)...); !strings.Contains(err, want) {
			t.Errorf("%q: %q", args, err)
		}
	}
	if _, err := os.Stat(path + ".none.scrubkey"); err == nil {
		t.Error("a key was made for a journal that is not there")
	}
}
