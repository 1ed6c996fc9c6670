package server

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/wire"
)

func TestRecordOne(t *testing.T) {
	s := newSite(t, Limits{})
	first := s.record(turn("e1", "s"))
	e, err := s.trail(trails.Default).Entry(t.Context(), *first.Index)
	must(t, err)
	ev, err := e.Event()
	must(t, err)
	if ev.ID != "e1" || e.Hash.String() != first.Hash || ev.Principal != "test:"+everybody {
		t.Errorf("recorded is %+v, the receipt %+v", ev, first)
	}
	v, err := evidence.ParseVerifier(s.trail(trails.Default).FirstKey())
	must(t, err)
	if c, _, err := evidence.OpenCheckpoint([]byte(first.Checkpoint), v); err != nil || c.Size <= *first.Index {
		t.Errorf("its checkpoint: size %d, %v", c.Size, err)
	}

	again := decode[wire.Receipt](s.do("POST", events, turn("e1", "s")).want(200))
	if !again.Duplicate || *again.Index != *first.Index || again.Hash != first.Hash {
		t.Errorf("sent again: %+v, the first time %+v", again, first)
	}
	s.do("POST", events, turn("e1", "other")).problem(409, "conflict")
	if s.size() != *first.Index+1 {
		t.Errorf("the trail has %d entries", s.size())
	}
}

func TestRecordArray(t *testing.T) {
	s := newSite(t, Limits{Batch: 3})
	receipts := decode[[]wire.Receipt](s.do("POST", events, " \n["+turn("a", "s")+","+turn("b", "s")+"]").want(201))
	if len(receipts) != 2 || receipts[0].ID != "a" || *receipts[1].Index != *receipts[0].Index+1 {
		t.Errorf("receipts %+v", receipts)
	}
	s.do("POST", events, "["+turn("a", "s")+"]").want(200)
	if got := decode[[]wire.Receipt](s.do("POST", events, "[]").want(200)); len(got) != 0 {
		t.Errorf("receipts of nothing: %+v", got)
	}
	size := s.size()
	for name, tt := range map[string]struct {
		body     string
		status   int
		code     string
		location string
	}{
		"one refused":    {"[" + turn("c", "s") + `,{"event_type":"turn_ended","details":{"n":1e999}}]`, 422, "invalid", "body[1]/details/n"},
		"one conflicts":  {"[" + turn("c", "s") + "," + turn("a", "x") + "]", 409, "conflict", "body[1]"},
		"one malformed":  {"[" + turn("c", "s") + `,{"id":"d","id":"d"}]`, 400, "malformed", "body[1], byte 11"},
		"no objects":     {`[1]`, 400, "malformed", "body[0], byte 1"},
		"cut off":        {"[" + turn("c", "s"), 400, "malformed", ""},
		"something else": {"[" + turn("c", "s") + "] x", 400, "malformed", ""},
		"too many":       {"[" + strings.Repeat(turn("", "s")+",", 3) + turn("", "s") + "]", 413, "too_large", ""},
	} {
		p := s.do("POST", events, tt.body).problem(tt.status, tt.code)
		if tt.location != "" && (len(p.Errors) != 1 || p.Errors[0].Location != tt.location) {
			t.Errorf("%s: errors %+v, want one at %s", name, p.Errors, tt.location)
		}
	}
	if s.size() != size {
		t.Errorf("of arrays that were refused, %d events were recorded", s.size()-size)
	}
}

func TestStrict(t *testing.T) {
	s := newSite(t, Limits{})
	const denied = `{"event_type":"action_denied","decision":"allow"}`
	p := s.do("POST", events+"?strict=true", denied).problem(422, "invalid")
	var at []string
	for _, f := range p.Errors {
		at = append(at, f.Location)
	}
	if !strings.Contains(strings.Join(at, " "), "body/agent_id") || !strings.Contains(strings.Join(at, " "), "body/decision") {
		t.Errorf("faults at %q", at)
	}
	s.do("POST", events, denied).want(201)
	s.do("POST", events+"?strict=true", `{"event_type":"turn_ended","session_id":"s"}`).want(201)
	s.do("POST", events+"?strict=x", denied).problem(422, "invalid")
	s.do("POST", events+"?sync=1", denied).problem(422, "invalid")
}

