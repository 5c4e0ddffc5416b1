package scrub

import (
	"bytes"
	"encoding/json"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"torjournal/tor/event"
)

// sampleDir has the committed sample of real events; corpusDir the whole
// corpora, where a checkout lies beside them.
const (
	sampleDir = "../../testdata/corpus"
	corpusDir = "../../../shared/corpus"
)

// corpus returns the wire forms of a file.
func corpus(t testing.TB, path string) (wires [][]byte) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var r io.Reader = file
	if strings.HasSuffix(path, ".zst") {
		z, err := zstd.NewReader(file, zstd.WithDecoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		r = z
	}
	for dec := json.NewDecoder(r); ; {
		var rec struct{ Raw string }
		if err := dec.Decode(&rec); err == io.EOF {
			return wires
		} else if err != nil {
			t.Fatal(err)
		}
		wires = append(wires, []byte(rec.Raw))
	}
}

// eachCorpus runs a test on every committed sample and, unless -short, on the
// whole corpora.
func eachCorpus(t *testing.T, test func(t *testing.T, wires [][]byte)) {
	files, _ := filepath.Glob(sampleDir + "/*.jsonl")
	if len(files) == 0 {
		t.Fatal("no sample")
	}
	if !testing.Short() {
		whole, _ := filepath.Glob(corpusDir + "/*.zst")
		files = append(files, whole...)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) { test(t, corpus(t, path)) })
	}
}

// secretPatterns find, in raw text and without any knowledge of events' grammar
// that the code has, what must not be left: the first group.
var secretPatterns = map[string]*regexp.Regexp{
	"IPv4 address":   regexp.MustCompile(`\b(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})\b`),
	"IPv6 address":   regexp.MustCompile(`\[([0-9A-Fa-f:.]*::[0-9A-Fa-f:.]*)\]`),
	"onion name":     regexp.MustCompile(`\b([a-z2-7]{56})\b`),
	"onion host":     regexp.MustCompile(`([A-Za-z0-9._-]+)\.onion\b`),
	"target":         regexp.MustCompile(`(?m)^(?:650 STREAM|\d+) \S+ \S+ \S+ ([^\s$=]*?[A-Za-z][^\s$=]*?)(?:\.\$[0-9A-F]{40}\.exit)?:\d+ `),
	"mapped":         regexp.MustCompile(`(?m)^650 ADDRMAP ([^\s<]+) `),
	"mapped to":      regexp.MustCompile(`(?m)^650 ADDRMAP \S+ ([^\s<]+) `),
	"a name's host":  regexp.MustCompile(`\b([a-z0-9.-]+\.(?:example|test))\b`),
	"user":           regexp.MustCompile(`(SOCKS_USERNAME="[^"]+")`),
	"password":       regexp.MustCompile(`(SOCKS_PASSWORD="[^"]+")`),
	"32 bytes":       regexp.MustCompile(`(?:^|[^A-Za-z0-9+/])([A-Za-z0-9+/]{43})(?:[^A-Za-z0-9+/]|$)`),
	"place of HSDir": regexp.MustCompile(`HSDIR_INDEX=([0-9A-F]{64})`),
	"index in text":  regexp.MustCompile(`index ([0-9A-F]{64})`),
	"contact":        regexp.MustCompile(`ContactInfo=(\S+)`),
	"bridge":         regexp.MustCompile(`650-Bridge=(.*)\r`),
	"transport":      regexp.MustCompile(`650-ClientTransportPlugin=(.*)\r`),
	"descriptor":     regexp.MustCompile(`(?m)^([A-Za-z0-9+/]{64})\r$`),
	"family":         regexp.MustCompile(`650-NodeFamily=(.*)\r`),
}

// notSecret is what the patterns find and nobody is named by.
func notSecret(s string) bool {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.IsUnspecified() || a.Is4() && a.As4()[0] == 0 && a.As4()[1] < 10 // versions of tor; see isVersion
	}
	return false
}

// public are the types of what everybody can fetch: the consensus.
func public(wire []byte) bool {
	t := event.TypeOf(wire)
	return t == event.NS || t == event.NEWCONSENSUS
}

func TestHashedCorpusHoldsNoSecret(t *testing.T) {
	eachCorpus(t, func(t *testing.T, wires [][]byte) {
		p := hashedPolicy(t, "all", nil, 1)
		var out bytes.Buffer
		secrets := map[string]string{}
		for _, wire := range wires {
			if public(wire) {
				continue
			}
			out.Write(p.Keep(wire).Format())
			for what, pattern := range secretPatterns {
				for _, m := range pattern.FindAllSubmatch(wire, -1) {
					if s := string(m[1]); !notSecret(s) {
						secrets[s] = what
					}
				}
			}
		}
		if len(secrets) == 0 {
			t.Error("no secrets in it")
		}
		t.Logf("%d secrets", len(secrets))
		for s, what := range secrets {
			if at := bytes.Index(out.Bytes(), []byte(s)); at >= 0 {
				t.Errorf("%s %q is left: …%q…", what, s, out.Bytes()[max(at-100, 0):min(at+100, out.Len())])
			}
		}
	})
}

