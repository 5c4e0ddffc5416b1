package replay

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"torjournal/journal"
	"torjournal/tor/event"
)

func openJournal(t *testing.T) *journal.Journal {
	t.Helper()
	j, err := journal.Open(filepath.Join(t.TempDir(), "journal.db"), journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return j
}

// write appends records from to last, every tenth of them a CIRC, the others
// BW; cut of them go into a commit.
func write(t *testing.T, j *journal.Journal, from, last, cut int) {
	for i := from; i <= last; i++ {
		wire := fmt.Sprintf("650 BW %d 0\r\n", i)
		if i%10 == 0 {
			wire = fmt.Sprintf("650 CIRC %d LAUNCHED\r\n", i)
		}
		if err := j.Append(t.Context(), event.NewRaw([]byte(wire))); err != nil {
			t.Error(err)
			return
		}
		if i%cut == 0 || i == last {
			if err := j.Flush(t.Context()); err != nil {
				t.Error(err)
				return
			}
		}
	}
}

// A real journal's batches and index give what the tape's give.
func TestPlayStored(t *testing.T) {
	j := openJournal(t)
	write(t, j, 1, 3000, 100)
	circ := event.NewSet(event.CIRC)
	f := func(name string, opt Options, want string) {
		t.Helper()
		var h heard
		if err := Play(t.Context(), j, opt, h.emit, h.gap); err != nil || h.String() != want {
			t.Errorf("%s: %v\n\tgot  %s\n\twant %s", name, err, &h, want)
		}
	}
	f("all", Options{}, numbers(1, 3000, 1))
	f("types", Options{Range: journal.Range{Types: circ}}, numbers(10, 3000, 10))
	f("numbers", Options{Range: journal.Range{From: 995, To: 1005}}, numbers(995, 1005, 1))
	f("last", Options{Last: 150}, numbers(2851, 3000, 1))
	f("last of a type", Options{Last: 3, Range: journal.Range{Types: circ, To: 1234}}, "1210 1220 1230")
	f("last of another type", Options{Last: 3, Range: journal.Range{Types: event.NewSet(event.GUARD)}}, "")
	f("reverse", Options{Reverse: true}, numbers(3000, 1, -1))
	f("reverse types", Options{Reverse: true, Last: 2, Range: journal.Range{Types: circ}}, "3000 2990")
}

// Each record once, in order, while a writer commits as fast as it can.
func TestFollowStored(t *testing.T) {
	j := openJournal(t)
	write(t, j, 1, 500, 50)
	for _, opt := range []Options{
		{Follow: true},
		{Follow: true, Last: 5},
		{Follow: true, Range: journal.Range{Types: event.NewSet(event.CIRC)}},
	} {
		b, err := j.Bounds(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		from, to := int(b.Last)+1, int(b.Last)+2000
		ctx, cancel := context.WithCancel(t.Context())
		var h heard
		done := make(chan error, 1)
		go func() {
			done <- Play(ctx, j, opt, func(r journal.Record) error {
				err := h.emit(r)
				if r.Seq == uint64(to) {
					cancel()
				}
				return err
			}, h.gap)
		}()
		write(t, j, from, to, 7)
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		want, got := numbers(1, to, 1), h.String()
		switch {
		case !opt.Range.Types.Empty():
			want = numbers(10, to, 10)
		case opt.Last > 0: // counted from whatever was there when it began
			want = numbers(1, to, 1)
			want = want[strings.Index(want, got[:strings.Index(got, " ")+1]):]
		}
		if got != want {
			t.Errorf("%+v: heard\n\t%s", opt, got)
		}
	}
}
