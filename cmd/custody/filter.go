package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/textsearch"
)

// filterFlags are the flags that choose entries.
type filterFlags struct {
	types                                              []string
	agent, action, project, session, user, correlation string
	decision                                           string
	since, until, occurredSince, occurredUntil         string
	from, to                                           uint64
	after                                              string
}

func (f *filterFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.types, "type", nil, "only events of this `TYPE`; repeatable, or separated by commas")
	flags.StringVar(&f.agent, "agent", "", "only events of the agent with this `ID`, and emergency stops that affect it")
	flags.StringVar(&f.action, "action", "", "only events of the action with this `ID`")
	flags.StringVar(&f.project, "project", "", "only events of the project with this `ID`")
	flags.StringVar(&f.session, "session", "", "only events of the session with this `ID`")
	flags.StringVar(&f.user, "user", "", "only events of the user with this `ID`")
	flags.StringVar(&f.decision, "decision", "", "only events with this `DECISION`")
	flags.StringVar(&f.correlation, "correlation", "", "only events with this correlation `ID`")
	flags.StringVar(&f.since, "since", "", "only entries recorded at or after this `TIME`: RFC 3339, a date (UTC), or how long ago (2h, 7d)")
	flags.StringVar(&f.until, "until", "", "only entries recorded before this `TIME`")
	flags.StringVar(&f.occurredSince, "occurred-since", "", "only events that happened, as their producer says, at or after this `TIME`")
	flags.StringVar(&f.occurredUntil, "occurred-until", "", "only events that happened, as their producer says, before this `TIME`")
	flags.Uint64Var(&f.from, "from", 0, "only entries from this `INDEX` on")
	flags.Uint64Var(&f.to, "to", 0, "only entries before this `INDEX`; 0: up to the end")
	flags.StringVar(&f.after, "after", "", "go on behind the entry with this `INDEX`, in the same order")
	completeValues(cmd, "type", typeNames())
	completeValues(cmd, "decision", valueNames(event.Decisions()))
}

// query makes the query. Its order is newest.
func (f *filterFlags) query(newest bool, now time.Time) (custody.Query, error) {
	q := custody.Query{AgentID: f.agent, ActionID: f.action, ProjectID: f.project, SessionID: f.session, UserID: f.user,
		CorrelationID: f.correlation, From: f.from, To: f.to, Newest: newest}
	for _, t := range f.types {
		if !event.ValidType(t) {
			return q, fmt.Errorf("--type %q: no type has such a name", t)
		}
		q.Types = append(q.Types, event.Type(t))
	}
	if f.decision != "" {
		var ok bool
		if q.Decision, ok = event.ParseDecision(f.decision); !ok {
			return q, unknownValue("decision", f.decision, event.Decisions())
		}
	}
	for _, t := range []struct {
		flag, value string
		to          *time.Time
	}{
		{"since", f.since, &q.Since}, {"until", f.until, &q.Until},
		{"occurred-since", f.occurredSince, &q.OccurredSince}, {"occurred-until", f.occurredUntil, &q.OccurredUntil},
	} {
		var err error
		if *t.to, err = parseTime(t.value, now); err != nil {
			return q, fmt.Errorf("--%s: %w", t.flag, err)
		}
	}
	if !q.Since.IsZero() && !q.Until.IsZero() && !q.Since.Before(q.Until) {
		return q, fmt.Errorf("--since %s is not before --until %s: nothing can match", f.since, f.until)
	}
	if f.to != 0 && f.from >= f.to {
		return q, fmt.Errorf("--from %d is not below --to %d: nothing can match", f.from, f.to)
	}
	if f.after != "" {
		index, err := strconv.ParseUint(f.after, 10, 64)
		if err != nil {
			return q, fmt.Errorf("--after %q is no index", f.after)
		}
		q = behind(q, index)
	}
	return q, nil
}

// behind returns the query that goes on behind an index, within the range of
// indices that q has.
func behind(q custody.Query, index uint64) custody.Query {
	next := q.After(index)
	if next.From < q.From {
		next.From = q.From
	}
	if q.To != 0 && (next.To == 0 || next.To > q.To) {
		next.To = q.To
	}
	if next.To != 0 && next.From >= next.To {
		next.From, next.To = 1, 1 // nothing is left
	}
	return next
}

// describe says in words what was asked for, for "nothing matches".
func (f *filterFlags) describe() string {
	var parts []string
	for _, p := range []struct{ name, value string }{
		{"type", strings.Join(f.types, " or ")}, {"agent", f.agent}, {"action", f.action}, {"project", f.project}, {"session", f.session},
		{"user", f.user}, {"decision", f.decision}, {"correlation", f.correlation}, {"since", f.since}, {"until", f.until},
		{"occurred since", f.occurredSince}, {"occurred until", f.occurredUntil}, {"after", f.after},
	} {
		if p.value != "" {
			parts = append(parts, p.name+" "+p.value)
		}
	}
	if f.from > 0 {
		parts = append(parts, fmt.Sprintf("from %d", f.from))
	}
	if f.to > 0 {
		parts = append(parts, fmt.Sprintf("to %d", f.to))
	}
	return strings.Join(parts, ", ")
}

// describeQuery says in words what a query covers, from its members as events have
// them.
func describeQuery(members map[string]any) string {
	var parts []string
	for name, v := range members {
		text := fmt.Sprint(v)
		if list, ok := v.([]string); ok {
			text = strings.Join(list, " or ")
		}
		parts = append(parts, name+" "+terminal.OneLine(text))
	}
	if len(parts) == 0 {
		return "everything"
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// fieldFlags choose events by what any member of their payload is.
type fieldFlags struct {
	given []string
	want  map[string]string // by JSON Pointer, once parse was called
}

func (f *fieldFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.given, "field", nil, "only events with this `POINTER=VALUE`, a JSON Pointer into the payload; repeatable; reads every event")
}

func (f *fieldFlags) parse() error {
	var err error
	if f.want, err = textsearch.Fields(f.given); err != nil {
		return fmt.Errorf("--field %w", err)
	}
	return nil
}
