package redaction

import "github.com/custodylog/custody/event"

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
	return keys{newNames(o.Extra, o.Allow)}
}

// nothing redacts nothing.
type nothing struct{}

func (nothing) Redact(e event.Event) event.Event { return e }

// keys redacts by name.
type keys struct{ names *names }

func (k keys) Redact(e event.Event) event.Event {
	w := walk{names: k.names}
	details, changed := w.object(e.Details, "", nil, 1)
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
