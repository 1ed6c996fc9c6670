package server

import (
	"encoding/binary"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const grpcLogs = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"

// framed is a message of gRPC.
func framed(text string) string {
	return string(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(text)))) + text
}

// TestExportGRPC speaks gRPC over HTTP/2 without TLS.
func TestExportGRPC(t *testing.T) {
	s := newSite(t, Limits{Body: 4096, Pending: 4096})
	s.http.Close()
	s.http = httptest.NewUnstartedServer(s.api.Handler())
	s.http.Config.Protocols = new(http.Protocols)
	s.http.Config.Protocols.SetUnencryptedHTTP2(true)
	s.http.Start()
	t.Cleanup(s.http.Close)
	transport := &http.Transport{Protocols: s.http.Config.Protocols}
	t.Cleanup(transport.CloseIdleConnections)
	call := func(path, body string, headers ...string) (status int, grpc, message string, answer string) {
		t.Helper()
		r := s.request("POST", path, body, append([]string{"Content-Type", "application/grpc", "Te", "trailers"}, headers...)...)
		resp, err := transport.RoundTrip(r)
		must(t, err)
		defer resp.Body.Close()
		var b strings.Builder
		if _, err := io.Copy(&b, resp.Body); err != nil {
			t.Fatal(err)
		}
		trailer := resp.Trailer
		if len(resp.Header["Grpc-Status"]) > 0 {
			trailer = resp.Header
		}
		return resp.StatusCode, trailer.Get("Grpc-Status"), trailer.Get("Grpc-Message"), b.String()
	}
	for range 2 {
		if status, grpc, message, answer := call(grpcLogs, framed(wireOf(t, oneCall))); status != http.StatusOK || grpc != "0" || answer != framed("") {
			t.Errorf("%d, %s %s, %q", status, grpc, message, answer)
		}
	}
	gz := zipped(t, wireOf(t, oneCall))
	if _, grpc, message, _ := call(grpcLogs, "\x01"+framed(gz)[1:], "Grpc-Encoding", "gzip"); grpc != "0" {
		t.Errorf("gzip: %s %s", grpc, message)
	}
	if got, want := s.types(), "action_validated action_executed"; got != want {
		t.Errorf("recorded %s", got)
	}
	if _, grpc, message, _ := call(grpcLogs, framed("\xff")); grpc != "3" || !strings.Contains(message, "protobuf") {
		t.Errorf("malformed: %s %s", grpc, message)
	}
	if _, grpc, _, _ := call(grpcLogs, framed(strings.Repeat("x", 5000))); grpc != "8" { // RESOURCE_EXHAUSTED
		t.Errorf("too large: %s", grpc)
	}
	if status, _, _, _ := call(grpcLogs, framed(wireOf(t, oneCall)), "Test-Roles", "reader"); status != http.StatusForbidden {
		t.Errorf("a reader records: %d", status)
	}
	if status, _, _, _ := call(grpcLogs, framed(wireOf(t, oneCall)), "Test-Roles", ""); status != http.StatusUnauthorized {
		t.Errorf("nobody in particular records: %d", status)
	}
	if _, grpc, message, _ := call(grpcLogs, framed(wireOf(t, oneCall)), "Test-Roles", "submitter", "Test-Agents", "other"); grpc != "7" {
		t.Errorf("for another agent: %s %s", grpc, message)
	}
	// What other bodies have taken the room of is not read.
	taken := s.api.limits.Body
	must(t, s.api.bodies.Acquire(t.Context(), bodiesRoom-taken+1))
	if _, grpc, message, _ := call(grpcLogs, framed(wireOf(t, oneCall))); grpc != "14" { // UNAVAILABLE
		t.Errorf("without room: %s %s", grpc, message)
	}
	s.api.bodies.Release(bodiesRoom - taken + 1)
	// A bomb is small, and so is what is read of it.
	bomb := zipped(t, strings.Repeat("\x00", 1<<20))
	if _, grpc, message, _ := call(grpcLogs, "\x01"+framed(bomb)[1:], "Grpc-Encoding", "gzip"); grpc != "8" || len(bomb) > 4096 {
		t.Errorf("%d bytes: %s %s", len(bomb), grpc, message)
	}
	// What access is checked for is where it is recorded.
	if status, grpc, _, _ := call(grpcLogs+"?trail=other", framed(wireOf(t, oneCall)), "Test-Roles", "submitter", "Test-Trails", "other"); status != http.StatusOK || grpc != "5" {
		t.Errorf("a trail that is not there: %d, %s", status, grpc)
	}
	leave, err := s.api.intake.enter("default", 4096)
	must(t, err)
	if _, grpc, _, _ := call(grpcLogs, framed(wireOf(t, oneCall))); grpc != "14" {
		t.Errorf("no room: %s", grpc)
	}
	leave()
}
