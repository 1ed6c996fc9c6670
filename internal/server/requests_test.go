package server

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/dualcontrol"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/retention"
)

// Two persons who may remove, and one who may not.
var (
	asking    = []string{"Test-Roles", "operator"}
	approving = []string{"Test-Roles", "operator,auditor"}
	reading   = []string{"Test-Roles", "auditor"}
)

const (
	erasures = "/v1/trails/default/erasures"
	ofAlice  = `{"fields":{"/user_id":"alice@example.com"},"ground":"g","reason":"case 7"}`
)

// office is a server on which removals take two persons.
type office struct {
	*site
	requests *dualcontrol.Requests
}

// newOffice starts one in a data directory. Before that, prepare may do things to it.
func newOffice(t *testing.T, dir string, delay time.Duration, prepare func(*trails.Set, *dualcontrol.Requests)) *office {
	t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	set, err := trails.Open(trails.Config{Dir: dir, Origin: "example.org", Options: custody.Options{Logger: log, DiskWarning: -1}})
	must(t, err)
	t.Cleanup(func() { set.Close() })
	requests, err := dualcontrol.Open(vfs.OS{}, filepath.Join(dir, dualcontrol.FileName), dualcontrol.Rules{Delay: delay, Expires: time.Hour})
	must(t, err)
	if prepare != nil {
		prepare(set, requests)
	}
	return &office{serveSet(t, set, Config{Logger: log, Authenticators: []auth.Authenticator{byHeader{}}, Requests: requests, Local: true}), requests}
}

// sample records what alice and bob did.
func (o *office) sample() {
	o.t.Helper()
	for _, user := range []string{"alice@example.com", "bob@example.com", "alice@example.com"} {
		o.record(fmt.Sprintf(`{"event_type":"turn_ended","session_id":"s","user_id":%q}`, user))
	}
}

// ask asks for an erasure.
func (o *office) ask() dualcontrol.Request {
	o.t.Helper()
	a := o.do("POST", erasures, ofAlice, asking...).want(202)
	r := decode[erasureAnswer](a).Request
	if r == nil || a.header.Get("Location") != "/v1/requests/"+r.ID {
		o.t.Fatalf("answered by %s", a.body)
	}
	return *r
}

func (o *office) decide(r dualcontrol.Request, what string, as []string) *answer {
	o.t.Helper()
	return o.do("POST", "/v1/requests/"+r.ID+"/"+what, "", append(as, "Content-Type", "")...)
}

// wait waits until a request has come to a state.
func (o *office) wait(id string, state dualcontrol.State) dualcontrol.Request {
	o.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		r := decode[dualcontrol.Request](o.do("GET", "/v1/requests/"+id, "").want(200))
		if r.State == state {
			return r
		}
		if time.Now().After(deadline) || !r.State.Open() {
			o.t.Fatalf("it is %+v, want %s", r, state)
		}
	}
}

// told returns the events of some types of a trail.
func (s *site) told(trail string, types ...event.Type) (all []event.Event) {
	s.t.Helper()
	for e, err := range s.trail(trail).Entries(s.t.Context(), custody.Query{Types: types}) {
		must(s.t, err)
		ev, err := e.Event()
		must(s.t, err)
		if len(ev.Defects) > 0 {
			s.t.Errorf("the event is %+v", ev)
		}
		all = append(all, ev)
	}
	return all
}

