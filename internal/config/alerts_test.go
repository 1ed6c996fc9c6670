package config

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

const alerts = `version: 1
alerts:
  every: 5s
  give_up: 12h
  rules:
    - name: denied
      trails: [default]
      types: [action_denied]
      severity: warning
      where: {agent_id: a1, tool_name: rm, decision: deny}
      count: 3
      window: 10m
      cooldown: 1h
    - {name: stops, types: [emergency_stop]}
  webhooks:
    - name: ops
      url: https://hooks.example.com/custody
      secret_file: /etc/custody/webhook
      rules: [denied]
    - {name: here, url: "http://127.0.0.1:9/x", secret_env: OPS_SECRET}
`

func TestAlerts(t *testing.T) {
	c, settings, err := load(t, alerts)
	if err != nil {
		t.Fatal(err)
	}
	want := Alerts{Every: Duration(5 * time.Second), GiveUp: Duration(12 * time.Hour),
		Rules: []Rule{{Name: "denied", Trails: []string{"default"}, Types: []string{"action_denied"}, Severity: "warning",
			Where: map[string]string{"agent_id": "a1", "tool_name": "rm", "decision": "deny"},
			Count: 3, Window: Duration(10 * time.Minute), Cooldown: Duration(time.Hour)},
			{Name: "stops", Types: []string{"emergency_stop"}}},
		Webhooks: []Webhook{{Name: "ops", URL: "https://hooks.example.com/custody", SecretFile: "/etc/custody/webhook", Rules: []string{"denied"}},
			{Name: "here", URL: "http://127.0.0.1:9/x", SecretEnv: "OPS_SECRET"}}}
	if !reflect.DeepEqual(c.Alerts, want) {
		t.Errorf("got %+v\nwant %+v", c.Alerts, want)
	}
	shown := map[string]string{}
	for _, s := range settings {
		shown[s.Name] = s.Value
	}
	var rules []map[string]any
	if err := json.Unmarshal([]byte(shown["alerts.rules"]), &rules); err != nil || len(rules) != 2 || rules[0]["window"] != "10m0s" || len(rules[1]) != 2 {
		t.Errorf("the rules are shown as %s (%v)", shown["alerts.rules"], err)
	}
	if strings.Contains(shown["alerts.webhooks"], "\n") {
		t.Errorf("the webhooks are shown as %s", shown["alerts.webhooks"])
	}
	if _, settings, err = load(t, "version: 1"); err != nil {
		t.Fatal(err)
	}
	for _, s := range settings {
		if s.Name == "alerts.rules" && s.Value != "[]" {
			t.Errorf("no rules are shown as %q", s.Value)
		}
	}
}

func TestAlertErrors(t *testing.T) {
	for _, tt := range []struct{ before, after, want string }{
		{"name: denied", "name: Denied", `alerts.rules[0].name: "Denied"`},
		{"name: stops", "name: denied", `alerts.rules[1].name: there is another "denied"`},
		{"name: here", "name: ops", `alerts.webhooks[1].name: there is another`},
		{"[action_denied]", "[action_denid]", `alerts.rules[0].types[0]: "action_denid"`},
		{"severity: warning", "severity: bad", `alerts.rules[0].severity: "bad"`},
		{"agent_id: a1", "agent: a1", "alerts.rules[0].where.agent: it is not one of"},
		{"decision: deny", "decision: no", `alerts.rules[0].where.decision: no event has "no"`},
		{"count: 3", "count: 1001", "alerts.rules[0].count: 1001"},
		{"window: 10m", "window: 1ms", "alerts.rules[0].window"},
		{"      window: 10m\n", "", "alerts.rules[0].window: within how long"},
		{"window: 10m", "windows: 10m", "custody.yaml:12: alerts.rules[0].windows: there is no such setting"},
		{"window: 10m", "window: 10 minutes", "10 minutes"},
		{", types: [emergency_stop]", "", "alerts.rules[1]: it matches every event"},
		{"https://hooks", "http://hooks", "alerts.webhooks[0].url: it has to begin with https"},
		{"https://hooks", "https://me:pass@hooks", "alerts.webhooks[0].url: it is no address"},
		{"secret_env: OPS_SECRET", "secret_env: CUSTODY_SECRET", "secret_env: variables"},
		{"      secret_file: /etc/custody/webhook\n", "", "alerts.webhooks[0]: the secret"},
		{"rules: [denied]", "rules: [denid]", `there is no rule "denid"`},
		{"every: 5s", "every: 5ms", "alerts.every"},
		{"give_up: 12h", "give_up: 5s", "alerts.give_up"},
	} {
		content := strings.Replace(alerts, tt.before, tt.after, 1)
		if content == alerts {
			t.Fatalf("there is no %q", tt.before)
		}
		if _, _, err := load(t, content); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v; want %s", tt.after, err, tt.want)
		} else if strings.Contains(err.Error(), "pass") {
			t.Errorf("the error has a password in it: %v", err)
		}
	}
	if _, _, err := load(t, alerts, "CUSTODY_ALERTS_RULES=x"); err == nil || !strings.Contains(err.Error(), "CUSTODY_ALERTS_RULES") {
		t.Errorf("a list in the environment: %v", err)
	}
}

// The example of docs/alerts.md can be used, and shows every setting of a rule and of a
// webhook.
func TestDocumentedAlerts(t *testing.T) {
	page, err := os.ReadFile("../../docs/alerts.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(page), "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	c, _, err := load(t, example)
	if err != nil || len(c.Alerts.Rules) != 3 || len(c.Alerts.Webhooks) != 2 {
		t.Fatalf("%+v, %v", c, err)
	}
	for _, kind := range []reflect.Type{reflect.TypeFor[Rule](), reflect.TypeFor[Webhook]()} {
		for i := range kind.NumField() {
			name, _, _ := strings.Cut(kind.Field(i).Tag.Get("yaml"), ",")
			if !strings.Contains(example, name+":") {
				t.Errorf("the example has no %s", name)
			}
		}
	}
}
