package testnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
)

// dnsServer answers the exits' questions (RFC 1035), over UDP on 127.0.0.1:
// every name below .example has the address 127.0.0.1, and no other name
// exists.
type dnsServer struct {
	conn net.PacketConn
	addr string
	done chan struct{} // closed when the serving goroutine has ended
}

func startDNS(port int) (*dnsServer, error) {
	conn, err := net.ListenPacket("udp4", loopback(port))
	if err != nil {
		return nil, fmt.Errorf("testnet: DNS server: %w", err)
	}
	s := &dnsServer{conn: conn, addr: loopback(port), done: make(chan struct{})}
	go s.serve()
	return s, nil
}

// maxQuestion is the longest message that DNS over UDP carries without
// extensions, RFC 1035 section 4.2.1. Longer ones are cut and then malformed.
const maxQuestion = 512

func (s *dnsServer) serve() {
	defer close(s.done)
	buf := make([]byte, maxQuestion)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an earlier answer was refused: its asker is gone
		}
		if answer := dnsAnswer(buf[:n]); answer != nil {
			s.conn.WriteTo(answer, from)
		}
	}
}

func (s *dnsServer) close() error {
	err := s.conn.Close()
	<-s.done
	return err
}

// Header flags, RFC 1035 section 4.1.1.
const (
	dnsResponse  = 0x8400 // QR and AA
	dnsRecursion = 0x0180 // RD and RA
	dnsNXDomain  = 3
)

// dnsAnswer answers a message with one question; to anything else it returns
// nil. The question goes back byte for byte: tor checks the case of its
// letters.
func dnsAnswer(msg []byte) []byte {
	const header = 12
	if len(msg) < header || msg[2]&0xf8 != 0 || binary.BigEndian.Uint16(msg[4:]) != 1 {
		return nil
	}
	name, length := dnsName(msg[header:])
	if length == 0 || len(msg) < header+length+4 {
		return nil
	}
	question := msg[header : header+length+4]
	qtype, class := binary.BigEndian.Uint16(question[length:]), binary.BigEndian.Uint16(question[length+2:])
	exists := strings.HasSuffix(name, ".example")
	flags, answers := uint16(dnsResponse|dnsRecursion), uint16(0)
	if !exists {
		flags |= dnsNXDomain
	}
	const typeA, classIN = 1, 1
	if exists && qtype == typeA && class == classIN {
		answers = 1
	}
	out := append([]byte(nil), msg[:2]...)
	for _, field := range []uint16{flags, 1, answers, 0, 0} {
		out = binary.BigEndian.AppendUint16(out, field)
	}
	out = append(out, question...)
	if answers == 1 {
		// The name is a pointer to the question's; one minute to live.
		out = append(out, 0xc0, header, 0, typeA, 0, classIN, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1)
	}
	return out
}

// dnsName reads an uncompressed name and returns it in lower case, with the
// length of its encoding, which is 0 if it is malformed.
func dnsName(b []byte) (name string, length int) {
	var labels []string
	for length < len(b) && length < 255 {
		n := int(b[length])
		length++
		if n == 0 {
			return strings.ToLower(strings.Join(labels, ".")), length
		}
		if n > 63 || length+n > len(b) {
			return "", 0
		}
		labels = append(labels, string(b[length:length+n]))
		length += n
	}
	return "", 0
}
