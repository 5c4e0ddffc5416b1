package controlport

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// ProtocolInfo is what a tor says of itself before authentication
// ([control-spec] 3.21).
type ProtocolInfo struct {
	Methods    []string // AUTH METHODS: NULL, HASHEDPASSWORD, COOKIE, SAFECOOKIE
	CookieFile string   // "" if no method uses a cookie
	Version    string   // tor's version as it writes it, for example "0.4.9.11"
}

func (p *ProtocolInfo) offers(method string) bool { return slices.Contains(p.Methods, method) }

// ProtocolInfo asks tor how to authenticate. Tor answers it once before
// authentication, so the answer is kept and given again.
func (c *Conn) ProtocolInfo(ctx context.Context) (ProtocolInfo, error) {
	c.mu.Lock()
	known := c.protocol
	c.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	rep, err := c.must(ctx, "PROTOCOLINFO 1")
	if err != nil {
		return ProtocolInfo{}, fmt.Errorf("controlport: ask how to authenticate: %w", err)
	}
	p, err := parseProtocolInfo(rep)
	if err != nil {
		return ProtocolInfo{}, err
	}
	c.mu.Lock()
	c.protocol = &p
	c.mu.Unlock()
	return p, nil
}

// parseProtocolInfo reads the answer to PROTOCOLINFO. It skips what it does
// not know, as the specification asks.
func parseProtocolInfo(rep Reply) (p ProtocolInfo, err error) {
	for l := range rep.Lines() {
		word, rest, _ := strings.Cut(l.Text, " ")
		switch word {
		case "PROTOCOLINFO":
			if v, _, _ := strings.Cut(rest, " "); v != "1" {
				return p, fmt.Errorf("controlport: tor speaks version %.20q of PROTOCOLINFO, we know 1", v)
			}
		case "AUTH":
			kv := keywords(rest)
			if m := kv["METHODS"]; m != "" {
				p.Methods = strings.Split(m, ",")
			}
			p.CookieFile = kv["COOKIEFILE"]
		case "VERSION":
			p.Version = keywords(rest)["Tor"]
		}
	}
	if len(p.Methods) == 0 {
		return p, fmt.Errorf("controlport: %w: PROTOCOLINFO names no way to authenticate: %.200q", ErrMalformed, rep.raw)
	}
	return p, nil
}
