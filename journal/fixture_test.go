package journal

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"torjournal/tor/event"
)

// The fixture of an encrypted journal is what this makes with testKey: 900
// records of three sessions, 8 s apart from noon on, of which the ring has
// given up some by age.
func makeEncrypted(t *testing.T, path string) {
	t.Helper()
	clock := &stepClock{now: noon}
	j := openTest(t, path, Options{Key: testKey(t), MaxSize: MinMaxSize, MaxAge: time.Hour, sealBytes: 4 << 10, Now: clock.Now, clocks: clock.since(noon)})
	for n := 1; n <= 900; n++ {
		if n%300 == 1 {
			if _, _, err := j.BeginSession(within(t), event.Source{Name: "tor", PID: n}); err != nil {
				t.Fatal(err)
			}
		}
		clock.step(8 * time.Second)
		appendAll(t, j, event.NewRaw([]byte(oldRecord(n))))
		waitForSealer(t, j)
	}
	closeTest(t, j)
}

// What was encrypted once can be read for ever.
func TestEncryptedFixture(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	makeEncrypted(t, path)
	checkEncrypted(t, path)

	f, err := os.Open("testdata/encrypted.db.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zr, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(zr)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "journal.db")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	checkEncrypted(t, path)
}

func checkEncrypted(t *testing.T, path string) {
	t.Helper()
	key := testKey(t)
	v, err := Verify(path, key)
	if err != nil || v.Last != 900 || v.First < 300 || v.Blocks == 0 || v.Batches == 0 {
		t.Errorf("%+v, %v", v, err)
	}
	for _, r := range contents(t, path, key) {
		n := int(r.Seq)
		if string(r.Wire) != oldRecord(n) || r.Session != uint64(1+(n-1)/300) || !r.Time.Equal(noon.Add(time.Duration(8*n)*time.Second)) {
			t.Errorf("record %d of session %d at %v is %.60q", n, r.Session, r.Time, r.Wire)
		}
	}
	if sums := fileRollups(t, path, key); sums.First != 1 || len(sums.Hours) != 2 || len(sums.Minutes) < 90 {
		t.Errorf("%d hours, %d minutes from record %d", len(sums.Hours), len(sums.Minutes), sums.First)
	}
	j := openTest(t, path, Options{Key: key, MaxSize: MinMaxSize})
	appendAll(t, j, bw(1, 3)...)
	closeTest(t, j)
}
