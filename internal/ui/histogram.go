package ui

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

// histogram is how many events there were over time, by severity, ready to be drawn.
// It is that of their types: no entry is read for it.
type histogram struct {
	Bars   []bar
	Most   uint64 // in one bar
	Total  uint64
	Narrow bool // more is asked for than types and times: these are not only the events that match
	Width  int  // of the drawing; all lengths are in its units
	Every  time.Duration
	Since  time.Time // where it begins
	Until  time.Time // where it ends

	Trail string

	bySeverity map[event.Severity]uint64
	byType     map[event.Type]uint64
}

// bar is a period.
type bar struct {
	Start, End time.Time
	Total      uint64
	X          int
	Blocks     []block      // from the bottom up
	Link       template.URL // to what is in it
}

// block is the events of one severity in a bar.
type block struct {
	Severity event.Severity
	Count    uint64
	Y, H     int
}

const (
	maxBars  = 60
	barWidth = 12  // with the gap to the next
	barsHigh = 100 // height of the drawing
	dayLong  = 24 * time.Hour
)

// severities from the bottom of a bar to its top.
var severities = []event.Severity{event.SeverityInfo, event.SeverityNotice, event.SeverityWarning, event.SeverityError, event.SeverityCritical}

// widths are how long the periods of a histogram may be.
var widths = []time.Duration{time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	dayLong, 2 * dayLong, 7 * dayLong, 14 * dayLong, 28 * dayLong, 91 * dayLong, 364 * dayLong}

// histogram counts the events of a filter's types in its time.
func (v *view) histogram(f *filter) (*histogram, error) {
	h := &histogram{Trail: v.name, byType: map[event.Type]uint64{}, Narrow: len(f.inside()) > 0, bySeverity: map[event.Severity]uint64{}, Since: f.query.Since, Until: f.query.Until}
	first, last, err := v.span()
	if err != nil || first.IsZero() {
		return h, err
	}
	if h.Since.Before(first) {
		h.Since = first
	}
	if h.Until.IsZero() || h.Until.After(last) {
		h.Until = last.Add(time.Microsecond) // the newest is in it
	}
	if !h.Since.Before(h.Until) {
		return h, nil // nothing was recorded in that time
	}
	h.Every = widths[len(widths)-1]
	for _, every := range widths {
		if h.Until.Sub(h.Since.Truncate(every)) <= maxBars*every {
			h.Every = every
			break
		}
	}
	counts, err := v.trail.Counts(v.ctx, h.Since, h.Until, h.Every)
	if err != nil {
		return nil, err
	}
	h.fill(counts, f)
	return h, nil
}

// span returns the times of the oldest entry that is held and of the newest one; zero
// when there is none.
func (v *view) span() (first, last time.Time, err error) {
	size := v.trail.Size()
	if size == 0 || v.trail.First() >= size {
		return first, last, nil
	}
	e, err := v.trail.Entry(v.ctx, v.trail.First())
	if err != nil {
		return first, last, err
	}
	first = e.Time
	if e, err = v.trail.Entry(v.ctx, size-1); err != nil {
		return first, last, err
	}
	return first, e.Time, nil
}

// fill makes the bars.
func (h *histogram) fill(counts []custody.Count, f *filter) {
	start := h.Since.Truncate(h.Every)
	if len(counts) > 0 && counts[0].Start.Before(start) {
		start = counts[0].Start
	}
	wanted := map[event.Type]bool{}
	for _, t := range f.query.Types {
		wanted[t] = true
	}
	tally := map[time.Time]map[event.Severity]uint64{}
	for _, c := range counts {
		if len(wanted) > 0 && !wanted[c.Type] {
			continue
		}
		if tally[c.Start] == nil {
			tally[c.Start] = map[event.Severity]uint64{}
		}
		s := severityOf(c.Type)
		tally[c.Start][s] += c.Count
		h.bySeverity[s] += c.Count
		h.byType[c.Type] += c.Count
		h.Total += c.Count
	}
	for at := start; at.Before(h.Until); at = at.Add(h.Every) {
		b := bar{Start: at, End: at.Add(h.Every), X: h.Width}
		b.Link = f.and("since", at.Format(time.RFC3339), "until", b.End.Format(time.RFC3339))
		for _, s := range severities {
			if n := tally[at][s]; n > 0 {
				b.Blocks = append(b.Blocks, block{Severity: s, Count: n})
				b.Total += n
			}
		}
		h.Most = max(h.Most, b.Total)
		h.Bars = append(h.Bars, b)
		h.Width += barWidth
	}
	for i := range h.Bars {
		h.Bars[i].stack(h.Most)
	}
}

// stack gives the blocks of a bar their places. What there is at all is seen.
func (b *bar) stack(most uint64) {
	y := barsHigh
	for i := range b.Blocks {
		k := &b.Blocks[i]
		k.H = max(2, int(float64(k.Count)/float64(most)*(barsHigh-2*float64(len(b.Blocks)))))
		y -= k.H
		k.Y = y
	}
}

// severityOf returns the severity that events of a type have, unless they say another.
func severityOf(t event.Type) event.Severity {
	if spec, ok := event.Lookup(t); ok {
		return spec.Severity
	}
	return event.SeverityInfo
}

// BarWidth, High and DrawnWidth are for the template.
func (h *histogram) BarWidth() int   { return barWidth - 2 }
func (h *histogram) High() int       { return barsHigh }
func (h *histogram) DrawnWidth() int { return 2 * h.Width } // in pixels, where there is room

// Period says how long a bar is.
func (h *histogram) Period() string {
	if h.Every%dayLong == 0 {
		return plural(int(h.Every/dayLong), "day", "days")
	}
	return plural(int(h.Every/time.Hour), "hour", "hours")
}

// Summary says in words what the drawing shows.
func (h *histogram) Summary() string {
	var parts []string
	for _, s := range severities {
		if n := h.bySeverity[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", number(n), s))
		}
	}
	return fmt.Sprintf("%s from %s to %s UTC: %s", plural(h.Total, "event", "events"), toMinute(h.Since), toMinute(h.Until), strings.Join(parts, ", "))
}

// Legend returns the severities that there are.
func (h *histogram) Legend() []block {
	var all []block
	for _, s := range severities {
		if n := h.bySeverity[s]; n > 0 {
			all = append(all, block{Severity: s, Count: n})
		}
	}
	return all
}

// Title says what is in a bar.
func (b *bar) Title() string {
	var parts []string
	for _, k := range b.Blocks {
		parts = append(parts, fmt.Sprintf("%s %s", number(k.Count), k.Severity))
	}
	return fmt.Sprintf("%s to %s UTC: %s", toMinute(b.Start), toMinute(b.End), strings.Join(parts, ", "))
}

// toMinute writes a time for people to the minute.
func toMinute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }
