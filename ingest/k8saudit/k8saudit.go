// Package k8saudit imports the audit log of a Kubernetes API server: events of
// audit.k8s.io one per line, as the log backend writes them, and lists of them,
// as the webhook backend sends them.
//
// # First call
//
//	for item, err := range k8saudit.Read(r, ingest.Source{Name: path}) { … }
//
// # What becomes of an event
//
//	RequestReceived   action_requested
//	ResponseStarted   action_validated, where authorisation allowed the request
//	ResponseComplete  action_executed; action_denied for 401 and 403; action_failed from 400 on
//	Panic             action_failed
//
// Details hold the event whole, as record. An event without a stage becomes one
// of the type k8s_audit_event, which is not registered, as does ResponseStarted
// where nothing says that the request was allowed.
//
//	agent_id    user.username: who was authenticated
//	user_id     impersonatedUser.username, or else the same
//	action_id   auditID, which the stages of a request share
//	session_id  the id of the credential, where the server tells it (1.29 and later)
//	project_id  the namespace
//	tool_name   verb and resource ("create pods/exec"), or verb and path
//
// The auditID does not name an event: the client may choose it, and an aggregated
// server logs the same request under the same one. An event's id is made of the
// auditID, the stage and a digest of the whole.
package k8saudit

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
)

// typeEvent is the type of what has no better one.
const typeEvent event.Type = "k8s_audit_event"

var format = ingest.Format{
	Name:    "k8s-audit",
	Unknown: typeEvent,
	Framing: ingest.Framing{Arrays: true, Wrapper: "items"},
	Parse: ingest.ParseObjects(ownID, func(rec map[string]any, id string) []ingest.Item {
		e, mapped := convert(rec)
		e.ID = id
		item := ingest.Item{Event: e, Mapped: mapped}
		if !mapped {
			item.Note = "not an audit event of a known stage"
		}
		return []ingest.Item{item}
	}),
}

// Read yields one event for each audit event, in their order.
func Read(r io.Reader, src ingest.Source) iter.Seq2[ingest.Item, error] { return format.Read(r, src) }

func ownID(rec map[string]any) string {
	id, stage := ingest.Text(rec, "auditID"), ingest.Text(rec, "stage")
	if id == "" || stage == "" {
		return ""
	}
	return id + ":" + stage + ":" + strings.TrimPrefix(ingest.Digest(rec), "sha256:")[:16]
}

// convert returns the event of an audit event, and whether its kind is known.
func convert(rec map[string]any) (event.Event, bool) {
	at := timeOf(rec)
	details := map[string]any{"record": rec}
	e := event.Event{
		Type: typeEvent, Timestamp: at, OccurredAt: at, Details: details,
		AgentID:   ingest.Text(rec, "user", "username"),
		UserID:    ingest.Text(rec, "impersonatedUser", "username"),
		ActionID:  ingest.Text(rec, "auditID"),
		SessionID: credentialOf(rec),
		ProjectID: ingest.Text(rec, "objectRef", "namespace"),
	}
	if e.UserID == "" {
		e.UserID = e.AgentID
	}
	if tool := toolOf(rec); tool != "" {
		details["tool_name"] = tool
	}
	if path, _, _ := strings.Cut(ingest.Text(rec, "requestURI"), "?"); path != "" {
		details["resource"] = ingest.Short(path, 1000)
	}
	reason := ingest.Text(rec, "annotations", "authorization.k8s.io/reason")
	switch ingest.Text(rec, "annotations", "authorization.k8s.io/decision") {
	case "allow":
		e.Decision, e.DecisionSource = event.Allow, event.ByPolicy
	case "forbid":
		e.Decision, e.DecisionSource = event.Deny, event.ByPolicy
	}
	switch ingest.Text(rec, "stage") {
	case "RequestReceived":
		e.Type = event.ActionRequested
		setInput(details, rec)
	case "ResponseStarted":
		if e.Decision != event.Allow {
			return e, false
		}
		e.Type = event.ActionValidated
		if reason != "" {
			details["reasons"] = []any{reason}
		}
	case "ResponseComplete":
		setDuration(details, rec)
		ended(&e, rec, reason)
	case "Panic":
		setDuration(details, rec)
		e.Type, e.Outcome = event.ActionFailed, event.OutcomeFailure
		details["error"], details["error_type"], details["layer"] = "the API server panicked", "Panic", "protocol"
	default:
		return e, false
	}
	return e, true
}

