package connect

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// What stands around what is ours in TOML.
const (
	beginTOML = "# >>> custody: put in by custody connect; custody connect codex --undo takes it out"
	endTOML   = "# <<< custody"
)

var codexEvents = []string{"SessionStart", "UserPromptSubmit", "PreToolUse", "PermissionRequest", "PostToolUse", "SubagentStart", "SubagentStop", "Stop"}

// readTOML checks that a text is TOML, and reads it.
func readTOML(text []byte) (map[string]any, error) {
	all := map[string]any{}
	err := toml.Unmarshal(text, &all)
	if bad, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, column := bad.Position()
		return nil, fmt.Errorf("line %d, column %d: it is not TOML: %w", line, column, err)
	}
	return all, err
}

// addTOML adds tables at the end, where those that are there do not go on.
func addTOML(text []byte, o *Options) ([]byte, []string, error) {
	have, err := readTOML(text)
	if err != nil {
		return nil, nil, err
	}
	newline := "\n"
	if bytes.Contains(text, []byte("\r\n")) {
		newline = "\r\n"
	}
	var b strings.Builder
	b.Write(text)
	if len(text) > 0 {
		if !bytes.HasSuffix(text, []byte("\n")) {
			b.WriteString(newline)
		}
		b.WriteString(newline)
	}
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+newline, args...) }
	line("%s", beginTOML)
	for _, event := range codexEvents {
		line("[[hooks.%s]]", event)
		line("[[hooks.%s.hooks]]", event)
		line("type = \"command\"")
		line("command = %s", tomlString(o.command("")))
		line("timeout = %d", patience)
	}
	var notes []string
	if o.Telemetry != "" {
		if _, there := have["otel"]; there {
			notes = append(notes, "[otel] is there already and stays as it is; for telemetry it needs exporter = { otlp-http = { endpoint = "+tomlString(o.Telemetry)+`, protocol = "json" } }`)
		} else {
			line("[otel]")
			line("exporter = { otlp-http = { endpoint = %s, protocol = \"json\" } }", tomlString(o.Telemetry))
		}
	}
	line("%s", endTOML)
	after := []byte(b.String())
	if _, err := readTOML(after); err != nil {
		return nil, nil, fmt.Errorf("hooks cannot be added at the end: %w", err)
	}
	return after, append(notes, "Codex asks once, when it starts, whether it may run these hooks; where nobody can be asked, run it with --dangerously-bypass-hook-trust"), nil
}

// tomlString writes a basic string.
func tomlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			b.WriteString(`\u` + fmt.Sprintf("%04x", r))
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// stripTOML takes out what is between our marks.
func stripTOML(text, _ []byte) ([]byte, bool, error) {
	if _, err := readTOML(text); err != nil {
		return nil, false, err
	}
	from := bytes.Index(text, []byte(beginTOML))
	if from < 0 {
		return text, false, nil
	}
	length := bytes.Index(text[from:], []byte(endTOML))
	if length < 0 {
		return nil, false, errors.New("line " + strconv.Itoa(1+bytes.Count(text[:from], []byte("\n"))) + ": the line " + endTOML + " is missing, up to which it is ours")
	}
	after := bytes.TrimPrefix(bytes.TrimPrefix(text[from+length+len(endTOML):], []byte("\r")), []byte("\n"))
	before := bytes.TrimSuffix(bytes.TrimSuffix(text[:from], []byte("\n")), []byte("\r"))
	rest := append(bytes.Clone(before), after...)
	if _, err := readTOML(rest); err != nil {
		return nil, false, fmt.Errorf("without what is between the marks: %w", err)
	}
	return rest, true, nil
}

// sameTOML reports whether two texts say the same.
func sameTOML(a, b []byte) bool {
	x, xerr := readTOML(a)
	y, yerr := readTOML(b)
	return xerr == nil && yerr == nil && reflect.DeepEqual(x, y)
}
