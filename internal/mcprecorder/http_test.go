package mcprecorder

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/custodylog/custody/ingest"
)

// web is a server behind a proxy.
type web struct {
	t     *testing.T
	sink  *memory
	r     *Recorder
	proxy *Proxy
	front *httptest.Server
}

func newWeb(t *testing.T, o Options, upstream http.HandlerFunc) *web {
	t.Helper()
	back := httptest.NewServer(upstream)
	t.Cleanup(back.Close)
	return newWebAt(t, o, back.URL+"/mcp")
}

func newWebAt(t *testing.T, o Options, upstream string) *web {
	t.Helper()
	u, err := url.Parse(upstream)
	must(t, err)
	w := &web{t: t, sink: newMemory()}
	o.Sink, o.Log, o.Transport = w.sink, quiet, "http"
	w.r = New(o)
	w.proxy = NewProxy(w.r, u, []string{"https://console.example.com"})
	w.front = httptest.NewServer(w.proxy)
	t.Cleanup(w.front.Close)
	return w
}

// do makes a request; headers are name and value in turn.
func (w *web) do(ctx context.Context, method, path, body string, headers ...string) *http.Response {
	w.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, w.front.URL+path, strings.NewReader(body))
	must(w.t, err)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header[headers[i]] = append(r.Header[headers[i]], headers[i+1])
	}
	resp, err := (&http.Transport{DisableCompression: true}).RoundTrip(r)
	must(w.t, err)
	return resp
}

func (w *web) post(body string, headers ...string) string {
	w.t.Helper()
	resp := w.do(w.t.Context(), "POST", "/mcp", body, headers...)
	text, err := io.ReadAll(resp.Body)
	must(w.t, err)
	resp.Body.Close()
	return string(text)
}

// end ends the recorder and returns the types of what it recorded.
func (w *web) end() string {
	w.t.Helper()
	w.front.Close()
	w.proxy.Close()
	must(w.t, w.r.Close(w.t.Context()))
	return w.sink.types()
}

const (
	resultA     = `{"jsonrpc":"2.0","id":1,"result":{"content":[]}}`
	initRequest = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","clientInfo":{"name":"c","version":"1"}}}`
	initResult  = `{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","serverInfo":{"name":"s","version":"1"}}}`
)

// Headers and bodies arrive as they were sent, in both directions.
func TestHeaders(t *testing.T) {
	var got *http.Request
	body := "{ \"id\" : 1.0,\"method\":\"tools/call\", \"params\":{\"name\":\"\\u0061\"} }\n"
	w := newWeb(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		if string(text) != body || r.ContentLength != int64(len(body)) {
			t.Errorf("the body is %q", text)
		}
		got = r
		w.Header()["Content-Type"] = []string{"application/json; charset=utf-8"}
		w.Header()["X-Two"] = []string{"a", "b"}
		w.Write([]byte("{\"id\":1, \"result\":{} }"))
	})
	sent := []string{"Mcp-Method", "tools/call", "Mcp-Name", "=?base64?YQ==?=", "Mcp-Protocol-Version", "2026-07-28", "Authorization", "Bearer x", "X-Forwarded-For", "192.0.2.1", "Accept", "application/json, text/event-stream", "Accept-Encoding", "gzip, identity;q=0", "Origin", "http://localhost:9"}
	resp := w.do(t.Context(), "POST", "/mcp", body, sent...)
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	if string(text) != "{\"id\":1, \"result\":{} }" || resp.Header.Get("Content-Type") != "application/json; charset=utf-8" || !slices.Equal(resp.Header["X-Two"], []string{"a", "b"}) {
		t.Errorf("the answer is %q, %v", text, resp.Header)
	}
	want := http.Header{"Content-Type": {"application/json"}, "Content-Length": {fmt.Sprint(len(body))}, "User-Agent": {"Go-http-client/1.1"}}
	for i := 0; i < len(sent); i += 2 {
		want[sent[i]] = []string{sent[i+1]}
	}
	for name := range want {
		if !slices.Equal(got.Header[name], want[name]) {
			t.Errorf("%s: %q", name, got.Header[name])
		}
		delete(got.Header, name)
	}
	if len(got.Header) > 0 {
		t.Errorf("headers that nobody sent: %v", got.Header)
	}
	if all := w.end(); all != "action_requested action_executed" {
		t.Errorf("recorded %s", all)
	}
}

