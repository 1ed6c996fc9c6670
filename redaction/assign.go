package redaction

import (
	"strings"
	"time"
)

// assignments goes through the places of a text where a value is given to a name
// that says secret: key=value, key: value, --flag value, header lines, source code
// and the like.
type assignments struct {
	s     string
	names *names
	i     int // what is next in s

	start, end int    // of the value found last
	rule       string // that asks for it to be redacted
}

const (
	maxName  = 64   // bytes of a name before an operator
	maxValue = 4096 // bytes of a value in quotes
)

// next finds the next value.
func (a *assignments) next() bool {
	for a.i < len(a.s) {
		at := a.i
		for at < len(a.s) && !isOperator[a.s[at]] {
			at++
		}
		if a.i = at + 1; at == len(a.s) {
			return false
		}
		if a.assigned(at) {
			a.i = max(a.i, a.end)
			return true
		}
	}
	return false
}

// isOperator is true for the bytes that may stand between a name and its value.
var isOperator = [256]bool{'=': true, ':': true, '-': true, '>': true, ',': true, ' ': true}

// assigned looks at the operator at offset at.
func (a *assignments) assigned(at int) bool {
	s := a.s
	op := s[at]
	behind := at + 1
	switch op {
	case '=':
		if at > 0 && strings.IndexByte("=!<>~+-*/%&|^", s[at-1]) >= 0 || behind < len(s) && (s[behind] == '=' || s[behind] == '~') {
			return false
		}
		if behind < len(s) && s[behind] == '>' { // {:password => "x"}
			behind++
		}
	case ':':
		if behind < len(s) && (s[behind] == ':' || s[behind] == '/') || at > 0 && s[at-1] == ':' {
			return false
		}
		if behind < len(s) && s[behind] == '=' { // :=
			behind++
		}
	case '-':
		return a.flag(at)
	case '>':
		return a.element(at)
	case ',':
		// define('DB_PASSWORD', 'x')
		before := strings.TrimRight(s[max(0, at-8):at], " \t")
		if before == "" || strings.IndexByte("\"'", before[len(before)-1]) < 0 {
			return false
		}
	case ' ':
		return a.word(at)
	}
	start, name, quoted := a.nameBefore(at, op)
	if len(name) < 3 {
		return false
	}
	rule := a.ruleOf(name)
	if name == "value" || name == "Value" {
		rule = a.attribute(at)
	}
	if rule == "" || op == ',' && !quoted {
		return false
	}
	v := value{s: s, comma: op == ',', rule: rule, tight: behind < len(s) && s[behind] != ' ' && s[behind] != '\t', named: quoted, colon: op == ':' && behind == at+1}
	if op == '=' && at > 0 && (s[at-1] == ' ' || s[at-1] == '\t') {
		v.tight = false
	}
	v.lineName = a.beginsLine(start)
	return a.take(&v, behind, rule, name)
}

// take judges what stands at offset at.
func (a *assignments) take(v *value, at int, rule, name string) bool {
	start, end, ok := v.read(at, isHeader(name))
	if !ok {
		return false
	}
	// A name that says secret, and not its value: token=token. Alone in its line
	// it may be one all the same.
	inQuotes := start > 0 && strings.IndexByte("\"'`", v.s[start-1]) >= 0
	alone := v.tight && v.lineName && (end == len(v.s) || isSpace(v.s[end]))
	if text := v.s[start:end]; !inQuotes && !alone && a.ruleOf(text) != "" && !strings.ContainsAny(text, "0123456789") {
		return false
	}
	a.start, a.end, a.rule = start, end, rule
	return true
}

// ruleOf is the rule for a name. Before an operator, pass is short for password.
func (a *assignments) ruleOf(name string) string {
	if rule := a.names.rule(name); rule != "" {
		return rule
	}
	if n := len(name); n >= 4 && strings.EqualFold(name[n-4:], "pass") && (n == 4 || name[n-5] == '_') && !a.names.allows(name) {
		return rulePass
	}
	return ""
}

// attribute returns the rule for the value of an element of XML that gives a name
// before it: key="Password" value="x".
func (a *assignments) attribute(at int) string {
	before := strings.TrimRight(strings.TrimSuffix(strings.TrimSuffix(a.s[max(0, at-maxName-16):at], "value"), "Value"), " ")
	name, ok := strings.CutSuffix(before, "\"")
	if !ok {
		return ""
	}
	i := strings.LastIndexByte(name, '"')
	if i < 1 || name[i-1] != '=' {
		return ""
	}
	return a.names.rule(name[i+1:])
}

