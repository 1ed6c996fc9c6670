package ui

import (
	"fmt"
	"math"
	"strings"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/timeline"
)

// maxGaps bounds how many events of gaps a timeline reads.
const maxGaps = 500

// gaps returns the gaps that the trail reports among some entries, which come in order:
// whatever producer they are of, since what is missing may have been part of this.
func (v *view) gaps(steps []timeline.Step) ([]timelineLine, error) {
	if len(steps) == 0 {
		return nil, nil
	}
	first, last := steps[0].Index, steps[len(steps)-1].Index
	var lines []timelineLine
	for e, err := range v.trail.Entries(v.ctx, custody.Query{Types: []event.Type{event.GapDetected}, From: first, Limit: maxGaps}) {
		if err != nil {
			return nil, err
		}
		v.entry(&e)
		ev, err := e.Event()
		if err != nil {
			return nil, err
		}
		before, after := bound(ev.Details["before"], e.Index), bound(ev.Details["after"], e.Index)
		if before > last || after < first {
			continue
		}
		l := timelineLine{Trail: v.name, Index: e.Index, What: "gap", Detail: gapText(&ev), Tone: "gap", gap: true}
		if kind := ev.Details["kind"]; kind == "filled" || kind == "resumed" {
			l.What, l.Tone = "end of a gap", "good"
		}
		// Entries say where it was on the axis of the drawing: their times are those that
		// the producers say.
		l.from, l.to = steps[0].Time, steps[len(steps)-1].Time
		for _, s := range steps {
			if s.Index <= before {
				l.from = s.Time
			}
			if s.Index >= after {
				l.to = s.Time
				break
			}
		}
		if l.to.Before(l.from) {
			l.to = l.from
		}
		l.Time = l.from
		lines = append(lines, l)
	}
	return lines, nil
}

// bound returns an index that an event names, or else its own.
func bound(v any, own uint64) uint64 {
	var n uint64
	if _, err := fmt.Sscan(fmt.Sprint(v), &n); err != nil || n > math.MaxInt64 {
		return own
	}
	return n
}

// gapText says what is missing.
func gapText(e *event.Event) string {
	var parts []string
	for _, name := range []string{"kind", "what", "source", "producer", "count", "numbers"} {
		if v, ok := e.Details[name]; ok {
			parts = append(parts, name+" "+fmt.Sprint(v))
		}
	}
	return strings.Join(parts, ", ")
}
