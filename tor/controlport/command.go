package controlport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// exchange is one command and its reply on the way.
type exchange struct {
	// Immutable.
	command string        // first word, for errors
	then    func(Reply)   // called by the reader with the whole reply; nil: nothing
	chunks  chan []byte   // parts of the reply, lent until taken; nil: it is held whole
	taken   chan struct{} // the last chunk is the reader's again
	ended   chan struct{} // closed by the reader after the last byte of the reply
	most    int           // bytes of the reply that are held, else none is; 0: maxReply, and more ends the connection

	raw []byte // owned by the reader until ended is closed
	cut bool   // likewise: the reply was longer than most
}

// Do sends one command, a line without its end, and returns tor's whole
// reply, which has at most 32 MiB. That tor refuses it is no error of Do: see
// Reply.Err. If ctx ends before the reply has come the connection ends, since
// what comes next on it would be that reply.
func (c *Conn) Do(ctx context.Context, command string) (Reply, error) {
	return c.do(ctx, command, nil)
}

// do is Do, and has the reader call then when the reply has ended: after the
// events before it, before the events after it.
func (c *Conn) do(ctx context.Context, command string, then func(Reply)) (Reply, error) {
	ex := &exchange{command: firstWord(command), then: then, ended: make(chan struct{})}
	if err := c.exchange(ctx, command, ex); err != nil {
		return Reply{}, err
	}
	return Reply{raw: ex.raw}, nil
}

// exchange sends a command of one line and waits until its reply is in ex.
func (c *Conn) exchange(ctx context.Context, command string, ex *exchange) error {
	if err := checkLine(command); err != nil {
		return err
	}
	end, err := c.send(ctx, ex, append([]byte(command), "\r\n"...))
	if err != nil {
		return err
	}
	defer end()
	select {
	case <-ex.ended:
	case <-c.dying:
		if !isClosed(ex.ended) {
			return c.gone()
		}
	}
	return nil
}

// checkLine refuses what is not one line without its end.
func checkLine(command string) error {
	if strings.ContainsAny(command, "\r\n\x00") {
		return fmt.Errorf("controlport: the command %.40q has more than one line", command)
	}
	return nil
}

// must is Do for commands that have to succeed: a refusal is an error.
func (c *Conn) must(ctx context.Context, command string) (Reply, error) {
	rep, err := c.Do(ctx, command)
	if err != nil {
		return rep, err
	}
	return rep, rep.err(firstWord(command))
}

// Forward sends the exact bytes of one command, its line end and its data
// block included, and writes the exact bytes of its reply to w as they come,
// up to and including the final line. A reply of any length passes; no more
// than one read of it is held. While w blocks, the connection is not read,
// and Forward does not return before w does. If w fails, or ctx ends before
// the reply does, the connection ends: nobody could tell what comes next.
func (c *Conn) Forward(ctx context.Context, command []byte, w io.Writer) error {
	if !bytes.HasSuffix(command, []byte("\n")) {
		return fmt.Errorf("controlport: the command %.40q has no line end", command)
	}
	ex := &exchange{
		command: firstWord(string(command[:min(len(command), 64)])),
		chunks:  make(chan []byte), taken: make(chan struct{}), ended: make(chan struct{}),
	}
	end, err := c.send(ctx, ex, command)
	if err != nil {
		return err
	}
	defer end()
	for {
		select {
		case chunk := <-ex.chunks:
			if _, err := w.Write(chunk); err != nil {
				err = fmt.Errorf("controlport: pass on the reply to %s: %w", ex.command, err)
				c.fail(err)
				return err
			}
			select {
			case ex.taken <- struct{}{}:
			case <-c.dying:
			}
		case <-ex.ended:
			return nil
		case <-c.dying:
			if isClosed(ex.ended) {
				return nil
			}
			return c.gone()
		}
	}
}

// send queues ex and writes its command. Until the returned function is
// called the end of ctx ends the connection.
func (c *Conn) send(ctx context.Context, ex *exchange, command []byte) (end func() bool, err error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("controlport: %s was not sent: %w", ex.command, context.Cause(ctx))
	}
	end = context.AfterFunc(ctx, func() { c.fail(context.Cause(ctx)) })
	c.sending.Lock()
	defer c.sending.Unlock()
	if isClosed(c.dying) {
		end()
		return nil, c.gone()
	}
	c.mu.Lock()
	c.waiting = append(c.waiting, ex)
	c.mu.Unlock()
	if _, err := c.nc.Write(command); err != nil {
		end()
		return nil, c.writeFailed(err)
	}
	return end, nil
}

// writeFailed ends the connection. A tor that has closed it is the reason
// more often than what the write says; the reader finds out.
func (c *Conn) writeFailed(err error) error {
	c.fail(fmt.Errorf("controlport: write to tor: %w", err))
	return c.gone()
}

// answer gives a part of a reply to the command at the head of the queue. It
// runs in the reader.
func (c *Conn) answer(part []byte, last bool) error {
	ex := c.head(last)
	if ex == nil {
		return fmt.Errorf("controlport: %w: a reply that nobody asked for: %.100q", ErrMalformed, part)
	}
	switch {
	case ex.chunks != nil:
		if err := c.lend(ex, part); err != nil {
			return err
		}
	case ex.cut:
	case ex.most > 0 && len(ex.raw)+len(part) > ex.most:
		ex.raw, ex.cut = nil, true
	case len(ex.raw)+len(part) > maxReply:
		return fmt.Errorf("controlport: the reply to %s has more than %d MiB", ex.command, maxReply>>20)
	default:
		ex.raw = append(ex.raw, part...)
	}
	if last {
		if ex.then != nil {
			ex.then(Reply{raw: ex.raw})
		}
		close(ex.ended)
	}
	return nil
}

// head returns the oldest command without a whole reply, nil if there is
// none. With the last part of its reply it leaves the queue.
func (c *Conn) head(last bool) *exchange {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		return nil
	}
	ex := c.waiting[0]
	if last {
		c.waiting[0] = nil
		c.waiting = c.waiting[1:]
	}
	return ex
}

// lend lets the command's caller write part, which lies in the read buffer.
func (c *Conn) lend(ex *exchange, part []byte) error {
	select {
	case ex.chunks <- part:
	case <-c.dying:
		return errDying
	}
	select {
	case <-ex.taken:
		return nil
	case <-c.dying:
		return errDying
	}
}

// errDying ends the reader of a connection that has a reason to end already.
var errDying = errors.New("controlport: the connection is ending")

func firstWord(command string) string {
	if i := strings.IndexAny(command, " \r\n"); i >= 0 {
		return command[:i]
	}
	return command
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