// word looks at a space: curl -u user:password, and the password of a .netrc line
// or of one that begins with that word and has its value in quotes.
func (a *assignments) word(at int) bool {
	const password, maxLine = "password", 256
	s := a.s
	before := s[max(0, at-maxLine):at]
	switch {
	case strings.HasSuffix(before, " -u") || strings.HasSuffix(before, "\n-u"):
		if !strings.Contains(before, "curl ") {
			return false
		}
		end := at + 1
		for end < len(s) && end-at < maxValue && !isSpace(s[end]) {
			end++
		}
		user, secret, ok := strings.Cut(s[at+1:end], ":")
		if !ok || len(secret) < 3 || isPlaceholder(secret) {
			return false
		}
		a.start, a.end, a.rule = at+1+len(user)+1, end, rulePassword
		if q := s[end-1]; (q == '"' || q == '\'') && a.end-1 > a.start {
			a.end--
		}
		return true
	case strings.HasSuffix(before, password):
		line := before[strings.LastIndexByte(before, '\n')+1:]
		v := value{s: s, tight: true, rule: rulePassword}
		start, end, ok := v.read(at+1, false)
		if !ok || !strings.Contains(line, "login ") && (strings.TrimSpace(line) != password || s[start-1] != '"') {
			return false
		}
		a.start, a.end, a.rule = start, end, rulePassword
		return true
	}
	return false
}

// flag looks at a -- of a command line: --password x. With an equals sign it is
// an assignment like others.
func (a *assignments) flag(at int) bool {
	s := a.s
	if at+2 >= len(s) || s[at+1] != '-' || at > 0 && !isSpace(s[at-1]) && s[at-1] != '"' && s[at-1] != '\'' {
		return false
	}
	end := at + 2
	for end < len(s) && isNameByte(s[end]) && end-at < maxName {
		end++
	}
	a.i = end
	if end >= len(s) || s[end] != ' ' || end+1 >= len(s) || s[end+1] == '-' {
		return false
	}
	name := s[at+2 : end]
	rule := a.ruleOf(name)
	if rule == "" {
		return false
	}
	v := value{s: s, tight: true, rule: rule}
	return a.take(&v, end+1, rule, name)
}

// element looks at the > that ends a tag of XML: <password>x</password>.
func (a *assignments) element(at int) bool {
	s := a.s
	start := at
	for start > 0 && at-start < maxName && isNameByte(s[start-1]) {
		start--
	}
	if start == at || start == 0 || s[start-1] != '<' {
		return false
	}
	rule := a.ruleOf(s[start:at])
	if rule == "" {
		return false
	}
	n := strings.IndexByte(s[at+1:min(len(s), at+1+maxValue)], '<')
	if n < 0 || !strings.HasPrefix(s[at+1+n:], "</") {
		return false
	}
	content := s[at+1 : at+1+n]
	if strings.TrimSpace(content) == "" || isPlaceholder(content) {
		return false
	}
	a.start, a.end, a.rule = at+1, at+1+n, rule
	return true
}

// nameBefore returns the name that ends before an operator, where it begins, and
// whether it stands in quotes. It is empty if there is none.
func (a *assignments) nameBefore(at int, op byte) (start int, name string, quoted bool) {
	s, end := a.s, at
	for end > 0 && at-end < 24 && (s[end-1] == ' ' || s[end-1] == '\t') {
		end--
	}
	if op == ':' && end < at && end > 0 && s[end-1] != '"' && s[end-1] != '\'' {
		return 0, "", false
	}
	if end > 0 && s[end-1] == ']' {
		end--
	}
	if end > 0 && (s[end-1] == '"' || s[end-1] == '\'' || s[end-1] == '`') {
		if end--; end > 0 && s[end-1] == '\\' {
			end--
		}
		quoted = true
	}
	start = end
	for start > 0 && end-start < maxName && isNameByte(s[start-1]) {
		start--
	}
	return start, s[start:end], quoted
}

// beginsLine reports whether only spaces, and what marks lists, comments and
// exports, stand before an offset in its line.
func (a *assignments) beginsLine(at int) bool {
	const most = 64
	line := a.s[max(0, at-most):at]
	if n := strings.LastIndexByte(line, '\n'); n >= 0 {
		line = line[n+1:]
	} else if len(line) == most {
		return false
	}
	line = strings.TrimSpace(strings.Trim(line, " \t-#;\"'"))
	return line == "" || line == "export" || line == "set" || line == "ENV"
}

func isHeader(name string) bool {
	switch strings.ToLower(name) {
	case "authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "x-auth-token":
		return true
	}
	return false
}

// value is a text in which a value is looked for.
type value struct {
	s        string
	tight    bool // no space around the operator
	named    bool // the name stands in quotes: it is data, not source code
	colon    bool // the operator is a colon
	lineName bool // the name begins its line
	comma    bool // the operator is a comma: only what is in quotes is a value
	rule     string
}