func TestSecondPerson(t *testing.T) {
	dir := t.TempDir()
	o := newOffice(t, dir, 0, nil)
	o.sample()
	r := o.ask()
	_, schemas := describe(t, o.site)
	schema, err := schemas.Compile("openapi.json#/paths/~1v1~1trails~1{trail}~1erasures/post/responses/202/content/application~1json/schema")
	must(t, err)
	if err := schema.Validate(decode[any](o.do("POST", erasures, ofAlice, asking...))); err != nil {
		t.Errorf("it is not answered as described: %v", err)
	}
	if r.State != dualcontrol.Pending || r.By != "test:operator" || !strings.Contains(string(r.Parameters), `"entries":"1,3"`) || !strings.Contains(string(r.Parameters), "alice@example.com") {
		t.Errorf("the request is %+v", r)
	}
	if again := o.ask(); again.ID != r.ID {
		t.Error("the same again is another request")
	}
	if e := decode[entry](o.do("GET", events+"/1", "").want(200)); string(e.Event) == "null" {
		t.Error("it is erased before anybody approved it")
	}
	o.decide(r, "approve", asking).problem(403, "same_person")
	o.decide(r, "approve", []string{"Test-Roles", ""}).problem(403, "unidentified") // whoever is on this machine
	o.decide(r, "approve", reading).problem(404, "not_found")
	o.do("GET", "/v1/requests/"+r.ID, "", reading...).problem(404, "not_found")
	o.decide(r, "approve", append(approving, "Test-Trails", "other")).problem(404, "not_found")
	// What is recorded meanwhile is not what was asked for.
	o.record(`{"event_type":"turn_ended","session_id":"s","user_id":"alice@example.com"}`)
	o.decide(r, "approve", approving).want(200)
	done := o.wait(r.ID, dualcontrol.Executed)
	if done.Parameters != nil || done.DecidedBy != "test:operator,auditor" {
		t.Errorf("the request is %+v", done)
	}
	for i, erased := range []bool{1: true, 2: false, 3: true, 4: false} {
		if e := decode[entry](o.do("GET", fmt.Sprint(events, "/", i), "").want(200)); (string(e.Event) == "null") != erased {
			t.Errorf("entry %d: %s", i, e.Event)
		}
	}
	for _, e := range o.told(trails.Default, event.PayloadErased) {
		if d := e.Details; d["by"] != "test:operator" || d["approved_by"] != "test:operator,auditor" || d["request_id"] != r.ID || d["indices"] != "1,3" || e.Principal != "test:operator" {
			t.Errorf("the event is %+v", e)
		}
	}
	told := o.told(trails.System, event.RemovalRequested, event.RemovalApproved, event.RemovalRefused)
	if len(told) != 2 || told[0].Principal != "test:operator" || told[1].Principal != "test:operator,auditor" || told[1].Details["requested_by"] != "test:operator" {
		t.Errorf("the events are %+v", told)
	}
	for _, e := range told {
		if d := e.Details; d["request_id"] != r.ID || d["digest"] != r.Digest || d["kind"] != "erasure" || d["trail"] != "default" {
			t.Errorf("the event is %+v", e)
		}
	}
	// Nothing is left of whom it was about.
	o.api.Stop()
	must(t, o.set.Close())
	file, err := os.ReadFile(filepath.Join(dir, dualcontrol.FileName))
	must(t, err)
	if strings.Contains(string(file), "alice") || strings.Contains(fmt.Sprint(told), "alice") {
		t.Errorf("alice is named in\n%s\n%v", file, told)
	}
}

// Until it is done, a removal can be stopped.
func TestStoppedRequests(t *testing.T) {
	for _, tt := range []struct {
		what, code string
		by         []string
		approved   bool
		state      dualcontrol.State
		reason     string
	}{
		{"refuse", "", approving, false, dualcontrol.Refused, "refused"},
		{"refuse", "", approving, true, dualcontrol.Refused, "refused"},
		{"refuse", "", []string{"Test-Roles", ""}, true, dualcontrol.Refused, "refused"},
		{"withdraw", "", asking, true, dualcontrol.Withdrawn, "withdrawn"},
		{"withdraw", "forbidden", approving, false, dualcontrol.Pending, ""},
	} {
		t.Run(fmt.Sprint(tt.what, " ", tt.approved, " ", tt.code), func(t *testing.T) {
			o := newOffice(t, t.TempDir(), time.Hour, nil)
			o.sample()
			r := o.ask()
			if tt.approved {
				if a := decode[dualcontrol.Request](o.decide(r, "approve", approving).want(200)); a.State != dualcontrol.Approved || a.NotBefore.Sub(a.Decided) != time.Hour {
					t.Errorf("the request is %+v", a)
				}
			}
			a := o.decide(r, tt.what, tt.by)
			if tt.code != "" {
				a.problem(403, tt.code)
				return
			}
			if got := decode[dualcontrol.Request](a.want(200)); got.State != tt.state || got.Parameters != nil {
				t.Errorf("the request is %+v", got)
			}
			o.decide(r, "approve", approving).problem(409, "state")
			if told := o.told(trails.System, event.RemovalRefused); len(told) != 1 || told[0].Details["reason"] != tt.reason {
				t.Errorf("the events are %+v", told)
			}
			if list := decode[struct{ Requests []dualcontrol.Request }](o.do("GET", "/v1/requests?open=true", "", asking...)); len(list.Requests) != 0 {
				t.Errorf("open are %+v", list)
			}
			if e := decode[entry](o.do("GET", events+"/1", "").want(200)); string(e.Event) == "null" {
				t.Error("it is erased")
			}
		})
	}
}

