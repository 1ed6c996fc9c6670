package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody/evidence"
)

// TestAccounts holds what a bundle says of its range beside what it discloses.
func TestAccounts(t *testing.T) {
	f, p := trail(t, 60), prunedTrail(t, 60)
	since := Time{start.Add(10 * time.Second)}
	for _, tt := range []struct {
		name                 string
		c                    *Contents
		scope                Scope
		erased, held, pruned string
		proven               bool
		reason               string
	}{
		{"erased", f.contents(t, 0, 10), Scope{}, "7,9", "", "", true, "Every entry"},
		{"erased and held", f.contents(t, 9, 12), Scope{}, "9", "10-11", "", true, "Every entry"},
		{"neither", f.contents(t, 20, 30), Scope{}, "", "", "", true, "Every entry"},
		{"pruned", p.contents(t, 10, 20), Scope{}, "", "10-11,13,15,17-19", "1-9", true, "What was before entry 10 was pruned"},
		{"pruned, a time", p.contents(t, 10, 60), Scope{Since: since}, "", "10-11,13,15,17-19", "1-9", false, "cannot be seen"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.c.Scope = tt.scope
			report := check(t, write(t, tt.c), nil)
			c := &report.Completeness
			if !report.OK() || c.Erased.String() != tt.erased || c.Expired.String() != "" || c.Held.String() != tt.held || c.Pruned.String() != tt.pruned || c.Proven != tt.proven || !strings.Contains(c.Reason, tt.reason) {
				t.Errorf("%+v\n%v", c, report.Findings)
			}
		})
	}
}

// TestPrunedForgeries tells of what was pruned otherwise than the trail does.
func TestPrunedForgeries(t *testing.T) {
	f := prunedTrail(t, 60)
	b := write(t, f.contents(t, 10, 20))
	for _, tt := range prunedForgeries {
		t.Run(tt.name, func(t *testing.T) {
			report := check(t, edit(t, b, tt.change), nil)
			if !slices.ContainsFunc(report.Findings, func(found Finding) bool { return found.Cause == tt.cause && found.Entries.String() == tt.index }) {
				t.Errorf("no finding %s at %q: %v", tt.cause, tt.index, report.Findings)
			}
		})
	}
	c := f.contents(t, 11, 20)
	if err := Write(&bytes.Buffer{}, c); err == nil || !strings.Contains(err.Error(), "the trail was pruned up to entry 10, and the range begins with 11") {
		t.Errorf("what was pruned is no part of the answer: %v", err)
	}
}

// prunedForgeries are changes to a bundle of the entries 10 to 19 of 60, of which those
// before 10 were pruned.
var prunedForgeries = []forgery{
	{"more pruned", whole(removalsFile, `"entries":"1-9"`, `"entries":"0-9"`), "16", evidence.PayloadMissing},
	{"less pruned", whole(removalsFile, `"entries":"1-9"`, `"entries":"1-8"`), "", evidence.Altered},
	{"another minimum", whole(removalsFile, `"minimum":10`, `"minimum":11`), "16", evidence.PayloadMissing},
	{"minimum not told", whole(removalsFile, `,"minimum":10`, ``), "16", evidence.PayloadMissing},
	{"pruning not told", whole(removalsFile, `,{"entries":"1-9","event":16,"minimum":10,"type":"retention_applied"}`, ``), "", evidence.Altered},
}

// TestCovers compares entries with queries of holds.
func TestCovers(t *testing.T) {
	e := &evidence.Entry{Index: 7, Time: start, Type: "emergency_stop"}
	payload := map[string]any{"agent_id": "a", "user_id": "u", "details": map[string]any{"affected_agents": []any{"b"}}}
	for _, tt := range []struct {
		query   string
		payload map[string]any
		want    string
	}{
		{`{}`, nil, "true true"},
		{`{"from_index":7,"to_index":8}`, nil, "true true"},
		{`{"from_index":8}`, nil, "false true"},
		{`{"to_index":7}`, nil, "false true"},
		{`{"since":"2026-11-23T22:10:00Z","until":"2026-11-23T22:10:00.000000001Z"}`, nil, "true true"},
		{`{"since":"2026-11-23T22:10:00.000000001Z"}`, nil, "false true"},
		{`{"until":"2026-11-23T22:10:00Z"}`, nil, "false true"},
		{`{"event_type":["turn_started","emergency_stop"]}`, nil, "true true"},
		{`{"event_type":["turn_started"]}`, nil, "false true"},
		{`{"agent_id":"a"}`, payload, "true true"},
		{`{"agent_id":"b","user_id":"u"}`, payload, "true true"},
		{`{"agent_id":"c"}`, payload, "false true"},
		{`{"session_id":"s"}`, payload, "false true"},
		{`{"session_id":"s"}`, nil, "false false"},
		{`{"session_id":"s","from_index":8}`, nil, "false true"},
		{`{"occurred_since":"2026-11-23T22:10:00Z"}`, payload, "false false"},
		{`{"colour":"red","agent_id":"c"}`, payload, "false true"},
		{`{"from_index":"7"}`, payload, "false false"},
	} {
		var query map[string]json.RawMessage
		if err := json.Unmarshal([]byte(tt.query), &query); err != nil {
			t.Fatal(err)
		}
		covered, known := covers(query, e, tt.payload)
		if got := fmt.Sprint(covered, known); got != tt.want {
			t.Errorf("%s of %v: %s, want %s", tt.query, tt.payload, got, tt.want)
		}
	}
}
