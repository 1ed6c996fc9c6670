package retention

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"

	"github.com/custodylog/custody/event"
)

// What stands for every type that is not registered, and for every project that
// no rule names. The one is not a type, the other not a project.
const (
	otherTypes    = "*"
	otherProjects = ""
)

// decider finds the rule that decides for an event.
type decider struct {
	columns []event.Type // the registered types, then otherTypes
	types   [][]bool     // per rule and column
	project []map[string]bool
	names   []string // of projects that rules name, each once
}

func (p *Policy) decider() *decider {
	d := &decider{}
	column := make(map[event.Type]int)
	for _, spec := range event.Types() {
		column[spec.Type] = len(d.columns)
		d.columns = append(d.columns, spec.Type)
	}
	d.columns = append(d.columns, otherTypes)
	seen := make(map[string]bool)
	for i := range p.Rules {
		r := &p.Rules[i]
		match := make([]bool, len(d.columns))
		if len(r.Types) == 0 && len(r.Families) == 0 {
			for c := range match {
				match[c] = true
			}
		}
		for _, t := range p.RuleTypes(r) {
			match[column[t]] = true
		}
		d.types = append(d.types, match)
		var projects map[string]bool
		for _, name := range r.Projects {
			if projects == nil {
				projects = make(map[string]bool)
			}
			projects[name] = true
			if !seen[name] {
				seen[name] = true
				d.names = append(d.names, name)
			}
		}
		d.project = append(d.project, projects)
	}
	return d
}

// decide returns, for each column, the index of the rule that decides for events
// of a project; the number of rules where none does.
func (d *decider) decide(project string) []int {
	row := make([]int, len(d.columns))
	for c := range row {
		row[c] = len(d.types)
	}
	for i, match := range d.types {
		if d.project[i] != nil && (project == otherProjects || !d.project[i][project]) {
			continue
		}
		for c := range row {
			if match[c] && row[c] == len(d.types) {
				row[c] = i
			}
		}
	}
	return row
}

// unused returns the rules that decide for no event, because those before them
// decide for all of theirs.
func (d *decider) unused() []int {
	used := make([]bool, len(d.types)+1)
	for _, project := range append([]string{otherProjects}, d.names...) {
		for _, i := range d.decide(project) {
			used[i] = true
		}
	}
	var unused []int
	for i := range d.types {
		if !used[i] {
			unused = append(unused, i)
		}
	}
	return unused
}

// Digest returns the SHA-256, in lower-case hexadecimal, of the canonical form
// of what the policy decides. Two policies have the same digest if they give
// every event, and the entries, the same period: names, the floor, the override
// and how rules are written do not count. It is for a policy that Validate
// accepts, and empty for one whose text is not valid UTF-8.
//
// The canonical form is JSON (RFC 8785). Its payloads are the periods by type of
// events of any project, "*" for all types that it does not list; its projects
// are the same for each project that differs. A family is the types that are
// registered in it.
func (p *Policy) Digest() string {
	form, err := p.canonical()
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(form)
	return hex.EncodeToString(sum[:])
}

func (p *Policy) canonical() ([]byte, error) {
	d := p.decider()
	periods := func(project string) map[string]string {
		row := d.decide(project)
		m := make(map[string]string)
		last := len(row) - 1
		m[otherTypes] = p.period(row[last]).String()
		for c, i := range row[:last] {
			if s := p.period(i).String(); s != m[otherTypes] {
				m[string(d.columns[c])] = s
			}
		}
		return m
	}
	general := periods(otherProjects)
	projects := make(map[string]any)
	for _, name := range d.names {
		if m := periods(name); !maps.Equal(m, general) {
			projects[name] = m
		}
	}
	return event.AppendJSON(nil, map[string]any{
		"entries":  p.entries().String(),
		"payloads": general,
		"projects": projects,
		"version":  1,
	})
}

// period returns the period of a rule by its index, Payloads behind the last.
func (p *Policy) period(rule int) Period {
	if rule < len(p.Rules) {
		return p.Rules[rule].Payloads
	}
	return p.Payloads
}
