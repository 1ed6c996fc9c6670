package ui

import (
	"cmp"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/timeline"
)

// timelinePage is what one session or one agent did, or what became of one action.
type timelinePage struct {
	Trail       string
	Kind, Value string         // what it is of: "session", "agent" or "action", and its id
	Parameter   string         // by which to find its events
	Filter      filterForm     // its time
	Older       template.URL   // query of what came before; empty: nothing did
	Zoom        zoom           // which part is drawn
	Lanes       []*lane        // of the agents, in the order in which they appear, sub-agents below who started them
	Gaps        *lane          // where events are missing; nil: that is not known of any
	Missing     int            // gaps in the part that is drawn
	Lines       []timelineLine // the same as text, the oldest first
	Agents      int
	Unresolved  int
	Imported    int // lines that are from a transcript, or have a step that is
}

// timelineLine is an action with all that belongs to it, or an event that belongs to
// none.
type timelineLine struct {
	Trail  string
	Index  uint64 // of its first entry
	Time   time.Time
	Agent  string
	What   string
	Detail string
	Status timeline.Status // of an action
	Tone   string
	Steps  []timeline.Step
	Took   string
	Trust  string // says that it is from a transcript; empty: it is not
	Partly bool   // only some of its steps are

	from, to time.Time
	gap      bool
}

// lane is what one agent did over time.
type lane struct {
	Agent  string // empty: no agent is named
	Parent string // the agent that started it, if one did
	Depth  int    // below how many others it stands, at most maxDepth
	Marks  []mark
}

// mark is a line of the timeline in a drawing.
type mark struct {
	X, W  int // of laneWidth
	Tone  string
	Open  bool // nothing says how it ended
	Told  bool // it is from a transcript, or in part
	Title string
	Index uint64
	Trail string
}

const (
	laneWidth     = 1000
	markWidth     = 6    // at least
	timelineLimit = 2000 // events that are read
	maxDepth      = 4    // by how much lanes are indented
)

func (u *ui) timeline(w http.ResponseWriter, v *view) error {
	values, err := parameters(v.r, "session_id", "agent_id", "action_id", "since", "until", "before", "from", "to")
	if err != nil {
		return err
	}
	if len(values) == 0 {
		return u.timelines(w, v)
	}
	f, err := v.filter(values)
	if err != nil {
		return err
	}
	before, hasBefore, err := parseIndex(values, "before")
	if err != nil {
		return err
	}
	p := &timelinePage{Trail: v.name, Filter: v.form(&f)}
	for _, kind := range []string{"session", "agent", "action"} {
		name := kind + "_id"
		if !values.Has(name) {
			continue
		}
		if p.Kind != "" {
			return badParameter(name, "a timeline is of one session, agent or action, and %q is given too.", p.Parameter)
		}
		p.Kind, p.Parameter, p.Value = kind, name, values.Get(name)
	}
	if p.Kind == "" {
		return badParameter("session_id", "it is missing: a timeline is of one session, agent or action.")
	}
	q := f.query
	q.Newest, q.Limit = true, timelineLimit+1
	if hasBefore {
		q = q.After(before)
	}
	steps, parents, err := v.steps(q)
	if err != nil {
		return err
	}
	if len(steps) > timelineLimit {
		steps = steps[1:] // the oldest
		p.Older = f.and("before", strconv.FormatUint(steps[0].Index, 10))
	}
	gaps, err := v.gaps(steps)
	if err != nil {
		return err
	}
	if p.Zoom, err = v.zoom(&f, values); err != nil {
		return err
	}
	p.build(timeline.Build(steps), gaps, parents)
	return u.show(w, v, "timeline.html", layout{Title: "Timeline", Section: "timeline"}, p)
}

// steps reads the entries of a query, which has the newest first, and returns them with
// the oldest first, and which agent each one was started by.
func (v *view) steps(q custody.Query) ([]timeline.Step, map[string]string, error) {
	var steps []timeline.Step
	parents := map[string]string{}
	for e, err := range v.trail.Entries(v.ctx, q) {
		if err != nil {
			return nil, nil, err
		}
		v.entry(&e)
		s, err := timeline.StepOf(&e)
		if err != nil {
			return nil, nil, err
		}
		steps = append(steps, s)
		if e.Type == event.SubagentStarted && s.AgentID != "" {
			ev, err := e.Event()
			if err != nil {
				return nil, nil, err
			}
			if parent, ok := ev.Details["parent_agent_id"].(string); ok && parent != s.AgentID {
				parents[s.AgentID] = parent
			}
		}
	}
	slices.Reverse(steps)
	return steps, parents, nil
}

