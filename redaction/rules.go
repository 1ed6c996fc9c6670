package redaction

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/redaction/detector"
)

// Rules say what is a secret and what is done with it. The zero value is what
// [Default] goes by; everything here adds to that or takes from it. It mirrors the
// file that [ParseRules] reads.
type Rules struct {
	// Version of the file: 1. In Go it may be left 0.
	Version int `yaml:"version"`

	Common `yaml:",inline"`

	// HMACKeyFile names the file that holds the key of MethodHMAC: 32 bytes or
	// more, or as many in hex. Nobody but its owner may be allowed to read it.
	HMACKeyFile string `yaml:"hmac_key_file"`

	// HMACKey is the key itself, for programs that have it from elsewhere.
	HMACKey []byte `yaml:"-"`

	// IncludeSensitive TURNS REDACTION OFF: secrets are hashed and stored, and
	// leave the trail only when the whole payload is erased. It is told by
	// Description, and so recorded.
	IncludeSensitive bool `yaml:"include_sensitive"`

	// EventTypes has what holds for events of one type, beside the above.
	EventTypes map[event.Type]TypeRules `yaml:"event_types"`
}

// TypeRules are the rules for events of one type. They add to those for all.
type TypeRules struct {
	Common `yaml:",inline"`

	// IncludeSensitive, if given, holds in place of that for all events.
	IncludeSensitive *bool `yaml:"include_sensitive"`
}

// Common is what rules may say for all events as well as for those of one type.
type Common struct {
	Keys    KeyRules    `yaml:"keys"`
	Values  ValueRules  `yaml:"values"`
	Methods MethodRules `yaml:"methods"`
}

// KeyRules change which names say secret. All names are compared without regard
// to case and separators: "next_token", "nextToken" and "Next-Token" are one.
type KeyRules struct {
	// Extra names say secret too, alone or as words of a longer name: "pin"
	// also stands for card_pin and pinCode, not for pinned. As with the names
	// known, "pin_type" only describes one and is left.
	Extra []string `yaml:"extra"`

	// Allow names are left although they would be redacted. They have to be
	// given whole: "next_token" leaves nextToken and not my_next_token. Below
	// another name that says secret they are redacted all the same.
	Allow []string `yaml:"allow"`
}

// ValueRules change what is a secret by its form.
type ValueRules struct {
	Enable   []string  `yaml:"enable"`   // detectors that are off unless asked for
	Disable  []string  `yaml:"disable"`  // detectors that are on
	Patterns []Pattern `yaml:"patterns"` // own ones

	// Allow has regular expressions. What one of them matches as a whole is left,
	// whatever asks for it to be redacted.
	Allow []string `yaml:"allow"`
}

// Pattern is a form of secret of one's own.
type Pattern struct {
	// Name is what redactions list as "value:NAME": lower case letters, digits
	// and hyphens.
	Name string `yaml:"name"`

	// Pattern is a regular expression in the syntax of package regexp. The
	// secret is its first group, or all that it matches if it has none. It sees
	// 256 bytes on both sides of a keyword.
	Pattern string `yaml:"pattern"`

	// Keywords are strings of three or more bytes of which one stands in or
	// near every secret. Without any, a literal of the pattern is one.
	Keywords []string `yaml:"keywords"`

	// Method of what it finds. Empty: that of MethodRules.
	Method Method `yaml:"method"`
}

// MethodRules say what is done with secrets.
type MethodRules struct {
	Default Method `yaml:"default"` // empty: MethodMask

	// Rules has the method of single rules, as redactions list them:
	// "key:password", "value:github-token". The name of a detector may stand
	// alone.
	Rules map[string]Method `yaml:"rules"`
}

// Limits of rules.
const (
	maxListItems  = 1000
	maxItemLength = 4096 // bytes
	maxEventTypes = 100
)

// problem is one thing that is wrong with rules.
type problem struct {
	path string // as in the file: values.patterns[0].name
	text string
}

func (p problem) String() string { return p.path + ": " + p.text }

