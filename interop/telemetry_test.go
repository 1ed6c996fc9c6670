package interop

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

// receiver is a server that listens for telemetry.
type receiver struct {
	t               *testing.T
	url, http, grpc string
}

var otlpListens = regexp.MustCompile(`setting=otlp\.listen_(http|grpc) address=(\S+)`)

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	dir := t.TempDir()
	config := fmt.Sprintf("version: 1\ndata: %q\nlisten: 127.0.0.1:0\norigin: example.org\notlp: {listen_http: \"127.0.0.1:0\", listen_grpc: \"127.0.0.1:0\"}\n", filepath.Join(dir, "data"))
	must(t, os.WriteFile(filepath.Join(dir, "custody.yaml"), []byte(config), 0o600))
	server := exec.Command(filepath.Join(filepath.Dir(fsckProgram), "custody"), "serve", "--config", filepath.Join(dir, "custody.yaml"))
	out := get(server.StdoutPipe())(t)
	log := get(os.Create(filepath.Join(dir, "log")))(t)
	server.Stderr = log
	must(t, server.Start())
	t.Cleanup(func() {
		server.Process.Signal(os.Interrupt)
		if err := server.Wait(); err != nil {
			t.Error(err)
		}
		log.Close()
	})
	r := &receiver{t: t}
	for lines := bufio.NewScanner(out); r.url == "" && lines.Scan(); {
		if name, value, _ := strings.Cut(lines.Text(), "  "); name == "listening" {
			r.url = strings.TrimSpace(value)
		}
	}
	for _, m := range otlpListens.FindAllStringSubmatch(string(get(os.ReadFile(log.Name()))(t)), -1) {
		if m[1] == "http" {
			r.http = m[2]
		} else {
			r.grpc = m[2]
		}
	}
	if r.url == "" || r.http == "" || r.grpc == "" {
		t.Fatalf("the server does not listen: %+v", r)
	}
	return r
}

// entry is one of a list of events.
type entry struct {
	Type  string
	Event struct {
		ID, Source string
		Details    map[string]any
	}
}

// recorded returns the events of the trail default, without what it says of itself.
func (r *receiver) recorded() []entry {
	r.t.Helper()
	resp := get(http.Get(r.url + "/v1/trails/default/events"))(r.t)
	defer resp.Body.Close()
	body := get(io.ReadAll(resp.Body))(r.t)
	var list struct{ Entries []entry }
	if err := json.Unmarshal(body, &list); err != nil || len(list.Entries) == 0 {
		r.t.Fatalf("%s, %v: %s", resp.Status, err, body)
	}
	return list.Entries[1:] // behind log_opened
}

// TestTelemetrygen takes in what OpenTelemetry's generator exports, over HTTP and gRPC.
func TestTelemetrygen(t *testing.T) {
	r := newReceiver(t)
	for name, to := range map[string][]string{"http": {"--otlp-http", "--otlp-endpoint", r.http}, "grpc": {"--otlp-endpoint", r.grpc}} {
		t.Run(name, func(t *testing.T) {
			before := len(r.recorded())
			for _, what := range [][]string{
				{"logs", "--logs", "2", "--body", "tool_decision", "--telemetry-attributes", `decision="reject"`},
				{"traces", "--traces", "1", "--telemetry-attributes", `gen_ai.operation.name="execute_tool"`, "--telemetry-attributes", `gen_ai.tool.name="ls"`}, // a span in another, both of one call
				{"metrics", "--metrics", "1"},
			} {
				args := slices.Concat(what, to, []string{"--otlp-insecure", "--service", "example", "--rate", "100"})
				out, err := exec.CommandContext(t.Context(), filepath.Join(filepath.Dir(fsckProgram), "telemetrygen"), args...).CombinedOutput()
				if err != nil || strings.Contains(string(out), "ERROR") {
					t.Fatalf("telemetrygen %q: %v\n%s", args, err, out)
				}
			}
			var types []string
			for _, e := range r.recorded()[before:] {
				types = append(types, e.Type)
				if e.Event.Source != "example/otel" {
					t.Errorf("source %q", e.Event.Source)
				}
			}
			if got, want := strings.Join(types, " "), "otel_log otel_log action_requested action_executed"; got != want {
				t.Errorf("recorded %s", got)
			}
		})
	}
}

// TestCloudEvents takes in what the SDK of CloudEvents sends, in both modes, and the
// batch that it makes.
func TestCloudEvents(t *testing.T) {
	r := newReceiver(t)
	client := get(cloudevents.NewClientHTTP())(t)
	ctx := cloudevents.ContextWithTarget(t.Context(), r.url+"/v1/trails/default/events")
	newEvent := func(id string) cloudevents.Event {
		e := cloudevents.NewEvent()
		e.SetID(id)
		e.SetSource("https://example.com/agents")
		e.SetType("custody.action_denied")
		e.SetExtension("comexample", "x")
		must(t, e.SetData(cloudevents.ApplicationJSON, map[string]any{"agent_id": "a", "action_id": "1", "session_id": "s", "decision": "deny", "decision_source": "policy", "details": map[string]any{"tool_name": "rm", "reasons": []string{"no"}}}))
		return e
	}
	for _, mode := range []string{"structured", "binary"} {
		with := cloudevents.WithEncodingStructured(ctx)
		if mode == "binary" {
			with = cloudevents.WithEncodingBinary(ctx)
		}
		if result := client.Send(with, newEvent(mode)); !cloudevents.IsACK(result) {
			t.Errorf("%s: %v", mode, result)
		}
	}
	request := get(cehttp.NewHTTPRequestFromEvents(t.Context(), r.url+"/v1/trails/default/events", []cloudevents.Event{newEvent("batch 1"), newEvent("batch 2")}))(t)
	resp := get(http.DefaultClient.Do(request))(t)
	defer resp.Body.Close()
	if body := get(io.ReadAll(resp.Body))(t); resp.StatusCode != http.StatusCreated || !cehttp.IsHTTPBatch(request.Header) {
		t.Errorf("batch: %d: %s", resp.StatusCode, body)
	}
	all, sent := r.recorded(), []string{"structured", "binary", "batch 1", "batch 2"}
	if len(all) != len(sent) {
		t.Fatalf("%d events", len(all))
	}
	for i, mode := range sent {
		e := all[i]
		attributes, _ := e.Event.Details["cloudevent"].(map[string]any)
		if e.Type != "action_denied" || e.Event.ID != "https://example.com/agents "+mode || e.Event.Details["tool_name"] != "rm" || attributes["comexample"] != "x" {
			t.Errorf("%s: %+v", mode, e)
		}
	}
}
