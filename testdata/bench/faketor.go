package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// fakeTor plays the control port of a tor that sends what it is told to. It
// listens on a Unix socket.
type fakeTor struct {
	ln net.Listener
	wg sync.WaitGroup

	mu         sync.Mutex
	conns      []*fakeConn   // guarded by mu
	source     *fakeConn     // guarded by mu; who subscribed first: the recorder
	subscribed chan struct{} // closed when source is set
}

type fakeConn struct {
	net.Conn
	mu sync.Mutex // held while something whole is written
}

// offered are the types of a tor 0.4.9.
const offered = "CIRC CIRC_MINOR STREAM ORCONN BW DEBUG INFO NOTICE WARN ERR NEWDESC ADDRMAP DESCCHANGED NS " +
	"STATUS_GENERAL STATUS_CLIENT STATUS_SERVER GUARD STREAM_BW CLIENTS_SEEN NEWCONSENSUS BUILDTIMEOUT_SET SIGNAL " +
	"CONF_CHANGED CONN_BW CELL_STATS CIRC_BW TRANSPORT_LAUNCHED HS_DESC HS_DESC_CONTENT NETWORK_LIVENESS PT_LOG PT_STATUS"

// answers of a client without authentication, by the command's beginning; the
// longest that fits counts.
var answers = map[string]string{
	"":                                   "250 OK\r\n",
	"QUIT":                               "250 closing connection\r\n",
	"PROTOCOLINFO":                       "250-PROTOCOLINFO 1\r\n250-AUTH METHODS=NULL\r\n250-VERSION Tor=\"0.4.9.11\"\r\n250 OK\r\n",
	"GETINFO events/names":               "250-events/names=" + offered + "\r\n250 OK\r\n",
	"GETCONF":                            "250-ORPort\r\n250-BridgeRelay=0\r\n250-TestingTorNetwork=0\r\n250 HiddenServiceDir\r\n",
	"GETINFO":                            "552 Unrecognized key\r\n",
	"GETINFO fingerprint":                "551 Not running in server mode\r\n",
	"GETINFO version":                    "250-version=0.4.9.11\r\n250 OK\r\n",
	"GETINFO version process/pid uptime": "250-version=0.4.9.11\r\n250-process/pid=1\r\n250-uptime=600\r\n250 OK\r\n",
	"GETINFO version status":             "250-version=0.4.9.11\r\n250+circuit-status=\r\n1 BUILT $A~a\r\n.\r\n250 OK\r\n",
}

func startTor(path string) (*fakeTor, error) {
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	t := &fakeTor{ln: ln, subscribed: make(chan struct{})}
	t.wg.Go(t.serve)
	return t, nil
}

func (t *fakeTor) serve() {
	for {
		nc, err := t.ln.Accept()
		if err != nil {
			return
		}
		c := &fakeConn{Conn: nc}
		t.mu.Lock()
		t.conns = append(t.conns, c)
		t.mu.Unlock()
		t.wg.Go(func() { t.talk(c) })
	}
}

// talk answers commands; a reply stands between events, never inside one.
func (t *fakeTor) talk(c *fakeConn) {
	defer c.Close()
	for r := bufio.NewReader(c); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		best := ""
		for begin := range answers {
			if len(begin) > len(best) && strings.HasPrefix(line, begin) {
				best = begin
			}
		}
		c.mu.Lock()
		_, err = c.Write([]byte(answers[best]))
		c.mu.Unlock()
		if err != nil || best == "QUIT" {
			return
		}
		if types, ok := strings.CutPrefix(line, "SETEVENTS "); ok && types != "" {
			t.subscribe(c)
		}
	}
}

func (t *fakeTor) subscribe(c *fakeConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.source == nil {
		t.source = c
		close(t.subscribed)
	}
}

// wait returns when a recorder has subscribed.
func (t *fakeTor) wait() error {
	select {
	case <-t.subscribed:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("the recorder did not subscribe within %v", patience)
	}
}

// send writes whole events to the recorder; it blocks while that one does not
// read.
func (t *fakeTor) send(wire []byte) error {
	t.mu.Lock()
	c := t.source
	t.mu.Unlock()
	if c == nil {
		return errors.New("no recorder has subscribed")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.Write(wire)
	return err
}

func (t *fakeTor) stop() {
	_ = t.ln.Close()
	t.mu.Lock()
	for _, c := range t.conns {
		_ = c.Close()
	}
	t.mu.Unlock()
	t.wg.Wait()
}
