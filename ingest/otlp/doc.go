// Package otlp reads what agents tell OpenTelemetry: exports of logs and traces in the
// OpenTelemetry protocol (OTLP 1.x, JSON and protobuf), as sightings.
//
// Of logs everything is kept. What the agents that are known say of their calls becomes
// steps of actions; any other record is an event of a type that is not registered, such
// as otel_codex_api_request, with all that the record says. What hooks of the same agents
// tell too, such as the beginning of a turn, is among these, so that it is not in the
// trail twice under the same type.
//
// Of traces only what an agent did is kept: calls of tools, agents that are created or
// invoked, and guardrails. Other spans, which measure programs, are counted in
// [Export.Dropped].
//
// What one exporter gets wrong does not cost others their records: text that is not UTF-8
// is mended, and a record in JSON that is no OTLP is kept as its text.
//
// The same record has the same event id however often it is exported.
package otlp
