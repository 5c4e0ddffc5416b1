package query

import (
	"slices"
	"time"
)

// BandwidthTotal is what the steps of an answer carried together.
type BandwidthTotal struct {
	Time         Stamp  `json:"time"`          // beginning of the first step
	Until        Stamp  `json:"until"`         // end of the last one
	StepS        int64  `json:"step_s"`        // length of a step, in seconds
	Steps        int64  `json:"steps"`         // how many there are
	UnknownSteps int64  `json:"unknown"`       // of them those without any BW event
	Seconds      int64  `json:"seconds"`       // BW events: the seconds that are known
	ReadBytes    uint64 `json:"read_bytes"`    // of all steps
	WrittenBytes uint64 `json:"written_bytes"` // likewise

	*BandwidthRates // if any second is known

	Unrecorded []UnrecordedBytes `json:"unrecorded,omitempty"` // what tor carried beside, where that is known
}

// BandwidthRates says how fast it went, in bytes a second.
type BandwidthRates struct {
	MeanRead    uint64 `json:"mean_read"`    // bytes by the seconds that are known
	MeanWritten uint64 `json:"mean_written"` // likewise
	PeakRead    uint64 `json:"peak_read"`    // most in one second
	PeakWritten uint64 `json:"peak_written"` // likewise
	P95Read     uint64 `json:"p95_read"`     // 95 % of the steps were no faster: a step's rate is its bytes by its known seconds, and one without any does not count
	P95Written  uint64 `json:"p95_written"`  // likewise
}

// Place is Row's.
func (*BandwidthTotal) Place() Place { return Place{} }

// BandwidthSum adds up rows. It keeps two numbers of each.
type BandwidthSum struct {
	total         BandwidthTotal
	rates         BandwidthRates
	read, written []uint64 // rates of steps
}

// Add takes the next row.
func (s *BandwidthSum) Add(b *Bandwidth) {
	t := &s.total
	if t.Steps == 0 {
		t.Time, t.StepS = b.Time, b.StepS
	}
	t.Steps++
	t.Until = Stamp{b.Time.Add(time.Duration(b.StepS) * time.Second)}
	if b.Seconds == 0 || b.ReadBytes == nil || b.WrittenBytes == nil || b.PeakRead == nil || b.PeakWritten == nil {
		t.UnknownSteps++
		return
	}
	t.Seconds += b.Seconds
	t.ReadBytes += *b.ReadBytes
	t.WrittenBytes += *b.WrittenBytes
	s.rates.PeakRead = max(s.rates.PeakRead, *b.PeakRead)
	s.rates.PeakWritten = max(s.rates.PeakWritten, *b.PeakWritten)
	s.read = append(s.read, perSecond(*b.ReadBytes, b.Seconds))
	s.written = append(s.written, perSecond(*b.WrittenBytes, b.Seconds))
}

// Total returns what the rows came to; ok is false if there were none.
func (s *BandwidthSum) Total() (t BandwidthTotal, ok bool) {
	t = s.total
	if t.Seconds > 0 {
		slices.Sort(s.read)
		slices.Sort(s.written)
		rates := s.rates
		rates.MeanRead, rates.MeanWritten = perSecond(t.ReadBytes, t.Seconds), perSecond(t.WrittenBytes, t.Seconds)
		rates.P95Read, rates.P95Written = nearestRank(s.read, .95), nearestRank(s.written, .95)
		t.BandwidthRates = &rates
	}
	return t, t.Steps > 0
}

// perSecond rounds to the next whole number.
func perSecond(bytes uint64, seconds int64) uint64 {
	return bytes/uint64(seconds) + (bytes%uint64(seconds)*2)/uint64(seconds)
}
