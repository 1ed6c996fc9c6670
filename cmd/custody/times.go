package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// parseTime reads a time as people give it: RFC 3339; a date or a date and a
// time, taken as UTC; or how long ago it was, such as 90s, 30m, 2h, 7d or 2w.
// Empty means the zero time.
func parseTime(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02", "2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02 15:04:05Z"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	if s == "now" {
		return now.UTC(), nil
	}
	if ago, ok := parseAgo(s); ok {
		return now.Add(-ago).UTC(), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time; it may be RFC 3339 (2026-11-23T22:10:00Z), a date (2026-11-23), or how long ago (90s, 30m, 2h, 7d, 2w)", s)
}

func parseAgo(s string) (time.Duration, bool) {
	unit := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}[s[len(s)-1]]
	n, err := strconv.ParseFloat(strings.TrimSuffix(s, s[len(s)-1:]), 64)
	if unit == 0 || err != nil || !(n >= 0 && n < 1e6) {
		return 0, false
	}
	return time.Duration(n * float64(unit)), true
}