// read returns where the value at offset at stands, and whether it can be a secret.
func (v *value) read(at int, header bool) (start, end int, ok bool) {
	s := v.s
	for at < len(s) && (s[at] == ' ' || s[at] == '\t') {
		at++
	}
	for at+1 < len(s) && (s[at] == '\\' && s[at+1] == '"' || v.comma && s[at] == '\'' && (s[at+1] == '"' || s[at+1] == '\\')) {
		at++
	}
	if at >= len(s) {
		return 0, 0, false
	}
	if q := s[at]; q == '"' || q == '\'' || q == '`' {
		start = at + 1
		limit := min(len(s), start+maxValue)
		for end = start; end < limit && s[end] != q && s[end] != '\n'; end++ {
			if s[end] == '\\' && end+1 < limit && s[end+1] != q {
				end++
			} else if s[end] == '\\' {
				break // a quote that is escaped ends a value that is in an escaped quote
			}
		}
		text := s[start:end]
		random := len(text) >= 32 && len(strings.Trim(text, "abcdefghijklmnopqrstuvwxyz ")) > 16
		return start, end, len(text) >= 3 && !isPlaceholder(text) && (strings.Count(text, " ") < 3 || random)
	}
	if v.comma {
		return 0, 0, false
	}
	start = at
	if header && v.colon {
		// To the end of the line, or of the argument of a command.
		stops, most := "\n'\"`", min(len(s), at+maxValue)
		if v.lineName {
			stops, most = "\n", len(s) // once a line
		}
		end = most
		if n := strings.IndexAny(s[at:most], stops); n >= 0 {
			end = at + n
		}
		for end > start && isSpace(s[end-1]) {
			end--
		}
		return start, end, end-start >= 4 && !isPlaceholder(s[start:end])
	}
	line := min(len(s), at+maxValue) // no further, so that the whole stays linear
	if n := strings.IndexByte(s[at:line], '\n'); n >= 0 {
		line = at + n
	}
	for end = start; end < line && strings.IndexByte(" \t\r,;&|\"'`<>()[]{}\\", s[end]) < 0; end++ {
	}
	text := s[start:end]
	if len(text) < 4 || isPlaceholder(text) {
		return 0, 0, false
	}
	next := byte('\n')
	if end < len(s) {
		next = s[end]
	}
	if next == '(' || next == '[' || next == '{' || next == '<' && !v.tight {
		return 0, 0, false // a call or a part of something
	}
	mixed := strings.ContainsAny(text, "0123456789") || strings.ContainsAny(text, "!@#$%^*?/+=~")
	switch {
	case v.tight && !v.colon:
		// name=value, as in a shell, a query or an environment file. In source
		// code, what follows a name is another name.
		ok = mixed || next != ',' && next != ')' && next != ';' && next != '.' && !strings.Contains(text, ".")
	case v.named:
		ok = mixed
	default:
		// name: value and name = value stand alone in their line, as in YAML and
		// INI files; prose and source code go on.
		rest := strings.TrimSpace(s[end:line])
		alone := rest == "" || strings.HasPrefix(rest, "#") || strings.HasPrefix(rest, "\"")
		ok = v.lineName && alone && len(text) >= 6 && !isPath(text) && (mixed || v.rule == rulePassword && next == '\n')
	}
	return start, end, ok
}

// isPath reports whether a text is the path of a name in source code, as
// config.auth.v2, or of a file.
func isPath(text string) bool {
	return strings.Contains(text, ".") && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_.0123456789") == "" || strings.HasPrefix(text, "/") || strings.HasPrefix(text, "./")
}

// isPlaceholder reports whether a text stands for a value: a variable, a number, a
// word such as null, or something masked.
func isPlaceholder(text string) bool {
	if strings.HasPrefix(text, maskOpen) || strings.ContainsAny(text[:1], "$%<&") || strings.Contains(text, "${") || strings.Contains(text, "{{") || strings.HasPrefix(text, "{") {
		return true
	}
	if strings.Trim(text, "*.xX-_ ") == "" || strings.Trim(text, "0123456789+-.eE_,") == "" {
		return true
	}
	switch strings.ToLower(text) {
	case "true", "false", "null", "none", "nil", "undefined", "string", "str", "int", "bool", "yes", "no", "required", "optional", "n/a", "self", "this", "number", "boolean", "object", "any":
		return true
	}
	return strings.HasPrefix(text, "os.environ") || strings.HasPrefix(text, "process.env") || strings.HasPrefix(text, "your-") || strings.HasPrefix(text, "your_") || strings.HasPrefix(text, "YOUR_")
}

// isRequestID reports whether a string is what callers of AWS send so that a
// request that is repeated is carried out once: a UUID, and no secret.
func isRequestID(name, s string) bool {
	return len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' &&
		(strings.EqualFold(name, "clientToken") || strings.EqualFold(name, "clientRequestToken"))
}

// isPublic reports whether a string under a name that says secret is one of those
// that never are: a truth value, a time, the name of a resource, an empty mark.
func isPublic(s string) bool {
	switch {
	case strings.Trim(s, "*") == "":
		return true
	case len(s) <= 5:
		switch strings.ToLower(s) {
		case "true", "false", "null", "none", "nil":
			return true
		}
		return false
	case strings.HasPrefix(s, "arn:aws"), strings.HasPrefix(s, "HIDDEN_DUE_TO_"), s == "optional", s == "required", s == "enabled", s == "disabled":
		return true
	case len(s) > 40:
		return false
	}
	for _, layout := range [...]string{time.RFC3339, "Jan 2, 2006 3:04:05 PM", "Jan 2, 2006, 3:04:05 PM"} {
		if _, err := time.Parse(layout, s); err == nil {
			return true
		}
	}
	return false
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.'
}
