package reconcile

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/custodylog/custody/event"
)

// Skew is how far apart the times may be that two sides give a call, where it is known by
// no id and not all else agrees.
const Skew = 5 * time.Minute

// Result is what a comparison came to.
type Result struct {
	// First and Last are when the first and the last call was that the other side has.
	First, Last time.Time

	There, Here int // calls of either side that were compared

	ByID, ByContent int // calls that both have, by how that is known

	Missing   []*Call      // there and not here
	NotRun    []*Call      // there and not here, and refused by the agent itself: nobody was to hear of it
	Only      []*Call      // here and not there, within First and Last
	Differing []Difference // in both, and not told alike
}

// Difference is a call of which the two sides do not say the same.
type Difference struct {
	There, Here *Call
	What        []string // of outcome, decision and end; end: here nothing says how it ended
}

// OK reports whether the trail has all that the other side has, and says the same.
func (r *Result) OK() bool { return len(r.Missing) == 0 && len(r.Differing) == 0 }

// Scope says which calls of a trail may be those of the other side.
type Scope struct {
	ids, sessions map[string]bool
	first, last   time.Time
	anywhere      bool // the other side does not tell the session of all calls
}

// ScopeOf returns the scope of the calls of the other side.
func ScopeOf(there []*Call) *Scope {
	s := &Scope{ids: map[string]bool{}, sessions: map[string]bool{}}
	s.first, s.last = span(there)
	for _, c := range there {
		if c.ID != "" {
			s.ids[c.ID] = true
		}
		s.sessions[c.Session] = true
		s.anywhere = s.anywhere || c.Session == ""
	}
	return s
}

// Has reports whether a call of the trail is in the scope.
func (s *Scope) Has(c *Call) bool {
	if c.ID != "" && s.ids[c.ID] || c.Session != "" && s.sessions[c.Session] {
		return true
	}
	if c.Session != "" && !s.anywhere {
		return false
	}
	return s.first.IsZero() || !c.At.Before(s.first.Add(-Skew)) && !c.At.After(s.last.Add(Skew))
}

func span(calls []*Call) (first, last time.Time) {
	for _, c := range calls {
		if c.At.IsZero() {
			continue
		}
		if first.IsZero() || c.At.Before(first) {
			first = c.At
		}
		if c.At.After(last) {
			last = c.At
		}
	}
	return first, last
}

// Compare matches the calls of the other side with those of the trail, each with one at
// the most. The calls of each side come in the order in which it has them. The result is
// about those that are chosen; all are matched, since the two sides may not tell the same
// of what a call is chosen by, such as its time.
func Compare(there, here []*Call, chosen func(*Call) bool) *Result {
	m := matcher{pairs: make(map[*Call]*Call, len(there)), taken: make(map[*Call]bool, len(there))}
	m.byID(there, here)
	byID := maps.Clone(m.pairs)
	m.byContent(there, here)
	m.byTime(there, here)
	there, r := choose(there, chosen), &Result{}
	r.There, r.Here = len(there), len(choose(here, chosen))
	r.First, r.Last = span(there)
	for _, t := range there {
		h := m.pairs[t]
		switch {
		case h == nil && t.Refused:
			r.NotRun = append(r.NotRun, t)
			continue
		case h == nil:
			r.Missing = append(r.Missing, t)
			continue
		case byID[t] != nil:
			r.ByID++
		default:
			r.ByContent++
		}
		if what := differ(t, h); what != nil {
			r.Differing = append(r.Differing, Difference{t, h, what})
		}
	}
	for _, h := range choose(here, chosen) {
		if !m.taken[h] && !h.At.Before(r.First) && !h.At.After(r.Last) {
			r.Only = append(r.Only, h)
		}
	}
	return r
}

// choose returns the calls that are chosen.
func choose(calls []*Call, chosen func(*Call) bool) []*Call {
	return slices.DeleteFunc(slices.Clone(calls), func(c *Call) bool { return !chosen(c) })
}

// matcher pairs calls.
type matcher struct {
	pairs map[*Call]*Call // by the other side's
	taken map[*Call]bool  // of the trail
}

func (m *matcher) pair(there, here *Call) { m.pairs[there], m.taken[here] = here, true }

func (m *matcher) byID(there, here []*Call) {
	of := map[string][]*Call{}
	for _, h := range here {
		if h.ID != "" {
			of[h.ID] = append(of[h.ID], h)
		}
	}
	for _, t := range there {
		i := slices.IndexFunc(of[t.ID], func(h *Call) bool { return !m.taken[h] && sameByID(t, h) })
		if t.ID != "" && i >= 0 {
			m.pair(t, of[t.ID][i])
		}
	}
}

