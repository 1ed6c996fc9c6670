package redaction

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/redaction/detector"
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
	*engine
	values   int // met so far
	searched int // bytes of text so far
	found    listing

	matches []detector.Match // of the text that is searched
	spans   []span
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
	pair := pairRule(w.names, m)
	for name, v := range m {
		member := w.ruleFor(rule, name)
		if pair != "" && member == "" && (name == "value" || name == "Value") {
			member = pair
		}
		here.name = name
		shown := w.memberName(name, out)
		if shown != name {
			here.name = shown
			w.note(&here, w.spans[0].rule)
		}
		x, differs := w.value(v, member, &here, depth+1)
		if !differs && shown == name {
			continue
		}
		if !changed {
			out, changed = maps.Clone(m), true
		}
		if shown != name {
			delete(out, name)
		}
		out[shown] = x
	}
	return out, changed
}

// pairRule returns the rule for the value of an object that is a name and a value,
// as environments are often given: {"name": "DB_PASSWORD", "value": "x"}.
func pairRule(n *names, m map[string]any) string {
	for _, name := range [...]string{"name", "Name", "key", "Key"} {
		if s, ok := m[name].(string); ok {
			return n.rule(s)
		}
	}
	return ""
}

// minSecretName is the length from which on the name of a member is searched for
// secrets: it is longer than any name that a program gives.
const minSecretName = 16

// memberName returns the name of a member without the secret in it, or as it is.
// Only detectors look at it. others are the members beside it.
func (w *walk) memberName(name string, others map[string]any) string {
	if len(name) < minSecretName {
		return name
	}
	w.spans = w.spans[:0]
	if w.matches = w.set.Find(w.matches[:0], name); len(w.matches) == 0 {
		return name
	}
	var b strings.Builder
	done := 0
	for _, m := range w.matches {
		w.spans = append(w.spans, span{m.Start, m.End, w.ruleOf(m.Detector)})
		b.WriteString(name[done:m.Start])
		b.WriteString(Mask)
		done = m.End
	}
	b.WriteString(name[done:])
	shown := b.String()
	for n := 2; ; n++ {
		if _, taken := others[shown]; !taken {
			return shown
		}
		shown = b.String() + "#" + strconv.Itoa(n)
	}
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
// The name of a secret stays there too.
func (w *walk) ruleFor(rule, name string) string {
	if rule == "" {
		return w.names.rule(name)
	}
	if w.names.namesOne(name) {
		return ""
	}
	return rule
}

// leaf redacts one string: texts is the number of strings of JSON it stands
// in, and rule what asks for it, or empty.
//
// Every string of the Details comes here, wherever it stands, and only here is
// it decided what becomes of it. This is the place for rules that go by the
// value.
func (w *walk) leaf(s, rule string, at *place, depth, texts int) (string, bool) {
	switch {
	case s == "" || isMasked(s):
		return s, false
	case rule != "" && (isPublic(s) || at != nil && isRequestID(at.name, s)):
		return s, false
	case rule != "":
		return w.mask(at, rule), true
	case !mayBeJSON(s):
		return w.free(s, at)
	case texts >= maxTexts:
		return w.mask(at, ruleDepth), true
	}
	return w.text(s, "", at, depth, texts+1)
}

// mask takes note of a redaction and returns what stands in its place.
func (w *walk) mask(at *place, rule string) string {
	w.note(at, rule)
	return Mask
}

// note lists a redaction.
func (w *walk) note(at *place, rule string) {
	if at.len() > maxPointer {
		w.found.unlisted = true
		return
	}
	w.found.add(event.Redaction{Pointer: at.pointer(), Rule: rule, Method: methodMask})
}

var memberPointers = [...]string{"/action_id", "/agent_id", "/correlation_id", "/parent_id", "/project_id", "/session_id", "/source", "/user_id", "/id"}

// members redacts what stands beside the details. Detectors look at it; an id in
// which there is a secret is left out altogether.
func (w *walk) members(e *event.Event) {
	values := [...]string{e.ActionID, e.AgentID, e.CorrelationID, e.ParentID, e.ProjectID, e.SessionID, e.Source, e.UserID, e.ID}
	found := 0
	for i, v := range values {
		if len(v) < minSecretName || isMasked(v) {
			continue
		}
		if w.matches = w.set.Find(w.matches[:0], v); len(w.matches) == 0 {
			continue
		}
		found++
		r := event.Redaction{Pointer: memberPointers[i], Rule: w.ruleOf(w.matches[0].Detector), Method: methodMask}
		if values[i] = Mask; r.Pointer == "/id" {
			values[i], r.Method = "", methodRemove
		}
		w.found.add(r)
	}
	if found > 0 {
		e.ActionID, e.AgentID, e.CorrelationID, e.ParentID = values[0], values[1], values[2], values[3]
		e.ProjectID, e.SessionID, e.Source, e.UserID, e.ID = values[4], values[5], values[6], values[7], values[8]
	}
}
