package query

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"torjournal/journal"
	"torjournal/journal/journaltest"
)

// gone returns a small journal that has evicted most of what it was given,
// and all that it was given.
func gone(t *testing.T) (*journaltest.J, *memory) {
	t.Helper()
	now := clock(t, "08:00:00.25")
	var us atomic.Int64
	us.Store(now.UnixMicro())
	j := journaltest.Open(t, journal.Options{MaxSize: journal.MinMaxSize, Now: func() time.Time { return time.UnixMicro(us.Load()).UTC() }})
	m := &memory{}
	for i := range 3000 {
		bw, other := fmt.Sprintf("650 BW %d %d", i*7919%100_000, i), fmt.Sprintf("650 CIRC %s", strings.Repeat(fmt.Sprintf("%016x", uint64(i+1)*0x9E3779B97F4A7C15), 4))
		for k := range 8 {
			other += fmt.Sprintf("%016x", (uint64(i*8+k)+1)*0xD1342543DE82EF95)
		}
		at := time.UnixMicro(us.Load()).UTC()
		m.add(0, at, bw+"\r\n")
		m.add(0, at, other+"\r\n")
		if err := j.Append(t.Context(), journaltest.Wire("%s", bw), journaltest.Wire("%s", other)); err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 {
			j.Add(journaltest.Big(i, 60)...)
			for _, ev := range journaltest.Big(i, 60) {
				m.add(0, at, string(ev.Format()))
			}
		}
		us.Add((17 * time.Second).Microseconds())
	}
	if err := j.Pack(t.Context()); err != nil { // no seal evicts anything after it
		t.Fatal(err)
	}
	if b, err := j.Bounds(t.Context()); err != nil || b.First < 2000 || b.Last != uint64(len(m.recs)) {
		t.Fatalf("%+v, %v", b, err)
	}
	return j, m
}

// The rows of a journal that has evicted most of its records are those of all
// that was ever recorded, where the steps are a minute or more.
func TestBandwidthOfWhatIsGone(t *testing.T) {
	j, m := gone(t)
	b, err := j.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	late := b.FirstTime.Add(90 * time.Second)
	for _, step := range []time.Duration{time.Minute, 5 * time.Minute, 7 * time.Minute, time.Hour, 90 * time.Minute, 3 * time.Hour, 24 * time.Hour} {
		for _, r := range []journal.Range{
			{},
			{Since: clock(t, "09:00:00")},
			{Since: clock(t, "09:07:00")},
			{Since: clock(t, "09:07:00"), Until: clock(t, "12:00:00")},
			{Since: clock(t, "09:59:00"), Until: clock(t, "10:01:00")},
			{Since: clock(t, "09:00:00"), Until: late},
			{Since: late},
			{Since: late, Until: late.Add(10 * time.Minute)},
			{Since: late, Until: late.Add(10 * time.Second)},
			{Since: clock(t, "23:59:59").AddDate(0, 0, 5)},
		} {
			got, want := bandwidthRows(t, stored{j}, r, step), bandwidthRows(t, m, r, step)
			if got != want {
				t.Errorf("%v of %v to %v:\n%s\nwant\n%s", step, r.Since, r.Until, got, want)
				return
			}
		}
	}
	var sum, want uint64
	if _, err := Bandwidths(t.Context(), j, journal.Range{}, time.Minute, Part{}, func(b *Bandwidth) error {
		if b.ReadBytes != nil {
			sum += *b.ReadBytes
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for i := range 3000 {
		want += uint64(i * 7919 % 100_000)
	}
	if sum != want {
		t.Errorf("%d bytes, want %d", sum, want)
	}
}

// What the rows are made of, and what they cannot show, is said.
func TestBandwidthTellsOfSums(t *testing.T) {
	j, _ := gone(t)
	b, err := j.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := func(r journal.Range, step time.Duration) (a BandwidthAnswer, seconds int64) {
		t.Helper()
		a, err := Bandwidths(t.Context(), j, r, step, Part{}, func(b *Bandwidth) error { seconds += b.Seconds; return nil })
		if err != nil {
			t.Fatal(err)
		}
		return a, seconds
	}
	early := journal.Range{Until: clock(t, "09:00:00")}
	if a, n := ask(early, time.Minute); !reflect.DeepEqual(a, BandwidthAnswer{SumsBefore: b.FirstTime}) || n != 212 {
		t.Errorf("%+v, %d seconds", a, n)
	}
	if a, n := ask(early, 10*time.Second); !reflect.DeepEqual(a, BandwidthAnswer{Longer: time.Minute, LongerBefore: b.FirstTime}) || n != 0 {
		t.Errorf("%+v, %d seconds", a, n)
	}
	if a, _ := ask(journal.Range{Since: b.FirstTime}, time.Minute); !reflect.DeepEqual(a, BandwidthAnswer{}) {
		t.Errorf("%+v", a)
	}
	// A broken minute whose records are gone is not counted.
	broken := journal.Range{Since: clock(t, "08:00:10"), Until: clock(t, "08:02:50")}
	if _, n := ask(broken, time.Minute); n != 4 {
		t.Errorf("%d seconds of one whole minute", n)
	}
	for _, r := range []journal.Range{{Session: 1}, {To: b.Last}, {From: 2}} {
		if a, _ := ask(r, time.Minute); !a.SumsBefore.IsZero() {
			t.Errorf("%+v has sums: %+v", r, a)
		}
	}
}

func TestSpans(t *testing.T) {
	const minute = int64(60e6)
	epoch := time.Unix(0, 0)
	for _, c := range []struct {
		s, want span
		begin   time.Time
	}{
		{span{math.MinInt64, math.MaxInt64}, span{0, math.MaxInt64}, epoch},
		{span{math.MinInt64, 3*minute + 1}, span{0, 3 * minute}, epoch},
		{span{1, 3*minute - 1}, span{minute, 2 * minute}, epoch},
		{span{minute, 3 * minute}, span{minute, 3 * minute}, epoch},
		{span{minute, 3 * minute}, span{2 * minute, 3 * minute}, epoch.Add(2 * time.Minute)},
		{span{minute + 1, 2*minute - 1}, span{}, epoch},
		{span{-5 * minute, -minute}, span{}, epoch},
		{span{math.MaxInt64 - 1, math.MaxInt64}, span{}, epoch},
	} {
		if got := c.s.whole(time.Minute, c.begin); got != c.want {
			t.Errorf("%+v from %v: %+v, want %+v", c.s, c.begin, got, c.want)
		}
	}
	s := span{10, 20}
	for o, want := range map[span][]span{
		{}:       {{10, 20}},
		{0, 10}:  {{10, 20}},
		{20, 30}: {{10, 20}},
		{10, 20}: nil,
		{5, 15}:  {{15, 20}},
		{12, 15}: {{10, 12}, {15, 20}},
		{15, 99}: {{10, 15}},
	} {
		if got := s.without(o); !reflect.DeepEqual(got, want) {
			t.Errorf("without %+v: %+v, want %+v", o, got, want)
		}
	}
}
