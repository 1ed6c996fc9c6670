package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/custodylog/custody/event"
)

// eventsMarkdown returns the page of the vocabulary.
func eventsMarkdown() []byte {
	var b bytes.Buffer
	b.WriteString(`<!-- Generated from event/registry.go by go generate ./event. Do not edit. -->

# Events

An event is one JSON object. Every event has ` + "`id`, `event_type` and `timestamp`" + `; what else a type
requires stands in its row. In strict mode an event that lacks it is refused; in lenient mode it is
stored, and its ` + "`defects`" + ` say what is missing. A detail in **bold** is required. Details beyond those
named here are always allowed.

A type that is not listed here is stored too, with the defect ` + "`" + event.DefectUnregistered + "`" + `. The machine-readable
form of this page is [event.schema.json](event.schema.json).

## Members

| member | meaning |
|---|---|
`)
	for _, m := range members {
		fmt.Fprintf(&b, "| `%s` | %s |\n", m[0], m[1])
	}
	b.WriteString("\n## Types\n")
	types := event.Types()
	for _, family := range event.Families() {
		fmt.Fprintf(&b, "\n### %s\n\n| type | meaning | required members | details | severity |\n|---|---|---|---|---|\n",
			strings.ToUpper(family[:1])+family[1:])
		var details []event.Detail
		for i := range types {
			spec := &types[i]
			if spec.Family != family {
				continue
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", spec.Type, cell(spec.Doc), required(spec), detailNames(spec), severity(spec))
			for _, d := range spec.Details {
				details = addDetail(details, d)
			}
		}
		b.WriteString("\n| detail | kind | meaning |\n|---|---|---|\n")
		for _, d := range details {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", d.Name, kind(&d), cell(d.Doc))
		}
	}

	b.WriteString("\n## Decisions\n\nA `decision` says what was allowed. What then happened is the `outcome`.\n\n| decision | meaning | also read as it |\n|---|---|---|\n")
	for _, d := range event.Decisions() {
		var words []string
		for _, a := range event.Aliases() {
			if a.Source == "" && string(a.Decision) == d.Value {
				words = append(words, "`"+a.Word+"`")
			}
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", d.Value, cell(d.Doc), strings.Join(words, ", "))
	}
	b.WriteString("\nWords are read in any case. These belong to one system:\n\n| system | word | decision | note |\n|---|---|---|---|\n")
	for _, a := range event.Aliases() {
		if a.Source == "" {
			continue
		}
		note := a.Doc
		if a.NeedsSource {
			note = strings.TrimPrefix(note+"; read only where the system is known", "; ")
		}
		fmt.Fprintf(&b, "| %s | `%s` | `%s` | %s |\n", a.Source, a.Word, a.Decision, cell(note))
	}
	section(&b, "Outcomes", "outcome", event.Outcomes())
	section(&b, "Decision sources", "decision_source", event.DecisionSources())
	section(&b, "Severities", "severity", event.Severities())
	return b.Bytes()
}

var members = [][2]string{
	{"id", "identifies the event within its trail; a UUIDv7 where the producer gave none"},
	{"event_type", "the type, one of those below"},
	{"timestamp", "when it was reported: UTC, six digits"},
	{"occurred_at", "when the producer says it happened, where that differs"},
	{"agent_id", "the agent that acts, as the producer claims"},
	{"action_id", "joins the request, decision and outcome of one action"},
	{"project_id, session_id", "what it belongs to"},
	{"user_id", "the person on whose behalf, or who decided"},
	{"correlation_id", "joins events across agents"},
	{"decision, decision_source", "what was allowed, and who or what said so"},
	{"outcome", "what happened"},
	{"severity", "how much attention it deserves"},
	{"source", "the path it came by; what was imported from an agent's `transcript` is evidence of lower trust, since whoever may write that file can change it"},
	{"principal", "the authenticated sender; set by the trail"},
	{"source_run", "one run of the producer, from its start to its end"},
	{"source_seq", "number of the event in that run: from 0 or 1 on ([producers.md](producers.md))"},
	{"signature", "what the producer signed, and with which key ([producers.md](producers.md))"},
	{"trace_id, span_id", "W3C trace context"},
	{"parent_id", "id of the event that led to this one"},
	{"details", "the rest"},
	{"redactions", "what was removed before hashing: pointer, rule, method"},
	{"defects", "what is wrong with the event"},
}

func section(b *bytes.Buffer, title, member string, set []event.ValueDoc) {
	fmt.Fprintf(b, "\n## %s\n\n| %s | meaning |\n|---|---|\n", title, member)
	for _, v := range set {
		fmt.Fprintf(b, "| `%s` | %s |\n", v.Value, cell(v.Doc))
	}
}

// cell keeps a text from ending the cell of a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func required(spec *event.Spec) string {
	var names []string
	for _, name := range spec.Required {
		s := "`" + name + "`"
		if name == "decision" && spec.Decision != "" {
			s = fmt.Sprintf("`decision` = `%s`", spec.Decision)
		}
		names = append(names, s)
	}
	return strings.Join(names, ", ")
}

func detailNames(spec *event.Spec) string {
	var names []string
	for _, d := range spec.Details {
		s := "`" + d.Name + "`"
		if d.Required {
			s = "**" + s + "**"
		}
		names = append(names, s)
	}
	out := strings.Join(names, ", ")
	if len(spec.OneOf) > 0 {
		out += "; at least one of `" + strings.Join(spec.OneOf, "`, `") + "`"
	}
	return out
}

func severity(spec *event.Spec) string {
	s := string(spec.Severity)
	if spec.Raise != nil {
		s += fmt.Sprintf("; %s where `%s` is `%s`", spec.Raise.Severity, spec.Raise.Detail, strings.Join(spec.Raise.Values, "`, `"))
	}
	return s
}

func kind(d *event.Detail) string {
	if d.Enum != nil {
		return "`" + strings.Join(d.Enum, "`, `") + "`"
	}
	if d.Kind == event.KindStrings {
		return "array of strings"
	}
	return string(d.Kind)
}

// addDetail appends d unless one that reads the same is there.
func addDetail(details []event.Detail, d event.Detail) []event.Detail {
	for _, have := range details {
		if have.Name == d.Name && have.Doc == d.Doc {
			return details
		}
	}
	return append(details, d)
}