func TestRequestsThatMakeNoSense(t *testing.T) {
	o := newOffice(t, t.TempDir(), 0, nil)
	o.sample()
	o.do("POST", erasures, ofAlice, "Test-Roles", "").problem(403, "unidentified")
	o.do("POST", erasures, `{"fields":{"/user_id":"nobody"},"ground":"g"}`, asking...).problem(404, "not_found")
	o.do("POST", "/v1/trails/default/holds", `{"query":{"user_id":"alice@example.com"},"reason":"r"}`).want(201)
	o.do("POST", erasures, ofAlice, asking...).problem(409, "held")
	o.do("GET", "/v1/requests/0123456789abcdef", "").problem(404, "not_found")
	one := newSite(t, Limits{})
	one.do("GET", "/v1/requests/0123456789abcdef", "").problem(404, "not_found")
	if a := one.do("GET", "/v1/requests", "").want(200); string(a.body) != `{"requests":[]}`+"\n" {
		t.Errorf("answered by %s", a.body)
	}
}

// What a legal hold covers by the time is not erased.
func TestHeldMeanwhile(t *testing.T) {
	dir := t.TempDir()
	o := newOffice(t, dir, time.Hour, nil)
	o.sample()
	r := o.ask()
	o.do("POST", "/v1/trails/default/holds", `{"query":{"user_id":"alice@example.com"},"reason":"r"}`).want(201)
	o.decide(r, "approve", approving).want(200)
	o.restart(dir)
	if got := o.wait(r.ID, dualcontrol.Failed); !strings.Contains(got.Note, "hold") || got.Parameters != nil {
		t.Errorf("the request is %+v", got)
	}
	if told := o.told(trails.System, event.RemovalRefused); len(told) != 1 || told[0].Details["reason"] != "it could not be done" {
		t.Errorf("the events are %+v", told)
	}
}

// restart starts the server anew, an hour later.
func (o *office) restart(dir string) {
	o.t.Helper()
	o.api.Stop()
	o.http.Close()
	must(o.t, o.set.Close())
	name := filepath.Join(dir, dualcontrol.FileName)
	requests, err := dualcontrol.Open(vfs.OS{}, name, dualcontrol.Rules{Expires: time.Hour, Now: func() time.Time { return time.Now().Add(time.Hour) }})
	must(o.t, err)
	set, err := trails.Open(trails.Config{Dir: dir, Origin: "example.org", Options: custody.Options{DiskWarning: -1, Logger: o.api.log}})
	must(o.t, err)
	o.t.Cleanup(func() { set.Close() })
	o.site, o.requests = serveSet(o.t, set, Config{Logger: o.api.log, Authenticators: []auth.Authenticator{byHeader{}}, Requests: requests, Local: true}), requests
}

// Wherever a server is killed, what was approved is done once.
func TestKilledMeanwhile(t *testing.T) {
	for name, until := range map[string]func(*office, dualcontrol.Request){
		"before": func(*office, dualcontrol.Request) {},
		"when it was begun": func(o *office, r dualcontrol.Request) {
			_, err := o.requests.Begin(r.ID)
			must(o.t, err)
		},
		"when it was done": func(o *office, r dualcontrol.Request) {
			r, err := o.requests.Begin(r.ID)
			must(o.t, err)
			must(o.t, o.api.eraseRequested(o.t.Context(), o.trail(trails.Default), &r))
		},
		"when a part of it was done": func(o *office, r dualcontrol.Request) {
			_, err := o.requests.Begin(r.ID)
			must(o.t, err)
			_, err = o.trail(trails.Default).Erase(o.t.Context(), custody.Erasure{Entries: evidence.Ranges{{First: 1, Last: 1}}, Ground: "g", By: r.By,
				Authorization: custody.DualAuthorization{Request: r.ID, ApprovedBy: "test:operator,auditor"}})
			must(o.t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			now := time.Now()
			o := newOffice(t, dir, 0, nil)
			o.api.Stop() // it does nothing by itself any more, and still answers
			o.sample()
			r := o.ask()
			o.decide(r, "approve", approving).want(200)
			until(o, r)
			o.restart(dir)
			o.wait(r.ID, dualcontrol.Executed)
			count := 0
			for _, e := range o.told(trails.Default, event.PayloadErased) {
				if e.Details["request_id"] != r.ID || e.Details["approved_by"] != "test:operator,auditor" || e.Timestamp.Before(now) {
					t.Errorf("the event is %+v", e)
				}
				count += strings.Count(e.Details["indices"].(string), ",") + 1
			}
			if count != 2 {
				t.Errorf("%d entries were erased, want 2", count)
			}
			if v := o.verification(); !v.Report.OK {
				t.Errorf("got %+v", v.Report)
			}
		})
	}
}

