package daemon

import (
	"fmt"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Manager is the service manager that started this process, systemd, as far as
// it wants to be told how the service is (sd_notify(3)), ends it when it hears
// nothing (WatchdogSec=) and keeps descriptors for it over a restart
// (FileDescriptorStoreMax=). Its zero value is none.
type Manager struct {
	socket   string        // where it listens; "": there is none
	patience time.Duration // it takes us for dead when it has heard nothing for so long; 0: never
	kept     []keptFile    // what it kept for us
}

// keptFile is a descriptor from the store, under the name that it got there.
type keptFile struct {
	name string
	file *os.File
}

// firstPassed is the first descriptor that is handed over (sd_listen_fds(3)).
const firstPassed = 3

// FindManager reads from the environment what the manager has handed over, and
// removes it there. Call it once.
func FindManager() Manager {
	m := Manager{socket: os.Getenv("NOTIFY_SOCKET")}
	if pid := os.Getenv("WATCHDOG_PID"); pid == "" || pid == strconv.Itoa(os.Getpid()) {
		m.patience = watchdogTime(os.Getenv("WATCHDOG_USEC"))
	}
	count, _ := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		count = 0
	}
	for i := range count {
		name := ""
		if i < len(names) {
			name = names[i]
		}
		syscall.CloseOnExec(firstPassed + i)
		m.kept = append(m.kept, keptFile{name, os.NewFile(uintptr(firstPassed+i), name)})
	}
	for _, key := range []string{"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		_ = os.Unsetenv(key)
	}
	return m
}

// watchdogTime reads WATCHDOG_USEC (sd_watchdog_enabled(3)); 0 if it says
// nothing that can be kept.
func watchdogTime(usec string) time.Duration {
	us, err := strconv.ParseUint(usec, 10, 64)
	if err != nil || us > math.MaxInt64/uint64(time.Microsecond) {
		return 0
	}
	return time.Duration(us) * time.Microsecond
}

// notifyTime is how long a manager may take to make room for what it is told.
// One that is busier than that is not waited for: the recorder has to end when
// it is to end.
const notifyTime = 5 * time.Second

// notify tells the manager the lines of state, with descriptors if rights has
// some. Without a manager it does nothing.
func (m Manager) notify(state string, rights []byte) error {
	if m.socket == "" {
		return nil
	}
	sock, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: m.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	defer sock.Close()
	_ = sock.SetWriteDeadline(time.Now().Add(notifyTime))
	if err := sendWith(sock, state, rights); err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	return nil
}

// keep gives the manager a duplicate of a socket under a name that no other has.
func (m Manager) keep(name string, sock syscall.RawConn) error {
	var err error
	if cerr := sock.Control(func(fd uintptr) { err = m.notify("FDSTORE=1\nFDNAME="+name, rightsOf(fd)) }); cerr != nil {
		return cerr
	}
	return err
}

// forget has the manager close what it keeps under a name.
func (m Manager) forget(name string) error { return m.notify("FDSTOREREMOVE=1\nFDNAME="+name, nil) }

// rightsOf is what passes a descriptor on over a Unix socket.
func rightsOf(fd uintptr) []byte { return syscall.UnixRights(int(fd)) }

// sendWith sends one datagram with rights on a connected socket, which
// WriteMsgUnix does not.
func sendWith(sock *net.UnixConn, text string, rights []byte) error {
	raw, err := sock.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Write(func(fd uintptr) bool {
		sent = syscall.Sendmsg(int(fd), []byte(text), rights, nil, 0)
		return sent != syscall.EAGAIN
	})
	if err == nil {
		err = sent
	}
	return err
}
