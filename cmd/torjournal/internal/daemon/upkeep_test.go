package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"torjournal/journal"
	"torjournal/tor/scrub"
)

// fakeRing remembers when it was told what.
type fakeRing struct {
	mu     sync.Mutex
	stats  journal.Stats
	limits journal.Limits
	fail   error // of Vacuum
	told   []string
	began  time.Time
}

func (f *fakeRing) Limits() journal.Limits {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.limits
}

func (f *fakeRing) SetLimits(_ context.Context, l journal.Limits) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limits = l
	f.told = append(f.told, time.Since(f.began).String()+" age "+l.MaxAge.String())
	return nil
}

func (f *fakeRing) Vacuum(context.Context, journal.Limits) (journal.Vacuumed, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, time.Since(f.began).String()+" vacuum")
	if f.fail == nil {
		f.stats.Size = 0
	}
	return journal.Vacuumed{}, f.fail
}

func (f *fakeRing) Stats() journal.Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stats
}

func (f *fakeRing) failWith(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = err
}

func policy(t *testing.T, record string) *scrub.Policy {
	t.Helper()
	p, err := scrub.New(record, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What upkeep does and when, by the role of the tor and what happens.
func TestUpkeep(t *testing.T) {
	full := errors.New("no room")
	for name, c := range map[string]struct {
		byRole bool
		limits journal.Limits
		size   int64
		before string // role of the newest session at the start
		then   func(*fakeRing, *upkeep)
		want   []string
	}{
		"client": {byRole: true, limits: journal.Limits{MaxAge: OwnAge}, then: func(_ *fakeRing, u *upkeep) {
			u.attached(policy(t, "client"))
			time.Sleep(72 * time.Hour)
		}},
		"relay": {byRole: true, limits: journal.Limits{MaxAge: OwnAge}, then: func(_ *fakeRing, u *upkeep) {
			time.Sleep(time.Minute)
			u.attached(policy(t, "relay"))
			time.Sleep(time.Hour)
			u.attached(policy(t, "relay")) // tor was restarted
			time.Sleep(48 * time.Hour)
		}, want: []string{"1m0s age 24h0m0s", "1m0s vacuum", "24h1m0s vacuum", "48h1m0s vacuum"}},
		"a journal of a bridge whose tor is away": {byRole: true, limits: journal.Limits{MaxAge: OwnAge}, before: scrub.Bridge,
			then: func(*fakeRing, *upkeep) { time.Sleep(25 * time.Hour) },
			want: []string{"0s age 24h0m0s", "0s vacuum", "24h0m0s vacuum"}},
		"a relay that becomes a client": {byRole: true, limits: journal.Limits{MaxAge: OwnAge}, before: scrub.Relay, then: func(_ *fakeRing, u *upkeep) {
			time.Sleep(time.Hour)
			u.attached(policy(t, "onion"))
			time.Sleep(48 * time.Hour)
		}, want: []string{"0s age 24h0m0s", "0s vacuum", "1h0m0s age 720h0m0s"}},
		"a relay of which all is recorded": {byRole: true, limits: journal.Limits{MaxAge: OwnAge}, then: func(_ *fakeRing, u *upkeep) {
			u.attached(policy(t, "all"))
			time.Sleep(48 * time.Hour)
		}},
		"a relay whose user says how long": {limits: journal.Limits{MaxAge: 48 * time.Hour}, then: func(_ *fakeRing, u *upkeep) {
			u.attached(policy(t, "relay"))
			time.Sleep(25 * time.Hour)
		}, want: []string{"0s vacuum", "24h0m0s vacuum"}},
		"a lowered limit": {size: 2 << 20, limits: journal.Limits{MaxSize: 1 << 20}, then: func(*fakeRing, *upkeep) {
			time.Sleep(48 * time.Hour)
		}, want: []string{"0s vacuum"}},
		"a full disk": {size: 2 << 20, limits: journal.Limits{MaxSize: 1 << 20}, then: func(f *fakeRing, _ *upkeep) {
			f.failWith(full)
			time.Sleep(90 * time.Minute)
			f.failWith(nil)
			time.Sleep(48 * time.Hour)
		}, want: []string{"0s vacuum", "1h0m0s vacuum", "2h0m0s vacuum"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeRing{limits: c.limits, stats: journal.Stats{Size: c.size, MaxSize: 1 << 20}, began: time.Now()}
				if name == "a full disk" {
					f.fail = full
				}
				u := newUpkeep(f, c.byRole, slog.New(slog.DiscardHandler))
				if c.before != "" {
					s := journal.Session{ID: 1}
					s.Source.Role = c.before
					u.recorded([]journal.Session{s})
				}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan struct{})
				go func() { u.run(ctx); close(ended) }()
				synctest.Wait()
				c.then(f, u)
				synctest.Wait()
				cancel()
				<-ended
				if !slices.Equal(f.told, c.want) {
					t.Errorf("it did %q, want %q", f.told, c.want)
				}
			})
		})
	}
}

