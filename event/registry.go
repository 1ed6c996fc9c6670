package event

//go:generate go run ../internal/gen

import (
	"slices"
	"strings"
)

// The registered event types. The wire value is the lower-case name of the
// Python logger's enum member, so that what it exported reads unchanged.
const (
	// What an agent does.
	ActionRequested  Type = "action_requested"
	ActionValidated  Type = "action_validated"
	ActionDenied     Type = "action_denied"
	ActionModified   Type = "action_modified"
	ActionExecuted   Type = "action_executed"
	ActionFailed     Type = "action_failed"
	ActionCancelled  Type = "action_cancelled"
	ActionUnresolved Type = "action_unresolved"
	ActionObserved   Type = "action_observed"

	// Who approved it.
	ApprovalRequested Type = "approval_requested"
	ApprovalGranted   Type = "approval_granted"
	ApprovalDenied    Type = "approval_denied"
	ApprovalExpired   Type = "approval_expired"
	ApprovalEscalated Type = "approval_escalated"
	ApprovalCancelled Type = "approval_cancelled"
	ApprovalRevoked   Type = "approval_revoked"

	// What it cost.
	BudgetWarning  Type = "budget_warning"
	BudgetExceeded Type = "budget_exceeded"
	BudgetChanged  Type = "budget_changed"
	BudgetReset    Type = "budget_reset"
	RateLimited    Type = "rate_limited"

	// What the rules say.
	PolicyViolation    Type = "policy_violation"
	PolicyEvaluated    Type = "policy_evaluated"
	PolicyChanged      Type = "policy_changed"
	GuardrailTriggered Type = "guardrail_triggered"

	// Stopping.
	EmergencyStop        Type = "emergency_stop"
	EmergencyStopCleared Type = "emergency_stop_cleared"
	AgentPaused          Type = "agent_paused"
	AgentResumed         Type = "agent_resumed"
	AgentTerminated      Type = "agent_terminated"

	// Going back.
	CheckpointCreated Type = "checkpoint_created"
	RollbackStarted   Type = "rollback_started"
	RollbackCompleted Type = "rollback_completed"
	RollbackFailed    Type = "rollback_failed"

	// What detectors saw.
	LoopDetected       Type = "loop_detected"
	AnomalyDetected    Type = "anomaly_detected"
	InjectionSuspected Type = "injection_suspected"
	SecretDetected     Type = "secret_detected"

	// What the agent may reach.
	SandboxViolation      Type = "sandbox_violation"
	SandboxEscalated      Type = "sandbox_escalated"
	PermissionModeChanged Type = "permission_mode_changed"
	PermissionRuleChanged Type = "permission_rule_changed"

	// Sessions.
	SessionStarted     Type = "session_started"
	SessionEnded       Type = "session_ended"
	TurnStarted        Type = "turn_started"
	TurnEnded          Type = "turn_ended"
	ConfigChanged      Type = "config_changed"
	UserInputRequested Type = "user_input_requested"
	UserInputGiven     Type = "user_input_given"

	// Agents among themselves.
	SubagentStarted Type = "subagent_started"
	SubagentStopped Type = "subagent_stopped"
	Handoff         Type = "handoff"
	MessageSent     Type = "message_sent"

	// Tool servers.
	ToolServerConnected    Type = "tool_server_connected"
	ToolServerDisconnected Type = "tool_server_disconnected"
	ToolServerFailed       Type = "tool_server_failed"
	ToolSurfaceChanged     Type = "tool_surface_changed"

	// What the trail reports of itself.
	LogOpened             Type = "log_opened"
	LogSealed             Type = "log_sealed"
	LogRecovered          Type = "log_recovered"
	CheckpointSigned      Type = "checkpoint_signed"
	KeyRotated            Type = "key_rotated"
	WitnessCosigned       Type = "witness_cosigned"
	ExportCreated         Type = "export_created"
	TrailReanchored       Type = "trail_reanchored"
	RetentionApplied      Type = "retention_applied"
	PayloadErased         Type = "payload_erased"
	LegalHoldChanged      Type = "legal_hold_changed"
	RedactionChanged      Type = "redaction_changed"
	AccessRead            Type = "access_read"
	VerificationFailed    Type = "verification_failed"
	VerificationCompleted Type = "verification_completed"
	GapDetected           Type = "gap_detected"
	Heartbeat             Type = "heartbeat"
	ClockStepped          Type = "clock_stepped"
	IngestRejected        Type = "ingest_rejected"
	DiskSpaceLow          Type = "disk_space_low"

	// What a server reports of itself.
	ServerStarted       Type = "server_started"
	ServerStopped       Type = "server_stopped"
	ServerConfigChanged Type = "server_config_changed"
	TrailCreated        Type = "trail_created"
	TokenCreated        Type = "token_created"
	TokenRevoked        Type = "token_revoked"
	LoggedIn            Type = "logged_in"
	LoginFailed         Type = "login_failed"
	AccessDenied        Type = "access_denied"
	RemovalRequested    Type = "removal_requested"
	RemovalApproved     Type = "removal_approved"
	RemovalRefused      Type = "removal_refused"
	ProducerEnrolled    Type = "producer_enrolled"
	ProducerRevoked     Type = "producer_revoked"
	AlertRaised         Type = "alert_raised"
	AlertFailed         Type = "alert_failed"
)

// Unregistered is stored in place of a type whose name breaks the syntax of
// [ValidType]. It is itself not in the registry.
const Unregistered Type = "unregistered"

