package logfile

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// packers are the compressions, each with the settings a test wants.
var packers = map[string]func(io.Writer) (io.WriteCloser, error){
	"gzip": func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil },
	"xz":   func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) },
	"zstd": func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) },
}

func pack(t testing.TB, b []byte, how string) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := packers[how](&out)
	if err == nil {
		_, err = w.Write(b)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func unpack(b []byte) ([]byte, error) {
	u, err := Unpack(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	defer u.Close()
	return io.ReadAll(u)
}

// Every fixture is the same log by every compression, in pieces and nested.
func TestUnpack(t *testing.T) {
	for _, file := range []string{"events.jsonl", "onionperf.torctl.log", "oniontrace.log", "connection.wire"} {
		plain := fixture(t, file)
		packed := map[string][]byte{"as it is": plain}
		for how := range packers {
			packed[how] = pack(t, plain, how)
			packed[how+" in two pieces"] = append(pack(t, plain[:100], how), pack(t, plain[100:], how)...)
		}
		packed["xz in gzip in zstd"] = pack(t, pack(t, pack(t, plain, "xz"), "gzip"), "zstd")
		packed["zstd behind a skippable frame"] = append([]byte("\x50\x2a\x4d\x18\x03\x00\x00\x00abc"), pack(t, plain, "zstd")...)
		for how, b := range packed {
			if got, err := unpack(b); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%s, %s: %v, %d bytes, want %d", file, how, err, len(got), len(plain))
			}
		}
	}
}

func TestUnpackRefuses(t *testing.T) {
	plain := fixture(t, "events.jsonl")
	five := plain
	for range 5 {
		five = pack(t, five, "gzip")
	}
	wide := pack(t, plain, "xz")
	wide[16] = 40 // the dictionary's size: 4 GiB
	for _, tc := range []struct {
		name, want string
		in         []byte
	}{
		{"packed five times", "more than", five},
		{"a dictionary of 4 GiB", "128", wide},
		{"a magic and nothing behind", "xz", []byte("\xfd7zXZ\x00")},
		{"half a gzip header", "gzip", []byte("\x1f\x8b\x08")},
	} {
		if _, err := Unpack(bytes.NewReader(tc.in)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	for how := range packers {
		b := pack(t, bytes.Repeat(plain, 100), how)
		if got, err := unpack(b[:len(b)/2]); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("half of %s: %d bytes and %v", how, len(got), err)
		}
	}
}