// Events are forwarded as they come, and the answer among them is recorded.
func TestEventStream(t *testing.T) {
	next := make(chan bool)
	w := newWeb(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, event := range []string{": hello\n\n", "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n", "id: 1\ndata: {\"jsonrpc\":\"2.0\",\ndata:  \"id\":1,\"result\":{}}\n\n"} {
			io.WriteString(w, event)
			http.NewResponseController(w).Flush()
			<-next
		}
	})
	resp := w.do(t.Context(), "POST", "/", callA) // the root is the server itself
	lines := bufio.NewReader(resp.Body)
	for _, want := range []string{": hello\n", "event: message\n", "id: 1\n"} {
		for line := ""; line != want; {
			var err error
			line, err = lines.ReadString('\n')
			must(t, err)
		}
		next <- true
	}
	_, err := io.ReadAll(lines)
	must(t, err)
	if all := w.end(); all != "action_requested action_executed" {
		t.Errorf("recorded %s", all)
	}
}

// A session is one connection, from its first answer to its end.
func TestSession(t *testing.T) {
	w := newWeb(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		text, _ := io.ReadAll(r.Body)
		switch {
		case strings.Contains(string(text), "initialize"):
			w.Header().Set(headerSession, "s1")
			io.WriteString(w, initResult)
		case r.Method == "DELETE":
		case r.Method == "GET": // the answer comes on another stream
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "data: "+resultA+"\n\n")
		case strings.Contains(string(text), "cancelled"):
			w.WriteHeader(http.StatusAccepted)
		default:
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, ": later\n\n")
		}
	})
	w.post(initRequest)
	w.post(callA, headerSession, "s1")
	resp := w.do(t.Context(), "GET", "/mcp", "", headerSession, "s1")
	io.Copy(io.Discard, resp.Body)
	w.post(strings.Replace(callA, `"id":1`, `"id":2`, 1), headerSession, "s1")
	w.post(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}`, headerSession, "s1")
	w.post(strings.Replace(callA, `"id":1`, `"id":3`, 1), headerSession, "s1")
	w.do(t.Context(), "DELETE", "/mcp", "", headerSession, "s1").Body.Close()
	if got, want := w.end(), "tool_server_connected action_requested action_executed action_requested action_cancelled action_requested action_failed:transport tool_server_disconnected"; got != want {
		t.Errorf("recorded %s", got)
	}
	if e := w.sink.seen[1].Event; e.AgentID != "c" || e.Details["mcp_session_id"] != "s1" {
		t.Errorf("%+v", e)
	}
}

// An answer that is compressed goes by as it is, and is recorded.
func TestCompressed(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	io.WriteString(z, resultA)
	z.Close()
	coding := ""
	w := newWeb(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		coding = r.Header.Get("Accept-Encoding")
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(packed.Bytes())
	})
	if got := w.post(callA, "Accept-Encoding", "br, gzip;q=0.5, deflate"); got != packed.String() || coding != "gzip;q=0.5" {
		t.Errorf("%q, %s", got, coding)
	}
	if all := w.end(); all != "action_requested action_executed" {
		t.Errorf("recorded %s", all)
	}
}

func TestOrigins(t *testing.T) {
	w := newWeb(t, Options{}, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusAccepted) })
	for origin, want := range map[string]int{
		"http://localhost:6274": 202, "http://127.0.0.1": 202, "https://[::1]:1": 202, "https://console.example.com": 202,
		"https://example.com": 403, "http://localhost.example.com": 403, "null": 403, "file://localhost": 403, "https://console.example.com.": 403,
	} {
		resp := w.do(t.Context(), "POST", "/mcp", `{"jsonrpc":"2.0","method":"notifications/x"}`, "Origin", origin)
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d", origin, resp.StatusCode)
		}
	}
}

// What is refused does not reach the server, under whichever path it is sent.
func TestRefusedOverHTTP(t *testing.T) {
	w := newWeb(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		text, _ := io.ReadAll(r.Body)
		if strings.Contains(string(text), "tools/call") {
			t.Errorf("the server got %s at %s", text, r.URL)
		}
		io.WriteString(w, `{"client_secret":"x"}`)
	})
	w.sink.set(func(m *memory) { m.stop = &Stop{ID: "stop-1", Reason: "enough"} })
	for _, path := range []string{"/", "/mcp", "/mcp/", "/other"} {
		resp := w.do(t.Context(), "POST", path, callA)
		text, err := io.ReadAll(resp.Body)
		must(t, err)
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" || !strings.Contains(string(text), `"message":"custody: an emergency stop holds: enough"`) {
			t.Errorf("%s: %d %s", path, resp.StatusCode, text)
		}
	}
	// What is beside the server is not read.
	w.do(t.Context(), "POST", "/register", `{"client_name":"x"}`).Body.Close()
	w.do(t.Context(), "GET", "/.well-known/oauth-protected-resource", "").Body.Close()
	if got, want := w.end(), strings.TrimSpace(strings.Repeat("action_requested action_denied ", 4)); got != want {
		t.Errorf("recorded %s", got)
	}
}

func TestUpstreamFails(t *testing.T) {
	for name, tt := range map[string]struct {
		upstream http.HandlerFunc
		want     string
	}{
		"a status": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusUnauthorized) }, "action_requested action_failed:transport"},
		"an error with a status": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"jsonrpc":"2.0","id":1,"error":{"code":-32020,"message":"Mcp-Name"}}`)
		}, "action_requested action_failed:protocol"},
		"an answer that breaks off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "data: {")
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, "action_requested action_failed:transport"},
		"no answer to the call": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "data: {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}\n\n")
		}, "action_requested action_failed:transport"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWeb(t, Options{}, tt.upstream)
			resp := w.do(t.Context(), "POST", "/mcp", callA)
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if got := w.end(); got != tt.want {
				t.Errorf("recorded %s", got)
			}
		})
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	w := newWebAt(t, Options{}, gone.URL)
	for range 2 {
		resp := w.do(t.Context(), "POST", "/", callA)
		text, err := io.ReadAll(resp.Body)
		must(t, err)
		if resp.StatusCode != http.StatusBadGateway || !strings.Contains(string(text), `"id":1`) {
			t.Errorf("%d %s", resp.StatusCode, text)
		}
	}
	if got, want := w.end(), "action_requested action_failed:transport tool_server_failed action_requested action_failed:transport"; got != want {
		t.Errorf("recorded %s", got)
	}
}

