package ui

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/dualcontrol"
	"github.com/custodylog/custody/internal/server"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/vfs"
)

// policy is a retention policy as a configuration names it.
const policy = `version: 1
name: short
payloads: 30d
rules:
  - name: denials
    types: [action_denied]
    payloads: 90d
`

// desk is a server as it runs, with the pages of administration.
type desk struct {
	url    string
	trail  *custody.Trail
	system *custody.Trail
	tokens *auth.Tokens
}

// newDesk serves a data directory whose trail default has events. edit may change how
// the page is set up.
func newDesk(tb testing.TB, secondPerson bool, edit func(*Config), events ...event.Event) *desk {
	tb.Helper()
	must := func(err error) {
		if err != nil {
			tb.Helper()
			tb.Fatal(err)
		}
	}
	dir, quiet := tb.TempDir(), slog.New(slog.DiscardHandler)
	all, err := trails.Open(trails.Config{Dir: dir, Origin: "example.com", Options: custody.Options{Logger: quiet, DiskWarning: -1}})
	must(err)
	d := &desk{}
	d.tokens, err = auth.OpenTokens(vfs.OS{}, filepath.Join(dir, auth.TokensFile))
	must(err)
	cfg := server.Config{Trails: all, Authenticators: []auth.Authenticator{d.tokens}, Local: true, Tokens: d.tokens, Logger: quiet}
	if secondPerson {
		cfg.Requests, err = dualcontrol.Open(vfs.OS{}, filepath.Join(dir, dualcontrol.FileName), dualcontrol.Rules{Expires: time.Hour})
		must(err)
	}
	shown := set{}
	for _, t := range all.List() {
		shown[t.Name] = t.Trail
	}
	d.trail, d.system = shown[trails.Default], shown[trails.System]
	var srv *server.Server
	page := Config{Trails: shown, Logger: quiet, May: func(r *http.Request, perm auth.Permission, trail string) bool {
		return auth.From(r.Context()).May(perm, trail)
	},
		Administration: Administration{
			API:          http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { srv.Handler().ServeHTTP(w, r) }),
			SecondPerson: secondPerson, RetentionPolicy: policy, RetentionEvery: 24 * time.Hour,
			Settings: []Setting{{"listen", "127.0.0.1:8420", "default"}, {"tls.key", "/etc/custody/key.pem", "custody.yaml"}, {"oidc.client_secret", "hunter2", "CUSTODY_OIDC_CLIENT_SECRET"}, {"alerts.webhooks", `[{"url":"https://example.com/T0KEN"}]`, "custody.yaml"}, {"timestamps.url", "https://custody:passw0rd@tsa.example.com", "custody.yaml"}},
		}}
	if edit != nil {
		edit(&page)
	}
	cfg.Page = New(page)
	srv, err = server.New(cfg)
	must(err)
	srv.CarryOut()
	if len(events) > 0 {
		record(tb, d.trail, events...)
	}
	h := httptest.NewServer(srv.Handler())
	d.url = h.URL
	tb.Cleanup(func() {
		srv.Stop()
		h.CloseClientConnections()
		h.Close()
		all.Close()
	})
	return d
}

