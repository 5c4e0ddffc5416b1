package export

import (
	"io"

	"torjournal/journal"
	"torjournal/tor/logfile"
)

// torctl is the log that OnionPerf and tor-ctl-logger write of a control port,
// and their tools read. It gathers nothing. It knows neither sessions nor
// numbers.
var torctl = Form{
	Name:   "torctl",
	About:  "OnionPerf's log of a control port, events only; import takes them back",
	Events: func(w io.Writer) (EventWriter, error) { return &torctlEvents{w: w}, nil },
}

type torctlEvents struct {
	w   io.Writer
	buf []byte
}

func (e *torctlEvents) Write(recs []journal.Record) (err error) {
	b := e.buf[:0]
	for i := range recs {
		if b, err = logfile.AppendTorctl(b, recs[i].Time, recs[i].Wire); err != nil {
			return err
		}
		if len(b) >= flushAt || i == len(recs)-1 {
			if _, err := e.w.Write(b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	if e.buf = b; cap(b) > 16*flushAt {
		e.buf = nil
	}
	return nil
}

func (e *torctlEvents) Close() error { return nil }
