package testnet

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"strings"
	"testing"
)

func dnsQuestion(name string, qtype uint16) []byte {
	msg := []byte{0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	for label := range strings.SplitSeq(name, ".") {
		msg = append(msg, byte(len(label)))
		msg = append(msg, label...)
	}
	msg = append(msg, 0)
	msg = binary.BigEndian.AppendUint16(msg, qtype)
	return binary.BigEndian.AppendUint16(msg, 1)
}

func TestDNSAnswer(t *testing.T) {
	const a, aaaa = 1, 28
	for _, test := range []struct {
		name  string
		qtype uint16
		code  byte
		addr  bool
	}{
		{"www.example", a, 0, true},
		{"wWw.eXaMPle", a, 0, true},
		{"www.example", aaaa, 0, false},
		{"www.example.com", a, dnsNXDomain, false},
		{"example", a, dnsNXDomain, false},
		{"notexample", a, dnsNXDomain, false},
	} {
		q := dnsQuestion(test.name, test.qtype)
		got := dnsAnswer(q)
		if len(got) < len(q) || !bytes.Equal(got[:2], q[:2]) || !bytes.Equal(got[12:len(q)], q[12:]) {
			t.Errorf("%s: answer %x does not repeat question %x", test.name, got, q)
			continue
		}
		if got[3]&0xf != test.code || (got[7] == 1) != test.addr {
			t.Errorf("%s type %d: code %d, %d answers", test.name, test.qtype, got[3]&0xf, got[7])
		}
		if test.addr && !bytes.HasSuffix(got, []byte{127, 0, 0, 1}) {
			t.Errorf("%s: answer %x", test.name, got)
		}
	}
}

func TestDNSServer(t *testing.T) {
	ports, err := claimPorts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer ports.release()
	s, err := startDNS(ports.take())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	resolver := net.Resolver{PreferGo: true}
	var d net.Dialer
	resolver.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "udp4", s.addr)
	}
	addrs, err := resolver.LookupHost(t.Context(), "some.host.example.")
	if err != nil || len(addrs) != 1 || addrs[0] != "127.0.0.1" {
		t.Errorf("resolved to %v, %v", addrs, err)
	}
	if addrs, err := resolver.LookupHost(t.Context(), "some.host.invalid."); err == nil {
		t.Errorf("resolved a name that does not exist to %v", addrs)
	}
}

func FuzzDNSAnswer(f *testing.F) {
	f.Add(dnsQuestion("www.example", 1))
	f.Add(dnsQuestion("no.such.name", 28))
	f.Add([]byte{0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 63, 'a'})
	f.Add([]byte{0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1})
	f.Fuzz(func(t *testing.T, msg []byte) {
		answer := dnsAnswer(msg)
		if answer != nil && len(answer) > len(msg)+16 {
			t.Errorf("question of %d bytes, answer of %d", len(msg), len(answer))
		}
	})
}
