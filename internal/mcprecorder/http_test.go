package mcprecorder

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"
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

// What is before and behind an answer arrives as well.
func TestHintsAndTrailers(t *testing.T) {
	w := newWeb(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, resultA)
		w.Header().Set("X-Sum", "1")
	})
	hints := ""
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		hints = fmt.Sprint(code, h.Get("Link"))
		return nil
	}})
	resp := w.do(ctx, "POST", "/mcp", callA)
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	if hints != "103</a>" || string(text) != resultA || resp.Trailer.Get("X-Sum") != "1" {
		t.Errorf("%s, %s, %v", hints, text, resp.Trailer)
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
		if strings.Contains(string(text), "tools/call") && r.URL.Path != "/token" {
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
	twice := `{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"a"}}`
	wide := "\xff\xfe" + strings.Join(strings.Split(callA, ""), "\x00") + "\x00"
	for _, tt := range []struct {
		method, path, body, header, value string
		want                              int
	}{
		{"PUT", "/mcp", callA, "", "", 200},
		{"POST", "/other", twice, "", "", 200},
		{"POST", "/MCP/", wide, "Content-Type", "text/plain; charset=utf-16", 200},
		{"POST", "/other", wide, "Content-Type", "application/json; charset=utf-16", 200},
		{"POST", "/other", "[{\"x\":1}," + callA + "]", "", "", 200},
		{"POST", "/other", " [" + callA + ",{\"x\":1}]", "Content-Type", "text/plain", 200},
		{"POST", "/other", strings.Replace(callA, "method", "Method", 1), "Content-Type", "text/plain", 200},
		{"POST", "/other", strings.Replace(callA, `"id":1,`, "", 1), "Content-Type", "text/plain", 403},
		{"POST", "/other", "\xef\xbb\xbf" + twice, "Content-Type", "application/x-www-form-urlencoded", 200},
		{"POST", "/other", wide, "Content-Type", "text/plain", 200},
		{"POST", "/other", "\x00" + strings.Join(strings.Split(callA, ""), "\x00"), "Content-Type", "text/plain", 200}, // big-endian
		{"POST", "/other", "packed", "Content-Encoding", "gzip", 415},
		{"POST", "/mcp", `{"jsonrpc":"2.0","id":7,"result":{},"result":{}}`, "", "", 403}, // nobody waits for an answer
	} {
		r, err := http.NewRequest(tt.method, w.front.URL+tt.path, strings.NewReader(tt.body))
		must(t, err)
		r.Header.Set("Content-Type", "application/json")
		if tt.header != "" {
			r.Header.Set(tt.header, tt.value)
		}
		resp, err := http.DefaultClient.Do(r)
		must(t, err)
		text, err := io.ReadAll(resp.Body)
		must(t, err)
		resp.Body.Close()
		if resp.StatusCode != tt.want || strings.Contains(string(text), "client_secret") {
			t.Errorf("%s %s %q: %d %s", tt.method, tt.path, tt.body, resp.StatusCode, text)
		}
	}
	// What is beside the server is not read.
	w.do(t.Context(), "POST", "/register", `{"client_name":"x"}`).Body.Close()
	w.do(t.Context(), "POST", "/note", "\n{\"client_name\":\"x\"}", "Content-Type", "text/plain").Body.Close()
	r, err := http.Post(w.front.URL+"/token", "application/x-www-form-urlencoded", strings.NewReader("code=tools/call"))
	must(t, err)
	r.Body.Close()
	w.do(t.Context(), "GET", "/.well-known/oauth-protected-resource", "").Body.Close()
	if got, want := w.end(), strings.TrimSpace(strings.Repeat("action_requested action_denied ", 5)+strings.Repeat("mcp_unreadable ingest_rejected ", 11)); got != want {
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
		"a method that is not known, in a session": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "x, application/json") // as clients read it, too
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"tools/call"}}`)
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
			var session []string
			if strings.HasSuffix(name, "in a session") {
				session = []string{headerSession, "s1"}
			}
			resp := w.do(t.Context(), "POST", "/mcp", callA, session...)
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

// A client that is sent to another address of the server comes there by the recorder; it is
// not sent elsewhere.
func TestRedirect(t *testing.T) {
	to := ""
	w := newWeb(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.URL.Path != "/mcp/" {
			w.Header()["Location"] = []string{strings.Replace(to, "UPSTREAM", r.Host, 1)}
			w.WriteHeader(http.StatusTemporaryRedirect)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, resultA)
	})
	for _, to = range []string{"http://UPSTREAM/mcp/", "/mcp/"} {
		resp, err := http.Post(w.front.URL+"/mcp", "application/json", strings.NewReader(callA))
		must(t, err)
		text, err := io.ReadAll(resp.Body)
		must(t, err)
		resp.Body.Close()
		if string(text) != resultA || resp.Request.URL.String() != w.front.URL+"/mcp/" {
			t.Errorf("%s: %s of %s", to, text, resp.Request.URL)
		}
	}
	elsewhere := []string{
		"https://UPSTREAM/mcp/", "http://example.com/", "//example.com/", "http://%",
		// Without the host these are of another one.
		"http://UPSTREAM//example.com/mcp", "http://UPSTREAM/.//example.com/mcp", "//UPSTREAM//example.com/mcp", "/.//example.com/mcp", "///example.com/mcp",
	}
	for _, to = range elsewhere {
		if got := w.post(callA); !strings.Contains(got, "another address") {
			t.Errorf("%s: %s", to, got)
		}
		// What is no message may go there, such as a browser that is to log in.
		resp := w.do(t.Context(), "GET", "/authorize", "")
		resp.Body.Close()
		if resp.StatusCode != http.StatusTemporaryRedirect {
			t.Errorf("%s: %d", to, resp.StatusCode)
		}
	}
	// Clients take \ for /.
	for _, to = range []string{`http://UPSTREAM/\example.com/mcp`, `/\example.com/mcp`} {
		resp := w.do(t.Context(), "GET", "/authorize", "")
		resp.Body.Close()
		if got := resp.Header.Get("Location"); got != "/%5Cexample.com/mcp" {
			t.Errorf("%s: %s", to, got)
		}
	}
	const call, failed = "action_requested ", "action_failed:transport "
	want := strings.Repeat(call+failed+call+"action_executed ", 2) + strings.Repeat(call+failed+"tool_server_failed ", len(elsewhere))
	if got := w.end(); got != strings.TrimSpace(want) {
		t.Errorf("recorded %s", got)
	}
	if why := w.sink.seen[1].Event.Details["error"]; why != "the server answered with HTTP status 307 Temporary Redirect" {
		t.Errorf("the first request failed because of %q", why)
	}
}

