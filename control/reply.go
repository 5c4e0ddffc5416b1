package control

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// reply is the answer to one command on its way out. It takes the turn with
// its first byte.
type reply struct {
	conn *conn
	open bool // it has the turn
}

// begin takes the turn as for a first byte that came at the given time.
func (r *reply) begin(at time.Time) error {
	if r.open {
		return nil
	}
	if err := r.conn.out.take(r.conn.after(at)); err != nil {
		return err
	}
	r.open = true
	r.conn.out.awaited.Store(0)
	r.conn.out.fence.Store(nil)
	if up := r.conn.up; up != nil {
		r.conn.out.upDone = up.Done()
		r.conn.out.bind()
	}
	return nil
}

// Write sends a part of the reply. It is what a Backend writes to.
func (r *reply) Write(p []byte) (int, error) {
	if err := r.begin(r.conn.srv.now()); err != nil {
		return 0, err
	}
	r.conn.out.w.write(p)
	if err := r.conn.out.w.err; err != nil {
		return 0, err
	}
	return len(p), nil
}

// end sends what is left and gives the turn back.
func (r *reply) end() error {
	if !r.open {
		return nil
	}
	err := r.conn.out.w.flush()
	if r.conn.out.last {
		err = r.conn.out.w.finish()
	}
	r.open = false
	r.conn.out.giveBack()
	return err
}

// answer sends a whole reply that was made here, line ends included. While
// the turn is held, before the reply goes out, change may touch the outlet.
func (c *conn) answer(text []byte, change func(*outlet)) error {
	r := reply{conn: c}
	if err := r.begin(c.srv.now()); err != nil {
		return err
	}
	if change != nil {
		change(c.out)
	}
	_, err := r.Write(text)
	return errors.Join(err, r.end())
}

// say sends a reply of one line.
func (c *conn) say(format string, args ...any) error {
	return c.answer([]byte(oneLine(fmt.Sprintf(format, args...))), nil)
}

// bye sends the last line of the conversation.
func (c *conn) bye(line string) error { return c.byeRaw(line + "\r\n") }

func (c *conn) byeRaw(text string) error {
	if !c.login.open { // the time to authenticate may be over
		_ = c.sock.SetWriteDeadline(time.Now().Add(c.srv.waits.drain))
	}
	if err := c.answer([]byte(text), func(o *outlet) { o.last = true }); err != nil {
		return err
	}
	return errBye
}

// oneLine ends a reply line; nothing inside may end it earlier.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == 0 {
			return ' '
		}
		return r
	}, s) + "\r\n"
}