// build makes lanes and lines of what happened, as far as it is in the part that is drawn.
func (p *timelinePage) build(items []timeline.Item, gaps []timelineLine, parents map[string]string) {
	all := slices.Clone(gaps)
	for _, item := range items {
		if l, ok := p.line(&item); ok {
			all = append(all, l)
		}
	}
	slices.SortStableFunc(all, func(a, b timelineLine) int { return a.Time.Compare(b.Time) })
	agents := map[string]bool{}
	for i := range all {
		l := &all[i]
		p.Zoom.include(l.from, l.to)
		if !l.gap {
			agents[l.Agent] = true
		}
		if l.Status != "" && l.Status.Open() {
			p.Unresolved++
		}
	}
	p.Agents = len(agents)
	p.Zoom.finish()
	for _, l := range all {
		x, w, ok := p.Zoom.place(l.from, l.to)
		if !ok {
			continue
		}
		m := mark{X: x, W: w, Tone: l.Tone, Open: l.Status != "" && l.Status.Open(), Told: l.Trust != "", Index: l.Index, Trail: p.Trail, Title: l.title()}
		if l.gap {
			if p.Gaps == nil {
				p.Gaps = &lane{}
			}
			if l.Tone == "gap" {
				p.Missing++
			}
			p.Gaps.Marks = append(p.Gaps.Marks, m)
		} else {
			on := p.lane(l.Agent, parents)
			on.Marks = append(on.Marks, m)
		}
		if l.Trust != "" {
			p.Imported++
		}
		p.Lines = append(p.Lines, l)
	}
	p.nest()
}

// line makes a line of an item; it reports false for one that nobody wants to read of.
func (p *timelinePage) line(item *timeline.Item) (timelineLine, bool) {
	l := timelineLine{Trail: p.Trail, Index: item.Index(), Time: item.Time(), from: item.Time(), to: item.Time()}
	if a := item.Action; a != nil {
		l.Agent, l.What, l.Status, l.Tone, l.Steps = a.AgentID(), a.Subject(), a.Status, statusTone(a.Status), a.Steps
		switch {
		case a.Against:
			l.Tone, l.Detail = "bad", "it ran although it was denied"
		case a.Disputed:
			l.Tone, l.Detail = "bad", "what was recorded of it does not fit together"
		}
		l.trust(a.Steps...)
		if took := a.Took(); took > 0 {
			l.Took = took.Round(time.Millisecond).String()
		}
		l.to = a.Steps[len(a.Steps)-1].Time
		return l, true
	}
	st := item.Step
	if !st.Main() || st.Type == event.GapDetected {
		return l, false
	}
	l.Agent, l.What, l.Detail = st.AgentID, words(st.Type), st.Summary()
	l.trust(*st)
	if l.Tone = tone(cmp.Or(string(st.Outcome), string(st.Decision))); l.Tone == "" {
		l.Tone = urgency(st.Severity)
	}
	return l, true
}

// trust says in words what is evidence of lower trust.
func (l *timelineLine) trust(steps ...timeline.Step) {
	n := timeline.Transcripts(steps...)
	if l.Partly = n > 0 && n < len(steps); l.Partly {
		l.Trust = "partly from a transcript"
	} else if n > 0 {
		l.Trust = "from a transcript"
	}
}

// lane returns the lane of an agent.
func (p *timelinePage) lane(agent string, parents map[string]string) *lane {
	for _, l := range p.Lanes {
		if l.Agent == agent {
			return l
		}
	}
	l := &lane{Agent: agent, Parent: parents[agent]}
	p.Lanes = append(p.Lanes, l)
	return l
}

// nest puts the lanes of sub-agents below those of the agents that started them.
func (p *timelinePage) nest() {
	nested := make([]*lane, 0, len(p.Lanes))
	placed := map[*lane]bool{}
	var place func(l *lane, depth int)
	place = func(l *lane, depth int) {
		if placed[l] {
			return
		}
		placed[l], l.Depth = true, min(depth, maxDepth)
		nested = append(nested, l)
		for _, other := range p.Lanes {
			if other.Parent != "" && other.Parent == l.Agent {
				place(other, depth+1)
			}
		}
	}
	has := func(agent string) bool {
		return slices.ContainsFunc(p.Lanes, func(l *lane) bool { return l.Agent == agent })
	}
	for _, l := range p.Lanes {
		if l.Parent == "" || !has(l.Parent) {
			place(l, 0)
		}
	}
	for _, l := range p.Lanes {
		place(l, 0) // agents that started one another, if somebody says so
	}
	p.Lanes = nested
}

// title says in one line what a mark stands for.
func (l *timelineLine) title() string {
	s := clock(l.Time) + " " + l.What
	if l.Status != "" {
		s += ": " + words(l.Status)
	}
	if l.Trust != "" {
		s += ", " + l.Trust
	}
	return s
}

// Width is for the template.
func (*lane) Width() int { return laneWidth }
