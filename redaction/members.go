package redaction

import (
	"slices"
	"strconv"
	"strings"

	"github.com/custodylog/custody/event"
)

// minSearchedName is the length from which on names, and members beside the
// details, are searched for secrets. No detector finds shorter ones there.
const minSearchedName = 16

// members redacts what stands beside the details. Only detectors look at it. An id
// in which there is a secret is left out, since a part of it identifies nothing.
func (w *walk) members(e *event.Event) {
	for _, m := range [...]struct {
		name  string
		value *string
	}{
		{"action_id", &e.ActionID}, {"agent_id", &e.AgentID}, {"correlation_id", &e.CorrelationID}, {"id", &e.ID},
		{"parent_id", &e.ParentID}, {"project_id", &e.ProjectID}, {"session_id", &e.SessionID}, {"source", &e.Source},
		{"source_run", &e.SourceRun},
		{"user_id", &e.UserID},
	} {
		here := place{in: &wholeEvent, index: -1, name: m.name}
		if s, differs := w.searchName(*m.value); differs {
			if m.name == "id" {
				s = ""
				for i := range w.spans {
					w.spans[i].method = MethodDrop
				}
			}
			*m.value = s
			w.noteSpans(&here, 0)
		}
	}
	defects := e.Defects
	for i, d := range defects {
		if s, differs := w.searchName(d); differs {
			if &defects[0] == &e.Defects[0] {
				e.Defects = slices.Clone(defects)
			}
			e.Defects[i] = s
			w.noteSpans(&place{in: &place{in: &wholeEvent, index: -1, name: "defects"}, index: i}, 0)
		}
	}
}

// isSecret reports whether there is a secret in the name of a member.
func (w *walk) isSecret(name string) bool {
	_, differs := w.searchName(name)
	return differs
}

// searchName redacts a text in which only detectors look for secrets. It leaves
// them in w.spans.
func (w *walk) searchName(s string) (string, bool) {
	if len(s) < minSearchedName || isMasked(s) {
		return s, false
	}
	if !w.spend(len(s)) {
		w.spans = append(w.spans[:0], span{end: len(s), rule: ruleSize, method: MethodMask})
		return Mask, true
	}
	w.spans = w.spans[:0]
	w.forms(s)
	if len(w.spans) == 0 {
		return s, false
	}
	return w.cut(s), true
}

// rename returns what a member is called whose name has a secret in it. keep says
// that it is not left out together with its name. The caller notes the spans.
func (w *walk) rename(name string, names *numbering, taken func(name string) bool) (shown string, keep bool) {
	name, _ = w.searchName(name)
	keep = !slices.ContainsFunc(w.spans, func(x span) bool { return x.method == MethodDrop })
	if !keep {
		name += Mask // in the list of redactions only
	}
	shown = names.next(name)
	for keep && taken != nil && taken(shown) {
		shown = names.next(name)
	}
	return shown, keep
}

// numbering tells apart names that were different secrets: [REDACTED],
// [REDACTED]#2.
type numbering map[string]int

func (n *numbering) next(name string) string {
	if *n == nil {
		*n = numbering{}
	}
	if (*n)[name]++; (*n)[name] == 1 {
		return name
	}
	return name + "#" + strconv.Itoa((*n)[name])
}

// pairNames are the names of members that name the value in a member beside them:
// {"name": "DB_PASSWORD", "value": "x"}.
var pairNames = [...]string{"name", "Name", "key", "Key"}

func isPairName(name string) bool { return slices.Contains(pairNames[:], name) }

// maxPairName bounds what is a name, and not a sentence that talks of a password.
const maxPairName = 48

// pairRule is the rule for a value that is named so.
func (w *walk) pairRule(name string) string {
	if len(name) > maxPairName || strings.Count(name, " ") > 2 {
		return ""
	}
	return w.names.rule(name)
}

// ruleFor is the rule for what stands under name: where rule holds already, that,
// but for the name of a secret; or pair, if the member is the value of a pair. The
// outermost name is the one that is reported. The member stands at at.
func (w *walk) ruleFor(rule, pair, name string, at *place) string {
	switch {
	case rule != "" && w.names.namesOne(name):
		return ""
	case rule != "":
		return rule
	case pair != "" && (name == "value" || name == "Value"):
		return pair
	}
	if rule = w.names.rule(name); rule == "" && w.report != nil && w.names.allows(name) {
		w.stays(at, w.names.withoutAllowed().find(name), staysName)
	}
	return rule
}
