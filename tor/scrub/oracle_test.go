package scrub

import (
	"bytes"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"torjournal/tor/event"
)

// oracle is a second opinion on what names somebody, which shares nothing with
// the code: it takes the values out of the typed events, and out of all text
// what looks like one of the few forms that cannot be mistaken.
type oracle struct {
	secrets map[string]string // value in lower case → what it is
}

// forms are those that cannot be mistaken, in lower case.
var forms = map[string]*regexp.Regexp{
	"IPv4 address": regexp.MustCompile(`\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b`),
	"onion name":   regexp.MustCompile(`\b[a-z2-7]{56}\b`),
	"host name":    regexp.MustCompile(`\b[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:example|test|onion|org|com|net)\b`),
	"index":        regexp.MustCompile(`\b[0-9a-f]{64}\b`),
}

// key is 32 bytes in Base64, which must keep its case.
var key = regexp.MustCompile(`(?:^|[^A-Za-z0-9+/])([A-Za-z0-9+/]{43})(?:[^A-Za-z0-9+/]|$)`)

func (o *oracle) add(what, value string) {
	value = strings.ToLower(strings.Trim(value, `"[]`))
	if len(value) < 3 || notSecret(value) || nobody([]byte(value)) || value == "unknown" {
		return
	}
	o.secrets[value] = what
}

// host adds the host of host:port, without the relay of "host.$fingerprint.exit".
func (o *oracle) host(what, endpoint string) {
	host := endpoint
	if i := strings.LastIndexByte(endpoint, ':'); i >= 0 {
		host = endpoint[:i]
	}
	host, _, _ = strings.Cut(host, ".$")
	if !strings.HasPrefix(host, "$") {
		o.add(what, host)
	}
}

// learn takes the secrets out of one event.
func (o *oracle) learn(wire []byte) {
	lower := strings.ToLower(string(wire))
	for what, form := range forms {
		for _, s := range form.FindAllString(lower, -1) {
			o.add(what, s)
		}
	}
	for _, m := range key.FindAllStringSubmatch(string(wire), -1) {
		o.add("key", m[1])
	}
	ev, _ := event.Parse(wire)
	switch ev := ev.(type) {
	case *event.Stream:
		o.host("target", ev.Target)
		o.host("client", ev.SourceAddr)
		o.add("user", ev.SocksUsername)
		o.add("password", ev.SocksPassword)
	case *event.Circuit:
		o.add("user", ev.SocksUsername)
		o.add("password", ev.SocksPassword)
		o.add("service", ev.RendQuery)
	case *event.ORConn:
		o.host("peer", ev.Target)
	case *event.AddrMap:
		o.host("name", ev.Address+":0")
		o.host("address", ev.NewAddress+":0")
	case *event.HSDesc:
		o.add("service", ev.Address)
		o.add("descriptor", ev.DescriptorID)
		o.add("index", ev.HSDirIndex)
	}
}

// words are what secrets may be, cut in every way that one could stand in a
// text: with dots, with colons, with the digits of Base64.
var words = []*regexp.Regexp{
	regexp.MustCompile(`[A-Za-z0-9._-]+`), regexp.MustCompile(`[0-9A-Fa-f:.]+`), regexp.MustCompile(`[A-Za-z0-9+/]+`), regexp.MustCompile(`[A-Za-z0-9]+`),
}

// find returns the secrets that stand in a text.
func (o *oracle) find(text []byte) (found []string) {
	for _, w := range words {
		for _, s := range w.FindAll(text, -1) {
			v := strings.ToLower(strings.Trim(string(s), ".:"))
			for i := 0; i >= 0; { // and of a name each domain it is in
				if _, is := o.secrets[v[i:]]; is {
					found = append(found, v[i:])
				}
				dot := strings.IndexByte(v[i:], '.')
				if dot < 0 || !strings.ContainsAny(v, "ghijklmnopqrstuvwxyz") {
					break
				}
				i += dot + 1
			}
		}
	}
	return found
}

// plainWord reports whether a secret is a word that tor uses too: user names and
// passwords of the corpora are.
func plainWord(s string) bool {
	_, err := netip.ParseAddr(s)
	return err != nil && len(s) < 40 && !strings.ContainsAny(s, ".0123456789")
}

// Over all events of a corpus, no secret of any of them is left in any other,
// and nothing else has gone: every word that changed was, or held, a secret.
func TestHashedCorpusByASecondOpinion(t *testing.T) {
	eachCorpus(t, func(t *testing.T, wires [][]byte) {
		o := &oracle{secrets: map[string]string{}}
		for _, wire := range wires {
			if !public(wire) {
				o.learn(wire)
			}
		}
		p := hashedPolicy(t, "all", nil, 1)
		changed, left, needless := 0, 0, 0
		for _, wire := range wires {
			if public(wire) {
				continue
			}
			out := p.Keep(wire).Format()
			for _, s := range o.find(hashes.ReplaceAll(out, nil)) {
				if plainWord(s) && isLog(event.TypeOf(wire)) {
					continue
				}
				if left++; left < 10 {
					t.Errorf("%s %q is left:\n%q\n%q", o.secrets[s], s, wire, out)
				}
			}
			if bytes.Equal(wire, out) {
				continue
			}
			changed++
			if word := needlesslyChanged(o, wire, out); word != "" {
				if needless++; needless < 10 {
					t.Errorf("%q holds no secret, and changed:\n%q\n%q", word, wire, out)
				}
			}
		}
		t.Logf("%d secrets; %d of %d events changed; %d values left, %d changed without need", len(o.secrets), changed, len(wires), left, needless)
	})
}

// needlesslyChanged returns a word of an event that has changed and holds no
// secret; "" if there is none.
func needlesslyChanged(o *oracle, wire, out []byte) string {
	switch event.TypeOf(wire) {
	case event.HS_DESC_CONTENT, event.CONF_CHANGED, event.TRANSPORT_LAUNCHED:
		return "" // whole values, by their names
	}
	before, after := bytes.Fields(wire), bytes.Fields(out)
	if len(before) != len(after) {
		return "the number of words"
	}
	for i, word := range before {
		if bytes.Equal(word, after[i]) || len(o.find(word)) > 0 {
			continue
		}
		if bytes.HasPrefix(after[i], []byte("$"+maskedZeros)) {
			continue // a bridge, as far as can be told
		}
		if name, _, isKeyword := strings.Cut(string(word), "="); isKeyword {
			switch name {
			case "SOCKS_USERNAME", "SOCKS_PASSWORD", "REPLICA", "DATA", "HOSTNAME":
				continue
			}
		}
		return string(word)
	}
	return ""
}
