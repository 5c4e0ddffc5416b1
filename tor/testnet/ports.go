package testnet

import (
	"context"
	"fmt"
	"net"
	"time"
)

// Ports come in blocks. They lie below the range from which Linux takes the
// ports of outgoing connections (32768 and up), so that a tor that is started
// again finds its ports as it left them, and they do not meet the ports of
// well-known services.
//
// The first port of a block is its lock: whoever listens on it owns the
// others. The kernel opens that lock when its owner dies, and it holds for
// exactly those processes that could clash, other users' and other checkouts'
// included. A block of which any port is taken by some other program is
// passed over.
const (
	firstPort = 20000
	lastPort  = 29999
	blockSize = 64 // lock, web, DNS, authority (2), 13 control ports, 12 OR ports, 8 clients (3 each)
)

// portBlock is a claimed block. It is not safe for concurrent use.
type portBlock struct {
	lock net.Listener
	next int
	end  int // first port past the block
}

// claimPorts claims the first free block. Ports of tors that died a moment ago
// with their owner may be taken a little longer than its lock, so it goes
// round until ctx ends when every block is taken.
func claimPorts(ctx context.Context) (*portBlock, error) {
	return claimBetween(ctx, firstPort, lastPort)
}

func claimBetween(ctx context.Context, low, high int) (*portBlock, error) {
	for {
		for first := low; first+blockSize <= high+1; first += blockSize {
			if b := claimBlock(first); b != nil {
				return b, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("testnet: every block of %d ports between %d and %d on 127.0.0.1 has a port in use: close other networks or the programs that listen there (ss -ltnp): %w",
				blockSize, low, high, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func claimBlock(first int) *portBlock {
	lock, err := net.Listen("tcp4", loopback(first))
	if err != nil {
		return nil
	}
	for port := first + 1; port < first+blockSize; port++ {
		if !portFree(port) {
			lock.Close()
			return nil
		}
	}
	return &portBlock{lock: lock, next: first + 1, end: first + blockSize}
}

func portFree(port int) bool {
	l, err := net.Listen("tcp4", loopback(port))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// take returns the next port of the block. A network's limits keep it within
// its block.
func (b *portBlock) take() int {
	if b.next == b.end {
		panic("testnet: a block of ports is too small for the limits of a network")
	}
	b.next++
	return b.next - 1
}

func (b *portBlock) release() error { return b.lock.Close() }
