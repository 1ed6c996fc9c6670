package main

import (
	"os"
	"strings"
	"testing"

	"github.com/custodylog/custody/redaction"
)

const root = "../../"

// TestRecall holds the whole of redaction to its goal on the labelled corpora.
func TestRecall(t *testing.T) {
	l, err := measureCorpora(redaction.Default(), root+corpora)
	if err != nil {
		t.Fatal(err)
	}
	gone, secrets := l.recall()
	if secrets < 250 {
		t.Errorf("%d secrets are labelled, want 250 at least", secrets)
	}
	if 100*gone < 95*secrets {
		t.Errorf("%d of %d secrets are taken out, want 95 %%", gone, secrets)
		for _, m := range l.missed {
			t.Logf("missed: %s: %s", m.rule, m.context)
		}
	}
}

// TestFalsePositives holds it to one in 1,000 calls, on the data here.
func TestFalsePositives(t *testing.T) {
	c, err := measureCalls(redaction.Default(), []string{root + "ingest/testdata"})
	if err != nil {
		t.Fatal(err)
	}
	n, wrong := 0, 0
	for _, s := range c.sources {
		n += s.calls
	}
	for _, f := range c.found {
		if c.verdict(f) == "false" {
			wrong++
			t.Logf("%s %s, %s: %s", f.digest, f.rule, f.source, f.context)
		}
	}
	if n < 1000 {
		t.Errorf("%d tool calls, want 1,000 at least", n)
	}
	if 1000*wrong > n {
		t.Errorf("%d findings in %d tool calls are false or not reviewed; see reviewed.txt", wrong, n)
	}
}

// TestClaimsAreOfCorpora finds claims for rules that no corpus has.
func TestClaimsAreOfCorpora(t *testing.T) {
	items, err := readCorpora(root + corpora)
	if err != nil {
		t.Fatal(err)
	}
	met := map[string]bool{}
	for _, it := range items {
		met[it.corpus+" "+it.rule] = true
	}
	for corpus, claims := range map[string]map[string]claim{"noseyparker": noseyparker, "secretlint": secretlint, "leaky-repo": leaky} {
		for rule, c := range claims {
			if (c.secret == "") == (c.not == "") {
				t.Errorf("%s %s: either the secret is told or why not", corpus, rule)
			}
			if !met[corpus+" "+rule] && rule != "no-dotenv" {
				t.Errorf("%s has no rule %s", corpus, rule)
			}
		}
	}
}

// TestPage checks that the list of detectors on the page is the current one.
func TestPage(t *testing.T) {
	b, err := os.ReadFile(root + page)
	if err != nil {
		t.Fatal(err)
	}
	_, list, _, err := cutMarkers(string(b), "detectors")
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(list) != strings.TrimSpace(detectorTable()) {
		t.Errorf("the list of detectors in %s is not the current one; run make redaction-report WRITE=1", page)
	}
	if _, _, _, err := cutMarkers(string(b), "report"); err != nil {
		t.Error(err)
	}
}

func TestCutMarkers(t *testing.T) {
	before, between, after, err := cutMarkers("a<!-- x:begin -->b<!-- x:end -->c", "x")
	if before != "a<!-- x:begin -->" || between != "b" || after != "<!-- x:end -->c" || err != nil {
		t.Errorf("%q %q %q %v", before, between, after, err)
	}
	for _, s := range []string{"", "<!-- x:begin -->", "<!-- x:end --><!-- x:begin -->", "<!-- x:begin --><!-- x:end --><!-- x:begin --><!-- x:end -->"} {
		if _, _, _, err := cutMarkers(s, "x"); err == nil {
			t.Errorf("no error for %q", s)
		}
	}
}

func TestRemoved(t *testing.T) {
	const mask = redaction.Mask
	for _, tt := range []struct {
		before, after string
		want          []string
	}{
		{"secret", mask, []string{"secret"}},
		{"a secret b", "a " + mask + " b", []string{"secret"}},
		{"a=1 b=2 c", "a=" + mask + " b=" + mask + " c", []string{"1", "2"}},
		{"x x x", "x " + mask + " x", []string{"x"}},
		{"whole", "", []string{"whole"}},
		{"whole", "other" + mask, []string{"whole"}},
	} {
		var got []string
		for _, f := range removed(tt.before, tt.after) {
			got = append(got, tt.before[f.start:f.end])
		}
		if strings.Join(got, "|") != strings.Join(tt.want, "|") {
			t.Errorf("of %q, %q lacks %q, want %q", tt.before, tt.after, got, tt.want)
		}
	}
}

func TestUTF16Range(t *testing.T) {
	const s = "aé😀b"
	if got := utf16Range(s, [2]int{1, 4}); s[got[0]:got[1]] != "é😀" {
		t.Errorf("%q", s[got[0]:got[1]])
	}
	if got := utf16Range(s, [2]int{4, 5}); s[got[0]:got[1]] != "b" {
		t.Errorf("%q", s[got[0]:got[1]])
	}
}

func TestCount(t *testing.T) {
	for _, tt := range []struct {
		name string
		v    any
		want int
	}{
		{"text", "tool_use", 0},
		{"Claude Code", map[string]any{"message": map[string]any{"content": []any{map[string]any{"type": "tool_use"}, map[string]any{"type": "text"}}}}, 1},
		{"OpenAI", []any{map[string]any{"tool_calls": []any{map[string]any{}, map[string]any{}}}}, 2},
		{"hook", map[string]any{"tool_name": "Bash"}, 1},
		{"MCP", map[string]any{"method": "tools/call"}, 1},
		{"CloudTrail", map[string]any{"eventSource": "s3", "eventName": "GetObject"}, 1},
		{"SWE-agent", map[string]any{"action": "ls", "observation": "a"}, 1},
		{"OpenHands", map[string]any{"action": "run", "args": map[string]any{}}, 1},
	} {
		if got := count(tt.v); got != tt.want {
			t.Errorf("%s: %d calls, want %d", tt.name, got, tt.want)
		}
	}
}
