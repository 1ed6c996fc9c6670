package event

import (
	"slices"
)

// Type is the wire name of an event type, such as "action_denied".
type Type string

// Kind is the JSON kind that a detail is expected to have.
type Kind string

// The kinds.
const (
	KindString  Kind = "string"
	KindNumber  Kind = "number"
	KindInteger Kind = "integer"
	KindBoolean Kind = "boolean"
	KindStrings Kind = "strings" // an array of strings
	KindTime    Kind = "time"    // a string, RFC 3339
	KindAny     Kind = "any"
)

// Detail describes one member of an event's details.
type Detail struct {
	Name     string
	Kind     Kind
	Required bool     // missing, null or "" is a defect
	Enum     []string // the allowed values of a string; nil for any
	Doc      string
}

// Spec is what the registry knows of one event type. Details that it does not
// name are allowed in any event.
type Spec struct {
	Type     Type
	Family   string // groups types in the documentation, such as "action"
	Severity Severity
	Doc      string

	// Required names the members that must not be empty, beside id,
	// event_type and timestamp, which every event has.
	Required []string

	// Decision is the only decision that an event of the type may carry.
	// Empty means any or none.
	Decision Decision

	Details []Detail

	// OneOf names details of which at least one is required.
	OneOf []string

	// Reserved types are recorded by the trail itself: what they say has
	// consequences, such as that a payload may be missing. It refuses them
	// from anybody else.
	Reserved bool

	// Raise, where it is not nil, names a string detail whose listed values
	// raise the severity.
	Raise *Raise
}

// Raise is a rule that makes some events of a type more severe than the others.
type Raise struct {
	Detail   string
	Values   []string // compared without regard to case, '-' and '_'
	Severity Severity
}

// SeverityOf returns the severity of an event of this type with such details.
func (s *Spec) SeverityOf(details map[string]any) Severity {
	if s.Raise != nil {
		if v, ok := details[s.Raise.Detail].(string); ok {
			for _, w := range s.Raise.Values {
				if sameWord(v, w) {
					return s.Raise.Severity
				}
			}
		}
	}
	return s.Severity
}

// sameWord compares without regard to ASCII case, '-' and '_'.
func sameWord(a, b string) bool {
	i, j := 0, 0
	for {
		for i < len(a) && (a[i] == '-' || a[i] == '_') {
			i++
		}
		for j < len(b) && (b[j] == '-' || b[j] == '_') {
			j++
		}
		if i == len(a) || j == len(b) {
			return i == len(a) && j == len(b)
		}
		if lower(a[i]) != lower(b[j]) {
			return false
		}
		i++
		j++
	}
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// Lookup returns the registry's entry for t. The result is shared: it must not
// be modified.
func Lookup(t Type) (*Spec, bool) {
	s, ok := byType[t]
	return s, ok
}

// Types returns the whole registry in its order, family by family. The slices
// in the result are shared: they must not be modified.
func Types() []Spec { return slices.Clone(registry) }

// Registered reports whether t is in the registry.
func (t Type) Registered() bool {
	_, ok := byType[t]
	return ok
}

// Families returns the families in the order of the registry.
func Families() []string {
	var fs []string
	for i := range registry {
		if f := registry[i].Family; len(fs) == 0 || fs[len(fs)-1] != f {
			fs = append(fs, f)
		}
	}
	return fs
}

var byType = func() map[Type]*Spec {
	m := make(map[Type]*Spec, len(registry))
	for i := range registry {
		m[registry[i].Type] = &registry[i]
	}
	return m
}()
