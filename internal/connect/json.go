package connect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// document is the text of a JSON object that is changed in places.
type document struct {
	text []byte
	root *node
}

// node is a value and where it stands in the text.
type node struct {
	start, end int
	names      []string // of an object's members; nil for an array and others
	at         []int    // where the members or elements begin, with their names
	items      []*node  // members or elements
}

// parseDocument reads a JSON object. Text without anything is the empty object.
func parseDocument(text []byte) (*document, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		text = []byte("{}\n")
	}
	d := &document{text: text}
	return d, d.parse()
}

// byteOrderMark is what some editors put before UTF-8.
var byteOrderMark = []byte("\ufeff")

func (d *document) parse() error {
	text := d.text
	if bytes.HasPrefix(text, byteOrderMark) { // agents on Windows read past it
		text = append([]byte("   "), text[len(byteOrderMark):]...) // of the same length
	}
	var check any
	if err := json.Unmarshal(text, &check); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			line := 1 + bytes.Count(text[:min(int(syntax.Offset), len(text))], []byte("\n"))
			return fmt.Errorf("line %d: it is not JSON: %w (settings with comments or commas at the end of lists are left to you: docs/agents.md)", line, err)
		}
		return err
	}
	if _, ok := check.(map[string]any); !ok {
		return errors.New("it is JSON, but no object")
	}
	r := reader{text: text}
	d.root = r.value()
	return r.twice
}

// reader finds where values stand in a text that is JSON.
type reader struct {
	text  []byte
	pos   int
	twice error // a name is in an object twice
}

func (r *reader) space() {
	for r.pos < len(r.text) && strings.IndexByte(" \t\r\n", r.text[r.pos]) >= 0 {
		r.pos++
	}
}

// token goes over a string, or what is neither string, object nor array.
func (r *reader) token() {
	if r.text[r.pos] != '"' {
		for r.pos < len(r.text) && strings.IndexByte(" \t\r\n,:]}", r.text[r.pos]) < 0 {
			r.pos++
		}
		return
	}
	for r.pos++; r.text[r.pos] != '"'; r.pos++ {
		if r.text[r.pos] == '\\' {
			r.pos++
		}
	}
	r.pos++
}

func (r *reader) value() *node {
	r.space()
	n := &node{start: r.pos}
	open := r.text[r.pos]
	if open != '{' && open != '[' {
		r.token()
		n.end = r.pos
		return n
	}
	seen := map[string]bool{}
	for r.pos++; ; {
		r.space()
		switch r.text[r.pos] {
		case '}', ']':
			r.pos++
			n.end = r.pos
			return n
		case ',':
			r.pos++
			continue
		}
		at := r.pos
		if open == '{' {
			r.token()
			var name string
			if err := json.Unmarshal(r.text[at:r.pos], &name); err == nil && seen[name] {
				r.twice = fmt.Errorf("%q is in an object twice, and which one counts is up to who reads it", name)
			}
			seen[name] = true
			n.names = append(n.names, name)
			r.space()
			r.pos++ // colon
		}
		n.at, n.items = append(n.at, at), append(n.items, r.value())
	}
}

func (d *document) isObject(n *node) bool { return d.text[n.start] == '{' }
func (d *document) isArray(n *node) bool  { return d.text[n.start] == '[' }

// find returns the value at a path of members; nil: there is none.
func (d *document) find(path ...string) *node {
	n := d.root
	for _, name := range path {
		i := n.member(name)
		if i < 0 {
			return nil
		}
		n = n.items[i]
	}
	return n
}

// member returns the position of a member of an object, or -1.
func (n *node) member(name string) int {
	for i, have := range n.names {
		if have == name {
			return i
		}
	}
	return -1
}

// decode returns a value.
func (d *document) decode(n *node) (v any) {
	_ = json.Unmarshal(d.text[n.start:n.end], &v) // it was parsed before
	return v
}

// container returns the object at a path of members, or the array there, which is made
// where it is missing.
func (d *document) container(array bool, path ...string) (*node, error) {
	for i := range path {
		kind, is, empty := "object", d.isObject, json.RawMessage("{}")
		if array && i == len(path)-1 {
			kind, is, empty = "array", d.isArray, json.RawMessage("[]")
		}
		n := d.find(path[:i+1]...)
		if n == nil {
			if err := d.insert(d.find(path[:i]...), path[i], empty); err != nil {
				return nil, err
			}
			n = d.find(path[:i+1]...)
		}
		if !is(n) {
			return nil, fmt.Errorf("%s is no %s", strings.Join(path[:i+1], "."), kind)
		}
	}
	return d.find(path...), nil
}

// indent returns the white space that the line of a position begins with.
func (d *document) indent(pos int) string {
	line := d.text[bytes.LastIndexByte(d.text[:pos], '\n')+1:]
	return string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
}

// unit returns by how much more the inner lines are indented.
func (d *document) unit() string {
	if n := d.root; len(n.at) > 0 && bytes.IndexByte(d.text[n.start:n.at[0]], '\n') >= 0 {
		if unit := d.indent(n.at[0]); unit != "" {
			return unit
		}
	}
	return "  "
}

// insert adds a value behind the others of an object or array; name is that of a member.
func (d *document) insert(n *node, name string, v any) error {
	newline := "\n"
	if bytes.Contains(d.text, []byte("\r\n")) {
		newline = "\r\n"
	}
	unit, outer := d.unit(), d.indent(n.start)
	inner := outer + unit
	last := len(n.items) - 1
	spread := last < 0 || bytes.IndexByte(d.text[n.start:n.at[0]], '\n') >= 0
	if last >= 0 && spread {
		inner = d.indent(n.at[last])
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if spread {
		enc.SetIndent(inner, unit)
	}
	if err := enc.Encode(v); err != nil {
		return err
	}
	item := strings.ReplaceAll(strings.TrimRight(b.String(), "\n"), "\n", newline)
	if d.isObject(n) {
		key, err := json.Marshal(name)
		if err != nil {
			return err
		}
		item = string(key) + ": " + item
	}
	switch {
	case last < 0:
		return d.replace(n.start+1, n.end-1, newline+inner+item+newline+outer)
	case spread:
		return d.replace(n.items[last].end, n.items[last].end, ","+newline+inner+item)
	}
	return d.replace(n.items[last].end, n.items[last].end, ", "+item)
}

// remove takes an item out of an object or array.
func (d *document) remove(n *node, i int) error {
	from, to := n.at[i], n.items[i].end
	switch {
	case i > 0:
		from = n.items[i-1].end // with the comma before it
	case len(n.items) > 1:
		to = n.at[1]
	default:
		from, to = n.start+1, n.end-1
	}
	return d.replace(from, to, "")
}

// replace changes a part of the text.
func (d *document) replace(from, to int, by string) error {
	d.text = append(append(bytes.Clone(d.text[:from]), by...), d.text[to:]...)
	return d.parse()
}