// timeOf returns when the stage was reached. The last two members are those of
// version v1beta1.
func timeOf(rec map[string]any) time.Time {
	for _, path := range [...][]string{{"stageTimestamp"}, {"requestReceivedTimestamp"}, {"timestamp"}, {"metadata", "creationTimestamp"}} {
		if t := ingest.Time(ingest.Text(rec, path...)); !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

// credentialOf returns the id of the credential, such as JTI=… for a token.
func credentialOf(rec map[string]any) string {
	ids, _ := ingest.Get(rec, "user", "extra", "authentication.kubernetes.io/credential-id").([]any)
	if len(ids) == 0 {
		return ""
	}
	id, _ := ids[0].(string)
	return id
}

// toolOf returns the verb with the resource or, where the request is for none,
// with the path.
func toolOf(rec map[string]any) string {
	verb, resource := ingest.Text(rec, "verb"), ingest.Text(rec, "objectRef", "resource")
	if verb == "" {
		return ""
	}
	if resource == "" {
		if u, err := url.ParseRequestURI(ingest.Text(rec, "requestURI")); err == nil {
			return verb + " " + ingest.Short(u.Path, 200)
		}
		return verb
	}
	if group := ingest.Text(rec, "objectRef", "apiGroup"); group != "" {
		resource += "." + group
	}
	if sub := ingest.Text(rec, "objectRef", "subresource"); sub != "" {
		resource += "/" + sub
	}
	return verb + " " + resource
}

// setInput sets the input of a request: what the event says of it.
func setInput(details, rec map[string]any) {
	input := map[string]any{}
	for _, name := range [...]string{"verb", "requestURI", "requestObject"} {
		if v := rec[name]; v != nil {
			input[name] = v
		}
	}
	if len(input) > 0 {
		details["input_digest"] = ingest.Digest(input)
	}
}

// setDuration sets how long the request took, in milliseconds.
func setDuration(details, rec map[string]any) {
	from, to := ingest.Time(ingest.Text(rec, "requestReceivedTimestamp")), ingest.Time(ingest.Text(rec, "stageTimestamp"))
	if !from.IsZero() && !to.Before(from) {
		details["execution_time_ms"] = float64(to.Sub(from).Microseconds()) / 1000
	}
}

// ended sets what became of the request. reason is that of the authorisation.
func ended(e *event.Event, rec map[string]any, reason string) {
	code := 0
	if n, ok := ingest.Get(rec, "responseStatus", "code").(json.Number); ok {
		code, _ = strconv.Atoi(string(n))
	}
	why := ingest.Text(rec, "responseStatus", "message")
	if why == "" {
		why = ingest.Text(rec, "responseStatus", "reason")
	}
	if why == "" {
		why = reason
	}
	if why == "" {
		why = fmt.Sprintf("HTTP status %d", code)
	}
	switch {
	case code == 401 || code == 403 || e.Decision == event.Deny:
		// 403 is also the answer of an admission check to what was authorised.
		e.Type, e.Outcome, e.Decision, e.DecisionSource = event.ActionDenied, event.OutcomeDenied, event.Deny, event.ByPolicy
		e.Details["reasons"] = []any{why}
	case code >= 400:
		e.Type, e.Outcome = event.ActionFailed, event.OutcomeFailure
		e.Details["error"], e.Details["layer"] = why, "protocol"
		if t := ingest.Text(rec, "responseStatus", "reason"); t != "" {
			e.Details["error_type"] = t
		}
	case code == 0:
		e.Type, e.Outcome = event.ActionExecuted, event.OutcomeUnknown
	default:
		e.Type, e.Outcome = event.ActionExecuted, event.OutcomeSuccess
	}
}
