package main

import (
	"fmt"
	"strings"

	"torjournal/cmd/torjournal/internal/daemon"
	"torjournal/control"
)

// listenerDefaults are the plain flags: they apply to every --control that
// names no access of its own.
type listenerDefaults struct {
	ownCookie string // where the daemon's own cookie lies
	group     string
	access    control.Access
}

// parseListener reads one --control:
//
//	ADDR[,cookie-file=F][,hashed-password=H][,no-auth][,history][,group=G]
//
// Credentials named here replace the plain flags' ones; without any, the
// listener takes the daemon's own cookie.
func parseListener(spec string, def listenerDefaults) (daemon.Listener, error) {
	parts := strings.Split(spec, ",")
	l := daemon.Listener{Address: parts[0]}
	if strings.HasPrefix(l.Address, "unix:") {
		l.Group = def.group
	}
	var own control.Access
	named := false
	for _, opt := range parts[1:] {
		key, value, hasValue := strings.Cut(opt, "=")
		if want := key == "cookie-file" || key == "hashed-password" || key == "group"; want != (hasValue && value != "") {
			return l, fmt.Errorf("--control %s: %q: there are cookie-file=F, hashed-password=H, no-auth, history and group=G", spec, opt)
		}
		switch key {
		case "cookie-file":
			own.CookieFile, named = value, true
		case "hashed-password":
			own.HashedPasswords, named = append(own.HashedPasswords, value), true
		case "no-auth":
			own.NoAuth, named = true, true
		case "history":
			own.History = true
		case "group":
			l.Group = value
		default:
			return l, fmt.Errorf("--control %s: %q: there are cookie-file=F, hashed-password=H, no-auth, history and group=G", spec, opt)
		}
	}
	l.Access = own
	if !named {
		history := own.History || def.access.History
		l.Access = def.access
		l.Access.History = history
	}
	if l.Access.CookieFile == "" && len(l.Access.HashedPasswords) == 0 && !l.Access.NoAuth {
		l.Access.OwnCookie = def.ownCookie
	}
	return l, nil
}
