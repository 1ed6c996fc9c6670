package textsearch

import (
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

func TestWords(t *testing.T) {
	e := event.Event{Type: event.ActionRequested, ID: "1", AgentID: "Planner", Timestamp: time.Unix(0, 0),
		Details: map[string]any{"resource": `rm -rf "build"`, "note": "über\nalles ÉCOLE <b> \x01"}}
	payload, err := e.AppendPayload(nil)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"":                       true,
		"   ":                    true,
		`""`:                     true,
		"planner":                true,
		"PLANNER build":          true,
		"build planner":          true,
		"planner nobody":         false,
		`"rm -rf"`:               true,
		`"-rf rm"`:               false,
		`rm "-rf"`:               true,
		"école":                  true,
		"ÜBER":                   true,
		"<b>":                    true,
		"\x01":                   true,
		"\\":                     false, // that of an escape is none
		"alles":                  true,
		"agent_id":               true,
		`"action_requested","id`: false,
	} {
		words, err := Parse(text)
		if strings.Count(text, `"`)%2 == 1 {
			if err == nil {
				t.Errorf("%q is read as %q", text, words)
			}
			continue
		}
		if err != nil || words.In(payload) != want {
			t.Errorf("%q, as %q: %v, %v, want %v", text, words, words.In(payload), err, want)
		}
	}
	for _, text := range []string{`"`, `a "b`, "\xff", strings.Repeat("a ", maxWords+1)} {
		if words, err := Parse(text); err == nil {
			t.Errorf("%.20q is read as %.20q", text, words)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"", "a b", `a "b c" d`, `"`, "\x00", "É"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words, err := Parse(text)
		if err != nil {
			return
		}
		// What is looked for is found in a payload that is the text.
		payload, err := event.AppendJSON(nil, strings.ReplaceAll(text, `"`, " "))
		if err != nil {
			t.Fatal(err)
		}
		if text == strings.ToLower(text) && !words.In(payload) {
			t.Errorf("%q is not in %s", words, payload)
		}
	})
}

// entries yields so many, the newest first, of which every tenth says ten. It fails
// behind them if there is an error.
func entries(n int, err error) iter.Seq2[custody.Entry, error] {
	return func(yield func(custody.Entry, error) bool) {
		for i := n - 1; i >= 0; i-- {
			e := custody.Entry{Index: uint64(i), Payload: []byte(`{"n":"one"}`)}
			if i%10 == 0 {
				e.Payload = []byte(`{"n":"Ten"}`)
			}
			if i%20 == 0 {
				e.Payload = nil
			}
			if !yield(e, nil) {
				return
			}
		}
		if err != nil {
			yield(custody.Entry{}, err)
		}
	}
}

func TestFind(t *testing.T) {
	words, err := Parse("ten")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		budget Budget
		stop   int // behind so many
		want   []uint64
		end    Progress
	}{
		{"all", Budget{}, -1, []uint64{90, 70, 50, 30, 10}, Progress{Looked: 100, Done: true}},
		{"as far as the budget goes", Budget{Entries: 35}, -1, []uint64{90, 70}, Progress{Looked: 35, Last: 65}},
		{"a budget that just suffices", Budget{Entries: 100}, -1, []uint64{90, 70, 50, 30, 10}, Progress{Looked: 100, Done: true}},
		{"until there is enough", Budget{Entries: 35}, 1, []uint64{90}, Progress{Looked: 10, Last: 90}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []uint64
			end, err := words.Find(entries(100, nil), tt.budget, func(e *custody.Entry) bool {
				got = append(got, e.Index)
				return len(got) != tt.stop
			})
			if err != nil || !slices.Equal(got, tt.want) || end != tt.end {
				t.Errorf("%v, %+v, %v; want %v, %+v", got, end, err, tt.want, tt.end)
			}
		})
	}
	if end, err := words.Find(entries(10_000, nil), Budget{Time: 1}, func(*custody.Entry) bool { return true }); err != nil || end.Done || end.Looked != timeEach-1 {
		t.Errorf("no time: %+v, %v", end, err)
	}
	broken := errors.New("broken")
	if _, err := words.Find(entries(10, broken), Budget{}, func(*custody.Entry) bool { return true }); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}
