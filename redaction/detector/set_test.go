package detector

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/custodylog/custody/internal/testlong"
)

func TestCompileErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		ds   []Detector
		want []string
	}{
		{"no name", []Detector{{Pattern: "abc"}}, []string{"no name"}},
		{"twice", []Detector{{Name: "x", Pattern: "abc"}, {Name: "x", Pattern: "abd"}}, []string{`"x"`, "another one of that name"}},
		{"no regular expression", []Detector{{Name: "x", Pattern: "abc("}}, []string{`"x"`, "missing closing )"}},
		{"matches the empty text", []Detector{{Name: "x", Pattern: "(?:abc)*"}}, []string{`"x"`, "empty text"}},
		{"empty group", []Detector{{Name: "x", Pattern: "abc(d*)"}}, []string{`"x"`, "empty text"}},
		{"no literal", []Detector{{Name: "x", Pattern: `\d{16}`}}, []string{`"x"`, "no keyword", "3 or more characters"}},
		{"literal on one side only", []Detector{{Name: "x", Pattern: `secret|\d+`}}, []string{`"x"`, "no keyword"}},
		{"short keyword", []Detector{{Name: "x", Pattern: "ab1", Keywords: []string{"ab"}}}, []string{`"x"`, `"ab"`, "3 to 64"}},
		{"long keyword", []Detector{{Name: "x", Pattern: "ab1", Keywords: []string{strings.Repeat("a", 65)}}}, []string{`"x"`, "65 bytes"}},
		{"long literal", []Detector{{Name: "x", Pattern: strings.Repeat("a", 65)}}, []string{`"x"`, "65 bytes", "keyword"}},
		{"where", []Detector{{Name: "x", Pattern: "abc", Where: 9}}, []string{`"x"`, "9 is not known"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Compile(tt.ds)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

func TestFind(t *testing.T) {
	ticket := Detector{Name: "ticket", Pattern: `ACME-\d{4}-[a-z]{3}`}
	key := Detector{Name: "key", Pattern: `(?i)acmekey\s*=\s*(\w{8,})`}
	token := Detector{Name: "token", Pattern: `acm_\w{8}`, Where: Token}
	longer := Detector{Name: "longer", Pattern: `acm_\w{8}\.\w{4,}`, Where: Token}
	tail := Detector{Name: "tail", Pattern: `\w{4}\.tail\w*`}
	for _, tt := range []struct {
		name string
		ds   []Detector
		text string
		want []string
	}{
		{"nothing", []Detector{ticket}, "", nil},
		{"the only thing", []Detector{ticket}, "ACME-1234-abc", []string{"ticket ACME-1234-abc"}},
		{"case counts", []Detector{ticket}, "acme-1234-abc", nil},
		{"case does not count", []Detector{key}, "AcmeKey = Secret99", []string{"key Secret99"}},
		{"several", []Detector{ticket, key}, "ACME-1234-abc,acmekey=11112222 ACME-1235-abc", []string{"ticket ACME-1234-abc", "key 11112222", "ticket ACME-1235-abc"}},
		{"far apart", []Detector{ticket}, "ACME-1234-abc" + strings.Repeat(" ", 4000) + "ACME-1235-abc", []string{"ticket ACME-1234-abc", "ticket ACME-1235-abc"}},
		{"long secret", []Detector{key}, "acmekey=" + strings.Repeat("a1", 4000), []string{"key " + strings.Repeat("a1", 4000)}},
		{"after a letter", []Detector{token}, "xacm_12345678", nil},
		{"after an escape", []Detector{token}, `\nacm_12345678%20acm_87654321`, []string{"token acm_12345678", "token acm_87654321"}},
		{"before a letter", []Detector{token}, "acm_123456789", nil},
		{"the longer wins", []Detector{token, longer}, "acm_12345678.abcd", []string{"longer acm_12345678.abcd"}},
		{"the longer wins, given first", []Detector{longer, token}, "acm_12345678.abcd", []string{"longer acm_12345678.abcd"}},
		{"of equals the former wins", []Detector{token, {Name: "same", Pattern: `acm_[0-9]{8}`}}, "acm_12345678", []string{"token acm_12345678"}},
		{"what overlaps is joined", []Detector{token, tail}, "acm_12345678.tail", []string{"token acm_12345678.tail"}},
		{"bytes that are no UTF-8", []Detector{ticket}, "\xff\xfeACME-1234-abc\xff", []string{"ticket ACME-1234-abc"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := found(compiledSet(t, tt.ds), tt.text); !slices.Equal(got, tt.want) {
				t.Errorf("found %q, want %q", got, tt.want)
			}
		})
	}
}

func TestNoDetectors(t *testing.T) {
	if got := compiledSet(t, nil).Find(nil, prose); len(got) > 0 {
		t.Errorf("found %v", got)
	}
}

// TestMasked: what stands in the place of a secret is not found again.
func TestMasked(t *testing.T) {
	s := compiledSet(t, on())
	for _, d := range Builtin() {
		for _, text := range d.Examples {
			for _, mask := range []string{"[REDACTED]", "[REDACTED:hmac:" + some(32, hexa) + "]"} {
				var masked strings.Builder
				at := 0
				for _, m := range s.Find(nil, text) {
					masked.WriteString(text[at:m.Start] + mask)
					at = m.End
				}
				masked.WriteString(text[at:])
				if got := found(s, masked.String()); len(got) > 0 {
					t.Errorf("in %q it finds %q", masked.String(), got)
				}
			}
		}
	}
}

func TestFindAppends(t *testing.T) {
	s := compiledSet(t, on())
	before := Match{Start: 7, End: 9, Detector: "before"}
	got := s.Find([]Match{before}, fake("AKIA", some(16, base32)))
	if len(got) != 2 || got[0] != before || got[1] != (Match{0, 20, "aws-access-key-id"}) {
		t.Errorf("found %v", got)
	}
	if s.Find([]Match{before}, "nothing"); got[0] != before {
		t.Errorf("what was there before is now %v", got[0])
	}
}

// TestExamplesTogether puts all examples into one text.
func TestExamplesTogether(t *testing.T) {
	s := compiledSet(t, Builtin())
	var text strings.Builder
	var want []Match
	for _, d := range Builtin() {
		alone := compiledSet(t, []Detector{d})
		for _, example := range d.Examples {
			for _, m := range alone.Find(nil, example) {
				want = append(want, Match{text.Len() + m.Start, text.Len() + m.End, d.Name})
			}
			text.WriteString(example + "\n" + strings.Repeat("-\n", 200))
		}
	}
	got := s.Find(nil, text.String())
	for _, w := range want {
		if !covered(got, w.Start, w.End) {
			t.Errorf("%s: %q is not found", w.Detector, text.String()[w.Start:w.End])
		}
	}
}

// prose is text as agents handle it: words of credentials and no credential.
const prose = `The token of each request is checked; see auth/token_service.go:42 for the API key rotation.
risk-averse task-list sk-learn disk-usage; "password": null, secret_name = var.secret_name
	func (s *Server) token(ctx context.Context, key string) (string, error) { return s.tokens[key], nil }
commit 3f786850e387550fdab836ed7e6dc881de23001b https://example.org/a/b?page=2&token=3 2026-11-25T04:54:27Z
`

func TestFindAllocatesNothing(t *testing.T) {
	s := compiledSet(t, on())
	text := strings.Repeat(prose, 20)
	if got := found(s, text); len(got) > 0 {
		t.Fatalf("found %q in prose", got)
	}
	if n := testing.AllocsPerRun(100, func() { s.Find(nil, text) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestLinear counts the bytes that regular expressions go through, for texts
// made to have patterns tried again and again.
func TestLinear(t *testing.T) {
	s := compiledSet(t, Builtin())
	hostile := []string{
		"sk-", "-sk-proj-", " sk-ant-api03-", "eyJ.", "-eyJhbGciOiJIUzI1NiJ9", ".eyJhbGciOiJIUzI1NiJ9", "token=", "token=a1b2c3d4e5f6g7h8", "tokentoken",
		"secret=secret1secret", "-----BEGIN PRIVATE KEY-----\n", "-----BEGIN PRIVATE KEY-----", "4111 1111 ", "1 ", "11111111111111 ", "://a:", "://a:b@", "a@", "+1 ",
		"DE89 3704 ", "AccountKey=", "heroku_key=", "kagi kagi", ":AA", "$2a$10$", "$6$a$", "$krb5tgs$23$", `{"kty":"d"`, "ops_eyJ", "AAAAAAAAAAAAAAAAAAAA",
		"pwd=a;", "server=a;password=", "bearer ", "basic a", "xoxb-", "-us1", "Private-Lines: 1\n", "00D", "AZDO", "JQQJ9", "atlasv1 .atlasv1.", "4", "a", " ", "\\n",
	}
	for _, d := range Builtin() {
		hostile = append(hostile, d.Keywords...)
		hostile = append(hostile, strings.Join(d.Keywords, " "), strings.Join(d.Examples, ""), strings.Join(d.CounterExamples, " "))
	}
	size := testlong.Of(1<<13, 1<<14)
	for _, piece := range hostile {
		if piece == "" {
			continue
		}
		text := strings.Repeat(piece, size/len(piece)+1)[:size]
		_, half := s.find(nil, text[:size/2])
		_, whole := s.find(nil, text)
		// The pattern of iban sees every text once. Others see it where they
		// have a keyword, and no byte twice.
		if limit := 10 * size; whole > limit {
			t.Errorf("%d bytes of %q: regular expressions go through %d bytes, want %d at most", size, short(piece), whole, limit)
		}
		if limit := 2*half + half/4 + 2048; whole > limit {
			t.Errorf("%q: regular expressions go through %d bytes of a text and %d of half of it", short(piece), whole, half)
		}
	}
}

func short(s string) string { return fmt.Sprintf("%.60s", s) }

func FuzzFind(f *testing.F) {
	for _, d := range Builtin() {
		for _, text := range slices.Concat(d.Examples, d.CounterExamples) {
			f.Add(text)
		}
	}
	f.Add(prose)
	all := compiledSet(f, Builtin())
	again := compiledSet(f, Builtin())
	f.Fuzz(func(t *testing.T, text string) {
		got := all.Find(nil, text)
		end := 0
		for _, m := range got {
			if m.Start < end || m.End <= m.Start || m.End > len(text) || m.Detector == "" {
				t.Fatalf("match %v after %d in %d bytes", m, end, len(text))
			}
			end = m.End
		}
		if other := again.Find(nil, text); !slices.Equal(got, other) {
			t.Fatalf("found %v, then %v", got, other)
		}
		// The automaton must not lose a keyword that is there.
		if len(text) > 0 && len(all.Find(nil, text+"\n"+fake("ghp_", some(36, alnum)))) == 0 {
			t.Fatal("a token at the end is not found")
		}
	})
}

func TestAutomaton(t *testing.T) {
	keywords := []string{"he", "she", "his", "hers", "e-mail", "-ma"}
	a := newAutomaton(keywords)
	text := "usHERs e-mail she"
	var got []string
	state := uint32(0)
	for i := range len(text) {
		if state = a.next[state+uint32(a.class[text[i]])]; state >= a.first {
			for _, k := range a.ends[(state-a.first)/a.width] {
				got = append(got, fmt.Sprintf("%s %d", keywords[k], i+1))
			}
		}
	}
	want := []string{"she 4", "he 4", "hers 6", "-ma 11", "e-mail 13", "she 17", "he 17"}
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

func BenchmarkFind(b *testing.B) {
	s := compiledSet(b, on())
	for _, bb := range []struct{ name, text string }{
		{"prose/1kB", strings.Repeat(prose, 3)[:1024]},
		{"prose/64kB", strings.Repeat(prose, 200)[:1<<16]},
		{"spaces/64kB", strings.Repeat(" ", 1<<16)},
		{"base64/64kB", some(1<<16, b64)},
		{"secrets/1kB", strings.Repeat(prose, 3)[:900] + fake("ghp_", some(36, alnum))},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.SetBytes(int64(len(bb.text)))
			b.ReportAllocs()
			var dst []Match
			for b.Loop() {
				dst = s.Find(dst[:0], bb.text)
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := Compile(on()); err != nil {
			b.Fatal(err)
		}
	}
}
