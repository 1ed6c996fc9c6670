package redaction

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody/event"
)

// generator makes details with secrets and other strings in them. Which of the
// two a string is, it says itself.
type generator struct {
	*rand.Rand
	secrets, plain []string
}

var (
	secretNames = []string{"password", "API_KEY", "refreshToken", "X-Api-Key", "credentials", "auth", "pwd", "Set-Cookie", "clientSecret"}
	plainNames  = []string{"author", "name", "max_tokens", "token_type", "url", "a/b", "~", "", "é", `q"\`, "0"}
	wrappers    = []string{"", "\n", `"\`, "é\u2028", "<&>", "[", "{", "\x00"}
)

// text returns a string that is one of a kind. It stands in wrappers that have
// to be escaped, none of which make it JSON.
func (g *generator) text(secret bool) string {
	w := wrappers[g.IntN(len(wrappers))]
	s := fmt.Sprintf("PLAIN%dX", len(g.plain))
	list := &g.plain
	if secret {
		s, list = fmt.Sprintf("SECRET%dX", len(g.secrets)), &g.secrets
	}
	*list = append(*list, s)
	return w + s + w
}

func (g *generator) name(names []string, i int) string {
	return fmt.Sprint(names[g.IntN(len(names))], "_", i)
}

// value makes a value of a random kind. texts is how many strings of JSON it
// may still put inside one another.
func (g *generator) value(secret bool, depth, texts int) any {
	kind := g.IntN(12)
	if depth == 0 {
		kind %= 3
	}
	switch kind {
	case 0, 1:
		return g.text(secret)
	case 2:
		return []any{nil, true, 7, 1.5, json.Number("12"), ""}[g.IntN(6)]
	case 3:
		return []string{g.text(secret), g.text(secret)}
	case 4:
		m := map[string]string{"x": g.text(secret)}
		m[g.name(secretNames, 1)] = g.text(true)
		return m
	case 5:
		return []any{g.value(secret, depth-1, texts), g.value(secret, depth-1, texts)}
	case 6:
		return []settings{{User: g.text(secret), Password: secretText(g.text(true))}}
	case 7:
		b, err := event.AppendJSON(nil, g.value(secret, depth-1, texts))
		if err != nil {
			panic(err)
		}
		return json.RawMessage(b)
	case 8, 9:
		if texts > 0 && !secret {
			b, err := json.MarshalIndent(g.object(secret, depth-1, texts-1), "", strings.Repeat(" ", g.IntN(3)))
			if err != nil {
				panic(err)
			}
			return string(b)
		}
	}
	return g.object(secret, depth-1, texts)
}

func (g *generator) object(secret bool, depth, texts int) map[string]any {
	m := map[string]any{}
	for i := range 1 + g.IntN(4) {
		if g.IntN(3) == 0 {
			m[g.name(secretNames, i)] = g.value(true, max(depth, 0), texts)
		} else {
			m[g.name(plainNames, i)] = g.value(secret, max(depth, 0), texts)
		}
	}
	return m
}

// Whatever stands under a name that says secret is gone from the payload, and
// whatever does not is still there.
func TestPlantedSecrets(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for i := range uint64(2000) {
		// Twice the same, for something to compare with.
		make := func() (*generator, event.Event) {
			g := &generator{Rand: rand.New(rand.NewPCG(seed, i))}
			return g, event.Event{Type: "x", Details: g.object(false, 6, maxTexts-1)}
		}
		g, e := make()
		got := Default().Redact(e)
		payload, err := got.AppendPayload(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range g.secrets {
			if strings.Contains(string(payload), s) {
				t.Fatalf("round %d: %s is in the payload %s", i, s, payload)
			}
		}
		for _, s := range g.plain {
			if !strings.Contains(string(payload), s) {
				t.Fatalf("round %d: %s is not in the payload %s", i, s, payload)
			}
		}
		if len(g.secrets) > 0 && len(got.Redactions) != len(g.secrets) {
			t.Fatalf("round %d: %d secrets, but %d redactions: %+v", i, len(g.secrets), len(got.Redactions), got.Redactions)
		}
		if _, before := make(); !reflect.DeepEqual(e, before) {
			t.Fatalf("round %d: the event was modified: %+v", i, e)
		}
		twice(t, got)
	}
}