// A client that ends the exchange cancels its call, by the revision that says so. Before
// it, nobody knows; in a session the answer may come on another stream.
func TestAbandoned(t *testing.T) {
	modern := strings.Replace(callA, `"name":"a"`, `"name":"a","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}`, 1)
	for name, tt := range map[string]struct{ call, session, want string }{
		"2026-07-28":   {modern, "", "action_requested action_cancelled"},
		"before":       {callA, "", "action_requested action_failed:transport"},
		"in a session": {callA, "s1", "action_requested action_executed"},
	} {
		t.Run(name, func(t *testing.T) {
			arrived, ended := make(chan bool), make(chan bool)
			w := newWeb(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "text/event-stream")
				if r.Method == "GET" {
					io.WriteString(w, "data: "+resultA+"\n\n")
					return
				}
				http.NewResponseController(w).Flush()
				arrived <- true
				<-r.Context().Done()
				ended <- true
			})
			ctx, cancel := context.WithCancel(t.Context())
			var session []string
			if tt.session != "" {
				session = []string{headerSession, tt.session}
			}
			resp := w.do(ctx, "POST", "/mcp", tt.call, session...)
			<-arrived
			cancel()
			resp.Body.Close()
			<-ended
			resp = w.do(t.Context(), "GET", "/mcp", "", session...)
			io.Copy(io.Discard, resp.Body)
			if got := w.end(); got != tt.want {
				t.Errorf("recorded %s", got)
			}
		})
	}
}

// A session that ends while a call runs does not keep what came of the call out of the
// record.
func TestSessionEndsFirst(t *testing.T) {
	arrived, goOn := make(chan bool), make(chan bool)
	w := newWeb(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "DELETE" {
			return
		}
		io.Copy(io.Discard, r.Body)
		arrived <- true
		<-goOn
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, resultA)
	})
	answered := make(chan string)
	go func() { answered <- w.post(callA, headerSession, "s1") }()
	<-arrived
	w.do(t.Context(), "DELETE", "/mcp", "", headerSession, "s1").Body.Close()
	goOn <- true
	<-answered
	if got, want := w.end(), "action_requested action_failed:transport action_executed"; got != want {
		t.Errorf("recorded %s", got)
	}
}