// Limits that the user changes hold at once; if they are lower the vacuum does
// not wait for the daily one.
func TestUpkeepAdoptsLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeRing{limits: journal.Limits{MaxSize: 4 << 20, MaxAge: OwnAge}, stats: journal.Stats{MaxSize: 1 << 20}, began: time.Now()}
		var log bytes.Buffer
		u := newUpkeep(f, true, slog.New(slog.NewTextHandler(&log, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { u.run(ctx); close(ended) }()
		u.attached(policy(t, "relay"))
		time.Sleep(time.Hour)
		f.mu.Lock()
		f.stats.Size = 2 << 20 // too much for the lower limit
		f.mu.Unlock()
		u.change(Limits{journal.Limits{MaxSize: 1 << 20, MaxAge: OwnAge}, true})
		time.Sleep(time.Hour)
		u.change(Limits{journal.Limits{MaxSize: 1 << 20, MaxAge: 48 * time.Hour}, false})
		time.Sleep(time.Hour)
		u.change(Limits{journal.Limits{MaxSize: 1 << 20, MaxAge: 48 * time.Hour}, false})
		time.Sleep(time.Hour)
		u.change(Limits{journal.Limits{MaxSize: 1 << 20, MaxAge: OwnAge}, true})
		synctest.Wait()
		cancel()
		<-ended
		want := []string{"0s age 24h0m0s", "0s vacuum", "1h0m0s age 24h0m0s", "1h0m0s vacuum", "2h0m0s age 48h0m0s", "4h0m0s age 24h0m0s"}
		if !slices.Equal(f.told, want) {
			t.Errorf("it did %q, want %q", f.told, want)
		}
		for _, say := range []string{"max_size=1048576 max_size_before=4194304 max_age=24h0m0s", "they are as they were", "what may tell of them is kept longer than a day"} {
			if !strings.Contains(log.String(), say) {
				t.Errorf("the log does not say %q:\n%s", say, log.String())
			}
		}
	})
}

// A tool vacuums the journal through the daemon that holds it.
func TestVacuumThroughTheDaemon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	written(t, path, 500)
	stop := running(t, path)
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	before, err := c.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v, err := c.Vacuum(t.Context(), journal.Limits{})
	if err != nil || v.First != 1 || v.Last < before.Last || v.After >= v.Before {
		t.Errorf("%+v, %v", v, err)
	}
	st, err := c.Status(t.Context())
	if err != nil || st.Journal.Size > v.After+1<<20 {
		t.Errorf("%+v, %v", st.Journal, err)
	}
	if _, err := c.Vacuum(t.Context(), journal.Limits{MaxSize: 1}); err == nil || errors.Is(err, errUnreachable) {
		t.Errorf("to 1 byte: %v", err)
	}
	v, err = c.Vacuum(t.Context(), journal.Limits{MaxAge: time.Microsecond})
	if err != nil || v.Evicted < 500 {
		t.Errorf("all that is older than now: %+v, %v", v, err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := journal.Verify(path, nil); err != nil {
		t.Error(err)
	}
}

// A limit that is lower than before holds after the vacuum that it starts.
func TestDaemonVacuumsToALoweredLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	written(t, path, 10)
	j, err := journal.Open(path, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Append(t.Context(), noisy(400)...); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if size := sizeOf(t, path); size < 4<<20 {
		t.Fatalf("%d bytes", size)
	}
	vacuumed := make(logWatch, 1)
	stop := runningWith(t, Config{
		Journal: path, Options: journal.Options{MaxSize: 2 << 20}, Logger: slog.New(slog.NewTextHandler(vacuumed, nil)),
	})
	var line string
	select {
	case line = <-vacuumed:
	case <-time.After(patience):
		t.Errorf("it was not vacuumed")
	}
	if size := sizeOf(t, path); size > 2<<20 {
		t.Errorf("the file still has %d bytes", size)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	v, err := journal.Verify(path, nil)
	if err != nil || v.Last < 410 {
		t.Errorf("%+v, %v", v, err)
	}
	if said := fmt.Sprintf(" evicted=%d\n", v.First-1); v.First < 2 || !strings.Contains(line, said) {
		t.Errorf("the first record is %d, and the log says\n%s", v.First, line)
	}
}

// The log says how many records a lowered limit has cost, those included that
// went when it was set.
func TestVacuumTellsHowManyMadeRoom(t *testing.T) {
	for name, lower := range map[string]Limits{
		"by size": {Limits: journal.Limits{MaxSize: 1 << 20}},
		"by age":  {Limits: journal.Limits{MaxSize: 16 << 20, MaxAge: time.Microsecond}},
	} {
		t.Run(name, func(t *testing.T) {
			j, err := journal.Open(filepath.Join(t.TempDir(), "journal.db"), journal.Options{MaxSize: 16 << 20})
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			if err := j.Append(t.Context(), noisy(400)...); err != nil {
				t.Fatal(err)
			}
			if err := j.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			u := newUpkeep(j, false, slog.New(slog.NewTextHandler(&log, nil)))
			u.others.Store(true) // who serves others vacuums whatever the file's size
			u.turn(t.Context())
			u.change(lower)
			u.due = time.Now()
			u.turn(t.Context())
			b, err := j.Bounds(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			gone := uint64(400)
			if b.First > 0 {
				gone = b.First - 1
			}
			if said := fmt.Sprintf(" evicted=%d\n", gone); gone == 0 || !strings.Contains(log.String(), said) {
				t.Errorf("%d records are gone, and the log says\n%s", gone, log.String())
			}
		})
	}
}

// logWatch gets the line of a log that says that the journal was vacuumed.
type logWatch chan string

func (w logWatch) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("the journal was vacuumed")) {
		select {
		case w <- string(line):
		default:
		}
	}
	return len(line), nil
}

// Only the daemon's own user and root may make the journal forget: the group
// that may read it may not.
func TestOthersMayNotVacuum(t *testing.T) {
	for uid, want := range map[uint32]bool{0: true, uint32(os.Geteuid()): true, 4711: false} {
		r, err := http.NewRequestWithContext(context.WithValue(t.Context(), peerKey{}, uid), http.MethodPost, "http://x/vacuum", nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := mayChange(r); got != want {
			t.Errorf("user %d may: %v, want %v", uid, got, want)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://x/vacuum", nil)
	if err != nil {
		t.Fatal(err)
	}
	if mayChange(r) {
		t.Error("somebody unknown may")
	}
}
