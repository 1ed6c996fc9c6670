package custody

import (
	"context"
	"errors"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/retention"
)

// RetentionPlan is what a policy would remove from the trail, and what it would
// not, and why.
type RetentionPlan struct {
	Policy retention.Policy
	Time   time.Time // as of when

	Payloads evidence.Ranges // entries whose payloads have outlived their period
	Bytes    uint64          // of these payloads
	Rules    []RetentionRule
	Held     []Covered // what only a hold keeps
}

// RetentionRule is what one rule of the policy removes.
type RetentionRule struct {
	Name   string // "default" for the period of what no rule is for
	Cutoff time.Time
	Count  uint64 // payloads recorded before Cutoff, those under a hold not counted
}

// PlanRetention finds out what a policy would remove. It changes nothing. The
// age of an event is that of its entry: since when the trail holds it, not since
// when it happened.
func (t *Trail) PlanRetention(ctx context.Context, policy retention.Policy) (*RetentionPlan, error) {
	if err := policy.Validate(); err != nil {
		return nil, err
	}
	now := t.opts.now().UTC()
	p := &RetentionPlan{Policy: policy, Time: now}
	gone, err := t.removed(ctx)
	if err != nil {
		return nil, err
	}
	own, err := t.indices(ctx, Query{Types: keptTypes})
	if err != nil {
		return nil, err
	}
	// The first rule that is for an event decides, so what one rule is for is
	// taken from those after it, expired or not.
	spoken := gone.Union(own)
	type expired struct {
		rule    RetentionRule
		entries evidence.Ranges
	}
	var rules []expired
	take := func(name string, period retention.Period, whose []Query) error {
		cutoff, bounded := period.Cutoff(now)
		var old, all evidence.Ranges
		for _, q := range whose {
			found, err := t.indices(ctx, q)
			if err != nil {
				return err
			}
			all = all.Union(found)
			if !bounded {
				continue
			}
			q.Until = cutoff
			if found, err = t.indices(ctx, q); err != nil {
				return err
			}
			old = old.Union(found)
		}
		if old = old.Minus(spoken); bounded {
			rules = append(rules, expired{RetentionRule{Name: name, Cutoff: cutoff}, old})
			p.Payloads = p.Payloads.Union(old)
		}
		spoken = spoken.Union(all)
		return nil
	}
	for i := range policy.Rules {
		r := &policy.Rules[i]
		if err := take(r.Name, r.Payloads, queriesFor(&policy, r)); err != nil {
			return nil, err
		}
	}
	if err := take("default", policy.Payloads, []Query{{}}); err != nil {
		return nil, err
	}
	if p.Held, err = t.covered(ctx, p.Payloads); err != nil {
		return nil, err
	}
	p.Payloads = p.Payloads.Minus(heldEntries(p.Held))
	for _, r := range rules {
		r.rule.Count = r.entries.Intersect(p.Payloads).Count()
		p.Rules = append(p.Rules, r.rule)
	}
	for i := range p.Payloads.All() {
		e, err := t.Entry(ctx, i)
		if err != nil {
			return nil, err
		}
		p.Bytes += uint64(len(e.Payload))
	}
	return p, nil
}

// queriesFor returns what finds the events of a rule's class.
func queriesFor(policy *retention.Policy, r *retention.Rule) []Query {
	q := Query{Types: policy.TypesOf(r)}
	if len(r.Projects) == 0 {
		return []Query{q}
	}
	all := make([]Query, len(r.Projects))
	for i, project := range r.Projects {
		all[i] = q
		all[i].ProjectID = project
	}
	return all
}

// RetentionRun is what applying a policy removed.
type RetentionRun struct {
	RetentionPlan
	Events []uint64 // indices of the events that tell of it; empty: nothing was removed
}

// ApplyRetention removes what PlanRetention lists. Each run that removes anything
// is one event (event.RetentionApplied), more when one cannot list all entries. by
// says who applies the policy.
func (t *Trail) ApplyRetention(ctx context.Context, policy retention.Policy, by string) (*RetentionRun, error) {
	if t.seq == nil {
		return nil, ErrReadOnly
	}
	if by == "" {
		return nil, errors.New("applying a retention policy needs the name of who does it")
	}
	t.removeMu.Lock()
	defer t.removeMu.Unlock()
	p, err := t.PlanRetention(ctx, policy)
	if err != nil {
		return nil, err
	}
	run := &RetentionRun{RetentionPlan: *p}
	details := map[string]any{"what": "payloads", "run": t.newID(), "policy": policy.Name, "policy_digest": policy.Digest(), "by": by}
	if policy.Override != "" {
		details["override"] = policy.Override
	}
	if n := heldEntries(p.Held).Count(); n > 0 {
		details["held"] = n
	}
	var rules []any
	for _, r := range p.Rules {
		if r.Count > 0 {
			rules = append(rules, map[string]any{"rule": r.Name, "before": r.Cutoff, "count": r.Count})
		}
	}
	details["rules"] = rules
	e := event.Event{Type: event.RetentionApplied, UserID: by, Details: details}
	run.Events, err = t.removeAll(ctx, e, p.Payloads)
	return run, err
}