// lines reads the answers of a stream.
func lines(t *testing.T, body []byte) (all []recordedLine) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(body))
	for {
		var l recordedLine
		if err := dec.Decode(&l); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
}

func TestRecordStream(t *testing.T) {
	s := newSite(t, Limits{Line: 4096})
	body := strings.Join([]string{
		turn("a", "s"), "{bad", "", turn("b", "s"), turn("a", "s"), turn("a", "other"),
		`{"event_type":"turn_ended","details":"` + strings.Repeat("x", 5000) + `"}`, turn("c", "s"),
	}, "\n")
	a := s.do("POST", events, body, "Content-Type", typeNDJSON+"; charset=utf-8").want(200)
	want := "1 a, 2 400 malformed, 4 b, 5 duplicate, 6 409 conflict, 7 413 too_large, 8 c"
	if got := summary(lines(t, a.body)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// summary says in short how lines are answered.
func summary(all []recordedLine) string {
	var said []string
	for _, l := range all {
		switch {
		case l.Error != nil:
			said = append(said, fmt.Sprint(l.Line, " ", l.Error.Status, " ", l.Error.Code))
		case l.Receipt.Duplicate:
			said = append(said, fmt.Sprint(l.Line, " duplicate"))
		default:
			said = append(said, fmt.Sprint(l.Line, " ", l.Receipt.ID))
		}
	}
	return strings.Join(said, ", ")
}

// Each line is answered when its event is on the disk, while the body goes on.
func TestStreamIsAnsweredAsItComes(t *testing.T) {
	s := newSite(t, Limits{})
	body, feed := io.Pipe()
	r := s.request("POST", events, "", "Content-Type", typeNDJSON)
	r.Body, r.ContentLength = body, -1
	go io.WriteString(feed, turn("e0", "s")+"\n")
	resp, err := http.DefaultClient.Do(r)
	must(t, err)
	defer resp.Body.Close()
	answers := bufio.NewScanner(resp.Body)
	for i := range 5 {
		if !answers.Scan() || !strings.Contains(answers.Text(), fmt.Sprintf(`"id":"e%d"`, i)) {
			t.Fatalf("line %d is answered by %q, %v", i+1, answers.Text(), answers.Err())
		}
		if _, err := io.WriteString(feed, turn(fmt.Sprint("e", i+1), "s")+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	feed.Close()
	n := 0
	for answers.Scan() {
		n++
	}
	if n != 1 || answers.Err() != nil {
		t.Errorf("after the end %d lines, %v", n, answers.Err())
	}
}

// A long stream comes through whole, in order.
func TestLongStream(t *testing.T) {
	s := newSite(t, Limits{})
	var body bytes.Buffer
	const n = 5000
	for i := range n {
		body.WriteString(turn(fmt.Sprint("e", i), "s") + "\n")
	}
	answers := lines(t, s.do("POST", events, body.String(), "Content-Type", typeNDJSON).want(200).body)
	if len(answers) != n {
		t.Fatalf("%d answers", len(answers))
	}
	for i, l := range answers {
		if l.Line != i+1 || l.Receipt == nil || l.Receipt.ID != fmt.Sprint("e", i) || *l.Receipt.Index != uint64(i+1) {
			t.Fatalf("line %d: %+v", i+1, l)
		}
	}
}

func compressed(t *testing.T, coding string, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&b)
	if coding == "zstd" {
		z, err := zstd.NewWriter(&b)
		must(t, err)
		w = z
	}
	_, err := w.Write(plain)
	must(t, err)
	must(t, w.Close())
	return b.Bytes()
}

func TestCompressedBodies(t *testing.T) {
	s := newSite(t, Limits{Body: 1 << 20})
	for _, coding := range []string{"gzip", "zstd"} {
		t.Run(coding, func(t *testing.T) {
			whole := string(compressed(t, coding, []byte(turn("", coding))))
			s.do("POST", events, whole, "Content-Encoding", coding).want(201)
			stream := string(compressed(t, coding, []byte(strings.Repeat(turn("", coding)+"\n", 100))))
			if a := s.do("POST", events, stream, "Content-Encoding", coding, "Content-Type", typeNDJSON).want(200); len(lines(t, a.body)) != 100 {
				t.Errorf("answers: %s", a.body)
			}
			bomb := string(compressed(t, coding, append([]byte(turn("", coding)), bytes.Repeat([]byte(" "), 100<<20)...)))
			s.do("POST", events, bomb, "Content-Encoding", coding).problem(413, "too_large")
			long := string(compressed(t, coding, []byte(`{"event_type":"`+strings.Repeat("x", 16<<20)+"\"}\n")))
			if got := lines(t, s.do("POST", events, long, "Content-Encoding", coding, "Content-Type", typeNDJSON).want(200).body); len(got) != 1 || got[0].Error == nil || got[0].Error.Code != "too_large" {
				t.Errorf("a line that unpacks to 16 MiB is answered by %+v", got)
			}
			hold := string(compressed(t, coding, []byte(`{"all":true,"reason":"`+strings.Repeat("x", 2<<20)+`"}`)))
			s.do("POST", "/v1/trails/default/holds", hold, "Content-Encoding", coding).problem(413, "too_large")
			s.do("POST", events, whole[:len(whole)-5], "Content-Encoding", coding).problem(400, "content_encoding")
			s.do("POST", events, turn("", "plain"), "Content-Encoding", coding).problem(400, "content_encoding")
		})
	}
	a := s.do("POST", events, "x", "Content-Encoding", "br")
	a.problem(415, "content_encoding")
	if a.header.Get("Accept-Encoding") == "" {
		t.Error("it does not say what it takes")
	}
	if n := len(decode[page](s.do("GET", events+"?session_id=gzip&limit=1000", "")).Entries); n != 101 {
		t.Errorf("%d events of the gzip bodies", n)
	}
}

func TestBadRequests(t *testing.T) {
	s := newSite(t, Limits{Body: 1 << 20})
	size := s.size()
	const holds = "/v1/trails/default/holds"
	for _, tt := range []struct {
		name, method, path, body string
		status                   int
		code                     string
		headers                  []string
	}{
		{"no JSON", "POST", events, "hello", 400, "malformed", nil},
		{"nothing", "POST", events, "", 400, "malformed", nil},
		{"two values", "POST", events, turn("", "s") + turn("", "s"), 400, "malformed", nil},
		{"a name twice", "POST", events, `{"event_type":"turn_ended","id":"a","id":"b"}`, 400, "malformed", nil},
		{"invalid UTF-8", "POST", events, "{\"event_type\":\"turn_ended\",\"user_id\":\"\xff\"}", 400, "malformed", nil},
		{"half a surrogate pair", "POST", events, `{"event_type":"turn_ended","user_id":"\ud800"}`, 400, "malformed", nil},
		{"deep nesting", "POST", events, `{"event_type":"turn_ended","details":` + strings.Repeat(`{"a":`, 200_000) + `1` + strings.Repeat(`}`, 200_000) + `}`, 413, "too_large", nil},
		{"nesting", "POST", events, `{"event_type":"turn_ended","details":` + strings.Repeat(`{"a":`, 200) + `1` + strings.Repeat(`}`, 200) + `}`, 400, "malformed", nil},
		{"nesting in an array", "POST", events, strings.Repeat(`[`, 20_000), 400, "malformed", nil},
		{"a large number", "POST", events, `{"event_type":"turn_ended","details":{"n":9007199254740993}}`, 422, "invalid", nil},
		{"a reserved type", "POST", events, `{"event_type":"payload_erased"}`, 422, "invalid", nil},
		{"a large event", "POST", events, `{"event_type":"turn_ended","details":{"x":"` + strings.Repeat("x", 1<<20-100) + `"}}`, 413, "too_large", nil},
		{"a large body", "POST", events, strings.Repeat(" ", 3<<20), 413, "too_large", nil},
		{"no type of body", "POST", events, turn("", "s"), 415, "media_type", []string{"Content-Type", ""}},
		{"a form", "POST", events, turn("", "s"), 415, "media_type", []string{"Content-Type", "application/x-www-form-urlencoded"}},
		{"text", "POST", holds, `{"all":true,"reason":"x"}`, 415, "media_type", []string{"Content-Type", "text/plain"}},
		{"NDJSON where it is not taken", "POST", holds, `{"all":true,"reason":"x"}`, 415, "media_type", []string{"Content-Type", typeNDJSON}},
		{"no trail", "POST", "/v1/trails/none/events", turn("", "s"), 404, "not_found", nil},
		{"the system trail", "POST", "/v1/trails/system/events", turn("", "s"), 403, "system", nil},
		{"no such route", "GET", "/v2", "", 404, "not_found", nil},
		{"no such method", "DELETE", events, "", 405, "method_not_allowed", nil},

		{"a member that is not known", "POST", holds, `{"all":true,"reason":"x","resaon":"y"}`, 422, "invalid", nil},
		{"a member twice", "POST", holds, `{"all":true,"reason":"x","reason":"y"}`, 400, "bad_request", nil},
		{"the wrong kind", "POST", holds, `{"all":1,"reason":"x"}`, 422, "invalid", nil},
		{"no reason", "POST", holds, `{"all":true}`, 422, "invalid", nil},
		{"no filter", "POST", holds, `{"reason":"x"}`, 422, "invalid", nil},
		{"a filter and all", "POST", holds, `{"reason":"x","all":true,"query":{"agent_id":"a"}}`, 422, "invalid", nil},
		{"no such hold", "POST", holds + "/x/release", `{"reason":"x"}`, 404, "not_found", nil},
		{"nothing to erase", "POST", "/v1/trails/default/erasures", `{"ground":"g","query":{"agent_id":"none"}}`, 404, "not_found", nil},
		{"erase everything", "POST", "/v1/trails/default/erasures", `{"ground":"g"}`, 422, "invalid", nil},
		{"no pointer", "POST", "/v1/trails/default/erasures/plan", `{"fields":{"x":"y"}}`, 422, "invalid", nil},
		{"no indices", "POST", "/v1/trails/default/erasures/plan", `{"indices":"9-1"}`, 422, "invalid", nil},
		{"no policy", "POST", "/v1/trails/default/retention/plan", `{}`, 422, "invalid", nil},
		{"no such preset", "POST", "/v1/trails/default/retention/plan", `{"preset":"x"}`, 422, "invalid", nil},
		{"a policy that is none", "POST", "/v1/trails/default/retention/plan", `{"policy":"payloads: soon"}`, 422, "invalid", nil},
		{"no checkpoint", "POST", "/v1/trails/default/verifications", `{"checkpoints":["x"]}`, 422, "invalid", nil},
		{"no key", "POST", "/v1/trails/default/verifications", `{"key":"x"}`, 422, "invalid", nil},
		{"no name for a trail", "POST", "/v1/trails", `{"name":"../x"}`, 422, "invalid", nil},
		{"a trail that is there", "POST", "/v1/trails", `{"name":"default"}`, 409, "exists", nil},

		{"no number", "GET", events + "?limit=x", "", 422, "invalid", nil},
		{"limit 0", "GET", events + "?limit=0", "", 422, "invalid", nil},
		{"a large limit", "GET", events + "?limit=1001", "", 422, "invalid", nil},
		{"no time", "GET", events + "?since=yesterday", "", 422, "invalid", nil},
		{"no type of events", "GET", events + "?event_type=A", "", 422, "invalid", nil},
		{"no decision", "GET", events + "?decision=perhaps", "", 422, "invalid", nil},
		{"an empty range", "GET", events + "?from_index=5&to_index=5", "", 422, "invalid", nil},
		{"no cursor", "GET", events + "?cursor=x", "", 422, "invalid", nil},
		{"wait for old ones", "GET", events + "?wait=1&newest=true", "", 422, "invalid", nil},
		{"no parameter", "GET", events + "?agent=x", "", 422, "invalid", nil},
		{"no index", "GET", events + "/x", "", 422, "invalid", nil},
		{"a negative index", "GET", events + "/-1", "", 422, "invalid", nil},
		{"behind the end", "GET", events + "/99", "", 404, "not_found", nil},
		{"no such id", "GET", "/v1/trails/default/ids/none", "", 404, "not_found", nil},
		{"nobody's timeline", "GET", "/v1/trails/default/timeline", "", 422, "invalid", nil},
		{"two timelines", "GET", "/v1/trails/default/timeline?agent_id=a&session_id=s", "", 422, "invalid", nil},
		{"a stream with an end", "GET", "/v1/trails/default/stream?to_index=3", "", 422, "invalid", nil},
		{"a stream from nowhere", "GET", "/v1/trails/default/stream", "", 422, "invalid", []string{"Last-Event-ID", "x"}},
		{"no such period", "GET", "/v1/trails/default/counts?by=year", "", 422, "invalid", nil},
		{"no such verification", "GET", "/v1/trails/default/verifications/9", "", 404, "not_found", nil},
		{"a bundle of nothing", "GET", "/v1/trails/default/bundle?agent_id=none", "", 404, "not_found", nil},
		{"a bundle of two types", "GET", "/v1/trails/default/bundle?event_type=turn_ended&event_type=log_opened", "", 422, "invalid", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := s.with(t)
			s.do(tt.method, tt.path, tt.body, tt.headers...).problem(tt.status, tt.code)
		})
	}
	if s.size() != size {
		t.Errorf("%d events were recorded all the same", s.size()-size)
	}
}

// Whoever sends a body slowly is not waited for, and nothing of it is recorded.
func TestSlowBody(t *testing.T) {
	s := newSite(t, Limits{Slow: 50 * time.Millisecond})
	for _, path := range []string{events, "/v1/trails/default/holds"} {
		c, err := net.Dial("tcp", s.http.Listener.Addr().String())
		must(t, err)
		defer c.Close()
		fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nTest-Roles: %s\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"event_type\":", path, everybody)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		must(t, err)
		if resp.StatusCode != http.StatusRequestTimeout {
			t.Errorf("%s: status %s", path, resp.Status)
		}
	}
	if s.size() != 1 {
		t.Errorf("the trail has %d entries", s.size())
	}
}

// Where no room is left, nothing is taken, and that is said.
func TestBackPressure(t *testing.T) {
	s := newSite(t, Limits{Pending: 1000})
	leave, err := s.api.intake.enter(trails.Default, 950)
	must(t, err)
	a := s.do("POST", events, turn("e1", "s"))
	a.problem(503, "full")
	if a.header.Get("Retry-After") == "" {
		t.Error("it does not say when to try again")
	}
	if s.size() != 1 {
		t.Errorf("the trail has %d entries", s.size())
	}
	s.do("POST", "/v1/trails", `{"name":"other"}`).want(201)
	s.do("POST", "/v1/trails/other/events", turn("e1", "s")).want(201)

	// A stream waits.
	answered := make(chan *http.Response, 1)
	r := s.request("POST", events, turn("e2", "s")+"\n", "Content-Type", typeNDJSON)
	go func() {
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
		}
		answered <- resp
	}()
	leave()
	resp := <-answered
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	if got := lines(t, b); len(got) != 1 || got[0].Receipt == nil {
		t.Errorf("the stream is answered by %s", b)
	}
	s.do("POST", events, turn("e1", "s")).want(201)
}

