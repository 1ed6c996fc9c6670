package custody_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/alert"
	"github.com/custodylog/custody/internal/server"
	"github.com/custodylog/custody/internal/trails"
)

// Under a running server the clock is set back by an hour, and then forward by two. It
// goes on with recording, no time goes back, and a rule for such steps raises an alert of
// each.
func TestClockStepsUnderServer(t *testing.T) {
	raised := make(chan uint64, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var told struct {
			Type string
			Data struct {
				Rule, Trail string
				Index       uint64
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&told); err != nil || told.Type != "alert.raised" || told.Data.Rule != "clock" || told.Data.Trail != trails.Default {
			t.Errorf("the webhook got %+v, %v", told, err)
		}
		raised <- told.Data.Index
	}))
	defer hook.Close()
	secret, err := alert.ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	must(t, err)

	var offset atomic.Int64
	wall := func() time.Time { return time.Now().Round(0).Add(time.Duration(offset.Load())) }
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	options := custody.Options{Logger: log, DiskWarning: -1}
	options.SetClock(wall)
	set, err := trails.Open(trails.Config{Dir: t.TempDir(), Origin: "example.org", Options: options})
	must(t, err)
	defer set.Close()
	alerts, err := alert.Start(alert.Config{Trails: set, Logger: log, Every: 10 * time.Millisecond,
		Rules:    []alert.Rule{{Name: "clock", Trails: []string{trails.Default}, Types: []event.Type{event.ClockStepped}, Cooldown: time.Nanosecond}},
		Webhooks: []alert.Webhook{{Name: "ops", URL: hook.URL, Secret: secret}}})
	must(t, err)
	defer alerts.Close()
	api, err := server.New(server.Config{Trails: set, Local: true, Alerts: alerts, Logger: log})
	must(t, err)
	defer api.Stop()
	site := httptest.NewServer(api.Handler())
	defer site.Close()
	trail, err := set.Get(trails.Default)
	must(t, err)

	record := func(id string) {
		t.Helper()
		resp, err := http.Post(site.URL+"/v1/trails/default/events", "application/json", strings.NewReader(`{"event_type":"turn_ended","session_id":"s","id":"`+id+`"}`))
		must(t, err)
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusCreated {
			t.Fatalf("%s: %d, %s, %v", id, resp.StatusCode, body, err)
		}
	}
	record("before")
	for _, step := range []struct {
		by   time.Duration
		what string
	}{{-time.Hour, "backward"}, {2 * time.Hour, "forward"}} {
		want := wall()
		offset.Add(int64(step.by))
		trail.StepClock(want, want.Add(step.by))
		record(step.what)
		select {
		case index := <-raised:
			entry, err := trail.Entry(t.Context(), index)
			must(t, err)
			e, err := entry.Event()
			must(t, err)
			if e.Type != event.ClockStepped || e.Details["what"] != step.what {
				t.Errorf("the alert is of %+v", e)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: no alert is raised", step.what)
		}
	}
	var last time.Time
	for e, err := range trail.Entries(t.Context(), custody.Query{}) {
		must(t, err)
		if e.Time.Before(last) {
			t.Errorf("entry %d is of %v, the one before of %v", e.Index, e.Time, last)
		}
		last = e.Time
	}
	report, err := trail.Verify(t.Context(), custody.VerifyOptions{})
	if err != nil || !report.OK() {
		t.Errorf("%+v, %v", report, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
