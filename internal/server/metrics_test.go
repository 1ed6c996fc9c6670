package server

import (
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strconv"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/alert"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/trails"
)

// metric returns the value of a metric; ok says that it is there.
func (s *site) metric(name string) (value float64, ok bool) {
	s.t.Helper()
	a := s.do("GET", "/metrics", "").want(200)
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (.*)$`).FindSubmatch(a.body)
	if found == nil {
		return 0, false
	}
	value, err := strconv.ParseFloat(string(found[1]), 64)
	must(s.t, err)
	return value, true
}

// Whatever is recorded counts, by whichever way it comes, once.
func TestAppendMetrics(t *testing.T) {
	s := newSite(t, Limits{})
	const acknowledged = `custody_events_acknowledged_total{trail="default"}`
	events0, _ := s.metric(acknowledged)
	for _, tt := range []struct {
		what, path, body string
		status           int
		events, appends  float64
		headers          []string
	}{
		{"one event", events, turn("a", "s"), 201, 1, 1, nil},
		{"the same again", events, turn("a", "s"), 200, 1, 1, nil},
		{"the short route", "/v1/events", turn("b", "s"), 201, 1, 1, nil},
		{"an array", events, "[" + turn("", "s") + "," + turn("", "s") + "]", 201, 2, 1, nil},
		{"a stream", events, turn("c", "s"), 200, 1, 1, []string{"Content-Type", typeNDJSON}},
		{"one that is refused", events, turn("a", "other"), 409, 0, 0, nil},
		{"a CloudEvent", events, `{"specversion":"1.0","id":"1","source":"x","type":"y"}`, 201, 1, 1, []string{"Content-Type", "application/cloudevents+json"}},
		{"a hook", "/v1/hooks/claude-code", preToolUse, 200, 1, 1, nil},
		{"a sighting", "/v1/sightings", `{"event":{"event_type":"tool_server_connected","source":"mcp","details":{"server":"files"}}}`, 200, 1, 1, nil},
		{"telemetry", "/v1/logs", `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}`, 200, 1, 1, nil},
		{"a hold", "/v1/trails/default/holds", `{"all":true,"reason":"r"}`, 201, 1, 1, nil},
		{"a stop", "/v1/trails/default/stops", `{"stop_type":"session","session_id":"s9","reason":"r"}`, 201, 1, 1, nil},
	} {
		count, _ := s.metric(acknowledged)
		timed, _ := s.metric(`custody_append_seconds_count{trail="default"}`)
		s.do("POST", tt.path, tt.body, tt.headers...).want(tt.status)
		counted, _ := s.metric(acknowledged)
		took, _ := s.metric(`custody_append_seconds_count{trail="default"}`)
		if counted-count != tt.events || took-timed != tt.appends {
			t.Errorf("%s: %v events in %v appends, want %v in %v", tt.what, counted-count, took-timed, tt.events, tt.appends)
		}
	}
	if n, _ := s.metric(acknowledged); n == events0 {
		t.Error("nothing was counted")
	}
	if sum, ok := s.metric(`custody_append_seconds_sum{trail="default"}`); !ok || sum <= 0 || sum > 60 {
		t.Errorf("all of it took %v s", sum)
	}
	timed, _ := s.metric(`custody_append_seconds_count{trail="default"}`)
	if n, ok := s.metric(`custody_append_seconds_bucket{trail="default",le="16.777216"}`); !ok || n != timed {
		t.Errorf("%v of %v took less than 17 s", n, timed)
	}
	before, _ := s.metric(`custody_events_acknowledged_total{trail="system"}`)
	s.do("POST", "/v1/trails", `{"name":"t2"}`).want(201)
	if n, _ := s.metric(`custody_events_acknowledged_total{trail="system"}`); n != before+1 {
		t.Errorf("what the server tells of itself counts %v", n-before)
	}
}

func TestDiskMetrics(t *testing.T) {
	s := newSite(t, Limits{})
	free, _ := s.metric("custody_disk_free_bytes")
	total, _ := s.metric("custody_disk_bytes")
	if free <= 0 || free > total {
		t.Errorf("%v of %v bytes are free", free, total)
	}
}

// What the last verification found is known when the server is started again.
func TestFindingsAfterRestart(t *testing.T) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	set, err := trails.Open(trails.Config{Dir: t.TempDir(), Origin: "example.org", Options: custody.Options{Logger: log, DiskWarning: -1}})
	must(t, err)
	t.Cleanup(func() { set.Close() })
	for _, name := range []string{"t2", "t3"} {
		_, err := set.Create(name)
		must(t, err)
	}
	system, err := set.Get(trails.System)
	must(t, err)
	for _, told := range []struct {
		trail    string
		findings int
	}{{"default", 0}, {"t2", 5}, {"default", 3}, {"gone", 7}, {"t2", 0}} {
		_, err := system.Record(t.Context(), event.Event{Type: event.VerificationCompleted, Source: "server", Details: map[string]any{
			"what": "trail " + told.trail, "trail": told.trail, "findings": told.findings, "size": 9, "from_index": 0, "by": "x"}})
		must(t, err)
	}
	alerts, err := alert.Start(alert.Config{Trails: set, Logger: log})
	must(t, err)
	t.Cleanup(func() { alerts.Close() })
	s := serveSet(t, set, Config{Logger: log, Authenticators: []auth.Authenticator{byHeader{}}, Alerts: alerts})
	for trail, want := range map[string]float64{"default": 3, "t2": 0} {
		if n, ok := s.metric(fmt.Sprintf("custody_verification_findings{trail=%q}", trail)); !ok || n != want {
			t.Errorf("the last verification of %s had %v findings, want %v", trail, n, want)
		}
	}
	for _, trail := range []string{"t3", "gone"} {
		if n, ok := s.metric(fmt.Sprintf("custody_verification_findings{trail=%q}", trail)); ok {
			t.Errorf("of the trail %s it has %v", trail, n)
		}
	}
	s.waitFor(`custody_alerts_active{alert="verification_failed",trail="default"} 1`)
}
