package transcript

import (
	"strings"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
)

// Types of events that are not registered.
const (
	typeMessage  event.Type = "assistant_message"  // text of the model
	typeThinking event.Type = "assistant_thinking" // its reasoning
	typeAPIError event.Type = "api_error"          // the model could not be asked

	typeCompacted event.Type = "context_compacted" // the conversation was cut
	typeSummary   event.Type = "context_summary"   // and this stands for what was cut
	typeInjected  event.Type = "context_added"     // text that the program gave the model

	typeLocalCommand event.Type = "local_command"       // a command of the person to the program
	typeHooks        event.Type = "hook_summary"        // hooks ran at the end of a turn
	typeProgress     event.Type = "transcript_progress" // of a tool or hook
	typeDuration     event.Type = "transcript_turn_duration"
)

// others are kinds of lines about the session, kept under a type of their name
// ("transcript_ai_title").
var others = map[string]bool{
	"agent-name": true, "agent-setting": true, "ai-title": true, "attachment": true,
	"bridge-session": true, "custom-title": true, "last-prompt": true, "permission-mode": true,
	"pr-link": true, "queue-operation": true, "summary": true, "worktree-state": true,
}

// kind adds the events of a line. It reports false if it knows no such line.
func (s *session) kind(l *line) bool {
	switch kind := ingest.Text(l.rec, "type"); kind {
	case "user":
		return s.user(l)
	case "assistant":
		return s.assistant(l)
	case "system":
		return s.system(l, ingest.Text(l.rec, "subtype"))
	case "progress":
		e := l.add(typeProgress, nil)
		e.ActionID = actionOf(ingest.Text(l.rec, "parentToolUseID"))
		return true
	case "file-history-snapshot":
		details := map[string]any{"kind": "file-history"}
		if id := ingest.Text(l.rec, "messageId"); id != "" {
			details["checkpoint_id"] = id
		}
		if v := ingest.Get(l.rec, "snapshot"); v != nil {
			details["state_digest"] = ingest.Digest(v)
		}
		e := l.add(event.CheckpointCreated, details)
		if e.OccurredAt.IsZero() {
			e.OccurredAt = ingest.Time(ingest.Text(l.rec, "snapshot", "timestamp"))
			e.Timestamp = e.OccurredAt
		}
		return true
	default:
		if !others[kind] {
			return false
		}
		l.add(event.Type("transcript_"+strings.ReplaceAll(kind, "-", "_")), nil)
		return true
	}
}

// system adds the event of a line that the program wrote about itself.
func (s *session) system(l *line, subtype string) bool {
	switch subtype {
	case "compact_boundary":
		l.add(typeCompacted, nil)
	case "api_error": // it is tried again
		l.add(typeAPIError, nil).Severity = event.SeverityWarning
	case "stop_hook_summary": // the hooks that run when a turn ends
		l.add(typeHooks, nil)
		if s.turn && l.rec["preventedContinuation"] != true {
			s.turn = false
			l.extra("end", event.TurnEnded, map[string]any{"status": "completed"})
		}
	case "local_command":
		l.add(typeLocalCommand, nil)
	case "turn_duration":
		if !s.turn {
			l.add(typeDuration, nil)
			break
		}
		s.turn = false
		e := l.add(event.TurnEnded, map[string]any{"status": "completed"})
		l.moveUp(e, "duration_ms", "durationMs")
	default:
		return false
	}
	return true
}

// actionOf returns the id of a tool's use, or "" if id is not one. What runs
// without a tool, such as a hook at the start of a session, has ids of another
// form.
func actionOf(id string) string {
	if strings.HasPrefix(id, "toolu_") {
		return id
	}
	return ""
}
