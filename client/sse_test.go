package client

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/custodylog/custody"
)

func TestMessages(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []message
	}{
		{"nothing", "", nil},
		{"comment", ": the trail is followed\n\n", nil},
		{"one", "id: 7\nevent: entry\ndata: {}\n\n", []message{{"entry", []byte("{}"), "7"}}},
		{"CR LF", "id: 7\r\nevent: entry\r\ndata: {}\r\n\r\n", []message{{"entry", []byte("{}"), "7"}}},
		{"without a space", "data:x\n\n", []message{{"", []byte("x"), ""}}},
		{"one space goes", "data:  x\n\n", []message{{"", []byte(" x"), ""}}},
		{"several lines", "data: a\ndata\ndata: b\n\n", []message{{"", []byte("a\n\nb"), ""}}},
		{"the id stays", "id: 1\ndata: a\n\ndata: b\n\n", []message{{"", []byte("a"), "1"}, {"", []byte("b"), "1"}}},
		{"the event does not", "event: x\ndata: a\n\ndata: b\n\n", []message{{"x", []byte("a"), ""}, {"", []byte("b"), ""}}},
		{"without data", "event: x\n\ndata: b\n\n", []message{{"", []byte("b"), ""}}},
		{"cut off", "data: a\n\ndata: b\n", []message{{"", []byte("a"), ""}}},
		{"other fields", "retry: 10\nx: y\ndata: a\n\n", []message{{"", []byte("a"), ""}}},
		{"a zero in the id", "id: 1\x00\ndata: a\n\n", []message{{"", []byte("a"), ""}}},
	} {
		for _, r := range []io.Reader{strings.NewReader(tt.text), iotest.OneByteReader(strings.NewReader(tt.text))} {
			var got []message
			for m, err := range messages(r, 1<<10) {
				must(t, err)
				got = append(got, m)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
			}
		}
	}
	for name, text := range map[string]string{"line": "data: " + strings.Repeat("x", 2000) + "\n\n", "lines": strings.Repeat("data: "+strings.Repeat("x", 100)+"\n", 20) + "\n"} {
		failed := false
		for _, err := range messages(strings.NewReader(text), 1<<10) {
			failed = failed || err != nil
		}
		if !failed {
			t.Errorf("%s: more than the limit is read", name)
		}
	}
}

func FuzzMessages(f *testing.F) {
	f.Add([]byte(": c\n\nid: 7\nevent: entry\ndata: {}\n\n"))
	f.Add([]byte("data: a\r\ndata\r\n\r\nid"))
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 256
		for m, err := range messages(bytes.NewReader(b), limit) {
			if err == nil && len(m.data) > limit {
				t.Errorf("a message of %d bytes", len(m.data))
			}
			if strings.ContainsAny(m.event+m.id, "\n") {
				t.Errorf("%q", m)
			}
		}
	})
}

func answer(status int, contentType, body string, headers ...string) *http.Response {
	h := http.Header{"Content-Type": {contentType}}
	for i := 0; i+1 < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

func TestProblems(t *testing.T) {
	p := problemOf(answer(503, "text/html", "<h1>Sorry</h1>", "Retry-After", "7"))
	if p.Status != 503 || p.RetryAfter != 7*time.Second || p.Error() != "the server answered 503 Service Unavailable" {
		t.Errorf("a page of a proxy: %+v: %v", p, p)
	}
	p = problemOf(answer(409, "application/problem+json; charset=utf-8", `{"status": 200, "code": "held", "detail": "d", "holds": ["h"], "entries": "1,3-4", "more": []}`))
	held, ok := p.Unwrap().(*custody.HeldError)
	if !ok || p.Status != 409 || p.Error() != "d" || held.Entries.Count() != 3 {
		t.Errorf("held: %+v, %v", p, p.Unwrap())
	}
	for _, tt := range []struct{ errors, want string }{
		{`[{"location": "body/details/x", "message": "m"}]`, `&event.FieldError{Pointer:"/details/x", Problem:"m"}`},
		{`[{"location": "body[3]/agent_id", "message": "m"}]`, `&event.FieldError{Pointer:"/agent_id", Problem:"m"}`},
		{`[{"location": "body[3]", "message": "m"}]`, `&event.FieldError{Pointer:"", Problem:"m"}`},
		{`[{"location": "body/a", "message": "m"}, {"location": "body", "message": "n"}]`, `&event.ValidationError{Problems:[]string{"a: m", "n"}}`},
		{`[{"location": "query.limit", "message": "m"}]`, `<nil>`},
		{`[{"location": "body.reason", "message": "m"}]`, `<nil>`},
		{`[]`, `<nil>`},
	} {
		p := problemOf(answer(422, "application/problem+json", `{"code": "invalid", "errors": `+tt.errors+`}`))
		if got := fmt.Sprintf("%#v", p.Unwrap()); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.errors, got, tt.want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{"": 0, "3": 3 * time.Second, "-3": 0, "1e3": 0, "99999999999999": 0,
		"Wed, 25 Nov 2026 10:00:09 GMT": 9 * time.Second, "Wed, 25 Nov 2026 09:00:00 GMT": 0, "soon": 0} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}

func FuzzProblem(f *testing.F) {
	f.Add(409, "3", `{"code": "held", "holds": ["h"], "entries": "1,3-4"}`)
	f.Add(422, "", `{"code": "invalid", "errors": [{"location": "body[3]/x", "message": "m"}]}`)
	f.Fuzz(func(t *testing.T, status int, again, body string) {
		p := problemOf(answer(status, "application/problem+json", body, "Retry-After", again))
		if p.Error() == "" || p.Status != status || p.RetryAfter < 0 {
			t.Errorf("%+v", p)
		}
		if err := p.Unwrap(); err != nil && err.Error() == "" {
			t.Errorf("%#v", err)
		}
		if n, ok := p.position(); ok && n < 0 {
			t.Errorf("position %d", n)
		}
	})
}
