package retention

import (
	"fmt"
	"slices"

	"github.com/custodylog/custody/event"
)

// Shortens returns in words what p removes earlier than q does, "" if nothing. It
// compares what becomes of every class of events that either of them tells from others;
// an event that no rule names is as any other one of that kind.
func (p *Policy) Shortens(q *Policy) string {
	if mine, before := orForever(p.Entries), orForever(q.Entries); mine.Less(before) {
		return fmt.Sprintf("entries are kept for %s instead of %s", mine, before)
	}
	const other = "" // stands for all types, and all projects, that are not named
	types, projects := []event.Type{other}, []string{other}
	for _, policy := range []*Policy{p, q} {
		for i := range policy.Rules {
			types = append(types, policy.TypesOf(&policy.Rules[i])...)
			projects = append(projects, policy.Rules[i].Projects...)
		}
	}
	slices.Sort(types)
	slices.Sort(projects)
	types, projects = slices.Compact(types), slices.Compact(projects)
	for _, t := range types {
		for _, project := range projects {
			mine, before := orForever(p.period(t, project)), orForever(q.period(t, project))
			if !mine.Less(before) {
				continue
			}
			what := "of events of type " + string(t)
			if t == other {
				what = "of all other events"
			}
			if project != other {
				what += " of project " + project
			}
			return fmt.Sprintf("payloads %s are kept for %s instead of %s", what, mine, before)
		}
	}
	return ""
}

// period returns how long the payload of an event is kept. Empty stands for a type, and
// for a project, that no rule names.
func (p *Policy) period(t event.Type, project string) Period {
	for i := range p.Rules {
		r := &p.Rules[i]
		types := p.TypesOf(r)
		if (len(types) == 0 || slices.Contains(types, t)) && (len(r.Projects) == 0 || slices.Contains(r.Projects, project)) {
			return r.Payloads
		}
	}
	return p.Payloads
}

// orForever returns for ever where no period is given.
func orForever(p Period) Period {
	if !p.IsSet() {
		return Period{Forever: true}
	}
	return p
}
