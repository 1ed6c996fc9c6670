package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

// notes is a trail of events that say Note and a number, and none anything else.
func notes(t *testing.T, n int) (s *site) {
	t.Helper()
	s = &site{keys: t.TempDir(), dir: filepath.Join(t.TempDir(), "trail")}
	_, err := custody.Create(s.dir, custody.CreateOptions{Origin: "example.org/test", KeyDir: s.keys})
	check(t, err)
	w, err := custody.Open(s.dir, &custody.Options{KeyDir: s.keys, DiskWarning: -1})
	check(t, err)
	events := make([]event.Event, n)
	for i := range events {
		events[i] = event.Event{Type: event.TurnEnded, SessionID: "s", Details: map[string]any{"text": fmt.Sprintf("Note %d", i)}}
	}
	_, err = w.RecordBatch(t.Context(), events)
	check(t, err)
	check(t, w.Close())
	return s
}

func TestQueryText(t *testing.T) {
	s := notes(t, 50)
	for _, tt := range []struct {
		args           []string
		lines          int // on standard output
		status         int
		stdout, stderr string // parts of them
	}{
		{[]string{"NOTE", "--limit", "5"}, 6, exitOK, "49", "5 entries shown; there may be more: --after 46 goes on, --limit 0 shows all"},
		{[]string{"NOTE", "--limit", "5", "--after", "46"}, 6, exitOK, "45", "--after 41 goes on"},
		{[]string{"NOTE", "--limit", "0", "--oldest"}, 51, exitOK, "", ""},
		{[]string{"NOTE", "--limit", "5", "--json"}, 5, exitOK, `"text":"Note 49"`, ""},
		{[]string{`"note 7"`}, 2, exitOK, "", ""},
		{[]string{"nowhere", "--session", "s"}, 0, exitOK, "", "none of 51 entries in " + s.dir + " matches (session s, text nowhere)"},
		{[]string{""}, 52, exitOK, "log_opened", ""},
		{[]string{`"`}, 0, exitFailure, "", "--text: a double quote is not closed"},
		{[]string{"note", "--follow"}, 0, exitFailure, "", "--text and --field find entries that are there: they go neither with --count-by nor with --follow"},
		{[]string{"note", "--count-by", "day"}, 0, exitFailure, "", "find entries that are there"},
		{[]string{"", "--field", "/details/text=Note 7"}, 2, exitOK, "", ""},
		{[]string{"note", "--field", "/details/text=Note 7", "--field", "/severity=critical"}, 0, exitOK, "", "matches (text note, field /details/text=Note 7, field /severity=critical)"},
		{[]string{"", "--field", "severity=critical"}, 0, exitFailure, "", "POINTER=VALUE"},
		{[]string{"", "--field", "/severity=critical", "--follow"}, 0, exitFailure, "", "find entries that are there"},
	} {
		out, errs, status := s.command(t, s.dir, "", 0, append([]string{"query", "--text"}, tt.args...)...)
		if n := strings.Count(out, "\n"); n != tt.lines || status != tt.status || !strings.Contains(out, tt.stdout) || !strings.Contains(errs, tt.stderr) {
			t.Errorf("%q: exit status %d, %d lines\n%s%s", tt.args, status, n, out, errs)
		}
	}
}

// Whoever interrupts a search has what was found, and is told where to go on.
func TestQueryTextInterrupted(t *testing.T) {
	s := notes(t, 100)
	search := []string{"query", "--text", `"note 3"`, "--oldest", "--json", "--limit", "0"}
	// The first line ends it. It comes while the search goes on.
	out, errs, status := s.command(t, s.dir, "", 1, search...)
	if n := strings.Count(out, "\n"); status != exitFailure || n != 1 {
		t.Fatalf("exit status %d, %d lines\n%s", status, n, errs)
	}
	if want := "1 entry found in the 16 entries up to entry 15; --after 15 goes on\nerror: interrupted\n"; errs != want {
		t.Errorf("it says\n%swant\n%s", errs, want)
	}
	rest, _, _ := s.command(t, s.dir, "", 0, append(search, "--after", "15")...)
	all, _, _ := s.command(t, s.dir, "", 0, search...)
	if out+rest != all || strings.Count(all, "\n") != 11 {
		t.Errorf("%d and %d lines, of %d", strings.Count(out, "\n"), strings.Count(rest, "\n"), strings.Count(all, "\n"))
	}
}

func TestSearchedPart(t *testing.T) {
	for _, tt := range []struct {
		q                       custody.Query
		last, size, done, total uint64
	}{
		{custody.Query{}, 9, 100, 10, 100},
		{custody.Query{Newest: true}, 90, 100, 10, 100},
		{custody.Query{From: 20, To: 40}, 29, 100, 10, 20},
		{custody.Query{From: 20, To: 40, Newest: true}, 30, 100, 10, 20},
		{custody.Query{To: 400}, 99, 100, 100, 100},
		{custody.Query{}, 100, 100, 0, 0},
		{custody.Query{From: 5}, 0, 100, 0, 0},
	} {
		if done, total := searchedPart(&tt.q, tt.last, tt.size); done != tt.done || total != tt.total {
			t.Errorf("%+v, at %d of %d: %d of %d", tt.q, tt.last, tt.size, done, total)
		}
	}
}
