package redaction

import (
	"slices"
	"sync"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/redaction/detector"
)

// Mask is what stands in place of a string that was redacted.
const Mask = "[REDACTED]"

// A Redactor returns an event without its secrets. It must not modify what the
// Details of the event reach: it returns a copy of what it changes, and appends
// to Redactions what it did. It is called before the event is encoded, possibly
// from several goroutines at once.
type Redactor interface {
	Redact(e event.Event) event.Event
}

// KeysOptions changes which names say secret. All names are compared without
// regard to case and separators: "next_token", "nextToken" and "Next-Token" are
// one name. A name without a letter or digit matches nothing.
type KeysOptions struct {
	// Extra names say secret too, alone or as words of a longer name: "pin"
	// also stands for card_pin and pinCode, not for pinned. As with the
	// names known, "pin_type" only describes one and is left.
	Extra []string

	// Allow names are left although they would be redacted. They have to be
	// given whole: "next_token" leaves nextToken and not my_next_token. Below
	// another name that says secret they are redacted all the same.
	Allow []string

	// IncludeSensitive TURNS REDACTION OFF: secrets are hashed and stored,
	// and leave the trail only when the whole payload is erased.
	IncludeSensitive bool
}

// Default returns Keys(nil).
func Default() Redactor { return Keys(nil) }

// Keys returns the redactor that goes by the names of members. Nil options mean
// the names known to this package, and no others. The options are copied.
func Keys(o *KeysOptions) Redactor {
	if o == nil {
		o = &KeysOptions{}
	}
	if o.IncludeSensitive {
		return nothing{}
	}
	return &engine{names: newNames(o.Extra, o.Allow), set: builtin(), rules: builtinRules()}
}

// builtin compiles the detectors that are on by default, once.
var builtin = sync.OnceValue(func() *detector.Set {
	set, err := detector.Compile(onByDefault())
	if err != nil {
		panic(err) // the table is ours, and a test compiles it
	}
	return set
})

var builtinRules = sync.OnceValue(func() map[string]string { return rulesOf(onByDefault()) })

func onByDefault() []detector.Detector {
	return slices.DeleteFunc(detector.Builtin(), func(d detector.Detector) bool { return d.Off })
}

// nothing redacts nothing.
type nothing struct{}

func (nothing) Redact(e event.Event) event.Event { return e }

// engine redacts by names and by the form of values. It is immutable but for what
// names remembers.
type engine struct {
	names *names
	set   *detector.Set
	rules map[string]string // of detectors, by name
}

func (r *engine) Redact(e event.Event) event.Event {
	w := walk{engine: r}
	w.members(&e)
	details, changed := w.object(e.Details, "", nil, 1)
	changed = changed || len(w.found.all) > 0
	if w.values > maxValues {
		details, changed = nil, true
		w.found = listing{}
		w.found.add(event.Redaction{Pointer: "/details", Rule: ruleSize, Method: methodRemove})
	}
	if !changed {
		return e
	}
	e.Details = details
	// The slice may be shared: never append in place.
	e.Redactions = append(e.Redactions[:len(e.Redactions):len(e.Redactions)], w.found.list()...)
	return e
}
