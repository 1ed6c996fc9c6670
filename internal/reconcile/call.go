package reconcile

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/sighting"
)

// Call is one call of a tool, as one side tells of it. What it does not tell is empty.
type Call struct {
	ID       string // that the agent gave it, without that of the session
	Session  string
	Agent    string
	Tool     string // without the MCP server, which some paths name and others do not
	Input    string // digest ([ingest.Digest])
	At       time.Time
	Decision event.Decision
	Outcome  event.Outcome

	// Answered says that it ended, however it did.
	Answered bool

	// Refused says that the agent itself did not take the call, as it was written: it
	// ran nothing then, and asked nobody.
	Refused bool

	// Index is that of the first entry of the trail that tells of it; Source and Line
	// are where the other side does.
	Index  uint64
	Source string
	Line   int
}

// Types are those of the events of which calls are read.
var Types = []event.Type{event.ActionRequested, event.ActionValidated, event.ActionDenied, event.ActionExecuted,
	event.ActionFailed, event.ActionCancelled, event.ActionObserved}

// IsImported reports whether events of that source were recorded from what something else
// has written down. They say nothing of what the trail had by itself.
func IsImported(source string) bool { return source == "transcript" || source == "ndjson" }

// Calls collects calls. The zero value is empty and ready for use, by one goroutine.
type Calls struct {
	// Within leaves out the calls that are not in it, where it is set.
	Within *Scope

	all []*Call
	of  map[string]*Call // by what names the action
}

// All returns the calls, each at the place of what told of it first.
func (c *Calls) All() []*Call { return c.all }

// AddEvent takes in what an event says of a call; at is when it happened where the event
// does not say, and place where it stands: Index, or Source and Line. Events that are about
// no call change nothing.
func (c *Calls) AddEvent(e *event.Event, at time.Time, place Call) {
	kind := e.Type
	if kind == event.ActionObserved {
		step, _ := e.Details["step"].(string)
		kind = event.Type(step)
	}
	phase, ok := sighting.PhaseOf(kind)
	if !ok || e.ActionID == "" || phase == sighting.Asked || phase == sighting.Answered {
		return
	}
	call := place
	call.Session, call.Agent, call.At = e.SessionID, e.AgentID, at
	if t := custody.OccurredAt(e); !t.IsZero() {
		call.At = t
	}
	call.ID = idOf(e)
	call.Tool, _ = (&sighting.Call{Tool: ingest.Text(e.Details, "tool_name")}).Name()
	if call.Input = ingest.Text(e.Details, "input_digest"); call.Input == "" {
		call.Input = sighting.Input(e.Details["input"])
	}
	switch phase {
	case sighting.Decided:
		call.Decision, call.Outcome = e.Decision, e.Outcome
		if kind == event.ActionDenied {
			call.Decision, call.Outcome = cmp.Or(e.Decision, event.Deny), cmp.Or(e.Outcome, event.OutcomeDenied)
		}
	case sighting.Finished:
		call.Outcome = cmp.Or(e.Outcome, outcomes[kind])
		call.Refused = ingest.Text(e.Details, "error_type") == "tool_use_error" && !strings.HasPrefix(ingest.Text(e.Details, "error"), "Error calling tool")
	}
	c.add("action "+e.ActionID, call, e.Type == event.ActionObserved)
}

// outcomes are those of events that name none.
var outcomes = map[event.Type]event.Outcome{event.ActionExecuted: event.OutcomeSuccess, event.ActionFailed: event.OutcomeFailure, event.ActionCancelled: event.OutcomeCancelled}

// idOf returns the id that the agent gave the call of an event, or "" where it gave none.
func idOf(e *event.Event) string {
	if id := ingest.Text(e.Details, "call_id"); id != "" {
		return id
	}
	if sighting.IsPath(e.Source) && !strings.HasPrefix(e.ActionID, "toolu_") {
		return "" // it was made up where what several paths saw was joined
	}
	return strings.TrimPrefix(e.ActionID, e.SessionID+"/")
}

// add takes in what is told of the call that key names; empty: of one of its own. What
// comes later counts, since decisions are taken back; unless it only fills in what is not
// known.
func (c *Calls) add(key string, told Call, fill bool) {
	known := c.of[key]
	if known == nil {
		if c.Within != nil && !c.Within.Has(&told) {
			return
		}
		c.all = append(c.all, &told)
		if c.of == nil {
			c.of = map[string]*Call{}
		}
		if key != "" {
			c.of[key] = &told
		}
		return
	}
	known.ID, known.Session, known.Agent = cmp.Or(known.ID, told.ID), cmp.Or(known.Session, told.Session), cmp.Or(known.Agent, told.Agent)
	known.Tool, known.Input = cmp.Or(known.Tool, told.Tool), cmp.Or(known.Input, told.Input)
	known.Answered, known.Refused = known.Answered || told.Answered, known.Refused || told.Refused
	if fill {
		told.Decision, told.Outcome = cmp.Or(known.Decision, told.Decision), cmp.Or(known.Outcome, told.Outcome)
	}
	known.Decision, known.Outcome = cmp.Or(told.Decision, known.Decision), cmp.Or(told.Outcome, known.Outcome)
	if known.At.IsZero() || !told.At.IsZero() && told.At.Before(known.At) {
		known.At = told.At
	}
}

// Gap returns the event that says that the trail has nothing of a call that is in source.
// Its id is the same each time.
func (c *Call) Gap(source string) event.Event {
	var at string
	if !c.At.IsZero() {
		at = c.At.UTC().Format(time.RFC3339Nano)
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{source, c.ID, c.Session, c.Tool, c.Input, at}, "\x00")))
	details := map[string]any{"kind": "missing", "what": "a call that the trail lacks, told by " + source, "source": source, "count": 1}
	ingest.SetTool(details, c.Tool)
	for name, v := range map[string]string{"input_digest": c.Input, "call_id": c.ID, "call_outcome": string(c.Outcome), "call_decision": string(c.Decision)} {
		if v != "" {
			details[name] = v
		}
	}
	named := sighting.Call{ID: c.ID, Session: c.Session}
	return event.Event{ID: "reconcile:" + hex.EncodeToString(sum[:16]), Type: event.GapDetected, Source: "reconcile", OccurredAt: c.At,
		SessionID: c.Session, AgentID: c.Agent, ActionID: named.ActionID(), Details: details}
}
