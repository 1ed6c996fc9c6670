package benchmark

import (
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/custodylog/custody/event"
)

const (
	agents        = 100
	perAction     = 3  // events of one action: request, decision, outcome
	perTask       = 6  // events that share a correlation id
	perSession    = 50 // events of one session
	perUser       = 4  // agents that act for one user
	perProject    = 10 // agents of one project
	workloadKinds = 1024
)

// Workload is an endless row of events. Event i is the same in every run. All
// indexed fields are filled (the id is left to whoever stores it), and the
// payload has 600 bytes on average: names and words that repeat, and ids, numbers
// and digests that do not, as in what agents really report.
type Workload struct {
	// Live is how many sessions are going on at the same time, so that their
	// events alternate. 0 means 1: one session after the other.
	Live int

	details [perAction][]map[string]any
}

// NewWorkload returns the workload. It is safe for concurrent use.
func NewWorkload(live int) *Workload {
	w := &Workload{Live: max(live, 1)}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range workloadKinds {
		tool := tools[rnd.IntN(len(tools))]
		resource := fmt.Sprintf("/srv/build/%s/%s_%03d.%s", directories[rnd.IntN(len(directories))], words[rnd.IntN(len(words))], rnd.IntN(1000), tool.extension)
		digest := fmt.Sprintf("sha256:%016x%016x", rnd.Uint64(), rnd.Uint64())
		w.details[0] = append(w.details[0], map[string]any{
			"tool_name": tool.name, "action_type": tool.kind, "input_digest": digest, "is_destructive": rnd.IntN(8) == 0,
			"input": map[string]any{"path": resource, "text": sentence(rnd, 2), "line": rnd.IntN(2000)},
		})
		w.details[1] = append(w.details[1], map[string]any{
			"tool_name": tool.name, "action_type": tool.kind, "resource": resource, "policy_id": "build-agents",
			"policy_version": "14", "reasons": []string{"matches rule " + strconv.Itoa(rnd.IntN(60)), sentence(rnd, 2)},
		})
		w.details[2] = append(w.details[2], map[string]any{
			"tool_name": tool.name, "success": true, "execution_time_ms": float64(rnd.IntN(9_000_000)) / 1000,
			"output_bytes":  rnd.IntN(80_000),
			"output_digest": fmt.Sprintf("sha256:%016x%016x", rnd.Uint64(), rnd.Uint64()),
			"summary":       sentence(rnd, 3),
		})
	}
	return w
}

// place says where event i belongs.
type place struct{ session, inSession, action, task uint64 }

func (w *Workload) place(i uint64) place {
	live := uint64(w.Live)
	lane, step := i%live, i/live
	session := lane + live*(step/perSession)
	in := step % perSession
	return place{
		session: session, inSession: in,
		action: session*(perSession/perAction+1) + in/perAction,
		task:   session*(perSession/perTask+1) + in/perTask,
	}
}

// agentOf spreads the sessions over the agents without a visible order.
func agentOf(session uint64) uint64 { return mix(session) % agents }

// mix is the finaliser of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Event returns event i. The details are shared and must not be changed.
func (w *Workload) Event(i uint64) event.Event {
	p := w.place(i)
	agent := agentOf(p.session)
	step := p.inSession % perAction
	e := event.Event{
		Type: steps[step], AgentID: agentIDs[agent], ProjectID: projectIDs[agent/perProject], UserID: userIDs[agent/perUser],
		SessionID: SessionID(p.session), ActionID: ActionID(p.action), CorrelationID: TaskID(p.task),
		Decision: event.Allow, DecisionSource: event.ByPolicy, Source: "hook",
		Details: w.details[step][mix(p.action)%workloadKinds],
	}
	switch {
	case step == 1 && p.action%20 == 7:
		e.Type, e.Decision = event.ActionDenied, event.Deny
	case step == 2:
		e.Outcome = event.OutcomeSuccess
	}
	return e
}

var steps = [perAction]event.Type{event.ActionRequested, event.ActionValidated, event.ActionExecuted}

// SessionID, ActionID and TaskID (a correlation id) name things of the workload.
func SessionID(n uint64) string { return name("ses_", n, "c2fd") }

// ActionID is the id of action n.
func ActionID(n uint64) string { return name("toolu_", n, "9e71b0") }

// TaskID is the correlation id of task n.
func TaskID(n uint64) string { return name("task-", n, "") }

// name makes ids as producers do: a prefix, and hex digits that do not follow
// each other.
func name(prefix string, n uint64, suffix string) string {
	var b [40]byte
	s := append(b[:0], prefix...)
	s = strconv.AppendUint(s, mix(n)>>16|1<<47, 16)
	s = append(s, suffix...)
	return string(s)
}

var agentIDs, projectIDs, userIDs = names("agent-builder-%02d", agents), names("prj-%02d", agents/perProject), names("u%02d@example.org", agents/perUser)

func names(format string, n int) []string {
	s := make([]string, n)
	for i := range s {
		s[i] = fmt.Sprintf(format, i)
	}
	return s
}

var tools = []struct{ name, kind, extension string }{
	{"Bash", "shell", "sh"}, {"Read", "file_read", "go"}, {"Edit", "file_write", "go"}, {"Write", "file_write", "md"},
	{"Grep", "search", "go"}, {"Glob", "search", "json"}, {"WebFetch", "http_get", "html"}, {"mcp__db__query", "sql", "sql"},
}

var directories = []string{"internal/server", "internal/store", "cmd/api", "docs", "web/src", "migrations", "deploy/chart", "test/e2e"}

var words = []string{
	"the", "file", "handler", "returns", "error", "when", "request", "timeout", "test", "fails", "because", "index", "missing",
	"value", "config", "update", "parse", "retry", "after", "build", "check", "service", "token", "limit", "column", "query",
	"result", "branch", "merge", "version", "should", "replace", "function", "before", "release", "database", "schema", "in",
}

func sentence(rnd *rand.Rand, n int) string {
	var s []byte
	for i := range n {
		if i > 0 {
			s = append(s, ' ')
		}
		s = append(s, words[rnd.IntN(len(words))]...)
	}
	return string(s)
}