// sameByID reports whether two calls that have one id are the same.
func sameByID(t, h *Call) bool {
	if t.Session != "" && t.Session == h.Session {
		// Paths may call the same tool otherwise: Codex's telemetry exec_command, its
		// hooks Bash. In one session the id says enough.
		return true
	}
	return agree(t.Session, h.Session) && agree(t.Tool, h.Tool) && (!isCount(t.ID) || near(t.At, h.At) && agree(t.Input, h.Input))
}

// isCount reports whether an id is a number, as those of JSON-RPC mostly are: many
// connections use it.
func isCount(id string) bool { return strings.Trim(id, "0123456789") == "" }

// byContent pairs calls of one session with the same tool and input, in their order.
func (m *matcher) byContent(there, here []*Call) {
	type key struct{ session, tool, input string }
	of := map[key][]*Call{}
	for _, h := range here {
		if k := (key{h.Session, h.Tool, h.Input}); !m.taken[h] {
			of[k] = append(of[k], h)
		}
	}
	for _, t := range there {
		if m.pairs[t] != nil || t.Session == "" || t.Input == "" {
			continue
		}
		k := key{t.Session, t.Tool, t.Input}
		if i := slices.IndexFunc(of[k], func(h *Call) bool { return !named(t, h) }); i >= 0 {
			m.pair(t, of[k][i])
			of[k] = slices.Delete(of[k], i, i+1)
		}
	}
}

// byTime pairs calls of one tool about the same time that may be the same as far as is
// known of them.
func (m *matcher) byTime(there, here []*Call) {
	of := map[string][]*Call{}
	for _, h := range sorted(here) {
		if !m.taken[h] {
			of[h.Tool] = append(of[h.Tool], h)
		}
	}
	for _, t := range sorted(there) {
		if m.pairs[t] != nil {
			continue
		}
		left := of[t.Tool]
		for len(left) > 0 && !left[0].At.IsZero() && left[0].At.Before(t.At.Add(-Skew)) {
			left = left[1:] // all that follow are later still
		}
		of[t.Tool] = left
		for i, h := range left {
			if !near(t.At, h.At) {
				break
			}
			if !named(t, h) && agree(t.Session, h.Session) && agree(t.Input, h.Input) {
				m.pair(t, h)
				of[t.Tool] = slices.Delete(left, i, i+1)
				break
			}
		}
	}
}

// sorted returns calls in the order of their times, those without one first.
func sorted(calls []*Call) []*Call {
	return slices.SortedStableFunc(slices.Values(calls), func(a, b *Call) int { return a.At.Compare(b.At) })
}

// named reports whether both have ids of one kind, which therefore tell them apart. The
// number that a gateway sees of a call is another id than the agent's.
func named(t, h *Call) bool { return t.ID != "" && h.ID != "" && kindOf(t.ID) == kindOf(h.ID) }

// kindOf returns what ids of one origin have in common: that they are numbers, or what
// stands before the first "_", as in toolu_01AB and call_1.
func kindOf(id string) string {
	if isCount(id) {
		return "number"
	}
	kind, _, _ := strings.Cut(id, "_")
	if kind == id {
		return ""
	}
	return kind
}

// agree reports whether two texts are the same as far as is known.
func agree(a, b string) bool { return a == "" || b == "" || a == b }

func near(a, b time.Time) bool {
	return a.IsZero() || b.IsZero() || a.Sub(b).Abs() <= Skew
}

// differ returns in what the two sides differ.
func differ(t, h *Call) []string {
	var what []string
	if t.Decision != "" && h.Decision != "" && stops(t.Decision) != stops(h.Decision) {
		what = append(what, "decision")
	}
	switch {
	case t.Outcome == "" && !t.Answered:
	case h.Outcome == "":
		if !t.Refused && t.Outcome != event.OutcomeDenied && t.Outcome != event.OutcomeCancelled { // it ran
			what = append(what, "end")
		}
	case t.Outcome == event.OutcomeFailure && h.Outcome == event.OutcomeDenied:
		// A hook that denies a call leaves nothing but its reason in the transcript.
	case t.Outcome != "" && t.Outcome != h.Outcome:
		what = append(what, "outcome")
	}
	return what
}

// stops reports whether a decision keeps a call from running. Why it does is not told
// alike by all.
func stops(d event.Decision) bool { return d == event.Deny || d == event.DecisionEmergencyStop }
