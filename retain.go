package custody

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/storage"
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
	Held     []Covered // what only a hold keeps, or an emergency stop

	// First is the trail's minimum index, Minimum what it would be after that.
	// Pruned are the entries that go: all between the two but for those that
	// the trail needs to prove the rest. Kept says why not more of those that
	// have outlived their period go; empty: there are no more.
	First, Minimum uint64
	Pruned         evidence.Ranges
	Kept           string
}

// RetentionRule is what one rule of the policy removes.
type RetentionRule struct {
	Name   string // "default" for the period of what no rule is for
	Cutoff time.Time
	Count  uint64 // payloads recorded before Cutoff, those in Held not counted
}

// PlanRetention finds out what a policy would remove. It changes nothing. The
// age of an event is that of its entry: since when the trail holds it, not since
// when it happened.
func (t *Trail) PlanRetention(ctx context.Context, policy retention.Policy) (*RetentionPlan, error) {
	return t.planRetention(ctx, policy, t.opts.now())
}

func (t *Trail) planRetention(ctx context.Context, policy retention.Policy, now time.Time) (*RetentionPlan, error) {
	if err := policy.Validate(); err != nil {
		return nil, err
	}
	now = now.UTC()
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
	if p.Held, err = t.staying(ctx, p.Payloads); err != nil {
		return nil, err
	}
	p.Payloads = p.Payloads.Minus(coveredEntries(p.Held))
	for _, r := range rules {
		r.rule.Count = r.entries.Intersect(p.Payloads).Count()
		p.Rules = append(p.Rules, r.rule)
	}
	var rec storage.Record // one for all: it keeps the block that neighbours are in
	for i := range p.Payloads.All() {
		if err := t.store.Read(ctx, i, &rec); err != nil {
			return nil, t.closed(err)
		}
		if rec.Body != nil {
			p.Bytes += uint64(len(rec.Body) - evidence.SaltSize)
		}
	}
	return p, t.planPruning(ctx, p, gone.Union(p.Payloads), own)
}

// planPruning finds out how much of the trail's oldest part can go, with gone being
// the entries without a payload, and own those that always stay. Segments go as a
// whole.
func (t *Trail) planPruning(ctx context.Context, p *RetentionPlan, gone, own evidence.Ranges) error {
	p.First = t.store.First()
	p.Minimum = p.First
	cutoff, bounded := p.Policy.Entries.Cutoff(p.Time)
	if !bounded {
		return nil
	}
	outlived, err := t.indices(ctx, Query{From: p.First, Until: cutoff})
	if err != nil || len(outlived) == 0 {
		return err
	}
	held, err := t.covered(ctx, outlived)
	if err != nil {
		return err
	}
	end := outlived[len(outlived)-1].Last + 1 // times never decrease, so it is a prefix
	limit := end
	stop := func(at uint64, why string) {
		if at < limit {
			limit, p.Kept = at, why
		}
	}
	stop(t.store.Prunable(), "the segment that they are in is not whole yet")
	for _, c := range held {
		stop(c.Entries[0].First, fmt.Sprintf("entry %d is under hold %s", c.Entries[0].First, c.Hold.ID))
	}
	for _, c := range p.Held {
		if c.Stop != "" {
			stop(c.Entries[0].First, fmt.Sprintf("entry %d stays for stop %s: %s", c.Entries[0].First, c.Stop, c.Reason))
		}
	}
	if with := outlived.Minus(gone).Minus(own); len(with) > 0 {
		stop(with[0].First, fmt.Sprintf("entry %d still has its payload", with[0].First))
	}
	p.Minimum = max(p.First, limit-limit%storage.PruneStep)
	if p.Kept == "" && p.Minimum < end {
		p.Kept = "the segment that they are in holds younger ones"
	}
	if p.Minimum > p.First {
		p.Pruned = evidence.Ranges{{First: p.First, Last: p.Minimum - 1}}.Minus(own)
	}
	return nil
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
	Events []uint64 // indices of the events that tell of it, payloads first; empty: nothing was removed
}

