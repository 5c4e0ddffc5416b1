package testnet

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

func TestPortsClash(t *testing.T) {
	first, err := claimPorts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer first.release()
	low := first.next - 1
	second := claimBlock(low)
	if second != nil {
		t.Fatal("one block was claimed twice")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = claimBetween(ctx, low, low+blockSize-1)
	if err == nil || !strings.Contains(err.Error(), "has a port in use") {
		t.Errorf("all blocks taken: %v", err)
	}
	first.release()

	// Some other program has one port of the block.
	other, err := net.Listen("tcp4", loopback(low+7))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if b := claimBlock(low); b != nil {
		t.Error("a block was claimed of which a port is taken")
	}
}

func TestBlockIsLargeEnough(t *testing.T) {
	const needed = 1 + 2 + 3 + 2*maxRelays + 3*maxClients // lock; web, DNS; authority with control port; relays; clients
	if needed > blockSize {
		t.Errorf("a network needs up to %d ports, a block has %d", needed, blockSize)
	}
}
