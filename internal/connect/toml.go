package connect

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
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
		line("command = %s", tomlString(o.Line("")))
		line("timeout = %d", patience)
	}
	var notes []string
	if o.Telemetry != "" {
		if _, there := have["otel"]; there {
			notes = append(notes, "[otel] is there already and stays as it is; for telemetry it needs exporter = { otlp-http = { endpoint = "+tomlString(o.Telemetry)+`, protocol = "json" } }`)
		} else {
			line("[otel]")
			line("%s%s, protocol = \"json\" } }", beginExporter, tomlString(o.Telemetry))
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

// stripTOML takes out what is ours between our marks.
func stripTOML(text, _ []byte, _ string) ([]byte, bool, error) {
	have, err := readTOML(text)
	if err != nil {
		return nil, false, err
	}
	from := bytes.Index(text, []byte(beginTOML))
	if from < 0 {
		if !reflect.DeepEqual(reduced(have, true), reduced(have, false)) {
			return nil, false, errors.New("it has hooks of ours, and not between our marks, so somebody has written it anew; take the tables [[hooks.…]] out whose command is custody hook codex")
		}
		return text, false, nil
	}
	length := bytes.Index(text[from:], []byte(endTOML))
	if length < 0 {
		return nil, false, errors.New("line " + strconv.Itoa(1+bytes.Count(text[:from], []byte("\n"))) + ": the line " + endTOML + " is missing, up to which it is ours")
	}
	after := bytes.TrimPrefix(bytes.TrimPrefix(text[from+length+len(endTOML):], []byte("\r")), []byte("\n"))
	before := bytes.TrimSuffix(bytes.TrimSuffix(text[:from], []byte("\n")), []byte("\r"))
	rest := slices.Concat(before, []byte(othersTOML(string(text[from:from+length]))), after)
	left, err := readTOML(rest)
	if err != nil {
		return nil, false, fmt.Errorf("without what is between the marks: %w", err)
	}
	if !reflect.DeepEqual(reduced(have, true), reduced(left, false)) {
		return nil, false, errors.New("what is between the marks was changed so much that what is ours cannot be told from the rest; take it out by hand")
	}
	return rest, true, nil
}

// tableTOML is a part of a text: the header of a table, and the lines up to the next one.
type tableTOML struct {
	header string
	lines  []string
}

// isKey reports whether a line is neither empty nor a comment.
func isKey(line string) bool {
	line = strings.TrimSpace(line)
	return line != "" && line[0] != '#'
}

// isHook reports whether the table is a hook of ours.
func (t *tableTOML) isHook() bool {
	return strings.HasSuffix(t.header, ".hooks]]") && slices.ContainsFunc(t.lines, func(line string) bool {
		return strings.HasPrefix(line, "command = ") && isOurCommand(line)
	})
}

// isGroup reports whether the table is nothing but what stands before a hook of ours.
func (t *tableTOML) isGroup(next *tableTOML) bool {
	return next.isHook() && next.header == strings.TrimSuffix(t.header, "]]")+".hooks]]" && !slices.ContainsFunc(t.lines, isKey)
}

// beginExporter is how the line begins that is ours in the table otel.
const beginExporter = "exporter = { otlp-http = { endpoint = "

// others returns what of the table is not ours.
func (t *tableTOML) others(next *tableTOML) string {
	lines := t.lines
	switch {
	case t.isHook(), t.isGroup(next):
		// A comment behind the last key is of the table that follows.
		for i := len(lines) - 1; i >= 0; i-- {
			if isKey(lines[i]) {
				lines = lines[i+1:]
				break
			}
		}
		if rest := strings.Join(lines, ""); strings.TrimSpace(rest) != "" {
			return rest
		}
		return ""
	case t.header == "[otel]":
		lines = slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return strings.HasPrefix(line, beginExporter) })
		if len(lines) < len(t.lines) && strings.TrimSpace(strings.Join(lines, "")) == "" {
			return ""
		}
	}
	return t.header + strings.Join(lines, "")
}

// othersTOML returns what others have put between our marks: Codex adds its tables before
// the last comment.
func othersTOML(block string) string {
	_, block, _ = strings.Cut(block, "\n") // the first mark
	tables := []tableTOML{{}}
	for line := range strings.Lines(block) {
		if strings.HasPrefix(line, "[") {
			tables = append(tables, tableTOML{header: strings.TrimRight(line, "\r\n")})
			line = line[len(tables[len(tables)-1].header):]
		}
		t := &tables[len(tables)-1]
		t.lines = append(t.lines, line)
	}
	var rest strings.Builder
	for i := range tables {
		var next tableTOML
		if i+1 < len(tables) {
			next = tables[i+1]
		}
		rest.WriteString(tables[i].others(&next))
	}
	return rest.String()
}

// reduced returns settings without hooks of ours, if ours is set, without lists that are
// empty then, and without where logs are sent to.
func reduced(all map[string]any, ours bool) map[string]any {
	all = maps.Clone(all)
	hooks, _ := all["hooks"].(map[string]any)
	kept := map[string]any{}
	for event, list := range hooks {
		groups, ok := list.([]any)
		if !ok {
			kept[event] = list
			continue
		}
		var left []any
		for _, g := range groups {
			group, _ := g.(map[string]any)
			inner, ok := group["hooks"].([]any)
			if ok {
				inner = slices.DeleteFunc(slices.Clone(inner), func(hook any) bool { return ours && isOurs(hook, "") })
				group = maps.Clone(group)
				if group["hooks"] = inner; len(inner) == 0 {
					delete(group, "hooks")
				}
				if len(group) == 0 {
					continue
				}
				g = group
			}
			left = append(left, g)
		}
		if len(left) > 0 {
			kept[event] = left
		}
	}
	if all["hooks"] = kept; len(kept) == 0 {
		delete(all, "hooks")
	}
	if otel, ok := all["otel"].(map[string]any); ok {
		otel = maps.Clone(otel)
		delete(otel, "exporter")
		if all["otel"] = otel; len(otel) == 0 {
			delete(all, "otel")
		}
	}
	return all
}

// sameTOML reports whether two texts say the same.
func sameTOML(a, b []byte) bool {
	x, xerr := readTOML(a)
	y, yerr := readTOML(b)
	return xerr == nil && yerr == nil && reflect.DeepEqual(x, y)
}