// token makes a token with roles and returns it.
func (d *desk) token(tb testing.TB, name string, trails []string, roles ...auth.Role) string {
	tb.Helper()
	text, _, err := d.tokens.Create(auth.TokenSpec{Name: name, Roles: roles, Trails: trails, CreatedBy: "test"})
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// ask sends a request as a browser does, with a token, or as somebody on this machine.
// form is nil for one that only reads. It follows where it is led.
func (d *desk) ask(tb testing.TB, token, path string, form url.Values, header ...string) (status int, body string) {
	tb.Helper()
	method, content := http.MethodGet, ""
	if form != nil {
		method, content = http.MethodPost, form.Encode()
	}
	r, err := http.NewRequestWithContext(tb.Context(), method, d.url+path, strings.NewReader(content))
	if err != nil {
		tb.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Origin", d.url)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// get asks for a page that has to be there.
func (d *desk) get(tb testing.TB, token, path string) string {
	tb.Helper()
	status, body := d.ask(tb, token, path, nil)
	if status != http.StatusOK {
		tb.Fatalf("%s: %d\n%s", path, status, body)
	}
	return body
}

// post sends a form that has to be taken.
func (d *desk) post(tb testing.TB, token, path string, form url.Values) string {
	tb.Helper()
	status, body := d.ask(tb, token, path, form)
	if status != http.StatusOK {
		tb.Fatalf("%s: %d\n%s", path, status, body)
	}
	return body
}

// find returns what a part of a page has at the place of a group.
func find(tb testing.TB, body, pattern string) string {
	tb.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(body)
	if m == nil {
		tb.Fatalf("the page has nothing like %s:\n%s", pattern, body)
	}
	return m[1]
}

func TestTokenPage(t *testing.T) {
	d := newDesk(t, false, nil)
	admin := d.token(t, "root", nil, auth.Admin)
	contains(t, d.get(t, admin, "/server/tokens"), "<strong>root</strong>", "Create the token")

	status, body := d.ask(t, admin, "/server/tokens", url.Values{"name": {"ci agents"}, "roles": {"submitter", "reader"}, "trails": {"default"}, "agents": {"a1, a2"}, "expires": {"30d"}})
	if status != http.StatusUnprocessableEntity {
		t.Errorf("a bad name: %d", status)
	}
	contains(t, body, `value="ci agents"`, `value="a1, a2"`, `value="submitter" checked`, `value="default" checked`, `value="30d" selected`, "Nothing was changed", `role="alert"`)
	for wrong, form := range map[string]url.Values{
		"one role at least":           {"name": {"x"}, "expires": {"30d"}},
		"Choose when the token ends":  {"name": {"x"}, "roles": {"reader"}, "expires": {"-3d"}},
		"Choose when the token ends.": {"name": {"x"}, "roles": {"reader"}},
		"there is no role":            {"name": {"x"}, "roles": {"king"}, "expires": {"never"}},
		"Say who uses the token":      {"roles": {"reader"}, "expires": {"never"}},
	} {
		if status, body := d.ask(t, admin, "/server/tokens", form); status != http.StatusUnprocessableEntity || !strings.Contains(body, wrong) {
			t.Errorf("%v: %d\n%s", form, status, body)
		}
	}

	body = d.post(t, admin, "/server/tokens", url.Values{"name": {"ci-agents"}, "roles": {"submitter", "reader"}, "trails": {"default"}, "agents": {"a1, a2"}, "expires": {"30d"}})
	contains(t, body, "The token is created", "shown this once", "trail default", "agent a1 agent a2", "submitter, reader", "by token:root")
	secret := find(t, body, `id="secret">(cst_[^<]+)<`)
	lacks(t, d.get(t, admin, "/server/tokens"), secret, "The token is created")
	if status, _ := d.ask(t, secret, "/trails/default", nil); status != http.StatusOK {
		t.Errorf("the new token: %d", status)
	}
	if status, _ := d.ask(t, secret, "/server/tokens", nil); status != http.StatusForbidden {
		t.Errorf("the new token among the tokens: %d", status)
	}

	body = d.post(t, admin, "/server/tokens/"+find(t, secret, `cst_([0-9a-f]{8})`)+"/revoke", url.Values{})
	contains(t, body, "The token is revoked", `<span class="word bad">revoked</span>`)
	if status, _ := d.ask(t, secret, "/trails/default", nil); status != http.StatusUnauthorized {
		t.Errorf("the revoked token: %d", status)
	}
	if status, _ := d.ask(t, admin, "/server/tokens/00000000/revoke", url.Values{}); status != http.StatusNotFound {
		t.Errorf("a token that is none: %d", status)
	}
	var told []string
	for e, err := range d.system.Entries(t.Context(), custody.Query{Types: []event.Type{event.TokenCreated, event.TokenRevoked}}) {
		if err != nil {
			t.Fatal(err)
		}
		ev, err := e.Event()
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, string(ev.Type)+" "+ev.Principal)
	}
	if got := strings.Join(told, ", "); !strings.HasSuffix(got, "token_created token:root, token_revoked token:root") {
		t.Errorf("the trail system tells %s", got)
	}
}

// TestNoticeIsForOne: what came of a form is shown to whoever sent it, once.
func TestNoticeIsForOne(t *testing.T) {
	now := time.Now()
	var n notices
	id := n.put(notice{Title: "a", who: "alice"}, now)
	if n.take(id, "bob", now) != nil || n.take("", "alice", now) != nil {
		t.Error("somebody else got it")
	}
	if got := n.take(id, "alice", now); got == nil || got.Title != "a" || n.take(id, "alice", now) != nil {
		t.Errorf("%+v", got)
	}
	id = n.put(notice{who: "alice"}, now)
	if n.take(id, "alice", now.Add(noticeFor+1)) != nil {
		t.Error("it is too old")
	}
	for i := range maxNotices + 10 {
		n.put(notice{who: "alice"}, now.Add(time.Duration(i)))
	}
	if len(n.byID) != maxNotices {
		t.Errorf("%d are kept", len(n.byID))
	}
	n.put(notice{}, now.Add(2*noticeFor))
	if len(n.byID) != 1 {
		t.Errorf("%d are kept that are too old", len(n.byID))
	}
}

func TestHoldPage(t *testing.T) {
	d := newDesk(t, false, nil, story()...)
	operator := d.token(t, "olga", nil, auth.Operator)
	contains(t, d.get(t, operator, "/trails/default/holds"), "No legal hold is in force", ">Administration<", "Retention")
	for wrong, form := range map[string]url.Values{
		"Say what the hold is for":    {"agent_id": {"worker"}},
		"Say what the hold covers":    {"reason": {"case 1"}},
		"either the whole trail":      {"reason": {"case 1"}, "all": {"true"}, "agent_id": {"worker"}},
		"no type of event":            {"reason": {"case 1"}, "event_type": {"!"}},
		"it is not after the time in": {"reason": {"case 1"}, "since": {"2026-01-02T00:00"}, "until": {"2026-01-01T00:00"}},
	} {
		status, body := d.ask(t, operator, "/trails/default/holds", form)
		if status != http.StatusUnprocessableEntity {
			t.Errorf("%v: %d", form, status)
		}
		contains(t, body, wrong, "Nothing was changed")
	}
	body := d.post(t, operator, "/trails/default/holds", url.Values{"reason": {hostile}, "agent_id": {"worker"}, "event_type": {"action_denied"}, "since": {"2026-01-01T00:00:00"}})
	contains(t, body, "The hold is placed", "worker", "action_denied", "by token:olga", "alert(1)")
	lacks(t, body, "<script>alert")
	path := find(t, body, `action="(/trails/default/holds/[^"]+/release)"`)
	if status, body := d.ask(t, operator, path, url.Values{"reason": {" "}}); status != http.StatusUnprocessableEntity || !strings.Contains(body, "Say why") {
		t.Errorf("no reason: %d", status)
	}
	contains(t, d.post(t, operator, "/trails/default/holds", url.Values{"reason": {"all of it"}, "all": {"true"}}), "the whole trail", "all of it")
	contains(t, d.post(t, operator, path, url.Values{"reason": {"closed"}}), "The hold is released")
	if status, body := d.ask(t, operator, path, url.Values{"reason": {"closed"}}); status != http.StatusUnprocessableEntity {
		t.Errorf("a hold that is gone: %d\n%s", status, body)
	}
	if holds, err := d.trail.Holds(t.Context()); err != nil || len(holds) != 1 || holds[0].By != "token:olga" {
		t.Errorf("%+v, %v", holds, err)
	}
}

func TestRetentionPage(t *testing.T) {
	d := newDesk(t, false, nil, story()...)
	body := d.get(t, "", "/trails/default/retention")
	contains(t, body, "<strong>short</strong>", "every 24 hours", "denials", "action_denied", "90d", "30d", "forever", "Work out what would go")
	contains(t, d.post(t, "", "/trails/default/retention", url.Values{}), "Nothing has outlived its period")
	none := newDesk(t, false, func(c *Config) { c.RetentionPolicy = "" })
	body = none.get(t, "", "/trails/default/retention")
	contains(t, body, "No policy is configured")
	lacks(t, body, "Work out")
}

func TestErasurePage(t *testing.T) {
	d := newDesk(t, true, nil, story()...)
	alice, bob := d.token(t, "alice", nil, auth.Operator), d.token(t, "bob", nil, auth.Operator)
	const page = "/trails/default/erasure"
	contains(t, d.get(t, alice, page), "takes two persons", "Nobody has asked")
	for wrong, form := range map[string]url.Values{
		"fill at least one":        {},
		"give both":                {"field": {"/details/tool_name"}},
		"is no JSON Pointer":       {"field": {"tool_name"}, "value": {"x"}},
		"is none of":               {"decision": {"maybe"}},
		"Indices: ":                {"indices": {"9-1"}},
		"no type of event can be ": {"event_type": {"!"}},
	} {
		status, body := d.ask(t, alice, page+"/plan", form)
		if status != http.StatusUnprocessableEntity {
			t.Errorf("%v: %d", form, status)
		}
		contains(t, body, wrong)
	}
	contains(t, d.post(t, alice, page+"/plan", url.Values{"agent_id": {"nobody"}}), "No payload that is held")
	body := d.post(t, alice, page+"/plan", url.Values{"agent_id": {"worker"}})
	contains(t, body, "<strong>7 payloads</strong>", "6-12", "action denied 1", `<input type="hidden" name="agent_id" value="worker">`, "Ask for this to be erased")

	// It is asked for, and whoever asked cannot approve it.
	if status, body := d.ask(t, alice, page, url.Values{"agent_id": {"worker"}, "reason": {"asked"}}); status != http.StatusUnprocessableEntity || !strings.Contains(body, "on what ground") || !strings.Contains(body, "7 payloads") || !strings.Contains(body, `name="reason" value="asked"`) || strings.Count(body, `name="reason"`) != 1 {
		t.Errorf("no ground: %d\n%s", status, body)
	}
	body = d.post(t, alice, page, url.Values{"agent_id": {"worker"}, "ground": {"GDPR Art. 17(1)(b)"}, "reason": {hostile}})
	contains(t, body, "The erasure is requested", "GDPR Art. 17(1)(b)", "6-12", "worker", "somebody else has to approve it", ">Withdraw<", `<span class="word partial">pending</span>`)
	lacks(t, body, "<script>alert", "/approve")
	id := find(t, body, `/requests/([^/]+)/withdraw`)
	act := func(token, verb string) (int, string) {
		return d.ask(t, token, "/trails/default/requests/"+id+"/"+verb, url.Values{})
	}
	if status, body := act(alice, "approve"); status < 400 || !strings.Contains(body, "second person") {
		t.Errorf("alice approved her own request: %d\n%s", status, body)
	}
	if status, _ := act(bob, "withdraw"); status != http.StatusForbidden {
		t.Errorf("bob withdrew what alice asked for: %d", status)
	}
	if status, _ := act(bob, "execute"); status != http.StatusNotFound {
		t.Errorf("no such verb: %d", status)
	}
	contains(t, d.get(t, bob, page), "Yes, remove this for good", ">Refuse<")
	status, body := act(bob, "approve")
	if status != http.StatusOK {
		t.Fatalf("%d\n%s", status, body)
	}
	contains(t, body, "The request is approved")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for e, err := range d.trail.Subscribe(ctx, custody.Query{Types: []event.Type{event.PayloadErased}, Limit: 1}) {
		if err != nil {
			t.Fatalf("it was not done: %v", err)
		}
		ev, err := e.Event()
		if err != nil || ev.Details["approved_by"] != "token:bob" || ev.Details["request_id"] != id {
			t.Errorf("%v, %v", ev.Details, err)
		}
	}

	// Another one is refused.
	body = d.post(t, alice, page, url.Values{"indices": {"2"}, "ground": {"test"}})
	id = find(t, body, `/requests/([^/]+)/withdraw`)
	if status, body := act(bob, "refuse"); status != http.StatusOK || !strings.Contains(body, "Nothing comes of it") || !strings.Contains(body, `<span class="word bad">refused</span>`) {
		t.Errorf("%d\n%s", status, body)
	}
	// And one is withdrawn.
	body = d.post(t, alice, page, url.Values{"indices": {"3"}, "ground": {"test"}})
	id = find(t, body, `/requests/([^/]+)/withdraw`)
	if status, body := act(alice, "withdraw"); status != http.StatusOK || !strings.Contains(body, "withdrawn") {
		t.Errorf("%d\n%s", status, body)
	}
	if e, err := d.trail.Entry(t.Context(), 3); err != nil || e.Payload == nil {
		t.Errorf("%+v, %v", e, err)
	}
}

// TestErasureByOnePerson: the page plans, and does not erase.
func TestErasureByOnePerson(t *testing.T) {
	d := newDesk(t, false, nil, story()...)
	body := d.post(t, "", "/trails/default/erasure/plan", url.Values{"agent_id": {"worker"}})
	contains(t, body, "7 payloads", "custody erase", "removal.second_person")
	lacks(t, body, "Ask for this", "takes two persons")
	if status, _ := d.ask(t, "", "/trails/default/erasure", url.Values{"agent_id": {"worker"}, "ground": {"x"}}); status != http.StatusForbidden {
		t.Errorf("%d", status)
	}
	if e, err := d.trail.Entry(t.Context(), 7); err != nil || e.Payload == nil {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestFollowersPage(t *testing.T) {
	d := newDesk(t, false, nil, story()...)
	fails := make(chan bool)
	h := d.trail.AddHandler(func(context.Context, custody.Entry) error { fails <- true; return io.ErrUnexpectedEOF }, custody.HandlerOptions{Name: "deliveries", Query: custody.Query{From: 5}, MaxDelay: time.Millisecond})
	defer func() {
		go func() {
			for range fails {
			}
		}()
		h.Remove()
	}()
	<-fails
	<-fails // it failed once at least
	body := d.get(t, "", "/trails/default/followers")
	contains(t, body, "deliveries", "entries</span>", "unexpected EOF", `class="word bad"`)
	contains(t, d.get(t, "", "/trails/default"), "deliveries")
}

func TestConfigurationPage(t *testing.T) {
	d := newDesk(t, false, nil)
	body := d.get(t, "", "/server/configuration")
	contains(t, body, "<code>listen</code>", "127.0.0.1:8420", "CUSTODY_OIDC_CLIENT_SECRET", "/etc/custody/key.pem", "set, not shown")
	lacks(t, body, "hunter2", "T0KEN", "passw0rd")
}

func TestStopPage(t *testing.T) {
	d := newDesk(t, false, nil)
	operator := d.token(t, "olga", nil, auth.Operator)
	const page = "/trails/default/stops"
	contains(t, d.get(t, operator, page), "No emergency stop holds", "Stop now")
	for wrong, form := range map[string]url.Values{
		"Say why":                       {"stop_type": {"global"}},
		"Nothing says which session":    {"stop_type": {"session"}, "reason": {"r"}},
		"A stop of everything names no": {"stop_type": {"global"}, "of": {"agent-7"}, "reason": {"r"}},
	} {
		status, body := d.ask(t, operator, page, form)
		if status != http.StatusUnprocessableEntity {
			t.Errorf("%v: %d", form, status)
		}
		contains(t, body, wrong)
	}
	body := d.post(t, operator, page, url.Values{"stop_type": {"agent"}, "of": {"worker, planner"}, "reason": {hostile}})
	contains(t, body, "Stopped", "worker", "planner", "by token:olga", "nothing since", "alert(1)")
	lacks(t, body, "<script>alert")
	record(t, d.trail, event.Event{Type: event.ActionExecuted, ActionID: "a", AgentID: "worker", Outcome: event.OutcomeSuccess, Details: map[string]any{"tool_name": "Bash"}})
	body = d.get(t, operator, page)
	contains(t, body, "after the stop")
	path := find(t, body, `action="(/trails/default/stops/[^"]+/clear)"`)
	if status, body := d.ask(t, operator, path, url.Values{"reason": {" "}}); status != http.StatusUnprocessableEntity || !strings.Contains(body, "Say why") {
		t.Errorf("no reason: %d", status)
	}
	contains(t, d.post(t, operator, path, url.Values{"reason": {"mended"}}), "The stop is lifted", "No emergency stop holds")
}

// TestWhoSeesWhat: everybody has the sections that they may use, and no others.
func TestWhoSeesWhat(t *testing.T) {
	d := newDesk(t, true, nil, story()...)
	pages := map[string]string{"Overview": "/trails/default", "Emergency stops": "/trails/default/stops", "Holds": "/trails/default/holds", "Retention": "/trails/default/retention", "Erasure": "/trails/default/erasure",
		"Followers": "/trails/default/followers", "Tokens": "/server/tokens", "Configuration": "/server/configuration"}
	for _, tt := range []struct {
		name   string
		trails []string
		role   auth.Role
		sees   []string
		start  string
	}{
		{"auditor", nil, auth.Auditor, []string{"Overview", "Followers"}, "Overview"},
		{"operator", nil, auth.Operator, []string{"Emergency stops", "Holds", "Retention", "Erasure", "Followers"}, "Emergency stops"},
		{"admin", nil, auth.Admin, []string{"Emergency stops", "Followers", "Tokens", "Configuration"}, "Emergency stops"},
		{"operator of another trail", []string{"system"}, auth.Operator, nil, "Emergency stops"},
		{"operator of this trail", []string{"default"}, auth.Operator, []string{"Emergency stops", "Holds", "Retention", "Erasure"}, "Emergency stops"},
		{"submitter", nil, auth.Submitter, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token := d.token(t, strings.ReplaceAll(tt.name, " ", "-"), tt.trails, tt.role)
			status, start := d.ask(t, token, "/", nil)
			if tt.start == "" {
				if status != http.StatusForbidden {
					t.Errorf("the start: %d", status)
				}
			} else {
				contains(t, start, "<h1>"+tt.start)
			}
			for name, path := range pages {
				want := http.StatusForbidden
				for _, s := range tt.sees {
					if s == name {
						want = http.StatusOK
					}
				}
				status, body := d.ask(t, token, path, nil)
				if status != want {
					t.Errorf("%s: %d, want %d", path, status, want)
				}
				if status != http.StatusOK {
					continue
				}
				for other := range pages {
					linked, may := strings.Contains(body, ">"+other+"</a>"), false
					for _, s := range tt.sees {
						may = may || s == other
					}
					if linked && !may {
						t.Errorf("%s has a link to %s", path, other)
					}
				}
			}
		})
	}
}

// TestForeignForms: the page of another site changes nothing.
func TestForeignForms(t *testing.T) {
	d := newDesk(t, true, nil, story()...)
	h := New(Config{Trails: set{"default": d.trail}, May: allowed, Logger: slog.New(slog.DiscardHandler), Administration: Administration{API: http.NotFoundHandler(), SecondPerson: true}})
	for _, path := range []string{"/trails/default/stops", "/trails/default/stops/x/clear", "/trails/default/holds", "/trails/default/holds/x/release", "/trails/default/retention", "/trails/default/erasure", "/trails/default/erasure/plan", "/trails/default/requests/x/approve", "/server/tokens", "/server/tokens/x/revoke"} {
		for _, header := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://attacker.example"}} {
			r := httptest.NewRequest(http.MethodPost, path, strings.NewReader("reason=x&all=true"))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set(header[0], header[1])
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "Another site sent this") {
				t.Errorf("%s with %s: %d", path, header, w.Code)
			}
		}
	}
	if status, _ := d.ask(t, d.token(t, "o", nil, auth.Operator), "/trails/default/holds", url.Values{"reason": {"x"}, "all": {"true"}}, "Sec-Fetch-Site", "cross-site"); status != http.StatusForbidden {
		t.Errorf("over the server: %d", status)
	}
	if holds, err := d.trail.Holds(t.Context()); err != nil || len(holds) > 0 {
		t.Errorf("%+v, %v", holds, err)
	}
}

// TestFormsAreBounded refuses what no form of ours sends.
func TestFormsAreBounded(t *testing.T) {
	d := newDesk(t, false, nil)
	for name, form := range map[string]url.Values{
		"too long":  {"reason": {strings.Repeat("x", maxSent)}},
		"one field": {"reason": {strings.Repeat("x", maxParameter+1)}},
		"no UTF-8":  {"reason": {"\xff"}},
		"unknown":   {"reason": {"x"}, "color": {"red"}},
		"repeated":  {"reason": {"x", "y"}},
	} {
		if status, _ := d.ask(t, "", "/trails/default/holds", form); status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, status)
		}
	}
}

