package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/redaction"
)

// calls is the result on what agents and systems wrote.
type calls struct {
	sources  map[string]*source
	found    []finding
	verdicts map[string]string
	values   []any // what was fed, for the cost
}

// source is one kind of them.
type source struct{ events, calls, bytes int }

func measureCalls(r redaction.Redactor, dirs []string) (calls, error) {
	c := calls{sources: map[string]*source{}, verdicts: readReviewed()}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() {
				if d.Name() == "secrets" {
					return filepath.SkipDir // the labelled corpora
				}
				return nil
			}
			if name := strings.TrimSuffix(d.Name(), ".gz"); !strings.HasSuffix(name, ".ndjson") && !strings.HasSuffix(name, ".jsonl") {
				return nil
			}
			below, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			group, _, nested := strings.Cut(filepath.ToSlash(below), "/")
			if !nested {
				group, _, _ = strings.Cut(group, ".")
			}
			s := c.sources[group]
			if s == nil {
				s = &source{}
				c.sources[group] = s
			}
			return eachLine(path, func(line []byte) error {
				d := json.NewDecoder(bytes.NewReader(line))
				d.UseNumber()
				var v any
				if d.Decode(&v) != nil {
					v = string(line) // what is no JSON is text
				}
				s.events++
				s.bytes += len(line)
				s.calls += count(v)
				c.values = append(c.values, v)
				in := map[string]any{"event": v}
				c.found = append(c.found, findings(group, in, r.Redact(event.Event{Details: in}))...)
				return nil
			})
		})
		if err != nil {
			return c, err
		}
	}
	if len(c.values) == 0 {
		return c, fmt.Errorf("%s: no .ndjson or .jsonl file there", strings.Join(dirs, ", "))
	}
	return c, nil
}

// count counts the calls of tools in a value: by the forms of Claude Code, of
// OpenAI's API, of SWE-agent and OpenHands, of hooks and MCP, and the records of
// CloudTrail and Kubernetes.
func count(v any) (n int) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			n += count(x)
		}
	case map[string]any:
		_, action := v["action"].(string)
		_, args := v["args"].(map[string]any)
		_, hook := v["tool_name"].(string)
		switch {
		case v["type"] == "tool_use", v["method"] == "tools/call", v["kind"] == "Event" && v["auditID"] != nil, v["eventSource"] != nil && v["eventName"] != nil:
			n++
		case action && (args || v["observation"] != nil), hook:
			n++
		}
		if list, ok := v["tool_calls"].([]any); ok {
			n += len(list)
		}
		for _, x := range v {
			n += count(x)
		}
	}
	return n
}

// findings returns what was taken out of the details of an event.
func findings(source string, in map[string]any, out event.Event) (list []finding) {
	rules := map[string][]string{}
	for _, r := range out.Redactions {
		rules[r.Pointer] = append(rules[r.Pointer], r.Rule)
	}
	compare(in, out.Details, "/details", func(pointer, before, after string) {
		for _, f := range removed(before, after) {
			f.rule, f.source = ruleAt(rules, pointer), source
			list = append(list, f)
		}
	})
	return list
}

// ruleAt returns the rules listed for a place or for what stands in it: a string
// of JSON has places of its own.
func ruleAt(rules map[string][]string, pointer string) string {
	var at []string
	for _, p := range slices.Sorted(maps.Keys(rules)) {
		if p == pointer || strings.HasPrefix(p, pointer+"/") || strings.HasPrefix(pointer, p+"/") {
			at = append(at, rules[p]...)
		}
	}
	slices.Sort(at)
	return strings.Join(slices.Compact(at), " ")
}

var escaper = strings.NewReplacer("~", "~0", "/", "~1")

// compare calls differ for each string that is not the same in both.
func compare(before, after any, pointer string, differ func(pointer, before, after string)) {
	switch b := before.(type) {
	case string:
		if a, ok := after.(string); !ok || a != b {
			differ(pointer, b, a)
		}
	case []any:
		a, _ := after.([]any)
		for i := range b {
			var x any
			if i < len(a) {
				x = a[i]
			}
			compare(b[i], x, fmt.Sprintf("%s/%d", pointer, i), differ)
		}
	case map[string]any:
		a, _ := after.(map[string]any)
		for _, k := range slices.Sorted(maps.Keys(b)) {
			compare(b[k], a[k], pointer+"/"+escaper.Replace(k), differ)
		}
	}
}

// removed returns the parts of before that are [redaction.Mask] in after.
func removed(before, after string) (list []finding) {
	parts := strings.Split(after, redaction.Mask)
	at := len(parts[0])
	if len(parts) == 1 || !strings.HasPrefix(before, parts[0]) {
		return []finding{cut(before, 0, len(before))}
	}
	for i, part := range parts[1:] {
		end := strings.Index(before[at:], part)
		switch {
		case i == len(parts)-2:
			end = len(before) - len(part) - at
		case end < 0:
			return append(list, cut(before, at, len(before)))
		}
		if end < 0 {
			return append(list, cut(before, at, len(before)))
		}
		list = append(list, cut(before, at, at+end))
		at += end + len(part)
	}
	return list
}

// cut makes a finding of a part of s. Its context shows little of the secret.
func cut(s string, start, end int) finding {
	text := s[start:end]
	shown := text
	if n := len(text) / 3; n > 0 {
		shown = fmt.Sprintf("%.12s…(%d bytes)", text[:n], len(text))
	}
	return finding{
		start: start, end: end, keyID: awsKeyID.MatchString(text), digest: digest(text),
		context: fmt.Sprintf("%q", s[max(0, start-60):start]+"<<"+shown+">>"+s[end:min(len(s), end+30)]),
	}
}

// awsKeyID is the form of AWS access key ids. In CloudTrail they say who called.
var awsKeyID = regexp.MustCompile(`^A(?:KIA|SIA)[A-Z0-9]{16}$`)

//go:embed reviewed.txt
var reviewed string

// readReviewed reads what is known of findings: by digest, "secret" or
// "identifier". Others are false.
func readReviewed() map[string]string {
	verdicts := map[string]string{}
	for line := range strings.Lines(reviewed) {
		line, _, _ = strings.Cut(line, "#")
		if f := strings.Fields(line); len(f) == 2 {
			verdicts[f[0]] = f[1]
		}
	}
	return verdicts
}

// verdict says what a finding is: "secret", "identifier" or "false".
func (c *calls) verdict(f finding) string {
	if v := c.verdicts[f.digest]; v != "" {
		return v
	}
	if f.keyID {
		return "identifier"
	}
	return "false"
}

// unreviewed returns one finding for each digest that nobody has judged.
func (c *calls) unreviewed() (list []finding) {
	seen := map[string]bool{}
	for _, f := range c.found {
		if !seen[f.digest] && c.verdicts[f.digest] == "" && c.verdict(f) == "false" {
			seen[f.digest] = true
			list = append(list, f)
		}
	}
	return list
}
