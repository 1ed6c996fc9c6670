package retention

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/custodylog/custody/event"
)

// Policy says how long the payloads of events are kept, and how long their entries.
// The first rule whose class an event belongs to gives the period of its payload,
// Payloads that of all others.
type Policy struct {
	Name     string `yaml:"name" json:"name"`
	Payloads Period `yaml:"payloads" json:"payloads"`
	Rules    []Rule `yaml:"rules" json:"rules,omitempty"`

	// Entries is how long entries stay, at least as long as every payload does.
	// There is one period for all: what goes is the oldest part of the trail,
	// whatever it holds. Not set: they stay for ever.
	Entries Period `yaml:"entries" json:"entries,omitzero"`

	// Floor is a period that no other one may be shorter than, unless Override
	// says why. What it says is recorded with every run.
	Floor    Period `yaml:"floor" json:"floor,omitzero"`
	Override string `yaml:"override" json:"override,omitempty"`
}

// Rule gives the period of one class of events: every list that is not empty has
// to match.
type Rule struct {
	Name     string       `yaml:"name" json:"name"`
	Types    []event.Type `yaml:"types" json:"types,omitempty"`
	Families []string     `yaml:"families" json:"families,omitempty"` // of types, as in the registry
	Projects []string     `yaml:"projects" json:"projects,omitempty"`
	Payloads Period       `yaml:"payloads" json:"payloads"`
}

// Default keeps payloads for 400 days.
func Default() Policy {
	return Policy{Name: "default", Payloads: Period{Days: 400}}
}

// maxFile bounds the files of policies, in bytes.
const maxFile = 64 << 10

// Parse reads a policy from a file in YAML, whose name is for errors. What the
// file does not say is as in its preset, or in [Default]. Members that are not
// known are errors, with their line.
func Parse(name string, content []byte) (p Policy, err error) {
	if len(content) > maxFile {
		return Policy{}, fmt.Errorf("%s: it has %d bytes; a policy has %d at most", name, len(content), maxFile)
	}
	// The library panics on some files that are no YAML.
	defer func() {
		if r := recover(); r != nil {
			p, err = Policy{}, fmt.Errorf("%s: it is not YAML that can be read: %v", name, r)
		}
	}()
	// The preset is what the rest is put on.
	var base struct {
		Version int    `yaml:"version"`
		Preset  string `yaml:"preset"`
	}
	if err := yaml.Unmarshal(content, &base); err != nil {
		return Policy{}, fmt.Errorf("%s: %w", name, err)
	}
	if base.Version != 1 {
		return Policy{}, fmt.Errorf("%s: version: it is %d; this program reads version 1", name, base.Version)
	}
	file := struct {
		Version int    `yaml:"version"`
		Preset  string `yaml:"preset"`
		Policy  `yaml:",inline"`
	}{Policy: Default()}
	if base.Preset != "" {
		p, err := FindPreset(base.Preset)
		if err != nil {
			return Policy{}, fmt.Errorf("%s: preset: %w", name, err)
		}
		file.Policy = p.Policy
	}
	floor := file.Floor
	d := yaml.NewDecoder(bytes.NewReader(content), yaml.Strict())
	if err := d.Decode(&file); err != nil {
		return Policy{}, fmt.Errorf("%s: %w", name, err)
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return Policy{}, fmt.Errorf("%s: it holds more than one document; put one policy into each file", name)
	}
	if file.Floor.Less(floor) {
		return Policy{}, fmt.Errorf("%s: floor: %s is below that of the preset, %s; leave it out, and say in override why a period may be shorter", name, file.Floor, floor)
	}
	if err := file.Policy.Validate(); err != nil {
		return Policy{}, fmt.Errorf("%s: %w", name, err)
	}
	return file.Policy, nil
}

// Validate returns everything that is wrong with the policy.
func (p *Policy) Validate() error {
	var wrong []string
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	floor := func(what string, period Period) {
		switch {
		case !period.IsSet() || period.Days > maxDays:
			bad("%s: no period is given", what)
		case p.Floor.IsSet() && period.Less(p.Floor) && strings.TrimSpace(p.Override) == "":
			bad("%s: %s is below the floor of %s; make it longer, or say in override why it may be shorter", what, period, p.Floor)
		}
	}
	if p.Name == "" {
		bad("name: it has none")
	}
	floor("payloads", p.Payloads)
	entries := func(what string, payloads Period) {
		if p.Entries.IsSet() && p.Entries.Less(payloads) {
			bad("entries: %s is shorter than the period of %s, %s; an entry stays as long as its payload does", p.Entries, what, payloads)
		}
	}
	if p.Entries.Days > maxDays {
		bad("entries: %s is too long", p.Entries)
	}
	entries("payloads", p.Payloads)
	names := map[string]bool{}
	for i := range p.Rules {
		r := &p.Rules[i]
		what := fmt.Sprintf("rules[%d]", i)
		if r.Name == "" || r.Name == "default" {
			bad("%s: it needs a name, other than default", what)
		} else if what = fmt.Sprintf("rule %s", r.Name); names[r.Name] {
			bad("%s: another one has this name", what)
		}
		names[r.Name] = true
		if len(r.Types)+len(r.Families)+len(r.Projects) == 0 {
			bad("%s: it is for no events; give types, families or projects, or use payloads for all", what)
		}
		if len(r.Types) > 0 && len(r.Families) > 0 {
			bad("%s: give types or families, not both", what)
		}
		for _, t := range r.Types {
			if !event.ValidType(string(t)) {
				bad("%s: %q is no type", what, t)
			}
		}
		for _, f := range r.Families {
			if len(typesOf(f)) == 0 {
				bad("%s: no type is of the family %q; there are %s", what, f, strings.Join(families(), ", "))
			}
		}
		if slices.Contains(r.Projects, "") {
			bad("%s: a project is empty", what)
		}
		floor(what, r.Payloads)
		entries(what, r.Payloads)
	}
	if len(wrong) > 0 {
		return errors.New("the retention policy cannot be used: " + strings.Join(wrong, "; "))
	}
	return nil
}

// TypesOf returns the types of a rule's class: those that it names, or those of
// its families. Empty means all types.
func (p *Policy) TypesOf(r *Rule) []event.Type {
	types := slices.Clone(r.Types)
	for _, f := range r.Families {
		types = append(types, typesOf(f)...)
	}
	return types
}

// Digest is the SHA-256, in hexadecimal, of the policy in JSON. Policies with the
// same digest decide the same.
func (p *Policy) Digest() string {
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // it has strings and periods only
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func typesOf(family string) (types []event.Type) {
	for _, s := range event.Types() {
		if s.Family == family {
			types = append(types, s.Type)
		}
	}
	return types
}

func families() (all []string) {
	for _, s := range event.Types() {
		if !slices.Contains(all, s.Family) {
			all = append(all, s.Family)
		}
	}
	return all
}
