package producers

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
)

// gap returns an event of a gap. Its id follows from what it says, so that it is not
// recorded twice.
func gap(s *stream, kind string, severity event.Severity, details map[string]any) event.Event {
	details["kind"] = kind
	for name, value := range map[string]string{"source": s.Source, "producer": s.Principal, "run": s.Run} {
		if value != "" {
			details[name] = value
		}
	}
	e := event.Event{Type: event.GapDetected, Severity: severity, Source: "producers", Details: details}
	said, _ := e.AppendPayload(nil) // the numbers are below 2^53, the texts come from a payload
	sum := sha256.Sum256(said)
	e.ID = "gap-" + hex.EncodeToString(sum[:16])
	return e
}

// withNumbers adds which numbers it is about.
func withNumbers(details map[string]any, numbers evidence.Ranges) map[string]any {
	details["from_seq"], details["to_seq"], details["count"] = numbers[0].First, numbers[len(numbers)-1].Last+1, numbers.Count()
	if len(numbers) > 1 {
		details["numbers"] = numbers.String()
	}
	return details
}

func missing(s *stream, holes []*hole) report {
	var numbers evidence.Ranges
	for _, h := range holes {
		numbers = numbers.Union(h.numbers())
	}
	first, last := holes[0], holes[len(holes)-1]
	details := withNumbers(map[string]any{"after": last.After.Index, "after_time": last.After.Time}, numbers)
	if first.Before != nil {
		details["before"], details["before_time"] = first.Before.Index, first.Before.Time
	}
	return report{gap(s, "missing", event.SeverityError, details), func() {
		for _, h := range holes {
			h.told = true
		}
	}}
}

func filled(s *stream) event.Event {
	return gap(s, "filled", event.SeverityNotice, withNumbers(map[string]any{"after": s.Last.Index, "after_time": s.Last.Time}, s.Filled))
}

// repeated is about entries with numbers that came before. They are those of the
// producer in a range of entries.
func repeated(s *stream, kind string, all []repeat) event.Event {
	var numbers []uint64
	for _, r := range all {
		numbers = append(numbers, r.Seq)
	}
	first, last := all[0].At, all[len(all)-1].At
	details := withNumbers(map[string]any{"after": first.Index, "after_time": first.Time, "from_index": first.Index, "to_index": last.Index + 1}, evidence.RangesOf(numbers))
	details["count"] = len(all)
	severity := event.SeverityError
	if kind == "restart" {
		severity = event.SeverityWarning
	}
	return gap(s, kind, severity, details)
}

func silent(s *stream) event.Event {
	return gap(s, "silence", event.SeverityError, map[string]any{"before": s.Last.Index, "before_time": s.Last.Time, "interval_ms": s.Interval})
}

func resumed(s *stream) event.Event {
	return gap(s, "resumed", event.SeverityNotice, map[string]any{
		"before": s.Silent.Index, "before_time": s.Silent.Time, "after": s.Resumed.Index, "after_time": s.Resumed.Time})
}

// gapDetails is what an event of a gap says, as far as it is needed.
type gapDetails struct {
	key        streamKey
	kind       string
	numbers    evidence.Ranges
	before     uint64
	beforeTime time.Time
	toIndex    uint64
}

// detailsOf reads an event that [gap] made.
func detailsOf(ev *event.Event) (d gapDetails) {
	text := func(name string) string {
		s, _ := ev.Details[name].(string)
		return s
	}
	number := func(name string) uint64 {
		n, _ := ev.Details[name].(json.Number)
		v, _ := strconv.ParseUint(string(n), 10, 64)
		return v
	}
	d.key = streamKey{text("producer"), text("source"), text("run")}
	d.kind, d.before, d.toIndex = text("kind"), number("before"), number("to_index")
	d.beforeTime, _ = time.Parse(time.RFC3339Nano, text("before_time"))
	if from, to := number("from_seq"), number("to_seq"); from < to {
		d.numbers = evidence.Ranges{{First: from, Last: to - 1}}
	}
	if listed, err := evidence.ParseRanges(text("numbers")); err == nil && len(listed) > 0 {
		d.numbers = listed
	}
	return d
}
