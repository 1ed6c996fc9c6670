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

func (a *Alerts) validate(bad func(format string, args ...any)) {
	if time.Duration(a.Every) < time.Second {
		bad("alerts.every: %s is shorter than a second", a.Every)
	}
	if time.Duration(a.GiveUp) < time.Minute {
		bad("alerts.give_up: %s is shorter than a minute", a.GiveUp)
	}
	if len(a.Rules) > maxRules || len(a.Webhooks) > maxWebhooks {
		bad("alerts: there are %d rules and %d webhooks; %d and %d are allowed", len(a.Rules), len(a.Webhooks), maxRules, maxWebhooks)
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
func checkName(in, name string, taken []string, bad func(string, ...any)) {
	ok := name != "" && len(name) <= 63 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
	switch {
	case !ok:
		bad("%s.name: %q; it takes 1 to 63 of a-z, 0-9, '-' and '_'", in, name)
	case slices.Contains(taken, name):
		bad("%s.name: there is another %q", in, name)
	}
}

func (r *Rule) validate(in string, bad func(string, ...any)) {
	for _, t := range r.Types {
		if !event.Type(t).Registered() {
			bad("%s.types: %q is no type of events; docs/events.md lists them", in, t)
		}
	}
	if r.Severity != "" && !event.Severity(r.Severity).Valid() {
		bad("%s.severity: %q is none; docs/events.md lists them", in, r.Severity)
	}
	for name, value := range r.Where {
		if !slices.Contains(RuleFields, name) {
			bad("%s.where: %q is not one of %s", in, name, strings.Join(RuleFields, ", "))
		}
		if value == "" || name == "decision" && !event.Decision(value).Valid() || name == "outcome" && !event.Outcome(value).Valid() {
			bad("%s.where.%s: no event has %q", in, name, value)
		}
	}
	if len(r.Types) == 0 && r.Severity == "" && len(r.Where) == 0 {
		bad("%s: it matches every event; give types, severity or where", in)
	}
	if r.Count < 0 || r.Count > maxCount {
		bad("%s.count: %d is not between 1 and %d", in, r.Count, maxCount)
	}
	if r.Count > 1 && r.Window == 0 {
		bad("%s.window: within how long are %d events an alert?", in, r.Count)
	}
	for name, d := range map[string]Duration{"window": r.Window, "cooldown": r.Cooldown} {
		if d != 0 && time.Duration(d) < time.Second {
			bad("%s.%s: %s is shorter than a second", in, name, d)
		}
	}
}

func (w *Webhook) validate(in string, rules []string, bad func(string, ...any)) {
	u, err := url.Parse(w.URL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		bad("%s.url: it is no address, or has a user or fragment in it", in) // not shown: it may hold a secret
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
	default:
		bad("%s.url: it has to begin with https://, or http:// on this machine", in)
	}
	if (w.SecretFile == "") == (w.SecretEnv == "") {
		bad("%s: the secret is in secret_file or in secret_env: give one of the two", in)
	}
	if strings.HasPrefix(w.SecretEnv, "CUSTODY_") {
		bad("%s.secret_env: variables that begin with CUSTODY_ are settings; take another name", in)
	}
	for _, r := range w.Rules {
		if !slices.Contains(rules, r) {
			bad("%s.rules: there is no rule %q", in, r)
		}
	}
}
