package timeline

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

// Step is one entry, as much of it as a line tells.
type Step struct {
	Index    uint64
	Recorded time.Time // set by the trail
	Time     time.Time // when it happened according to the producer, or else Recorded

	Type      event.Type
	Severity  event.Severity
	ActionID  string
	AgentID   string
	SessionID string
	UserID    string
	Source    string // the path by which the event came

	Decision       event.Decision
	DecisionSource event.DecisionSource
	Outcome        event.Outcome

	Tool     string // what was asked for
	Resource string // on what
	Note     string // what else the event says; may have several lines
	// All three are cut off where they are long.

	// Took is how long an execution, or the answer to an approval, took
	// according to the event. 0: it does not say.
	Took time.Duration

	dir string // working directory

	// Erased is set when the payload is not held any more: only Index,
	// Recorded, Time and Type are known.
	Erased bool
}

// StepOf returns the step of an entry.
func StepOf(e *custody.Entry) (Step, error) {
	s := Step{Index: e.Index, Recorded: e.Time, Time: e.Time, Type: e.Type, Erased: e.Payload == nil}
	ev, err := e.Event()
	if err != nil || s.Erased {
		return s, err
	}
	if at := custody.OccurredAt(&ev); !at.IsZero() {
		s.Time = at
	}
	s.Severity, s.ActionID, s.AgentID, s.SessionID, s.UserID = ev.Severity, ev.ActionID, ev.AgentID, ev.SessionID, ev.UserID
	s.Source = ev.Source
	s.Decision, s.DecisionSource, s.Outcome = ev.Decision, ev.DecisionSource, ev.Outcome
	d := details(ev.Details)
	s.dir = d.text("cwd")
	s.Tool, s.Resource, s.Note = short(d.text("tool_name")), short(d.resource()), short(d.note(&ev))
	if s.Took = d.milliseconds("execution_time_ms"); s.Took == 0 {
		s.Took = d.milliseconds("wait_ms")
	}
	return s, nil
}

// transcript is the source of what was imported from an agent's transcript. Whoever may
// write that file could have changed it, so that it is evidence of lower trust than what
// hooks and recorders reported.
const transcript = "transcript"

// Transcript reports whether the step was imported from a transcript.
func (s *Step) Transcript() bool { return s.Source == transcript }

// Transcripts returns how many of the steps were imported from a transcript.
func Transcripts(steps ...Step) (n int) {
	for i := range steps {
		if steps[i].Transcript() {
			n++
		}
	}
	return n
}

// PathText says for people by which path an event came, which its source names.
func PathText(source string) string {
	if source == transcript {
		return source + " (evidence of lower trust)"
	}
	return source
}

// Subject is what a step is about: the tool and what it is used on, a file by its
// path from the working directory.
func (s *Step) Subject() string { return join(": ", s.Tool, within(s.dir, s.Resource)) }

// within returns the path of a file from dir, if it lies there.
func within(dir, path string) string {
	if rest, ok := strings.CutPrefix(path, dir+"/"); ok && dir != "" && rest != "" {
		return rest
	}
	return path
}

// Summary is the step in one line, without its type.
func (s *Step) Summary() string { return join(" - ", s.Subject(), s.Note) }

func join(sep string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), sep)
}

// maxText bounds what a step keeps of a text, in bytes. The entry has all of it.
const maxText = 600

