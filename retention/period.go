package retention

import (
	"fmt"
	"strconv"
	"time"
)

// Period is a length of time, in days of 24 hours, or for ever. The zero value is
// not set.
type Period struct {
	Days    int
	Forever bool
}

// maxDays bounds periods: a thousand years.
const maxDays = 365_250

// ParsePeriod reads "400d", "60w" (of 7 days), "6y" (of 365 days) or "forever".
func ParsePeriod(s string) (Period, error) {
	if s == "forever" {
		return Period{Forever: true}, nil
	}
	unit := map[byte]int{'d': 1, 'w': 7, 'y': 365}
	if len(s) > 1 {
		n, err := strconv.Atoi(s[:len(s)-1])
		if days := unit[s[len(s)-1]]; err == nil && days > 0 && n > 0 && n <= maxDays/days && s[0] != '+' {
			return Period{Days: n * days}, nil
		}
	}
	return Period{}, fmt.Errorf("%q is no period; write days, weeks or years as 400d, 60w or 6y, or forever", s)
}

// String writes the period as ParsePeriod reads it.
func (p Period) String() string {
	switch {
	case p.Forever:
		return "forever"
	case p.Days == 0:
		return ""
	}
	return strconv.Itoa(p.Days) + "d"
}

// IsSet reports whether the period is given.
func (p Period) IsSet() bool { return p.Forever || p.Days > 0 }

// Less reports whether p ends before q does.
func (p Period) Less(q Period) bool { return !p.Forever && (q.Forever || p.Days < q.Days) }

// Cutoff returns the time before which something has outlived the period.
// bounded is false if nothing ever does.
func (p Period) Cutoff(now time.Time) (cutoff time.Time, bounded bool) {
	if !p.IsSet() || p.Forever {
		return time.Time{}, false
	}
	return now.AddDate(0, 0, -p.Days), true
}

// UnmarshalText implements encoding.TextUnmarshaler, for files.
func (p *Period) UnmarshalText(b []byte) (err error) {
	*p, err = ParsePeriod(string(b))
	return err
}

// MarshalText implements encoding.TextMarshaler.
func (p Period) MarshalText() ([]byte, error) { return []byte(p.String()), nil }
