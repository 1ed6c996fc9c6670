package hooks

import (
	"encoding/json"
	"fmt"
)

// Answer is what an agent is told in return.
type Answer struct {
	Body []byte // of the response, or for standard output; may be empty
	Exit int    // status of a program
	Text string // for standard error
}

// answers are those that one agent understands.
type answers struct {
	silent string // has no opinion
	// refuse returns the answer by which what is asked is denied or the agent stopped.
	// It reports false where the agent takes none.
	refuse func(event, reason string) (any, bool)
}

// Silent returns the answer by which a hook has no opinion, so that it only records.
func (r *Report) Silent() Answer { return Answer{Body: []byte(products[r.Product].answer.silent)} }

// Refuse returns the answer by which a hook denies what the agent is about to do, in the
// agent's own format, or stops it. It reports false where the agent cannot be kept from
// it: what is told was done already, or the agent's hooks have no say.
func (r *Report) Refuse(reason string) (Answer, bool) {
	refuse := products[r.Product].answer.refuse
	if refuse == nil {
		return r.Silent(), false
	}
	v, ok := refuse(r.Event, reason)
	if !ok {
		return r.Silent(), false
	}
	body, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("custody: %v", err)) // cannot be: strings and booleans
	}
	return Answer{Body: body}, true
}

type object = map[string]any

// claudeAnswers are those of Claude Code. Where nothing can be denied any more, the
// agent can still be stopped.
var claudeAnswers = answers{silent: "{}", refuse: func(name, reason string) (any, bool) {
	switch name {
	case "PreToolUse":
		return object{"continue": false, "stopReason": reason, "hookSpecificOutput": object{"hookEventName": name, "permissionDecision": "deny", "permissionDecisionReason": reason}}, true
	case "PermissionRequest":
		return object{"hookSpecificOutput": object{"hookEventName": name, "decision": object{"behavior": "deny", "message": reason, "interrupt": true}}}, true
	case "UserPromptSubmit":
		return object{"decision": "block", "reason": reason}, true
	case "PostToolUse", "PostToolUseFailure", "SubagentStart":
		return object{"continue": false, "stopReason": reason}, true
	}
	return nil, false
}}

// codexAnswers are those of Codex, for which an answer that interrupts fails closed.
var codexAnswers = answers{silent: "{}", refuse: func(name, reason string) (any, bool) {
	switch name {
	case "PreToolUse":
		return object{"hookSpecificOutput": object{"hookEventName": name, "permissionDecision": "deny", "permissionDecisionReason": reason}}, true
	case "PermissionRequest":
		return object{"hookSpecificOutput": object{"hookEventName": name, "decision": object{"behavior": "deny", "message": reason}}}, true
	case "UserPromptSubmit":
		return object{"decision": "block", "reason": reason}, true
	}
	return nil, false
}}

var cursorAnswers = answers{silent: "{}", refuse: func(name, reason string) (any, bool) {
	switch name {
	case "beforeShellExecution", "beforeMCPExecution", "beforeReadFile", "preToolUse", "subagentStart":
		return object{"permission": "deny", "user_message": reason, "agent_message": reason}, true
	case "beforeSubmitPrompt":
		return object{"continue": false, "user_message": reason}, true
	}
	return nil, false
}}

var geminiAnswers = answers{silent: "{}", refuse: func(name, reason string) (any, bool) {
	switch name {
	case "BeforeTool", "BeforeAgent", "BeforeModel":
		return object{"decision": "deny", "reason": reason}, true
	}
	return nil, false
}}

// copilotAnswers are those of Copilot, and of VS Code for what has the names of Claude
// Code's events.
var copilotAnswers = answers{silent: "{}", refuse: func(name, reason string) (any, bool) {
	switch name {
	case "preToolUse":
		return object{"permissionDecision": "deny", "permissionDecisionReason": reason}, true
	case "permissionRequest":
		return object{"behavior": "deny", "message": reason}, true
	}
	return claudeAnswers.refuse(name, reason)
}}
