package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/custodylog/custody/ingest/cloudevents"
	"github.com/custodylog/custody/internal/wire"
)

func TestCloudEvents(t *testing.T) {
	s := newSite(t, Limits{Body: 4096})
	one := func(id string) string {
		return `{"specversion":"1.0","id":"` + id + `","source":"/s","type":"turn_ended","data":{"agent_id":"a","session_id":"s1"}}`
	}
	for _, status := range []int{http.StatusCreated, http.StatusOK} { // sent again it is the same event
		got := decode[wire.Receipt](s.do("POST", events, one("1"), "Content-Type", cloudevents.Structured+"; charset=utf-8").want(status))
		if got.Duplicate != (status == http.StatusOK) {
			t.Errorf("%d: %+v", status, got)
		}
	}
	if all := decode[[]wire.Receipt](s.do("POST", events, "["+one("1")+","+one("2")+"]", "Content-Type", cloudevents.Batch).want(http.StatusCreated)); len(all) != 2 {
		t.Errorf("%d receipts", len(all))
	}
	binary := []string{"ce-specversion", "1.0", "ce-id", "3", "ce-source", "/s", "ce-type", "com.example.x"}
	// Data of NDJSON is data and no stream.
	s.do("POST", events, "{}\n{}", append(binary, "Content-Type", typeNDJSON)...).want(http.StatusCreated)
	if got, want := s.types(), "turn_ended turn_ended com.example.x"; got != want {
		t.Errorf("recorded %s", got)
	}

	s.do("POST", events, one("1")[:20], "Content-Type", cloudevents.Structured).problem(http.StatusBadRequest, "malformed")
	s.do("POST", events, strings.Replace(one("4"), "1.0", "0.3", 1), "Content-Type", cloudevents.Structured).problem(http.StatusUnprocessableEntity, "invalid")
	p := s.do("POST", events, "["+one("4")+`,{"specversion":"1.0"}]`, "Content-Type", cloudevents.Batch).problem(http.StatusUnprocessableEntity, "invalid")
	if len(p.Errors) != 1 || p.Errors[0].Location != "body[1]" {
		t.Errorf("faults %+v", p.Errors)
	}
	s.do("POST", events, one("4"), "Content-Type", cloudevents.Structured, "Test-Roles", "submitter", "Test-Agents", "b").problem(http.StatusForbidden, codeAgent)
	s.do("POST", events+"?strict=true", strings.Replace(one("4"), "turn_ended", "action_denied", 1), "Content-Type", cloudevents.Structured).problem(http.StatusUnprocessableEntity, "invalid")
	s.do("POST", events, strings.Repeat("x", 5000), append(binary, "Content-Type", typeNDJSON)...).problem(http.StatusRequestEntityTooLarge, "too_large")
	s.do("POST", events, "x", "Content-Type", "text/plain").want(http.StatusUnsupportedMediaType)
}