// A session that the server does not know any more has ended.
func TestSessionUnknown(t *testing.T) {
	sessions := 0
	w := newWeb(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		if !strings.Contains(string(text), "initialize") {
			http.Error(w, "no", http.StatusNotFound)
			return
		}
		sessions++
		w.Header().Set(headerSession, fmt.Sprint("s", sessions))
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, initResult)
	})
	w.post(initRequest)
	w.post(callA, headerSession, "s1")
	w.post(initRequest)
	if got, want := w.end(), "tool_server_connected action_requested action_failed:transport tool_server_disconnected tool_server_connected tool_server_disconnected"; got != want {
		t.Errorf("recorded %s", got)
	}
}

// A server that gives a second client the session of a first one does not make the calls
// of the first one be forgotten.
func TestSessionTwice(t *testing.T) {
	w := newWeb(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		w.Header().Set(headerSession, "s1")
		w.Header().Set("Content-Type", "text/event-stream")
		if strings.Contains(string(text), "initialize") {
			io.WriteString(w, "data: "+initResult+"\n\n")
		}
	})
	w.post(initRequest)
	w.post(callA, headerSession, "s1")
	w.post(initRequest)
	if got, want := w.end(), "tool_server_connected action_requested action_failed:transport tool_server_disconnected tool_server_connected tool_server_disconnected"; got != want {
		t.Errorf("recorded %s", got)
	}
}

// A call that goes on as a task is one action, whichever exchange has its result.
func TestTaskOverHTTP(t *testing.T) {
	w := newWeb(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		text, _ := io.ReadAll(r.Body)
		if strings.Contains(string(text), "tasks/get") {
			io.WriteString(w, `{"jsonrpc":"2.0","id":2,"result":{"resultType":"complete","taskId":"t","status":"completed","result":{"isError":true,"content":[]}}}`)
			return
		}
		io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"resultType":"task","taskId":"t","status":"working"}}`)
	})
	w.post(callA)
	w.post(`{"jsonrpc":"2.0","id":2,"method":"tasks/get","params":{"taskId":"t"}}`)
	if got, want := w.end(), "action_requested action_failed:tool"; got != want {
		t.Errorf("recorded %s", got)
	}
	if a, b := w.sink.seen[0].Event.ActionID, w.sink.seen[1].Event.ActionID; a == "" || a != b {
		t.Errorf("the call is of action %q, and its end of %q", a, b)
	}
}

// What is longer than is read is refused, and there is a note of it.
func TestTooLongOverHTTP(t *testing.T) {
	w := newWeb(t, Options{}, func(http.ResponseWriter, *http.Request) { t.Error("the server got it") })
	resp, err := http.Post(w.front.URL+"/mcp", "application/json", bytes.NewReader(tooLong()))
	must(t, err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d", resp.StatusCode)
	}
	if got, want := w.end(), "mcp_unreadable ingest_rejected"; got != want {
		t.Errorf("recorded %s", got)
	}
}

// What would go by unread does not: a protocol that is no HTTP, and a coding.
func TestUnread(t *testing.T) {
	var got *http.Request
	w := newWeb(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "br")
		io.WriteString(w, "x")
	})
	if w.post(callA, "Connection", "Upgrade", "Upgrade", "websocket"); got.Header["Upgrade"] != nil || got.Header["Connection"] != nil {
		t.Errorf("the server is asked for %q", got.Header["Upgrade"])
	}
	resp := w.do(t.Context(), "GET", "/mcp?a;b=%zz", "")
	resp.Body.Close()
	if got.URL.RawQuery != "a;b=%zz" {
		t.Errorf("the query is %q", got.URL.RawQuery)
	}
	if all := w.end(); all != "action_requested action_failed:transport" {
		t.Errorf("recorded %s", all)
	}
	if why, _ := w.sink.seen[1].Event.Details["error"].(string); !strings.Contains(why, `"br"`) {
		t.Errorf("the call failed because of %q", why)
	}
}
