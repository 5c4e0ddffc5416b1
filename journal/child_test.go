package journal

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"torjournal/tor/event"
)

// This test binary is also a program that records, for tests that need a
// process of its own: to let the kernel fail its calls, or to kill it. It runs
// if childEnv names what it does; childJournal names the file, and childKey its
// key in hexadecimal, if it is encrypted.
const (
	childEnv     = "TORJOURNAL_TEST_CHILD"
	childJournal = "TORJOURNAL_TEST_JOURNAL"
	childKey     = "TORJOURNAL_TEST_KEY"
)

var childOptions = Options{MaxSize: MinMaxSize, sealBytes: 8 << 10, outageRetry: 5 * time.Millisecond, parkLimits: parkOften}

// childEnviron is the environment of this binary as a program that does what
// on a journal.
func childEnviron(what, path string, key *Key) (env []string) {
	env = append(os.Environ(), childEnv+"="+what, childJournal+"="+path)
	if key != nil {
		env = append(env, childKey+"="+hex.EncodeToString(key.secret[:]))
	}
	return env
}

func childMain(what string) {
	opt := childOptions
	secret, err := hex.DecodeString(os.Getenv(childKey))
	if err == nil && len(secret) > 0 {
		opt.Key, err = NewKey(secret)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	switch path := os.Getenv(childJournal); what {
	case "record":
		err = childRecord(path, opt)
	case "load":
		err = childLoad(path, opt)
	default:
		err = fmt.Errorf("%s=%s means nothing", childEnv, what)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// subscribe prints what a cursor receives, until the journal is closed: the
// number and the first words of each record.
func subscribe(j *Journal, done *sync.WaitGroup) {
	c := j.NewCursor(0, event.AllTypes())
	done.Go(func() {
		defer c.Close()
		out := bufio.NewWriter(os.Stdout)
		for {
			ch, err := c.Next(context.Background())
			if err != nil {
				_ = out.Flush()
				return
			}
			if ch.Gap != nil {
				fmt.Fprintf(out, "gap %d %d\n", ch.Gap.From, ch.Gap.To)
			}
			for _, r := range ch.Records {
				fmt.Fprintf(out, "record %d %s\n", r.Seq, head(r.Wire))
			}
			if ch.empty() {
				_ = out.Flush()
				<-c.Ready()
			}
		}
	})
}

// head is as much of a record as tells it from all others.
func head(wire []byte) string { return fmt.Sprintf("%q", wire[:min(len(wire), 48)]) }

// childRecord records for a moment whatever the disk does: small and large
// events, sessions, enough to seal and to let the file grow. What it does in
// the file's way it does in two threads, one for Open and one for the writer,
// so that strace can count each one's calls.
func childRecord(path string, opt Options) error {
	runtime.LockOSThread()
	opt.wrapCommit = func(commit commitFunc) commitFunc {
		var once sync.Once
		return func(c *change) (outcome, error) {
			once.Do(runtime.LockOSThread)
			return commit(c)
		}
	}
	j, err := Open(path, opt)
	if err != nil {
		fmt.Printf("open %v\n", err)
		opt.lockTimeout = time.Millisecond // no lock is left
		if j, err = Open(path, opt); err != nil {
			fmt.Printf("open %v\n", err)
			return nil
		}
	}
	var subscribers sync.WaitGroup
	subscribe(j, &subscribers)
	ctx := context.Background()
	n := 0
	for i := range 6 {
		if i%3 == 0 {
			if _, _, err := j.BeginSession(ctx, event.Source{Name: "tor", PID: i + 1}); err != nil {
				return err
			}
		}
		evs := make([]event.Event, 5)
		for k := range evs {
			pad := ""
			if k == 0 && i%2 == 1 {
				pad = noise(i, 60<<10)
			}
			evs[k] = event.NewRaw(fmt.Appendf(nil, "650 BW %d 0 %s\r\n", n, pad))
			n++
		}
		if err := j.Append(ctx, evs...); err != nil {
			return err
		}
		<-j.Settled(time.Now())
	}
	for try := 0; !j.Stats().Outage.IsZero() && try < 50; try++ {
		time.Sleep(2 * time.Millisecond)
	}
	if err := j.Close(); err != nil {
		fmt.Printf("close %v\n", err)
	}
	subscribers.Wait()
	fmt.Printf("appended %d\n", n)
	return nil
}

// childLoad records as much as it can until it is killed.
func childLoad(path string, opt Options) error {
	j, err := Open(path, opt)
	if err != nil {
		return err
	}
	var subscribers sync.WaitGroup
	subscribe(j, &subscribers)
	ctx := context.Background()
	if _, _, err := j.BeginSession(ctx, event.Source{Name: "tor", PID: os.Getpid()}); err != nil {
		return err
	}
	for n := 0; ; {
		evs := make([]event.Event, 1+n%37)
		for k := range evs {
			size := 20 + n%200
			if n%97 == 0 {
				size = n % (100 << 10)
			}
			evs[k] = event.NewRaw(fmt.Appendf(nil, "650 BW %d %d %s\r\n", os.Getpid(), n, noise(n, size)))
			n++
		}
		if err := j.Append(ctx, evs...); errors.Is(err, ErrClosed) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
