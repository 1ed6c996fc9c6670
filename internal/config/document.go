package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// mistake is what cannot be used of a document.
type mistake struct {
	path string // of the setting; empty: the document as a whole
	line int
	text string
}

func (m *mistake) Error() string {
	if m.path == "" {
		return m.text
	}
	return m.path + ": " + m.text
}

// decode reads a document in YAML into v, and returns in which line what is, by its path.
// All errors are of type *mistake.
func decode(content []byte, v any) (lines, error) {
	at := lines{}
	body, err := document(content)
	if err != nil || body == nil {
		return at, err
	}
	ast.Walk(at, body)
	if err := yaml.NodeToValue(body, v, yaml.Strict()); err != nil {
		return at, at.mistakeOf(err, body)
	}
	return at, nil
}

// document returns the one document that there is; nil: there is none.
func document(content []byte) (body ast.Node, err error) {
	// The library panics on some files that are no YAML.
	defer func() {
		if r := recover(); r != nil {
			err = &mistake{line: 1, text: fmt.Sprintf("it is not YAML that can be read: %v", r)}
		}
	}()
	file, err := parser.ParseBytes(content, 0, parser.AllowDuplicateMapKey()) // that is found below, where its path is known
	if err != nil {
		return nil, lines{}.mistakeOf(err, nil)
	}
	for i, doc := range file.Docs {
		if i > 0 {
			return nil, &mistake{line: lineOf(doc), text: "it holds more than one document; put all into one"}
		}
		body = doc.Body
	}
	// Anchors are of no use here, and can be nested to grow without end.
	var anchor anchorFinder
	if body != nil {
		ast.Walk(&anchor, body)
	}
	if anchor.node != nil {
		return nil, &mistake{pathOf(anchor.node), lineOf(anchor.node), "an anchor or alias (& or *) stands here; write the value itself, in quotes if it begins so"}
	}
	return body, nil
}

// anchorFinder finds the first anchor, alias or merge.
type anchorFinder struct{ node ast.Node }

// Visit implements ast.Visitor.
func (f *anchorFinder) Visit(n ast.Node) ast.Visitor {
	switch n.Type() {
	case ast.AnchorType, ast.AliasType, ast.MergeKeyType:
		if f.node == nil {
			f.node = n
		}
	}
	return f
}

// lines are those of a document in which things begin, by their paths.
type lines map[string]int

// Visit implements ast.Visitor. Of what stands at a path, the key comes first.
func (l lines) Visit(n ast.Node) ast.Visitor {
	if path := pathOf(n); path != "" && l[path] == 0 {
		l[path] = lineOf(n)
	}
	return l
}

// pathOf returns the path of a setting as we write it.
func pathOf(n ast.Node) string {
	return strings.TrimPrefix(strings.TrimPrefix(n.GetPath(), "$"), ".")
}

func lineOf(n ast.Node) int {
	if t := n.GetToken(); t != nil {
		return t.Position.Line
	}
	return 1
}

// mistakeOf says where and what, without the excerpt that the library adds. body is what
// was read; nil: it could not be.
func (l lines) mistakeOf(err error, body ast.Node) error {
	if m, ok := errors.AsType[*mistake](err); ok {
		return m
	}
	y := yaml.Error(nil)
	if !errors.As(err, &y) || y.GetToken() == nil {
		return &mistake{line: 1, text: err.Error()}
	}
	at := tokenFinder{line: y.GetToken().Position.Line, column: y.GetToken().Position.Column}
	if body != nil {
		ast.Walk(&at, body)
	}
	return &mistake{at.path, at.line, inWords(y)}
}

// tokenFinder finds the path of what stands at a place.
type tokenFinder struct {
	line, column int
	path         string
}

// Visit implements ast.Visitor.
func (f *tokenFinder) Visit(n ast.Node) ast.Visitor {
	if t := n.GetToken(); f.path == "" && t != nil && t.Position.Line == f.line && t.Position.Column == f.column {
		f.path = pathOf(n)
	}
	return f
}

// inWords says what is wrong to those who do not know what a setting is in Go.
func inWords(err yaml.Error) string {
	switch e := err.(type) {
	case *yaml.UnknownFieldError:
		return "there is no such setting; custody config check shows those there are"
	case *yaml.DuplicateKeyError:
		return "it is given twice"
	case *yaml.TypeError:
		return "it has to be " + kindInWords(e.DstType)
	case *yaml.OverflowError:
		return e.SrcNum + " is too large"
	}
	return err.GetMessage()
}

func kindInWords(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "settings by their names"
	default:
		return "a number"
	}
}

// scalar reads one value, as it is written.
func scalar(n ast.Node, v encoding.TextUnmarshaler) error {
	text := ""
	if _, ok := n.(ast.ScalarNode); ok {
		text = n.GetToken().Value
	}
	if err := v.UnmarshalText([]byte(text)); err != nil {
		return &mistake{pathOf(n), lineOf(n), err.Error()}
	}
	return nil
}

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (d *Duration) UnmarshalYAML(n ast.Node) error { return scalar(n, d) }

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (s *Size) UnmarshalYAML(n ast.Node) error { return scalar(n, s) }

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (m *Mode) UnmarshalYAML(n ast.Node) error { return scalar(n, m) }
