package wire

import "github.com/custodylog/custody"

// Hold is a legal hold.
type Hold struct {
	ID     string         `json:"id"`
	Query  map[string]any `json:"query"`
	By     string         `json:"by"`
	Reason string         `json:"reason"`
	Placed string         `json:"placed"`
	Index  uint64         `json:"index"`
}

// HoldOf returns the JSON of a hold.
func HoldOf(h *custody.Hold) (Hold, error) {
	query, err := h.Query.Members()
	return Hold{h.ID, query, h.By, h.Reason, Time(h.Placed), h.Index}, err
}

// Erasure is an erasure, or the plan of one.
type Erasure struct {
	Erased  bool              `json:"erased"`
	Entries string            `json:"entries"`
	Count   uint64            `json:"count"`
	Bytes   uint64            `json:"bytes"`
	Types   map[string]uint64 `json:"types"`
	Held    []Held            `json:"held"`
	Own     string            `json:"own"`
	Events  []uint64          `json:"events"`
}

// Held is what a hold keeps, or an emergency stop.
type Held struct {
	Hold    string `json:"hold,omitempty" doc:"The hold, if it is one"`
	Stop    string `json:"stop,omitempty" doc:"Otherwise the id of the event of an emergency stop"`
	Reason  string `json:"reason"`
	Entries string `json:"entries"`
	Count   uint64 `json:"count"`
}

// HeldOf returns the JSON of what holds and emergency stops keep.
func HeldOf(held []custody.Covered) []Held {
	all := []Held{}
	for _, c := range held {
		all = append(all, Held{c.Hold.ID, c.Stop, c.Reason, c.Entries.String(), c.Entries.Count()})
	}
	return all
}

// ErasureOf returns the JSON of an erasure, or of its plan where there is no receipt.
func ErasureOf(plan *custody.ErasurePlan, receipt *custody.ErasureReceipt) Erasure {
	j := Erasure{Erased: receipt != nil, Entries: plan.Entries.String(), Count: plan.Entries.Count(), Bytes: plan.Bytes,
		Held: HeldOf(plan.Held), Own: plan.Own.String(), Events: []uint64{}, Types: map[string]uint64{}}
	for t, n := range plan.Types {
		j.Types[string(t)] = n
	}
	if receipt != nil {
		for _, e := range receipt.Events {
			j.Events = append(j.Events, e.Index)
		}
	}
	return j
}

// Retention is what a policy removes, or would remove.
type Retention struct {
	Policy  string   `json:"policy"`
	Digest  string   `json:"policy_digest"`
	Time    string   `json:"time"`
	Applied bool     `json:"applied"`
	Entries string   `json:"entries"`
	Count   uint64   `json:"count"`
	Bytes   uint64   `json:"bytes"`
	Rules   []Rule   `json:"rules"`
	Held    []Held   `json:"held"`
	Events  []uint64 `json:"events"`

	First       uint64 `json:"first_index"`
	Pruned      string `json:"pruned"`
	PrunedCount uint64 `json:"pruned_count"`
	Minimum     uint64 `json:"minimum_index"`
	NotPruned   string `json:"not_pruned,omitempty"`
}

// Rule is what one rule of a policy removes.
type Rule struct {
	Name   string `json:"name"`
	Before string `json:"before"`
	Count  uint64 `json:"count"`
}

// RetentionOf returns the JSON of a plan, with the events of its run; none: it was only
// planned, or there was nothing to remove.
func RetentionOf(plan *custody.RetentionPlan, events []uint64) Retention {
	j := Retention{Policy: plan.Policy.Name, Digest: plan.Policy.Digest(), Time: Time(plan.Time), Applied: len(events) > 0,
		Entries: plan.Payloads.String(), Count: plan.Payloads.Count(), Bytes: plan.Bytes, Rules: []Rule{}, Held: HeldOf(plan.Held),
		Events: append([]uint64{}, events...),
		First:  plan.First, Pruned: plan.Pruned.String(), PrunedCount: plan.Pruned.Count(), Minimum: plan.Minimum, NotPruned: plan.Kept}
	for _, r := range plan.Rules {
		j.Rules = append(j.Rules, Rule{r.Name, Time(r.Cutoff), r.Count})
	}
	return j
}
