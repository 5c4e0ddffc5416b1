package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// serveNATS runs NATS core at an address until SIGTERM. It drops nobody who
// is slow, and sends nothing but messages: subscribers are counted by bytes.
func serveNATS(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	opt := &server.Options{
		Host: host, NoLog: true, NoSigs: true,
		MaxPending: 256 << 20, WriteDeadline: time.Minute,
		PingInterval: time.Hour, DisableShortFirstPing: true,
	}
	if opt.Port, err = strconv.Atoi(port); err != nil {
		return err
	}
	s, err := server.NewServer(opt)
	if err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		return fmt.Errorf("the NATS server does not listen")
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	<-term
	s.Shutdown()
	return nil
}
