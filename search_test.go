package custody

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/custodylog/custody/event"
)

// said are words of the events that are searched, and sought those that are looked for
// beside them.
var (
	said   = []string{"Alpha", "beta", "ÉCOLE", "straße", "Σίσυφος", "\u212aelvin", "日本", `say "so"`, `back\slash`, "tab\there", "İstanbul", "rm -rf /", "x"}
	sought = []string{"nowhere", "agent_id", "alph", "LPHA", "École", "kelvin", "istanbul", "本", `\`, "so", "rf /", "action_", "a", "note"}
)

// told returns random events that say some of the words.
func told(rng *rand.Rand, n int) []event.Event {
	events := randomEvents(rng, n, time.Now().UTC())
	for i := range events {
		if events[i].Details == nil {
			events[i].Details = map[string]any{}
		}
		var notes []string
		for range rng.IntN(4) {
			notes = append(notes, said[rng.IntN(len(said))])
		}
		events[i].Details["note"] = strings.Join(notes, " ")
		events[i].Details[said[rng.IntN(2)]] = rng.IntN(3)
	}
	return events
}

// searchedTrail returns a trail, a part of whose payloads is erased, with what its
// payloads say in small letters.
func searchedTrail(t *testing.T, rng *rand.Rand) (trail *Trail, model []stored, lower []string) {
	trail = onMem(t, Options{})
	record(t, trail, told(rng, 60)...)
	get(trail.Erase(t.Context(), Erasure{Query: Query{UserID: "user-1", Types: []event.Type{event.ActionRequested, event.ActionExecuted, event.TurnEnded}}, Ground: "g", By: "b"}))(t)
	for i := range trail.Size() {
		e := get(trail.Entry(t.Context(), i))(t)
		model = append(model, stored{i, e.Time, get(e.Event())(t)})
		lower = append(lower, strings.ToLower(string(e.Payload)))
	}
	return trail, model, lower
}

// quoted writes a word as a payload has it.
func quoted(t *testing.T, word string) string {
	b := get(json.Marshal(strings.ToLower(word)))(t)
	return string(b[1 : len(b)-1])
}

// search returns the indices that a search finds, which goes on until it is done or has
// its limit, and in how many steps.
func search(t *testing.T, trail *Trail, s Search) (found []uint64, steps int) {
	t.Helper()
	limit := s.Query.Limit
	for {
		steps++
		done := get(trail.Search(t.Context(), s, func(e Entry) bool {
			found = append(found, e.Index)
			return true
		}))(t)
		if done.Done || limit > 0 && len(found) == limit {
			return found, steps
		}
		if done.Entries == 0 || s.MaxEntries > 0 && done.Entries > s.MaxEntries {
			t.Fatalf("a step that may look at %d looks at %d entries", s.MaxEntries, done.Entries)
		}
		if s.Query = s.Query.After(done.Last); limit > 0 {
			s.Query.Limit = limit - len(found)
		}
	}
}

// Ten thousand searches find what reading everything finds, in one go or in small steps.
func TestSearches(t *testing.T) {
	t.Parallel()
	rng := newRand(t)
	trail, model, lower := searchedTrail(t, rng)
	total, inSteps := 0, 0
	for range 10_000 {
		q := Query{Newest: rng.IntN(2) == 0, Limit: rng.IntN(3) * rng.IntN(8)}
		if rng.IntN(4) == 0 {
			q = randomQuery(rng, model)
		} else if rng.IntN(2) == 0 {
			q.From = rng.Uint64N(50)
			q.To = q.From + 1 + rng.Uint64N(20)
		}
		var words []string
		for range rng.IntN(4) {
			words = append(words, slices.Concat(said, sought)[rng.IntN(len(said)+len(sought))])
		}
		// The words as somebody types them: one with spaces in quotes, if it has none.
		var text strings.Builder
		var parts []string
		for _, w := range words {
			switch {
			case rng.IntN(3) == 0:
				w = strings.ToUpper(w)
			case rng.IntN(3) == 0:
				w = strings.ToLower(w)
			}
			if strings.Contains(w, `"`) {
				w = strings.ReplaceAll(w, `"`, " ")
			}
			if rng.IntN(2) == 0 {
				parts = append(parts, w)
				text.WriteString(` "` + w + `"`)
				continue
			}
			parts = append(parts, strings.Fields(w)...)
			text.WriteString(" " + w)
		}
		limit := q.Limit
		q.Limit = 0
		var want []uint64
		for _, i := range naive(model, q) {
			if !slices.ContainsFunc(parts, func(w string) bool { return !strings.Contains(lower[i], quoted(t, w)) }) {
				want = append(want, i)
			}
		}
		if q.Limit = limit; limit > 0 && len(want) > limit {
			want = want[:limit]
		}
		total += len(want)
		s := Search{Query: q, Text: text.String(), MaxEntries: rng.Uint64N(2) * rng.Uint64N(12)}
		got, steps := search(t, trail, s)
		if !slices.Equal(got, want) {
			t.Fatalf("%q in %+v, %d at a time\ngot  %s\nwant %s", s.Text, q, s.MaxEntries, brief(got), brief(want))
		}
		if steps > 1 {
			inSteps++
		}
	}
	if total < 10_000 || inSteps < 1000 {
		t.Errorf("only %d entries were found, and %d searches took several steps", total, inSteps)
	}
}

