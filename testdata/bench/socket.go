package main

import (
	"fmt"
	"net"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long anything may take that is not measured.
const patience = 30 * time.Second

// socket is a connected descriptor without Go's poller: what is measured is
// the recorder, not the wake-ups of this process.
type socket int

// dial connects to "unix:PATH" or to an IPv4 host:port, blocking.
func dial(address string) (socket, error) {
	var sa unix.Sockaddr
	family := unix.AF_UNIX
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		sa = &unix.SockaddrUnix{Name: path}
	} else {
		tcp, err := net.ResolveTCPAddr("tcp4", address)
		if err != nil {
			return -1, err
		}
		family = unix.AF_INET
		sa = &unix.SockaddrInet4{Port: tcp.Port, Addr: [4]byte(tcp.IP.To4())}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Connect(fd, sa); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("connect to %s: %w", address, err)
	}
	return socket(fd), nil
}

func (s socket) read(p []byte) (int, error) {
	for {
		n, err := unix.Read(int(s), p)
		if err != unix.EINTR {
			return n, err
		}
	}
}

func (s socket) write(p []byte) error {
	for len(p) > 0 {
		n, err := unix.Write(int(s), p)
		if err != nil && err != unix.EINTR {
			return err
		}
		p = p[max(n, 0):]
	}
	return nil
}

// say sends a line and reads until what has come ends with answer.
func (s socket) say(line, answer string) error {
	if err := s.write([]byte(line)); err != nil {
		return err
	}
	var got []byte
	for buf := make([]byte, 1); !strings.HasSuffix(string(got), answer); {
		n, err := s.read(buf)
		if err != nil || n == 0 {
			return fmt.Errorf("%.60q was answered by %.200q: %v", line, got, err)
		}
		got = append(got, buf[:n]...)
	}
	return nil
}

// end makes a read that waits return.
func (s socket) end() { _ = unix.Shutdown(int(s), unix.SHUT_RDWR) }

func (s socket) close() { _ = unix.Close(int(s)) }

// subscribe opens a connection that is sent every event.
func subscribe(address string) (socket, error) {
	s, err := dial(address)
	if err != nil {
		return s, err
	}
	if err := s.say("AUTHENTICATE\r\nSETEVENTS "+offered+"\r\n", "250 OK\r\n250 OK\r\n"); err != nil {
		s.close()
		return -1, err
	}
	return s, nil
}

// sleepUntil returns at t, within some 60 µs: time.Sleep rounds to
// milliseconds. The caller holds its thread.
func sleepUntil(t time.Time) {
	for {
		left := time.Until(t)
		if left <= 0 {
			return
		}
		ts := unix.NsecToTimespec(int64(left))
		_ = unix.Nanosleep(&ts, nil)
	}
}

// paced calls do for i from 0 at even intervals, perSecond times a second, for
// the given time. Who is late goes on at once.
func paced(perSecond int, during time.Duration, do func(i int) error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	step := time.Second / time.Duration(perSecond)
	begin := time.Now()
	for i := range int(during / step) {
		sleepUntil(begin.Add(time.Duration(i) * step))
		if err := do(i); err != nil {
			return err
		}
	}
	return nil
}
