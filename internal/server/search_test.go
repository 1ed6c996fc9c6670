package server

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/trails"
)

// saying is an event that says something.
func saying(session, text string) string {
	return fmt.Sprintf(`{"event_type":"turn_ended","session_id":%q,"details":{"note":%q}}`, session, text)
}

// found returns the indices that a list with words has, over all its pages, and what
// the pages said of how far they were.
func (s *site) found(query string) (got []uint64, told []searched) {
	s.t.Helper()
	for next, pages := "", 0; pages == 0 || next != ""; pages++ {
		p := decode[page](s.do("GET", events+"?"+query+"&cursor="+next, "").want(200))
		for _, e := range p.Entries {
			got = append(got, e.Index)
		}
		if p.Search == nil {
			s.t.Fatalf("%s: a page does not say how far it was looked", query)
		}
		if told, next = append(told, *p.Search), p.Next; pages > 1000 {
			s.t.Fatalf("%s goes on for ever", query)
		}
	}
	return got, told
}

func TestSearch(t *testing.T) {
	s := newSite(t, Limits{})
	sampleTrail(s)
	s.record(saying("s3", "Ein schöner ÄRGER about bash"))
	for query, want := range map[string]string{
		"text=bash": "1 4", "text=BASH&newest=true": "4 1", "text=bash&session_id=s3": "4", "text=" + url.QueryEscape(`"schöner ärger"`): "4",
		"text=bash+ärger": "4", "text=nowhere": "", "text=bash&limit=1": "1 4", "text=bash&from_index=2": "4", "text=bash&to_index=4": "1",
		"text=tool_name&event_type=action_requested":       "1",
		"field=/details/note=Ein+schöner+ÄRGER+about+bash": "4", "field=/event_type=turn_ended&field=/session_id=s3": "4", "field=/session_id=none": "",
		"field=/event_type=turn_ended&text=nowhere": "", "field=/event_type=turn_ended&session_id=s3&newest=true": "4", "text=%20&limit=2": "0 1 2 3 4",
	} {
		got, told := s.found(query)
		if fmt.Sprint(got) != "["+want+"]" {
			t.Errorf("%s: %v, want %s", query, got, want)
		}
		if last := told[len(told)-1]; last.Stopped {
			t.Errorf("%s: %+v", query, told)
		}
	}
	p := decode[page](s.do("GET", events+"?text=bash", "").want(200))
	if p.Search.Entries != 5 || p.Search.Last != 4 || p.Search.LastTime != p.Entries[1].Time || p.NextFrom == nil || *p.NextFrom != 5 {
		t.Errorf("%+v", p)
	}
	for query, why := range map[string]string{
		"text=" + url.QueryEscape(`"open`): "not closed", "text=" + strings.Repeat("w+", 17): "17 words", "text=" + strings.Repeat("w", 1025): "1024",
		"text=bash&wait=1": "query.wait", "field=/severity=info&wait=1": "query.wait",
		"field=severity=info": "POINTER=VALUE", "field=/severity": "POINTER=VALUE", "field=/a=1&field=/a=2": "cannot be", "field=/a=" + strings.Repeat("&field=/a=", 16): "16",
	} {
		if p := s.do("GET", events+"?"+query, "").problem(422, "invalid"); !strings.Contains(p.Detail, why) {
			t.Errorf("%s: %s", query, p.Detail)
		}
	}
	for _, path := range []string{"stream?text=bash", "counts?text=bash", "stream?field=/severity=info", "counts?field=/severity=info"} {
		if p := s.do("GET", "/v1/trails/default/"+path, "").problem(422, "invalid"); !strings.Contains(p.Detail, "cannot be chosen by words or fields") || !strings.Contains(p.Detail, "query."+path[strings.Index(path, "?")+1:strings.Index(path, "=")]+":") {
			t.Errorf("%s: %s", path, p.Detail)
		}
	}
	s.do("GET", "/v1/trails/default/timeline?session_id=s1&text=bash", "").problem(422, "invalid")
	s.do("POST", "/v1/trails/default/holds", `{"query":{"text":"bash"},"reason":"r"}`).problem(422, "invalid")
}

