package event

import (
	"log/slog"
	"strings"
)

// Decision says what was allowed. What then happened is an [Outcome].
type Decision string

// The decisions.
const (
	Allow                 Decision = "allow"            // the action may run as asked
	Deny                  Decision = "deny"             // the action must not run
	RequireApproval       Decision = "require_approval" // somebody has to approve first
	AllowModified         Decision = "allow_modified"   // it may run, with changed input or under conditions
	Defer                 Decision = "defer"            // this decider leaves it to the next one
	RateLimit             Decision = "rate_limit"       // not now: too many, too fast
	AuditOnly             Decision = "audit_only"       // it may run; the policy only watches
	DecisionEmergencyStop Decision = "emergency_stop"   // everything is stopped
)

var decisionDocs = []ValueDoc{
	{string(Allow), "the action may run as asked"},
	{string(Deny), "the action must not run"},
	{string(RequireApproval), "somebody has to approve it first"},
	{string(AllowModified), "it may run with changed input or under conditions"},
	{string(Defer), "this decider leaves it to the next one"},
	{string(RateLimit), "not now: too many or too fast"},
	{string(AuditOnly), "it may run; the policy only watches"},
	{string(DecisionEmergencyStop), "everything is stopped"},
}

// Outcome says what happened, whatever had been allowed.
type Outcome string

// The outcomes.
const (
	OutcomeSuccess   Outcome = "success"
	OutcomeFailure   Outcome = "failure"
	OutcomeDenied    Outcome = "denied"
	OutcomeCancelled Outcome = "cancelled"
	OutcomeTimedOut  Outcome = "timed_out"
	OutcomeUnknown   Outcome = "unknown"
)

var outcomeDocs = []ValueDoc{
	{string(OutcomeSuccess), "it ran and did what was asked"},
	{string(OutcomeFailure), "it ran, or tried to, and failed"},
	{string(OutcomeDenied), "it was not let run"},
	{string(OutcomeCancelled), "it was called off before it ended"},
	{string(OutcomeTimedOut), "it did not end in the time allowed"},
	{string(OutcomeUnknown), "nobody can tell"},
}

// DecisionSource says who or what made a [Decision].
type DecisionSource string

// The decision sources.
const (
	ByPolicy     DecisionSource = "policy"
	ByConfigRule DecisionSource = "config_rule"
	ByHook       DecisionSource = "hook"
	ByUserOnce   DecisionSource = "user_once"
	ByUserAlways DecisionSource = "user_always"
	ByUserReject DecisionSource = "user_reject"
	ByUserAbort  DecisionSource = "user_abort"
	ByClassifier DecisionSource = "classifier"
	ByDefault    DecisionSource = "default"
	ByTimeout    DecisionSource = "timeout"
	ByNone       DecisionSource = "none"
)

var decisionSourceDocs = []ValueDoc{
	{string(ByPolicy), "a policy engine"},
	{string(ByConfigRule), "a rule in the agent's configuration"},
	{string(ByHook), "a hook program"},
	{string(ByUserOnce), "a person, for this action"},
	{string(ByUserAlways), "a person, for this and later actions"},
	{string(ByUserReject), "a person said no; the agent went on"},
	{string(ByUserAbort), "a person said no and stopped the turn"},
	{string(ByClassifier), "a model that judges actions"},
	{string(ByDefault), "no rule matched: the default"},
	{string(ByTimeout), "nobody answered in time"},
	{string(ByNone), "nobody was asked"},
}

// Severity is how much attention an event deserves, in the words of syslog.
type Severity string

// The severities, rising.
const (
	SeverityInfo     Severity = "info"
	SeverityNotice   Severity = "notice"
	SeverityWarning  Severity = "warning"
	SeverityError    Severity = "error"
	SeverityCritical Severity = "critical"
)

var severityDocs = []ValueDoc{
	{string(SeverityInfo), "syslog 6, OpenTelemetry 9"},
	{string(SeverityNotice), "syslog 5, OpenTelemetry 10"},
	{string(SeverityWarning), "syslog 4, OpenTelemetry 13"},
	{string(SeverityError), "syslog 3, OpenTelemetry 17"},
	{string(SeverityCritical), "syslog 2, OpenTelemetry 21"},
}

// ValueDoc is one value of a closed set and what it means.
type ValueDoc struct {
	Value string
	Doc   string
}

// Decisions returns the set of decisions with their meaning.
func Decisions() []ValueDoc { return append([]ValueDoc(nil), decisionDocs...) }

