package main

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// crowd is many subscribers that read all they can, by one thread: the CPU
// shall be left to the server.
type crowd struct {
	socks []socket
	poll  int
	total atomic.Int64 // bytes of all of them
	done  sync.WaitGroup

	// Every checked-th subscriber's bytes are compared with cycle, again and
	// again; nil: none.
	cycle []byte

	mu   sync.Mutex
	got  []int64 // guarded by mu; bytes of each
	low  int64   // guarded by mu; the least of them when it was last looked for
	want int64   // guarded by mu; reached is closed when all have as many; 0: nobody waits
	met  chan struct{}
	err  error // guarded by mu
}

const checked = 100

// gather subscribes n times and reads.
func gather(n int, join func() (socket, error), cycle []byte) (c *crowd, err error) {
	c = &crowd{got: make([]int64, n), cycle: cycle}
	if c.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	for i := range n {
		s, err := join()
		if err == nil {
			c.socks = append(c.socks, s)
			err = unix.SetNonblock(int(s), true)
		}
		if err == nil {
			err = unix.EpollCtl(c.poll, unix.EPOLL_CTL_ADD, int(s), &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)})
		}
		if err != nil {
			c.release()
			return nil, fmt.Errorf("subscriber %d: %w", i, err)
		}
	}
	c.done.Go(c.read)
	return c, nil
}

func (c *crowd) read() {
	buf, events := make([]byte, 256<<10), make([]unix.EpollEvent, 256)
	for {
		n, err := unix.EpollWait(c.poll, events, -1)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			c.fail(err)
			return
		}
		for _, ev := range events[:n] {
			if err := c.readOne(int(ev.Fd), buf); err != nil {
				c.fail(fmt.Errorf("subscriber %d: %w", ev.Fd, err))
				return
			}
		}
	}
}

func (c *crowd) readOne(i int, buf []byte) error {
	n, err := c.socks[i].read(buf)
	if err == unix.EAGAIN {
		return nil
	}
	if err != nil || n == 0 {
		return fmt.Errorf("the connection ended: %v", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cycle != nil && i%checked == 0 {
		if err := c.compare(buf[:n], c.got[i]); err != nil {
			return err
		}
	}
	c.got[i] += int64(n)
	c.total.Add(int64(n))
	if c.want > 0 && c.lowLocked() >= c.want {
		c.want = 0
		close(c.met)
	}
	return nil
}

// lowLocked looks at all only when the average says that it is worth it.
func (c *crowd) lowLocked() int64 {
	if c.total.Load() < c.want*int64(len(c.got)) {
		return 0
	}
	low := c.got[0]
	for _, n := range c.got {
		low = min(low, n)
	}
	return low
}

func (c *crowd) compare(part []byte, off int64) error {
	for len(part) > 0 {
		at := off % int64(len(c.cycle))
		m := min(len(part), len(c.cycle)-int(at))
		if !bytes.Equal(part[:m], c.cycle[at:int(at)+m]) {
			return fmt.Errorf("wrong bytes between %d and %d", off, off+int64(m))
		}
		off, part = off+int64(m), part[m:]
	}
	return nil
}

func (c *crowd) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
	if c.want > 0 {
		c.want = 0
		close(c.met)
	}
}

// average is how many bytes a subscriber has got.
func (c *crowd) average() int64 { return c.total.Load() / int64(len(c.socks)) }

// wait returns when each has got n bytes since the beginning.
func (c *crowd) wait(n int64) error {
	c.mu.Lock()
	c.want, c.met = n, make(chan struct{})
	if c.err != nil || c.lowLocked() >= n {
		c.want = 0
		close(c.met)
	}
	c.mu.Unlock()
	select {
	case <-c.met:
	case <-time.After(2 * patience):
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && c.want > 0 {
		return fmt.Errorf("not everybody got %d bytes within %v; on average it was %d", n, 2*patience, c.average())
	}
	return c.err
}

func (c *crowd) close() {
	for _, s := range c.socks {
		s.end()
	}
	c.done.Wait()
	c.release()
}

func (c *crowd) release() {
	for _, s := range c.socks {
		s.close()
	}
	_ = unix.Close(c.poll)
}
