package custody

import (
	"testing"

	"github.com/custodylog/custody/event"
)

// Values are found whatever they have to be escaped as in a payload, and are not where
// something else only has them in it.
func TestHasFields(t *testing.T) {
	trail := onMem(t, Options{})
	record(t, trail, event.Event{Type: event.ActionExecuted, Outcome: event.OutcomeSuccess, AgentID: "a-1", Details: map[string]any{
		"n": 1250, "big": 1e21, "small": 1e-7, "half": 0.5, "yes": true, "none": nil, "empty": "", "path": "C:\\x/\"y\"\n<é>", "list": []any{"one", map[string]any{"a/b": "~"}}}})
	e := get(trail.Entry(t.Context(), trail.Size()-1))(t)
	for _, tt := range []struct {
		pointer, value string
		want           bool
	}{
		{"/outcome", "success", true}, {"/outcome", "succes", false}, {"/outcome", "failure", false}, {"/agent_id", "a-1", true}, {"/user_id", "success", false},
		{"/details/n", "1250", true}, {"/details/n", "125", false}, {"/details/big", "1e+21", true}, {"/details/small", "1e-7", true}, {"/details/half", "0.5", true},
		{"/details/yes", "true", true}, {"/details/none", "null", true}, {"/details/empty", "", true}, {"/details/missing", "", false},
		{"/details/path", "C:\\x/\"y\"\n<é>", true}, {"/details/list/0", "one", true}, {"/details/list/1/a~1b", "~", true}, {"/details/list/2", "one", false},
		{"/details/list/1", `{"a/b":"~"}`, true},
	} {
		if got := get(e.HasFields(map[string]string{tt.pointer: tt.value}))(t); got != tt.want {
			t.Errorf("%s is %q: %v", tt.pointer, tt.value, got)
		}
	}
	if got := get(e.HasFields(map[string]string{"/outcome": "success", "/agent_id": "a"}))(t); got {
		t.Error("one of two values is enough")
	}
}
