package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
)

const (
	// pendingBytes bounds what waits for the store, as torjournal's queue.
	pendingBytes = 8 << 20

	// batchBytes bounds one commit, as torjournal's.
	batchBytes = 1 << 20
)

// store makes a batch of events durable.
type store interface {
	// commit returns when all of it would survive a power loss. Event i is
	// wire[ends[i-1]:ends[i]].
	commit(wire []byte, ends []int) error
	close() error
}

// record reads a tor's events, commits what has arrived as one batch, and
// then sends it to its one subscriber: group commit as torjournal does it.
func record(kind, tor, serves, file string) error {
	st, err := openStore(kind, file)
	if err != nil {
		return err
	}
	ln, err := net.Listen("unix", strings.TrimPrefix(serves, "unix:"))
	if err != nil {
		return err
	}
	defer ln.Close()
	sock, err := net.Dial("unix", tor)
	if err != nil {
		return err
	}
	defer sock.Close()
	r := &recording{store: st, out: make(chan []byte, 1)}
	r.changed.L = &r.mu
	for _, line := range []string{"AUTHENTICATE", "SETEVENTS BW"} {
		if err := command(sock, line); err != nil {
			return err
		}
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	go func() {
		<-term
		sock.Close()
	}()
	go r.serve(ln)
	go r.read(sock)
	return errors.Join(r.commits(), st.close())
}

func openStore(kind, file string) (store, error) {
	switch kind {
	case "text":
		return openText(file)
	case "sqlite":
		return openSQLite(file)
	case "nothing":
		return nowhere{}, nil
	}
	return nil, fmt.Errorf("there is no store %q", kind)
}

// nowhere is a store that keeps nothing.
type nowhere struct{}

func (nowhere) commit([]byte, []int) error { return nil }
func (nowhere) close() error               { return nil }

// command sends a line and reads its one-line answer.
func command(rw io.ReadWriter, line string) error {
	if _, err := io.WriteString(rw, line+"\r\n"); err != nil {
		return err
	}
	var got []byte
	for one := make([]byte, 1); !bytes.HasSuffix(got, []byte("\r\n")); {
		if _, err := io.ReadFull(rw, one); err != nil {
			return err
		}
		got = append(got, one...)
	}
	if !bytes.HasPrefix(got, []byte("250 ")) {
		return fmt.Errorf("%s: %q", line, got)
	}
	return nil
}

type recording struct {
	store store
	out   chan []byte // committed batches for the subscriber

	mu      sync.Mutex
	changed sync.Cond
	wire    []byte // guarded by mu: whole events that wait for a commit…
	ends    []int  // …and where each ends
	over    bool   // guarded by mu: no more will come
	live    bool   // guarded by mu: there is a subscriber
}

// read splits what tor sends into events.
func (r *recording) read(tor io.Reader) {
	buf, fill := make([]byte, 64<<10), 0
	for {
		n, err := tor.Read(buf[fill:])
		fill += n
		var ends []int
		whole, inData := 0, false // what is not a whole event yet is looked at again
		for at := 0; ; {
			i := bytes.IndexByte(buf[at:fill], '\n')
			if i < 0 {
				break
			}
			line := buf[at : at+i+1]
			at += i + 1
			switch {
			case inData:
				inData = !(line[0] == '.' && len(line) <= 3)
			case len(line) > 3 && line[3] == '+':
				inData = true
			case len(line) > 3 && line[3] == ' ':
				ends, whole = append(ends, at), at
			}
		}
		r.put(buf[:whole], ends)
		fill = copy(buf, buf[whole:fill])
		if fill == len(buf) {
			buf = append(buf, make([]byte, len(buf))...)
		}
		if err != nil {
			r.finish()
			return
		}
	}
}

func (r *recording) put(wire []byte, ends []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.wire) > pendingBytes {
		r.changed.Wait()
	}
	for _, end := range ends {
		r.ends = append(r.ends, len(r.wire)+end)
	}
	r.wire = append(r.wire, wire...)
	r.changed.Broadcast()
}

func (r *recording) finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	r.changed.Broadcast()
}

// take waits for events and returns at most a batch of them, its own.
func (r *recording) take() (wire []byte, ends []int, live bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.ends) == 0 && !r.over {
		r.changed.Wait()
	}
	n := len(r.ends)
	for n > 1 && r.ends[n-1] > batchBytes {
		n /= 2
	}
	if n == 0 {
		return nil, nil, false
	}
	size := r.ends[n-1]
	wire, ends = bytes.Clone(r.wire[:size]), append([]int(nil), r.ends[:n]...)
	r.wire = r.wire[:copy(r.wire, r.wire[size:])]
	r.ends = r.ends[:copy(r.ends, r.ends[n:])]
	for i := range r.ends {
		r.ends[i] -= size
	}
	r.changed.Broadcast()
	return wire, ends, r.live
}

func (r *recording) commits() error {
	for {
		wire, ends, live := r.take()
		if ends == nil {
			return nil
		}
		if err := r.store.commit(wire, ends); err != nil {
			return err
		}
		if live {
			r.out <- wire
		}
	}
}

// serve sends to the first subscriber what is committed.
func (r *recording) serve(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go r.deliver(c)
	}
}

func (r *recording) deliver(c net.Conn) {
	defer c.Close()
	var got []byte
	for buf := make([]byte, 4096); bytes.Count(got, []byte("\r\n")) < 2; {
		n, err := c.Read(buf)
		if err != nil {
			return // only looked whether somebody listens
		}
		got = append(got, buf[:n]...)
	}
	r.mu.Lock()
	r.live = true
	r.mu.Unlock()
	_, err := c.Write([]byte("250 OK\r\n250 OK\r\n"))
	for wire := range r.out {
		if err == nil {
			_, err = c.Write(wire)
		}
	}
}