// A sender that is bound to agents records for no other one, and that it tried is an
// event.
func TestBoundAgents(t *testing.T) {
	s := newSite(t, Limits{})
	as := []string{"Test-Roles", "submitter", "Test-Agents", "a1,a2"}
	const from = `{"event_type":"turn_ended","session_id":"s","agent_id":%q}`
	s.do("POST", events, fmt.Sprintf(from, "a1"), as...).want(201)
	size := s.size()
	s.do("POST", events, fmt.Sprintf(from, "a3"), as...).problem(403, "agent")
	s.do("POST", events, fmt.Sprintf("["+from+","+from+"]", "a1", "a3"), as...).problem(403, "agent")
	a := s.do("POST", events, fmt.Sprintf(from+"\n"+from, "a3", "a2"), append(as, "Content-Type", typeNDJSON)...)
	if got := lines(t, a.want(200).body); got[0].Error == nil || got[0].Error.Code != "agent" || got[1].Receipt == nil {
		t.Errorf("the stream is answered by %s", a.body)
	}
	if s.size() != size+1 {
		t.Errorf("%d events were recorded", s.size()-size)
	}
	s.api.noteRefusals()
	told := s.told(trails.System, event.IngestRejected)
	if len(told) != 1 || told[0].AgentID != "a3" || told[0].Principal != "test:submitter" || told[0].Details["reason"] != "agent" || fmt.Sprint(told[0].Details["count"]) != "3" {
		t.Errorf("the events are %+v", told)
	}
}

