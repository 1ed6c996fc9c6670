package retention

import (
	"slices"

	"github.com/custodylog/custody/event"
)

// Class says which events a rule is for. An event has to match both, where they
// are given: the types (its type is one of Types, or of one of Families), and
// Projects. One of the three lists has to be given.
type Class struct {
	Types    []event.Type
	Families []string // as event.Spec.Family
	Projects []string // compared with the project_id of the event, byte by byte
}

// Rule gives the payloads of a class of events a period of their own.
type Rule struct {
	Name string // unique in its policy; "default" is the name of what no rule is for
	Class
	Payloads Period
}

// Policy says how long payloads and entries are held. The first rule whose class
// matches an event gives the period of its payload, and Payloads that of all
// others.
type Policy struct {
	Name     string
	Payloads Period // required; 400d where a file does not say
	Entries  Period // for the pruning of the oldest entries; not set means for ever
	Rules    []Rule
	Floor    Period // no period of the policy may be shorter; may be left unset
	Override string // why a period below Floor is allowed; it is recorded with every run
}

// Default returns the policy that holds where nothing else is said: payloads
// for 400 days, entries for ever.
func Default() Policy {
	return Policy{Name: "default", Payloads: Period{Days: 400}, Entries: Period{Forever: true}}
}

// entries is the period of entries, for ever if it is not set.
func (p *Policy) entries() Period {
	if p.Entries == (Period{}) {
		return Period{Forever: true}
	}
	return p.Entries
}

// RuleTypes returns the types of a rule in the order of the registry: its Types
// and all registered types of its Families, each once. It is empty for a rule
// that is for every type, and leaves out types that are not registered.
func (p *Policy) RuleTypes(r *Rule) []event.Type {
	var types []event.Type
	for _, spec := range event.Types() {
		if slices.Contains(r.Types, spec.Type) || slices.Contains(r.Families, spec.Family) {
			types = append(types, spec.Type)
		}
	}
	return types
}
