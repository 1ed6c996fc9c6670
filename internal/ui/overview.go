package ui

import (
	"cmp"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/timeline"
)

// overviewPage is a trail at a glance.
type overviewPage struct {
	Trail     string
	Now       time.Time
	Stats     custody.Stats
	Covered   bool // the checkpoint covers every entry
	Ranges    []quickRange
	Histogram *histogram
	Tiles     []tile
	Hidden    bool // the payloads may not be shown
	Health    health
	Verified  *verified // the last time; nil: that is not known
	Followers []follower
	recent
}

// health says whether a trail can be recorded in.
type health struct {
	Known   bool
	Problem string // why it cannot be; empty: it can
}

// verified is what a verification came to.
type verified struct {
	Time     time.Time
	Findings uint64
	Size     uint64 // entries that the trail had
	Strength string
}

// tile is a number that leads to what it counts.
type tile struct {
	Name  string
	Count uint64
	Tone  string // where there are any
	Query template.URL
}

// tiles are what an overview counts, by type.
var tiles = []struct {
	name, tone string
	types      []event.Type
}{
	{"Denials", "partial", []event.Type{event.ActionDenied, event.ApprovalDenied}},
	{"Violations", "bad", []event.Type{event.PolicyViolation, event.SandboxViolation, event.GuardrailTriggered}},
	{"Stops", "bad", []event.Type{event.EmergencyStop, event.AgentTerminated}},
	{"Failures", "bad", []event.Type{event.ActionFailed, event.RollbackFailed, event.ToolServerFailed}},
	{"Detections", "partial", []event.Type{event.LoopDetected, event.AnomalyDetected, event.InjectionSuspected, event.SecretDetected}},
	{"Approvals asked for", "", []event.Type{event.ApprovalRequested}},
}

// recentEvents is how many of the newest events are read for what no index counts.
const recentEvents = 1000

// recent is what the newest events tell.
type recent struct {
	Read    int // how many were read
	Agents  []agentCount
	Waiting []openAction // for an approval
	Open    []openAction
}

// agentCount is how many events an agent has.
type agentCount struct {
	ID    string
	Count int
}

// openAction is an action of which nothing says how it ended.
type openAction struct {
	timeline.Action
	Trail string
	Index uint64 // of its last event
	Since time.Time
}

// maxListed bounds the lists of an overview.
const maxListed = 10

func (u *ui) overview(w http.ResponseWriter, v *view) error {
	values, err := parameters(v.r, "since", "until")
	if err != nil {
		return err
	}
	f, err := v.filter(values)
	if err != nil {
		return err
	}
	p := &overviewPage{Trail: v.name, Now: v.now, Ranges: f.ranges(), Hidden: !v.payloads}
	if p.Stats, err = v.trail.Stats(v.ctx); err != nil {
		return err
	}
	p.Covered = p.Stats.Checkpoint.Size >= p.Stats.Size
	p.Health, p.Followers = u.health(v), followersOf(v.trail)
	if u.May(v.r, auth.Verify, v.name) {
		if p.Verified, err = u.verified(v); err != nil {
			return err
		}
	}
	if p.Histogram, err = v.histogram(&f); err != nil {
		return err
	}
	p.Tiles = tilesOf(p.Histogram, &f)
	if v.payloads {
		if p.recent, err = v.recent(); err != nil {
			return err
		}
	}
	return u.show(w, v, "overview.html", layout{Title: "Overview", Section: "overview"}, p)
}

func (u *ui) health(v *view) health {
	if u.Writable == nil {
		return health{}
	}
	h := health{Known: true}
	if err := u.Writable(v.ctx, v.name); err != nil {
		h.Problem = err.Error()
	}
	return h
}

// ownTrail is the trail in which the server tells of itself, and lookedBack how many
// verifications of all trails are looked through there for one of a trail.
const (
	ownTrail   = "system"
	lookedBack = 100
)

// verified returns what the last verification came to that the server tells of, nil where
// there is none.
func (u *ui) verified(v *view) (*verified, error) {
	t, err := u.Trails.Get(ownTrail)
	if err != nil {
		return nil, nil
	}
	for e, err := range t.Entries(v.ctx, custody.Query{Types: []event.Type{event.VerificationCompleted}, Newest: true, Limit: lookedBack}) {
		if err != nil {
			return nil, err
		}
		ev, err := e.Event()
		if err != nil {
			return nil, err
		}
		if ev.Details["trail"] != v.name {
			continue
		}
		done := &verified{Time: e.Time, Findings: count(ev.Details["findings"]), Size: count(ev.Details["size"])}
		done.Strength, _ = ev.Details["strength"].(string)
		return done, nil
	}
	return nil, nil
}

// count reads a number of an event's details; what is none is 0.
func count(v any) uint64 {
	n, _ := strconv.ParseUint(fmt.Sprint(v), 10, 64)
	return n
}

func tilesOf(h *histogram, f *filter) []tile {
	var all []tile
	for _, t := range tiles {
		var names []string
		one := tile{Name: t.name}
		for _, typ := range t.types {
			one.Count += h.byType[typ]
			names = append(names, string(typ))
		}
		if one.Count > 0 {
			one.Tone = t.tone
		}
		one.Query = f.and("event_type", strings.Join(names, ","))
		all = append(all, one)
	}
	return all
}

// recent reads the newest events.
func (v *view) recent() (recent, error) {
	rows, err := v.events(custody.Query{Newest: true, Limit: recentEvents})
	if err != nil {
		return recent{}, err
	}
	slices.Reverse(rows)
	r := recent{Read: len(rows)}
	steps := make([]timeline.Step, len(rows))
	byAgent := map[string]int{}
	for i := range rows {
		steps[i] = rows[i].Step
		if id := rows[i].AgentID; id != "" {
			byAgent[id]++
		}
	}
	for id, n := range byAgent {
		r.Agents = append(r.Agents, agentCount{id, n})
	}
	slices.SortFunc(r.Agents, func(a, b agentCount) int { return cmp.Or(b.Count-a.Count, strings.Compare(a.ID, b.ID)) })
	r.Agents = r.Agents[:min(maxListed, len(r.Agents))]
	for _, item := range slices.Backward(timeline.Build(steps)) {
		a := item.Action
		if a == nil || !a.Status.Open() {
			continue
		}
		last := a.Steps[len(a.Steps)-1]
		list := &r.Open
		if a.Status == timeline.Waiting {
			list = &r.Waiting
		}
		if len(*list) < maxListed {
			*list = append(*list, openAction{*a, v.name, last.Index, last.Recorded})
		}
	}
	return r, nil
}
