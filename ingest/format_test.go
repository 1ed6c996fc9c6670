package ingest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/custodylog/custody/event"
)

func TestIDs(t *testing.T) {
	sum := func(s string) [32]byte { return [32]byte([]byte(strings.Repeat(s, 32))) }
	names := func(records ...string) []string {
		d := ids{format: "f"}
		var all []string
		for _, r := range records {
			digest, own, _ := strings.Cut(r, "=")
			all = append(all, d.next(sum(digest), own))
		}
		return all
	}
	all := names("a", "a", "b", "a=x", "a=x", "b=x", "c=y", "c=x#2", "c="+strings.Repeat("z", 257))
	if got := strings.Join(all[3:7], " "); got != "f:x f:x#2 f:x#3 f:y" {
		t.Errorf("own ids %s", got)
	}
	seen := map[string]bool{}
	for i, id := range all {
		if seen[id] || len(id) > 300 {
			t.Errorf("record %d: %s", i, id)
		}
		seen[id] = true
	}
	// A beginning gives the same ids; other records before it give others.
	if got := names("a", "a"); got[0] != all[0] || got[1] != all[1] {
		t.Errorf("%q, then %q", all[:2], got)
	}
	if got := names("b", "a"); got[1] == all[1] {
		t.Errorf("the same id %s after other records", got[1])
	}
}

func TestRecent(t *testing.T) {
	var r Recent[int]
	if _, ok := r.Get("none"); ok {
		t.Error("found in nothing")
	}
	for i := range 3*RecentKeys + 7 {
		r.Set(fmt.Sprint(i), i)
		if i >= RecentKeys {
			if v, ok := r.Get(fmt.Sprint(i - RecentKeys + 1)); !ok || v != i-RecentKeys+1 {
				t.Fatalf("after %d: %d, %v", i, v, ok)
			}
		}
	}
	if n := len(r.young) + len(r.old); n > 2*RecentKeys {
		t.Errorf("%d keys", n)
	}
	if _, ok := r.Get("0"); ok {
		t.Error("the first key is still there")
	}
}

func TestFit(t *testing.T) {
	const limit = 20_000
	long := strings.Repeat(`long "text" ☃ `, 5000)
	many := map[string]any{}
	for i := range 2000 {
		many[fmt.Sprint("name", i)] = "value"
	}
	for _, tt := range []struct {
		name  string
		event event.Event
		check func(e event.Event) bool
	}{
		{"small", event.Event{Type: "x", Details: map[string]any{"a": strings.Repeat("a", 15_000)}},
			func(e event.Event) bool { return e.Details["cut"] == nil && e.Defects == nil }},
		{"one long string", event.Event{Type: "x", Details: map[string]any{"a": []any{map[string]any{"b/": long}}, "c": "short", "cut": 1}},
			func(e event.Event) bool {
				mark := e.Details["_cut"].([]any)[0].(map[string]any)
				return mark["pointer"] == "/details/a/0/b~1" && mark["digest"] == TextDigest(long) && e.Details["c"] == "short" && e.Details["cut"] == 1
			}},
		{"two long strings", event.Event{Type: "x", Details: map[string]any{"a": long, "b": long[:9000], "c": strings.Repeat("c", 2000)}},
			func(e event.Event) bool {
				return len(e.Details["cut"].([]any)) == 2 && len(e.Details["c"].(string)) == 2000
			}},
		{"many small values", event.Event{Type: "x", AgentID: "a", Details: map[string]any{"tool_name": "Bash", "many": many}},
			func(e event.Event) bool {
				return e.AgentID == "a" && e.Details["tool_name"] == "Bash" && strings.HasPrefix(e.Details["many"].(string), `{"name0":"value"`)
			}},
		{"long member", event.Event{Type: "x", SessionID: long, Details: map[string]any{"a": 1}},
			func(e event.Event) bool {
				return e.SessionID == "" && strings.HasPrefix(long, e.Details["session_id_raw"].(string)) && len(e.Details["session_id_raw"].(string)) > 10_000
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before, err := tt.event.AppendPayload(nil)
			if err != nil {
				t.Fatal(err)
			}
			e := tt.event
			if !fit(&e, limit) {
				t.Fatal("it did not fit")
			}
			b, err := e.AppendPayload(nil)
			if err != nil || len(b) > limit || !tt.check(e) {
				t.Errorf("%d bytes, %v: %s", len(b), err, Short(string(b), 300))
			}
			if len(before) > limit && len(b) < limit*8/10 {
				t.Errorf("only %d of %d bytes are used", len(b), limit)
			}
			if again, err := tt.event.AppendPayload(nil); err != nil || !bytes.Equal(before, again) {
				t.Error("the event that was given is modified")
			}
		})
	}
}

func TestTooLongRecord(t *testing.T) {
	f := Format{Name: "f", Unknown: "f_line", Parse: ParseObjects(
		func(rec map[string]any) string { return Text(rec, "id") },
		func(rec map[string]any, id string) []Item {
			return []Item{{Event: event.Event{Type: "f_event", Details: rec}, Mapped: true}, {Event: event.Event{Type: "f_more"}, Mapped: true}}
		})}
	long := `{"id":"a","x":"` + strings.Repeat("x", 2000) + `"}`
	var got []string
	for item, err := range f.Read(strings.NewReader(`{"id":"b"}`+"\n"+long+"\n"+`{"id":"c"}`), Source{MaxRecord: 500}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(item.Event.Type)+" "+item.Event.ID)
		if item.Event.Type == f.Unknown {
			mark := item.Event.Details["cut"].([]any)[0].(map[string]any)
			if item.Mapped || item.Event.Details["raw"] != long[:500] || mark["bytes"] != int64(len(long)) || mark["digest"] != TextDigest(long) ||
				!strings.Contains(item.Note, "2017 bytes, more than the limit of 500") {
				t.Errorf("%+v", item)
			}
			got[len(got)-1] = "long"
		}
	}
	if s := strings.Join(got, ", "); s != "f_event f:b:0, f_more f:b:1, long, f_event f:c:0, f_more f:c:1" {
		t.Error(s)
	}
}
