package mcpserver

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

// impatient is a trail that is looked through for a few entries at a time.
type impatient struct {
	Trail
	entries uint64
}

func (i impatient) Search(ctx context.Context, s custody.Search, found func(custody.Entry) bool) (custody.Searched, error) {
	s.MaxEntries = i.entries
	return i.Trail.Search(ctx, s, found)
}

func TestQueryText(t *testing.T) {
	r := newRig(t)
	var events []event.Event
	for i := range 40 {
		details := args{"note": "common"}
		if i%10 == 0 {
			details["note"] = "Rare wörd"
		}
		events = append(events, event.Event{Type: event.TurnEnded, ID: fmt.Sprint("t", i), SessionID: "s", Details: details})
	}
	r.record(events...)
	indices := func(in args) (all []string, a queryAnswer) {
		t.Helper()
		r.ask("query", in, &a)
		for _, e := range a.Entries {
			all = append(all, fmt.Sprint(e.Index))
		}
		return all, a
	}
	if got, a := indices(args{"text": `"rare WÖRD" turn_ended`}); strings.Join(got, " ") != "31 21 11 1" || a.More {
		t.Errorf("%v, %+v", got, a)
	}
	if got, a := indices(args{"text": "rare", "limit": 2, "oldest": true}); strings.Join(got, " ") != "1 11" || !a.More || *a.Next != 11 {
		t.Errorf("%v, %+v", got, a)
	}
	if text, failed := r.call("query", args{"text": `"open`}); !failed || !strings.Contains(text, "a double quote is not closed") {
		t.Errorf("%s", text)
	}

	// It says how far it came, and goes on there.
	r.serve(Options{Trail: impatient{r.trail, 15}})
	var got []string
	in := args{"text": "rare"}
	for calls := 1; ; calls++ {
		more, a := indices(in)
		got = append(got, more...)
		if !a.More {
			if calls != 3 {
				t.Errorf("it took %d calls", calls)
			}
			break
		}
		if want := fmt.Sprintf("the words were looked for in 15 entries, as far as entry %d: call again with after=%d to look further", *a.Next, *a.Next); a.Note != want || calls > 5 {
			t.Fatalf("%q, want %q", a.Note, want)
		}
		in["after"] = *a.Next
	}
	if strings.Join(got, " ") != "31 21 11 1" {
		t.Errorf("%v", got)
	}
}
