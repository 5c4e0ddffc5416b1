package daemon

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
)

// What tor sees of SETEVENTS: a type is subscribed to when the first connection
// wants it and until the last does not, and the 250 waits for tor's own.
func TestTorIsAskedForWhatIsWanted(t *testing.T) {
	tor := startStub(t, func(_ []byte, w io.Writer) { _, _ = io.WriteString(w, "250 OK\r\n") })
	addr, _ := tor.recorded(Config{})
	source := tor.source()
	asked := func() bool { return slices.Contains(source.subscribed(), "DEBUG") }
	tell := func(wire string) {
		t.Helper()
		if _, err := io.WriteString(source, wire); err != nil {
			t.Fatal(err)
		}
	}
	a, b := listen(t, addr), listen(t, addr)
	a.say("SETEVENTS BW", "250 OK") // it is always subscribed to
	times := source.times()

	release := source.holdSubscription()
	fmt.Fprint(a.sock, "setevents debug Bw\r\n")
	tor.await("tor to be asked for DEBUG", asked)
	tell("650 BW 1 1\r\n")
	a.hears("650 BW 1 1") // and no 250 before tor's
	release()
	a.hears("250 OK")
	tell("650 DEBUG one\r\n")
	a.hears("650 DEBUG one")

	b.say("SETEVENTS DEBUG", "250 OK")
	tell("650 DEBUG two\r\n")
	a.hears("650 DEBUG two")
	b.hears("650 DEBUG two")
	if n := source.times() - times; n != 1 {
		t.Errorf("tor was asked %d times for the same", n)
	}
	a.say("SETEVENTS", "250 OK")
	if !asked() {
		t.Error("one wants DEBUG, and tor is not asked for it")
	}
	tell("650 DEBUG three\r\n")
	b.hears("650 DEBUG three")
	_ = b.sock.Close()
	tor.await("DEBUG not to be asked for any more", func() bool { return !asked() })
	a.say("SETEVENTS NONSENSE", `552 Unrecognized event "NONSENSE"`)
}

// listener is a controller that is looked at line by line.
type listener struct {
	t    *testing.T
	sock net.Conn
	in   *bufio.Reader
}

func listen(t *testing.T, addr string) *listener {
	t.Helper()
	sock := controller(t, addr)
	return &listener{t, sock, bufio.NewReader(sock)}
}

func (l *listener) hears(want string) {
	l.t.Helper()
	if got, err := l.in.ReadString('\n'); got != want+"\r\n" {
		l.t.Fatalf("got %q, %v; want %q", got, err, want)
	}
}

func (l *listener) say(command, want string) {
	l.t.Helper()
	fmt.Fprint(l.sock, command+"\r\n")
	l.hears(want)
}
