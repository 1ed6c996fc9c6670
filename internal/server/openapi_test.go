package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/custodylog/custody/internal/auth"
)

const openAPIFile = "../../docs/openapi.json"

// The description that is committed is the one that is served.
func TestOpenAPI(t *testing.T) {
	s := newSite(t, Limits{})
	served := s.do("GET", "/openapi.json", "", "Test-Roles", "").want(200)
	if *update {
		must(t, os.WriteFile(openAPIFile, served.body, 0o644))
	}
	committed, err := os.ReadFile(openAPIFile)
	must(t, err)
	if !bytes.Equal(served.body, committed) {
		t.Errorf("docs/openapi.json is not what is served; go generate ./internal/server writes it anew")
	}
}

// described is the description of the API.
type described struct {
	Paths map[string]map[string]struct {
		OperationID string                     `json:"operationId"`
		Responses   map[string]json.RawMessage `json:"responses"`
	} `json:"paths"`
}

func describe(t *testing.T, s *site) (d described, schemas *jsonschema.Compiler) {
	t.Helper()
	must(t, json.Unmarshal(s.api.openapi, &d))
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(s.api.openapi))
	must(t, err)
	schemas = jsonschema.NewCompiler()
	must(t, schemas.AddResource("openapi.json", doc))
	return d, schemas
}

// Every route is described, and nothing else is.
func TestDescribedRoutes(t *testing.T) {
	d, _ := describe(t, newSite(t, Limits{}))
	found := map[string]bool{}
	for path, methods := range d.Paths {
		for method := range methods {
			found[strings.ToUpper(method)+" "+strings.Replace(path, "{path}", "{path...}", 1)] = true
		}
	}
	for pattern := range routes {
		if !found[pattern] {
			t.Errorf("%s is not described", pattern)
		}
		delete(found, pattern)
	}
	for pattern := range found {
		t.Errorf("%s is described, and not served", pattern)
	}
}

// call is a request that succeeds on a sample trail, and one for each operation.
type call struct {
	operation, method, path, body string
	status                        int
	header                        string // Content-Type, where it is not JSON
}

