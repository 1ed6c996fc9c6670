package server

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/custodylog/custody/internal/trails"
)

// sampleTrail records events that differ in every field that is filtered by.
func sampleTrail(s *site) {
	s.record(`{"event_type":"action_requested","id":"i1","agent_id":"a1","action_id":"x1","project_id":"p1","session_id":"s1","user_id":"u1","correlation_id":"c1","occurred_at":"2026-01-01T00:00:00Z","details":{"tool_name":"Bash"}}`)
	s.record(`{"event_type":"action_denied","id":"i2","agent_id":"a1","action_id":"x1","session_id":"s1","decision":"deny","decision_source":"policy","occurred_at":"2026-01-02T00:00:00Z","details":{"reasons":["no"]}}`)
	s.record(`{"event_type":"turn_ended","id":"i3","agent_id":"a2","session_id":"s2","occurred_at":"2026-01-03T00:00:00Z"}`)
}

func indices(p page) string {
	var all []string
	for _, e := range p.Entries {
		all = append(all, strconv.FormatUint(e.Index, 10))
	}
	return strings.Join(all, " ")
}

func TestFilters(t *testing.T) {
	s := newSite(t, Limits{})
	sampleTrail(s)
	between := decode[entry](s.do("GET", events+"/2", "").want(200)).Time
	for query, want := range map[string]string{
		"": "0 1 2 3", "newest=true": "3 2 1 0", "limit=2": "0 1", "newest=true&limit=1": "3",
		"event_type=turn_ended": "3", "event_type=turn_ended&event_type=action_denied": "2 3",
		"agent_id=a1": "1 2", "action_id=x1": "1 2", "project_id=p1": "1", "session_id=s2": "3", "user_id=u1": "1", "correlation_id=c1": "1",
		"decision=deny": "2", "decision=DENIED": "2", "agent_id=a1&event_type=turn_ended": "",
		"since=" + url.QueryEscape(between): "2 3", "until=" + url.QueryEscape(between): "0 1",
		"occurred_since=2026-01-02T00:00:00Z&occurred_until=2026-01-03T00:00:00Z": "2",
		"from_index=2": "2 3", "to_index=2": "0 1", "from_index=1&to_index=3&newest=true": "2 1", "from_index=9": "",
	} {
		if got := indices(decode[page](s.do("GET", events+"?"+query, "").want(200))); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

// Pages neither miss nor repeat an entry, and end, while others record.
func TestPagesWhileWriting(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	s := newSite(t, Limits{})
	trail := s.trail(trails.Default)
	record := func() { s.record(turn("", fmt.Sprint("s", rng.IntN(3)))) }
	for range 30 {
		record()
	}
	for _, query := range []string{"", "newest=true", "session_id=s1", "session_id=s1&newest=true", "event_type=turn_ended&from_index=5&to_index=1000"} {
		t.Run(query, func(t *testing.T) {
			s := s.with(t)
			want := indices(decode[page](s.do("GET", events+"?limit=1000&"+query, "").want(200)))
			size := trail.Size()
			var got []string
			next := ""
			for range 1000 {
				p := decode[page](s.do("GET", events+fmt.Sprintf("?limit=%d&cursor=%s&%s", 1+rng.IntN(7), next, query), "").want(200))
				if p.Size != size {
					t.Fatalf("a page is of %d entries, the first one of %d", p.Size, size)
				}
				if len(p.Entries) > 0 {
					got = append(got, indices(p))
				}
				for range rng.IntN(4) {
					record()
				}
				if next = p.Next; next == "" {
					break
				}
			}
			if strings.Join(got, " ") != want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
			}
		})
	}
	p := decode[page](s.do("GET", events+"?limit=1&session_id=s1", "").want(200))
	for _, other := range []string{"session_id=s2", "session_id=s1&newest=true", ""} {
		s.do("GET", events+"?"+other+"&cursor="+p.Next, "").problem(422, "invalid")
	}
}

// A page has as many entries as fit, however large they are.
func TestLargePages(t *testing.T) {
	s := newSite(t, Limits{})
	large := strings.Repeat("x", 1<<20-1000)
	for range 12 {
		s.record(`{"event_type":"turn_ended","session_id":"s","details":{"x":"` + large + `"}}`)
	}
	seen, pages, next := 0, 0, ""
	for pages == 0 || next != "" {
		p := decode[page](s.do("GET", events+"?limit=1000&cursor="+next, "").want(200))
		seen, pages, next = seen+len(p.Entries), pages+1, p.Next
	}
	if seen != 13 || pages != 2 {
		t.Errorf("%d entries on %d pages", seen, pages)
	}
}

func FuzzCursor(f *testing.F) {
	f.Add(cursor{5, 3, [8]byte{1}}.String())
	f.Add("")
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := parseCursor(s); err == nil && c.String() != s {
			t.Errorf("%q is read as %+v, which is written %q", s, c, c.String())
		}
	})
}