func TestSearchBounds(t *testing.T) {
	trail := onMem(t, Options{})
	var events []event.Event
	for i := range 100 {
		events = append(events, event.Event{Type: event.TurnEnded, SessionID: "s", UserID: []string{"even", "odd"}[i%2], Timestamp: time.Unix(int64(i), 0)})
	}
	record(t, trail, events...)
	begin := trail.Size() - 100 // what stands before
	for _, tt := range []struct {
		name    string
		search  Search
		found   int
		entries uint64
		last    uint64
		done    bool
	}{
		{"everything", Search{Text: "odd"}, 50, 100, 99, true},
		{"no words", Search{}, 100, 100, 99, true},
		{"a bound that just suffices", Search{Text: "odd", MaxEntries: 100}, 50, 100, 99, true},
		{"a bound that does not", Search{Text: "odd", MaxEntries: 99}, 49, 99, 98, false},
		{"the newest first", Search{Query: Query{Newest: true}, Text: "odd", MaxEntries: 30}, 15, 30, 70, false},
		{"a limit", Search{Query: Query{Limit: 3}, Text: "odd"}, 3, 6, 5, false},
		{"a value", Search{Fields: map[string]string{"/user_id": "odd"}, MaxEntries: 30}, 15, 30, 29, false},
		{"two values", Search{Fields: map[string]string{"/user_id": "odd", "/severity": "info"}, Query: Query{Limit: 3}}, 3, 6, 5, false},
		{"a value that none has", Search{Fields: map[string]string{"/user_id": "odd", "/severity": "critical"}}, 0, 100, 99, true},
		{"a word and a value", Search{Text: "odd", Fields: map[string]string{"/user_id": "even"}}, 0, 100, 99, true},
		{"no time", Search{Text: "odd", MaxTime: 1}, searchedEach / 2, searchedEach, searchedEach - 1, false},
		{"what a filter keeps out is looked at too", Search{Query: Query{OccurredSince: time.Unix(90, 0)}, Text: "odd", MaxEntries: 40}, 0, 40, 39, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found, told := 0, Searched{}
			tt.search.Query.From += begin
			tt.search.Progress = func(s Searched) { told = s }
			done, err := trail.Search(t.Context(), tt.search, func(Entry) bool { found++; return true })
			if err != nil || found != tt.found || done.Entries != tt.entries || done.Last != begin+tt.last || done.Done != tt.done {
				t.Errorf("%d found, %+v, %v; want %+v", found, done, err, tt)
			}
			if e := get(trail.Entry(t.Context(), done.Last))(t); !e.Time.Equal(done.Time) {
				t.Errorf("the last entry is of %s, it says %s", e.Time, done.Time)
			}
			if want := (done.Entries - 1) / searchedEach * searchedEach; tt.search.Query.Limit == 0 && tt.name != "no time" && told.Entries != want {
				t.Errorf("the progress ends with %d, and not %d", told.Entries, want)
			}
		})
	}
	var kept []Entry
	get(trail.Search(t.Context(), Search{Text: "odd"}, func(e Entry) bool { kept = append(kept, e); return true }))(t)
	for _, e := range kept {
		if want := get(trail.Entry(t.Context(), e.Index))(t); !reflect.DeepEqual(e, want) {
			t.Fatalf("entry %d does not stay as it was found: %+v, want %+v", e.Index, e, want)
		}
	}
	done, err := trail.Search(t.Context(), Search{Query: Query{From: begin}}, func(e Entry) bool { return e.Index < begin+5 })
	if err != nil || done.Entries != 6 || done.Done {
		t.Errorf("ended by whoever gets it: %+v, %v", done, err)
	}
	for text, want := range map[string]string{`"`: "a double quote is not closed", "\xff": "UTF-8", strings.Repeat("w ", 17): "17 words"} {
		if _, err := trail.Search(t.Context(), Search{Text: text}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What was redacted is not found, and what stands in its place is. What was erased is
// not found either.
func TestSearchFindsWhatIsHeld(t *testing.T) {
	trail := onMem(t, Options{})
	const secret = "AKIAQ3EGRSSPZL5WABCD" // as access keys look
	record(t, trail, event.Event{Type: event.TurnEnded, SessionID: "kept", Details: map[string]any{"note": "the key " + secret}},
		event.Event{Type: event.TurnEnded, SessionID: "gone", Details: map[string]any{"note": "something private"}})
	count := func(text string) int {
		found, _ := search(t, trail, Search{Query: Query{Types: []event.Type{event.TurnEnded}}, Text: text})
		return len(found)
	}
	if n := count("private"); n != 1 {
		t.Errorf("%d entries say it before it is erased", n)
	}
	get(trail.Erase(t.Context(), Erasure{Query: Query{SessionID: "gone"}, Ground: "g", By: "b"}))(t)
	for text, want := range map[string]int{secret: 0, strings.ToLower(secret): 0, `"the key"`: 1, "redacted": 1, "private": 0, "gone": 0, "": 2} {
		if n := count(text); n != want {
			t.Errorf("%q: %d entries, want %d", text, n, want)
		}
	}
}

// Steps that lead on from one another neither miss nor repeat anything that was there
// at the first of them, while others record and erase.
func TestSearchWhileWriting(t *testing.T) {
	t.Parallel()
	rng := newRand(t)
	trail := onMem(t, Options{})
	record(t, trail, told(rng, 200)...)
	var writing sync.WaitGroup
	stop := make(chan struct{})
	events := told(rng, 2000)
	writing.Go(func() {
		for len(events) > 0 {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := trail.RecordBatch(t.Context(), events[:10]); err != nil {
				t.Error(err)
				return
			}
			events = events[10:]
		}
	})
	for range 8 {
		for _, newest := range []bool{false, true} {
			size := trail.Size()
			q := Query{Newest: newest, To: size}
			want, _ := search(t, trail, Search{Query: q, Text: "alpha"})
			got, steps := search(t, trail, Search{Query: q, Text: "alpha", MaxEntries: 7})
			if !slices.Equal(got, want) || len(want) == 0 || steps < 10 {
				t.Fatalf("newest %v: in %d steps\ngot  %s\nwant %s", newest, steps, brief(got), brief(want))
			}
		}
	}
	close(stop)
	writing.Wait()
}

// An entry that does not check out ends a search, whatever it says.
func TestSearchAltered(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "trail")
	keys := t.TempDir()
	get(Create(dir, CreateOptions{Origin: origin, KeyDir: keys}))(t)
	trail := openTrail(t, dir, Options{KeyDir: keys})
	record(t, trail, event.Event{Type: event.TurnEnded, SessionID: "s", Details: map[string]any{"note": "original"}})
	var found string
	for _, name := range get(filepath.Glob(filepath.Join(dir, "*", "*")))(t) {
		b := get(os.ReadFile(name))(t)
		if altered := []byte(strings.Replace(string(b), "original", "0riginal", 1)); string(altered) != string(b) {
			must(t, os.WriteFile(name, altered, 0o600))
			found = name
		}
	}
	if found == "" {
		t.Fatal("no file has the payload")
	}
	for _, text := range []string{"original", "0riginal", "nothing of the kind"} {
		if _, err := trail.Search(t.Context(), Search{Text: text}, func(Entry) bool { return true }); !errors.Is(err, ErrAltered) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
