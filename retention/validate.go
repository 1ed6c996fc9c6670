package retention

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/custodylog/custody/event"
)

// Limits of a policy.
const (
	MaxRules    = 256  // rules of a policy
	MaxProjects = 4096 // projects that its rules name, in all
	MaxName     = 256  // bytes of a name of a policy, a rule or a project
	MaxOverride = 4096 // bytes of Override
)

// problem is one thing that is wrong with a policy.
type problem struct {
	rule   int    // index of the rule; -1 for the policy itself
	member string // as a file calls it
	text   string
}

// Validate returns nil for a policy that can be applied, or an error that names
// every problem, one a line, with the member and what to do.
func (p *Policy) Validate() error {
	var errs []error
	for _, x := range p.problems() {
		errs = append(errs, fmt.Errorf("retention policy %s: %s: %s", quote(p.Name), p.path(x), x.text))
	}
	return errors.Join(errs...)
}

// path names a member as in rules[1].payloads.
func (p *Policy) path(x problem) string {
	switch {
	case x.rule < 0:
		return x.member
	case x.member == "":
		return fmt.Sprintf("rules[%d]", x.rule)
	}
	return fmt.Sprintf("rules[%d].%s", x.rule, x.member)
}

func (p *Policy) problems() []problem {
	var all []problem
	found := func(rule int, member, format string, args ...any) {
		all = append(all, problem{rule, member, fmt.Sprintf(format, args...)})
	}
	if s := nameProblem(p.Name); s != "" {
		found(-1, "name", "%s", s)
	}
	if s := p.Payloads.problem(); s != "" {
		found(-1, "payloads", "%s", s)
	}
	if s := p.entries().problem(); s != "" {
		found(-1, "entries", "%s", s)
	}
	if p.Floor != (Period{}) {
		if s := p.Floor.problem(); s != "" {
			found(-1, "floor", "%s", s)
		}
	}
	if len(p.Override) > MaxOverride || !utf8.ValidString(p.Override) {
		found(-1, "override", "more than %d bytes, or not UTF-8; shorten it", MaxOverride)
	}
	if len(p.Rules) > MaxRules {
		found(-1, "rules", "%d rules; at most %d are allowed, join some", len(p.Rules), MaxRules)
		return all
	}
	projects := 0
	for i := range p.Rules {
		projects += len(p.Rules[i].Projects)
	}
	if projects > MaxProjects {
		found(-1, "rules", "%d projects in all; at most %d are allowed", projects, MaxProjects)
		return all
	}
	names := make(map[string]int)
	for i := range p.Rules {
		r := &p.Rules[i]
		if s := nameProblem(r.Name); s != "" {
			found(i, "name", "%s", s)
		} else if r.Name == "default" {
			found(i, "name", "\"default\" is the name of what no rule is for; choose another")
		} else if first, ok := names[r.Name]; ok {
			found(i, "name", "%s is already the name of rules[%d]; choose another", quote(r.Name), first)
		} else {
			names[r.Name] = i
		}
		all = append(all, r.classProblems(i)...)
		if s := r.Payloads.problem(); s != "" {
			found(i, "payloads", "%s", s)
		}
	}
	if len(all) == 0 {
		for _, i := range p.decider().unused() {
			found(i, "", "rules before %s decide for all its events, and the first that matches counts; move it up or take it out", quote(p.Rules[i].Name))
		}
	}
	return append(all, p.lengthProblems()...)
}

// nameProblem says what is wrong with a name; empty if nothing is.
func nameProblem(s string) string {
	switch {
	case s == "":
		return "empty; give a name"
	case len(s) > MaxName:
		return fmt.Sprintf("%d bytes long; at most %d are allowed", len(s), MaxName)
	case !utf8.ValidString(s):
		return quote(s) + " is not UTF-8; write it in UTF-8"
	case strings.ContainsFunc(s, unicode.IsControl):
		return quote(s) + " has a control character; take it out"
	}
	return ""
}

func (r *Rule) classProblems(rule int) []problem {
	var all []problem
	found := func(member, format string, args ...any) {
		all = append(all, problem{rule, member, fmt.Sprintf(format, args...)})
	}
	if len(r.Types) == 0 && len(r.Families) == 0 && len(r.Projects) == 0 {
		found("", "it is for every event; give types, families or projects, or use the payloads of the policy instead")
	}
	for _, t := range r.Types {
		if !t.Registered() {
			found("types", "%s is not a registered event type; docs/events.md lists them", quote(string(t)))
		} else if neverExpire[t] {
			found("types", "payloads of %s are never removed under a policy; take it out", t)
		}
	}
	families := make(map[string]bool)
	for _, f := range event.Families() {
		families[f] = true
	}
	for _, f := range r.Families {
		if !families[f] {
			found("families", "%s is not a family; there are %s", quote(f), strings.Join(event.Families(), ", "))
		}
	}
	for _, name := range r.Projects {
		if s := nameProblem(name); s != "" {
			found("projects", "%s", s)
		}
	}
	return all
}

// neverExpire are the types whose payloads tell what may be missing from the
// trail and who signs it.
var neverExpire = map[event.Type]bool{
	event.LogOpened:        true,
	event.KeyRotated:       true,
	event.RetentionApplied: true,
	event.PayloadErased:    true,
	event.LegalHoldChanged: true,
}

// lengthProblems compares the periods with each other.
func (p *Policy) lengthProblems() []problem {
	var all []problem
	below := false
	longest := p.Payloads
	floor := func(rule int, member string, period Period) {
		if period.problem() != "" || !period.Less(p.Floor) {
			return
		}
		below = true
		if p.Override == "" {
			all = append(all, problem{rule, member, fmt.Sprintf("%s is shorter than the floor, %s; make it longer, or say in override why it may be shorter", period, p.Floor)})
		}
	}
	floor(-1, "payloads", p.Payloads)
	for i := range p.Rules {
		floor(i, "payloads", p.Rules[i].Payloads)
		if longest.Less(p.Rules[i].Payloads) {
			longest = p.Rules[i].Payloads
		}
	}
	entries := p.entries()
	floor(-1, "entries", entries)
	if entries.problem() == "" && entries.Less(longest) {
		all = append(all, problem{-1, "entries", fmt.Sprintf("%s is shorter than the longest period of payloads, %s; an entry stays at least as long as its payload, so make it as long or longer", entries, longest)})
	}
	if p.Override != "" && !below {
		all = append(all, problem{-1, "override", "no period is below the floor, so there is nothing to override; take it out"})
	}
	return all
}