// validate returns all that is wrong with the rules, in the order of the file.
func (r *Rules) validate() (problems []problem) {
	add := func(path, format string, args ...any) {
		problems = append(problems, problem{path, fmt.Sprintf(format, args...)})
	}
	if r.Version != 0 && r.Version != 1 {
		add("version", "%d is not known; this program reads version 1", r.Version)
	}
	r.Common.validate("", nil, add)
	if len(r.EventTypes) > maxEventTypes {
		add("event_types", "%d types have rules, %d at most are possible", len(r.EventTypes), maxEventTypes)
	}
	for _, t := range sorted(r.EventTypes) {
		own := r.EventTypes[t]
		if t == "" || !utf8.ValidString(string(t)) {
			add("event_types", "%q is no type; write one such as action_executed", string(t))
		}
		own.validate("event_types."+string(t)+".", &r.Common, add)
	}
	needed := r.Common.usesHMAC()
	for _, own := range r.EventTypes {
		needed = needed || own.usesHMAC()
	}
	switch given := r.HMACKeyFile != "" || len(r.HMACKey) > 0; {
	case needed && !given:
		add("methods", "the method hmac needs a key; name its file in hmac_key_file")
	case r.HMACKeyFile != "" && len(r.HMACKey) > 0:
		add("hmac_key_file", "the key is given as well as its file; leave one of them out")
	case len(r.HMACKey) > 0 && len(r.HMACKey) < minHMACKey:
		add("hmac_key_file", "the key has %d bytes, and %d are needed", len(r.HMACKey), minHMACKey)
	}
	return problems
}

