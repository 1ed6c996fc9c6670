package mcp

import (
	"cmp"
	"maps"
	"slices"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/sighting"
)

// task is what is known of the task as which a call goes on: of revision 2025-11-25, where
// the client asks for one and tasks/result has its result, or of the extension
// io.modelcontextprotocol/tasks of revision 2026-07-28, where the server makes one and
// tasks/get has its result.
type task struct {
	wanted bool   // the client asks for one
	id     string // empty: there is none
	off    bool   // the client has called it off

	// How it ended, as its status says, when its result is not there yet.
	status, message string
}

// The statuses of a task that matter.
const (
	taskInput     = "input_required"
	taskCompleted = "completed"
	taskFailed    = "failed"
	taskCancelled = "cancelled"
)

// taskOf returns the task that an answer makes of a call, or nil.
func (r *request) taskOf(result map[string]any) map[string]any {
	if ingest.Text(result, "resultType") == "task" {
		return result
	}
	if made := ingest.Object(result, "task"); r.task.wanted && ingest.Text(made, "taskId") != "" {
		return made
	}
	return nil
}

// begin takes in that a call goes on as a task.
func (r *request) begin(made map[string]any, p *part) []sighting.Sighting {
	s, id := r.conn.s, ingest.Text(made, "taskId")
	if id == "" {
		return r.lost("the server makes a task of the call, and does not say which")
	}
	var all []sighting.Sighting
	if old := s.tasks[id]; old != nil {
		all = old.gone("another call is the task as well")
	}
	for other, old := range s.tasks {
		if len(s.tasks) < maxTasks {
			break
		}
		delete(s.tasks, other)
		all = append(all, old.gone("there are too many tasks")...)
	}
	r.task.id, r.questions = id, map[string]*asked{}
	s.tasks[id] = r
	return append(all, r.heard(made, p)...)
}

// heard takes in how far a task has come, as the server says. A nil r is a task that is
// not known.
func (r *request) heard(state map[string]any, p *part) []sighting.Sighting {
	if r == nil {
		return nil
	}
	switch status := ingest.Text(state, "status"); status {
	case taskInput:
		return r.asks(ingest.Object(state, "inputRequests"))
	case taskCancelled:
		by := "server"
		if r.task.off {
			by = "client"
		}
		return r.cancel(by, ingest.Text(state, "statusMessage"))
	case taskCompleted, taskFailed:
		end := &part{result: ingest.Object(state, "result"), defects: p.defects, size: p.size}
		if status == taskFailed {
			end.result, end.failure = nil, ingest.Object(state, "error")
		}
		if end.result != nil || end.failure != nil {
			return r.result(end)
		}
		r.task.status, r.task.message = status, ingest.Short(ingest.Text(state, "statusMessage"), 1000)
	}
	return nil
}

// result takes in what a call would have been answered without a task.
func (r *request) result(p *part) []sighting.Sighting {
	s := r.conn.s
	if s.tasks[r.task.id] != r {
		return nil // it is told
	}
	delete(s.tasks, r.task.id)
	return r.finish(p)
}

// gone returns the sighting of the end of a task of which nothing more will be heard, as
// far as its status says how it ended.
func (r *request) gone(why string) []sighting.Sighting {
	if r.ended || r.task.status == "" {
		return r.lost(why)
	}
	e := r.next(event.ActionExecuted)
	e.Outcome = event.OutcomeSuccess
	if r.task.status == taskFailed {
		e.Type, e.Outcome = event.ActionFailed, event.OutcomeFailure
		e.Details["error"] = cmp.Or(r.task.message, noReason)
	}
	e.Details["task_status"] = r.task.status
	return r.end(e)
}

// leave returns the sightings of the end of some of the calls that wait for the person or
// are tasks.
func (s *Server) leave(which func(*request) bool, why string) []sighting.Sighting {
	left := slices.DeleteFunc(slices.AppendSeq(slices.Clone(s.suspended), maps.Values(s.tasks)), func(r *request) bool { return !which(r) })
	s.suspended = slices.DeleteFunc(s.suspended, which)
	maps.DeleteFunc(s.tasks, func(_ string, r *request) bool { return which(r) })
	slices.SortFunc(left, func(a, b *request) int {
		return cmp.Or(a.began.Compare(b.began), cmp.Compare(a.event.ID, b.event.ID))
	})
	var all []sighting.Sighting
	for _, r := range left {
		all = append(all, r.gone(why)...)
	}
	return all
}

// asksOfTask takes in a request of the client about a task.
func (s *Server) asksOfTask(r *request, p *part) []sighting.Sighting {
	switch r.method {
	case methodTaskGet, methodTaskResult, methodTaskUpdate, methodTaskCancel:
		r.about = s.tasks[ingest.Text(p.params, "taskId")]
	}
	switch {
	case r.about == nil:
	case r.method == methodTaskCancel:
		r.about.task.off = true
	case r.method == methodTaskUpdate:
		return r.about.given(p.params)
	}
	return nil
}

// answerOfTask takes in the answer to a request of the client about tasks.
func (s *Server) answerOfTask(r *request, p *part) []sighting.Sighting {
	switch {
	case r.method == methodTaskList:
		return s.heardAll(p)
	case r.about == nil, r.method == methodTaskUpdate:
	case p.failure == nil && r.method == methodTaskResult:
		return r.about.result(p)
	case p.failure == nil && r.method == methodTaskCancel && p.result["status"] == nil:
		return r.about.cancel("client", "") // which the server has heard, in the extension
	case p.failure == nil:
		return r.about.heard(p.result, p)
	case r.method == methodTaskResult && (r.about.task.status == taskFailed || !ofTask(p.failure)):
		return r.about.result(p)
	case r.method == methodTaskResult, r.method == methodTaskGet && ofTask(p.failure):
		return r.about.gone("the server does not give the result of the task: " + cmp.Or(ingest.Text(p.failure, "message"), noReason))
	}
	return nil
}

// heardAll takes in a page of the list of tasks.
func (s *Server) heardAll(p *part) []sighting.Sighting {
	tasks, _ := p.result["tasks"].([]any)
	var all []sighting.Sighting
	for _, v := range tasks {
		state, _ := v.(map[string]any)
		all = append(all, s.tasks[ingest.Text(state, "taskId")].heard(state, p)...)
	}
	return all
}

// ofTask reports whether an error may be one of the request about a task, and not of the
// call that it is: no such method, no such task, or one of the server.
func ofTask(failure map[string]any) bool {
	code, _ := event.AppendJSON(nil, failure["code"])
	return slices.Contains([]string{"-32601", "-32602", "-32603"}, string(code))
}
