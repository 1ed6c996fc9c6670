package redaction

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/custodylog/custody/event"
)

// A Redactor returns an event without its secrets. It must not modify what the
// Details of the event reach: it returns a copy of what it changes, and appends
// to Redactions what it did. It is called before the event is encoded, possibly
// from several goroutines at once.
type Redactor interface {
	Redact(e event.Event) event.Event
}

// Described is a Redactor that tells which rules are in force, so that a trail
// can record when they change. What [New] and [Default] return is one.
type Described interface {
	Redactor
	Description() Description
}

// Default returns the redactor of the zero Rules.
func Default() Redactor { return standard() }

var standard = sync.OnceValue(func() *engine {
	r, err := newEngine(&Rules{})
	if err != nil {
		panic(err) // the tables are ours, and a test compiles them
	}
	return r
})

// New returns the redactor of the rules. It reads the file with the key, if they
// name one, and keeps nothing of the rules themselves. Its error names all that
// is wrong with them.
func New(r Rules) (Redactor, error) {
	e, err := newEngine(&r)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// engine redacts by names and by the form of values. It is immutable, but for what
// names remember.
type engine struct {
	all         *ruleset
	types       map[event.Type]*ruleset // those that have rules of their own
	description Description
}

func (r *engine) Description() Description { return r.description }

// rules returns the rules for events of a type.
func (r *engine) rules(t event.Type) *ruleset {
	if own, ok := r.types[t]; ok {
		return own
	}
	return r.all
}

func (r *engine) Redact(e event.Event) event.Event {
	rules := r.rules(e.Type)
	if rules.includeSensitive {
		return e
	}
	w := walk{ruleset: rules}
	return w.event(e)
}

// event redacts a whole event.
func (w *walk) event(e event.Event) event.Event {
	given := e
	w.members(&e)
	details, changed := w.object(e.Details, "", nil, 1)
	if w.searched > maxSearched && !w.inOrder {
		// Which strings were searched goes by the order of maps, which is random.
		again := walk{ruleset: w.ruleset, inOrder: true}
		if w.report != nil {
			*w.report = report{}
			again.report = w.report
		}
		return again.event(given)
	}
	if w.values > maxValues {
		details, changed = nil, true
		w.found.only(event.Redaction{Pointer: "/details", Rule: ruleSize, Method: string(MethodDrop)})
	}
	if changed {
		e.Details = details
	}
	if found := w.found.list(); len(found) > 0 {
		// The slice may be shared: never append in place.
		e.Redactions = slices.Concat(e.Redactions, found)
	}
	return e
}

// sorted returns the names of a map in order.
func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
