package logfile

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

const (
	// maxWindow bounds what unpacking keeps of the text before: what the
	// highest levels of xz and zstd ask for is 64 and 128 MiB.
	maxWindow = 128 << 20

	// maxLayers bounds how often a file may be packed into itself.
	maxLayers = 4
)

// Unpacked is a log without its compression.
type Unpacked struct {
	*bufio.Reader // of at least DetectSize

	closers []func()
}

// Close lets go of what unpacking needs, and not of the input.
func (u *Unpacked) Close() {
	for _, c := range u.closers {
		c()
	}
	u.closers = nil
}

// Unpack takes the compression off r: gzip, xz, zstd, each in one piece or
// several, one inside the other too. What it is the bytes say, not a name.
// Memory is bounded: a file that needs more than 128 MiB to unpack is refused.
func Unpack(r io.Reader) (*Unpacked, error) {
	u := &Unpacked{Reader: bufio.NewReaderSize(r, DetectSize)}
	for range maxLayers {
		next, name, err := u.layer()
		if err != nil {
			u.Close()
			return nil, fmt.Errorf("logfile: unpack %s: %w", name, err)
		}
		if next == nil {
			return u, nil
		}
		u.Reader = bufio.NewReaderSize(next, DetectSize)
	}
	u.Close()
	return nil, fmt.Errorf("logfile: the file is packed more than %d times", maxLayers-1)
}

// layer returns what is inside the outermost compression; nil if there is none.
func (u *Unpacked) layer() (inside io.Reader, name string, err error) {
	head, err := u.Peek(len("\xfd7zXZ\x00"))
	if err != nil && err != io.EOF {
		return nil, "it", err
	}
	switch {
	case begins(head, "\x1f\x8b"):
		inside, err = gzip.NewReader(u.Reader)
		return inside, "gzip", err
	case begins(head, "\xfd7zXZ\x00"):
		inside, err = xz.NewReader(newXZGuard(u.Reader))
		return inside, "xz", err
	case begins(head, "\x28\xb5\x2f\xfd"), len(head) >= 4 && head[0]&0xf0 == 0x50 && begins(head[1:], "\x2a\x4d\x18"):
		d, err := zstd.NewReader(u.Reader, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, "zstd", err
		}
		u.closers = append(u.closers, d.Close)
		return d, "zstd", nil
	}
	return nil, "", nil
}

func begins(b []byte, magic string) bool {
	return len(b) >= len(magic) && string(b[:len(magic)]) == magic
}
