package scrub

import (
	"bytes"
	"testing"

	"torjournal/tor/event"
)

// Somebody's own list of types on a relay records types that the relay's role
// does not; they name nobody either.
func TestListOfTypesOnARelayNamesNobody(t *testing.T) {
	p, err := New("STREAM,ADDRMAP,HS_DESC,CONF_CHANGED", map[string][]string{"ORPort": {"9001"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ in, want string }{
		{
			"650 STREAM 1 NEW 0 secret.example.com:443 SOURCE_ADDR=10.1.2.3:555 PURPOSE=USER SOCKS_USERNAME=\"bob\"\r\n",
			"650 STREAM 1 NEW 0 [scrubbed] SOURCE_ADDR=[scrubbed] PURPOSE=USER SOCKS_USERNAME=[scrubbed]\r\n",
		},
		{"650 ADDRMAP secret.example.com 10.9.8.7 NEVER\r\n", "650 ADDRMAP [scrubbed] [scrubbed] NEVER\r\n"},
		{
			"650 HS_DESC REQUESTED abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrstuvwx NO_AUTH $AAAA~x\r\n",
			"650 HS_DESC REQUESTED [scrubbed] NO_AUTH $AAAA~x\r\n",
		},
		{
			"650-CONF_CHANGED\r\n650-BridgePassword=sesame\r\n650 OK\r\n",
			"650-CONF_CHANGED\r\n650-BridgePassword=[scrubbed]\r\n650 OK\r\n",
		},
	} {
		ev := p.Keep([]byte(tc.in))
		if _, live := ev.(event.Live); live || !bytes.Equal(ev.Format(), []byte(tc.want)) {
			t.Errorf("%q\nis kept as %q (live only: %v)\n      want %q", tc.in, ev.Format(), live, tc.want)
		}
	}
}
