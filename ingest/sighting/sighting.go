// Package sighting describes what one path saw of what an agent did.
//
// An agent's call of a tool may be seen by several paths: its hooks, its telemetry, the
// recorder in front of an MCP server. Each makes sightings of it; who records them joins
// those of one call into one action (package joiner), by the id that the agent gave the
// call, or else by what was called, in which session, in which order.
package sighting

import (
	"strings"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
)

// Sighting is one thing that one path saw.
type Sighting struct {
	// Event is what is to be recorded. Its Source names the path, such as
	// "claude-code/hook". For a call its Type, Decision, Outcome and so on are as this
	// path knows them, and its ActionID is given by whoever joins.
	Event event.Event

	// Call is the call that it is about; nil: it is about none.
	Call *Call

	// Ends is what is over with it in the session of the event, so that calls of which
	// nothing says how they ended are unresolved.
	Ends Ending

	// Mapped is false where the kind of what was seen is not known. The event holds all
	// of it then.
	Mapped bool
}

// Recorder is the path of what recorders in front of MCP servers see. Those of agents are
// their names and how they tell it, such as "claude-code/hook".
const Recorder = "mcp"

// IsPath reports whether events of that source are sightings.
func IsPath(source string) bool {
	return source == Recorder || strings.HasSuffix(source, "/hook") || strings.HasSuffix(source, "/otel")
}

// Call is a call of a tool.
type Call struct {
	ID      string // that the agent gave it; empty: this path sees none
	Session string // empty: this path does not know it
	Tool    string // as this path names it
	Input   string // digest of the input ([ingest.Digest]); empty: this path does not see it
	Phase   Phase

	// Endless says that this path never tells how such a call ended, so that nobody
	// waits for that.
	Endless bool
}

// Phase is how far a call has come.
type Phase int

// The phases.
const (
	Requested Phase = iota // the agent wants it
	Asked                  // somebody is asked to approve it
	Answered               // and has answered
	Decided                // it may run, or may not
	Finished               // it ran, failed or was cancelled
)

// Ending is what ends.
type Ending string

// The endings. The values are those of the detail closed_by.
const (
	Nothing Ending = ""
	Turn    Ending = "turn_end"
	Session Ending = "session_end"
)

// ActionID returns the id of the action that the call is, or "" where only its order
// tells it apart. Ids that an agent gives in one session only are made unique by it. Of
// one that is too long for an event it is the digest.
func (c *Call) ActionID() string {
	id := c.ID
	if id != "" && c.Session != "" && !strings.HasPrefix(id, "toolu_") { // those are unique everywhere
		id = c.Session + "/" + id
	}
	if len(id) > event.MaxIDLen {
		return ingest.TextDigest(id)
	}
	return id
}

// Name returns the name by which all paths know the tool, and the tool server that it
// is of, if its name says so: agents call the tool read of the MCP server files
// "mcp__files__read".
func (c *Call) Name() (tool, server string) {
	rest, ok := strings.CutPrefix(c.Tool, "mcp__")
	if !ok {
		return c.Tool, ""
	}
	if server, tool, ok = strings.Cut(rest, "__"); !ok || tool == "" {
		return c.Tool, ""
	}
	return tool, server
}

// PhaseOf returns the phase that an event of an action tells of.
func PhaseOf(t event.Type) (Phase, bool) {
	switch t {
	case event.ActionRequested:
		return Requested, true
	case event.ApprovalRequested:
		return Asked, true
	case event.ApprovalGranted, event.ApprovalDenied, event.ApprovalExpired, event.ApprovalCancelled:
		return Answered, true
	case event.ActionValidated, event.ActionDenied:
		return Decided, true
	case event.ActionExecuted, event.ActionFailed, event.ActionCancelled:
		return Finished, true
	}
	return 0, false
}

// Describe sets in the details of an event about a call its tool, the tool server and
// the digest of the input, as all events of calls carry them.
func (c *Call) Describe(details map[string]any) {
	ingest.SetTool(details, c.Tool)
	if c.Input != "" {
		details["input_digest"] = c.Input
	}
	if c.ID != "" {
		details["call_id"] = c.ID
	}
	if c.Endless {
		details["endless"] = true
	}
}

// Input returns the digest of a call's input, which is the same by whichever path it
// came. Text that is a JSON object counts as the object.
func Input(v any) string {
	if text, ok := v.(string); ok {
		if object, _, err := ingest.ParseObject([]byte(text)); err == nil {
			v = object
		}
	}
	if v == nil {
		return ""
	}
	return ingest.Digest(v)
}
