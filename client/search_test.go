package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

// searchedSite fills a server with events, every tenth of which says Rare, and which looks
// through ten entries for each request.
func searchedSite(t *testing.T) *site {
	t.Helper()
	s := newSite(t)
	s.limits.Searched = 10
	s.restart(nil)
	var events []event.Event
	for i := range 95 {
		e := turn("", "s-1")
		e.Details = map[string]any{"note": "common"}
		if i%10 == 0 {
			e.Details["note"] = "Rare wörd"
		}
		events = append(events, e)
	}
	_, err := s.trail().RecordBatch(t.Context(), events)
	must(t, err)
	return s
}

// searcher is a trail in a directory or on a server.
type searcher interface {
	Search(context.Context, custody.Search, func(custody.Entry) bool) (custody.Searched, error)
}

// search returns what a search finds, up to so many entries (0: all).
func search(t *testing.T, tr searcher, s custody.Search, most int) (found []custody.Entry, done custody.Searched) {
	t.Helper()
	done, err := tr.Search(t.Context(), s, func(e custody.Entry) bool {
		found = append(found, e)
		return len(found) != most
	})
	must(t, err)
	return found, done
}

// A search on a server finds what one in the directory does, over as many requests as
// that takes, and comes as far.
func TestSearch(t *testing.T) {
	s := searchedSite(t)
	c, l := s.open(nil), s.trail()
	for _, of := range []custody.Search{
		{Text: "rare"}, {Text: `"RARE WÖRD"`, Query: custody.Query{Newest: true}}, {Text: "nowhere"}, {}, {Fields: map[string]string{"/details/note": "Rare wörd", "/session_id": "s-1"}}, {Fields: map[string]string{"/details/note": "Rare"}}, {Text: "  "},
		{Text: "rare", Query: custody.Query{Limit: 3}}, {Text: "rare", Query: custody.Query{Limit: 3, Newest: true}}, {Text: "rare", Query: custody.Query{Limit: 10}},
		{Text: "rare", Query: custody.Query{From: 12, To: 60}}, {Text: "rare", Query: custody.Query{From: 5, To: 5}}, {Text: "rare", Query: custody.Query{SessionID: "none"}},
	} {
		got, done := search(t, c, of, 0)
		want, end := search(t, l, of, 0)
		if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(done, end) {
			t.Errorf("%+v: %d entries, want %d; %+v, want %+v", of, len(got), len(want), done, end)
		}
	}

	// One that was left early goes on behind the last that was found.
	for _, of := range []custody.Search{{Text: "rare"}, {Text: "common"}, {Text: "common", Query: custody.Query{Newest: true}}} {
		whole, _ := search(t, l, of, 0)
		first, done := search(t, c, of, 4)
		of.Query = of.Query.After(done.Last)
		rest, _ := search(t, c, of, 0)
		if len(first) != 4 || done.Done || !reflect.DeepEqual(append(first, rest...), whole) {
			t.Errorf("%+v: %d and %d entries of %d, %+v", of, len(first), len(rest), len(whole), done)
		}
	}

	told := 0
	found, done := search(t, c, custody.Search{Text: "rare", MaxEntries: 25, Progress: func(custody.Searched) { told++ }}, 0)
	if len(found) != 3 || done.Entries != 30 || done.Last != 29 || done.Done || told != 3 {
		t.Errorf("with a bound: %d found, %+v, progress was told %d times", len(found), done, told)
	}
	if _, done := search(t, c, custody.Search{MaxTime: 1}, 0); done.Entries != 10 || done.Done {
		t.Errorf("without time: %+v", done)
	}
}

func TestSearchErrors(t *testing.T) {
	s := searchedSite(t)
	none := func(custody.Entry) bool { t.Error("something is found"); return true }
	if _, err := s.open(&Options{Token: s.reader}).Search(t.Context(), custody.Search{Text: "rare"}, none); asProblem(err) == nil || !strings.Contains(err.Error(), "may not look for words") {
		t.Errorf("whoever may not read payloads: %v", err)
	}
	if _, err := s.open(nil).Search(t.Context(), custody.Search{Fields: map[string]string{"/a=b": "c"}}, none); err == nil || !strings.Contains(err.Error(), "name has a =") {
		t.Errorf("a name that cannot be sent: %v", err)
	}
	if _, err := s.open(nil).Search(t.Context(), custody.Search{Text: `"`}, none); err == nil || !strings.Contains(err.Error(), "not closed") {
		t.Errorf("no words: %v", err)
	}
	// A server that leads in a circle, or nowhere, is found out.
	for _, lie := range [][2]string{{`"last":19`, `"last":9`}, {`"entries":10`, `"entries":0`}} {
		s.restart(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Header.Del("Accept-Encoding")
				rec := httptest.NewRecorder()
				next.ServeHTTP(rec, r)
				io.WriteString(w, strings.ReplaceAll(rec.Body.String(), lie[0], lie[1]))
			})
		})
		if _, err := s.open(nil).Search(t.Context(), custody.Search{Text: "nowhere"}, none); !errors.Is(err, custody.ErrAltered) {
			t.Errorf("%s: %v", lie[1], err)
		}
	}
}
