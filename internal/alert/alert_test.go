package alert

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/trails"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// site is a data directory with somebody who gets alerts.
type site struct {
	t        *testing.T
	dir      string
	cfg      Config
	answer   atomic.Int32 // status
	received chan received
	url      string

	set    *trails.Set
	alerts *Alerts
}

// received is what the webhook got.
type received struct {
	id, timestamp, signature string
	body                     []byte
	Type                     string
	Raised                   Raised // of an alert of a rule
	Alert                    Alert  // of one of the operation
}

func newSite(t *testing.T, cfg Config) *site {
	t.Helper()
	s := &site{t: t, dir: filepath.Join(t.TempDir(), "data"), cfg: cfg, received: make(chan received, 3000)}
	s.answer.Store(http.StatusOK)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		got := received{id: r.Header.Get("webhook-id"), timestamp: r.Header.Get("webhook-timestamp"), signature: r.Header.Get("webhook-signature"), body: body}
		if err == nil {
			var head struct{ Type string }
			var rule struct{ Data Raised }
			var operation struct{ Data Alert }
			for _, v := range []any{&head, &rule, &operation} {
				if err := json.Unmarshal(body, v); err != nil {
					t.Errorf("%v: %s", err, body)
				}
			}
			got.Type, got.Raised, got.Alert = head.Type, rule.Data, operation.Data
		}
		w.WriteHeader(int(s.answer.Load()))
		s.received <- got
	}))
	t.Cleanup(hook.Close)
	s.url = hook.URL
	secret, err := ParseSecret(knownSecret)
	must(t, err)
	if s.cfg.Webhooks == nil {
		s.cfg.Webhooks = []Webhook{{Name: "ops", URL: hook.URL, Secret: secret}}
	}
	s.cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	s.cfg.Every = 10 * time.Millisecond
	if s.cfg.retry == 0 {
		s.cfg.retry = time.Millisecond
	}
	t.Cleanup(func() {
		if s.set != nil {
			s.alerts.Close()
			s.set.Close()
		}
	})
	return s
}

func (s *site) start() {
	s.t.Helper()
	var err error
	s.set, err = trails.Open(trails.Config{Dir: s.dir, Origin: "example.org", Options: custody.Options{Logger: s.cfg.Logger, DiskWarning: -1}})
	must(s.t, err)
	s.cfg.Trails = s.set
	s.alerts, err = Start(s.cfg)
	must(s.t, err)
}

func (s *site) stop() {
	s.t.Helper()
	must(s.t, s.alerts.Close())
	must(s.t, s.set.Close())
	s.set = nil
}

func (s *site) trail(name string) *trails.Trail {
	s.t.Helper()
	t, err := s.set.Get(name)
	must(s.t, err)
	return t
}

// deny records a denied action.
func (s *site) deny(agent string) custody.Receipt {
	s.t.Helper()
	r, err := s.trail(trails.Default).Record(s.t.Context(), event.Event{Type: event.ActionDenied, AgentID: agent, ActionID: "x", SessionID: "s", Decision: event.Deny})
	must(s.t, err)
	return r
}

// get waits for what the webhook gets.
func (s *site) get() received {
	s.t.Helper()
	select {
	case r := <-s.received:
		return r
	case <-time.After(20 * time.Second):
		s.t.Fatal("no alert came")
		panic("not reached")
	}
}

// none checks that nothing came but what was got.
func (s *site) none() {
	s.t.Helper()
	select {
	case r := <-s.received:
		s.t.Errorf("one more came: %s", r.body)
	default:
	}
}

// told returns the events of a type in the trail system.
func (s *site) told(typ event.Type) (all []event.Event) {
	s.t.Helper()
	for e, err := range s.trail(trails.System).Entries(s.t.Context(), custody.Query{Types: []event.Type{typ}}) {
		must(s.t, err)
		ev, err := e.Event()
		must(s.t, err)
		all = append(all, ev)
	}
	return all
}

// until waits until something is so.
func (s *site) until(what string, so func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !so(); {
		if time.Now().After(deadline) {
			s.t.Fatalf("it does not come to this: %s", what)
		}
	}
}

// caughtUp waits until the rules have seen all of a trail, as they do all that matches.
func (s *site) caughtUp() {
	s.t.Helper()
	s.until("the rules have seen everything", func() bool {
		s.alerts.mu.Lock()
		defer s.alerts.mu.Unlock()
		for _, f := range s.alerts.followers {
			if next, _ := f.handler.Status(); f.trail.Name == trails.Default && next < f.trail.Size() {
				return false
			}
		}
		return true
	})
}