// A client that ends the exchange cancels its call.
func TestAbandoned(t *testing.T) {
	arrived, ended := make(chan bool), make(chan bool)
	w := newWeb(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		http.NewResponseController(w).Flush()
		arrived <- true
		<-r.Context().Done()
		ended <- true
	})
	ctx, cancel := context.WithCancel(t.Context())
	resp := w.do(ctx, "POST", "/mcp", callA)
	<-arrived
	cancel()
	resp.Body.Close()
	<-ended
	if got, want := w.end(), "action_requested action_cancelled"; got != want {
		t.Errorf("recorded %s", got)
	}
}

func TestEventSplitter(t *testing.T) {
	for in, want := range map[string]string{
		"data: a\n\n":                                              "a",
		"data:a\r\ndata: b\r\n\r\n":                                "a\nb",
		"data: a\r\rdata:  b\n\n":                                  "a| b",
		"event: endpoint\ndata: /x\n\ndata: a\n\n":                 "a",
		"event: message\ndata: a\n\n: c\nid: 1\n\n":                "a",
		"data: not ended\n":                                        "",
		"data\ndata: a\n\n":                                        "a",
		"retry: 1\n" + strings.Repeat("x", 9000) + "\ndata: a\n\n": "a",
		"data:\ndata:\n\n":                                         "\n",
	} {
		for _, size := range []int{1, 2, 3, len(in)} {
			var all []string
			s := newEventSplitter(func(rec ingest.Record) { all = append(all, string(rec.Text)) })
			for rest := in; rest != ""; {
				n := min(size, len(rest))
				s.add([]byte(rest[:n]))
				rest = rest[n:]
			}
			s.end()
			if got := strings.Join(all, "|"); got != want {
				t.Errorf("%q in pieces of %d: %q", in, size, got)
			}
		}
	}
}

func FuzzEventSplitter(f *testing.F) {
	f.Add([]byte("event: message\r\ndata: a\rdata:b\n\n: x\n\n"), 3)
	f.Fuzz(func(t *testing.T, stream []byte, size int) {
		read := func(size int) string {
			var all []string
			s := newEventSplitter(func(rec ingest.Record) { all = append(all, fmt.Sprintf("%q", rec.Text)) })
			for rest := stream; len(rest) > 0; {
				n := min(size, len(rest))
				s.add(rest[:n])
				rest = rest[n:]
			}
			return strings.Join(all, " ")
		}
		if whole, pieces := read(len(stream)), read(max(1, size)); whole != pieces {
			t.Fatalf("%s, and in pieces %s", whole, pieces)
		}
	})
}
