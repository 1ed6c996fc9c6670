package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/redaction"
)

// item is one text of a corpus.
type item struct {
	corpus  string
	rule    string
	text    string
	secrets [][2]int // where in it secrets are
	clean   bool     // nothing of it is a secret
	not     string   // why its rule is not claimed
}

// score counts for one rule of a corpus.
type score struct {
	corpus, rule  string
	secrets, gone int
	not           string
}

// finding is what was taken out of one place.
type finding struct {
	rule    string
	source  string
	start   int // where in the string
	end     int
	keyID   bool // it is the id of an AWS access key
	digest  string
	context string // what stands around it
}

// labelled is the result on the corpora.
type labelled struct {
	scores []score
	missed []finding
	right  map[string]int // by rule of the engine: findings in texts with secrets
	wrong  []finding      // findings in texts without
	clean  int            // texts without
}

func measureCorpora(r redaction.Redactor, dir string) (labelled, error) {
	l := labelled{right: map[string]int{}}
	items, err := readCorpora(dir)
	if err != nil {
		return l, err
	}
	verdicts := readReviewed()
	at := map[[2]string]int{}
	for _, it := range items {
		key := [2]string{it.corpus, it.rule}
		n, known := at[key]
		if !known {
			n = len(l.scores)
			at[key] = n
			l.scores = append(l.scores, score{corpus: it.corpus, rule: it.rule, not: it.not})
		}
		out := r.Redact(event.Event{Details: map[string]any{"text": it.text}})
		gone := findings(it.corpus+" "+it.rule, map[string]any{"text": it.text}, out)
		for _, secret := range it.secrets {
			l.scores[n].secrets++
			if slices.ContainsFunc(gone, func(f finding) bool { return f.start <= secret[0] && secret[1] <= f.end }) {
				l.scores[n].gone++
				continue
			}
			l.missed = append(l.missed, finding{rule: it.corpus + " " + it.rule, context: around(it.text, secret)})
		}
		if it.clean {
			l.clean++
		}
		for _, f := range gone {
			switch v := verdicts[f.digest]; {
			case !it.clean || v == "secret" || v == "identifier":
				l.right[f.rule]++
			default:
				l.wrong = append(l.wrong, f)
			}
		}
	}
	return l, nil
}

// around returns what stands around a part of the text, and the part itself:
// the secrets of the corpora are public.
func around(text string, part [2]int) string {
	return fmt.Sprintf("%.300q", text[max(0, part[0]-80):part[0]]+"<<"+text[part[0]:part[1]]+">>"+text[part[1]:min(len(text), part[1]+20)])
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:8])
}

// readCorpora reads the labelled texts of all corpora.
func readCorpora(dir string) ([]item, error) {
	var items []item
	// add adds a text, of which the rule labels a part.
	add := func(corpus, rule, text string, part [2]int, secret bool, claims map[string]claim) error {
		c, known := claims[rule]
		if !known {
			return fmt.Errorf("%s: the rule %s is not in claims.go; say there what is claimed of it", corpus, rule)
		}
		it := item{corpus: corpus, rule: rule, text: text, clean: !secret, not: c.not}
		if secret && c.not == "" {
			in := text[part[0]:part[1]]
			for _, m := range regexp.MustCompile(c.secret).FindAllStringSubmatchIndex(in, -1) {
				at := m[:2]
				for i := 2; i < len(m); i += 2 {
					if m[i] >= 0 {
						at = m[i : i+2]
					}
				}
				it.secrets = append(it.secrets, [2]int{part[0] + at[0], part[0] + at[1]})
			}
			if len(it.secrets) == 0 && c.unless != "" && regexp.MustCompile(c.unless).MatchString(text) {
				it.clean = true
			} else if len(it.secrets) == 0 {
				return fmt.Errorf("%s: the pattern of the rule %s in claims.go does not tell what is secret in %.200q", corpus, rule, in)
			}
		}
		items = append(items, it)
		return nil
	}
	err := errors.Join(
		eachLine(filepath.Join(dir, "noseyparker-examples.ndjson.gz"), func(line []byte) error {
			var v struct {
				Rule   string `json:"rule_id"`
				Secret bool
				Text   string
			}
			if err := json.Unmarshal(line, &v); err != nil {
				return err
			}
			return add("noseyparker", v.Rule, v.Text, [2]int{0, len(v.Text)}, v.Secret, noseyparker)
		}),
		eachLine(filepath.Join(dir, "secretlint-snapshots.ndjson.gz"), func(line []byte) error {
			var v struct {
				Rule, Case, Input string
				Findings          []struct{ Range [2]int }
			}
			if err := json.Unmarshal(line, &v); err != nil {
				return err
			}
			rule := strings.TrimPrefix(v.Rule, "secretlint-rule-")
			if strings.Contains(v.Case, "allows") || strings.Contains(v.Case, "enableIDScanRule") || strings.Contains(v.Case, "filePathGlobs") {
				return nil // a secret that an option of theirs lets through
			}
			if strings.HasPrefix(v.Case, "ok.") {
				return add("secretlint", rule, v.Input, [2]int{}, false, secretlint)
			}
			if strings.Contains(v.Case, "p12") || strings.Contains(v.Case, "Account ID") {
				return nil // a binary file, and a number that is no secret
			}
			for _, f := range v.Findings {
				if err := add("secretlint", rule, v.Input, utf16Range(v.Input, f.Range), true, secretlint); err != nil {
					return err
				}
			}
			return nil
		}),
		eachLine(filepath.Join(dir, "leaky-repo-files.ndjson.gz"), func(line []byte) error {
			var v struct{ Path, Content string }
			if err := json.Unmarshal(line, &v); err != nil {
				return err
			}
			return add("leaky-repo", v.Path, v.Content, [2]int{0, len(v.Content)}, true, leaky)
		}),
	)
	return items, err
}

// utf16Range turns a range in UTF-16 units, as JavaScript counts, into bytes.
func utf16Range(s string, units [2]int) (at [2]int) {
	n := 0
	at = [2]int{len(s), len(s)}
	for i, r := range s {
		for j, u := range units {
			if n == u {
				at[j] = i
			}
		}
		n += utf16.RuneLen(r)
	}
	return at
}

// eachLine calls f with each line of a file, which may be compressed.
func eachLine(path string, f func(line []byte) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	var r io.Reader = file
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(file); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	in := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if err := f(line); err != nil {
				return fmt.Errorf("%s: line %d: %w", path, n, err)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
}
