package ui

import (
	"fmt"
	"html/template"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/terminal"
)

// functions are those that templates call.
var functions = template.FuncMap{
	"asset":   func(name string) string { return assets[name].path(name) },
	"path":    trailPath,
	"number":  number,
	"plural":  plural,
	"clock":   clock,
	"minute":  func(rfc3339 string) string { return strings.Replace(rfc3339[:min(16, len(rfc3339))], "T", " ", 1) },
	"length":  length,
	"iso":     func(t time.Time) string { return t.UTC().Format(evidence.TimeLayout) },
	"text":    terminal.OneLine, // of an event: nothing in it changes how what is around it looks
	"words":   words,
	"bytes":   size,
	"ago":     ago,
	"tone":    tone,
	"urgency": urgency,
	"query":   query,
}

// trailPath returns the path of a page of a trail; empty is its overview.
func trailPath(trail, page string) string {
	p := "/trails/" + url.PathEscape(trail)
	if page == "" {
		return p
	}
	return p + "/" + page
}

// query returns a query of names and values in turn, encoded.
func query(parameters ...string) template.URL {
	q := url.Values{}
	for i := 0; i+1 < len(parameters); i += 2 {
		q.Set(parameters[i], parameters[i+1])
	}
	return template.URL(q.Encode())
}

// words writes the name of a type or of another constant as words.
func words(name any) string { return strings.ReplaceAll(fmt.Sprint(name), "_", " ") }

// number writes an integer with a comma between thousands.
func number(n any) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func plural(n any, one, many string) string {
	if s := number(n); s != "1" {
		return s + " " + many
	}
	return "1 " + one
}

// clock writes a time for people: UTC, with milliseconds.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05.000")
}

// size writes a number of bytes for people.
func size(n any) string {
	f, _ := strconv.ParseFloat(fmt.Sprint(n), 64) // of an integer of any kind
	unit := 0
	for ; f >= 1000 && unit < 4; unit++ {
		f /= 1000
	}
	if unit == 0 {
		return plural(n, "byte", "bytes")
	}
	return fmt.Sprintf("%.1f %cB", f, " kMGT"[unit])
}

// ago says how long before now a time was.
func ago(t, now time.Time) string {
	d := now.Sub(t)
	switch {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return plural(int(d/time.Minute), "minute", "minutes") + " ago"
	case d < 48*time.Hour:
		return plural(int(d/time.Hour), "hour", "hours") + " ago"
	}
	return plural(int(d/dayLong), "day", "days") + " ago"
}

// length writes how long something is for people.
func length(d time.Duration) string {
	switch {
	case d >= 2*dayLong && d%dayLong == 0:
		return plural(int64(d/dayLong), "day", "days")
	case d >= time.Hour && d%time.Hour == 0:
		return plural(int64(d/time.Hour), "hour", "hours")
	case d >= time.Minute && d%time.Minute == 0:
		return plural(int64(d/time.Minute), "minute", "minutes")
	}
	return d.String()
}

// tone returns the class that a decision or an outcome is shown in.
func tone(result any) string {
	switch fmt.Sprint(result) {
	case string(event.Deny), string(event.OutcomeDenied), string(event.OutcomeFailure), string(event.DecisionEmergencyStop):
		return "bad"
	case string(event.Allow), string(event.OutcomeSuccess):
		return "good"
	case "":
		return ""
	}
	return "partial"
}

// urgency returns the class that a severity is shown in.
func urgency(s event.Severity) string {
	switch {
	case s.AtLeast(event.SeverityError):
		return "bad"
	case s.AtLeast(event.SeverityWarning):
		return "partial"
	}
	return ""
}

// sentence begins a text with a capital letter and ends it with a full stop.
func sentence(s string) string {
	first, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	s = string(unicode.ToUpper(first)) + s[n:]
	if strings.HasSuffix(s, ".") || strings.HasSuffix(s, "!") || strings.HasSuffix(s, "?") {
		return s
	}
	return s + "."
}
