package retention

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxDays is the longest period that is not for ever: 1,000 years of 365 days.
const MaxDays = 365_000

// Period is a length of time in days of 24 hours, or for ever. The zero value
// is a period that is not set.
type Period struct {
	Days    int  // from 1 to MaxDays; 0 if Forever
	Forever bool // Days does not count
}

const periodForm = "write a number and d, w or y, such as 400d, or forever"

// ParsePeriod reads a period: a whole number followed by d (days), w (weeks of 7
// days) or y (years of 365 days), or the word forever. Months differ in length
// and are not read.
func ParsePeriod(s string) (Period, error) {
	if s == "forever" {
		return Period{Forever: true}, nil
	}
	bad := func(problem string) (Period, error) {
		return Period{}, fmt.Errorf("%s: %s", quote(s), problem)
	}
	number := strings.TrimRight(s, "dwy")
	unit := s[len(number):]
	switch {
	case s == "":
		return bad("no period; " + periodForm)
	case number == "" || strings.Trim(number, "0123456789") != "":
		if strings.HasSuffix(s, "m") || strings.Contains(s, "month") {
			return bad("months differ in length; count days, such as 184d for at least six months")
		}
		return bad("not a period; " + periodForm)
	case unit == "":
		return bad("the unit is missing; " + periodForm)
	case len(unit) > 1:
		return bad("more than one unit; " + periodForm)
	case number[0] == '0':
		return bad("a period begins with a digit from 1 to 9 and is at least 1d")
	}
	days := map[string]int{"d": 1, "w": 7, "y": 365}[unit]
	n, err := strconv.Atoi(number)
	if err != nil || n > MaxDays/days {
		return bad(fmt.Sprintf("longer than %d days; write forever", MaxDays))
	}
	return Period{Days: n * days}, nil
}

// String writes the period in days, or forever, as ParsePeriod reads it. The zero
// value is "not set".
func (p Period) String() string {
	switch {
	case p.Forever:
		return "forever"
	case p.Days == 0:
		return "not set"
	}
	return strconv.Itoa(p.Days) + "d"
}

// Cutoff returns the time, in UTC, before which something has outlived the
// period. A period that is for ever or not set has none: bounded is false, and
// nothing outlives it.
func (p Period) Cutoff(now time.Time) (cutoff time.Time, bounded bool) {
	if p.Forever || p.Days <= 0 {
		return time.Time{}, false
	}
	return now.UTC().AddDate(0, 0, -p.Days), true
}

// Less reports whether p is shorter than q. Nothing is longer than for ever, and
// nothing is shorter than a period that is not set.
func (p Period) Less(q Period) bool {
	if p.Forever || q.Forever {
		return !p.Forever && q.Forever
	}
	return p.Days < q.Days
}

// problem says what is wrong with the period as one of a policy; empty if
// nothing is.
func (p Period) problem() string {
	switch {
	case p.Forever && p.Days != 0:
		return "both for ever and a number of days; keep one of them"
	case p.Forever:
		return ""
	case p.Days == 0:
		return "no period; " + periodForm
	case p.Days < 0 || p.Days > MaxDays:
		return fmt.Sprintf("%d days; give from 1 to %d days, or forever", p.Days, MaxDays)
	}
	return ""
}

// quote writes a text for a message, cut to 40 bytes.
func quote(s string) string {
	const most = 40
	if len(s) <= most {
		return strconv.Quote(s)
	}
	cut := most
	for cut > most-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.Quote(s[:cut]) + "…"
}