var calls = []call{
	{"listTrails", "GET", "/v1/trails", "", 200, ""},
	{"createTrail", "POST", "/v1/trails", `{"name":"t2"}`, 201, ""},
	{"getTrail", "GET", "/v1/trails/default", "", 200, ""},
	{"recordEvents", "POST", events, turn("n1", "s"), 201, ""},
	{"recordEvents", "POST", events, "[" + turn("n1", "s") + "]", 200, ""},
	{"recordEvents", "POST", events, "{", 400, ""},
	{"recordEvents", "POST", events, turn("n1", "other"), 409, ""},
	{"recordEvents", "POST", events, turn("n2", "s") + "\n{", 200, typeNDJSON},
	{"listEvents", "GET", events + "?limit=2", "", 200, ""},
	{"listEvents", "GET", events + "?limit=x", "", 422, ""},
	{"listEvents", "GET", events + "?limit=1&text=bash", "", 200, ""},
	{"listEvents", "GET", events + "?text=nowhere&event_type=turn_started", "", 200, ""},
	{"getEvent", "GET", events + "/1", "", 200, ""},
	{"getEvent", "GET", events + "/1000", "", 404, ""},
	{"getEventByID", "GET", "/v1/trails/default/ids/i1", "", 200, ""},
	{"getEntryBytes", "GET", events + "/1/entry", "", 200, ""},
	{"getPayloadBytes", "GET", events + "/1/payload", "", 200, ""},
	{"getProof", "GET", events + "/1/proof?payload=true", "", 200, ""},
	{"getReceipt", "GET", events + "/1/receipt", "", 200, ""},
	{"recordEventsShort", "POST", "/v1/events", turn("n3", "s"), 201, ""},
	{"recordEventsShort", "POST", "/v1/events?trail=default&strict=true", turn("n4", "s"), 201, ""},
	{"recordEventsShort", "POST", "/v1/events?trail=none", turn("n3", "s"), 404, ""},
	{"countEvents", "GET", "/v1/trails/default/counts", "", 200, ""},
	{"getTimeline", "GET", "/v1/trails/default/timeline?session_id=s1", "", 200, ""},
	{"getCheckpoint", "GET", "/v1/trails/default/checkpoint", "", 200, ""},
	{"listKeys", "GET", "/v1/trails/default/keys", "", 200, ""},
	{"startVerification", "POST", "/v1/trails/default/verifications", "{}", 202, ""},
	{"listVerifications", "GET", "/v1/trails/default/verifications", "", 200, ""},
	{"getVerification", "GET", "/v1/trails/default/verifications/1", "", 200, ""},
	{"getBundle", "GET", "/v1/trails/default/bundle?session_id=s1", "", 200, ""},
	{"makeBundle", "POST", "/v1/trails/default/bundle", `{"query":{"session_id":"s1"},"question":"what?"}`, 200, ""},
	{"makeBundle", "POST", "/v1/trails/default/bundle", `{"policy":"no policy"}`, 422, ""},
	{"proveEntry", "POST", "/v1/trails/default/proofs", `{"index":1,"payload":true}`, 200, ""},
	{"proveEntry", "POST", "/v1/trails/default/proofs", `{"index":1,"checkpoint":"none"}`, 422, ""},
	{"proveConsistency", "POST", "/v1/trails/default/consistency-proofs", `{"old":"none"}`, 422, ""},
	{"proveConsistency", "POST", "/v1/trails/default/consistency-proofs", `{"old":CHECKPOINT}`, 200, ""},
	{"listEvents", "GET", events + "?limit=2&bytes=true", "", 200, ""},
	{"exportLogs", "POST", "/v1/logs", `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}`, 200, ""},
	{"exportLogs", "POST", "/v1/logs", "{", 400, ""},
	{"exportTraces", "POST", "/v1/traces", "{}", 200, ""},
	{"exportMetrics", "POST", "/v1/metrics", "{}", 200, ""},
	{"exportLogsGRPC", "POST", grpcLogs, "", 200, "application/proto"}, // as Connect has it, which needs no HTTP/2
	{"exportTracesGRPC", "POST", "/opentelemetry.proto.collector.trace.v1.TraceService/Export", "", 200, "application/proto"},
	{"exportMetricsGRPC", "POST", "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", "", 200, "application/proto"},
	{"cosign", "POST", "/v1/trails/default/cosign", "", 409, ""},
	{"timestamp", "POST", "/v1/trails/default/timestamp", "", 409, ""},
	{"placeHold", "POST", "/v1/trails/default/holds", `{"query":{"agent_id":"a1","event_type":["action_denied"]},"reason":"r"}`, 201, ""},
	{"listHolds", "GET", "/v1/trails/default/holds", "", 200, ""},
	{"planErasure", "POST", "/v1/trails/default/erasures/plan", `{"query":{"agent_id":"a1"}}`, 200, ""},
	{"erase", "POST", "/v1/trails/default/erasures", `{"query":{"agent_id":"a1"},"ground":"g"}`, 409, ""},
	{"releaseHold", "POST", "/v1/trails/default/holds/HOLD/release", `{"reason":"r"}`, 200, ""},
	{"erase", "POST", "/v1/trails/default/erasures", `{"indices":"2","ground":"g"}`, 200, ""},
	{"getPayloadBytes", "GET", events + "/2/payload", "", 410, ""},
	{"planRetention", "POST", "/v1/trails/default/retention/plan", `{"preset":"ai-act-logs"}`, 200, ""},
	{"applyRetention", "POST", "/v1/trails/default/retention/apply", `{"policy":"version: 1\nname: p\npayloads: 400d\n"}`, 200, ""},
	{"enrollProducer", "POST", "/v1/producers", `{"vkey":"agent-7.example.com+54016b3e+AY2TJOq9UO/YsfZElUOLObxEsyrFqA0FknsHEiy0jJE5"}`, 201, ""},
	{"enrollProducer", "POST", "/v1/producers", `{"vkey":"agent-7.example.com+54016b3e+AY2TJOq9UO/YsfZElUOLObxEsyrFqA0FknsHEiy0jJE5"}`, 409, ""},
	{"listProducers", "GET", "/v1/producers", "", 200, ""},
	{"revokeProducer", "POST", "/v1/producers/54016b3e/revoke", `{"reason":"r"}`, 200, ""},
	{"revokeProducer", "POST", "/v1/producers/00000000/revoke", `{}`, 404, ""},
	{"createToken", "POST", "/v1/tokens", `{"name":"ci","roles":["submitter"],"agents":["a1"],"expires":"2099-01-01T00:00:00Z"}`, 201, ""},
	{"createToken", "POST", "/v1/tokens", `{"name":"ci","roles":["king"]}`, 422, ""},
	{"listTokens", "GET", "/v1/tokens", "", 200, ""},
	{"revokeToken", "POST", "/v1/tokens/TOKEN/revoke", "", 200, ""},
	{"revokeToken", "POST", "/v1/tokens/00000000/revoke", "", 404, ""},
	{"listRequests", "GET", "/v1/requests", "", 200, ""},
	{"getRequest", "GET", "/v1/requests/none", "", 404, ""},
	{"approveRequest", "POST", "/v1/requests/none/approve", "", 404, ""},
	{"refuseRequest", "POST", "/v1/requests/none/refuse", "", 404, ""},
	{"withdrawRequest", "POST", "/v1/requests/none/withdraw", "", 404, ""},
	{"agentHook", "POST", "/v1/hooks/claude-code", preToolUse, 200, ""},
	{"agentHook", "POST", "/v1/hooks/claude-code", "{", 400, ""},
	{"stop", "POST", "/v1/trails/default/stops", `{"stop_type":"session","session_id":"s9","reason":"r"}`, 201, ""},
	{"stop", "POST", "/v1/trails/default/stops", `{"stop_type":"agent","reason":"r"}`, 422, ""},
	{"listStops", "GET", "/v1/trails/default/stops", "", 200, ""},
	{"gate", "GET", "/v1/gate?session_id=s9", "", 200, ""},
	{"clearStop", "POST", "/v1/trails/default/stops/none/clear", `{"reason":"r"}`, 404, ""},
	{"clearStop", "POST", "/v1/trails/default/stops/STOP/clear", `{"reason":"r"}`, 200, ""},
	{"recordSightings", "POST", "/v1/sightings", `{"event":{"event_type":"tool_server_connected","source":"mcp","details":{"server":"files"}}}`, 200, ""},
	{"recordSightings", "POST", "/v1/sightings", `{"call":{}}`, 422, ""},
	{"getLog", "GET", "/t/default/tile/entries/000.p/2", "", 200, ""},
	{"getHealth", "GET", "/healthz", "", 200, ""},
	{"getReadiness", "GET", "/readyz", "", 200, ""},
	{"getMetrics", "GET", "/metrics", "", 200, ""},
	{"getOpenAPI", "GET", "/openapi.json", "", 200, ""},
}

