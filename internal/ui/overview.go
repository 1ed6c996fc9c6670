package ui

import (
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/auth"
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
	Actions   openActions
	Agents    busiest
}

// health says whether a trail can be recorded in.
type health struct {
	Known   bool
	Problem string // why it cannot be; empty: it can
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
		if p.Actions, err = v.openActions(&f); err != nil {
			return err
		}
		if p.Agents, err = v.busiest(&f); err != nil {
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