func detail(name string, kind Kind, doc string) Detail {
	return Detail{Name: name, Kind: kind, Doc: doc}
}

// oneOf is a string detail with a closed set of values, separated by spaces.
func oneOf(name, values, doc string) Detail {
	return Detail{Name: name, Kind: KindString, Enum: strings.Fields(values), Doc: doc}
}

// required marks a detail as required.
func required(d Detail) Detail {
	d.Required = true
	return d
}

// Details that several types share.
var (
	toolName    = detail("tool_name", KindString, "name of the tool, as the agent calls it")
	actionType  = detail("action_type", KindString, "kind of action, such as file_write")
	resource    = detail("resource", KindString, "what it acts on, such as a path or URL")
	destructive = detail("is_destructive", KindBoolean, "whether it can destroy data")
	inputDigest = detail("input_digest", KindString, "digest of the canonical input")
	execTime    = detail("execution_time_ms", KindNumber, "how long it ran, in milliseconds")
	success     = detail("success", KindBoolean, "as the Python logger wrote it; outcome says the same")
	reason      = detail("reason", KindString, "why, in words")
	reasons     = detail("reasons", KindStrings, "why, one reason each")
	policyID    = detail("policy_id", KindString, "which policy")
	policyVer   = detail("policy_version", KindString, "its version")
	approvalID  = detail("approval_id", KindString, "joins the events of one approval")
	decidedBy   = detail("decided_by", KindString, "who decided")
	rollbackID  = detail("rollback_id", KindString, "joins the events of one rollback")
	cwd         = detail("cwd", KindString, "working directory")
	server      = detail("server", KindString, "name of the tool server")
	enforced    = detail("enforced", KindBoolean, "true if it was stopped, false if only noted")
	actionTaken = detail("action_taken", KindString, "what was done about it")
	scope       = detail("scope", KindString, "what the limit covers, such as session or agent")
	windowMS    = detail("window_ms", KindNumber, "length of the window, in milliseconds")
	score       = detail("score", KindNumber, "how sure the detector is")
	evidence    = detail("evidence_digest", KindString, "digest of what was found")
	failure     = detail("error", KindString, "what went wrong")
	by          = detail("by", KindString, "who did it")
	byPerson    = detail("by_person", KindString, "what by is known by when its name changes (docs/server.md)")
	origin      = detail("origin", KindString, "origin line of the trail")
	size        = detail("size", KindInteger, "number of entries")
	rootHash    = detail("root", KindString, "root hash of the tree, base64")
	fromIndex   = detail("from_index", KindInteger, "first entry concerned")
	toIndex     = detail("to_index", KindInteger, "entry after the last one concerned")
	trailName   = detail("trail", KindString, "name of the trail")
	tokenID     = detail("token_id", KindString, "which token; not its secret")
	tokenHolder = detail("name", KindString, "who has it")
	producer    = detail("producer", KindString, "name of the producer")

	budgetDetails = []Detail{
		required(scope),
		required(detail("current_usage", KindNumber, "used so far")),
		required(detail("limit", KindNumber, "how much may be used")),
		required(detail("unit", KindString, "unit of both, such as tokens or usd")),
		detail("usage_percent", KindNumber, "used part of the limit"),
		detail("threshold", KindNumber, "percentage at which the warning is due"),
	}
	budgetChange = []Detail{
		required(scope),
		detail("old_limit", KindNumber, "limit before"),
		detail("new_limit", KindNumber, "limit now"),
		detail("unit", KindString, "unit of both"),
		detail("changed_by", KindString, "who changed it"),
	}
	detectorDetails = []Detail{
		required(detail("detector", KindString, "name of the detector")),
		score,
		detail("location", KindAny, "where it was found"),
		evidence,
		toolName,
	}
	removalDetails = []Detail{
		required(detail("indices", KindString, "the entries concerned, such as 0-41,43,50-99")),
		required(detail("count", KindInteger, "how many they are")),
		required(detail("digest", KindString, "SHA-256 of indices, hexadecimal")),
		detail("run", KindString, "joins the events of one run that has more entries than one event lists"),
		detail("request_id", KindString, "the request that a second person approved"),
		detail("approved_by", KindString, "who that was"),
		reason,
	}
	requestDetails = []Detail{
		required(detail("request_id", KindString, "joins the events of one request")),
		oneOf("kind", "erasure retention", "what is to be done"),
		trailName,
		detail("digest", KindString, "digest of the request, which may name whom it is about"),
		byPerson,
	}
	byReason        = []Detail{required(by), reason}
	subagentDetails = []Detail{
		required(detail("parent_agent_id", KindString, "the agent that started it or handed over")),
		detail("agent_type", KindString, "kind of agent"),
		detail("to_agent", KindString, "the agent that goes on"),
	}
	serverDetails = []Detail{
		required(server),
		detail("transport", KindString, "such as stdio or http"),
		detail("protocol_version", KindString, "version that was agreed"),
		detail("server_version", KindString, "version the server claims"),
	}
	elicitationDetails = []Detail{
		detail("elicitation_id", KindString, "joins question and answer"),
		server,
		detail("mode", KindString, "such as form or url"),
		oneOf("action", "accept decline cancel", "what the person did"),
		detail("schema_digest", KindString, "digest of the form that was shown"),
	}
	rangeDetails = []Detail{
		detail("what", KindString, "what was done, in words"),
		fromIndex,
		toIndex,
		detail("digest", KindString, "digest of what was written or removed"),
		by,
	}
)

