package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"time"
)

// patience is how long the demo waits for torjournal to start, to attach or
// to end.
const patience = 15 * time.Second

// recorder is the running daemon.
type recorder struct {
	cmd     *exec.Cmd
	cancel  context.CancelFunc
	logFile string
	stopped bool // owned, like all of it, by the goroutine of run
}

// startDaemon runs torjournal on a tor and returns when it is attached.
func (s *stage) startDaemon(ctx context.Context, tor, logFile string) (*recorder, error) {
	control, err := freeAddress()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(logFile)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	args := fmt.Sprintf("run --attach %s --control %s --journal %s", tor, control, s.journal)
	s.shell("torjournal " + args + " &")
	daemonCtx, cancel := context.WithCancel(ctx)
	d := &recorder{cmd: s.command(daemonCtx, args), cancel: cancel, logFile: logFile}
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if err := d.cmd.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("torjournal %s: %w", args, err)
	}
	if err := s.waitAttached(ctx); err != nil {
		d.stop()
		return nil, fmt.Errorf("torjournal %s: %w\n%s", args, err, d.log())
	}
	return d, nil
}

// waitAttached asks for the recorder's status until it has its tor.
func (s *stage) waitAttached(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		var status struct {
			Source struct {
				Attached bool `json:"attached"`
			} `json:"source"`
		}
		out, err := s.command(ctx, "status --json").Output()
		if err == nil {
			err = json.Unmarshal(out, &status)
		}
		if err == nil && status.Source.Attached {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not attached after %v (status: %v)", patience, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop ends the daemon as ^C would, and waits for it. A second call does
// nothing.
func (d *recorder) stop() error {
	if d.stopped {
		return nil
	}
	d.stopped = true
	interrupted := d.cmd.Process.Signal(os.Interrupt)
	timer := time.AfterFunc(patience, func() { d.cmd.Process.Kill() })
	defer timer.Stop()
	err := d.cmd.Wait()
	d.cancel()
	if interrupted != nil {
		err = interrupted // it had ended by itself
	}
	if err != nil {
		return fmt.Errorf("stop the recorder: %w", err)
	}
	return nil
}

func (d *recorder) log() string {
	text, err := os.ReadFile(d.logFile)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
