package transcript

import (
	"io"
	"iter"
	"maps"
	"strconv"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
)

// product is the agent program, and the id of a session's main agent.
const product = "claude-code"

// source is the Event.Source of every event.
const source = "transcript"

// typeLine is the type of lines that are not understood.
const typeLine event.Type = "transcript_line"

// Read yields the events of one transcript in the order of its lines.
func Read(r io.Reader, src ingest.Source) iter.Seq2[ingest.Item, error] {
	var s session
	f := ingest.Format{Name: source, Unknown: typeLine, Parse: ingest.ParseObjects(lineID, s.read)}
	return f.Read(r, src)
}

// lineID is what names a line in any transcript.
func lineID(rec map[string]any) string {
	uuid := ingest.Text(rec, "uuid")
	if uuid == "" {
		return ""
	}
	return ingest.Text(rec, "sessionId") + ":" + uuid
}

// session is what is known from the lines read so far.
type session struct {
	id      string
	started bool
	mode    string                // permission mode
	turn    bool                  // a turn has started and not ended
	tools   ingest.Recent[string] // name of the tool, by the id of its use
}

// line is one line of a transcript and the items made of it.
type line struct {
	rec    map[string]any
	id     string
	shared event.Event // what all events of the line have
	items  []ingest.Item
	parts  int            // events that were numbered
	rest   map[string]any // of rec: what no event has yet
}

func (s *session) read(rec map[string]any, id string) []ingest.Item {
	if v := ingest.Text(rec, "sessionId"); v != "" && v != s.id {
		s.id, s.started, s.mode, s.turn = v, false, "", false
	}
	l := &line{rec: rec, id: id, rest: maps.Clone(rec)}
	at := ingest.Time(ingest.Text(rec, "timestamp"))
	l.shared = event.Event{Timestamp: at, OccurredAt: at, SessionID: s.id, AgentID: agentOf(rec), ParentID: parentOf(rec)}
	s.begin(l)
	s.setMode(l, ingest.Text(rec, "permissionMode"))
	if !s.kind(l) {
		l.add(typeLine, nil)
		last := &l.items[len(l.items)-1]
		last.Mapped, last.Note = false, "a line of a kind that is not known"
	}
	return l.items
}

// agentOf returns the sub-agent that a line belongs to, or the main agent.
func agentOf(rec map[string]any) string {
	if id := ingest.Text(rec, "agentId"); id != "" {
		return id
	}
	return product
}

// parentOf returns the id of the first event of the line that came before.
func parentOf(rec map[string]any) string {
	parent := ingest.Text(rec, "parentUuid")
	if parent == "" {
		parent = ingest.Text(rec, "logicalParentUuid") // across a compaction
	}
	if parent == "" {
		return ""
	}
	return source + ":" + ingest.Text(rec, "sessionId") + ":" + parent + ":0"
}

// add adds an event of the line. The first one holds what is left of the line
// in the end.
func (l *line) add(t event.Type, details map[string]any) *event.Event {
	e := l.extra(strconv.Itoa(l.parts), t, details)
	if l.parts == 0 {
		e.Details["line"] = l.rest
		l.moveUp(e, "usage", "message", "usage")
		l.moveUp(e, "tool_use_result", "toolUseResult")
		if model := ingest.Text(l.rec, "message", "model"); model != "" {
			e.Details["model"] = model
		}
	}
	l.parts++
	return e
}

// extra adds an event that follows from the line, and holds nothing of it. The
// pointer is valid until the next call.
func (l *line) extra(part string, t event.Type, details map[string]any) *event.Event {
	e := l.shared
	e.ID, e.Type, e.Details = l.id+":"+part, t, details
	if e.Details == nil {
		e.Details = map[string]any{}
	}
	if t != "" && t != typeLine && !t.Registered() {
		e.Severity = event.SeverityInfo // known here, though not to the registry
	}
	l.items = append(l.items, ingest.Item{Event: e, Mapped: true})
	return &l.items[len(l.items)-1].Event
}

// moveUp moves what stands in the line at path to the detail name.
func (l *line) moveUp(e *event.Event, name string, path ...string) {
	if v := ingest.Get(l.rec, path...); v != nil {
		e.Details[name] = v
		l.drop(path...)
	}
}

// drop takes a member, which stands elsewhere, out of what is left of the line.
// One inside of another object is gone from rec as well.
func (l *line) drop(path ...string) {
	last := len(path) - 1
	delete(ingest.Object(l.rest, path[:last]...), path[last])
}

// begin adds what starts with the line: a session, or in a file of its own a
// sub-agent.
func (s *session) begin(l *line) {
	version, cwd := ingest.Text(l.rec, "version"), ingest.Text(l.rec, "cwd")
	if s.started || s.id == "" || version == "" && cwd == "" {
		return
	}
	s.started = true
	details := map[string]any{"agent_product": product}
	for name, path := range map[string]string{"agent_version": "version", "cwd": "cwd", "git_branch": "gitBranch", "permission_mode": "permissionMode"} {
		if v := ingest.Text(l.rec, path); v != "" {
			details[name] = v
		}
	}
	if model := ingest.Text(l.rec, "message", "model"); model != "" {
		details["model"] = model
	}
	if l.shared.AgentID == product {
		l.extra("start", event.SessionStarted, details)
		return
	}
	details["parent_agent_id"] = product
	l.extra("start", event.SubagentStarted, details)
}

// setMode adds an event if the permission mode is another one than before.
func (s *session) setMode(l *line, mode string) {
	if mode == "" || mode == s.mode {
		return
	}
	if s.mode != "" {
		l.extra("mode", event.PermissionModeChanged, map[string]any{"from_mode": s.mode, "to_mode": mode})
	}
	s.mode = mode
}