// Outcomes returns the set of outcomes with their meaning.
func Outcomes() []ValueDoc { return append([]ValueDoc(nil), outcomeDocs...) }

// DecisionSources returns the set of decision sources with their meaning.
func DecisionSources() []ValueDoc { return append([]ValueDoc(nil), decisionSourceDocs...) }

// Severities returns the severities, rising, with their numbers elsewhere.
func Severities() []ValueDoc { return append([]ValueDoc(nil), severityDocs...) }

// Valid reports whether d is in the set; the empty decision is not.
func (d Decision) Valid() bool {
	switch d {
	case Allow, Deny, RequireApproval, AllowModified, Defer, RateLimit, AuditOnly, DecisionEmergencyStop:
		return true
	}
	return false
}

// Valid reports whether o is in the set; the empty outcome is not.
func (o Outcome) Valid() bool {
	switch o {
	case OutcomeSuccess, OutcomeFailure, OutcomeDenied, OutcomeCancelled, OutcomeTimedOut, OutcomeUnknown:
		return true
	}
	return false
}

// Valid reports whether s is in the set; the empty source is not.
func (s DecisionSource) Valid() bool {
	switch s {
	case ByPolicy, ByConfigRule, ByHook, ByUserOnce, ByUserAlways, ByUserReject,
		ByUserAbort, ByClassifier, ByDefault, ByTimeout, ByNone:
		return true
	}
	return false
}

// Valid reports whether s is in the set; the empty severity is not.
func (s Severity) Valid() bool { return s.rank() > 0 }

func (s Severity) rank() int {
	switch s {
	case SeverityInfo:
		return 1
	case SeverityNotice:
		return 2
	case SeverityWarning:
		return 3
	case SeverityError:
		return 4
	case SeverityCritical:
		return 5
	}
	return 0
}

// AtLeast reports whether s is as severe as min. A severity outside the set is
// below all others.
func (s Severity) AtLeast(min Severity) bool { return s.rank() >= min.rank() }

// Level returns the slog level of the severity: info is [slog.LevelInfo],
// notice 2 above it, warning [slog.LevelWarn], error [slog.LevelError],
// critical 4 above that. Anything else is [slog.LevelInfo].
func (s Severity) Level() slog.Level {
	switch s {
	case SeverityNotice:
		return slog.LevelInfo + 2
	case SeverityWarning:
		return slog.LevelWarn
	case SeverityError:
		return slog.LevelError
	case SeverityCritical:
		return slog.LevelError + 4
	}
	return slog.LevelInfo
}

// Alias is a word that a foreign system uses for a [Decision].
type Alias struct {
	Source   string // the system, such as "langchain"; empty for words of several systems
	Word     string // lower case
	Decision Decision
	Doc      string // where Word says more or less than Decision does

	// NeedsSource is set where Word alone could mean something else.
	NeedsSource bool
}

// aliases stands in the order in which docs/events.md prints it.
var aliases = []Alias{
	{"", "allowed", Allow, "", false},
	{"", "accept", Allow, "", false},
	{"", "accepted", Allow, "", false},
	{"", "approve", Allow, "", false},
	{"", "approved", Allow, "", false},
	{"", "permit", Allow, "", false},
	{"", "permitted", Allow, "", false},
	{"", "grant", Allow, "", false},
	{"", "granted", Allow, "", false},

	{"", "denied", Deny, "", false},
	{"", "reject", Deny, "", false},
	{"", "rejected", Deny, "", false},
	{"", "block", Deny, "", false},
	{"", "blocked", Deny, "", false},
	{"", "forbid", Deny, "", false},
	{"", "decline", Deny, "", false},
	{"", "declined", Deny, "", false},

	{"", "ask", RequireApproval, "", false},
	{"", "ask_user", RequireApproval, "", false},
	{"", "review", RequireApproval, "", false},
	{"", "requires_approval", RequireApproval, "", false},
	{"", "approval_required", RequireApproval, "", false},
	{"", "needs_approval", RequireApproval, "", false},

	{"", "allow_with_conditions", AllowModified, "the conditions belong in details", false},
	{"", "redact", AllowModified, "the input was redacted, then let through", false},
	{"", "modify", AllowModified, "", false},
	{"", "modified", AllowModified, "", false},

	{"", "deferred", Defer, "", false},
	{"", "rate_limited", RateLimit, "", false},
	{"", "throttle", RateLimit, "", false},
	{"", "throttled", RateLimit, "", false},
	{"", "audit", AuditOnly, "", false},

	{"codex", "approved_for_session", Allow, "decision_source user_always", false},
	{"codex", "abort", Deny, "decision_source user_abort", false},

	{"microsoft", "pending", RequireApproval, "state of an approval", true},
	{"microsoft", "expired", Deny, "decision_source timeout", false},
	{"microsoft", "cancelled", Deny, "the approval was called off", false},
	{"microsoft", "consumed", Allow, "the approval was used", false},

	{"langchain", "edit", AllowModified, "", false},
	{"langchain", "respond", AllowModified, "set details.human_acted_as_tool", false},

	{"mcp", "cancel", Deny, "the user closed the question without an answer", false},

	{"ag-ui", "resolved", Allow, "unless the payload says approved: false", true},
	{"ag-ui", "cancelled", Deny, "", false},
}

