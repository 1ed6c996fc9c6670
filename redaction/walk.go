package redaction

import (
	"encoding/json"
	"maps"
	"slices"
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

	// maxSearched is how many bytes of text are searched, several times what a
	// payload may have by default. JSON in a string counts once for each string
	// that it stands in.
	maxSearched = 8 << 20
)

// Rules that are neither a name nor a detector.
const (
	ruleDepth    = "depth"    // nested deeper than event.MaxDepth or maxTexts
	ruleSize     = "size"     // beyond maxValues or maxSearched
	ruleUnlisted = "unlisted" // more was redacted than the list holds
)

// What the rules of names and of detectors begin with.
const (
	keyPrefix   = "key:"
	valuePrefix = "value:"

	rulePassword = "key:password"
	rulePass     = "key:pass" // of a name that is one only where a value is given to it
)

// walk goes through one event.
type walk struct {
	*ruleset
	values   int  // met so far
	searched int  // bytes of text so far
	inOrder  bool // goes through maps by name
	found    listing
	report   *report // nil, unless what is done has to be explained

	matches []detector.Match // of the text that is searched
	spans   []span
}

// change is what became of a value.
type change uint8

const (
	same    change = iota
	changed        // there is another in its place
	dropped        // it has to be left out
)

// value redacts v, which stands inside depth containers. rule is what asks for
// every string in it to be redacted, or empty. It returns v itself if there is
// nothing to redact.
//
// It takes the types apart that [event.AppendJSON] does, and what it does not
// know it judges by its JSON.
func (w *walk) value(v any, rule string, at *place, depth int) (any, change) {
	if w.values++; w.values > maxValues {
		return v, same
	}
	if depth >= event.MaxDepth && isContainer(v) {
		return w.limit(at, ruleDepth), changed
	}
	switch x := v.(type) {
	case nil, bool, json.Number, float64, float32,
		int, int64, int32, int16, int8, uint, uint64, uint32, uint16, uint8, uintptr:
		w.stays(at, rule, staysNumber)
		return v, same
	case string:
		if s, c := w.leaf(x, rule, at, depth, 0); c != same {
			return s, c
		}
		return v, same
	case map[string]any:
		if out, differs := w.object(x, rule, at, depth); differs {
			return out, changed
		}
		return v, same
	case []any:
		if out, differs := w.list(x, rule, at, depth); differs {
			return out, changed
		}
		return v, same
	case map[string]string:
		if out, differs := w.stringMap(x, rule, at, depth); differs {
			return out, changed
		}
		return v, same
	case []string:
		if out, differs := w.strings(x, rule, at, depth); differs {
			return out, changed
		}
		return v, same
	case time.Time:
		if rule != "" {
			return w.redact(at, rule, x.UTC().Format(event.TimeLayout))
		}
		return v, same
	case json.RawMessage:
		if out, c := w.text(string(x), rule, at, depth, 0); c != same {
			return json.RawMessage(out), c
		}
		return v, same
	case error:
		if s, c := w.leaf(x.Error(), rule, at, depth, 0); c != same {
			return s, c
		}
		return v, same
	}
	b, err := event.AppendJSON(nil, v)
	if err != nil {
		return v, same // the encoding of the event refuses it as well, and says why
	}
	if out, c := w.text(string(b), rule, at, depth, 0); c != same {
		return json.RawMessage(out), c
	}
	return v, same
}

func isContainer(v any) bool {
	switch v.(type) {
	case map[string]any, []any, map[string]string, []string:
		return true
	}
	return false
}

// edit is a map of which a copy is made once it is changed.
type edit[V any] struct {
	out     map[string]V
	differs bool
	renamed []string // the names with a secret in them
	names   numbering
}

func (e *edit[V]) put(name string, v V, c change) {
	if c == same {
		return
	}
	if !e.differs {
		e.out, e.differs = maps.Clone(e.out), true
	}
	if c == dropped {
		delete(e.out, name)
	} else {
		e.out[name] = v
	}
}

// has is for finding a name that is free.
func (e *edit[V]) has(name string) bool {
	_, ok := e.out[name]
	return ok
}

func (w *walk) object(m map[string]any, rule string, at *place, depth int) (map[string]any, bool) {
	return redactMap(w, m, rule, at, depth)
}

func (w *walk) stringMap(m map[string]string, rule string, at *place, depth int) (map[string]string, bool) {
	w.values += len(m)
	return redactMap(w, m, rule, at, depth)
}