func TestLongPoll(t *testing.T) {
	s := newSite(t, Limits{})
	p := decode[page](s.do("GET", events, "").want(200))
	polled := make(chan *answer)
	go func() {
		polled <- s.do("GET", events+fmt.Sprintf("?from_index=%d&wait=60&session_id=s", *p.NextFrom), "")
	}()
	s.waitFor("custody_followers 1")
	s.waitFor(`custody_follower_lag_entries{follower="stops",trail="default"} 0`)
	s.record(turn("", "other"))
	s.record(turn("mine", "s"))
	if p = decode[page]((<-polled).want(200)); indices(p) != "2" || *p.NextFrom != 3 {
		t.Errorf("got %s, to go on from %d", indices(p), *p.NextFrom)
	}
	if p = decode[page](s.do("GET", events+"?from_index=3&wait=1", "").want(200)); len(p.Entries) > 0 || *p.NextFrom != 3 {
		t.Errorf("of nothing: %s, to go on from %d", indices(p), *p.NextFrom)
	}
	// The end of the server ends the wait.
	go func() { polled <- s.do("GET", events+"?from_index=3&wait=60", "") }()
	s.waitFor("custody_followers 1")
	s.api.Stop()
	(<-polled).want(200)
}

// Commits are counted by their entries and by how long the disk took.
func TestCommitMetrics(t *testing.T) {
	s := newSite(t, Limits{})
	before := s.trail(trails.Default).Commits().Entries
	s.do("POST", events, `[{"event_type":"turn_ended","session_id":"s"},{"event_type":"turn_ended","session_id":"s"},{"event_type":"turn_ended","session_id":"s"}]`).want(201)
	s.waitFor(fmt.Sprintf(`custody_commit_entries_sum{trail="default"} %d`, before.Sum+3))
	s.waitFor(fmt.Sprintf(`custody_commit_entries_bucket{trail="default",le="4"} %d`, before.Count+1))
	s.waitFor(fmt.Sprintf(`custody_commit_sync_seconds_count{trail="default"} %d`, before.Count+1))
}

// waitFor waits until the metrics have a line.
func (s *site) waitFor(line string) {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		a := s.do("GET", "/metrics", "").want(200)
		if strings.Contains(string(a.body), line+"\n") {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the metrics never had %q", line)
		}
	}
}

// follower reads a stream.
type follower struct {
	t    *testing.T
	resp *http.Response
	in   *bufio.Scanner
	stop context.CancelFunc
}

func (s *site) follow(query, last string, headers ...string) *follower {
	s.t.Helper()
	ctx, stop := context.WithCancel(s.t.Context())
	s.t.Cleanup(stop)
	r := s.request("GET", "/v1/trails/default/stream?"+query, "", append(headers, "Last-Event-ID", last)...)
	resp, err := http.DefaultClient.Do(r.WithContext(ctx))
	must(s.t, err)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		s.t.Fatalf("status %s, type %s", resp.Status, resp.Header.Get("Content-Type"))
	}
	in := bufio.NewScanner(resp.Body)
	in.Buffer(nil, 4<<20)
	return &follower{s.t, resp, in, stop}
}

