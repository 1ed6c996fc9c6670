package ui

import (
	"html/template"
	"net/url"
	"time"
)

// zoom is the part of a timeline that is drawn. The times are those of events, not of
// their recording.
type zoom struct {
	Begin, End time.Time // of all of it
	From, To   time.Time // of the part
	Zoomed     bool      // it is not all of it

	base filter // the address without the part
}

// ticks is into how many parts the scale is divided.
const ticks = 10

// tick is a part of the scale, and leads to it.
type tick struct {
	At    time.Time
	Label string
	Query template.URL
}

// zoom reads which part of a timeline is asked for.
func (v *view) zoom(f *filter, values url.Values) (z zoom, err error) {
	z.base = filter{values: without(f.values)}
	if values.Has("before") {
		z.base.values.Set("before", values.Get("before"))
	}
	for name, to := range map[string]*time.Time{"from": &z.From, "to": &z.To} {
		if *to, err = parseTime(values.Get(name), v.now); err != nil {
			return z, badParameter(name, "%v.", err)
		}
	}
	if !z.From.IsZero() && !z.To.IsZero() && !z.From.Before(z.To) {
		return z, badParameter("to", "it is not after the time in %q, so there is nothing to show.", "from")
	}
	return z, nil
}

// include makes a time part of the whole.
func (z *zoom) include(from, to time.Time) {
	if z.Begin.IsZero() || from.Before(z.Begin) {
		z.Begin = from
	}
	if to.After(z.End) {
		z.End = to
	}
}

// finish sets the part that is drawn once the whole is known.
func (z *zoom) finish() {
	z.Zoomed = !z.From.IsZero() || !z.To.IsZero()
	if z.From.IsZero() {
		z.From = z.Begin
	}
	if z.To.IsZero() {
		z.To = z.End
	}
	if z.To.Before(z.From) {
		z.To = z.From
	}
}

// place returns where in a lane something is; it reports false for what is in no part of
// it.
func (z *zoom) place(from, to time.Time) (x, w int, ok bool) {
	if to.Before(z.From) || from.After(z.To) {
		return 0, 0, false
	}
	if from.Before(z.From) {
		from = z.From
	}
	if to.After(z.To) {
		to = z.To
	}
	long := max(z.To.Sub(z.From), 1)
	at := func(t time.Time) int {
		return int(float64(t.Sub(z.From)) / float64(long) * (laneWidth - markWidth))
	}
	x = at(from)
	return x, max(markWidth, at(to)-x), true
}

// link returns the query of a part.
func (z *zoom) link(from, to time.Time) template.URL {
	return z.base.and("from", from.UTC().Format(time.RFC3339Nano), "to", to.UTC().Format(time.RFC3339Nano))
}

// Ticks divides the scale.
func (z *zoom) Ticks() []tick {
	part := z.To.Sub(z.From) / ticks
	if part <= 0 {
		return nil
	}
	form := "15:04:05"
	switch {
	case part < time.Second:
		form = "15:04:05.000"
	case z.To.Sub(z.From) >= 2*dayLong:
		form = "01-02 15:04"
	}
	var all []tick
	for i := range ticks {
		at := z.From.Add(time.Duration(i) * part)
		all = append(all, tick{at, at.UTC().Format(form), z.link(at, at.Add(part))})
	}
	return all
}

// All leads to all of it.
func (z *zoom) All() template.URL { return z.base.and() }

// Out leads to a part twice as long; empty: that is all of it.
func (z *zoom) Out() template.URL {
	half := max(z.To.Sub(z.From)/2, time.Millisecond)
	from, to := z.From.Add(-half), z.To.Add(half)
	if !from.After(z.Begin) && !to.Before(z.End) {
		return z.All()
	}
	return z.link(from, to)
}

// In leads to the half in the middle.
func (z *zoom) In() template.URL {
	quarter := z.To.Sub(z.From) / 4
	if quarter <= 0 {
		return ""
	}
	return z.link(z.From.Add(quarter), z.To.Add(-quarter))
}

// Earlier and Later lead to what is beside the part; empty: nothing is.
func (z *zoom) Earlier() template.URL {
	if !z.From.After(z.Begin) {
		return ""
	}
	half := max(z.To.Sub(z.From)/2, time.Millisecond)
	return z.link(z.From.Add(-half), z.To.Add(-half))
}

func (z *zoom) Later() template.URL {
	if !z.To.Before(z.End) {
		return ""
	}
	half := max(z.To.Sub(z.From)/2, time.Millisecond)
	return z.link(z.From.Add(half), z.To.Add(half))
}
