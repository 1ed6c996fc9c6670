//go:build collector

// Package collector has an OpenTelemetry Collector export to a server that is away, busy
// and killed, and looks at what is in the trail in the end.
package collector

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otellog "go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/client"
	"github.com/custodylog/custody/event"
)

var (
	program   = flag.String("custody", "", "the `FILE` of the program")
	collector = flag.String("collector", "", "the `FILE` of the collector")
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// address returns one that nobody listens at.
func address(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	return l.Addr().String()
}

// buffer is what a process writes.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// site is a server and the collector that exports to it.
type site struct {
	t          *testing.T
	dir        string
	http, grpc string // where the server listens
	to         string // where the collector does
	server     *exec.Cmd
	said       buffer // by the collector
}

// room is how many bytes of events wait to be written at most: those of one call. An
// export that comes with another request is answered with 503.
const room = "4KiB"

// serve starts the server, and returns once it listens.
func (s *site) serve() {
	s.t.Helper()
	config := fmt.Sprintf("version: 1\ndata: %q\nlisten: %s\norigin: example.org\nlimits: {pending: %s}\notlp: {listen_grpc: %q}\n", filepath.Join(s.dir, "data"), s.http, room, s.grpc)
	name := filepath.Join(s.dir, "custody.yaml")
	check(s.t, os.WriteFile(name, []byte(config), 0o600))
	s.server = exec.Command(*program, "serve", "--config", name)
	out, err := s.server.StdoutPipe()
	check(s.t, err)
	check(s.t, s.server.Start())
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if name, _, _ := strings.Cut(lines.Text(), "  "); name == "listening" {
			return
		}
	}
	s.t.Fatal("the server does not listen")
}

// kill ends the server at once.
func (s *site) kill() {
	s.server.Process.Kill()
	s.server.Wait()
}

// keepFull keeps the server busy with events of others until ctx ends.
func (s *site) keepFull(ctx context.Context) {
	body := `{"event_type":"turn_started","session_id":"` + strings.Repeat("x", 1000) + `","details":{"x":"` + strings.Repeat("x", 2900) + `"}}`
	for range 64 {
		go func() {
			for ctx.Err() == nil {
				r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.http+"/v1/trails/default/events", strings.NewReader(body))
				if err != nil {
					return
				}
				r.Header.Set("Content-Type", "application/json")
				if resp, err := http.DefaultClient.Do(r); err == nil {
					resp.Body.Close()
				}
			}
		}()
	}
}

// collect starts a collector, and returns what stops it once it has delivered all it has.
func (s *site) collect(exporter string) (stop func()) {
	s.t.Helper()
	patience := "retry_on_failure: {initial_interval: 100ms, max_interval: 1s, max_elapsed_time: 0}\n    sending_queue: {num_consumers: 10}"
	kind, _, _ := strings.Cut(exporter, ":")
	config := fmt.Sprintf(`
receivers:
  otlp: {protocols: {http: {endpoint: %s}}}
exporters:
  %s
    %s
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    logs: {receivers: [otlp], exporters: [%s]}
    traces: {receivers: [otlp], exporters: [%s]}
`, s.to, exporter, patience, kind, kind)
	name := filepath.Join(s.dir, "collector.yaml")
	check(s.t, os.WriteFile(name, []byte(config), 0o600))
	cmd := exec.Command(*collector, "--config", name)
	said, err := cmd.StderrPipe()
	check(s.t, err)
	check(s.t, cmd.Start())
	ready, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(said); lines.Scan(); {
			fmt.Fprintln(&s.said, lines.Text())
			if strings.Contains(lines.Text(), "Everything is ready") {
				close(ready)
			}
		}
	}()
	select {
	case <-ready:
	case <-done:
		s.t.Fatalf("the collector does not start:\n%s", &s.said)
	}
	return sync.OnceFunc(func() {
		cmd.Process.Signal(os.Interrupt)
		<-done
		if err := cmd.Wait(); err != nil {
			s.t.Errorf("the collector: %v", err)
		}
	})
}

// agent makes calls and tells the collector of each, as two agents do: one by a span, the
// other by two log records. Each is an export of its own.
type agent struct {
	spans *sdktrace.TracerProvider
	logs  *sdklog.LoggerProvider
	calls int // so far
}

