package k8saudit

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/ingesttest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// events returns the real audit events, one on each line.
func events(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("../testdata/k8s-audit.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func read(t testing.TB, data []byte) []ingest.Item {
	t.Helper()
	items, err := ingesttest.Read(Read).All(bytes.NewReader(data), ingest.Source{})
	if err != nil {
		t.Fatal(err)
	}
	if err := ingesttest.Check(items, "k8s-audit"); err != nil {
		t.Fatal(err)
	}
	return items
}

func TestRealEvents(t *testing.T) {
	data := events(t)
	items := read(t, data)
	lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	if len(items) != len(lines) {
		t.Fatalf("%d items of %d lines", len(items), len(lines))
	}
	for i, line := range lines {
		if err := ingesttest.Lost(line, items[i:i+1]); err != nil {
			t.Errorf("line %d: %v", i+1, err)
		}
		var rec struct {
			AuditID string
			User    struct{ Username string }
		}
		if err := json.Unmarshal(line, &rec); err != nil {
			t.Fatal(err)
		}
		if e := items[i].Event; e.ActionID != rec.AuditID || e.AgentID != rec.User.Username || e.OccurredAt.Year() != 2018 {
			t.Errorf("line %d: %s by %s at %v", i+1, e.ActionID, e.AgentID, e.OccurredAt)
		}
	}
	if err := ingesttest.Read(Read).Again(data, items); err != nil {
		t.Error(err)
	}
	if err := ingesttest.Read(Read).Growing(data, items); err != nil {
		t.Error(err)
	}

	got := ingesttest.Summary(items)
	if *update {
		if err := os.WriteFile("testdata/summary.golden", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/summary.golden")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// The lists that the webhook backend sends give the events that the log gives.
func TestLists(t *testing.T) {
	data := bytes.TrimSpace(events(t))
	want := read(t, data)
	lines := bytes.Split(data, []byte("\n"))
	list := func(lines [][]byte) string {
		return `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[` + string(bytes.Join(lines, []byte(","))) + `]}`
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(list(lines)), "", "  "); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"one":      list(lines),
		"on lines": list(lines[:5]) + "\n" + list(lines[5:]) + "\n",
		"indented": indented.String(),
	} {
		items := read(t, []byte(text))
		if len(items) != len(want) {
			t.Errorf("%s: %d items, want %d", name, len(items), len(want))
			continue
		}
		for i := range want {
			items[i].Line = want[i].Line
		}
		if err := ingesttest.Same(want, items); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStages(t *testing.T) {
	for _, tt := range []struct{ name, rec, want string }{
		{"received", `{"auditID":"a","stage":"RequestReceived","verb":"delete","requestURI":"/api/v1/namespaces/n/pods/p?gracePeriodSeconds=0","requestReceivedTimestamp":"2026-01-02T03:04:05.000006Z","stageTimestamp":"2026-01-02T03:04:05.000006Z",
			"objectRef":{"resource":"pods","namespace":"n","name":"p"},"user":{"username":"agent","extra":{"authentication.kubernetes.io/credential-id":["JTI=1"]}}}`,
			`action_requested action_id=a agent_id=agent user_id=agent project_id=n session_id=JTI=1 tool_name=delete pods resource=/api/v1/namespaces/n/pods/p occurred_at=2026-01-02T03:04:05.000006Z input_digest=` +
				ingest.Digest(map[string]any{"verb": "delete", "requestURI": "/api/v1/namespaces/n/pods/p?gracePeriodSeconds=0"})},
		{"started", `{"auditID":"a","stage":"ResponseStarted","verb":"create","objectRef":{"resource":"pods","subresource":"exec"},"annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC"}}`,
			`action_validated decision=allow decision_source=policy reasons=[RBAC] tool_name=create pods/exec`},
		{"started, no decision", `{"auditID":"a","stage":"ResponseStarted","verb":"watch"}`, `k8s_audit_event tool_name=watch`},
		{"completed", `{"auditID":"a","stage":"ResponseComplete","verb":"get","requestURI":"/healthz?verbose","responseStatus":{"code":200},"requestReceivedTimestamp":"2026-01-02T03:04:05.000006Z","stageTimestamp":"2026-01-02T03:04:05.001506Z","annotations":{"authorization.k8s.io/decision":"allow"}}`,
			`action_executed outcome=success decision=allow decision_source=policy tool_name=get /healthz execution_time_ms=1.5`},
		{"completed, no status", `{"auditID":"a","stage":"ResponseComplete"}`, `action_executed outcome=unknown decision=`},
		{"not found", `{"auditID":"a","stage":"ResponseComplete","verb":"get","objectRef":{"resource":"deployments","apiGroup":"apps"},"responseStatus":{"code":404,"reason":"NotFound","message":"no such"}}`,
			`action_failed outcome=failure error=no such error_type=NotFound layer=protocol tool_name=get deployments.apps`},
		{"failed without words", `{"auditID":"a","stage":"ResponseComplete","responseStatus":{"code":500}}`, `action_failed error=HTTP status 500`},
		{"forbidden", `{"auditID":"a","stage":"ResponseComplete","responseStatus":{"code":403,"reason":"Forbidden"},"annotations":{"authorization.k8s.io/decision":"forbid"},"user":{"username":"u"},"impersonatedUser":{"username":"v"}}`,
			`action_denied outcome=denied decision=deny decision_source=policy reasons=[Forbidden] agent_id=u user_id=v`},
		{"refused at admission", `{"auditID":"a","stage":"ResponseComplete","responseStatus":{"code":403,"message":"quota"},"annotations":{"authorization.k8s.io/decision":"allow"}}`,
			`action_denied decision=deny reasons=[quota]`},
		{"not authenticated", `{"auditID":"a","stage":"ResponseComplete","responseStatus":{"code":401}}`, `action_denied decision=deny reasons=[HTTP status 401]`},
		{"panic", `{"auditID":"a","stage":"Panic","verb":"get"}`, `action_failed error_type=Panic`},
		{"no stage", `{"auditID":"a","kind":"Event","timestamp":"2026-01-02T03:04:05Z"}`, `k8s_audit_event action_id=a occurred_at=2026-01-02T03:04:05Z`},
		{"wrong kinds", `{"auditID":1,"stage":"ResponseComplete","user":[],"responseStatus":"x","annotations":{"authorization.k8s.io/decision":1},"objectRef":7,"requestURI":{}}`, `action_executed outcome=unknown`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var line bytes.Buffer
			if err := json.Compact(&line, []byte(tt.rec)); err != nil {
				t.Fatal(err)
			}
			items := read(t, line.Bytes())
			if err := ingesttest.Compare(items, []string{tt.want}); err != nil {
				t.Error(err)
			}
			if err := ingesttest.Lost(line.Bytes(), items); err != nil {
				t.Error(err)
			}
			if items[0].Mapped != items[0].Event.Type.Registered() {
				t.Errorf("%s: mapped is %v", items[0].Event.Type, items[0].Mapped)
			}
		})
	}
}

// The id of an event does not depend on how its JSON is written, and tells
// events of one auditID apart.
func TestIDs(t *testing.T) {
	id := func(text string) string { return read(t, []byte(text))[0].Event.ID }
	a := id(`{"auditID":"a","stage":"ResponseComplete","verb":"get"}`)
	if !strings.HasPrefix(a, "k8s-audit:a:ResponseComplete:") {
		t.Errorf("id %s", a)
	}
	if b := id(`{ "verb":"g\u0065t", "stage":"ResponseComplete","auditID":"a"}`); b != a {
		t.Errorf("the same event is %s, then %s", a, b)
	}
	if b := id(`{"auditID":"a","stage":"ResponseComplete","verb":"list"}`); b == a {
		t.Errorf("two events are %s", a)
	}
}

func FuzzRead(f *testing.F) {
	for _, line := range bytes.Split(bytes.TrimSpace(events(f)), []byte("\n")) {
		f.Add(line)
	}
	f.Add([]byte(`{"kind":"EventList","items":[{"auditID":"a","stage":"Panic","stageTimestamp":"0000-01-01T00:00:00Z"},{"kind":"EventList","items":[]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		items, err := ingesttest.Read(Read).All(bytes.NewReader(data), ingest.Source{MaxRecord: 1 << 20, MaxPayload: 20_000})
		if err := ingesttest.Check(items, "k8s-audit"); err != nil {
			t.Fatal(err)
		}
		again, err2 := ingesttest.Read(Read).All(ingesttest.OneByte(bytes.NewReader(data)), ingest.Source{MaxRecord: 1 << 20, MaxPayload: 20_000})
		if (err == nil) != (err2 == nil) || len(items) != len(again) {
			t.Fatalf("%d items, %v; then %d, %v", len(items), err, len(again), err2)
		}
		if err := ingesttest.Same(items, again); err != nil {
			t.Fatal(err)
		}
	})
}