// secretFields are the fields of typed events that may change.
var secretFields = map[string]bool{
	"Target": true, "SourceAddr": true, "SocksUsername": true, "SocksPassword": true, "RendQuery": true,
	"DescriptorID": true, "HSDirIndex": true, "Replica": true, "Descriptor": true, "NewAddress": true, "Address": true, "Port": true,
	"Message": true, "Data": true, "Arguments": true, "Keywords": true, "Options": true,
}

func TestHashedCorpusKeepsGrammar(t *testing.T) {
	eachCorpus(t, func(t *testing.T, wires [][]byte) {
		p := hashedPolicy(t, "all", nil, 1)
		for _, wire := range wires {
			out := p.Keep(wire).Format()
			if again := p.Keep(out).Format(); !bytes.Equal(again, out) {
				t.Fatalf("hashing twice is not hashing once:\n%q\n%q\n%q", wire, out, again)
			}
			before, err := event.Parse(wire)
			if err != nil {
				t.Fatal(err)
			}
			after, err := event.Parse(out)
			if err != nil {
				t.Fatalf("%v:\n%q\n%q", err, wire, out)
			}
			if reflect.TypeOf(before) != reflect.TypeOf(after) || before.Type() != after.Type() {
				t.Fatalf("%T became %T:\n%q\n%q", before, after, wire, out)
			}
			b, a := reflect.ValueOf(before).Elem(), reflect.ValueOf(after).Elem()
			for i := range b.NumField() {
				f := b.Type().Field(i)
				if !f.IsExported() || f.Anonymous || secretFields[f.Name] || f.Name == "Name" && before.Type() != event.GUARD {
					continue
				}
				if path, ok := a.Field(i).Interface().(event.Path); ok && strings.HasPrefix(string(path), "$"+maskedZeros) {
					continue // a bridge, as far as can be told
				}
				if !reflect.DeepEqual(b.Field(i).Interface(), a.Field(i).Interface()) {
					t.Errorf("%s of %s changed:\n%q\n%q", f.Name, before.Type(), wire, out)
				}
			}
		}
	})
}

// Equal values stay equal over all events of a corpus, and different ones
// different: as many targets, addresses and services come out as went in.
func TestHashedCorpusKeepsEquality(t *testing.T) {
	word := regexp.MustCompile(`(?:650 STREAM \S+ \S+ \S+|SOURCE_ADDR=|REND_QUERY=|650 HS_DESC \S+) ?(\S+)`)
	eachCorpus(t, func(t *testing.T, wires [][]byte) {
		p := hashedPolicy(t, "all", nil, 1)
		to, from := map[string]string{}, map[string]string{}
		for _, wire := range wires {
			in := word.FindAllSubmatch(wire, -1)
			out := word.FindAllSubmatch(p.Keep(wire).Format(), -1)
			for i, m := range in {
				a, b := string(m[1]), string(out[i][1])
				if strings.HasPrefix(string(m[0]), "SOURCE_ADDR") {
					a, _, _ = strings.Cut(a, ":")
					b, _, _ = strings.Cut(b, ":")
				}
				if was, ok := to[a]; ok && was != b {
					t.Fatalf("%q became %q and %q", a, was, b)
				}
				if was, ok := from[b]; ok && was != a {
					t.Fatalf("%q and %q became %q", a, was, b)
				}
				to[a], from[b] = b, a
			}
		}
	})
}

// BenchmarkHashedCorpus reports nanoseconds an event, for every event of the
// samples and for those that have nothing to replace.
func BenchmarkHashedCorpus(b *testing.B) {
	files, _ := filepath.Glob(corpusDir + "/client.jsonl.zst")
	if len(files) == 0 {
		files, _ = filepath.Glob(sampleDir + "/client.jsonl")
	}
	var all, unchanged [][]byte
	p := hashedPolicy(b, "all", nil, 1)
	for _, f := range files {
		all = append(all, corpus(b, f)...)
	}
	for _, wire := range all {
		if bytes.Equal(p.Keep(wire).Format(), wire) {
			unchanged = append(unchanged, wire)
		}
	}
	logs := slices.DeleteFunc(slices.Clone(all), func(w []byte) bool { return !isLog(event.TypeOf(w)) })
	for _, bm := range []struct {
		name  string
		wires [][]byte
	}{{"all", all}, {"nothing", unchanged}, {"logs", logs}} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				p.Keep(bm.wires[i])
				if i++; i == len(bm.wires) {
					i = 0
				}
			}
		})
	}
}
