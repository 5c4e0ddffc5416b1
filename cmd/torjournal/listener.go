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

// listenerOptions is what may stand behind an address.
const listenerOptions = "cookie-file=F, hashed-password=H, no-auth, history, group=G, and tls-cert=F, tls-key=F and tls-client-ca=F"

// parseListener reads one --control:
//
//	ADDR[,cookie-file=F][,hashed-password=H][,no-auth][,history][,group=G][,tls-cert=F,tls-key=F[,tls-client-ca=F]]
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
	var files control.TLSFiles
	named := false
	for _, opt := range parts[1:] {
		key, value, hasValue := strings.Cut(opt, "=")
		if wantsValue := key != "no-auth" && key != "history"; wantsValue != (hasValue && value != "") {
			return l, fmt.Errorf("--control %s: %q: there are %s", spec, opt, listenerOptions)
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
		case "tls-cert":
			files.Cert = value
		case "tls-key":
			files.Key = value
		case "tls-client-ca":
			files.ClientCA = value
		default:
			return l, fmt.Errorf("--control %s: %q: there are %s", spec, opt, listenerOptions)
		}
	}
	l.Access = own
	if !named {
		history := own.History || def.access.History
		l.Access = def.access
		l.Access.History = history
	}
	l.Access.TLS = files
	if files != (control.TLSFiles{}) && strings.HasPrefix(l.Address, "unix:") {
		return l, fmt.Errorf("--control %s: nobody can listen in on a Unix socket: leave out the tls- options", spec)
	}
	if l.Access.CookieFile == "" && len(l.Access.HashedPasswords) == 0 && !l.Access.NoAuth {
		l.Access.OwnCookie = def.ownCookie
	}
	return l, nil
}