// filled returns a call with what stands for things that the trail has.
func (s *site) filled(c call) call {
	s.t.Helper()
	if strings.Contains(c.path, "HOLD") {
		holds, err := s.trail("default").Holds(s.t.Context())
		must(s.t, err)
		c.path = strings.Replace(c.path, "HOLD", holds[0].ID, 1)
	}
	if before, after, found := strings.Cut(c.path, "STOP"); found {
		c.path = before + s.api.agents.of("default").stops.Active()[0].ID + after
	}
	if strings.Contains(c.path, "TOKEN") {
		all, err := s.api.tokens.file.List()
		must(s.t, err)
		c.path = strings.Replace(c.path, "TOKEN", all[0].ID, 1)
	}
	if strings.Contains(c.body, "CHECKPOINT") {
		signed, err := s.trail("default").Checkpoint(s.t.Context())
		must(s.t, err)
		quoted, err := json.Marshal(string(signed))
		must(s.t, err)
		c.body = strings.Replace(c.body, "CHECKPOINT", string(quoted), 1)
	}
	return c
}

// asDescribed makes a call, and checks that it is answered as the description says.
func (s *site) asDescribed(d described, schemas *jsonschema.Compiler, c call, headers ...string) *answer {
	t := s.t
	t.Helper()
	header := c.header
	if header == "" {
		header = typeJSON
	}
	a := s.do(c.method, c.path, c.body, append([]string{"Content-Type", header}, headers...)...).want(c.status)
	for path, methods := range d.Paths {
		op, ok := methods[strings.ToLower(c.method)]
		if !ok || op.OperationID != c.operation {
			continue
		}
		if _, ok := op.Responses[fmt.Sprint(c.status)]; !ok {
			t.Fatalf("status %d is not described", c.status)
		}
		media, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
		must(t, err)
		if !strings.HasSuffix(media, "json") && media != typeNDJSON {
			return a
		}
		at := strings.NewReplacer("~", "~0", "/", "~1")
		if c.operation == "getEntryBytes" || c.operation == "getPayloadBytes" && c.status == 200 || media == "application/openapi+json" {
			return a // any object
		}
		schema, err := schemas.Compile(fmt.Sprintf("openapi.json#/paths/%s/%s/responses/%d/content/%s/schema", at.Replace(path), strings.ToLower(c.method), c.status, at.Replace(media)))
		must(t, err)
		dec := json.NewDecoder(bytes.NewReader(a.body))
		dec.UseNumber()
		for dec.More() {
			var v any
			must(t, dec.Decode(&v))
			if err := schema.Validate(v); err != nil {
				t.Errorf("%s is not as described: %v", a.body, err)
			}
		}
		return a
	}
	t.Errorf("it is not described")
	return a
}