// redactMap redacts the members of a map[string]any or map[string]string.
func redactMap[V any](w *walk, m map[string]V, rule string, at *place, depth int) (map[string]V, bool) {
	e := edit[V]{out: m}
	here := place{in: at, index: -1}
	pair := ""
	for _, name := range pairNames {
		v, ok := m[name]
		if s := stringIn(&v); ok && s != nil && pair == "" {
			pair = w.pairRule(*s)
		}
	}
	member := func(name string, v V) {
		if w.isSecret(name) {
			e.renamed = append(e.renamed, name)
			return
		}
		here.name = name
		c := redactMember(w, &v, w.ruleFor(rule, pair, name, &here), &here, depth+1)
		e.put(name, v, c)
	}
	if w.inOrder {
		for _, name := range sorted(m) {
			member(name, m[name])
		}
	} else {
		for name, v := range m {
			member(name, v)
		}
	}
	slices.Sort(e.renamed)
	for _, name := range e.renamed {
		v := m[name]
		e.put(name, v, dropped)
		shown, keep := w.rename(name, &e.names, e.has)
		here.name = shown
		w.noteSpans(&here, 0)
		if keep {
			c := redactMember(w, &v, w.ruleFor(rule, pair, name, &here), &here, depth+1)
			e.put(shown, v, max(c, changed))
		}
	}
	return e.out, e.differs
}

// redactMember redacts the value of a member in its place.
func redactMember[V any](w *walk, v *V, rule string, at *place, depth int) (c change) {
	switch p := any(v).(type) {
	case *string:
		*p, c = w.leaf(*p, rule, at, depth, 0)
	case *any:
		*p, c = w.value(*p, rule, at, depth)
	}
	return c
}

// stringIn returns the string that is the value of a member, or nil.
func stringIn[V any](v *V) *string {
	switch p := any(v).(type) {
	case *string:
		return p
	case *any:
		if s, ok := (*p).(string); ok {
			return &s
		}
	}
	return nil
}

// In a list, the others keep their places: what has to be left out becomes the
// empty string.
func (w *walk) list(a []any, rule string, at *place, depth int) ([]any, bool) {
	out := a
	differs := false
	here := place{in: at}
	for i, v := range a {
		here.index = i
		x, c := w.value(v, rule, &here, depth+1)
		if c == same {
			continue
		}
		if !differs {
			out, differs = slices.Clone(a), true
		}
		if out[i] = x; c == dropped {
			out[i] = ""
		}
	}
	return out, differs
}

func (w *walk) strings(a []string, rule string, at *place, depth int) ([]string, bool) {
	out := a
	differs := false
	here := place{in: at}
	w.values += len(a)
	for i, v := range a {
		here.index = i
		s, c := w.leaf(v, rule, &here, depth+1, 0)
		if c == same {
			continue
		}
		if !differs {
			out, differs = slices.Clone(a), true
		}
		out[i] = s // empty if it was dropped
	}
	return out, differs
}

// leaf redacts one string: texts is the number of strings of JSON it stands
// in, and rule what asks for it, or empty.
//
// Every string of the Details comes here, wherever it stands, and only here is
// it decided what becomes of it.
func (w *walk) leaf(s, rule string, at *place, depth, texts int) (string, change) {
	switch {
	case s == "" || isMasked(s):
		return s, same
	case rule != "" && (isPublic(s) || at != nil && isRequestID(at.name, s)):
		w.stays(at, rule, staysPublic)
		return s, same
	case rule != "" && w.allows(s):
		w.stays(at, rule, staysAllowed)
		return s, same
	case rule != "":
		return w.redact(at, rule, s)
	case !mayBeJSON(s):
		return w.free(s, at, 0)
	case texts >= maxTexts:
		return w.limit(at, ruleDepth), changed
	}
	return w.text(s, "", at, depth, texts+1)
}

// redact takes note of a string that is a secret as a whole, and returns what
// stands in its place.
func (w *walk) redact(at *place, rule, secret string) (string, change) {
	s, method := w.replace(rule, secret)
	w.note(at, redacted{rule: rule, method: method, whole: true})
	if method == MethodDrop {
		return "", dropped
	}
	return s, changed
}

// limit takes note of something that is not looked at, and returns what stands in
// its place.
func (w *walk) limit(at *place, rule string) string {
	w.note(at, redacted{rule: rule, method: MethodMask, whole: true})
	return Mask
}

// spend counts n bytes of text that are to be searched, and reports whether there
// are not too many.
func (w *walk) spend(n int) bool {
	w.searched += n
	return w.searched <= maxSearched
}

// redacted is one redaction at a place.
type redacted struct {
	rule       string
	method     Method
	whole      bool // of the string; otherwise
	start, end int  // bytes of it, 0 and 0 if they are not known
}

// note lists a redaction.
func (w *walk) note(at *place, r redacted) {
	if w.report != nil {
		w.report.redacted(w, at, r)
	}
	if at.len() > maxPointer {
		w.found.unlisted = true
		return
	}
	w.found.add(event.Redaction{Pointer: at.pointer(), Rule: r.rule, Method: string(r.method)})
}
