package testnet

import "fmt"

// authority is what the torrc of every node says about the directory
// authority. In a baked network nothing listens on its ports.
type authority struct {
	v3ident, fingerprint string // 40 upper-case hexadecimal digits
	orPort, dirPort      int
}

// privateLines keep a tor away from the public network and from the files of
// the system's own tor.
func privateLines(a authority) []string {
	return []string{
		// Replaces the public authorities and fallback directories.
		fmt.Sprintf("DirAuthority auth0 orport=%d no-v2 v3ident=%s 127.0.0.1:%d %s", a.orPort, a.v3ident, a.dirPort, a.fingerprint),
		// Tor binds so only where it connects to something that is not on
		// loopback, and from this address the kernel lets it not.
		"OutboundBindAddress 127.0.0.1",
		"AddressDisableIPv6 1",
		"SafeLogging 0",
		"ShutdownWaitLength 0",
		// An empty table of countries saves 35 MB a process.
		"GeoIPFile /dev/null",
		"GeoIPv6File /dev/null",
	}
}

func relayLines(resolvConf string) []string {
	return []string{
		"AssumeReachable 1", // nobody measures reachability here, and without it no relay is listed
		"PublishServerDescriptor v3",
		"ContactInfo test@invalid",
		"ServerDNSResolvConfFile " + resolvConf,
		"ServerDNSDetectHijacking 0",
		"ServerDNSTestAddresses",
		"ServerDNSAllowBrokenConfig 1",
	}
}

// exitLines allow exits to loopback alone. In a live network the relay itself
// sums its policy up for clients, and loopback does not count in that sum:
// some ports are opened there to all addresses, and OutboundBindAddress keeps
// streams on the machine.
func exitLines(live bool) []string {
	lines := []string{
		"ExitRelay 1",
		"ExitPolicyRejectPrivate 0",
		"ExitPolicy accept 127.0.0.0/8:*",
	}
	if live {
		lines = append(lines, "ExitPolicy accept *:80", "ExitPolicy accept *:443",
			fmt.Sprintf("ExitPolicy accept *:%d-%d", firstPort, lastPort))
	}
	return append(lines, "ExitPolicy reject *:*")
}

func middleLines() []string {
	return []string{"ExitRelay 0", "ExitPolicy reject *:*"}
}

// authorityLines vote every ten seconds, the shortest round that leaves a
// loaded machine time to vote, and give every relay every flag.
func authorityLines(a authority) []string {
	return append(middleLines(),
		"AuthoritativeDirectory 1",
		"V3AuthoritativeDirectory 1",
		"DirPort "+loopback(a.dirPort),
		"TestingV3AuthInitialVotingInterval 5",
		"TestingV3AuthInitialVoteDelay 2",
		"TestingV3AuthInitialDistDelay 2",
		"V3AuthVotingInterval 10",
		"V3AuthVoteDelay 2",
		"V3AuthDistDelay 2",
		"V3AuthNIntervalsValid 30",
		"TestingDirAuthVoteExit *",
		"TestingDirAuthVoteGuard *",
		"TestingDirAuthVoteHSDir *",
		"AuthDirTestEd25519LinkKeys 0",
		"AuthDirTestReachability 0",
	)
}

func clientLines() []string {
	return []string{
		"ClientRejectInternalAddresses 0",
		"ClientDNSRejectInternalAddresses 0",
		"VanguardsLiteEnabled 0", // needs more relays than there are
	}
}
