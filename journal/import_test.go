package journal

import (
	"context"
	"fmt"
	"testing"
	"time"

	"torjournal/tor/event"
)

// What is imported stands between what is recorded: in the order of its
// coming, each record at its own time, and nothing is made up beside it.
func TestImport(t *testing.T) {
	j := openTest(t, "", Options{queueBytes: 4096})
	ctx := within(t)
	if _, _, err := j.BeginSession(ctx, event.Source{Name: "now", PID: 7}); err != nil {
		t.Fatal(err)
	}
	appendAll(t, j, raw("650 BW 1 1"))

	begun := time.Date(2019, 1, 31, 11, 29, 51, 140_000_000, time.UTC)
	src := event.Source{Name: "old.log", PID: 7}
	id, err := j.BeginImport(ctx, src, begun)
	if err != nil || id != 2 {
		t.Fatalf("session %d, %v", id, err)
	}
	evs := make([]Arrival, 500)
	for i := range evs {
		at := begun.Add(time.Duration(i) * time.Hour)
		if i%100 == 99 {
			at = begun.Add(-time.Hour) // a log whose clock jumped
		}
		evs[i] = Arrival{Time: at, Wire: raw("650 CIRC %d LAUNCHED", i).Format()}
	}
	if err := j.Import(ctx, evs); err != nil {
		t.Fatal(err)
	}
	if id, err := j.BeginImport(ctx, src, begun); err != nil || id != 3 {
		t.Errorf("the same source again: session %d, %v", id, err)
	}
	appendAll(t, j, raw("650 BW 2 2"))

	seq := uint64(0)
	for r, err := range Records(ctx, j, Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		seq++
		switch i := int(seq) - 2; {
		case r.Seq != seq:
			t.Fatalf("record %d where %d was due", r.Seq, seq)
		case i < 0 || i >= len(evs):
			if r.Type != event.BW || time.Since(r.Time) > time.Hour {
				t.Errorf("record %d: %v %q", r.Seq, r.Time, r.Wire)
			}
		case r.Session != 2, !r.Time.Equal(evs[i].Time), string(r.Wire) != string(evs[i].Wire), r.Type != event.CIRC:
			t.Errorf("record %d: session %d, %v %q", r.Seq, r.Session, r.Time, r.Wire)
		}
	}
	if seq != 502 {
		t.Errorf("%d records", seq)
	}
	all, err := j.Sessions(ctx)
	if time.Since(all[0].Begun) > time.Hour {
		t.Errorf("the session of now began %v", all[0].Begun)
	}
	if err != nil || len(all) != 3 || !all[1].Begun.Equal(begun) || all[1].First != 2 || all[1].Source.Name != "old.log" {
		t.Errorf("sessions %+v, %v", all, err)
	}
	if st := j.Stats(); st.Dropped != 0 {
		t.Errorf("%d dropped", st.Dropped)
	}
}

func TestImportEnds(t *testing.T) {
	j := openTest(t, "", Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ev := Arrival{Time: time.Now(), Wire: []byte("650 BW 1 1\r\n")}
	if err := j.Import(ctx, []Arrival{ev}); err == nil {
		t.Error("a cancelled import succeeded")
	}
	if err := j.Import(t.Context(), nil); err != nil {
		t.Error(err)
	}
	closeTest(t, j)
	if err := j.Import(t.Context(), []Arrival{ev}); err == nil {
		t.Error("a closed journal took an import")
	}
}

// The age limit is off unless set, and holds for imported records too.
func TestImportUnderAnAgeLimit(t *testing.T) {
	for _, limit := range []time.Duration{0, 24 * time.Hour} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			j := openTest(t, "", Options{MaxAge: limit, sealBytes: 1024})
			evs := make([]Arrival, 400)
			for i := range evs {
				evs[i] = Arrival{Time: time.Now().Add(time.Duration(i-400) * time.Hour), Wire: raw("650 BW %d 1", i).Format()}
			}
			if err := j.Import(within(t), evs); err != nil {
				t.Fatal(err)
			}
			appendAll(t, j, raw("650 BW 1 2"))
			b, err := j.Bounds(within(t))
			if gone := b.First > 1; err != nil || gone != (limit > 0) || b.Last != 401 {
				t.Errorf("%+v, %v", b, err)
			}
		})
	}
}
