package ui

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/timeline"
)

// histogram is how many events there were over time, by severity, ready to be drawn. It
// is their own severity where the entries were read, and else that of their types.
type histogram struct {
	Bars   []bar
	Most   uint64 // in one bar
	Total  uint64
	Own    bool // the severities are those that the events say: their payloads were read
	Narrow bool // more is asked for than types and times, and these are not only the events that match
	Width  int  // of the drawing, which is stretched; all lengths are in its units
	Every  time.Duration
	Since  time.Time // where it begins
	Until  time.Time // where it ends

	Trail string

	begin      time.Time // of the first bar, if it is before Since; zero: it is that of Since
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
	fewBars  = 15  // fewer are not stretched over the whole width
	minBars  = 30  // there is nothing before the oldest entry, so that many can be shown
	barWidth = 12  // with the gap to the next
	barsHigh = 100 // height of the drawing
	dayLong  = 24 * time.Hour
)

// unregistered stands in a histogram for the severity of types that are not registered:
// which one their events have is not known without reading them.
const unregistered event.Severity = "unregistered"

// severities from the bottom of a bar to its top.
var severities = []event.Severity{unregistered, event.SeverityInfo, event.SeverityNotice, event.SeverityWarning, event.SeverityError, event.SeverityCritical}

// shortTime is up to what length the bars of a histogram may be shorter than an hour, and
// fewEvents how many may be read for that where nothing else is to be found out.
const (
	shortTime = 6 * time.Hour
	fewEvents = 1000
)

// countBudget bounds what is read to count the events that match.
var countBudget = custody.Search{MaxEntries: 20_000, MaxTime: 50 * time.Millisecond}

// shortWidths are how long the periods of a histogram may be that entries are read for:
// the index counts by hours.
var shortWidths = []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute}

// widths are how long the periods of a histogram may be.
var widths = []time.Duration{time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	dayLong, 2 * dayLong, 7 * dayLong, 14 * dayLong, 28 * dayLong, 91 * dayLong, 364 * dayLong}

// histogram counts the events of a filter's types in its time, or those that match where
// that takes little time.
func (v *view) histogram(f *filter) (*histogram, error) {
	h := &histogram{Trail: v.name, byType: map[event.Type]uint64{}, Narrow: f.narrow(), bySeverity: map[event.Severity]uint64{}, Since: f.query.Since, Until: f.query.Until}
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
	h.Every = h.width(widths)
	counts, err := v.trail.Counts(v.ctx, h.Since, h.Until, h.Every)
	if err != nil {
		return nil, err
	}
	counts = slices.DeleteFunc(counts, func(c custody.Count) bool {
		return len(f.query.Types) > 0 && !slices.Contains(f.query.Types, c.Type)
	})
	short := h.Until.Sub(h.Since) <= shortTime
	if h.Narrow || short && total(counts) <= fewEvents {
		every := h.Every
		if short {
			every = h.width(shortWidths)
		}
		tallies, done, err := v.tallies(f, every)
		if err != nil {
			return nil, err
		}
		if done {
			h.Own, h.Narrow, h.Every = v.payloads, false, every
			h.pad(first)
			h.draw(tallies, f)
			return h, nil
		}
	}
	h.pad(first)
	h.fill(counts, f)
	return h, nil
}

// pad has the bars begin before the oldest entry where there would be few.
func (h *histogram) pad(oldest time.Time) {
	if h.Since.Equal(oldest) {
		h.begin = h.Until.Truncate(h.Every).Add(-(minBars - 1) * h.Every)
	}
}

// width returns which of some periods the histogram has.
func (h *histogram) width(widths []time.Duration) time.Duration {
	for _, every := range widths {
		if h.Until.Sub(h.Since.Truncate(every)) <= maxBars*every {
			return every
		}
	}
	return widths[len(widths)-1]
}

func total(counts []custody.Count) (n uint64) {
	for _, c := range counts {
		n += c.Count
	}
	return n
}

// tally is how many events of one type and severity there were in a period.
type tally struct {
	start    time.Time
	typ      event.Type
	severity event.Severity
	count    uint64
}

// tallies counts the events that match a filter by reading them. It reports false where
// that takes too long.
func (v *view) tallies(f *filter, every time.Duration) ([]tally, bool, error) {
	s := f.search()
	s.MaxEntries, s.MaxTime = countBudget.MaxEntries, countBudget.MaxTime
	sums := map[tally]uint64{}
	var wrong error
	done, err := v.trail.Search(v.ctx, s, func(e custody.Entry) bool {
		if !v.payloads {
			e.Payload = nil
		}
		var step timeline.Step
		step, wrong = timeline.StepOf(&e)
		sums[tally{start: e.Time.UTC().Truncate(every), typ: e.Type, severity: cmp.Or(step.Severity, severityOfType(e.Type))}]++
		return wrong == nil
	})
	if err = cmp.Or(err, wrong); err != nil {
		return nil, false, err
	}
	var all []tally
	for t, n := range sums {
		t.count = n
		all = append(all, t)
	}
	return all, done.Done, nil
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

// fill makes the bars of counts by type.
func (h *histogram) fill(counts []custody.Count, f *filter) {
	tallies := make([]tally, len(counts))
	for i, c := range counts {
		tallies[i] = tally{c.Start, c.Type, severityOfType(c.Type), c.Count}
	}
	h.draw(tallies, f)
}

// severityOfType returns the severity that a histogram has of a type.
func severityOfType(t event.Type) event.Severity {
	if !t.Registered() {
		return unregistered
	}
	return severityOf(t)
}

// draw makes the bars.
func (h *histogram) draw(tallies []tally, f *filter) {
	start := h.Since.Truncate(h.Every)
	if !h.begin.IsZero() && h.begin.Before(start) {
		start = h.begin
	}
	counts := map[time.Time]map[event.Severity]uint64{}
	for _, t := range tallies {
		if t.start.Before(start) {
			start = t.start
		}
		if counts[t.start] == nil {
			counts[t.start] = map[event.Severity]uint64{}
		}
		counts[t.start][t.severity] += t.count
		h.bySeverity[t.severity] += t.count
		h.byType[t.typ] += t.count
		h.Total += t.count
	}
	for at := start; at.Before(h.Until); at = at.Add(h.Every) {
		b := bar{Start: at, End: at.Add(h.Every), X: h.Width}
		b.Link = f.and("since", at.Format(time.RFC3339), "until", b.End.Format(time.RFC3339))
		for _, s := range severities {
			if n := counts[at][s]; n > 0 {
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

// BarWidth, High and Few are for the template.
func (h *histogram) BarWidth() int { return barWidth - 2 }
func (h *histogram) High() int     { return barsHigh }
func (h *histogram) Few() bool     { return len(h.Bars) < fewBars }

// Period says how long a bar is.
func (h *histogram) Period() string {
	switch {
	case h.Every%dayLong == 0:
		return plural(int(h.Every/dayLong), "day", "days")
	case h.Every%time.Hour == 0:
		return plural(int(h.Every/time.Hour), "hour", "hours")
	}
	return plural(int(h.Every/time.Minute), "minute", "minutes")
}

// End is where the last bar ends.
func (h *histogram) End() time.Time { return h.Bars[len(h.Bars)-1].End }

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

// Unregistered is how many events are of types that are not registered.
func (h *histogram) Unregistered() uint64 { return h.bySeverity[unregistered] }

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
