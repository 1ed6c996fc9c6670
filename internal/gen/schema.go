package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/custodylog/custody/event"
)

type object = map[string]any

// schemaJSON returns the JSON Schema of the payload.
func schemaJSON() ([]byte, error) {
	defs := object{
		"absent": object{"description": "Counts as if it were not there.", "enum": []any{nil, ""}},
		"id":     object{"type": "string", "minLength": 1, "maxLength": event.MaxIDLen},
		"time": object{"type": "string", "format": "date-time",
			"pattern": `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$`},
	}
	var names []string
	var rules []any
	for _, spec := range event.Types() {
		names = append(names, string(spec.Type))
		defs[string(spec.Type)] = typeRule(&spec)
		rules = append(rules, object{"$ref": "#/$defs/" + string(spec.Type)})
	}
	id := object{"$ref": "#/$defs/id"}
	schema := object{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"$id":     "https://github.com/custodylog/custody/docs/event.schema.json",
		"title":   "Payload of an event in a Custody trail",
		"description": "Generated from event/registry.go. An event that lists defects was stored although it breaks " +
			"the rules of its type, so these are not asked of it. Members that are not named here come from a newer version.",
		"type":     "object",
		"required": []string{"event_type", "id", "timestamp"},
		"properties": object{
			"id":              id,
			"event_type":      object{"type": "string", "pattern": `^[a-z][a-z0-9_.-]{0,127}$`},
			"timestamp":       object{"$ref": "#/$defs/time"},
			"occurred_at":     object{"$ref": "#/$defs/time"},
			"agent_id":        id,
			"action_id":       id,
			"project_id":      id,
			"session_id":      id,
			"user_id":         id,
			"correlation_id":  id,
			"parent_id":       id,
			"source":          id,
			"principal":       id,
			"decision":        values(event.Decisions()),
			"decision_source": values(event.DecisionSources()),
			"outcome":         values(event.Outcomes()),
			"severity":        values(event.Severities()),
			"source_run":      id,
			"source_seq":      object{"type": "integer", "minimum": 0},
			"signature": object{
				"type":     "object",
				"required": []string{"commitment", "key_id", "sig"},
				"properties": object{
					"commitment": object{"type": "string", "pattern": "^[A-Za-z0-9+/]{43}=$"},
					"key_id":     object{"type": "string", "pattern": "^[0-9a-f]{8}$"},
					"salt":       object{"type": "string", "pattern": "^[A-Za-z0-9+/]{22}==$"},
					"sig":        object{"type": "string", "pattern": "^[A-Za-z0-9+/]{86}==$"},
					"unsigned": object{"type": "array", "uniqueItems": true, "items": object{
						"enum": []string{"defects", "principal", "redactions", "severity", "timestamp"}}},
				},
			},
			"trace_id": hexID(32),
			"span_id":  hexID(16),
			"details":  object{"type": "object"},
			"defects":  object{"type": "array", "minItems": 1, "items": object{"type": "string"}},
			"redactions": object{"type": "array", "minItems": 1, "items": object{
				"type":     "object",
				"required": []string{"method", "pointer", "rule"},
				"properties": object{
					"method":  object{"type": "string"},
					"pointer": object{"type": "string", "format": "json-pointer"},
					"rule":    object{"type": "string"},
				},
			}},
		},
		"if":    object{"not": object{"required": []string{"defects"}}},
		"then":  object{"properties": object{"event_type": object{"enum": names}}, "allOf": rules},
		"$defs": defs,
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(schema); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// hexID is n lower-case hex digits that are not all zero.
func hexID(n int) object {
	return object{"type": "string", "pattern": fmt.Sprintf("^[0-9a-f]{%d}$", n),
		"not": object{"const": strings.Repeat("0", n)}}
}

func values(set []event.ValueDoc) object {
	names := make([]string, len(set))
	for i, v := range set {
		names[i] = v.Value
	}
	return object{"enum": names}
}

// typeRule returns what holds for the events of one type.
func typeRule(spec *event.Spec) object {
	need := append([]string(nil), spec.Required...)
	properties := object{}
	if spec.Decision != "" {
		properties["decision"] = object{"const": spec.Decision}
	}
	details := object{}
	members := object{}
	var needed []string
	for _, d := range spec.Details {
		s := detailSchema(&d)
		s["description"] = d.Doc
		members[d.Name] = s
		if d.Required {
			needed = append(needed, d.Name)
		}
	}
	details["properties"] = members
	if needed != nil {
		details["required"] = needed
	}
	if len(spec.OneOf) > 0 {
		var any []any
		for _, name := range spec.OneOf {
			any = append(any, object{"required": []string{name},
				"properties": object{name: object{"not": object{"$ref": "#/$defs/absent"}}}})
		}
		details["anyOf"] = any
	}
	if needed != nil || len(spec.OneOf) > 0 {
		need = append(need, "details")
	}
	properties["details"] = details
	then := object{"properties": properties}
	if len(need) > 0 {
		then["required"] = need
	}
	return object{
		"description": spec.Doc,
		"if":          object{"properties": object{"event_type": object{"const": spec.Type}}, "required": []string{"event_type"}},
		"then":        then,
	}
}

func detailSchema(d *event.Detail) object {
	s := object{}
	switch d.Kind {
	case event.KindString:
		s["type"] = "string"
		if d.Enum != nil {
			s["enum"] = d.Enum
		}
	case event.KindNumber, event.KindInteger, event.KindBoolean:
		s["type"] = string(d.Kind)
	case event.KindStrings:
		s["type"] = "array"
		s["items"] = object{"type": "string"}
	case event.KindTime:
		s["type"] = "string"
		s["format"] = "date-time"
	}
	absent := object{"$ref": "#/$defs/absent"}
	switch {
	case d.Required:
		s["not"] = absent
	case len(s) > 0:
		return object{"anyOf": []any{s, absent}}
	}
	return s
}
