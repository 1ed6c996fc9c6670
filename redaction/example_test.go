package redaction_test

import (
	"fmt"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/redaction"
)

func ExampleNew() {
	var rules redaction.Rules
	rules.Keys.Extra = []string{"pin"}
	rules.Keys.Allow = []string{"session_token"} // here, the number of a session
	r, err := redaction.New(rules)
	if err != nil {
		fmt.Println(err)
		return
	}
	e := r.Redact(event.Event{
		Type: event.ActionRequested,
		Details: map[string]any{
			"tool_name":     "login",
			"card_pin":      "1234",
			"session_token": "17",
			"max_tokens":    4096,
			"body":          `{"user": "u1", "password": "letmein"}`,
		},
	})
	payload, err := e.AppendPayload(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(payload))
	for _, r := range e.Redactions {
		fmt.Println(r.Pointer, r.Rule, r.Method)
	}
	// Output:
	// {"details":{"body":"{\"user\": \"u1\", \"password\": \"[REDACTED]\"}","card_pin":"[REDACTED]","max_tokens":4096,"session_token":"17","tool_name":"login"},"event_type":"action_requested","redactions":[{"method":"mask","pointer":"/details/body/password","rule":"key:password"},{"method":"mask","pointer":"/details/card_pin","rule":"key:pin"}]}
	// /details/body/password key:password mask
	// /details/card_pin key:pin mask
}
