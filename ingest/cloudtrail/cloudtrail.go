// Package cloudtrail imports the records of AWS CloudTrail: log files as they
// are delivered, {"Records":[…]}, and records one per line or in an array.
//
// # First call
//
//	for item, err := range cloudtrail.Read(r, ingest.Source{Name: path}) { … }
//
// # What becomes of a record
//
// A call becomes action_executed, action_failed if it has an errorCode, or
// action_denied if the errorCode says that it was not authorised; so does a sign-in
// to the console. Details hold the record whole, as record. What has no
// eventName or eventSource, such as a record of CloudTrail Insights, becomes an
// event of the type cloudtrail_record, which is not registered.
//
//	agent_id        userIdentity.arn, or who else called, such as an AWS service
//	action_id       eventID: each record is one action
//	correlation_id  requestID, which a call shares with the calls that AWS made because of it
//	session_id      the access key, where it is of temporary credentials
//	user_id         the person, where one is named
//	project_id      recipientAccountId
//	tool_name       eventSource:eventName
//
// An event is named after the record's eventID, so that records which are
// delivered twice, or stand in the trails of an organisation and of an account,
// are recorded once.
package cloudtrail

import (
	"io"
	"iter"
	"strings"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
)

// typeRecord is the type of records that are no calls.
const typeRecord event.Type = "cloudtrail_record"

var format = ingest.Format{
	Name:    "cloudtrail",
	Unknown: typeRecord,
	Framing: ingest.Framing{Arrays: true, Wrapper: "Records"},
	Parse: ingest.ParseObjects(
		func(rec map[string]any) string { return ingest.Text(rec, "eventID") },
		func(rec map[string]any, id string) []ingest.Item {
			e, mapped := call(rec)
			e.ID = id
			item := ingest.Item{Event: e, Mapped: mapped}
			if !mapped {
				item.Note = "a record without eventName or eventSource"
			}
			return []ingest.Item{item}
		}),
}

// Read yields one event for each record, in their order.
func Read(r io.Reader, src ingest.Source) iter.Seq2[ingest.Item, error] { return format.Read(r, src) }

// call returns the event of a record, and whether the record is of a call.
func call(rec map[string]any) (event.Event, bool) {
	at := ingest.Time(ingest.Text(rec, "eventTime"))
	details := map[string]any{"record": rec}
	e := event.Event{
		Type: typeRecord, Timestamp: at, OccurredAt: at, Details: details,
		AgentID:       firstText(rec, []string{"userIdentity", "arn"}, []string{"userIdentity", "principalId"}, []string{"userIdentity", "invokedBy"}, []string{"userIdentity", "accountId"}, []string{"userIdentity", "type"}),
		ActionID:      ingest.Text(rec, "eventID"),
		CorrelationID: ingest.Text(rec, "requestID"),
		SessionID:     sessionOf(rec),
		UserID: firstText(rec, []string{"userIdentity", "sessionContext", "sourceIdentity"}, []string{"userIdentity", "onBehalfOf", "userId"},
			[]string{"userIdentity", "userName"}),
		ProjectID: firstText(rec, []string{"recipientAccountId"}, []string{"userIdentity", "accountId"}),
	}
	source, name := ingest.Text(rec, "eventSource"), ingest.Text(rec, "eventName")
	if source == "" || name == "" {
		return e, false
	}
	details["tool_name"] = source + ":" + name
	if r := resourceOf(rec); r != "" {
		details["resource"] = r
	}
	ended(&e, rec)
	return e, true
}

// ended sets what became of the call.
func ended(e *event.Event, rec map[string]any) {
	code, message := ingest.Text(rec, "errorCode"), ingest.Text(rec, "errorMessage")
	if code == "" && ingest.Text(rec, "responseElements", "ConsoleLogin") == "Failure" {
		code = "ConsoleLoginFailure" // sign-ins have only a message
	}
	if message == "" {
		message = code
	}
	switch {
	case code == "":
		e.Type, e.Outcome = event.ActionExecuted, event.OutcomeSuccess
	case isDenial(code):
		e.Type, e.Outcome, e.Decision, e.DecisionSource = event.ActionDenied, event.OutcomeDenied, event.Deny, event.ByPolicy
		e.Details["reasons"] = []any{message}
	default:
		e.Type, e.Outcome = event.ActionFailed, event.OutcomeFailure
		e.Details["error"], e.Details["error_type"], e.Details["layer"] = message, code, "protocol"
	}
}

// isDenial reports whether an error code means that the caller was not allowed
// to make the call. Services spell it differently.
func isDenial(code string) bool {
	code = strings.TrimPrefix(code, "Client.")
	switch strings.TrimSuffix(code, "Exception") {
	case "AccessDenied", "UnauthorizedOperation", "UnauthorizedAccess", "Unauthorized", "NotAuthorized",
		"AuthorizationError", "AuthFailure", "VpceAccessDenied", "KMS.AccessDenied":
		return true
	}
	return false
}

// sessionOf returns the access key of temporary credentials, which is one
// session of whoever holds them, or the name of the session.
func sessionOf(rec map[string]any) string {
	key := ingest.Text(rec, "userIdentity", "accessKeyId")
	if strings.HasPrefix(key, "ASIA") {
		return key // the prefix of temporary keys
	}
	if ingest.Get(rec, "userIdentity", "sessionContext", "attributes", "creationDate") == nil {
		return ""
	}
	if key != "" {
		return key
	}
	return ingest.Text(rec, "userIdentity", "principalId")
}

// parameters are request parameters that name what a call acts on.
var parameters = [...]string{
	"bucketName", "roleArn", "functionName", "secretId", "keyId", "instanceId", "tableName", "topicArn",
	"queueUrl", "stackName", "dBInstanceIdentifier", "roleName", "userName", "policyArn", "name",
}

// resourceOf returns what a call acts on, as far as the record says so.
func resourceOf(rec map[string]any) string {
	if list, _ := rec["resources"].([]any); len(list) > 0 {
		first, _ := list[0].(map[string]any)
		if arn := firstText(first, []string{"ARN"}, []string{"arn"}); arn != "" {
			return arn
		}
	}
	for _, name := range parameters {
		if v := ingest.Text(rec, "requestParameters", name); v != "" {
			return ingest.Short(v, 1000)
		}
	}
	return ""
}

// firstText returns the first text that one of the paths leads to.
func firstText(rec map[string]any, paths ...[]string) string {
	for _, p := range paths {
		if v := ingest.Text(rec, p...); v != "" {
			return v
		}
	}
	return ""
}
