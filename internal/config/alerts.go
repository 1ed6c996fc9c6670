package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/custodylog/custody/event"
)

// Alerts says what the server tells somebody of, and whom.
type Alerts struct {
	Every    Duration  `yaml:"every"`   // how often the server looks whether it can still work
	GiveUp   Duration  `yaml:"give_up"` // how long it is tried to deliver an alert
	Rules    []Rule    `yaml:"rules"`
	Webhooks []Webhook `yaml:"webhooks"`
}

// Rule raises an alert when Count events that match were recorded in one trail within
// Window, and then none for Cooldown.
type Rule struct {
	Name     string            `yaml:"name"`
	Trails   []string          `yaml:"trails,omitempty"`   // empty: all
	Types    []string          `yaml:"types,omitempty"`    // empty: all
	Severity string            `yaml:"severity,omitempty"` // the least; empty: any
	Where    map[string]string `yaml:"where,omitempty"`    // members of the event by name; see RuleFields
	Count    int               `yaml:"count,omitempty"`    // 0: 1
	Window   Duration          `yaml:"window,omitempty"`   // 0: a minute
	Cooldown Duration          `yaml:"cooldown,omitempty"` // 0: a minute
}

// RuleFields are the members of an event that a rule can look at.
var RuleFields = []string{"agent_id", "session_id", "project_id", "user_id", "tool_name", "decision", "outcome"}

// Webhook is who gets alerts. Its secret, whsec_ and base64, is in a file or in a
// variable of the environment, and in no setting.
type Webhook struct {
	Name       string   `yaml:"name"`
	URL        string   `yaml:"url"`
	SecretFile string   `yaml:"secret_file,omitempty"`
	SecretEnv  string   `yaml:"secret_env,omitempty"`
	Rules      []string `yaml:"rules,omitempty"` // the only ones whose alerts it gets; empty: all
}

const (
	maxRules    = 100
	maxWebhooks = 20
	maxCount    = 1000
)

func (a *Alerts) validate(bad complain) {
	if time.Duration(a.Every) < time.Second {
		bad("alerts.every", "%s is shorter than a second", a.Every)
	}
	if time.Duration(a.GiveUp) < time.Minute {
		bad("alerts.give_up", "%s is shorter than a minute", a.GiveUp)
	}
	if len(a.Rules) > maxRules || len(a.Webhooks) > maxWebhooks {
		bad("alerts", "there are %d rules and %d webhooks; %d and %d are allowed", len(a.Rules), len(a.Webhooks), maxRules, maxWebhooks)
		return
	}
	var rules, webhooks []string
	for i := range a.Rules {
		r := &a.Rules[i]
		in := fmt.Sprintf("alerts.rules[%d]", i)
		checkName(in, r.Name, rules, bad)
		rules = append(rules, r.Name)
		r.validate(in, bad)
	}
	for i := range a.Webhooks {
		w := &a.Webhooks[i]
		in := fmt.Sprintf("alerts.webhooks[%d]", i)
		checkName(in, w.Name, webhooks, bad)
		webhooks = append(webhooks, w.Name)
		w.validate(in, rules, bad)
	}
}

// checkName refuses names that cannot be told apart or stand in a file's name.
func checkName(in, name string, taken []string, bad complain) {
	ok := name != "" && len(name) <= 63 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
	switch {
	case !ok:
		bad(in+".name", "%q; it takes 1 to 63 of a-z, 0-9, '-' and '_'", name)
	case slices.Contains(taken, name):
		bad(in+".name", "there is another %q", name)
	}
}

func (r *Rule) validate(in string, bad complain) {
	for i, t := range r.Types {
		if !event.Type(t).Registered() {
			bad(fmt.Sprintf("%s.types[%d]", in, i), "%q is no type of events; docs/events.md lists them", t)
		}
	}
	if r.Severity != "" && !event.Severity(r.Severity).Valid() {
		bad(in+".severity", "%q is none; docs/events.md lists them", r.Severity)
	}
	for name, value := range r.Where {
		if !slices.Contains(RuleFields, name) {
			bad(in+".where."+name, "it is not one of %s", strings.Join(RuleFields, ", "))
		}
		if value == "" || name == "decision" && !event.Decision(value).Valid() || name == "outcome" && !event.Outcome(value).Valid() {
			bad(in+".where."+name, "no event has %q", value)
		}
	}
	if len(r.Types) == 0 && r.Severity == "" && len(r.Where) == 0 {
		bad(in, "it matches every event; give types, severity or where")
	}
	if r.Count < 0 || r.Count > maxCount {
		bad(in+".count", "%d is not between 1 and %d", r.Count, maxCount)
	}
	if r.Count > 1 && r.Window == 0 {
		bad(in+".window", "within how long are %d events an alert?", r.Count)
	}
	for name, d := range map[string]Duration{"window": r.Window, "cooldown": r.Cooldown} {
		if d != 0 && time.Duration(d) < time.Second {
			bad(in+"."+name, "%s is shorter than a second", d)
		}
	}
}

func (w *Webhook) validate(in string, rules []string, bad complain) {
	u, err := url.Parse(w.URL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		bad(in+".url", "it is no address, or has a user or fragment in it") // not shown: it may hold a secret
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
	default:
		bad(in+".url", "it has to begin with https://, or http:// on this machine")
	}
	if (w.SecretFile == "") == (w.SecretEnv == "") {
		bad(in, "the secret is in secret_file or in secret_env: give one of the two")
	}
	if strings.HasPrefix(w.SecretEnv, "CUSTODY_") {
		bad(in+".secret_env", "variables that begin with CUSTODY_ are settings; take another name")
	}
	for i, r := range w.Rules {
		if !slices.Contains(rules, r) {
			bad(fmt.Sprintf("%s.rules[%d]", in, i), "there is no rule %q", r)
		}
	}
}