func newAgent(t *testing.T, to string) *agent {
	t.Helper()
	of := func(service string) *resource.Resource {
		return resource.NewSchemaless(attribute.String("service.name", service))
	}
	spans, err := otlptracehttp.New(t.Context(), otlptracehttp.WithInsecure(), otlptracehttp.WithEndpoint(to))
	check(t, err)
	logs, err := otlploghttp.New(t.Context(), otlploghttp.WithInsecure(), otlploghttp.WithEndpoint(to))
	check(t, err)
	a := &agent{
		spans: sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans), sdktrace.WithResource(of("example"))),
		logs:  sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewSimpleProcessor(logs)), sdklog.WithResource(of("claude-code"))),
	}
	t.Cleanup(func() {
		ctx := context.Background()
		if err := a.spans.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := a.logs.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return a
}

// call makes n calls.
func (a *agent) call(ctx context.Context, n int) {
	input := `{"command":"` + strings.Repeat("x", 2048) + `"}`
	for range n {
		id := fmt.Sprintf("toolu_%03d", a.calls)
		if a.calls++; a.calls%2 == 0 {
			_, span := a.spans.Tracer("example.org/agent").Start(ctx, "execute_tool Bash")
			span.SetAttributes(attribute.String("gen_ai.operation.name", "execute_tool"), attribute.String("gen_ai.tool.name", "Bash"),
				attribute.String("gen_ai.tool.call.id", id), attribute.String("gen_ai.tool.call.arguments", input))
			span.End()
			continue
		}
		for name, attributes := range map[string][]attribute.KeyValue{
			"tool_decision": {attribute.String("decision", "accept"), attribute.String("source", "config"), attribute.String("tool_parameters", input)},
			"tool_result":   {attribute.String("success", "true"), attribute.String("tool_input", input)},
		} {
			var r otellog.Record
			r.SetTimestamp(time.Now())
			r.SetBody(attribute.StringValue("claude_code." + name))
			r.AddAttributes(append(attributes, attribute.String("tool_use_id", id), attribute.String("tool_name", "Bash"), attribute.String("session.id", "s1"))...)
			a.logs.Logger("com.anthropic.claude_code.events").Emit(ctx, r)
		}
	}
}

// wait returns once the trail has n events of calls.
func (s *site) wait(n int) *client.Trail {
	s.t.Helper()
	trail, err := client.Open(s.t.Context(), "http://"+s.http, nil)
	check(s.t, err)
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	for _, err := range trail.Subscribe(ctx, custody.Query{Types: ofCalls, Limit: n}) {
		if err != nil {
			s.t.Fatalf("%v; the collector said:\n%s", err, &s.said)
		}
	}
	return trail
}

var ofCalls = []event.Type{event.ActionRequested, event.ActionValidated, event.ActionExecuted, event.ActionObserved}

// TestCollector: whatever happens to the server meanwhile, each call is in the trail once.
func TestCollector(t *testing.T) {
	for _, c := range []struct {
		name     string
		exporter func(*site) string
		full     string // what it says of a server that has no room
	}{
		{"json", func(s *site) string { return "otlp_http:\n    endpoint: http://" + s.http + "\n    encoding: json" }, "HTTP Status Code 503"},
		{"protobuf", func(s *site) string { return "otlp_http:\n    endpoint: http://" + s.http + "\n    compression: zstd" }, "HTTP Status Code 503"},
		{"grpc", func(s *site) string { return "otlp_grpc:\n    endpoint: " + s.grpc + "\n    tls: {insecure: true}" }, "code = Unavailable desc = too many events"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &site{t: t, dir: t.TempDir(), http: address(t), grpc: address(t), to: address(t)}
			stop := s.collect(c.exporter(s))
			defer stop()
			a := newAgent(t, s.to)

			a.call(t.Context(), 20) // the server is not there yet
			s.serve()
			defer func() { s.kill() }()
			s.wait(10) // of 40
			s.kill()
			a.call(t.Context(), 10)
			s.serve()
			ctx, idle := context.WithCancel(t.Context())
			s.keepFull(ctx)
			for a.call(ctx, 10); a.calls < 1000 && !strings.Contains(s.said.String(), c.full); {
				a.call(ctx, 1)
			}
			idle()
			trail := s.wait(2 * a.calls)
			stop() // nothing comes any more

			told := map[string][]string{} // by the agent's id of the call
			for entry, err := range trail.Entries(t.Context(), custody.Query{Types: ofCalls}) {
				check(t, err)
				e, err := entry.Event()
				check(t, err)
				id, _ := e.Details["call_id"].(string)
				told[id] = append(told[id], string(e.Type))
				if e.ActionID != id {
					t.Errorf("the call %s is the action %s", id, e.ActionID)
				}
			}
			if len(told) != a.calls {
				t.Errorf("the trail has %d calls; there were %d", len(told), a.calls)
			}
			for id, types := range told {
				if len(types) != 2 || types[0] == types[1] {
					t.Errorf("of the call %s the trail has %q", id, types)
				}
			}
			for _, want := range []string{"connection refused", c.full} {
				if !strings.Contains(s.said.String(), want) {
					t.Errorf("the collector was never told: %s", want)
				}
			}
			if strings.Contains(s.said.String(), "Dropping data") {
				t.Errorf("the collector dropped something:\n%s", &s.said)
			}
		})
	}
}
