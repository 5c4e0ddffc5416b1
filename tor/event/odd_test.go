package event

import (
	"fmt"
	"strings"
	"testing"
)

// odd are replies that tor does not send but might: of a newer tor, or of
// another program. All keep their bytes; told is what their struct tells
// besides, "Unknown" if nothing.
var odd = []struct{ wire, told string }{
	// Unknown keywords and words, behind, between and before known ones.
	{"650 CIRC 1 BUILT $A~a PURPOSE=GENERAL NEW=1 word\r\n", "1 BUILT $A~a GENERAL  |NEW=1 word"},
	{"650 CIRC 1 BUILT $A~a NEW=\"a b\" PURPOSE=GENERAL word REASON=X\r\n", "1 BUILT $A~a GENERAL X |NEW=\"a b\" word"},
	{"650 CIRC 1000 EXTENDED moria1,moria2 0xBEEF\r\n", "1000 EXTENDED moria1,moria2   |0xBEEF"},
	{"650 BW 1 2 DIR=3\r\n", "1 2 |DIR=3"},
	{"650 GUARD ENTRY $A~a UP since yesterday\r\n", "ENTRY $A~a UP|since yesterday"},
	{"650 DESCCHANGED now\r\n", "|now"},
	// Unexpected order, repetition: the first value counts.
	{"650 CIRC 1 FAILED REASON=TIMEOUT PURPOSE=GENERAL\r\n", "1 FAILED  GENERAL TIMEOUT |"},
	{"650 CIRC 1 FAILED PURPOSE=A PURPOSE=B REASON=C PURPOSE=D\r\n", "1 FAILED  A C |PURPOSE=B PURPOSE=D"},
	// Keywords without a value, empty values, values with =.
	{"650 CIRC 1 BUILT PURPOSE= HS_STATE REASON=a=b=c\r\n", "1 BUILT   a=b=c |HS_STATE"},
	{"650 CIRC 1 BUILT SOCKS_USERNAME=\"\" SOCKS_PASSWORD=\r\n", "1 BUILT    |"},
	// Values spelled another way.
	{"650 CIRC 1 FAILED PURPOSE=\"GENERAL\" SOCKS_USERNAME=plain\r\n", "1 FAILED  GENERAL  plain|"},
	{"650 CIRC 1 FAILED SOCKS_USERNAME=\"it's \\a \\303\\251 é\"\r\n", "1 FAILED    it's a é é|"},
	{"650 CIRC 1 FAILED SOCKS_USERNAME=\"open\r\n", "1 FAILED    \"open|"},
	{"650 CIRC 1 FAILED SOCKS_USERNAME=\"a\"b PURPOSE=X\r\n", "1 FAILED  X  \"a\"b|"},
	{"650 CONN_BW ID=1 READ=007 WRITTEN=18446744073709551616\r\n", "1 7 0|"},
	{"650 CONN_BW READ=5 ID=1 WRITTEN=-1\r\n", "1 5 0|"},
	{"650 CIRC 1 FAILED REASON=B A=\"x PURPOSE=\"y z\" b\"\r\n", "Unknown"}, // two words that would be one in Extra
	// More lines than expected.
	{
		"650-CIRC 1000 EXTENDED moria1,moria2 0xBEEF\r\n650-EXTRAMAGIC=99\r\n650 ANONYMITY=high\r\n",
		"1000 EXTENDED moria1,moria2   |0xBEEF and 650-EXTRAMAGIC=99\r\n650 ANONYMITY=high\r\n",
	},
	{"650+BW 1 2\r\n650 trap\r\n.\r\n650-MORE\r\n650 OK\r\n", "1 2 | and 650 trap\r\n.\r\n650-MORE\r\n650 OK\r\n"},
	{"650-CIRC 1 FAILED REASON=A PURPOSE=B\r\n650 OK\r\n", "1 FAILED  B A | and 650 OK\r\n"},
	// Too few words, numbers that are none.
	{"650 CIRC\r\n", "Unknown"},
	{"650 CIRC 1\r\n", "Unknown"},
	{"650 BW 1\r\n", "Unknown"},
	{"650 BW 1 x\r\n", "Unknown"},
	{"650 BW 01 2\r\n", "Unknown"},
	{"650 BW 1 18446744073709551616\r\n", "Unknown"},
	{"650 BW -1 2\r\n", "Unknown"},
	{"650 NEWDESC\r\n", "Unknown"},
	{"650 NOTICE\r\n", "Unknown"},
	{"650 CELL_STATS\r\n", "Unknown"},
	// Blanks in a row or at the end.
	{"650 CIRC 1 BUILT \r\n", "Unknown"},
	{"650 CIRC 1 BUILT  PURPOSE=GENERAL\r\n", "Unknown"},
	{"650 CIRC 1 BUILT PURPOSE=GENERAL \r\n", "Unknown"},
	{"650 CIRC  BUILT PURPOSE=GENERAL\r\n", " BUILT  GENERAL  |"},
	{"650 STATUS_CLIENT NOTICE X \r\n", "Unknown"},
	// Lone CR.
	{"650 CIRC 1 BUILT PURPOSE=A\rB\r\n", "Unknown"},
	{"650 BW\r 1 2\r\n", "Unknown"},
	{"650 NOTICE a\rb\r\n", "Unknown"},
	{"650+WARN\r\na\rb\r\n.\r\n650 OK\r\n", "Unknown"},
	{"650-CONF_CHANGED\r\n650-A=\r\r\n650 OK\r\n", "Unknown"},
	// Multi-line types in another form.
	{"650 NS\r\n", "Unknown"},
	{"650+NS more\r\nr a\r\n.\r\n650 OK\r\n", "Unknown"},
	{"650+NS\r\nr a\r\n.\r\n650 FINE\r\n", "Unknown"},
	{"650+NS\r\nr a\r\n.\r\n650-MORE\r\n650 OK\r\n", "Unknown"},
	{"650-NS\r\n650 OK\r\n", "Unknown"},
	{"650-CONF_CHANGED\r\n650 A=b\r\n", "Unknown"},
	{"650-CONF_CHANGED\r\n650+A=\r\nb\r\n.\r\n650 OK\r\n", "Unknown"},
	{"650 CONF_CHANGED\r\n", "Unknown"},
	{"650+HS_DESC_CONTENT a b\r\n.\r\n650 OK\r\n", "Unknown"},
	{"650+HS_DESC_CONTENT a b c d\r\n.\r\n650 OK\r\n", "Unknown"},
	{"650+AUTHDIR_NEWDESCS\r\nACCEPTED\r\n.\r\n650 OK\r\n", "Unknown"},
	{"650+AUTHDIR_NEWDESCS\r\n.ACCEPTED\r\nfine\r\n.\r\n650 OK\r\n", "Unknown"},
	{"650+WARN\r\n.\r\n650 OK\r\n", "Unknown"},
	{"650+WARN\r\n.one dot\r\n.\r\n650 OK\r\n", "Unknown"},
	{"650+JOURNAL SNAPSHOT\r\nx\r\n.\r\n650-OK\r\n650 OK\r\n", "Unknown"},
	// Types of an older or newer tor.
	{"650 TB_EMPTY ORCONN ID=16 READ=0 WRITTEN=0 LAST=100\r\n", "Unknown"},
	{"650 STATUS_SEVER NOTICE X\r\n", "Unknown"},
	{"650 circ 1 BUILT\r\n", "Unknown"},
	{"650 \r\n", "Unknown"},
	{"650  BW 1 2\r\n", "Unknown"},
	{"650+FUTURE x\r\ndata\r\n.\r\n650-more\r\n650+again\r\n.\r\n650 done\r\n", "Unknown"},
}