// A body that came in time may be worked on for longer than it may take to send.
func TestWorkAfterTheBody(t *testing.T) {
	const slow = 30 * time.Millisecond
	s := newSite(t, Limits{Slow: slow})
	ended := make(chan error, 1)
	h := httptest.NewServer(s.api.observe(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		done, err := s.api.bound(access{body: jsonBody, long: true}, w, &r)
		if err != nil {
			t.Error(err)
			return
		}
		defer done()
		if _, _, err := s.api.readWhole(r); err != nil {
			t.Error(err)
		}
		select {
		case <-r.Context().Done():
		case <-time.After(5 * slow):
		}
		ended <- r.Context().Err()
	})))
	defer h.Close()
	resp, err := http.Post(h.URL, typeJSON, strings.NewReader("{}"))
	must(t, err)
	resp.Body.Close()
	if err := <-ended; err != nil {
		t.Errorf("the request ended while it was worked on: %v", err)
	}
}

// Whoever announces a body and sends none is not waited for, wherever that goes.
func TestBodyThatNobodyReads(t *testing.T) {
	s := newSite(t, Limits{Slow: 30 * time.Millisecond})
	for _, to := range []string{"POST /v1/trails", "POST /login", "GET /healthz", "POST /nowhere"} {
		c, err := net.Dial("tcp", s.http.Listener.Addr().String())
		must(t, err)
		defer c.Close()
		must(t, c.SetDeadline(time.Now().Add(20*time.Second)))
		fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: custody\r\nContent-Length: 100\r\n\r\n", to)
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Errorf("%s: the connection stays: %v", to, err)
		}
	}
}

