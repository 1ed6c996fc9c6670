package ui

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/auth"
)

// TestLongLife: an action with more events than are shown has ended all the same.
func TestLongLife(t *testing.T) {
	of := func(typ event.Type) event.Event { return event.Event{Type: typ, AgentID: "a", ActionID: "long"} }
	events := []event.Event{of(event.ActionRequested)}
	for range maxLife + 8 {
		events = append(events, of(event.ApprovalEscalated))
	}
	trail := newTrail(t, append(events, of(event.ActionExecuted))...)
	body := mustGet(t, handler(set{"default": trail}, allowed), "/trails/default/events/1")
	contains(t, body, `<strong class="word good">executed</strong>`, "The action has more events than are shown here.")
	lacks(t, body, "nothing says how it ended")
}

func TestEvent(t *testing.T) {
	trail := newTrail(t, story()...)
	h := handler(set{"default": trail}, allowed)
	body := mustGet(t, h, "/trails/default/events/2")
	contains(t, body, "action requested", `<mark title="`, "api_key", `href="/trails/default/events/1"`, `href="/trails/default/events/3"`,
		"approval granted", "operator@example.com", `<strong class="word good">executed</strong>`, `aria-current="step"`, "/details/input/api_key",
		`href="/trails/default/timeline?session_id=session-1"`, `href="/trails/default/timeline?action_id=a-1"`, "example.com/agents&#43;", "An agent asked for an action.")
	lacks(t, body, "not-a-real-key")
	contains(t, mustGet(t, h, "/trails/default/events/9"), `<strong class="word partial">unresolved</strong>`, "nothing says how it ended")
	contains(t, mustGet(t, h, "/trails/default/events/8"), `<strong class="word bad">denied</strong>`, "outside of the project")
	lacks(t, mustGet(t, h, "/trails/default/events/0"), "What became of the action", `rel="prev"`)
	lacks(t, mustGet(t, h, "/trails/default/events/13"), `rel="next"`)
	for path, want := range map[string]int{"14": 404, "-1": 400, "x": 400, "99999999999999999999": 400, "1?x=1": 400} {
		if status, _ := get(t, h, "/trails/default/events/"+path); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
}

func TestEventFromTranscript(t *testing.T) {
	trail := newTrail(t, append(story(), imported()...)...)
	h := handler(set{"default": trail}, allowed)
	const badge, why = `<span class="word partial">from a transcript</span>`, "It is evidence of lower trust"
	body := mustGet(t, h, "/trails/default/events/18") // the end of an action whose request hooks reported
	contains(t, body, `action executed `+badge+`</h1>`, why, "transcript (evidence of lower trust)")
	if n := strings.Count(body, badge); n != 2 { // its title, and its step in the life of the action
		t.Errorf("%d things are marked:\n%s", n, body)
	}
	body = mustGet(t, h, "/trails/default/events/17") // that request
	lacks(t, body, badge+"</h1>", why)
	if n := strings.Count(body, badge); n != 1 {
		t.Errorf("%d steps are marked:\n%s", n, body)
	}
	lacks(t, mustGet(t, h, "/trails/default/events/20"), "transcript")
	// Whoever may not read what events say is not told either.
	lacks(t, mustGet(t, handler(set{"default": trail}, only(auth.ReadEntries)), "/trails/default/events/18"), "transcript")
}

func TestHostileEvent(t *testing.T) {
	body := mustGet(t, handler(set{"default": newTrail(t, hostileEvent())}, allowed), "/trails/default/events/1")
	lacks(t, body, "<script>", "<img", "\u202e")
}

func TestEventWithoutPayload(t *testing.T) {
	trail := newTrail(t, story()...)
	body := mustGet(t, handler(set{"default": trail}, only(auth.ReadEntries, auth.Prove)), "/trails/default/events/2")
	contains(t, body, "is not shown to you", "action requested", `data-payload=""`)
	lacks(t, body, "planner", "session-1", `id="payload"`, "rm -rf")
	body = mustGet(t, handler(set{"default": trail}, only(auth.ReadEntries)), "/trails/default/events/2")
	lacks(t, body, "Verify in this browser")

	if _, err := trail.Erase(t.Context(), custody.Erasure{Query: custody.Query{ActionID: "a-2"}, By: "operator@example.com", Ground: "asked for"}); err != nil {
		t.Fatal(err)
	}
	h := handler(set{"default": trail}, allowed)
	contains(t, mustGet(t, h, "/trails/default/events/8"), "is not held any more", "action denied")
	contains(t, mustGet(t, h, "/trails/default/events"), "the payload is not held any more")
	if status, _ := get(t, h, "/trails/default/events/9"); status != http.StatusOK {
		t.Errorf("the event behind: %d", status)
	}
}

func TestIndent(t *testing.T) {
	payload := "{\"a\":{\"k\":\"v\u202e\\u0007\\\"\\\\\\n\",\"list\":[1,true,null,{}],\"x/y~z\":\"\U000e0041\"},\"n\":1e+30,\"none\":[]}"
	parts, err := indent([]byte(payload), []event.Redaction{{Pointer: "/a/list", Method: "mask", Rule: "r"}, {Pointer: "/a/x~1y~0z", Method: "drop", Rule: "s"}})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	marked := map[string]string{}
	for _, p := range parts {
		text.WriteString(p.Text)
		if p.Redacted != "" {
			marked[strings.Join(strings.Fields(p.Text), "")] = p.Redacted
		}
	}
	var want, got any
	if err := json.Unmarshal([]byte(payload), &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text.String()), &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v: %s", err, &text)
	}
	if strings.ContainsAny(text.String(), "\u202e\U000e0041") {
		t.Errorf("hidden characters: %q", &text)
	}
	if !reflect.DeepEqual(marked, map[string]string{"[1,true,null,{}]": "mask, r", `"\udb40\udc41"`: "drop, s"}) {
		t.Errorf("marked: %v", marked)
	}
	for _, bad := range []string{"", "{", "\"\a\"", "[1", `{"a":`, "{} 1", `{"a" 1}`} {
		if _, err := indent([]byte(bad), nil); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzIndent(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":null}],"c":"\u202e"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		parts, err := indent(b, nil)
		if err != nil || !json.Valid(b) {
			if err == nil {
				t.Errorf("%q is taken", b)
			}
			return
		}
		var text strings.Builder
		for _, p := range parts {
			text.WriteString(p.Text)
		}
		var want, got any
		if json.Unmarshal(b, &want) != nil {
			return // a number that is too large
		}
		if err := json.Unmarshal([]byte(text.String()), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q became %q: %v", b, &text, err)
		}
	})
}
