package logfile

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// maxBlocks bounds the blocks of one xz stream, of which the library remembers
// each: 16 bytes, so 16 MiB. xz itself makes blocks of three times the
// dictionary, and never smaller than 1 MiB.
const maxBlocks = 1 << 20

// xzGuard hands on an xz file and refuses, before the library sees it, what
// would take more memory than is given: each block, of each of the streams that
// a file may consist of, says how large a dictionary it needs, and the library
// makes it as large as that. The guard knows no more of the format than is
// needed to find the blocks; whether all is as it should be the library says.
type xzGuard struct {
	r    *bufio.Reader
	pass int64                        // bytes to hand on
	next func(g *xzGuard) (err error) // finds out what lies behind them

	check  int   // length of a block's checksum
	blocks int   // of the stream so far
	size   int64 // of the block's data or the index so far
	left   uint64
}

func newXZGuard(r *bufio.Reader) *xzGuard { return &xzGuard{r: r, next: (*xzGuard).stream} }

func (g *xzGuard) Read(p []byte) (n int, err error) {
	for g.pass == 0 {
		if err := g.next(g); err != nil {
			return 0, err
		}
	}
	n, err = g.r.Read(p[:min(int64(len(p)), g.pass)])
	g.pass -= int64(n)
	return n, err
}

// peek returns the next n bytes. At the end of the input, and where the format
// is left, ok is false and what is there is handed on as it is: it is the
// library's to say what is wrong.
func (g *xzGuard) peek(n int) (b []byte, ok bool, err error) {
	b, err = g.r.Peek(n)
	if len(b) == n {
		return b, true, nil
	}
	if err == io.EOF && len(b) > 0 {
		err = nil
	}
	g.pass = int64(len(b))
	return nil, false, err
}

// The states of an xzGuard, each what begins at the next byte (xz file format,
// sections 2 to 4).

// stream is the header of a stream, or four bytes of padding before it.
func (g *xzGuard) stream() error {
	b, ok, err := g.peek(4)
	if !ok || binary.BigEndian.Uint32(b) == 0 {
		g.pass = max(g.pass, int64(len(b)))
		return err
	}
	const headerLen = 12
	if b, ok, err = g.peek(headerLen); !ok {
		return err
	}
	g.check = [16]int{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[b[7]&15]
	g.pass, g.blocks, g.next = headerLen, 0, (*xzGuard).block
	return nil
}

// block is the header of a block, or the index.
func (g *xzGuard) block() error {
	b, ok, err := g.peek(1)
	if !ok {
		return err
	}
	if b[0] == 0 {
		g.pass, g.size, g.next = 1, 1, (*xzGuard).index
		return nil
	}
	if g.blocks++; g.blocks > maxBlocks {
		return fmt.Errorf("the xz file has more than %d blocks", maxBlocks)
	}
	if b, ok, err = g.peek((int(b[0]) + 1) * 4); !ok {
		return err
	}
	if n := xzDictionary(b); n > maxWindow {
		return fmt.Errorf("the xz file needs %d MiB of memory, at most %d are given", n>>20, maxWindow>>20)
	}
	g.pass, g.size, g.next = int64(len(b)), 0, (*xzGuard).chunk
	return nil
}

// chunk is a part of a block's data: LZMA2 writes the length of each before it.
func (g *xzGuard) chunk() error {
	b, ok, err := g.peek(1)
	if !ok {
		return err
	}
	n, lengthAt := 0, 0
	switch control := b[0]; {
	case control == 0: // the last
		g.size++
		g.pass = 1 + padding(g.size) + int64(g.check)
		g.next = (*xzGuard).block
		return nil
	case control <= 2: // as it is
		n, lengthAt = 3, 1
	case control < 0x80: // there is no such chunk
		return errXZ
	case control < 0xc0: // compressed, as the one before
		n, lengthAt = 5, 3
	default: // compressed, with properties
		n, lengthAt = 6, 3
	}
	if b, ok, err = g.peek(n); !ok {
		return err
	}
	g.pass = int64(n) + int64(binary.BigEndian.Uint16(b[lengthAt:])) + 1
	g.size += g.pass
	return nil
}

// index is the number of the records of the index.
func (g *xzGuard) index() (err error) {
	if g.left, err = g.number(); err != nil {
		return err
	}
	if g.left != uint64(g.blocks) {
		return errXZ
	}
	g.left *= 2
	g.next = (*xzGuard).record
	return nil
}

// record is a number in the index, or the end of the stream.
func (g *xzGuard) record() error {
	if g.left > 0 {
		g.left--
		_, err := g.number()
		return err
	}
	const crcAndFooter = 4 + 12
	g.pass = padding(g.size) + crcAndFooter
	g.next = (*xzGuard).stream
	return nil
}

// number passes a number of the index: seven bits a byte, at most 63.
func (g *xzGuard) number() (n uint64, err error) {
	for i := 1; i <= 9; i++ {
		b, ok, err := g.peek(i)
		if !ok {
			return 0, cmp.Or(err, io.ErrUnexpectedEOF)
		}
		if b[i-1] < 0x80 {
			n, _ = binary.Uvarint(b)
			g.pass, g.size = int64(i), g.size+int64(i)
			return n, nil
		}
	}
	return 0, errXZ
}

var errXZ = errors.New("the xz file is damaged")

// padding returns how many bytes make a multiple of four of n.
func padding(n int64) int64 { return -n & 3 }

// xzDictionary returns the size of the dictionary that a block asks for, given
// its header; 0 where it cannot be told, which the library cannot do either.
func xzDictionary(header []byte) int64 {
	flags, b := header[1], header[2:]
	for _, present := range []bool{flags&0x40 != 0, flags&0x80 != 0} {
		for more := present; more && len(b) > 0; b = b[1:] {
			more = b[0]&0x80 != 0
		}
	}
	const lzma2 = 0x21
	if len(b) < 3 || b[0] != lzma2 || b[1] != 1 {
		return 0
	}
	n, err := lzma.DecodeDictCap(b[2])
	if err != nil {
		return 0
	}
	return n
}
