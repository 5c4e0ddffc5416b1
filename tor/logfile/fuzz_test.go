package logfile

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"torjournal/tor/event"
)

// seed adds every fixture, and damages that lie near.
func seed(f *testing.F) {
	files, err := filepath.Glob("testdata/*.*")
	if err != nil || len(files) == 0 {
		f.Fatal("no fixtures")
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
		f.Add(bytes.ReplaceAll(b, []byte(".\r\n"), nil))
		f.Add(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")))
	}
}

// fuzzFormat: whatever the input, reading ends, and each event is one whole
// reply at a time a journal can hold.
func fuzzFormat(f *testing.F, format Format) {
	seed(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		last := 0
		for _, e := range readAll(t, bytes.NewReader(in), format).entries {
			if _, err := event.Parse(e.Wire); err != nil {
				t.Errorf("%q: %v", e.Wire, err)
			}
			if e.Line < last {
				t.Errorf("line %d behind line %d", e.Line, last)
			}
			last = e.Line
			if e.Time.IsZero() {
				if format != Wire {
					t.Errorf("%q has no time", e.Wire)
				}
				continue
			}
			b, err := AppendTorctl(nil, e.Time, e.Wire)
			if err != nil {
				t.Fatal(err)
			}
			back := readAll(t, bytes.NewReader(b), Torctl)
			if timedInside(e.Wire) {
				continue
			}
			if len(back.entries) != 1 || !bytes.Equal(back.entries[0].Wire, e.Wire) || !back.entries[0].Time.Equal(e.Time) {
				t.Errorf("%v %q became %q and %q", e.Time, e.Wire, wires(back.entries), back.bad)
			}
		}
	})
}

// timedInside reports whether a line of wire has a time in it that a Reader
// takes for the next event's.
func timedInside(wire []byte) bool {
	for line := range bytes.Lines(wire) {
		if _, _, ok := cutStamp(line); ok || secondTime(line, beginsTorctl) > 0 {
			return true
		}
	}
	return false
}

func FuzzJSONLines(f *testing.F)  { fuzzFormat(f, JSONLines) }
func FuzzTorctl(f *testing.F)     { fuzzFormat(f, Torctl) }
func FuzzOnionTrace(f *testing.F) { fuzzFormat(f, OnionTrace) }
func FuzzWire(f *testing.F)       { fuzzFormat(f, Wire) }

// FuzzDetect: what is detected can be read, and a format is found or an error
// that lists them.
func FuzzDetect(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		format, err := Detect(in)
		if (err == nil) != (format != "") {
			t.Fatalf("%q, %v", format, err)
		}
		if err == nil {
			readAll(t, bytes.NewReader(in), format)
		}
	})
}

// FuzzUnpack: whatever the input, unpacking ends with an error or the end.
func FuzzUnpack(f *testing.F) {
	seed(f)
	for how := range packers {
		f.Add(pack(f, fixture(f, "events.jsonl"), how))
	}
	f.Add(xzBlocks(f, fixture(f, "events.jsonl")))
	f.Fuzz(func(t *testing.T, in []byte) {
		u, err := Unpack(bytes.NewReader(in))
		if err != nil {
			return
		}
		defer u.Close()
		_, _ = io.Copy(io.Discard, io.LimitReader(u, 1<<20))
	})
}

// FuzzAppendTorctl: whatever an event is, it comes back, at the same time.
func FuzzAppendTorctl(f *testing.F) {
	f.Add(int64(1767225600_123456), []byte("650 BW 1 1\r\n"))
	f.Add(int64(0), []byte("650+NS\r\nr a\r\n650 OK\r\n.\r\n650 OK\r\n"))
	f.Add(int64(1), []byte("650-CONF_CHANGED\r\n650-A=\r\n650 OK\r\n"))
	f.Fuzz(func(t *testing.T, us int64, wire []byte) {
		if _, err := event.Parse(wire); err != nil || len(wire) > maxLine || timedInside(wire) {
			return
		}
		at := time.UnixMicro(us).UTC()
		b, err := AppendTorctl(nil, at, wire)
		if err != nil {
			return
		}
		got := readAll(t, bytes.NewReader(b), Torctl)
		if len(got.entries) != 1 || !bytes.Equal(got.entries[0].Wire, wire) || !got.entries[0].Time.Equal(at) {
			t.Errorf("%v %q became %q, bad %q", at, wire, wires(got.entries), got.bad)
		}
	})
}