// registry is the whole vocabulary. docs/events.md and docs/event.schema.json
// are generated from it.
var registry = []Spec{
	{Type: ActionRequested, Family: "action", Severity: SeverityInfo,
		Doc:      "An agent asked for an action. Recorded before anything runs.",
		Required: []string{"agent_id", "action_id", "session_id"},
		Details: []Detail{required(toolName), required(inputDigest), actionType,
			resource, destructive,
			detail("input", KindAny, "the input, redacted"),
			server, cwd,
			detail("permission_mode", KindString, "mode the agent runs in"),
		}},
	{Type: ActionValidated, Family: "action", Severity: SeverityInfo,
		Doc:      "A decision was made that does not deny the action.",
		Required: []string{"agent_id", "action_id", "session_id", "decision"},
		Details: []Detail{required(toolName), reasons, policyID, policyVer, actionType,
			resource, destructive,
		}},
	{Type: ActionDenied, Family: "action", Severity: SeverityWarning,
		Doc:      "The action was denied. It must not run.",
		Required: []string{"agent_id", "action_id", "session_id", "decision", "decision_source"},
		Decision: Deny,
		Details: []Detail{required(toolName), required(reasons), policyID, policyVer, actionType,
			resource, destructive,
		}},
	{Type: ActionModified, Family: "action", Severity: SeverityNotice,
		Doc:      "The input was changed before the action ran: by a hook, an approver or a redaction.",
		Required: []string{"action_id"},
		Details: []Detail{
			required(detail("modified_by", KindString, "who or what changed it")),
			required(detail("before_digest", KindString, "digest of the input before")),
			required(detail("after_digest", KindString, "digest of the input after")),
		}},
	{Type: ActionExecuted, Family: "action", Severity: SeverityInfo,
		Doc:      "The action ran. The outcome says how it ended.",
		Required: []string{"action_id", "outcome"},
		Details: []Detail{required(toolName), execTime,
			detail("output_digest", KindString, "digest of the output"),
			detail("output_bytes", KindInteger, "length of the output"),
			inputDigest, actionType, success,
		}},
	{Type: ActionFailed, Family: "action", Severity: SeverityError,
		Doc:      "The action ran, or tried to, and failed.",
		Required: []string{"action_id"},
		Details: []Detail{required(toolName), required(failure),
			detail("error_type", KindString, "class of the error"),
			oneOf("layer", "transport protocol tool", "where it failed: no answer, an error answer, or a tool that reports an error"),
			execTime,
			detail("interrupted", KindBoolean, "whether somebody stopped it"),
			actionType, success,
		}},
	{Type: ActionCancelled, Family: "action", Severity: SeverityNotice,
		Doc:      "The action was called off before it ended.",
		Required: []string{"action_id"},
		Details:  []Detail{detail("cancelled_by", KindString, "who called it off"), reason}},
	{Type: ActionUnresolved, Family: "action", Severity: SeverityWarning,
		Doc:      "Derived: an action was requested and nothing ever said how it ended.",
		Required: []string{"action_id"},
		Details: []Detail{required(detail("waited_ms", KindNumber, "how long it was waited for, in milliseconds")),
			oneOf("closed_by", "turn_end session_end timeout too_many", "what ended the waiting")}},

	{Type: ActionObserved, Family: "action", Severity: SeverityInfo,
		Doc:      "Another path saw a step of the action that is recorded already, and knows more of it, or something else.",
		Required: []string{"action_id"},
		Details: []Detail{
			required(detail("step", KindString, "type of the event that the step has already")),
			toolName, execTime, failure, reasons,
			detail("contradicts", KindStrings, "what it says otherwise than the step"),
		}},
	{Type: ApprovalRequested, Family: "approval", Severity: SeverityNotice,
		Doc:      "Somebody was asked to approve an action.",
		Required: []string{"action_id"},
		Details: []Detail{required(approvalID), required(toolName), required(inputDigest),
			detail("expires_at", KindTime, "when the question lapses"),
			detail("required_approvers", KindAny, "how many, or who"),
			detail("channel", KindString, "where the question was put"),
			detail("prompt_shown_digest", KindString, "digest of what the approver was shown"),
			actionType, decidedBy, reason,
		}},
	{Type: ApprovalGranted, Family: "approval", Severity: SeverityNotice,
		Doc:      "The action was approved, for the input with that digest.",
		Required: []string{"action_id", "user_id"},
		Details: []Detail{required(approvalID), required(decidedBy),
			required(oneOf("approver_kind", "human service model", "what approved")),
			oneOf("scope", "once session always", "what the approval covers"),
			required(inputDigest), reason,
			detail("wait_ms", KindNumber, "how long the answer took, in milliseconds"),
			toolName, actionType,
		}},
	{Type: ApprovalDenied, Family: "approval", Severity: SeverityWarning,
		Doc:      "The approval was refused.",
		Required: []string{"action_id"},
		Details: []Detail{required(approvalID), required(decidedBy), reason,
			detail("interrupt", KindBoolean, "whether the agent was stopped with it"),
			toolName, actionType,
		}},
	{Type: ApprovalExpired, Family: "approval", Severity: SeverityWarning,
		Doc:      "Nobody answered in time.",
		Required: []string{"action_id"},
		Details: []Detail{required(approvalID),
			required(detail("expires_at", KindTime, "when the question lapsed")),
			required(detail("default_applied", KindString, "the decision that was taken instead")),
			toolName, actionType, decidedBy, reason,
		}},
	{Type: ApprovalEscalated, Family: "approval", Severity: SeverityNotice,
		Doc:      "The question was passed on.",
		Required: []string{"action_id"},
		Details:  []Detail{required(approvalID), detail("to", KindString, "who is asked now"), reason}},
	{Type: ApprovalCancelled, Family: "approval", Severity: SeverityNotice,
		Doc:      "The question was withdrawn before it was answered.",
		Required: []string{"action_id"},
		Details:  []Detail{required(approvalID), by, reason}},
	{Type: ApprovalRevoked, Family: "approval", Severity: SeverityWarning,
		Doc:      "An approval that had been given was taken back.",
		Required: []string{"action_id"},
		Details:  []Detail{required(approvalID), by, reason}},

	{Type: BudgetWarning, Family: "budget", Severity: SeverityWarning,
		Doc:      "A budget is nearly used up.",
		Required: []string{"agent_id"},
		Details:  budgetDetails},
	{Type: BudgetExceeded, Family: "budget", Severity: SeverityError,
		Doc:      "A budget is used up.",
		Required: []string{"agent_id"},
		Details:  append(slices.Clip(budgetDetails), required(enforced))},
	{Type: BudgetChanged, Family: "budget", Severity: SeverityNotice,
		Doc:     "A limit was changed.",
		Details: budgetChange},
	{Type: BudgetReset, Family: "budget", Severity: SeverityNotice,
		Doc:     "A count was set back to zero.",
		Details: budgetChange},
	{Type: RateLimited, Family: "budget", Severity: SeverityWarning,
		Doc:      "Something was refused for being too many or too fast.",
		Required: []string{"agent_id"},
		Details: []Detail{required(scope),
			required(detail("limit", KindNumber, "how many are let through in the window")),
			windowMS,
			detail("retry_after_ms", KindNumber, "when to try again, in milliseconds"),
			oneOf("origin", "us provider tool", "who refused"),
		}},

	{Type: PolicyViolation, Family: "policy", Severity: SeverityWarning,
		Doc:      "A policy was broken, or was about to be.",
		Required: []string{"agent_id"},
		Details: []Detail{required(policyID),
			detail("rule", KindString, "which rule of it"),
			toolName, required(enforced), evidence,
		}},
	{Type: PolicyEvaluated, Family: "policy", Severity: SeverityInfo,
		Doc:      "A policy was asked.",
		Required: []string{"agent_id", "decision"},
		Details: []Detail{required(policyID), required(policyVer),
			oneOf("mode", "enforce shadow", "whether its answer counts"),
			detail("would_decide", KindString, "its answer in shadow mode"),
			detail("duration_ms", KindNumber, "how long it took, in milliseconds"),
		}},
	{Type: PolicyChanged, Family: "policy", Severity: SeverityNotice,
		Doc:      "A policy was changed.",
		Required: []string{"user_id"},
		Details: []Detail{required(policyID),
			detail("old_digest", KindString, "digest of the policy before"),
			required(detail("new_digest", KindString, "digest of the policy now")),
		}},
	{Type: GuardrailTriggered, Family: "policy", Severity: SeverityWarning,
		Doc:      "A guardrail looked at an input, an output or a tool call.",
		Required: []string{"agent_id"},
		Details: []Detail{
			required(detail("name", KindString, "name of the guardrail")),
			required(oneOf("stage", "input output tool", "what it looked at")),
			required(detail("triggered", KindBoolean, "whether it objected")),
			score, actionTaken,
		}},

	{Type: EmergencyStop, Family: "emergency", Severity: SeverityCritical,
		Doc:      "Agents were stopped. The event is found by a query for any agent it affects.",
		Required: []string{"user_id"},
		Details: []Detail{
			required(oneOf("stop_type", "agent session project global", "how far the stop reaches")),
			required(detail("triggered_by", KindString, "who pulled it")),
			required(reason),
			detail(affectedAgents, KindStrings, "ids of the agents that were stopped"),
		}},
	{Type: EmergencyStopCleared, Family: "emergency", Severity: SeverityWarning,
		Doc:      "A stop was lifted.",
		Required: []string{"user_id"},
		Details: []Detail{
			required(detail("stop_event_id", KindString, "id of the emergency_stop event")),
			required(detail("cleared_by", KindString, "who lifted it")),
			required(reason),
			detail(affectedAgents, KindStrings, "ids of the agents that may go on"),
		}},
	{Type: AgentPaused, Family: "emergency", Severity: SeverityNotice,
		Doc: "An agent was paused.", Required: []string{"agent_id"}, Details: byReason},
	{Type: AgentResumed, Family: "emergency", Severity: SeverityNotice,
		Doc: "An agent goes on.", Required: []string{"agent_id"}, Details: byReason},
	{Type: AgentTerminated, Family: "emergency", Severity: SeverityWarning,
		Doc: "An agent was ended for good.", Required: []string{"agent_id"}, Details: byReason},

	{Type: CheckpointCreated, Family: "rollback", Severity: SeverityInfo,
		Doc:      "The agent's state was saved. Not a checkpoint of the trail: see checkpoint_signed.",
		Required: []string{"session_id"},
		Details: []Detail{
			required(detail("checkpoint_id", KindString, "id of the saved state")),
			detail("kind", KindString, "such as git or snapshot"),
			detail("state_digest", KindString, "digest of the state"),
		}},
	{Type: RollbackStarted, Family: "rollback", Severity: SeverityNotice,
		Doc:      "Actions are being undone.",
		Required: []string{"action_id"},
		Details: []Detail{required(rollbackID),
			detail("checkpoint_id", KindString, "the state to go back to"),
			detail("targets", KindAny, "what is undone"),
			required(detail("triggered_by", KindString, "who asked for it")),
		},
		OneOf: []string{"checkpoint_id", "targets"}},
	{Type: RollbackCompleted, Family: "rollback", Severity: SeverityNotice,
		Doc:      "The rollback ended well.",
		Required: []string{"action_id"},
		Details: []Detail{required(rollbackID),
			detail("restored_digest", KindString, "digest of the state that was restored"),
			detail("steps", KindAny, "how many steps, or which"),
		}},
	{Type: RollbackFailed, Family: "rollback", Severity: SeverityError,
		Doc:      "The rollback failed: what is left is neither the old state nor the new one.",
		Required: []string{"action_id"},
		Details: []Detail{required(rollbackID), required(failure),
			detail("residual_state", KindAny, "what is left"),
		}},

	{Type: LoopDetected, Family: "detection", Severity: SeverityWarning,
		Doc:      "An agent repeats itself.",
		Required: []string{"agent_id"},
		Details: []Detail{
			required(detail("pattern_digest", KindString, "digest of what is repeated")),
			required(detail("repeats", KindInteger, "how often")),
			windowMS, actionTaken,
		}},
	{Type: AnomalyDetected, Family: "detection", Severity: SeverityWarning,
		Doc: "An agent behaves unlike itself.", Required: []string{"agent_id"}, Details: detectorDetails},
	{Type: InjectionSuspected, Family: "detection", Severity: SeverityWarning,
		Doc: "Something an agent read tries to instruct it.", Required: []string{"agent_id"}, Details: detectorDetails},
	{Type: SecretDetected, Family: "detection", Severity: SeverityWarning,
		Doc: "A secret was found where none belongs.", Required: []string{"agent_id"}, Details: detectorDetails},

	{Type: SandboxViolation, Family: "sandbox", Severity: SeverityError,
		Doc:      "An action reached outside its sandbox, or tried to.",
		Required: []string{"agent_id", "action_id"},
		Details: []Detail{
			required(detail("sandbox", KindString, "which sandbox")),
			required(detail("operation", KindString, "what was tried")),
			detail("target", KindString, "on what"),
			required(detail("blocked", KindBoolean, "whether it was stopped")),
		}},
	{Type: SandboxEscalated, Family: "sandbox", Severity: SeverityWarning,
		Doc:      "An action was let run with more rights.",
		Required: []string{"action_id"},
		Details: []Detail{
			required(detail("from", KindString, "sandbox before")),
			required(detail("to", KindString, "sandbox for this action")),
			detail("approved_by", KindString, "who approved it"),
		}},

	{Type: PermissionModeChanged, Family: "permission", Severity: SeverityNotice,
		Doc:      "The agent's permission mode was changed.",
		Required: []string{"session_id"},
		Details: []Detail{
			required(detail("from_mode", KindString, "mode before")),
			required(detail("to_mode", KindString, "mode now")),
			detail("trigger", KindString, "what changed it"),
		},
		Raise: &Raise{
			Detail:   "to_mode",
			Values:   []string{"bypassPermissions", "yolo", "danger-full-access", "dangerously-skip-permissions"},
			Severity: SeverityWarning,
		}},
	{Type: PermissionRuleChanged, Family: "permission", Severity: SeverityWarning,
		Doc:      "A rule about what the agent may do was changed.",
		Required: []string{"user_id"},
		Details: []Detail{
			required(detail("rule", KindString, "the rule")),
			required(detail("behavior", KindString, "such as allow, deny or ask")),
			required(detail("destination", KindString, "where it was saved")),
		}},

	{Type: SessionStarted, Family: "session", Severity: SeverityInfo,
		Doc:      "A session began.",
		Required: []string{"session_id"},
		Details: []Detail{
			detail("source", KindString, "such as startup or resume"),
			detail("agent_product", KindString, "name of the agent program"),
			detail("agent_version", KindString, "its version"),
			detail("model", KindString, "model that it uses"),
			cwd,
		}},
	{Type: SessionEnded, Family: "session", Severity: SeverityInfo,
		Doc:      "A session ended.",
		Required: []string{"session_id"},
		Details: []Detail{reason,
			detail("agent_product", KindString, "name of the agent program"),
			detail("agent_version", KindString, "its version"),
			detail("model", KindString, "model that it used"),
			cwd,
		}},
	{Type: TurnStarted, Family: "session", Severity: SeverityInfo,
		Doc:      "A person or program gave the agent something to do.",
		Required: []string{"session_id"},
		Details: []Detail{
			detail("prompt_digest", KindString, "digest of the prompt"),
			detail("prompt_chars", KindInteger, "its length in characters"),
		}},
	{Type: TurnEnded, Family: "session", Severity: SeverityInfo,
		Doc:      "The agent answered, or gave up.",
		Required: []string{"session_id"},
		Details: []Detail{
			detail("status", KindString, "how it ended"),
			detail("last_message_digest", KindString, "digest of the answer"),
		}},
	{Type: ConfigChanged, Family: "session", Severity: SeverityWarning,
		Doc:      "The agent's configuration was changed during a session.",
		Required: []string{"session_id"},
		Details: []Detail{
			required(detail("source", KindString, "which configuration")),
			detail("file", KindString, "its file"),
			detail("digest", KindString, "digest of what it says now"),
		}},
	{Type: UserInputRequested, Family: "session", Severity: SeverityNotice,
		Doc: "A tool asked the person something.", Required: []string{"session_id"}, Details: elicitationDetails},
	{Type: UserInputGiven, Family: "session", Severity: SeverityNotice,
		Doc: "The person answered, or would not.", Required: []string{"session_id"}, Details: elicitationDetails},

	{Type: SubagentStarted, Family: "agent", Severity: SeverityInfo,
		Doc: "An agent started another one.", Required: []string{"agent_id"}, Details: subagentDetails},
	{Type: SubagentStopped, Family: "agent", Severity: SeverityInfo,
		Doc: "An agent that another one started ended.", Required: []string{"agent_id"}, Details: subagentDetails},
	{Type: Handoff, Family: "agent", Severity: SeverityInfo,
		Doc: "An agent handed the work over to another.", Required: []string{"agent_id"}, Details: subagentDetails},
	{Type: MessageSent, Family: "agent", Severity: SeverityInfo,
		Doc:      "An agent sent a message to another.",
		Required: []string{"agent_id"},
		Details: []Detail{
			oneOf("protocol", "a2a", "protocol of the message"),
			required(detail("peer", KindString, "the other agent")),
			detail("task_id", KindString, "task it belongs to"),
			detail("task_state", KindString, "state of that task"),
		}},

	{Type: ToolServerConnected, Family: "tool", Severity: SeverityInfo,
		Doc: "A tool server was connected.", Details: serverDetails},
	{Type: ToolServerDisconnected, Family: "tool", Severity: SeverityInfo,
		Doc: "A tool server was disconnected.", Details: serverDetails},
	{Type: ToolServerFailed, Family: "tool", Severity: SeverityWarning,
		Doc: "A tool server could not be reached or broke off.", Details: append(slices.Clip(serverDetails), failure)},
	{Type: ToolSurfaceChanged, Family: "tool", Severity: SeverityWarning,
		Doc: "A tool server offers other tools, or other descriptions of them, than it did.",
		Details: []Detail{required(server),
			detail("old_digest", KindString, "digest of the tool list before"),
			required(detail("new_digest", KindString, "digest of the tool list now")),
			detail("added", KindStrings, "names of new tools"),
			detail("removed", KindStrings, "names of tools that are gone"),
			detail("changed", KindStrings, "names of tools that differ"),
		}},

	{Type: LogOpened, Family: "log", Severity: SeverityInfo,
		Doc: "The trail was opened for writing.",
		Details: []Detail{
			detail("what", KindString, "such as created or reopened"), origin,
			detail("key", KindString, "verifier key that the trail is signed with"),
			size, rootHash, by,
			detail("version", KindString, "version of the program"),
			detail("redaction", KindString, "digest of the rules of redaction"),
		}},
	{Type: LogSealed, Family: "log", Severity: SeverityInfo,
		Doc:     "A segment was sealed, or the trail was closed.",
		Details: append(slices.Clip(rangeDetails), size)},
	{Type: LogRecovered, Family: "log", Severity: SeverityWarning,
		Doc: "A tail torn by a crash was cut back to the last whole commit. Nothing that had been acknowledged was in it.",
		Details: []Detail{
			detail("what", KindString, "what was found"),
			size,
			detail("cut_bytes", KindInteger, "number of bytes removed"),
			detail("segment", KindString, "file that was cut"),
			detail("digest", KindString, "digest of the removed bytes"),
		}},
	{Type: CheckpointSigned, Family: "log", Severity: SeverityInfo,
		Doc:     "A checkpoint of the trail was signed and published.",
		Details: []Detail{size, rootHash, origin, by}},
	{Type: KeyRotated, Family: "log", Severity: SeverityNotice,
		Doc: "The trail is signed with another key from here on.",
		Details: []Detail{
			detail("old_key", KindString, "verifier key before"),
			required(detail("new_key", KindString, "verifier key from now on")),
			required(detail("statement", KindString, "the change, as a note signed with both keys")),
			by, reason,
		}},
	{Type: WitnessCosigned, Family: "log", Severity: SeverityInfo,
		Doc:     "A witness cosigned a checkpoint.",
		Details: []Detail{detail("witness", KindString, "name of the witness"), size, rootHash}},
	{Type: ExportCreated, Family: "log", Severity: SeverityNotice,
		Doc: "Part of the trail was exported.",
		Details: append(slices.Clip(rangeDetails), trailName, detail("query", KindAny, "what was asked for"),
			detail("format", KindString, "such as bundle, ndjson or csv"), detail("count", KindInteger, "how many entries"),
			detail("broken", KindBoolean, "true: it broke off, and whoever got it knows that it is not whole"))},
	{Type: TrailReanchored, Family: "log", Reserved: true, Severity: SeverityCritical,
		Doc: "The trail went on although it does not extend the last checkpoint that it had handed out: it was restored from an older copy, or entries were lost. An operator accepted that.",
		Details: []Detail{
			required(size),
			detail("checkpoint", KindString, "the last signed checkpoint of the history that was lost"),
			required(by),
			required(detail("reason", KindString, "why"))}},
	{Type: RetentionApplied, Family: "log", Reserved: true, Severity: SeverityNotice,
		Doc: "Payloads, or the oldest entries, were removed under a retention policy. What it lists is removed right after it was recorded.",
		Details: append(slices.Clip(removalDetails),
			oneOf("what", "payloads entries", "what was removed"),
			detail("minimum_index", KindInteger, "first entry that is still there, where entries were removed"),
			detail("policy", KindString, "name of the policy"),
			detail("policy_digest", KindString, "digest of the policy"),
			detail("rules", KindAny, "number of entries and time before which they were recorded, for each rule that removed any"),
			detail("override", KindString, "why a period below the floor was allowed"),
			detail("held", KindInteger, "number of entries that only a legal hold kept"),
			detail("held_for_stops", KindInteger, "number of entries that only emergency stops kept"),
			by)},
	{Type: PayloadErased, Family: "log", Reserved: true, Severity: SeverityNotice,
		Doc: "Payloads were erased on request. Their entries stay, and so does every proof. What it lists is removed right after it was recorded.",
		Details: append(slices.Clip(removalDetails),
			required(detail("ground", KindString, "on what ground")),
			detail("requester", KindString, "who asked for it"),
			detail("filter", KindStrings, "names of the fields that chose the entries; not their values"),
			by)},
	{Type: LegalHoldChanged, Family: "log", Reserved: true, Severity: SeverityNotice,
		Doc: "A legal hold was placed or released.",
		Details: []Detail{
			required(detail("hold_id", KindString, "which hold")),
			required(oneOf("change", "placed released", "what was done")),
			detail("query", KindAny, "what it covers"),
			by, reason,
		}},
	{Type: RedactionChanged, Family: "log", Reserved: true, Severity: SeverityWarning,
		Doc: "The rules by which secrets are taken out are others from here on.",
		Details: []Detail{
			required(detail("digest", KindString, "digest of the rules in force")),
			detail("before", KindString, "digest of the rules before"),
			detail("include_sensitive", KindBoolean, "true if redaction is turned off"),
			detail("hmac_key_id", KindString, "which key secrets are replaced with, where they are replaced by a keyed hash"),
			detail("rules", KindInteger, "number of rules"),
		}},
	{Type: AccessRead, Family: "log", Severity: SeverityInfo,
		Doc:     "Somebody read payloads.",
		Details: append(slices.Clip(rangeDetails), detail("query", KindAny, "what was asked for"), detail("count", KindInteger, "how many were read"))},
	{Type: VerificationFailed, Family: "log", Severity: SeverityError,
		Doc: "A verification found something.",
		Details: []Detail{
			detail("what", KindString, "what it means"),
			trailName,
			detail("finding", KindString, "kind of the finding"),
			detail("index", KindInteger, "first bad index"),
			detail("findings", KindAny, "how many, or all of them"),
			by,
		}},
	{Type: VerificationCompleted, Family: "log", Severity: SeverityInfo,
		Doc: "A verification came to its end, whatever it found.",
		Details: []Detail{
			detail("what", KindString, "what was verified"),
			trailName,
			required(detail("findings", KindInteger, "how many findings there are; 0: everything checks out")),
			size,
			detail("from_index", KindInteger, "first entry that was read"),
			detail("strength", KindString, "how much the result is worth"),
			by,
		}},
	{Type: GapDetected, Family: "log", Severity: SeverityError,
		Doc: "Events are missing: a producer's numbers have a hole, it fell silent, or the trail could not write. Or what was missing came after all.",
		Details: []Detail{
			oneOf("kind", "missing filled duplicate restart silence resumed", "numbers are missing; numbers that were reported missing came; a number came twice; numbers began anew and nothing says why; a producer is silent; it speaks again"),
			detail("what", KindString, "what is missing"),
			detail("source", KindString, "whose events"),
			detail("producer", KindString, "principal that sends them"),
			detail("run", KindString, "run of the producer"),
			detail("from_seq", KindInteger, "first number that is missing"),
			detail("to_seq", KindInteger, "number after the last missing one"),
			detail("count", KindInteger, "how many are missing"),
			detail("numbers", KindString, "which, such as 5-7,9, where there are others between"),
			detail("before", KindInteger, "last entry of the producer before it"),
			detail("before_time", KindTime, "when that was recorded"),
			detail("after", KindInteger, "first entry of the producer after it"),
			detail("after_time", KindTime, "when that was recorded"),
			fromIndex, toIndex,
			detail("interval_ms", KindInteger, "how often the producer was to be heard, in milliseconds"),
			reason,
		}},
	{Type: Heartbeat, Family: "log", Severity: SeverityInfo,
		Doc: "A producer says that it is there, and by when it will be heard again.",
		Details: []Detail{
			required(detail("interval_ms", KindInteger, "how long until something comes at the latest, in milliseconds")),
			detail("final", KindBoolean, "true: it ends now, and is not to be missed"),
		}},
	{Type: ClockStepped, Family: "log", Severity: SeverityWarning,
		Doc: "The clock was set back or jumped ahead.",
		Details: []Detail{
			detail("what", KindString, "backward or forward"),
			detail("step_ms", KindNumber, "by how much, in milliseconds; negative for back"),
			detail("clock", KindTime, "what the clock says"),
			detail("last", KindTime, "time of the entry before"),
		}},
	{Type: IngestRejected, Family: "log", Severity: SeverityWarning,
		Doc: "An event was offered and refused.",
		Details: []Detail{
			detail("what", KindString, "what was offered"),
			reason, reasons,
			trailName,
			detail("digest", KindString, "digest of what was offered"),
			detail("count", KindInteger, "how many, where several are reported together"),
			by,
		}},
	{Type: DiskSpaceLow, Family: "log", Severity: SeverityWarning,
		Doc: "The disk that holds the trail is nearly full. When it is full the trail stops.",
		Details: []Detail{
			detail("used_percent", KindNumber, "used part of the disk"),
			detail("threshold", KindNumber, "percentage at which the warning is due"),
			detail("free_bytes", KindInteger, "bytes left"),
		}},

	{Type: ServerStarted, Family: "server", Severity: SeverityInfo,
		Doc: "A server began to serve.",
		Details: []Detail{
			detail("version", KindString, "of the program"),
			detail("config_digest", KindString, "digest of the settings in force"),
			detail("listen", KindString, "the address it listens at"),
			detail("trails", KindInteger, "how many trails it serves"),
		}},
	{Type: ServerStopped, Family: "server", Severity: SeverityInfo,
		Doc:     "A server was told to stop, and took no more requests. Where it is missing before the next server_started, the server did not stop but was ended.",
		Details: []Detail{reason, detail("uptime_ms", KindInteger, "how long it served, in milliseconds")}},
	{Type: ServerConfigChanged, Family: "server", Severity: SeverityWarning,
		Doc: "A server was started with other settings than the last time.",
		Details: []Detail{
			detail("before", KindString, "digest of the settings before"),
			required(detail("digest", KindString, "digest of the settings in force")),
			detail("changed", KindStrings, "names of the settings that changed; not their values"),
		}},
	{Type: TrailCreated, Family: "server", Severity: SeverityNotice,
		Doc:     "A trail was made.",
		Details: []Detail{required(trailName), detail("origin", KindString, "the trail's name in checkpoints"), detail("vkey", KindString, "verifier key that it begins with"), by}},
	{Type: TokenCreated, Family: "server", Severity: SeverityNotice,
		Doc: "Somebody was given an API token.",
		Details: []Detail{
			required(tokenID), tokenHolder,
			detail("roles", KindStrings, "what it is for"),
			detail("trails", KindStrings, "the only trails that it is good for"),
			detail("agents", KindStrings, "the only agents whose events it may record"),
			detail("expires", KindTime, "until when it is good"),
			by, byPerson,
		}},
	{Type: TokenRevoked, Family: "server", Severity: SeverityNotice,
		Doc:     "An API token is good no more.",
		Details: []Detail{required(tokenID), tokenHolder, by}},
	{Type: LoggedIn, Family: "server", Severity: SeverityInfo,
		Doc: "Somebody logged in to the web page.",
		Details: []Detail{
			detail("method", KindString, "token or oidc"),
			detail("address", KindString, "from where"),
			detail("token_id", KindString, "by which token"),
			detail("issuer", KindString, "the OpenID provider that vouches for it"),
			detail("subject", KindString, "who it is at that provider; an address may become somebody else's, the subject does not"),
			detail("count", KindInteger, "how many, where several are reported together"),
			by,
		}},
	{Type: LoginFailed, Family: "server", Severity: SeverityWarning,
		Doc: "Somebody showed credentials that were refused.",
		Details: []Detail{
			reason,
			detail("what", KindString, "method and path of the request"),
			detail("address", KindString, "from where"),
			detail("count", KindInteger, "how many, with those from this address that were not reported one by one"),
			by,
		}},
	{Type: AccessDenied, Family: "server", Severity: SeverityWarning,
		Doc: "Somebody known asked for what they may not do.",
		Details: []Detail{
			detail("what", KindString, "method and path of the request"),
			detail("permission", KindString, "what it takes"),
			detail("trail", KindString, "on which trail; empty: on the server"),
			detail("count", KindInteger, "how many, where several are reported together"),
			by,
		}},
	{Type: RemovalRequested, Family: "server", Severity: SeverityNotice,
		Doc:     "Somebody asked for a removal that takes a second person.",
		Details: append(slices.Clip(requestDetails), reason, by)},
	{Type: RemovalApproved, Family: "server", Severity: SeverityNotice,
		Doc:     "A second person approved a removal. An event of the trail says what was removed.",
		Details: append(slices.Clip(requestDetails), detail("requested_by", KindString, "who asked for it"), by)},
	{Type: RemovalRefused, Family: "server", Severity: SeverityNotice,
		Doc:     "A removal that somebody asked for was refused or withdrawn, nobody approved it in time, or it could not be done.",
		Details: append(slices.Clip(requestDetails), detail("requested_by", KindString, "who asked for it"), reason, by)},
	{Type: ProducerEnrolled, Family: "server", Severity: SeverityNotice,
		Doc: "The key of a producer, which signs its events with it, was made known.",
		Details: []Detail{
			required(producer),
			detail("key_id", KindString, "which key"),
			detail("vkey", KindString, "its verifier key"),
			detail("principals", KindStrings, "the only principals that may send what it signs"),
			detail("agents", KindStrings, "the only agents that it acts for"),
			detail("must_sign", KindBoolean, "true: unsigned events of these are refused"),
			by,
		}},
	{Type: ProducerRevoked, Family: "server", Severity: SeverityWarning,
		Doc:     "What a producer's key signs counts no more.",
		Details: []Detail{required(producer), detail("key_id", KindString, "which key"), by, reason}},
	{Type: AlertRaised, Family: "server", Severity: SeverityWarning,
		Doc: "What a rule of the configuration looks for has happened.",
		Details: []Detail{
			required(detail("rule", KindString, "name of the rule")),
			trailName,
			detail("count", KindInteger, "how many events matched"),
			detail("window_ms", KindInteger, "within how long, in milliseconds"),
			detail("index", KindInteger, "the event that it was raised by"),
		}},
	{Type: AlertFailed, Family: "server", Severity: SeverityError,
		Doc: "An alert did not reach whom it is for.",
		Details: []Detail{
			required(detail("rule", KindString, "name of the rule")),
			detail("error", KindString, "what went wrong"),
			detail("attempts", KindInteger, "how often it was tried"),
		}},
}
