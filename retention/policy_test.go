package retention

import (
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody/event"
)

func TestParsePeriod(t *testing.T) {
	for text, want := range map[string]string{"400d": "400d", "2w": "14d", "6y": "2190d", "forever": "forever", "1d": "1d"} {
		if p, err := ParsePeriod(text); err != nil || p.String() != want {
			t.Errorf("%q: %s, %v, want %s", text, p, err, want)
		}
	}
	for _, text := range []string{"", "d", "0d", "-1d", "+1d", "1", "1m", "1.5d", "1 d", "400D", "9999999999d", "1001y", "Forever"} {
		if p, err := ParsePeriod(text); err == nil {
			t.Errorf("%q is %s", text, p)
		}
	}
}

func TestCutoff(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	if at, ok := (Period{Days: 30}).Cutoff(now); !ok || at != time.Date(2026, 10, 26, 12, 0, 0, 0, time.UTC) {
		t.Errorf("%v %v", at, ok)
	}
	for _, p := range []Period{{}, {Forever: true}} {
		if _, ok := p.Cutoff(now); ok {
			t.Errorf("%+v ends", p)
		}
	}
}

func TestParse(t *testing.T) {
	p, err := Parse("p.yaml", []byte(`
version: 1
name: ours
payloads: 90d
rules:
  - name: prompts
    types: [turn_started, turn_ended]
    projects: [web, billing]
    payloads: 30d
  - {name: approvals, families: [approval], payloads: forever}
`))
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "ours" || p.Payloads.Days != 90 || len(p.Rules) != 2 || p.Rules[0].Payloads.Days != 30 || !p.Rules[1].Payloads.Forever {
		t.Errorf("%+v", p)
	}
	if types := p.TypesOf(&p.Rules[1]); len(types) < 2 || types[0] != event.ApprovalRequested {
		t.Errorf("%v", types)
	}
	if types := p.TypesOf(&p.Rules[0]); len(types) != 2 {
		t.Errorf("%v", types)
	}
	p, err = Parse("p.yaml", []byte("version: 1\npayloads: 400d\nentries: 6y\n"))
	if err != nil || p.Entries.Days != 2190 || Default().Entries.IsSet() {
		t.Errorf("%+v, %v", p, err)
	}
	p, err = Parse("p.yaml", []byte("version: 1\npreset: ai-act-logs\n"))
	if err != nil || p.Name != "ai-act-logs" || p.Floor.Days != 184 {
		t.Errorf("%+v, %v", p, err)
	}
	p, err = Parse("p.yaml", []byte("version: 1\npreset: ai-act-logs\npayloads: 30d\noverride: test data only\n"))
	if err != nil || p.Payloads.Days != 30 {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestParseErrors(t *testing.T) {
	for content, want := range map[string]string{
		"":                               "version",
		"version: 2":                     "version 1",
		"version: 1\npayload: 30d":       "payload",
		"version: 1\npayloads: 30":       "no period",
		"version: 1\npayloads: soon":     "soon",
		"version: 1\npreset: other":      "ai-act-logs",
		"version: 1\nrules: [{name: a}]": "for no events",
		"version: 1\nentries: 399d":      "entries: 399d is shorter",
		"version: 1\nentries: 1001y":     "1001y",
		"version: 1\nentries: 1y\npayloads: 1d\nrules: [{name: a, types: [x], payloads: forever}]": "rule a, forever",
		"version: 1\nrules: [{types: [x]}]":                                                             "needs a name",
		"version: 1\nrules: [{name: a, types: [X], payloads: 1d}]":                                      `"X" is no type`,
		"version: 1\nrules: [{name: a, families: [x], payloads: 1d}]":                                   "approval",
		"version: 1\nrules: [{name: a, types: [x], families: [action], payloads: 1d}]":                  "not both",
		"version: 1\nrules: [{name: a, types: [x]}]":                                                    "no period is given",
		"version: 1\nfloor: 100d\npayloads: 30d":                                                        "below the floor of 100d",
		"version: 1\nfloor: 100d\nrules: [{name: a, types: [x], payloads: 1d}]":                         "rule a: 1d is below the floor",
		"version: 1\nrules: [{name: a, types: [x], payloads: 1d}, {name: a, types: [x], payloads: 1d}]": "another one has this name",
		"version: 1\nrules: [{name: a, projects: [''], payloads: 1d}]":                                  "a project is empty",
		"version: 1\nrules: ! ":                                    "not YAML that can be read",
		"version: 1\n---\nversion: 1":                              "more than one document",
		"version: 1\npreset: ai-act-logs\nfloor: 1d\npayloads: 1d": "below that of the preset",
		"version: 1\nfloor: 100d\npayloads: 30d\noverride: ' '":    "below the floor of 100d",
		"# " + strings.Repeat("x", 1<<16):                          "at most",
		"version: [":                                               "p.yaml",
	} {
		if _, err := Parse("p.yaml", []byte(content)); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "p.yaml: ") {
			t.Errorf("%q:\ngot  %v\nwant %s", content, err, want)
		}
	}
}

func TestPresets(t *testing.T) {
	digests := map[string]bool{}
	for _, p := range append(Presets(), Preset{Name: "default", Policy: Default()}) {
		if err := p.Policy.Validate(); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		digests[p.Policy.Digest()] = true
	}
	if len(digests) != 4 {
		t.Errorf("%d digests", len(digests))
	}
}

func FuzzParse(f *testing.F) {
	f.Add("version: 1\nname: a\nrules: [{name: a, types: [x], payloads: 1d}]")
	f.Add("version: 1\npreset: health-records")
	f.Add("version: 1\nrules: ! ") // the library panics
	f.Fuzz(func(t *testing.T, content string) {
		if p, err := Parse("p", []byte(content)); err == nil {
			if err := p.Validate(); err != nil {
				t.Error(err)
			}
		}
	})
}