func TestOdd(t *testing.T) {
	for _, o := range odd {
		e, err := Parse([]byte(o.wire))
		if err != nil {
			t.Errorf("%v: %q", err, o.wire)
			continue
		}
		if got := string(e.Format()); got != o.wire {
			t.Errorf("format differs:\n got %q\nwant %q", got, o.wire)
		}
		if e.Type() != TypeOf([]byte(o.wire)) {
			t.Errorf("type %q of %q", e.Type(), o.wire)
		}
		if got := told(e); got != o.told {
			t.Errorf("%q tells %q, want %q", o.wire, got, o.told)
		}
	}
}

func told(e Event) string {
	var s string
	var r Rest
	switch e := e.(type) {
	case *Unknown:
		return "Unknown"
	case *Circuit:
		s, r = fmt.Sprintf("%s %s %s %s %s %s", e.ID, e.Status, e.Path, e.Purpose, e.Reason, e.SocksUsername), e.Rest
	case *Bandwidth:
		s, r = fmt.Sprintf("%d %d ", e.Read, e.Written), e.Rest
	case *ConnBandwidth:
		s, r = fmt.Sprintf("%s %d %d", e.ID, e.Read, e.Written), e.Rest
	case *Guard:
		s, r = fmt.Sprintf("%s %s %s", e.Kind, e.Name, e.Status), e.Rest
	case *DescChanged:
		r = e.Rest
	default:
		return fmt.Sprintf("%T", e)
	}
	s += "|" + string(r.Extra)
	if r.MoreLines() != "" {
		s += " and " + r.MoreLines()
	}
	return s
}

