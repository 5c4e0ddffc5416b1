package event

import (
	"bytes"
	"unsafe"
)

// Parse returns the event of a wire form: one whole asynchronous reply, all
// its lines with their CRLF, and nothing else. The result is a pointer to the
// type's struct (*Circuit for CIRC, *Log for NOTICE …), or *Unknown for a type
// that this package does not know and for words that do not fit their type's
// grammar. Its Format gives back exactly wire.
//
// Parse copies wire once, so the caller may change it afterwards; the event's
// strings are parts of that copy and keep it in memory.
//
// The error, which wraps ErrNotEvent, says what keeps wire from being an
// asynchronous reply; it does not quote wire, which may be private.
func Parse(wire []byte) (Event, error) { return ParseInPlace(bytes.Clone(wire)) }

// ParseInPlace is Parse without the copy: the event's strings are parts of wire
// and keep it in memory, with all that it is a part of, and nobody may change it
// any more.
func ParseInPlace(wire []byte) (Event, error) { return parseInPlace(wire, nil) }

// parseInPlace is ParseInPlace; room may be nil.
func parseInPlace(wire []byte, room *Room) (Event, error) {
	whole := unsafe.String(unsafe.SliceData(wire), len(wire))
	f, err := cut(whole)
	if err != nil {
		return nil, err
	}
	s := newScanner(&f)
	e := read(&f, &s, room)
	if e == nil || s.bad || s.form.ordered() && string(e.Format()) != whole {
		return &Unknown{Name: TypeOf(wire), Wire: whole}, nil
	}
	return e, nil
}

// read reads the event of f's type; nil if there is no such type. What it
// returns is worth nothing if s is bad.
func read(f *frame, s *scanner, room *Room) Event {
	if room != nil {
		if e := room.read(f, s); e != nil {
			return e
		}
	}
	switch f.name {
	case CIRC:
		return readCircuit(new(Circuit), s)
	case CIRC_MINOR:
		return readCircuitMinor(new(CircuitMinor), s)
	case STREAM:
		return readStream(new(Stream), s)
	case ORCONN:
		return readORConn(s)
	case BW:
		return readBandwidth(s)
	case STREAM_BW:
		return readStreamBandwidth(new(StreamBandwidth), s)
	case CIRC_BW:
		return readCircuitBandwidth(new(CircuitBandwidth), s)
	case CONN_BW:
		return readConnBandwidth(s)
	case CELL_STATS:
		return readCellStats(s)
	case DEBUG, INFO, NOTICE, WARN, ERR:
		return readLog(f, s)
	case STATUS_GENERAL, STATUS_CLIENT, STATUS_SERVER:
		return readStatus(f, s)
	case GUARD:
		return readGuard(s)
	case NS, NEWCONSENSUS:
		return readNetworkStatus(f, s)
	case HS_DESC_CONTENT:
		return readHSDescContent(f, s)
	case AUTHDIR_NEWDESCS:
		return readAuthDirNewDescs(f, s)
	case CONF_CHANGED:
		return readConfChanged(f, s)
	case JOURNAL:
		return readJournal(f, s)
	}
	return readRare(f.name, s)
}

// readRare reads the events of one line that come seldom.
func readRare(name Type, s *scanner) Event {
	switch name {
	case NEWDESC:
		return readNewDesc(s)
	case ADDRMAP:
		return readAddrMap(s)
	case DESCCHANGED:
		return readDescChanged(s)
	case CLIENTS_SEEN:
		return readClientsSeen(s)
	case BUILDTIMEOUT_SET:
		return readBuildTimeoutSet(s)
	case SIGNAL:
		return readSignal(s)
	case TRANSPORT_LAUNCHED:
		return readTransportLaunched(s)
	case HS_DESC:
		return readHSDesc(s)
	case NETWORK_LIVENESS:
		return readNetworkLiveness(s)
	case PT_LOG:
		return readPTLog(s)
	case PT_STATUS:
		return readPTStatus(s)
	}
	return nil
}
