package redaction

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/custodylog/custody/event"
)

// Limits of one event. What lies beyond is redacted, never let through.
const (
	// maxValues is how many values Details may reach. It is far beyond what a
	// payload holds, and stops a map that contains itself.
	maxValues = 1 << 20

	// maxTexts is how deep JSON may stand inside strings of JSON. Each level
	// may double what has to be escaped.
	maxTexts = 6
)

// Rules that are not the name of a member.
const (
	ruleDepth    = "depth"    // nested deeper than event.MaxDepth or maxTexts
	ruleSize     = "size"     // more than maxValues
	ruleUnlisted = "unlisted" // more was redacted than the list holds
)

const (
	methodMask   = "mask"   // the value was replaced by Mask
	methodRemove = "remove" // the value was left out
)

// walk goes through the Details of one event.
type walk struct {
	names  *names
	values int // met so far
	found  listing
}

// value redacts v, which stands inside depth containers. rule is what asks for
// every string in it to be redacted, or empty. It returns v itself and false if
// there is nothing to redact.
//
// It takes the types apart that [event.AppendJSON] does, and what it does not
// know it judges by its JSON.
func (w *walk) value(v any, rule string, at *place, depth int) (any, bool) {
	if w.values++; w.values > maxValues {
		return v, false
	}
	if depth >= event.MaxDepth && isContainer(v) {
		return w.mask(at, ruleDepth), true
	}
	switch x := v.(type) {
	case nil, bool, json.Number, float64, float32,
		int, int64, int32, int16, int8, uint, uint64, uint32, uint16, uint8, uintptr:
		return v, false
	case string:
		if s, changed := w.leaf(x, rule, at, depth, 0); changed {
			return s, true
		}
		return v, false
	case map[string]any:
		if out, changed := w.object(x, rule, at, depth); changed {
			return out, true
		}
		return v, false
	case []any:
		if out, changed := w.list(x, rule, at, depth); changed {
			return out, true
		}
		return v, false
	case map[string]string:
		if out, changed := w.stringMap(x, rule, at, depth); changed {
			return out, true
		}
		return v, false
	case []string:
		if out, changed := w.strings(x, rule, at, depth); changed {
			return out, true
		}
		return v, false
	case time.Time:
		if rule != "" {
			return w.mask(at, rule), true
		}
		return v, false
	case json.RawMessage:
		if out, changed := w.text(string(x), rule, at, depth, 0); changed {
			return json.RawMessage(out), true
		}
		return v, false
	case error:
		if s, changed := w.leaf(x.Error(), rule, at, depth, 0); changed {
			return s, true
		}
		return v, false
	}
	b, err := event.AppendJSON(nil, v)
	if err != nil {
		return v, false // the encoding of the event refuses it as well, and says why
	}
	if out, changed := w.text(string(b), rule, at, depth, 0); changed {
		return json.RawMessage(out), true
	}
	return v, false
}

func isContainer(v any) bool {
	switch v.(type) {
	case map[string]any, []any, map[string]string, []string:
		return true
	}
	return false
}

func (w *walk) object(m map[string]any, rule string, at *place, depth int) (map[string]any, bool) {
	out := m
	changed := false
	here := place{in: at, index: -1}
	for name, v := range m {
		here.name = name
		x, differs := w.value(v, w.ruleFor(rule, name), &here, depth+1)
		if differs {
			if !changed {
				out, changed = maps.Clone(m), true
			}
			out[name] = x
		}
	}
	return out, changed
}

func (w *walk) list(a []any, rule string, at *place, depth int) ([]any, bool) {
	out := a
	changed := false
	here := place{in: at}
	for i, v := range a {
		here.index = i
		x, differs := w.value(v, rule, &here, depth+1)
		if differs {
			if !changed {
				out, changed = slices.Clone(a), true
			}
			out[i] = x
		}
	}
	return out, changed
}

func (w *walk) stringMap(m map[string]string, rule string, at *place, depth int) (map[string]string, bool) {
	out := m
	changed := false
	here := place{in: at, index: -1}
	w.values += len(m)
	for name, v := range m {
		here.name = name
		s, differs := w.leaf(v, w.ruleFor(rule, name), &here, depth+1, 0)
		if differs {
			if !changed {
				out, changed = maps.Clone(m), true
			}
			out[name] = s
		}
	}
	return out, changed
}

func (w *walk) strings(a []string, rule string, at *place, depth int) ([]string, bool) {
	out := a
	changed := false
	here := place{in: at}
	w.values += len(a)
	for i, v := range a {
		here.index = i
		s, differs := w.leaf(v, rule, &here, depth+1, 0)
		if differs {
			if !changed {
				out, changed = slices.Clone(a), true
			}
			out[i] = s
		}
	}
	return out, changed
}

// ruleFor is the rule for what stands under name where rule already holds. The
// outermost name is the one that is reported.
func (w *walk) ruleFor(rule, name string) string {
	if rule != "" {
		return rule
	}
	return w.names.rule(name)
}

// leaf redacts one string: texts is the number of strings of JSON it stands
// in, and rule what asks for it, or empty.
//
// Every string of the Details comes here, wherever it stands, and only here is
// it decided what becomes of it. This is the place for rules that go by the
// value.
func (w *walk) leaf(s, rule string, at *place, depth, texts int) (string, bool) {
	switch {
	case s == "" || s == Mask:
		return s, false
	case rule != "":
		return w.mask(at, rule), true
	case !mayBeJSON(s):
		return s, false
	case texts >= maxTexts:
		return w.mask(at, ruleDepth), true
	}
	return w.text(s, "", at, depth, texts+1)
}

// mask takes note of a redaction and returns what stands in its place.
func (w *walk) mask(at *place, rule string) string {
	if at.len() > maxPointer {
		w.found.unlisted = true
	} else {
		w.found.add(event.Redaction{Pointer: at.pointer(), Rule: rule, Method: methodMask})
	}
	return Mask
}