func TestAlerts(t *testing.T) {
	raised := []Alert{{Title: "Disk full", Detail: hostile, Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Critical: true}, {Title: "Witness away"}}
	config := Config{Trails: set{"default": newTrail(t, story()...)}, May: allowed, Logger: slog.New(slog.DiscardHandler), Alerts: func() []Alert { return raised }}
	for _, path := range []string{"/trails/default", "/trails/default/events", "/trails/default/events/1", "/trails/default/integrity", "/server/configuration"} {
		body := mustGet(t, New(config), path)
		contains(t, body, `<span class="word bad">2 alerts</span>`, "Disk full", "2026-01-02 03:04 UTC")
		lacks(t, body, "<script>alert")
	}
	config.May = only(auth.ReadEntries)
	lacks(t, mustGet(t, New(config), "/trails/default"), "2 alerts", "Disk full")
	config.May, raised = allowed, raised[1:]
	contains(t, mustGet(t, New(config), "/trails/default"), `<span class="word partial">1 alert</span>`)
	raised = nil
	lacks(t, mustGet(t, New(config), "/trails/default"), "alerts")
}

// What a form is sent with, and where, cannot make the page take something for done that
// the API has not done.
func TestFormsThatTheAPIDoesNotTake(t *testing.T) {
	d := newDesk(t, true, nil)
	operator := d.token(t, "olga", nil, auth.Operator)
	if status, body := d.ask(t, operator, "/trails/default/requests/%2e%2e/approve", url.Values{"x": nil}); status < 400 || strings.Contains(body, "is approved") {
		t.Errorf("a request called ..: %d\n%s", status, body)
	}
	status, body := d.ask(t, operator, "/trails/default/holds", url.Values{"all": {"true"}, "reason": {"case 7"}}, "Content-Encoding", "gzip")
	if status != http.StatusOK || !strings.Contains(body, "The hold is placed") {
		t.Errorf("a form that says it is compressed, and is not: %d\n%s", status, body)
	}
}