// next returns the next entry.
func (f *follower) next() (e entry) {
	f.t.Helper()
	id := ""
	for f.in.Scan() {
		name, value, _ := strings.Cut(f.in.Text(), ": ")
		switch name {
		case "id":
			id = value
		case "event":
			if value != "entry" {
				f.t.Fatalf("a message of type %s", value)
			}
		case "data":
			must(f.t, json.Unmarshal([]byte(value), &e))
			if id != strconv.FormatUint(e.Index, 10) {
				f.t.Fatalf("entry %d has the id %s", e.Index, id)
			}
			return e
		}
	}
	f.t.Fatalf("the stream ended: %v", f.in.Err())
	return e
}

func (f *follower) close() {
	f.stop()
	f.resp.Body.Close()
}

// A follower that is cut off again and again, while many record, sees every entry
// once, in order.
func TestStreamResumes(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	s := newSite(t, Limits{})
	const writers, each = 4, 100
	var recording sync.WaitGroup
	for w := range writers {
		recording.Go(func() {
			for i := range each {
				s.do("POST", events, turn(fmt.Sprint(w, "-", i), fmt.Sprint("s", w%2)))
			}
		})
	}
	var got []uint64
	last := "0"
	for len(got) < writers*each/2 {
		f := s.follow("session_id=s1", last)
		for range 1 + rng.IntN(40) {
			if len(got) == writers*each/2 {
				break
			}
			got = append(got, f.next().Index)
			last = strconv.FormatUint(got[len(got)-1], 10)
		}
		f.close()
	}
	recording.Wait()
	var want []uint64
	for next := ""; next != "" || want == nil; {
		p := decode[page](s.do("GET", events+"?limit=1000&session_id=s1&cursor="+next, "").want(200))
		for _, e := range p.Entries {
			want = append(want, e.Index)
		}
		next = p.Next
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestStream(t *testing.T) {
	s := newSite(t, Limits{Slow: 100 * time.Millisecond, Request: 100 * time.Millisecond, Heartbeat: 20 * time.Millisecond, Followers: 2})
	whole, now := s.follow("from_index=0", ""), s.follow("", "")
	s.do("GET", "/v1/trails/default/stream", "").problem(503, "followers")
	if e := whole.next(); e.Index != 0 || e.Type != "log_opened" {
		t.Errorf("the first entry is %+v", e)
	}
	for n := 0; n < 20; { // longer than anything else may take
		if !now.in.Scan() {
			t.Fatalf("the stream ended: %v", now.in.Err())
		}
		if strings.HasPrefix(now.in.Text(), ": still") {
			n++
		}
	}
	s.record(turn("e", "s"))
	for _, f := range []*follower{whole, now} {
		if e := f.next(); e.Index != 1 || !strings.Contains(string(e.Event), `"id":"e"`) {
			t.Errorf("got %+v", e)
		}
	}
	s.api.Stop()
	for _, f := range []*follower{whole, now} {
		for f.in.Scan() {
		}
		if f.in.Err() != nil {
			t.Errorf("it did not end well: %v", f.in.Err())
		}
	}
}

func TestCountsAndTimeline(t *testing.T) {
	s := newSite(t, Limits{})
	sampleTrail(s)
	counts := func(query string) string {
		var all []string
		for _, c := range decode[struct {
			Counts []struct {
				Start string
				Type  string
				Count uint64
			}
		}](s.do("GET", "/v1/trails/default/counts?"+query, "").want(200)).Counts {
			all = append(all, fmt.Sprint(c.Type, " ", c.Count))
		}
		return strings.Join(all, ", ")
	}
	for query, want := range map[string]string{
		"":                                "action_denied 1, action_requested 1, log_opened 1, turn_ended 1",
		"by=hour&event_type=turn_ended":   "turn_ended 1",
		"by=type&agent_id=a1":             "action_denied 1, action_requested 1",
		"by=type&from_index=1&to_index=2": "action_requested 1",
		"since=2020-01-01T00:00:00Z&until=2020-02-01T00:00:00Z": "",
	} {
		if got := counts(query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	for query, want := range map[string]string{
		"session_id=s1": `"status":"denied"`, "action_id=x1": `"tool_name":"Bash"`, "agent_id=a2": `"type":"turn_ended"`, "agent_id=none": `"items":[]`,
	} {
		if a := s.do("GET", "/v1/trails/default/timeline?"+query, "").want(200); !strings.Contains(string(a.body), want) {
			t.Errorf("%s: %s", query, a.body)
		}
	}
}
