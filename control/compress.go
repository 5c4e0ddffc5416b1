package control

import (
	"fmt"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Compression: after USEFEATURE ZSTD all that goes to a controller, replies
// and events, is one zstd frame. It begins right behind the line of the 250.
// Whenever plain bytes would go out, what has been packed goes out, and all of
// it can be unpacked from what has come so far: nothing comes later than it
// would plain. The frame ends where the server ends the conversation.

// useZstd takes one of the places for compressed connections, unless this
// connection has one, and returns an encoder for it; nil: it has one already.
// undo gives back what was taken.
func (c *conn) useZstd() (enc *zstd.Encoder, undo func(), err error) {
	if c.packed {
		return nil, func() {}, nil
	}
	if c.srv.packed.Add(1) > maxCompressed {
		c.srv.packed.Add(-1)
		return nil, nil, fmt.Errorf("%s is for %d connections at a time, and as many have it: go on without it, or end one of those", featureZstd, maxCompressed)
	}
	c.packed = true
	enc, err = zstd.NewWriter(frame{&c.out.w}, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(packWindow), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		c.giveUpZstd()
		return nil, nil, fmt.Errorf("%s: %w", featureZstd, err)
	}
	return enc, c.giveUpZstd, nil
}

// giveUpZstd gives the place back, if there is one.
func (c *conn) giveUpZstd() {
	if c.packed {
		c.packed = false
		c.srv.packed.Add(-1)
	}
}

// PackedBytes returns what compressed connections take of the heap, in bytes.
func (s *Server) PackedBytes() int64 { return s.packed.Load() * packCost }

// frame is where the encoder of a connection writes to.
type frame struct{ w *sockWriter }

func (f frame) Write(p []byte) (int, error) {
	f.w.put(p)
	if f.w.err != nil {
		return 0, f.w.err
	}
	return len(p), nil
}

// finish ends the frame, if there is one: nothing follows. What is gathered
// has been flushed.
func (w *sockWriter) finish() error {
	if w.packer == nil || w.err != nil {
		return w.err
	}
	if w.patience == 0 {
		w.patience = drainTime
	}
	w.note(w.packer.Close())
	w.packer = nil
	return w.err
}

// endFrame ends the frame for a peer that sends no more, and may read on what
// has been sent: whoever keeps it can tell that it is whole. One that does not
// read is not waited for.
func (c *conn) endFrame() {
	patience := time.NewTimer(c.srv.waits.farewell)
	defer patience.Stop()
	select {
	case <-c.out.free:
	case <-c.out.gone:
		return
	case <-patience.C:
		return
	}
	c.out.w.patience = c.srv.waits.farewell
	if c.out.w.flush() == nil {
		_ = c.out.w.finish() // there is nobody to tell
	}
	c.out.last = true
	c.out.giveBack()
}

// note keeps the first error.
func (w *sockWriter) note(err error) {
	if w.err == nil {
		w.err = err
	}
}
