package server

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	logspb "go.opentelemetry.io/proto/otlp/logs/v1"

	"github.com/custodylog/custody"
)

// oneCall is what Claude Code exports of a call.
const oneCall = `{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"claude-code"}}]},"scopeLogs":[{"logRecords":[` +
	`{"timeUnixNano":"1795478317569000000","body":{"stringValue":"claude_code.tool_decision"},"attributes":[{"key":"session.id","value":{"stringValue":"s1"}},{"key":"tool_use_id","value":{"stringValue":"toolu_1"}},{"key":"tool_name","value":{"stringValue":"Bash"}},{"key":"decision","value":{"stringValue":"accept"}},{"key":"source","value":{"stringValue":"user_temporary"}}]},` +
	`{"timeUnixNano":"1795478317610000000","body":{"stringValue":"claude_code.tool_result"},"attributes":[{"key":"session.id","value":{"stringValue":"s1"}},{"key":"tool_use_id","value":{"stringValue":"toolu_1"}},{"key":"tool_name","value":{"stringValue":"Bash"}},{"key":"success","value":{"stringValue":"true"}},{"key":"duration_ms","value":{"stringValue":"39"}}]}` +
	`]}]}]}`

// wireOf returns an export of logs, which has no ids, in protobuf.
func wireOf(t *testing.T, text string) string {
	t.Helper()
	var m logspb.LogsData
	must(t, protojson.Unmarshal([]byte(text), &m))
	b, err := proto.Marshal(&m)
	must(t, err)
	return string(b)
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, text)
	must(t, err)
	must(t, w.Close())
	return b.String()
}

// TestExport records the same export once, however it is sent.
func TestExport(t *testing.T) {
	s := newSite(t, Limits{})
	for _, c := range []struct{ body, media, coding, want string }{
		{oneCall, "application/json; charset=utf-8", "", "{}"},
		{zipped(t, oneCall), typeJSON, "gzip", "{}"},
		{wireOf(t, oneCall), typeProtobuf, "", ""},
		{zipped(t, wireOf(t, oneCall)), typeProtobuf, "gzip", ""},
	} {
		r := s.request("POST", "/v1/logs", c.body, "Content-Type", c.media, "Content-Encoding", c.coding, "Test-Roles", "submitter")
		r.ContentLength = -1 // chunked
		a := s.send(r).want(http.StatusOK)
		media, _, _ := strings.Cut(c.media, ";")
		if string(a.body) != c.want || a.header.Get("Content-Type") != media {
			t.Errorf("%s %s: %q of type %s", c.media, c.coding, a.body, a.header.Get("Content-Type"))
		}
	}
	s.do("POST", "/v1/hooks/claude-code", preToolUse).want(http.StatusOK)
	if got, want := s.types(), "action_validated action_executed action_requested"; got != want {
		t.Errorf("recorded %s", got)
	}
	d, err := s.set.Get("default")
	must(t, err)
	for e, err := range d.Entries(t.Context(), custody.Query{From: 1}) {
		must(t, err)
		if got, err := e.Event(); err != nil || got.ActionID != "toolu_1" || got.Principal == "" {
			t.Errorf("%v: action %q by %q", err, got.ActionID, got.Principal)
		}
	}
}

// TestExportDropped counts what is not recorded.
func TestExportDropped(t *testing.T) {
	s := newSite(t, Limits{})
	s.do("POST", "/v1/traces", `{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"GET /"},{"name":"execute_tool ls","attributes":[{"key":"gen_ai.operation.name","value":{"stringValue":"execute_tool"}}]}]}]}]}`).want(http.StatusOK)
	s.do("POST", "/v1/metrics", `{"resourceMetrics":[]}`).want(http.StatusOK)
	s.do("POST", "/v1/metrics", "not looked at", "Content-Type", typeProtobuf).want(http.StatusOK)
	if got, want := s.types(), "action_requested action_executed"; got != want {
		t.Errorf("recorded %s", got)
	}
	metrics := string(s.do("GET", "/metrics", "").body)
	for _, want := range []string{
		`custody_otlp_records_total{became="dropped",signal="traces",trail="default"} 1`,
		`custody_otlp_records_total{became="recorded",signal="traces",trail="default"} 1`,
		`custody_otlp_records_total{became="dropped",signal="metrics",trail="default"} 2`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no metric %s", want)
		}
	}
}

// TestExportRejected keeps out what the sender may not say, and tells how much that was.
func TestExportRejected(t *testing.T) {
	s := newSite(t, Limits{})
	bound := []string{"Test-Roles", "submitter", "Test-Agents", "claude-code"}
	mixed := strings.Replace(oneCall, "claude_code.tool_result", "codex.tool_result", 1)
	mixed = strings.Replace(mixed, `"body":{"stringValue":"codex.tool_result"}`, `"eventName":"codex.tool_result"`, 1)
	a := s.do("POST", "/v1/logs", mixed, bound...).want(http.StatusOK)
	var answer struct {
		PartialSuccess struct{ RejectedLogRecords, ErrorMessage string }
	}
	must(t, json.Unmarshal(a.body, &answer))
	if p := answer.PartialSuccess; p.RejectedLogRecords != "1" || !strings.Contains(p.ErrorMessage, `"codex"`) {
		t.Errorf("answer %s", a.body)
	}
	a = s.do("POST", "/v1/logs", wireOf(t, mixed), append(bound, "Content-Type", typeProtobuf)...).want(http.StatusOK)
	if n, why := partial(t, a.body); n != 1 || !strings.Contains(why, `"codex"`) {
		t.Errorf("answer %q: %d, %s", a.body, n, why)
	}
	a = s.do("POST", "/v1/logs", oneCall, "Test-Roles", "submitter", "Test-Agents", "other").want(http.StatusForbidden)
	status(t, a, 7)
}

