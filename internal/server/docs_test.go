package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// block is a fenced block of a page.
type block struct{ kind, text string }

func blocksOf(page string) (all []block) {
	for _, m := range regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$").FindAllStringSubmatch(page, -1) {
		all = append(all, block{m[1], m[2]})
	}
	return all
}

// The examples of docs/http.md work, and answer as it says.
func TestExamples(t *testing.T) {
	page, err := os.ReadFile("../../docs/http.md")
	must(t, err)
	s := newSite(t, Limits{})
	vars := strings.NewReplacer("$TRAIL", s.http.URL+"/v1/trails/default", "http://127.0.0.1:8420", s.http.URL)
	ran := 0
	var answered []byte
	for _, b := range blocksOf(string(page)) {
		switch b.kind {
		case "sh":
			answered = nil
			for _, words := range commandsOf(t, vars.Replace(b.text)) {
				answered = append(answered, s.curl(words)...)
				ran++
			}
		case "json":
			want, got := json.NewDecoder(strings.NewReader(b.text)), json.NewDecoder(bytes.NewReader(answered))
			for want.More() {
				var w, g any
				must(t, want.Decode(&w))
				must(t, got.Decode(&g))
				if where, ok := has(g, w); !ok {
					t.Errorf("the page shows\n%s\nand the answer is\n%s\nwhich has no such %s", b.text, answered, where)
				}
			}
		}
	}
	if ran < 20 {
		t.Errorf("%d examples were found", ran)
	}
}

// has reports whether v has what is shown of it: all members, and the texts and
// numbers but for … and times.
func has(v, shown any) (where string, ok bool) {
	switch shown := shown.(type) {
	case map[string]any:
		m, isObject := v.(map[string]any)
		for name := range shown {
			if _, there := m[name]; !isObject || !there {
				return name, false
			}
			if where, ok := has(m[name], shown[name]); !ok {
				return name + "." + where, false
			}
		}
		return "", true
	case []any:
		list, isList := v.([]any)
		if !isList || len(list) != len(shown) {
			return "length", false
		}
		for i := range shown {
			if where, ok := has(list[i], shown[i]); !ok {
				return fmt.Sprint(i, ".", where), false
			}
		}
		return "", true
	case string:
		return "text", v == shown || shown == "…" || strings.HasPrefix(shown, "2026-")
	}
	return "value", v == shown
}

// commandsOf splits shell commands into words, as far as the examples need it.
func commandsOf(t *testing.T, text string) (commands [][]string) {
	t.Helper()
	var words []string
	word, inWord, quote := "", false, rune(0)
	end := func() {
		if inWord {
			words, word, inWord = append(words, word), "", false
		}
	}
	for _, c := range text {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, inWord = c, true
		case quote == 0 && c == '\n':
			end()
			commands, words = append(commands, words), nil
		case quote == 0 && c == ' ':
			end()
		case quote == 0 && strings.ContainsRune("|&;<>\\$", c) && !inWord:
			t.Fatalf("%q is more of the shell than is known here", c)
		default:
			word, inWord = word+string(c), true
		}
	}
	return commands
}

// curl does what curl does with the options of the examples, and returns the answer.
func (s *site) curl(words []string) []byte {
	s.t.Helper()
	method, address, body := http.MethodGet, "", ""
	var headers []string
	stream := false
	for i := 1; i < len(words); i++ {
		switch w := words[i]; w {
		case "-s":
		case "-sN":
			stream = true
		case "-H":
			i++
			name, value, _ := strings.Cut(words[i], ": ")
			headers = append(headers, name, value)
		case "-d", "--data-binary":
			i++
			method, body = http.MethodPost, words[i]
		case "-o":
			i++
		default:
			if address != "" || !strings.HasPrefix(w, s.http.URL) || words[0] != "curl" {
				s.t.Fatalf("%q: %q is not known here", words, w)
			}
			address = strings.TrimPrefix(w, s.http.URL)
		}
	}
	if !stream {
		a := s.do(method, address, body, headers...)
		if a.status >= 400 {
			s.t.Errorf("%q: status %d: %s", words, a.status, a.body)
		}
		return a.body
	}
	resp, err := http.DefaultClient.Do(s.request(method, address, body, headers...))
	must(s.t, err)
	defer resp.Body.Close()
	var b bytes.Buffer
	for !bytes.Contains(b.Bytes(), []byte("\nevent: entry\ndata: {")) {
		if _, err := io.CopyN(&b, resp.Body, 1); err != nil {
			s.t.Fatalf("%q: %v: %s", words, err, b.Bytes())
		}
	}
	return nil
}

// The page lists every route with its permission.
func TestDocumentedRoutes(t *testing.T) {
	page, err := os.ReadFile("../../docs/http.md")
	must(t, err)
	n := 0
	for pattern, a := range routes {
		needs := string(a.needs)
		switch {
		case a.public:
			needs = "none, for anybody"
		}
		row := fmt.Sprintf("| `%s` | %s |\n", pattern, needs)
		if a.own {
			row = fmt.Sprintf("| `%s` | none; ", pattern) // and what it is about
		}
		if !bytes.Contains(page, []byte(row)) {
			t.Errorf("docs/http.md has no row %s", row)
		}
		n++
	}
	if listed := bytes.Count(page, []byte("| `GET ")) + bytes.Count(page, []byte("| `POST ")); listed != n {
		t.Errorf("docs/http.md lists %d routes; there are %d", listed, n)
	}
}
