package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest/cloudevents"
	"github.com/custodylog/custody/internal/trails"
)

// TestUnsigned: what the server makes itself of what it is sent has no signature. A
// producer that has to sign does not come in by any of these ways, whether it is known by
// its agent or by who sends it.
func TestUnsigned(t *testing.T) {
	agentless := strings.Replace(seenCall("m2", "mcp", "action_executed", "finished"), `"agent_id":"claude-code",`, "", 1)
	ended := `{"specversion":"1.0","id":"1","source":"/s","type":"turn_ended","data":{"agent_id":"claude-code","session_id":"s1"}}`
	for what, must := range map[string]string{"agent": `"agents":["claude-code"]`, "principal": `"principals":["test:submitter"]`} {
		t.Run(what, func(t *testing.T) {
			s := newSite(t, Limits{})
			by := []string{"Test-Roles", "submitter"}
			// Before the producer has to sign, one call begins.
			s.do("POST", "/v1/sightings", seenCall("m1", "mcp", "action_requested", "requested"), by...).want(http.StatusOK)
			s.do("POST", "/v1/producers", fmt.Sprintf(`{"vkey":%q,%s,"must_sign":true}`, producerKey(t, "p.example.com").VerifierKey(), must)).want(http.StatusCreated)

			s.do("POST", events, turn("1", "s1"), append(by, "Content-Type", typeJSON)...).want(map[string]int{"agent": http.StatusCreated, "principal": http.StatusForbidden}[what])
			before := s.size()
			for _, c := range []struct{ path, media, body string }{
				{"/v1/sightings", typeJSON, seenCall("m3", "mcp", "action_executed", "finished")},
				{"/v1/sightings", typeNDJSON, seenCall("m3", "mcp", "action_executed", "finished")},
				{"/v1/hooks/claude-code", typeJSON, preToolUse},
				{events, cloudevents.Structured, ended},
				{events, cloudevents.Batch, "[" + ended + "]"},
			} {
				s.do("POST", c.path, c.body, append(by, "Content-Type", c.media)...).problem(http.StatusForbidden, codeSignature)
			}
			status(t, s.do("POST", "/v1/logs", oneCall, by...).want(http.StatusForbidden), 7)
			if what == "agent" {
				// What names no agent is of the one whose call it is.
				a := decode[sightingsAnswer](s.do("POST", "/v1/sightings", agentless, by...).want(http.StatusOK))
				if a.Recorded != 0 || len(a.Refused) != 1 || !strings.Contains(a.Refused[0].Detail, `"claude-code" have to be signed`) {
					t.Errorf("answer %+v", a)
				}
				// Of an export, others' records are kept.
				var answer struct {
					PartialSuccess struct{ RejectedLogRecords, ErrorMessage string }
				}
				mixed := strings.Replace(oneCall, `"logRecords":[`, `"logRecords":[{"eventName":"codex.x"},`, 1)
				if err := json.Unmarshal(s.do("POST", "/v1/logs", mixed, by...).want(http.StatusOK).body, &answer); err != nil || answer.PartialSuccess.RejectedLogRecords != "2" {
					t.Errorf("%v, answer %+v", err, answer)
				}
				before++
			} else {
				s.do("POST", "/v1/sightings", agentless, by...).problem(http.StatusForbidden, codeSignature)
			}
			if got := s.size(); got != before {
				t.Errorf("%d entries were recorded: %s", got-before, s.types())
			}
			s.api.noteRefusals()
			if told := s.told(trails.System, event.IngestRejected); len(told) == 0 || told[0].Details["reason"] != codeSignature {
				t.Errorf("the refusals are told of as %+v", told)
			}
		})
	}
}

// TestSignedNotJoined: an event that was signed is recorded as it was sent, and no call is
// joined to it, also by a server that starts after that.
func TestSignedNotJoined(t *testing.T) {
	s := newSite(t, Limits{})
	k := producerKey(t, "p.example.com")
	s.do("POST", "/v1/producers", fmt.Sprintf(`{"vkey":%q,"agents":["claude-code"],"must_sign":true}`, k.VerifierKey())).want(http.StatusCreated)
	e, err := event.Event{ID: "1", Type: event.ActionRequested, Source: "mcp", AgentID: "claude-code", ActionID: "toolu_7", Details: map[string]any{"tool_name": "read", "call_id": "toolu_7"}}.Sign(k)
	must(t, err)
	text, err := e.AppendPayload(nil)
	must(t, err)
	s.do("POST", events, string(text)).want(http.StatusCreated)
	agentless := strings.Replace(seenCall("m2", "mcp", "action_executed", "finished"), `"agent_id":"claude-code"`, `"outcome":"success"`, 1)
	s.do("POST", "/v1/sightings", agentless).want(http.StatusOK)
	told := s.told(trails.Default, event.ActionExecuted)
	if len(told) != 1 || told[0].AgentID != "" {
		t.Errorf("recorded %+v", told)
	}
}