// partial reads an ExportLogsServiceResponse.
func partial(t *testing.T, b []byte) (rejected uint64, why string) {
	t.Helper()
	_, _, n := protowire.ConsumeTag(b)
	inner, m := protowire.ConsumeBytes(b[n:])
	if m < 0 {
		t.Fatalf("%q", b)
	}
	_, _, n = protowire.ConsumeTag(inner)
	rejected, m = protowire.ConsumeVarint(inner[n:])
	_, _, k := protowire.ConsumeTag(inner[n+m:])
	why, _ = protowire.ConsumeString(inner[n+m+k:])
	return rejected, why
}

// status checks that an answer is a google.rpc.Status in JSON.
func status(t *testing.T, a *answer, code int) {
	t.Helper()
	got := decode[struct {
		Code    int
		Message string
	}](a)
	if got.Code != code || got.Message == "" || a.header.Get("Content-Type") != typeJSON {
		t.Errorf("%s: %s of type %s, want code %d", a.what, a.body, a.header.Get("Content-Type"), code)
	}
}

func TestExportRefused(t *testing.T) {
	s := newSite(t, Limits{Body: 4096, Pending: 4096})
	for _, c := range []struct {
		path, body string
		want, code int
	}{
		{"/v1/logs", `{"resourceLogs":`, http.StatusBadRequest, 3},
		{"/v1/traces", `[]`, http.StatusBadRequest, 3},
		{"/v1/logs?trail=nowhere", oneCall, http.StatusNotFound, 5},
		{"/v1/logs?trail=system", oneCall, http.StatusForbidden, 7},
		{"/v1/logs", strings.Repeat(" ", 5000), http.StatusRequestEntityTooLarge, 3},
	} {
		status(t, s.do("POST", c.path, c.body).want(c.want), c.code)
	}
	status(t, s.do("POST", "/v1/logs", oneCall, "Test-Roles", "reader").want(http.StatusForbidden), 7)
	status(t, s.do("POST", "/v1/logs", oneCall, "Test-Roles", "").want(http.StatusUnauthorized), 16)
	s.do("POST", "/v1/logs", oneCall, "Content-Type", "text/plain").want(http.StatusUnsupportedMediaType)
	if a := s.do("POST", "/v1/logs", "\xff", "Content-Type", typeProtobuf).want(http.StatusBadRequest); !bytes.HasPrefix(a.body, []byte{8, 3, 18}) {
		t.Errorf("no status in protobuf: %q", a.body)
	}

	// Where there is no room, exporters come again.
	leave, err := s.api.intake.enter("default", 4096)
	must(t, err)
	a := s.do("POST", "/v1/logs", oneCall).want(http.StatusServiceUnavailable)
	leave()
	if status(t, a, 14); a.header.Get("Retry-After") == "" {
		t.Error("nothing says when to come again")
	}
	s.do("POST", "/v1/logs", oneCall).want(http.StatusOK)
}

// TestExportAgain: what is the fault of the server, or of the network, is answered so that
// exporters send it again.
func TestExportAgain(t *testing.T) {
	s := newSite(t, Limits{Slow: 50 * time.Millisecond, Request: 100 * time.Millisecond})
	again := func(a *answer) {
		t.Helper()
		if status(t, a.want(http.StatusServiceUnavailable), 14); a.header.Get("Retry-After") == "" {
			t.Errorf("%s: nothing says when to come again", a.body)
		}
	}
	body, never := io.Pipe()
	defer never.Close()
	r := s.request("POST", "/v1/logs", oneCall)
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader(oneCall[:20]), body))
	r.ContentLength = -1
	again(s.send(r))

	// While others are read and recorded, an export waits for its turn.
	exports := s.api.agents.of("default").exports
	for range maxExports {
		exports <- struct{}{}
	}
	again(s.do("POST", "/v1/logs", oneCall))
	for range maxExports {
		<-exports
	}
	s.do("POST", "/v1/logs", oneCall).want(http.StatusOK)

	if p := newProblem(http.StatusInternalServerError, "internal", "x").exporters(); p.Status != http.StatusServiceUnavailable || p.retryAfter == 0 {
		t.Errorf("a fault of the server: %+v", p)
	}
	if p := newProblem(http.StatusForbidden, "agent", "x").exporters(); p.Status != http.StatusForbidden {
		t.Errorf("a refusal: %+v", p)
	}
}

// TestExportLarge refuses what takes much memory, and little on the wire.
func TestExportLarge(t *testing.T) {
	s := newSite(t, Limits{})
	body := `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"attributes":[{}` + strings.Repeat(",{}", 1<<20) + `]}]}]}]}`
	status(t, s.do("POST", "/v1/logs", zipped(t, body), "Content-Encoding", "gzip").want(http.StatusRequestEntityTooLarge), 3)
}