// Every operation answers as the description says.
func TestAnswersAreAsDescribed(t *testing.T) {
	s := newSite(t, Limits{})
	sampleTrail(s)
	d, schemas := describe(t, s)
	called := map[string]bool{"streamEvents": true} // it has no end, and tests of its own
	succeeded := map[string]bool{"streamEvents": true}
	run := func(s *site, c call, headers ...string) (a *answer) {
		called[c.operation] = true
		succeeded[c.operation] = succeeded[c.operation] || c.status < 300
		s.t.Run(fmt.Sprint(c.operation, " ", c.status), func(t *testing.T) {
			s := s.with(t)
			a = s.asDescribed(d, schemas, s.filled(c), headers...)
		})
		return a
	}
	for _, c := range calls {
		run(s, c)
	}
	two := newOffice(t, t.TempDir(), time.Hour, nil)
	two.sample()
	retention := `{"policy":"version: 1\nname: p\npayloads: 400d\n"}`
	for _, c := range []struct{ operation, path, body, decision string }{
		{"erase", erasures, ofAlice, "approve"},
		{"erase", erasures, `{"indices":"2","ground":"g"}`, "withdraw"},
		{"applyRetention", "/v1/trails/default/retention/apply", retention, "refuse"},
	} {
		requested := run(two.site, call{c.operation, "POST", c.path, c.body, 202, ""}, asking...)
		if requested == nil {
			continue // it has failed
		}
		one := requested.header.Get("Location")
		run(two.site, call{"getRequest", "GET", one, "", 200, ""}, asking...)
		as := approving
		if c.decision == "withdraw" {
			as = asking
		}
		run(two.site, call{c.decision + "Request", "POST", one + "/" + c.decision, "", 200, ""}, as...)
	}
	attested, _ := newAttested(t)
	attested.record(turn("e", "s"))
	run(attested, call{"cosign", "POST", "/v1/trails/default/cosign", "", 200, ""})
	run(attested, call{"timestamp", "POST", "/v1/trails/default/timestamp", "", 200, ""})
	for _, methods := range d.Paths {
		for _, op := range methods {
			if !called[op.OperationID] || !succeeded[op.OperationID] {
				t.Errorf("%s is not called, or never answered with what was asked for", op.OperationID)
			}
		}
	}
}

// Every role may do what the table of routes says, and nothing else.
func TestPermissions(t *testing.T) {
	s := newSite(t, Limits{})
	for pattern, a := range routes {
		method, path, _ := strings.Cut(pattern, " ")
		path = strings.NewReplacer("{trail}", "default", "{index}", "1", "{id}", "none", "{hold}", "none", "{job}", "none", "{path...}", "checkpoint").Replace(path)
		as := func(headers ...string) int {
			if strings.HasSuffix(path, "/stream") {
				headers = append(headers, "Last-Event-ID", "no index") // otherwise it has no end
			}
			return s.do(method, path, "", append(headers, "Content-Type", typeJSON)...).status
		}
		if got := as("Test-Roles", ""); (got == 401) == a.public {
			t.Errorf("%s: somebody unknown gets %d", pattern, got)
		}
		if got := as("Test-Roles", "none"); (got == 403) == (a.public || a.own) {
			t.Errorf("%s: somebody without a role gets %d", pattern, got)
		}
		for _, role := range auth.Roles {
			may := a.public || a.own || (&auth.Principal{Roles: []auth.Role{role}}).May(a.needs, "default")
			if got := as("Test-Roles", string(role)); (got == 403) == may || got == 401 {
				t.Errorf("%s: %s gets %d", pattern, role, got)
			}
		}
		if a.public || a.own {
			continue
		}
		if got := as("Test-Roles", everybody, "Test-Trails", "other"); got != 403 {
			t.Errorf("%s: somebody bound to another trail gets %d", pattern, got)
		}
	}
	if got := len(decode[struct{ Trails []TrailInfo }](s.do("GET", "/v1/trails", "", "Test-Trails", "system")).Trails); got != 1 {
		t.Errorf("somebody bound to one trail sees %d", got)
	}
}

// Who may read entries, and not payloads, gets nothing of what payloads say.
func TestWithheldPayloads(t *testing.T) {
	s := newSite(t, Limits{})
	sampleTrail(s)
	reader := []string{"Test-Roles", "reader"}
	for _, e := range decode[page](s.do("GET", events, "", reader...).want(200)).Entries {
		if string(e.Event) != "null" || !e.Withheld || e.Hash == "" || e.Type == "" {
			t.Errorf("a reader gets %+v", e)
		}
	}
	if e := decode[entry](s.do("GET", events+"/1", "", reader...).want(200)); string(e.Event) != "null" || !e.Withheld {
		t.Errorf("a reader gets %+v", e)
	}
	f := s.follow("from_index=0", "", reader...)
	if e := f.next(); string(e.Event) != "null" || !e.Withheld {
		t.Errorf("a stream has %+v", e)
	}
	for _, path := range []string{events + "?agent_id=a1", events + "?occurred_since=2026-01-01T00:00:00Z", "/v1/trails/default/counts?user_id=u1",
		"/v1/trails/default/stream?decision=deny", "/v1/trails/default/ids/i1", events + "/1/payload", "/v1/trails/default/timeline?agent_id=a1"} {
		s.do("GET", path, "", reader...).problem(403, "forbidden")
	}
	s.do("GET", events+"?event_type=turn_ended&from_index=1", "", reader...).want(200)
}