func TestRequestedRetention(t *testing.T) {
	o := newOffice(t, t.TempDir(), 0, nil)
	o.sample()
	a := o.do("POST", "/v1/trails/default/retention/apply", `{"policy":"version: 1\nname: p\npayloads: 1d\n","reason":"case 7"}`, asking...).want(202)
	r := decode[retentionAnswer](a).Request
	if r == nil || r.Kind != dualcontrol.Retention || !strings.Contains(string(r.Parameters), `"reason":"case 7"`) {
		t.Fatalf("answered by %s", a.body)
	}
	o.decide(*r, "approve", asking).problem(403, "same_person")
	o.decide(*r, "approve", approving).want(200)
	o.wait(r.ID, dualcontrol.Executed)
}

// A policy of the configuration that removes earlier than the one before has to be
// approved; until then that one goes on.
func TestScheduledPolicy(t *testing.T) {
	dir := t.TempDir()
	o := newOffice(t, dir, 0, nil)
	policy := func(days int) *retention.Policy {
		return &retention.Policy{Name: "p", Payloads: retention.Period{Days: days}}
	}
	inForce := func() int {
		c := o.api.removal.schedule
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.current == nil {
			return 0
		}
		if c.running[o.trail(trails.Default)] == nil || c.running[o.trail(trails.System)] != nil {
			t.Error("it is scheduled for other trails")
		}
		return c.current.Policy.Payloads.Days
	}
	waiting := func(want int) (r dualcontrol.Request) {
		t.Helper()
		list := decode[struct{ Requests []dualcontrol.Request }](o.do("GET", "/v1/requests?open=true", "", asking...)).Requests
		if len(list) != want {
			t.Fatalf("%d requests are open, want %d", len(list), want)
		}
		if want > 0 {
			r = list[0]
		}
		return r
	}
	begin := func(p *retention.Policy, want int) {
		t.Helper()
		must(t, o.api.ScheduleRetention(p, "operations", time.Hour))
		if got := inForce(); got != want {
			t.Errorf("payloads are kept for %d days, want %d", got, want)
		}
	}
	begin(policy(400), 0) // the first one removes earlier than none
	first := waiting(1)
	if first.By != "configuration" || first.Trail != "" || !strings.Contains(string(first.Parameters), "400d instead of forever") {
		t.Errorf("the request is %+v", first)
	}
	o.do("GET", "/v1/requests/"+first.ID, "", append(approving, "Test-Trails", "default")...).problem(404, "not_found")
	o.decide(first, "approve", approving).want(200)
	o.wait(first.ID, dualcontrol.Executed)
	for deadline := time.Now().Add(20 * time.Second); inForce() != 400; {
		if time.Now().After(deadline) {
			t.Fatal("it does not come into force")
		}
	}
	if c := o.api.removal.schedule.current; c.Authorization.Request != first.ID || c.Authorization.ApprovedBy != "test:operator,auditor" || c.By != "operations" {
		t.Errorf("%+v", c)
	}
	if _, err := o.set.Create("another"); err != nil || o.api.removal.schedule.running[o.trail("another")] == nil {
		t.Errorf("a trail that is made later has no schedule, %v", err)
	}

	o.restart(dir)
	begin(policy(30), 400)
	second := waiting(1)
	o.restart(dir) // it is not asked for again
	begin(policy(30), 400)
	if waiting(1).ID != second.ID {
		t.Error("it is asked for again")
	}
	o.restart(dir) // the configuration is corrected
	begin(policy(500), 500)
	waiting(0)
	if r := o.wait(second.ID, dualcontrol.Withdrawn); r.Parameters != nil || r.Note == "" {
		t.Errorf("the request is %+v", r)
	}
	o.restart(dir)
	begin(policy(400), 500)
	waiting(1)
	o.restart(dir) // nothing is scheduled any more, so that everything is kept
	must(t, o.api.ScheduleRetention(nil, "", 0))
	waiting(0)
	if c := o.requests.Schedule(); c != nil {
		t.Errorf("%+v would come into force again without anybody's approval", c)
	}

	// A server that cannot ask starts all the same.
	o.sample()
	for i := range 100 {
		o.do("POST", erasures, fmt.Sprintf(`{"indices":"0-9","ground":"g%d"}`, i), asking...).want(202)
	}
	o.do("POST", erasures, `{"indices":"0-9","ground":"g"}`, asking...).problem(409, "too_many")
	o.restart(dir)
	begin(policy(400), 0)
	waiting(100)
}