// settled waits until the rules have seen all, and the webhook has taken what they raised.
func (s *site) settled() {
	s.t.Helper()
	s.caughtUp()
	s.until("nothing waits", func() bool { return s.alerts.queue.count("ops") == 0 })
}

func denials(count int) []Rule {
	return []Rule{{Name: "denied", Types: []event.Type{event.ActionDenied}, Where: map[string]string{"agent_id": "a"}, Count: count, Window: time.Hour, Cooldown: time.Nanosecond}}
}

func TestRule(t *testing.T) {
	s := newSite(t, Config{Rules: denials(2)})
	s.start()
	s.deny("a")
	s.deny("b")
	receipt := s.deny("a")
	got := s.get()
	raised := got.Raised
	if got.Type != "alert.raised" || got.id != raised.ID || len(got.id) != 32 || raised.Rule != "denied" || raised.Trail != "default" || raised.Origin != "example.org/default" ||
		raised.Index != receipt.Index || raised.Count != 2 || raised.WindowMS != 3600_000 || raised.Type != event.ActionDenied || raised.Severity != event.SeverityWarning {
		t.Errorf("got %s", got.body)
	}
	secret, err := ParseSecret(knownSecret)
	must(t, err)
	var seconds int64
	_, err = fmt.Sscan(got.timestamp, &seconds)
	must(t, err)
	if at := time.Unix(seconds, 0); time.Since(at) > time.Minute || got.signature != secret.sign(got.id, at, got.body) {
		t.Errorf("timestamp %s, signature %s", got.timestamp, got.signature)
	}
	s.caughtUp()
	told := s.told(event.AlertRaised)
	if len(told) != 1 || len(told[0].Defects) > 0 || told[0].Details["rule"] != "denied" || fmt.Sprint(told[0].Details["index"]) != fmt.Sprint(receipt.Index) {
		t.Errorf("the events are %+v", told)
	}
	if active := s.alerts.Active(); len(active) != 1 || active[0].Rule != "denied" || active[0].Code != "rule" || len(s.alerts.Operational()) != 0 {
		t.Errorf("the page shows %+v", active)
	}
	s.until("it is taken", func() bool { return s.metric("custody_alerts_delivered_total") == 1 })
	s.none()
}

// A restart misses no alert and repeats none, and goes on counting.
func TestRestart(t *testing.T) {
	s := newSite(t, Config{Rules: denials(2)})
	s.start()
	s.deny("a")
	s.settled()
	s.stop()

	// Recorded while nobody looks.
	s.cfg.Rules = nil
	s.start()
	s.deny("a")
	s.stop()

	s.cfg.Rules = denials(2)
	s.start()
	if got := s.get(); got.Raised.Count != 2 {
		t.Errorf("got %s", got.body)
	}
	s.deny("a")
	s.settled()
	s.stop()
	s.start()
	s.deny("a")
	s.get()
	s.settled()
	if told := s.told(event.AlertRaised); len(told) != 2 {
		t.Errorf("%d events tell of alerts", len(told))
	}
	s.none()
}

// A server that is killed before it could note an alert raises the same one again, under
// the same id, and records it once.
func TestCrash(t *testing.T) {
	s := newSite(t, Config{Rules: denials(1)})
	s.start()
	state := filepath.Join(s.dir, "alerts", "state", "default.json")
	before, err := os.ReadFile(state)
	must(t, err)
	s.deny("a")
	first := s.get()
	s.settled()
	s.stop()
	must(t, os.WriteFile(state, before, 0o600))
	s.start()
	again := s.get()
	if first.id != again.id || string(first.body) != string(again.body) {
		t.Errorf("first %s, then %s", first.body, again.body)
	}
	s.settled()
	if told := s.told(event.AlertRaised); len(told) != 1 {
		t.Errorf("%d events tell of it", len(told))
	}
}

