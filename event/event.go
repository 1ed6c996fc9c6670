package event

import "time"

// Event is what a producer reports: one thing an agent asked for, was allowed,
// did or suffered. The zero value of every field except Type means "not known".
//
// An Event is a plain value. Custody never modifies one that a caller passed
// in, nor anything its Details reach.
type Event struct {
	// ID identifies the event within its trail. Empty means: the trail
	// assigns a UUIDv7. A producer that may send an event twice sets it.
	ID string

	// Type is the wire name, such as [ActionDenied]. Required.
	Type Type

	// Timestamp is when the event was reported. Zero means: the time of the
	// call that recorded it. Stored in UTC with microseconds.
	Timestamp time.Time

	// OccurredAt is when the producer claims that it happened, where that
	// is not the time of reporting (an import, a spool that was replayed).
	OccurredAt time.Time

	AgentID       string // the agent that acts; a claim of the producer
	ActionID      string // joins the request, decision and outcome of one action
	ProjectID     string
	SessionID     string
	UserID        string // the person on whose behalf, or who decided
	CorrelationID string // joins events across agents, as the producer sees fit

	Decision       Decision       // what was allowed
	DecisionSource DecisionSource // who or what decided
	Outcome        Outcome        // what happened
	Severity       Severity       // empty means: the registry's severity of Type

	// Source names the path the event came by, such as "transcript".
	Source string

	// Principal is the authenticated sender. The trail sets it; a claimed
	// value is replaced.
	Principal string

	// SourceRun names one run of the producer, from its start to its end:
	// SourceSeq counts anew in each.
	SourceRun string

	// SourceSeq numbers the events of one run of one producer, where it
	// offers that: from 0 or 1 on, each one more than the one before.
	SourceSeq *uint64

	// Signature is the producer's, nil where it does not sign. See [Event.Sign].
	Signature *Signature

	TraceID  string // W3C trace context, 32 hex digits
	SpanID   string // 16 hex digits
	ParentID string // id of the event that led to this one

	// Details is the rest, as JSON values: nil, bool, string, json.Number,
	// any Go integer or float, []any, []string, map[string]any, and
	// whatever encoding/json can marshal to those.
	Details map[string]any

	// Redactions lists what was removed before hashing, and where.
	Redactions []Redaction

	// Defects lists what is wrong with the event, where it was stored all
	// the same (lenient mode, unknown type).
	Defects []string
}

// Redaction tells of one value that was removed before anything was hashed.
type Redaction struct {
	Pointer string // JSON Pointer (RFC 6901) into the payload, e.g. /details/env/API_KEY
	Rule    string // what asked for it, e.g. "key:api_key"
	Method  string // what was done, e.g. "mask"
}
