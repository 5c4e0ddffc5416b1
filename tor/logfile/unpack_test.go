package logfile

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
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
	files := []string{"events.jsonl", "onionperf.torctl.log", "oniontrace.log", "connection.wire"}
	if testing.Short() {
		files = files[:1]
	}
	for _, file := range files {
		plain := fixture(t, file)
		packed := map[string][]byte{"as it is": plain}
		for how := range packers {
			packed[how] = pack(t, plain, how)
			packed["xz in blocks"] = xzBlocks(t, plain)
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

// xzBlocks packs b into one xz stream of several blocks.
func xzBlocks(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := xz.WriterConfig{BlockSize: 300}.NewWriter(&out)
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

// widen makes the xz block whose header is at b[at] one that wants a dictionary
// of 4 GiB.
func widen(b []byte, at int) {
	header := b[at : at+(int(b[at])+1)*4]
	header[4] = 40
	n := len(header) - 4
	binary.LittleEndian.PutUint32(header[n:], crc32.ChecksumIEEE(header[:n]))
}

// What the guard hands on is the file as it is, whatever its blocks are like,
// and wherever it ends.
func TestXZGuard(t *testing.T) {
	noise := make([]byte, 100_000)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	text := bytes.Repeat(fixture(t, "events.jsonl"), 50)
	if testing.Short() {
		text = text[:len(text)/10]
	}
	padded := append(append(pack(t, text, "xz"), 0, 0, 0, 0, 0, 0, 0, 0), xzBlocks(t, text[:2000])...)
	for name, b := range map[string][]byte{
		"text": pack(t, text, "xz"), "noise": pack(t, noise, "xz"), "nothing": pack(t, nil, "xz"),
		"blocks": xzBlocks(t, text[:10_000]), "streams with padding": padded, "no xz": text[:100],
	} {
		for _, n := range []int{0, 1, 5, 13, 20, len(b) / 2, len(b) - 30, len(b) - 13, len(b) - 1, len(b)} {
			n = min(max(n, 0), len(b))
			got, err := io.ReadAll(newXZGuard(bufio.NewReaderSize(bytes.NewReader(b[:n]), 4096)))
			if name == "no xz" && errors.Is(err, errXZ) {
				continue
			}
			if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.HasPrefix(b[:n], got) || err == nil && len(got) != n {
				t.Errorf("%s: of %d bytes %d were handed on, %v", name, n, len(got), err)
			}
			if whole := n == len(b); whole && err != nil {
				t.Errorf("%s: %v", name, err)
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
	widen(wide, 12)
	second := append(pack(t, plain, "xz"), wide...)
	block := xzBlocks(t, plain)
	widen(block, 12+bytes.Index(block[13:], block[12:20])+1)
	for _, tc := range []struct {
		name, want string
		in         []byte
	}{
		{"packed five times", "more than", five},
		{"a dictionary of 4 GiB", "128 are given", wide},
		{"a dictionary of 4 GiB in the second stream", "128 are given", second},
		{"a dictionary of 4 GiB in the second block", "128 are given", block},
		{"a magic and nothing behind", "xz", []byte("\xfd7zXZ\x00")},
		{"half a gzip header", "gzip", []byte("\x1f\x8b\x08")},
	} {
		if _, err := unpack(tc.in); err == nil || !strings.Contains(err.Error(), tc.want) {
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
