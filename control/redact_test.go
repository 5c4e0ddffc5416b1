package control

import (
	"strings"
	"testing"
)

const (
	aFingerprint = "D074985ADE267C0F6CBAB4C48785B1655023A3E7"
	anOnion      = "myef43a3fs2c32yyxswfgudoyzbqip4qpmvbolfrm3hjkxozpfxr35qd"
)

// TestRedact: what is shown of each command. "secret" in a command must be in
// nothing that is shown.
func TestRedact(t *testing.T) {
	for _, tt := range []struct{ command, want string }{
		{"SIGNAL NEWNYM", "NEWNYM"},
		{"SIGNAL secret", redacted},
		{"SIGNAL NEWNYM secret", "NEWNYM " + redacted},
		{"TAKEOWNERSHIP", ""},
		{"TAKEOWNERSHIP secret", redacted},
		{"SAVECONF FORCE", "FORCE"},
		{"frobnicate secret \"secret secret\"", redacted + " " + redacted},
		{"secret", ""},

		{"SETCONF DisableNetwork=1 MaxCircuitDirtiness=\"10 minutes\" disablenetwork", "DisableNetwork=1 MaxCircuitDirtiness=10minutes disablenetwork"},
		{"SETCONF BandwidthRate=\"1 MB\" UseBridges=auto PathBiasNoticeRate=0.5 TestingAuthKeySlop=-1",
			"BandwidthRate=1MB UseBridges=auto PathBiasNoticeRate=0.5 TestingAuthKeySlop=-1"},
		{"SETCONF HashedControlPassword=16:0092D97983853A3F60secret", "HashedControlPassword=" + redacted},
		{"SETCONF HashedControlPassword = 16:secret", "HashedControlPassword " + redacted + " " + redacted},
		{"SETCONF hashedcontrolpassword=\"16:secret\"", "hashedcontrolpassword=" + redacted},
		{"SETCONF Socks5ProxyPassword=1234 BridgePassword=1 HTTPProxyAuthenticator=me:secret", "Socks5ProxyPassword=" + redacted +
			" BridgePassword=" + redacted + " HTTPProxyAuthenticator=" + redacted},
		{"SETCONF Bridge=\"obfs4 192.0.2.1:443 " + aFingerprint + " cert=secret\"", "Bridge=" + redacted},
		{"SETCONF HiddenServiceDir=/home/secret HiddenServicePort=\"80 secret:80\"", "HiddenServiceDir=" + redacted + " HiddenServicePort=" + redacted},
		{"SETCONF Nickname=secret ContactInfo=5551234 Address=192.0.2.7", "Nickname=" + redacted + " ContactInfo=" + redacted + " Address=" + redacted},
		{"SETCONF ExitNodes={de},$" + aFingerprint, "ExitNodes={de},$" + aFingerprint},
		{"SETCONF ExitNodes=secret.example", "ExitNodes=" + redacted},
		{"SETCONF DisableNetwork=secret DisableNetwork=\"1 secret\" SocksPort=\"9050 secret\"", "DisableNetwork=" + redacted +
			" DisableNetwork=" + redacted + " SocksPort=" + redacted},
		{"SETCONF SecretOption=1 SecretOption", redacted + " " + redacted},
		{"SETCONF DisableNetwork=\"1", "DisableNetwork=" + redacted},
		{"RESETCONF SocksPort HashedControlPassword", "SocksPort HashedControlPassword"},
		{"+LOADCONF\r\nDisableNetwork 1\r\nHashedControlPassword 16:secret\r\n# secret\r\n\r\nsecret 1\r\nHiddenServiceDir \\\r\n secret\r\n.\r\n",
			"DisableNetwork=1 HashedControlPassword=" + redacted + " " + redacted + " HiddenServiceDir=" + redacted + " " + redacted},

		{"EXTENDCIRCUIT 0 $" + aFingerprint + "~auth0,relay3 purpose=controller", "0 $" + aFingerprint + "~auth0,relay3 purpose=controller"},
		{"EXTENDCIRCUIT 0 secret.secret purpose=secret", "0 " + redacted + " purpose=" + redacted},
		{"CLOSECIRCUIT 12 IfUnused", "12 IfUnused"},
		{"ATTACHSTREAM 5 12 HOP=2 secret", "5 12 HOP=2 " + redacted},
		{"REDIRECTSTREAM 5 www.example.com 443", "5 www.example.com 443"},
		{"MAPADDRESS www.example.com=10.0.0.1 .=*.example.org secret=secret", "www.example.com=10.0.0.1 .=*.example.org " + redacted},
		{"RESOLVE mode=reverse 192.0.2.1", "mode=reverse 192.0.2.1"},
		{"RESOLVE secret", redacted},
		{"HSFETCH " + anOnion + " SERVER=$" + aFingerprint, anOnion + " SERVER=$" + aFingerprint},
		{"+HSPOST HSADDRESS=" + anOnion + "\r\nsecret\r\n.\r\n", "HSADDRESS=" + anOnion},
		{"+POSTDESCRIPTOR purpose=bridge cache=no\r\nsecret\r\n.\r\n", "purpose=bridge cache=no"},

		{"ADD_ONION NEW:BEST Flags=DiscardPK,Detach Port=80,127.0.0.1:8080 MaxStreams=3", "NEW:BEST Flags=DiscardPK,Detach Port=80,127.0.0.1:8080 MaxStreams=3"},
		{"ADD_ONION ED25519-V3:secret+/== Port=80 Port=81,8081 Port=82,unix:/home/secret", "ED25519-V3:" + redacted + " Port=80 Port=81,8081 Port=82," + redacted},
		{"ADD_ONION ed25519-v3:secret Port=80", redacted + " Port=80"},
		{"ADD_ONION NEW:secret ClientAuth=bob:secret ClientAuthV3=secret Flags=secret Secret=1", redacted + " ClientAuth=" + redacted +
			" ClientAuthV3=" + redacted + " Flags=" + redacted + " " + redacted},
		{"DEL_ONION " + anOnion, anOnion},
		{"ONION_CLIENT_AUTH_ADD " + anOnion + " x25519:secret= ClientName=secret Flags=Permanent", anOnion + " x25519:" + redacted +
			" ClientName=" + redacted + " Flags=Permanent"},
		{"ONION_CLIENT_AUTH_REMOVE " + anOnion, anOnion},
	} {
		raw := tt.command
		if !strings.HasSuffix(raw, "\r\n") {
			raw += "\r\n"
		}
		cmd := parseCommand([]byte(raw))
		got := redact(cmd)
		if got != tt.want {
			t.Errorf("%q\n got %s\nwant %s", tt.command, got, tt.want)
		}
		if all := strings.ToLower(shownVerb(cmd.verb) + " " + got); strings.Contains(all, "secret") {
			t.Errorf("%q shows %s", tt.command, all)
		}
		if !changes(cmd.verb) {
			t.Errorf("%q is merely counted", tt.command)
		}
	}
	if got := redact(parseCommand([]byte("SETCONF " + strings.Repeat("DisableNetwork=1 ", 1000) + "\r\n"))); len(got) > maxShown || !strings.HasSuffix(got, " ...") {
		t.Errorf("of a long command %d bytes are shown: …%s", len(got), got[len(got)-30:])
	}
}

// FuzzRedact: whatever stands where a key or a password does is not shown.
func FuzzRedact(f *testing.F) {
	for _, c := range []string{"SETCONF a=", "ADD_ONION ED25519-V3:", "+LOADCONF\r\nBridge ", "ONION_CLIENT_AUTH_ADD x ", "AUTHENTICATE ", "SIGNAL \"", "x\x00"} {
		f.Add(c, "\r\n")
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		const key = "kQ9+zz/Hunter_2=="
		got := redact(parseCommand([]byte(before + key + after)))
		if strings.Contains(got, key) || len(got) > maxShown {
			t.Errorf("%q shows %q", before+key+after, got)
		}
	})
}