var errNoApplier = errors.New("applying a retention policy needs the name of who does it")

// Retention asks for a policy to be applied.
type Retention struct {
	Policy        retention.Policy
	By            string            // who applies it; required
	Authorization DualAuthorization // where it took a second person

	// Time is as of when it is applied: what outlives its period later stays. Zero, or
	// later than now: now.
	Time time.Time
}

// ApplyRetention is Retain without a second person, as of now. by says who applies the
// policy.
func (t *Trail) ApplyRetention(ctx context.Context, policy retention.Policy, by string) (*RetentionRun, error) {
	return t.Retain(ctx, Retention{Policy: policy, By: by})
}

// Retain removes what PlanRetention lists. Each run that removes payloads is one event
// (event.RetentionApplied), and one that prunes entries another one; more when one
// cannot list all entries. What a run that broke off has left, the next one removes.
func (t *Trail) Retain(ctx context.Context, r Retention) (*RetentionRun, error) {
	if t.seq == nil {
		return nil, ErrReadOnly
	}
	if r.By == "" {
		return nil, errNoApplier
	}
	t.removeMu.Lock()
	defer t.removeMu.Unlock()
	now := t.opts.now()
	if !r.Time.IsZero() && r.Time.Before(now) {
		now = r.Time
	}
	policy := r.Policy
	p, err := t.planRetention(ctx, policy, now)
	if err != nil {
		return nil, err
	}
	run := &RetentionRun{RetentionPlan: *p}
	details := map[string]any{"run": t.newID(), "policy": policy.Name, "policy_digest": policy.Digest(), "by": r.By}
	r.Authorization.addTo(details)
	if policy.Override != "" {
		details["override"] = policy.Override
	}
	e := event.Event{Type: event.RetentionApplied, UserID: r.By, Details: maps.Clone(details)}
	e.Details["what"] = "payloads"
	var held, needed evidence.Ranges
	for _, c := range p.Held {
		if c.Stop != "" {
			needed = needed.Union(c.Entries)
		} else {
			held = held.Union(c.Entries)
		}
	}
	if n := held.Count(); n > 0 {
		e.Details["held"] = n
	}
	if n := needed.Count(); n > 0 {
		e.Details["held_for_stops"] = n
	}
	var rules []any
	for _, r := range p.Rules {
		if r.Count > 0 {
			rules = append(rules, map[string]any{"rule": r.Name, "before": r.Cutoff, "count": r.Count})
		}
	}
	e.Details["rules"] = rules
	if run.Events, err = t.removeAll(ctx, e, p.Payloads); err != nil {
		return run, err
	}
	e.Details = details
	e.Details["what"] = "entries"
	return run, t.prune(ctx, e, run)
}

// prune prunes what a run plans to, several segments at a time: as many as one event
// can list the entries of. The caller holds removeMu.
func (t *Trail) prune(ctx context.Context, e event.Event, run *RetentionRun) error {
	cutoff, _ := run.Policy.Entries.Cutoff(run.Time)
	for from := run.First; from < run.Minimum; {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%w; the entries from %d on were not pruned", err, from)
		}
		to := from + storage.PruneStep
		listed := run.Pruned.Between(from, to)
		for to < run.Minimum {
			more := run.Pruned.Between(from, to+storage.PruneStep)
			if len(more.String()) > maxListed {
				break
			}
			to, listed = to+storage.PruneStep, more
		}
		next := e
		next.Details = maps.Clone(e.Details)
		next.Details["rules"] = []any{map[string]any{"rule": "entries", "before": cutoff, "count": listed.Count()}}
		r, err := t.remove(ctx, next, listed, to)
		if err != nil {
			return err
		}
		run.Events = append(run.Events, r.Index)
		from = to
	}
	return nil
}
