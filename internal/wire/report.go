package wire

import (
	"github.com/custodylog/custody"
	"github.com/custodylog/custody/evidence"
)

// Report is the result of a verification.
type Report struct {
	OK        bool       `json:"ok"`
	Origin    string     `json:"origin"`
	Size      uint64     `json:"size"`
	Root      string     `json:"root,omitempty"`
	Minimum   uint64     `json:"minimum_index"`
	From      uint64     `json:"from"`
	Entries   uint64     `json:"entries"`
	Payloads  uint64     `json:"payloads"`
	Pruned    uint64     `json:"pruned"`
	Signed    uint64     `json:"signatures"`
	Keys      []string   `json:"keys"`
	Against   uint64     `json:"against"`
	Witnessed []Attested `json:"witnessed"`
	Stamped   []Attested `json:"time_stamped"`
	Unchecked []string   `json:"not_checked"`
	Breaks    []Break    `json:"breaks"`
	Strength  string     `json:"strength"`
	Findings  []Finding  `json:"findings"`
	Removed   []Removed  `json:"removed"`
	ElapsedMS float64    `json:"elapsed_ms"`
}

// Attested is what others vouch for.
type Attested struct {
	Size uint64   `json:"size"`
	Time string   `json:"time"`
	By   []string `json:"by"`
}

func attested(all []custody.Attested) []Attested {
	j := make([]Attested, len(all))
	for i, a := range all {
		j[i] = Attested{a.Size, Time(a.Time), a.By}
	}
	return j
}

// Break is a break that an operator accepted.
type Break struct {
	Event  uint64 `json:"event"`
	By     string `json:"by"`
	Reason string `json:"reason"`
	Lost   string `json:"lost,omitempty"`
}

// Removed is a lawful removal.
type Removed struct {
	Event   uint64 `json:"event"`
	Type    string `json:"type"`
	Time    string `json:"time"`
	Entries string `json:"entries"`
	Count   uint64 `json:"count"`
	Gone    uint64 `json:"gone"`
	Left    string `json:"left"`
	Minimum uint64 `json:"minimum_index,omitempty"`
}

// Finding is one thing that does not check out, and what it means.
type Finding struct {
	evidence.Finding
	Meaning string `json:"meaning"`
}

// ReportOf returns the JSON of a report.
func ReportOf(r *custody.Report) Report {
	j := Report{OK: r.OK(), Origin: r.Origin, Size: r.Size, Minimum: r.First, From: r.From, Entries: r.Entries, Payloads: r.Payloads, Pruned: r.Pruned, Signed: r.Signed,
		Keys: append([]string{}, r.Keys...), Against: r.Against, Strength: r.Strength(), Findings: []Finding{}, Removed: []Removed{}, ElapsedMS: milliseconds(r.Elapsed),
		Witnessed: attested(r.Witnessed), Stamped: attested(r.Stamped), Unchecked: append([]string{}, r.Unchecked...), Breaks: []Break{}}
	for _, b := range r.Breaks {
		j.Breaks = append(j.Breaks, Break{b.Event, b.By, b.Reason, string(b.Lost)})
	}
	if r.OK() {
		j.Root = r.Root.String()
	}
	for i := range r.Removed {
		x := &r.Removed[i]
		j.Removed = append(j.Removed, Removed{x.Event, string(x.Type), Time(x.Time), x.Entries.String(), x.Entries.Count(), x.Gone, x.Left.String(), x.Minimum})
	}
	for _, f := range r.Findings {
		j.Findings = append(j.Findings, Finding{f, f.Cause.Meaning()})
	}
	return j
}
