package retention

import (
	"strings"
	"testing"
)

func TestShortens(t *testing.T) {
	parse := func(text string) *Policy {
		p, err := Parse("policy", []byte("version: 1\nname: p\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		return &p
	}
	for _, tt := range []struct{ name, old, new, want string }{
		{"the same", "payloads: 400d", "payloads: 400d", ""},
		{"longer", "payloads: 400d", "payloads: 500d", ""},
		{"for ever", "payloads: 400d", "payloads: forever", ""},
		{"shorter", "payloads: 400d", "payloads: 399d", "all other events are kept for 399d instead of 400d"},
		{"no longer for ever", "payloads: forever", "payloads: 6y", "instead of forever"},
		{"entries are pruned", "payloads: 400d", "payloads: 400d\nentries: 6y", "entries are kept for 2190d instead of forever"},
		{"entries stay", "payloads: 400d\nentries: 6y", "payloads: 400d", ""},
		{"a rule for one type", "payloads: 400d", "payloads: 400d\nrules: [{name: r, types: [message_sent], payloads: 30d}]", "type message_sent are kept for 30d"},
		{"a rule that keeps longer", "payloads: 400d", "payloads: 400d\nrules: [{name: r, types: [message_sent], payloads: 6y}]", ""},
		{"a rule that kept longer is gone", "payloads: 400d\nrules: [{name: r, types: [message_sent], payloads: 6y}]", "payloads: 400d", "type message_sent are kept for 400d"},
		{"a type of the family is taken out", "payloads: 400d\nrules: [{name: r, families: [action], payloads: 6y}]",
			"payloads: 400d\nrules: [{name: s, types: [action_denied], payloads: 1y}, {name: r, families: [action], payloads: 6y}]", "type action_denied are kept for 365d"},
		{"one project", "payloads: 400d", "payloads: 400d\nrules: [{name: r, projects: [a], payloads: 30d}]", "all other events of project a are kept for 30d"},
		{"another order of rules", "payloads: 400d\nrules: [{name: r, types: [message_sent], payloads: 6y}, {name: s, projects: [a], payloads: 30d}]",
			"payloads: 400d\nrules: [{name: s, projects: [a], payloads: 30d}, {name: r, types: [message_sent], payloads: 6y}]", "type message_sent of project a"},
		{"another name only", "payloads: 400d", "payloads: 400d\noverride: words", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := parse(tt.new).Shortens(parse(tt.old))
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	keepAll := &Policy{Name: "none", Payloads: Period{Forever: true}}
	if got := parse("payloads: forever").Shortens(keepAll); got != "" {
		t.Errorf("a policy that removes nothing shortens: %q", got)
	}
}
