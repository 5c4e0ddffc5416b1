package testnet

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// process is one life of a tor process.
//
// Two ties end it with us, however we end. It holds one end of a socket as
// its owning controller (the option __OwningControllerFD), so it exits when
// the kernel closes our end. And on Linux it is killed when the thread that
// started it ends, which also reaches one that hangs; a goroutine keeps that
// thread for as long as the process lives. (One that is paused would be woken
// by the kernel, for its process group has become an orphan.)
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed by the thread's goroutine when the process has been waited for
	err  error         // how it ended; valid once done is closed
}

// startProcess starts a tor with these arguments, its output appended to
// logFile. The process is in its own process group, so that a ^C meant for us
// does not reach it: who starts a network ends it.
func startProcess(torPath string, args []string, logFile string) (*process, error) {
	out, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("testnet: open tor's log: %w", err)
	}
	defer out.Close()
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	const ownerFD = "3" // the first of ExtraFiles
	cmd := exec.Command(torPath, append(args, "--__OwningControllerFD", ownerFD)...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	setDeathSignal(cmd.SysProcAttr)
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this goroutine
		defer ours.Close()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("testnet: start %s: %w", torPath, err)
	}
	return p, nil
}

// socketPair makes a connected pair; neither end is inherited by accident.
func socketPair() (ours, theirs *os.File, err error) {
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("testnet: socket pair for tor's owner: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "owner"), os.NewFile(uintptr(fds[1]), "owned"), nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// signal sends sig; to a process that has ended it is no error.
func (p *process) signal(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && p.running() {
		return fmt.Errorf("testnet: send %v to tor %d: %w", sig, p.pid(), err)
	}
	return nil
}
