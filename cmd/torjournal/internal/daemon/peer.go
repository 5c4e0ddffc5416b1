package daemon

import (
	"context"
	"net"
	"net/http"
	"os"

	"golang.org/x/sys/unix"
)

// peerKey finds in a request's context who is at the other end.
type peerKey struct{}

// withPeer notes the user at the other end of a connection on the private
// socket, as the kernel says it.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	if l, ok := conn.(*limitedConn); ok {
		conn = l.Conn
	}
	uc, ok := conn.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return ctx
	}
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			ctx = context.WithValue(ctx, peerKey{}, cred.Uid)
		}
	})
	return ctx
}

// mayChange reports whether who asks may change the journal: the group that
// may read it must not be able to make it forget.
func mayChange(r *http.Request) bool {
	uid, ok := r.Context().Value(peerKey{}).(uint32)
	return ok && (uid == 0 || uid == uint32(os.Geteuid()))
}