// validate adds what is wrong. above are the rules for all events, for those of
// one type.
func (c *Common) validate(in string, above *Common, add func(path, format string, args ...any)) {
	list := func(path string, items []string) bool {
		if len(items) > maxListItems {
			add(path, "%d items, %d at most are possible", len(items), maxListItems)
			return false
		}
		for i, item := range items {
			if len(item) > maxItemLength {
				add(at(path, i), "%d bytes, %d at most are possible", len(item), maxItemLength)
				return false
			}
		}
		return true
	}
	for _, l := range []struct {
		path  string
		names []string
	}{{in + "keys.extra", c.Keys.Extra}, {in + "keys.allow", c.Keys.Allow}} {
		if !list(l.path, l.names) {
			continue
		}
		for i, name := range l.names {
			if newTerm(name, true).folded == "" {
				add(at(l.path, i), "%q has no letter or digit and matches nothing; write the name of a member", name)
			}
		}
	}
	known := map[string]bool{}
	for _, d := range detector.Builtin() {
		known[d.Name] = true
	}
	for _, l := range []struct {
		path  string
		names []string
	}{{in + "values.enable", c.Values.Enable}, {in + "values.disable", c.Values.Disable}} {
		if !list(l.path, l.names) {
			continue
		}
		for i, name := range l.names {
			if !known[name] {
				add(at(l.path, i), "there is no detector %q; docs/redaction.md lists them", name)
			}
		}
	}
	if above != nil {
		for _, p := range above.Values.Patterns {
			known[p.Name] = true
		}
	}
	if len(c.Values.Patterns) > maxListItems {
		add(in+"values.patterns", "%d patterns, %d at most are possible", len(c.Values.Patterns), maxListItems)
		return
	}
	for i, p := range c.Values.Patterns {
		path := at(in+"values.patterns", i)
		switch {
		case p.Name == "" || strings.Trim(p.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || len(p.Name) > 64:
			add(path, "the name %q has to be of lower case letters, digits and hyphens, 64 at most", p.Name)
		case known[p.Name]:
			add(path, "there is another detector named %q; choose another name", p.Name)
		case len(p.Pattern) > maxItemLength:
			add(path, "the pattern has %d bytes, %d at most are possible", len(p.Pattern), maxItemLength)
		default:
			if _, err := detector.Compile([]detector.Detector{p.detector()}); err != nil {
				add(path, "%v", err)
			}
		}
		known[p.Name] = true
		if !p.Method.valid() {
			add(path, "%s", p.Method.problem())
		}
	}
	if path := in + "values.allow"; list(path, c.Values.Allow) {
		for i, expr := range c.Values.Allow {
			if _, err := regexp.Compile(expr); err != nil {
				add(at(path, i), "%v; it is no regular expression in the syntax of Go (RE2)", err)
			}
		}
	}
	if !c.Methods.Default.valid() {
		add(in+"methods.default", "%s", c.Methods.Default.problem())
	}
	if len(c.Methods.Rules) > maxListItems {
		add(in+"methods.rules", "%d rules, %d at most are possible", len(c.Methods.Rules), maxListItems)
		return
	}
	extra := c.Keys.Extra
	if above != nil {
		extra = slices.Concat(extra, above.Keys.Extra)
	}
	terms := termRules(extra)
	for _, rule := range sorted(c.Methods.Rules) {
		path := in + "methods.rules." + rule
		if m := c.Methods.Rules[rule]; !m.valid() {
			add(path, "%s", m.problem())
		}
		if term, ok := strings.CutPrefix(rule, keyPrefix); ok {
			if !terms[rule] {
				add(path, "no name says secret by the term %q; docs/redaction.md lists them", term)
			}
		} else if !known[strings.TrimPrefix(rule, valuePrefix)] {
			add(path, "there is no detector %q; write the name of one, or key:TERM", rule)
		}
	}
}

func at(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// termRules is the set of the rules that names can have.
func termRules(extra []string) map[string]bool {
	rules := map[string]bool{rulePass: true}
	for _, t := range known {
		rules[t.rule] = true
	}
	for _, name := range extra {
		rules[newTerm(name, true).rule] = true
	}
	return rules
}

func (m Method) valid() bool {
	switch m {
	case "", MethodMask, MethodPartial, MethodHMAC, MethodDrop:
		return true
	}
	return false
}

func (m Method) problem() string {
	return fmt.Sprintf("there is no method %q; write mask, partial, hmac or drop", string(m))
}

func (c *Common) usesHMAC() bool {
	own := slices.ContainsFunc(c.Values.Patterns, func(p Pattern) bool { return p.Method == MethodHMAC })
	return own || c.Methods.Default == MethodHMAC || slices.Contains(slices.Collect(maps.Values(c.Methods.Rules)), MethodHMAC)
}

func (p *Pattern) detector() detector.Detector {
	return detector.Detector{Name: p.Name, Doc: "pattern of the configuration", Pattern: p.Pattern, Keywords: p.Keywords}
}

// ruleset is what holds for an event, ready to be used. Only what names remember
// changes once it is made.
type ruleset struct {
	names            *names
	set              *detector.Set
	detectors        []detector.Detector
	rules            map[string]string // of detectors, by name
	allow            []*regexp.Regexp  // match whole secrets
	method           Method            // of what is not in methods
	methods          map[string]Method // by rule
	hmacKey          []byte
	includeSensitive bool
}

func newEngine(r *Rules) (*engine, error) {
	if problems := r.validate(); len(problems) > 0 {
		var errs []error
		for _, p := range problems {
			errs = append(errs, errors.New(p.String()))
		}
		return nil, fmt.Errorf("redaction rules: %w", errors.Join(errs...))
	}
	key := slices.Clone(r.HMACKey)
	if r.HMACKeyFile != "" {
		var err error
		if key, err = ReadHMACKey(r.HMACKeyFile); err != nil {
			return nil, err
		}
	}
	all, err := newRuleset(r.IncludeSensitive, key, nil, r.Common)
	if err != nil {
		return nil, err
	}
	e := &engine{all: all, types: map[event.Type]*ruleset{}}
	for t, own := range r.EventTypes {
		off := r.IncludeSensitive
		if own.IncludeSensitive != nil {
			off = *own.IncludeSensitive
		}
		if e.types[t], err = newRuleset(off, key, all, r.Common, own.Common); err != nil {
			return nil, fmt.Errorf("event_types.%s: %w", t, err)
		}
	}
	e.description, err = e.describe()
	return e, err
}

// newRuleset puts together the rules of several, of which later ones add to those
// before. If they have the same detectors as other, those are shared.
func newRuleset(off bool, key []byte, other *ruleset, all ...Common) (*ruleset, error) {
	r := &ruleset{rules: map[string]string{}, method: MethodMask, methods: map[string]Method{}, hmacKey: key, includeSensitive: off}
	var extra, allow []string
	on := map[string]bool{}
	detectors := detector.Builtin()
	for _, d := range detectors {
		on[d.Name] = !d.Off
	}
	for _, c := range all {
		extra = append(extra, c.Keys.Extra...)
		allow = append(allow, c.Keys.Allow...)
		for _, name := range c.Values.Enable {
			on[name] = true
		}
		for _, name := range c.Values.Disable {
			on[name] = false
		}
		if c.Methods.Default != "" {
			r.method = c.Methods.Default
		}
		for _, p := range c.Values.Patterns {
			on[p.Name] = true
			detectors = append(detectors, p.detector())
			if p.Method != "" {
				r.methods[valuePrefix+p.Name] = p.Method
			}
		}
		for rule, m := range c.Methods.Rules {
			if !strings.HasPrefix(rule, keyPrefix) && !strings.HasPrefix(rule, valuePrefix) {
				rule = valuePrefix + rule
			}
			r.methods[rule] = m
		}
		for _, expr := range c.Values.Allow {
			re, err := regexp.Compile(`^(?:` + expr + `)$`)
			if err != nil {
				return nil, err
			}
			r.allow = append(r.allow, re)
		}
	}
	r.names = newNames(extra, allow)
	r.detectors = slices.DeleteFunc(detectors, func(d detector.Detector) bool { return !on[d.Name] })
	for _, d := range r.detectors {
		r.rules[d.Name] = valuePrefix + d.Name
	}
	if other != nil && maps.Equal(other.rules, r.rules) {
		r.set = other.set
		return r, nil
	}
	var err error
	r.set, err = detector.Compile(r.detectors)
	return r, err
}

// allows reports whether the rules say that a string is no secret.
func (r *ruleset) allows(secret string) bool {
	for _, re := range r.allow {
		if re.MatchString(secret) {
			return true
		}
	}
	return false
}
