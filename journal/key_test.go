package journal

import (
	"bytes"
	"testing"
)

func testKey(t testing.TB) *Key {
	t.Helper()
	key, err := NewKey(bytes.Repeat([]byte("secret! "), KeySize/8))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// plainAndEncrypted runs a test on journals of both kinds.
func plainAndEncrypted(t *testing.T, run func(*testing.T, *Key)) {
	t.Helper()
	t.Run("plain", func(t *testing.T) { run(t, nil) })
	if testing.Short() { // tests of encryption alone are there as well
		return
	}
	t.Run("encrypted", func(t *testing.T) { run(t, testKey(t)) })
}