// short cuts a text off at maxText bytes.
func short(s string) string {
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// details reads the details of an event, whatever kind their values have.
type details map[string]any

// text returns a string, a number or a boolean as text, and "" for the rest.
func (d details) text(name string) string {
	switch v := d[name].(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

func (d details) number(name string) (float64, bool) {
	n, ok := d[name].(json.Number)
	if !ok {
		return 0, false
	}
	f, err := n.Float64()
	return f, err == nil && !math.IsInf(f, 0)
}

func (d details) milliseconds(name string) time.Duration {
	ms, ok := d.number(name)
	if !ok || ms < 0 || ms > 1e12 {
		return 0
	}
	return time.Duration(ms * float64(time.Millisecond))
}

func (d details) list(name string) []string {
	var texts []string
	if vs, ok := d[name].([]any); ok {
		for _, v := range vs {
			if s, ok := v.(string); ok {
				texts = append(texts, s)
			}
		}
	}
	return texts
}

// acted names the members of a tool's input that say what it acts on, the most
// telling first.
var acted = []string{"command", "file_path", "notebook_path", "path", "url", "pattern", "query", "skill", "description", "prompt"}

// resource returns what an action is used on.
func (d details) resource() string {
	if r := d.text("resource"); r != "" {
		return r
	}
	input, _ := d["input"].(map[string]any)
	for _, name := range acted {
		if v := details(input).text(name); v != "" {
			return v
		}
	}
	return ""
}

// note returns what an event says beside its subject.
func (d details) note(e *event.Event) string {
	switch e.Type {
	case event.ActionRequested, event.ActionExecuted:
		return ""
	case event.ActionFailed, event.RollbackFailed, event.ToolServerFailed:
		return join(": ", d.text("server"), d.text("error"))
	case event.BudgetWarning, event.BudgetExceeded:
		return d.budget()
	case event.BudgetChanged, event.BudgetReset:
		return join(": ", d.text("scope"), join(" to ", d.text("old_limit"), d.text("new_limit")))
	case event.EmergencyStop:
		return join(" - ", join(": ", d.text("stop_type"), d.text("reason")), prefixed("stops ", strings.Join(d.list("affected_agents"), ", ")), prefixed("by ", d.text("triggered_by")))
	case event.EmergencyStopCleared:
		return join(": ", prefixed("by ", d.text("cleared_by")), d.text("reason"))
	case event.SessionStarted, event.SessionEnded:
		return join(", ", join(" ", d.text("agent_product"), d.text("agent_version")), d.text("model"), d.text("source"), d.text("reason"), d.text("cwd"))
	case event.TurnStarted:
		if p := d.text("prompt"); p != "" {
			return p
		}
		return prefixed("a prompt of ", suffixed(d.text("prompt_chars"), " characters"))
	case event.TurnEnded:
		return d.text("status")
	case event.PermissionModeChanged:
		return join(" to ", d.text("from_mode"), d.text("to_mode"))
	case event.KeyRotated:
		return join(": ", prefixed("by ", d.text("by")), d.text("reason"))
	case event.LogOpened:
		return join(": ", d.text("what"), d.text("origin"))
	case event.LogRecovered:
		return suffixed(d.text("cut_bytes"), " bytes of an unfinished write were cut off")
	case event.DiskSpaceLow:
		return suffixed(d.text("free_bytes"), " bytes left on the disk")
	case event.ClockStepped:
		return join(" by ", d.text("what"), suffixed(d.text("step_ms"), " ms"))
	}
	if e.Type == event.ActionObserved {
		note := prefixed("seen by ", e.Source)
		if disputed := d.list("contradicts"); len(disputed) > 0 {
			note = join(", ", note, "which says otherwise: "+strings.Join(disputed, ", "))
		}
		return join(": ", note, d.text("error"))
	}
	by := d.text("decided_by")
	if by == "" {
		by = d.text("by")
	}
	return join(": ", prefixed("by ", by), d.words(e.Type))
}

// telling names details that say in words what an event is about.
var telling = []string{"reason", "error", "text", "message", "what", "rule", "detector", "name", "status", "server", "peer"}

func (d details) words(typ event.Type) string {
	if reasons := d.list("reasons"); len(reasons) > 0 {
		return strings.Join(reasons, "; ")
	}
	for _, name := range telling {
		if v := d.text(name); v != "" {
			return v
		}
	}
	if spec, ok := event.Lookup(typ); ok && (spec.Family == "action" || spec.Family == "approval") {
		return "" // the subject says it
	}
	// Nothing is known of this one: its first few plain values.
	names := make([]string, 0, len(d))
	for name := range d {
		if name != "tool_name" && name != "resource" && d.text(name) != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	parts := make([]string, 0, 4)
	for _, name := range names[:min(4, len(names))] {
		parts = append(parts, name+"="+d.text(name))
	}
	return strings.Join(parts, " ")
}

func (d details) budget() string {
	s := join(" ", join(" of ", d.text("current_usage"), d.text("limit")), d.text("unit"))
	if percent, ok := d.number("usage_percent"); ok {
		s = join(" of ", strconv.FormatFloat(percent, 'f', -1, 64)+" %", join(" ", d.text("limit"), d.text("unit")))
		if percent != math.Trunc(percent) {
			s = join(" of ", fmt.Sprintf("%.1f %%", percent), join(" ", d.text("limit"), d.text("unit")))
		}
	}
	return join(": ", d.text("scope"), s)
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

func suffixed(s, suffix string) string {
	if s == "" {
		return ""
	}
	return s + suffix
}
