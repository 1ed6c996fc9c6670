package redaction

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/custodylog/custody/event"
)

// Explanation says why a value was redacted, or why it was not though its name
// says secret. It holds nothing of the value.
type Explanation struct {
	Pointer string // as in [event.Redaction]
	Rule    string
	Method  Method // what was done; empty if the value stays

	// Start and End are the bytes of the string that were redacted, as it was
	// before. Both are 0 if that is all of it, or if it had been changed already.
	Start, End int

	Reason string // a sentence without a full stop
}

// Explain tells what a redactor that [New] or [Default] made does to an event, in
// the order of pointers. What redaction leaves although the name says secret is
// told too, for details and JSON in them; not for free text. If redaction is off,
// Explain tells what it would do.
//
// It refuses other redactors, since only they know.
func Explain(r Redactor, e event.Event) ([]Explanation, error) {
	own, ok := r.(*engine)
	if !ok {
		return nil, errors.New("this redactor is not of package redaction, which can explain its own only; ask the program that made it")
	}
	w := walk{ruleset: own.rules(e.Type), report: &report{}}
	w.event(e)
	slices.SortStableFunc(w.report.all, func(a, b Explanation) int {
		return cmp.Or(strings.Compare(a.Pointer, b.Pointer), cmp.Compare(a.Start, b.Start), strings.Compare(a.Rule, b.Rule))
	})
	return w.report.all, nil
}

// maxExplained bounds how many explanations are given.
const maxExplained = 10_000

// report collects explanations.
type report struct{ all []Explanation }

// Why values stay.
const (
	staysNumber  = "a number, a truth value or null is not redacted"
	staysPublic  = "a truth value, a time or the name of a resource is not redacted"
	staysAllowed = "the rules allow the value"
	staysName    = "the rules allow the name"
)

// stays takes note of a value that a rule asks for, and that is left.
func (w *walk) stays(at *place, rule, reason string) {
	if w.report != nil && rule != "" {
		w.report.add(Explanation{Pointer: at.pointer(), Rule: rule, Reason: reason})
	}
}

func (r *report) add(x Explanation) {
	if len(r.all) < maxExplained {
		r.all = append(r.all, x)
	}
}

// redacted takes note of a redaction.
func (r *report) redacted(w *walk, at *place, x redacted) {
	if at.len() > maxPointer {
		return
	}
	r.add(Explanation{Pointer: at.pointer(), Rule: x.rule, Method: x.method, Start: x.start, End: x.end, Reason: w.reason(x)})
}

func (w *walk) reason(x redacted) string {
	switch x.rule {
	case ruleDepth:
		return "it is nested too deep to be looked into"
	case ruleSize:
		return "the event has more text than is looked into"
	}
	if term, ok := strings.CutPrefix(x.rule, keyPrefix); ok {
		term = strings.ReplaceAll(term, "_", " ")
		if x.whole {
			return "it stands under a name that says secret: " + term
		}
		return "the text gives it to a name that says secret: " + term
	}
	name := strings.TrimPrefix(x.rule, valuePrefix)
	for i := range w.detectors {
		if d := &w.detectors[i]; d.Name == name {
			return "it has the form of: " + cmp.Or(d.Doc, name)
		}
	}
	return "a rule asks for it"
}