// TestChanged: a field that is changed after parsing is formatted anew, and
// everything else stays as the wire had it.
func TestChanged(t *testing.T) {
	tests := []struct {
		wire   string
		change func(*Circuit)
		want   string
	}{
		{"PURPOSE=A REASON=B", func(c *Circuit) { c.Purpose = "C" }, "PURPOSE=C REASON=B"},
		{"PURPOSE=A REASON=B", func(c *Circuit) { c.HSState = "C" }, "PURPOSE=A HS_STATE=C REASON=B"},
		{"PURPOSE=A REASON=B", func(c *Circuit) { c.Purpose = "" }, "PURPOSE= REASON=B"},
		{"REASON=B X=1 PURPOSE=\"A\"", func(c *Circuit) { c.Reason = "C" }, "REASON=C X=1 PURPOSE=\"A\""},
		{"REASON=B X=1 PURPOSE=\"A\"", func(c *Circuit) { c.Purpose = "C" }, "REASON=B X=1 PURPOSE=C"},
		{"REASON=B X=1 PURPOSE=A", func(c *Circuit) { c.HSState = "C" }, "REASON=B X=1 PURPOSE=A HS_STATE=C"},
		{"REASON=B X=1 PURPOSE=A Y=2", func(c *Circuit) { c.Extra = "" }, "REASON=B PURPOSE=A"},
		{"REASON=B X=1 PURPOSE=A Y=2", func(c *Circuit) { c.Extra = "P=\"1 2\" Q R" }, "REASON=B P=\"1 2\" PURPOSE=A Q R"},
		{"REASON=B PURPOSE=A", func(c *Circuit) { c.Purpose = "x\r\n650 BW 1 1" }, `REASON=B PURPOSE="x\r\n650 BW 1 1"`},
		{"REASON=B X=1 PURPOSE=A", func(c *Circuit) { c.Extra = "x\r\n650 BW 1 1" }, "REASON=B x PURPOSE=A  650 BW 1 1"},
	}
	for _, tt := range tests {
		e, err := Parse([]byte("650 CIRC 1 FAILED " + tt.wire + "\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		tt.change(e.(*Circuit))
		if got := string(e.Format()); got != "650 CIRC 1 FAILED "+tt.want+"\r\n" {
			t.Errorf("%s becomes %q, want %s", tt.wire, got, tt.want)
		}
	}
}

// TestSlotLimit: an event with too many odd keywords is kept whole, and costs
// no more than its bytes.
func TestSlotLimit(t *testing.T) {
	for _, n := range []int{1, maxSlots - 3, maxSlots, 100_000} {
		wire := "650 CIRC 1 FAILED REASON=B PURPOSE=A" + strings.Repeat(" X=1", n) + "\r\n"
		e, err := Parse([]byte(wire))
		if err != nil || string(e.Format()) != wire {
			t.Fatalf("%d more keywords: %v", n, err)
		}
		if _, unknown := e.(*Unknown); unknown != (n > maxSlots-2) {
			t.Errorf("%d more keywords: %T", n, e)
		}
	}
}