// A stream that began with a token does not outlive it.
func TestStreamsEndWithTheToken(t *testing.T) {
	s, tokens := newTokenSite(t)
	token, info, err := tokens.Create(auth.TokenSpec{Name: "ci", Roles: []auth.Role{auth.Submitter, auth.Reader}, CreatedBy: "operator"})
	must(t, err)
	as := []string{"Authorization", "Bearer " + token}
	f := s.follow("from_index=0", "", as...)
	f.next()
	body, send := io.Pipe()
	r := s.request("POST", "/v1/trails/default/events", "{}", append(as, "Content-Type", typeNDJSON)...)
	r.Body, r.ContentLength = body, -1
	go io.WriteString(send, turn("first", "s")+"\n")
	resp, err := http.DefaultClient.Do(r)
	must(t, err)
	defer resp.Body.Close()
	in := bufio.NewScanner(resp.Body)
	if !in.Scan() || !strings.Contains(in.Text(), `"receipt"`) {
		t.Fatalf("the first line is answered %s", in.Text())
	}
	if e := f.next(); e.Index != 1 {
		t.Fatalf("got %+v", e)
	}
	_, err = tokens.Revoke(info.ID, "operator")
	must(t, err)
	go io.WriteString(send, turn("second", "s")+"\n")
	if !in.Scan() || !strings.Contains(in.Text(), `"code":"revoked"`) || in.Scan() {
		t.Errorf("a line after the token was revoked is answered %s", in.Text())
	}
	send.Close()
	s.record(turn("third", "s"))
	for f.in.Scan() {
		if strings.HasPrefix(f.in.Text(), "event: entry") {
			t.Fatal("the follower gets entries although its token was revoked")
		}
	}
}