// A page that the budget ends says so and how far it came, and the pages go on from
// there: a full one as well.
func TestSearchBudget(t *testing.T) {
	s := newSite(t, Limits{Searched: 7})
	for i := range 40 {
		text := "common"
		if i%10 == 0 {
			text = "rare"
		}
		s.record(saying("s", text))
	}
	for _, tt := range []struct {
		query  string
		want   []uint64
		pages  int
		second searched
	}{
		{"text=rare", []uint64{1, 11, 21, 31}, 6, searched{Entries: 7, Last: 13, Stopped: true}},
		{"text=rare&newest=true", []uint64{31, 21, 11, 1}, 6, searched{Entries: 7, Last: 27, Stopped: true}},
		{"text=rare&limit=1&newest=true", []uint64{31, 21, 11, 1}, 9, searched{Entries: 3, Last: 31}},
		{"field=/details/note=rare", []uint64{1, 11, 21, 31}, 6, searched{Entries: 7, Last: 13, Stopped: true}},
		{"text=rare&session_id=none", nil, 1, searched{}},
		{"text=nowhere", nil, 6, searched{Entries: 7, Last: 13, Stopped: true}},
	} {
		t.Run(tt.query, func(t *testing.T) {
			got, told := s.with(t).found(tt.query)
			if !slices.Equal(got, tt.want) || len(told) != tt.pages {
				t.Fatalf("%v on %d pages, want %v on %d; %+v", got, len(told), tt.want, tt.pages, told)
			}
			if len(told) > 1 {
				if told[1].LastTime = ""; told[1] != tt.second {
					t.Errorf("the second page is of %+v, want %+v", told[1], tt.second)
				}
			}
			for i := range told {
				if told[i].Stopped && told[i].Entries != 7 {
					t.Errorf("page %d: %+v", i, told[i])
				}
			}
		})
	}
	next := decode[page](s.do("GET", events+"?text=rare", "").want(200)).Next
	for _, other := range []string{"text=common", "", "text=Rare", "text=rare&newest=true", "text=rare&session_id=s", "text=rare&field=/details/note=rare"} {
		s.do("GET", events+"?"+other+"&cursor="+next, "").problem(422, "invalid")
	}
}

// Pages with words neither miss nor repeat an entry while others record and erase.
func TestSearchPagesWhileWriting(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	s := newSite(t, Limits{Searched: 5})
	record := func() { s.record(saying(fmt.Sprint("s", rng.IntN(3)), []string{"this Word", "that"}[rng.IntN(2)])) }
	for range 30 {
		record()
	}
	for _, query := range []string{"text=WORD", "text=word&newest=true", "text=word&session_id=s1", "text=word&from_index=4&to_index=28&newest=true"} {
		t.Run(query, func(t *testing.T) {
			s := s.with(t)
			want, _ := s.found(query + "&limit=1000")
			var got []uint64
			size := s.trail(trails.Default).Size()
			for next, pages := "", 0; pages == 0 || next != ""; pages++ {
				p := decode[page](s.do("GET", events+fmt.Sprintf("?limit=%d&cursor=%s&%s", 1+rng.IntN(3), next, query), "").want(200))
				for _, e := range p.Entries {
					got = append(got, e.Index)
				}
				if p.Size != size || p.Search.Entries > 5 {
					t.Fatalf("%+v", p)
				}
				for range rng.IntN(3) {
					record()
				}
				next = p.Next
			}
			if !slices.Equal(got, want) || len(got) == 0 {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	}
}

// Whoever may not read payloads cannot find out what they say by asking for words, and
// what is found is read by whoever asks.
func TestSearchIsReading(t *testing.T) {
	s := newSite(t, Limits{})
	sampleTrail(s)
	s.record(saying("s3", "secret plan"))
	for _, text := range []string{"secret", "nothing", "%20", `"`} {
		p := s.do("GET", events+"?text="+text, "", "Test-Roles", "reader").problem(403, "forbidden")
		if !strings.Contains(p.Detail, "may not look for words") {
			t.Errorf("%q: %s", text, p.Detail)
		}
	}
	s.do("GET", events+"?field=/session_id=s3", "", "Test-Roles", "reader").problem(403, "forbidden")
	s.do("GET", events+"?text=", "", "Test-Roles", "reader").want(200)
	if n := len(decode[page](s.do("GET", events+"?text=bash", "", "Test-Roles", "payload_reader").want(200)).Entries); n != 1 {
		t.Errorf("%d entries", n)
	}
	s.api.noteReads()
	told := s.told(trails.System, event.AccessRead)
	if len(told) != 1 || told[0].Principal != "test:payload_reader" || fmt.Sprint(told[0].Details["count"]) != "1" || fmt.Sprint(told[0].Details["from_index"]) != "1" {
		t.Errorf("the reads are %+v", told)
	}
}

// A page with words has as many entries as fit.
func TestLargeSearchPages(t *testing.T) {
	s := newSite(t, Limits{})
	large := strings.Repeat("x", 1<<20-1000)
	for range 12 {
		s.record(saying("s", large))
	}
	got, told := s.found("limit=1000&text=xxx")
	if len(got) != 12 || len(told) != 2 || told[0].Stopped {
		t.Errorf("%v on %d pages: %+v", got, len(told), told)
	}
	if len(told) == 2 && told[1].Last != got[len(got)-1] {
		t.Errorf("%+v", told)
	}
}
