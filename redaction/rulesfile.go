package redaction

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

const (
	maxRulesFile = 128 << 10 // bytes; reading deeply nested YAML takes time with the square of it
	minHMACKey   = 32        // bytes
	maxHMACKey   = 4096
)

// ParseRules reads a file of rules, which docs/redaction.md describes. What the
// file says is checked in full, but for the key file, which is not read. Errors
// tell the line, what is wrong there and what to do; name stands before them, and
// a relative hmac_key_file is taken from the directory of name.
func ParseRules(name string, text []byte) (Rules, error) {
	r, problems := parseRules(text)
	if len(problems) > 0 {
		var errs []error
		for _, p := range problems {
			errs = append(errs, fmt.Errorf("%s:%w", name, p))
		}
		return Rules{}, errors.Join(errs...)
	}
	if r.HMACKeyFile != "" && !filepath.IsAbs(r.HMACKeyFile) {
		r.HMACKeyFile = filepath.Join(filepath.Dir(name), r.HMACKeyFile)
	}
	return r, nil
}

// lineError is an error in a line of a file.
type lineError struct {
	line int
	text string
}

func (e lineError) Error() string { return fmt.Sprintf("%d: %s", e.line, e.text) }

func parseRules(text []byte) (r Rules, problems []error) {
	if len(text) > maxRulesFile {
		return r, []error{lineError{1, fmt.Sprintf("the file has %d bytes, %d at most are read", len(text), maxRulesFile)}}
	}
	// The library panics on some files that are no YAML.
	defer func() {
		if why := recover(); why != nil {
			r, problems = Rules{}, []error{lineError{1, fmt.Sprintf("the file is not YAML that can be read: %v", why)}}
		}
	}()
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return r, []error{yamlError(err)}
	}
	if n := len(file.Docs); n > 1 {
		return r, []error{lineError{line(file.Docs[1].Body), "a second document begins; put all into one"}}
	}
	// Anchors are of no use here, and can be nested to grow without end.
	var anchors anchorFinder
	for _, doc := range file.Docs {
		if doc.Body != nil {
			ast.Walk(&anchors, doc.Body)
		}
	}
	if anchors.line > 0 {
		return r, []error{lineError{anchors.line, "an anchor or alias (& or *) stands here; write the value itself, in quotes if it begins so"}}
	}
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&r); err != nil && !errors.Is(err, io.EOF) {
		return r, []error{yamlError(err)}
	}
	if r.Version == 0 {
		problems = append(problems, lineError{1, "version: it is missing; write `version: 1`"})
	}
	for _, p := range r.validate() {
		problems = append(problems, lineError{lineOf(file, p.path), p.String()})
	}
	return r, problems
}

// yamlError says where and what, without the excerpt that the parser adds.
func yamlError(err error) error {
	if e := yaml.Error(nil); errors.As(err, &e) && e.GetToken() != nil {
		text := e.GetMessage()
		if strings.HasPrefix(text, "unknown field") {
			text += "; docs/redaction.md lists the members"
		}
		return lineError{e.GetToken().Position.Line, text}
	}
	return lineError{1, err.Error()}
}

// anchorFinder finds the first anchor, alias or merge.
type anchorFinder struct{ line int }

func (f *anchorFinder) Visit(n ast.Node) ast.Visitor {
	switch n.Type() {
	case ast.AnchorType, ast.AliasType, ast.MergeKeyType:
		if f.line == 0 {
			f.line = line(n)
		}
	}
	return f
}

func line(n ast.Node) int {
	if n != nil && n.GetToken() != nil {
		return n.GetToken().Position.Line
	}
	return 1
}

// lineOf returns the line of what stands at a path, or of the innermost part of it
// that is there.
func lineOf(file *ast.File, path string) int {
	if len(file.Docs) == 0 {
		return 1
	}
	node := file.Docs[0].Body
	at := line(node)
	for path != "" {
		next, rest := step(node, path)
		if next == nil {
			return at
		}
		node, path = next, rest
		at = line(node)
	}
	return at
}

// step goes one name or index of a path further.
func step(node ast.Node, path string) (ast.Node, string) {
	switch n := node.(type) {
	case *ast.MappingNode:
		for _, v := range n.Values {
			if next, rest := step(v, path); next != nil {
				return next, rest
			}
		}
	case *ast.MappingValueNode:
		if t := n.Key.GetToken(); t != nil {
			rest, ok := strings.CutPrefix(path, t.Value)
			if ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
				rest = strings.TrimPrefix(rest, ".")
				if rest == "" {
					return n.Key, ""
				}
				return n.Value, rest
			}
		}
	case *ast.SequenceNode:
		var i int
		if _, err := fmt.Sscanf(path, "[%d]", &i); err == nil && i >= 0 && i < len(n.Values) {
			return n.Values[i], strings.TrimPrefix(path[strings.IndexByte(path, ']')+1:], ".")
		}
	}
	return nil, ""
}

// ReadHMACKey reads the key of MethodHMAC from a file: 64 or more hex digits, or
// else, if there is anything but hex digits, all of its bytes as they are, 32 or more. A file that others than its owner
// may read is refused, where files have such modes.
func ReadHMACKey(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("hmac_key_file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("hmac_key_file: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("hmac_key_file: %s has mode %04o, others than its owner may use it; run chmod 600 on it, and take a new key if it may have been read", name, mode)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxHMACKey+1))
	if err != nil {
		return nil, fmt.Errorf("hmac_key_file: %w", err)
	}
	if len(b) > maxHMACKey {
		return nil, fmt.Errorf("hmac_key_file: %s has more than %d bytes; is it a key?", name, maxHMACKey)
	}
	key := b
	if digits := bytes.TrimSpace(b); len(digits) >= minHMACKey {
		if decoded, err := hex.DecodeString(string(digits)); err == nil {
			key = decoded
		}
	}
	if len(key) < minHMACKey {
		return nil, fmt.Errorf("hmac_key_file: the key in %s has %d bytes, and %d are needed; make one with: openssl rand -hex 32", name, len(key), minHMACKey)
	}
	return key, nil
}
