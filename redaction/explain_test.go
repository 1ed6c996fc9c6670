package redaction

import (
	"fmt"
	"strings"
	"testing"

	"github.com/custodylog/custody/event"
)

func TestExplain(t *testing.T) {
	var rules Rules
	rules.Values.Allow, rules.Keys.Allow = []string{"harmless"}, []string{"session_token"}
	rules.Methods.Rules = map[string]Method{"github-token": MethodDrop}
	r := newRedactor(t, rules)
	e := event.Event{Type: "x", AgentID: "agent " + github, Details: object{
		"cmd":           "PASSWORD=hunter22 push " + github,
		"max":           object{"password": 1234, "secret": "harmless", "token": "true"},
		"body":          `{"n":{"pwd":"s3cret","otp":7}} and password=hunter33`,
		"session_token": "17",
	}}
	got, err := Explain(r, e)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, x := range got {
		lines = append(lines, fmt.Sprintf("%s %s %s [%d:%d] %s", x.Pointer, x.Rule, x.Method, x.Start, x.End, x.Reason))
	}
	want := []string{
		"/agent_id value:github-token drop [6:46] it has the form of: GitHub personal, OAuth, app or refresh token",
		"/details/body key:password mask [44:52] the text gives it to a name that says secret: password",
		"/details/body/n/otp key:otp  [0:0] a number, a truth value or null is not redacted",
		"/details/body/n/pwd key:pwd mask [0:0] it stands under a name that says secret: pwd",
		"/details/cmd key:password mask [9:17] the text gives it to a name that says secret: password",
		"/details/cmd value:github-token drop [23:63] it has the form of: GitHub personal, OAuth, app or refresh token",
		"/details/max/password key:password  [0:0] a number, a truth value or null is not redacted",
		"/details/max/secret key:secret  [0:0] the rules allow the value",
		"/details/max/token key:token  [0:0] a truth value, a time or the name of a resource is not redacted",
		"/details/session_token key:token  [0:0] the rules allow the name",
	}
	if g, w := strings.Join(lines, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
	for _, secret := range []string{github, "hunter", "s3cret"} {
		if strings.Contains(strings.Join(lines, ""), secret) {
			t.Errorf("%s is told", secret)
		}
	}
	// What is explained is what is done.
	n := 0
	for _, x := range got {
		if x.Method != "" {
			n++
		}
	}
	if done := r.Redact(e).Redactions; len(done) != n {
		t.Errorf("%d are explained, %d done: %v", n, len(done), done)
	}
}

type foreign struct{}

func (foreign) Redact(e event.Event) event.Event { return e }

func TestExplainForeign(t *testing.T) {
	if _, err := Explain(foreign{}, event.Event{}); err == nil {
		t.Error("no error")
	}
	x, err := Explain(newRedactor(t, Rules{IncludeSensitive: true}), event.Event{Details: object{"password": "s3cret"}})
	if err != nil || len(x) != 1 {
		t.Errorf("%v, %v", x, err)
	}
}