// Aliases returns every alias of a decision.
func Aliases() []Alias { return append([]Alias(nil), aliases...) }

var anyAlias, sourceAlias = indexAliases()

func indexAliases() (anywhere map[string]Decision, bySource map[[2]string]Decision) {
	anywhere, bySource = map[string]Decision{}, map[[2]string]Decision{}
	for _, a := range aliases {
		if a.Source != "" {
			bySource[[2]string{a.Source, a.Word}] = a.Decision
		}
		if !a.NeedsSource {
			anywhere[a.Word] = a.Decision
		}
	}
	return anywhere, bySource
}

// foldWord lower-cases an ASCII word, turns '-' and ' ' into '_', and drops
// what precedes the last '.', so that "SafetyDecision.DENY" reads as "deny".
// Words longer than any in the tables are returned as they are.
func foldWord(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > 64 {
		return s
	}
	if i := strings.LastIndexByte(s, '.'); i >= 0 {
		s = s[i+1:]
	}
	clean := true
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= 'A' && c <= 'Z' || c == '-' || c == ' ' {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	b := []byte(s)
	for i, c := range b {
		switch {
		case c >= 'A' && c <= 'Z':
			b[i] = c + 'a' - 'A'
		case c == '-' || c == ' ':
			b[i] = '_'
		}
	}
	return string(b)
}

// ParseDecision reads a decision or one of its aliases, in any case. A word
// that means something only together with its source, or different things in
// different sources, is not read: see [ParseDecisionFrom].
func ParseDecision(s string) (Decision, bool) {
	w := foldWord(s)
	if d := Decision(w); d.Valid() {
		return d, true
	}
	d, ok := anyAlias[w]
	return d, ok
}

// ParseDecisionFrom is [ParseDecision] for a word of a known system: "codex",
// "microsoft", "langchain", "mcp", "ag-ui" (see [Aliases]). For any other
// source it is the same as ParseDecision.
func ParseDecisionFrom(source, s string) (Decision, bool) {
	if d, ok := sourceAlias[[2]string{source, foldWord(s)}]; ok {
		return d, true
	}
	return ParseDecision(s)
}

// ParseOutcome reads an outcome in any case, and the usual words for it.
func ParseOutcome(s string) (Outcome, bool) {
	w := foldWord(s)
	if o := Outcome(w); o.Valid() {
		return o, true
	}
	switch w {
	case "ok", "succeeded", "completed":
		return OutcomeSuccess, true
	case "failed", "error":
		return OutcomeFailure, true
	case "canceled", "aborted", "interrupted":
		return OutcomeCancelled, true
	case "timeout", "timedout":
		return OutcomeTimedOut, true
	case "rejected":
		return OutcomeDenied, true
	}
	return "", false
}

// ParseDecisionSource reads a decision source in any case, and the words that
// agents use in their telemetry. "user" alone does not say which of the four
// user sources it is, and is not read.
func ParseDecisionSource(s string) (DecisionSource, bool) {
	w := foldWord(s)
	if d := DecisionSource(w); d.Valid() {
		return d, true
	}
	switch w {
	case "config":
		return ByConfigRule, true
	case "user_permanent":
		return ByUserAlways, true
	case "user_temporary":
		return ByUserOnce, true
	}
	return "", false
}

// ParseSeverity reads a severity in any case, and the usual words for it.
func ParseSeverity(s string) (Severity, bool) {
	w := foldWord(s)
	if v := Severity(w); v.Valid() {
		return v, true
	}
	switch w {
	case "information", "informational", "debug", "trace":
		return SeverityInfo, true
	case "warn":
		return SeverityWarning, true
	case "err":
		return SeverityError, true
	case "crit", "fatal", "alert", "emergency", "emerg":
		return SeverityCritical, true
	}
	return "", false
}
