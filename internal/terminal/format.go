package terminal

import (
	"fmt"
	"strconv"
	"time"
)

// Count writes a number with its digits in groups of three: 1,234,567.
func Count[N int | int64 | uint64](n N) string {
	s := strconv.FormatInt(int64(n), 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Plural writes a count and what is counted: "1 entry", "1,200 entries".
func Plural[N int | int64 | uint64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Count(n) + " " + many
}

// Bytes writes a number of bytes: "612 bytes", "1.3 MB" (powers of 1000).
func Bytes[N int | int64 | uint64](n N) string {
	if n < 1000 {
		return Plural(n, "byte", "bytes")
	}
	v, unit := float64(n), 0
	for v >= 999.5 && unit < 4 {
		v /= 1000
		unit++
	}
	if v < 9.95 {
		return fmt.Sprintf("%.1f %cB", v, " kMGT"[unit])
	}
	return fmt.Sprintf("%.0f %cB", v, " kMGT"[unit])
}

// Duration writes how long something took, with two or three digits that
// matter: "0.4 ms", "320 ms", "4.2 s", "3 min 20 s", "2 h 5 min", "3 d 4 h".
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + Duration(-d)
	case d == 0:
		return "0 s"
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
	case d < 999500*time.Microsecond:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1000)
	case d < 59950*time.Millisecond:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	d = d.Round(time.Second)
	switch {
	case d < time.Hour:
		return two(d, time.Minute, "min", time.Second, "s")
	case d < 48*time.Hour:
		return two(d, time.Hour, "h", time.Minute, "min")
	default:
		return two(d, 24*time.Hour, "d", time.Hour, "h")
	}
}

func two(d, large time.Duration, name string, small time.Duration, smallName string) string {
	if rest := d % large / small; rest > 0 {
		return fmt.Sprintf("%d %s %d %s", d/large, name, rest, smallName)
	}
	return fmt.Sprintf("%d %s", d/large, name)
}

// Time writes an instant for people: UTC, to the second.
func Time(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}
