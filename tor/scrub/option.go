package scrub

import (
	"bytes"
	"strings"
)

// secretOptions are the options of tor, in lower case, whose value is a
// secret, or names others as a whole: what would be left of it says too much
// or nothing.
var secretOptions = keySet(
	"bridge", "bridgepassword", "hashedcontrolpassword", "__hashedcontrolsessionpassword", "hidservauth", "clientonionauthdir",
	"httpproxy", "httpsproxy", "socks4proxy", "socks5proxy", "tcpproxy",
	"httpproxyauthenticator", "httpsproxyauthenticator", "socks5proxyusername", "socks5proxypassword",
	"mapaddress", "clienttransportplugin", "servertransportoptions", "servertransportlistenaddr",
	"automaphostssuffixes", "trackhostexits", "nodefamily",
)

// stripOption appends a line of CONF_CHANGED: "<option>" or "<option>=<value>".
func stripOption(dst, text []byte) []byte {
	name, value, isSet := bytes.Cut(text, []byte("="))
	if !isSet {
		return appendScrubbed(dst, text, false)
	}
	dst = append(append(dst, name...), '=')
	if isSecret(strings.ToLower(string(name))) && len(value) > 0 {
		return append(dst, marker...)
	}
	return appendScrubbed(dst, value, true)
}

func isSecret(option string) bool {
	return secretOptions[option] || strings.HasPrefix(option, "hiddenservice")
}
