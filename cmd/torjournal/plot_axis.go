package main

import (
	"time"
	"unicode/utf8"
)

// tick is a column of an axis of time that has a label; the label begins there.
type tick struct {
	column int
	label  string
}

// tickLengths are the lengths from tick to tick, in seconds. Their multiples
// count from midnight, or from Monday.
var tickLengths = []struct {
	seconds int64
	form    string
}{
	{1, "15:04:05"}, {2, "15:04:05"}, {5, "15:04:05"}, {10, "15:04:05"}, {15, "15:04:05"}, {30, "15:04:05"},
	{60, "15:04"}, {120, "15:04"}, {300, "15:04"}, {600, "15:04"}, {900, "15:04"}, {1800, "15:04"},
	{hourS, "15:04"}, {2 * hourS, "15:04"}, {3 * hourS, "15:04"}, {6 * hourS, "15:04"}, {12 * hourS, "15:04"},
	{dayS, "01-02"}, {2 * dayS, "01-02"}, {7 * dayS, "01-02"}, {14 * dayS, "01-02"}, {28 * dayS, "01-02"},
	{91 * dayS, "01-02"}, {182 * dayS, "2006-01-02"}, {364 * dayS, "2006-01-02"}, {3640 * dayS, "2006-01-02"}, {36400 * dayS, "2006-01-02"},
}

const (
	hourS = int64(3600)
	dayS  = 24 * hourS
	// mondayS is from a Monday to the day that times count from.
	mondayS = 3 * dayS
)

// timeTicks returns the ticks of an axis: as many as there is room for, at
// round times as clocks in loc show them. A midnight bears its date. Where less
// than two such times lie in it, the axis begins with a tick that says when.
func timeTicks(begin time.Time, step time.Duration, columns int, loc *time.Location) []tick {
	for _, length := range tickLengths {
		if ticks, ok := ticksOf(begin, step, columns, loc, length.seconds, length.form); ok {
			if len(ticks) >= 2 {
				return ticks
			}
			break
		}
	}
	label := begin.In(loc).Format("01-02 15:04:05")
	if len(label) > columns {
		return nil
	}
	return []tick{{0, label}}
}

// ticksOf returns those of one length; ok is false if there is no room for
// them.
func ticksOf(begin time.Time, step time.Duration, columns int, loc *time.Location, length int64, form string) (ticks []tick, ok bool) {
	const apart = 2 // blanks between labels
	free := 0
	last, first := int64(0), true
	for i := range columns {
		at := begin.Add(time.Duration(i) * step).In(loc)
		_, offset := at.Zone()
		wall := at.Unix() + int64(offset) + mondayS
		nth := wall / length
		if wall%length < 0 {
			nth--
		}
		turn := first && wall%length == 0 || !first && nth != last
		last, first = nth, false
		if !turn {
			continue
		}
		shown := time.Unix(nth*length-mondayS, 0).UTC()
		label := shown.Format(form)
		if shown.Hour() == 0 && shown.Minute() == 0 && shown.Second() == 0 && length < dayS {
			label = shown.Format("01-02")
		}
		if i < free {
			return nil, false
		}
		if n := utf8.RuneCountInString(label); i+n <= columns {
			ticks = append(ticks, tick{i, label})
			free = i + n + apart
		}
	}
	return ticks, true
}
