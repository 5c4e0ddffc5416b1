package controlport

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// maxSocketPath is the longest path of a Unix socket in bytes. The kernel's
// sun_path has 108 on Linux with the final NUL; what is longer fails there
// with no more than "invalid argument".
const maxSocketPath = 107

// Address is where a control port listens.
type Address struct {
	Network string // "tcp" or "unix"
	Addr    string // host:port, or the absolute path of a Unix socket
}

// UsualPlaces returns where a tor is looked for when nobody says where:
// Debian's control socket, the control port of a system tor, Tor Browser's.
func UsualPlaces() []Address {
	return []Address{
		{"unix", "/run/tor/control"},
		{"tcp", "127.0.0.1:9051"},
		{"tcp", "127.0.0.1:9151"},
	}
}

// ParseAddress reads "127.0.0.1:9051", "[::1]:9051", "localhost:9051", "9051"
// (a port of 127.0.0.1), "unix:/run/tor/control" or "/run/tor/control". It
// resolves nothing.
func ParseAddress(s string) (Address, error) {
	path, isUnix := strings.CutPrefix(s, "unix:")
	switch {
	case s == "":
		return Address{}, addressError(s, "it is empty")
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return Address{}, addressError(s, "it contains a control character")
	case isUnix || strings.HasPrefix(s, "/"):
		return parseSocketPath(s, path)
	}
	if _, err := strconv.ParseUint(s, 10, 64); err == nil {
		s = net.JoinHostPort("127.0.0.1", s)
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return Address{}, addressError(s, "it has no port")
	}
	if strings.ContainsAny(host, " /,\"'[]") || strings.Contains(host, ":") && !isIPv6(host) || host == "" {
		return Address{}, addressError(s, "its host is none")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return Address{}, addressError(s, "its port is not a number from 1 to 65535")
	}
	return Address{"tcp", net.JoinHostPort(host, strconv.FormatUint(n, 10))}, nil
}

func parseSocketPath(s, path string) (Address, error) {
	switch {
	case !filepath.IsAbs(path):
		return Address{}, addressError(s, "the path of its socket is not absolute")
	case len(path) > maxSocketPath:
		return Address{}, addressError(s, fmt.Sprintf("the path of a socket has at most %d bytes", maxSocketPath))
	}
	return Address{"unix", path}, nil
}

func isIPv6(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.Is6()
}

func addressError(s, why string) error {
	return fmt.Errorf("control port address %q: %s; write 127.0.0.1:9051, 9051 or unix:/run/tor/control", s, why)
}

// String returns the form that ParseAddress reads, "" for the zero Address.
func (a Address) String() string {
	if a.Network == "unix" {
		return "unix:" + a.Addr
	}
	return a.Addr
}

// local reports whether the peer is on this machine for certain.
func (a Address) local() bool {
	if a.Network == "unix" {
		return true
	}
	host, _, _ := net.SplitHostPort(a.Addr)
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