// The files of the state can be removed, and those that do not fit are passed over.
func TestState(t *testing.T) {
	for name, content := range map[string]string{
		"removed":       "",
		"no JSON":       "{",
		"newer":         `{"version":2,"origin":"example.org/default","next":0}`,
		"another trail": `{"version":1,"origin":"example.org/other","next":0}`,
		"disorder":      `{"version":1,"origin":"example.org/default","next":2,"marks":[{"index":1},{"index":0}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, Config{Rules: denials(1)})
			s.start()
			s.deny("a")
			s.get()
			s.settled()
			s.stop()
			state := filepath.Join(s.dir, "alerts", "state", "default.json")
			if content == "" {
				must(t, os.Remove(state))
			} else {
				must(t, os.WriteFile(state, []byte(content), 0o600))
			}
			s.start()
			receipt := s.deny("a")
			if got := s.get(); got.Raised.Index != receipt.Index {
				t.Errorf("got %s", got.body)
			}
		})
	}
}

// What a webhook does not take it gets again, under the same id, after a restart too.
func TestRetry(t *testing.T) {
	s := newSite(t, Config{Rules: denials(1)})
	s.answer.Store(http.StatusInternalServerError)
	s.start()
	s.deny("a")
	first := s.get()
	if second := s.get(); second.id != first.id || string(second.body) != string(first.body) {
		t.Errorf("first %s, then %s", first.body, second.body)
	}
	s.caughtUp()
	s.stop()
	for len(s.received) > 0 {
		<-s.received
	}
	s.answer.Store(http.StatusNoContent)
	s.start()
	if third := s.get(); third.id != first.id || string(third.body) != string(first.body) {
		t.Errorf("first %s, then %s", first.body, third.body)
	}
	s.until("nothing waits", func() bool {
		left, err := os.ReadDir(s.alerts.queue.dir)
		must(t, err)
		return s.alerts.queue.count("ops") == 0 && len(left) == 0
	})
	s.none()
}

// An alert that nobody takes for long is given up, and so is all for a webhook that says
// that it is gone. Both are told.
func TestGivenUp(t *testing.T) {
	for status, failure := range map[int]string{http.StatusServiceUnavailable: "it answers 503", http.StatusGone: "410"} {
		t.Run(failure, func(t *testing.T) {
			s := newSite(t, Config{Rules: denials(1), GiveUp: time.Nanosecond})
			s.answer.Store(int32(status))
			s.start()
			s.deny("a")
			s.get()
			s.until("it is told", func() bool { return len(s.told(event.AlertFailed)) == 1 })
			if e := s.told(event.AlertFailed)[0]; len(e.Defects) > 0 || e.Details["rule"] != "denied" || !strings.Contains(fmt.Sprint(e.Details["error"]), failure) || fmt.Sprint(e.Details["attempts"]) != "1" {
				t.Errorf("the event is %+v", e)
			}
			if got := s.metric("custody_alerts_failed_total"); got != 1 {
				t.Errorf("%g are counted", got)
			}
			if status != http.StatusGone {
				return
			}
			s.deny("a")
			s.until("the next is given up too", func() bool { return len(s.told(event.AlertFailed)) == 2 })
			s.none()
		})
	}
}

// A webhook gets the alerts of its rules, and all of the operation.
func TestWebhookRules(t *testing.T) {
	s := newSite(t, Config{Rules: append(denials(1), Rule{Name: "other", Severity: event.SeverityCritical}),
		Webhooks: []Webhook{{Name: "a", Rules: []string{"denied"}}, {Name: "b", Rules: []string{"other"}}, {Name: "c"}}})
	s.start()
	for rule, want := range map[string]string{"denied": "[a c]", "other": "[b c]", "": "[a b c]"} {
		if got := fmt.Sprint(s.alerts.webhooksFor(rule)); got != want {
			t.Errorf("alerts of rule %q go to %s", rule, got)
		}
	}
}

// Trails that are made later are watched from their beginning.
func TestNewTrail(t *testing.T) {
	s := newSite(t, Config{Rules: []Rule{{Name: "turns", Types: []event.Type{event.TurnEnded}}}})
	s.start()
	other, err := s.set.Create("other")
	must(t, err)
	_, err = other.Record(t.Context(), event.Event{Type: event.TurnEnded, SessionID: "s"})
	must(t, err)
	if got := s.get(); got.Raised.Trail != "other" || got.Raised.Index != 1 {
		t.Errorf("got %s", got.body)
	}
}

// metric returns the sum of a counter or gauge.
func (s *site) metric(name string) (sum float64) {
	s.t.Helper()
	registry := prometheus.NewPedanticRegistry()
	must(s.t, registry.Register(s.alerts))
	families, err := registry.Gather()
	must(s.t, err)
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() == name {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}
