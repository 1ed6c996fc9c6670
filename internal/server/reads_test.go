package server

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/trails"
)

// What is refused is told of by whom and why, many at once, and with nothing of what it
// said.
func TestRefusalsAreTold(t *testing.T) {
	s := newSite(t, Limits{Pending: 1 << 10})
	const wrong = `{"event_type":"turn_ended","id":"secret-1","session_id":7,"session_id":8}`
	as := []string{"Test-Roles", "submitter"}
	s.do("POST", events, turn("e", "s"), as...).want(201)
	for range 5 {
		s.do("POST", events, wrong, as...).want(400)
		s.do("POST", events, turn("e", "another secret-2"), as...).problem(409, "conflict")
	}
	s.do("POST", events, "["+turn("n", "s")+","+turn("e", "another")+"]", as...).problem(409, "conflict")
	s.do("POST", events, turn("e", "another")+"\n"+turn("f", "s")+"\n{\n", append(as, "Content-Type", typeNDJSON)...).want(200)
	s.do("POST", events, `{"event_type":"turn_ended"}`, "Test-Roles", "submitter,reader").want(201) // with defects
	s.do("POST", events+"?strict=true", `{"event_type":"turn_ended"}`, "Test-Roles", "submitter,reader").problem(422, "invalid")
	leave, err := s.api.intake.enter(trails.Default, 1<<10)
	must(t, err)
	s.do("POST", events, turn("g", "s"), as...).problem(503, "full") // this is no refusal: it may come again
	leave()
	s.api.Stop()
	got := map[string]string{}
	for _, e := range s.told(trails.System, event.IngestRejected) {
		got[fmt.Sprint(e.Principal, " ", e.Details["reason"])] = fmt.Sprint(e.Details["count"])
		if e.Details["trail"] != "default" || strings.Contains(fmt.Sprint(e), "secret") {
			t.Errorf("the event is %+v", e)
		}
	}
	want := map[string]string{"test:submitter malformed": "6", "test:submitter conflict": "7", "test:submitter,reader invalid": "1"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if told := s.told(trails.System, event.IngestRejected); len(told) != 3 {
		t.Errorf("%d events tell of it", len(told))
	}
}

// What the page shows and hands out is told as what the API gives.
func TestReadsByThePage(t *testing.T) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	set, err := trails.Open(trails.Config{Dir: t.TempDir(), Origin: "example.org", Options: custody.Options{Logger: log, DiskWarning: -1}})
	must(t, err)
	t.Cleanup(func() { set.Close() })
	var s *site
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Query().Get("trail")
		for e, err := range s.trail(name).Entries(r.Context(), custody.Query{}) {
			must(t, err)
			s.api.ReadByPage(r, name, &e)
		}
		s.api.ExportedByPage(r, name, "csv", map[string]any{"session_id": "s1"}, 4, r.URL.Query().Has("broken"))
	})
	s = serveSet(t, set, Config{Logger: log, Authenticators: []auth.Authenticator{byHeader{}}, Page: page})
	sampleTrail(s)
	as := []string{"Test-Roles", "payload_reader"}
	s.do("GET", "/?trail=default", "", as...).want(200)
	s.do("GET", "/?trail=default&broken=1", "", as...).want(200)
	s.api.noteReads()
	reads := s.told(trails.System, event.AccessRead)
	if len(reads) != 1 || reads[0].Principal != "test:payload_reader" || fmt.Sprint(reads[0].Details["count"]) != "8" {
		t.Errorf("the events are %+v", reads)
	}
	exports := s.told(trails.System, event.ExportCreated)
	if len(exports) != 2 || exports[0].Principal != "test:payload_reader" || fmt.Sprintf("%v %v %v %v", exports[0].Details["count"], exports[0].Details["format"], exports[0].Details["broken"], exports[1].Details["broken"]) != "4 csv <nil> true" {
		t.Errorf("the events are %+v", exports)
	}
	// Whoever follows the trail system comes to its end.
	size := s.trail(trails.System).Size()
	for range 3 {
		for e, err := range s.trail(trails.System).Entries(t.Context(), custody.Query{From: size - 1, To: size, Types: []event.Type{event.AccessRead}}) {
			must(t, err)
			s.api.ReadByPage(s.request("GET", "/", ""), trails.System, &e)
		}
		s.api.noteReads()
	}
	if got := s.trail(trails.System).Size(); got != size {
		t.Errorf("reading the trail system made %d entries", got-size)
	}
}

// Whoever follows a trail reads it.
func TestFollowingIsTold(t *testing.T) {
	s := newSite(t, Limits{})
	sampleTrail(s)
	f := s.follow("from_index=0", "", "Test-Roles", "payload_reader")
	for range 3 {
		f.next()
	}
	s.api.Stop() // it ends
	told := s.told(trails.System, event.AccessRead)
	if len(told) != 1 || told[0].Principal != "test:payload_reader" {
		t.Fatalf("the events are %+v", told)
	}
	if n := fmt.Sprint(told[0].Details["count"]); n != "3" && n != "4" { // one may be on its way
		t.Errorf("%s payloads were read", n)
	}
}

// Whether witnesses cosigned is checked by the policy that is given, or else by that of
// the configuration.
func TestVerificationWithPolicy(t *testing.T) {
	s := newSite(t, Limits{})
	sampleTrail(s)
	key := s.trail(trails.Default).FirstKey()
	const witness = "witness w witness.example.org/w1+cfcd1a67+BAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4\n"
	text := "log " + key + "\n" + witness + "quorum w\n"
	causes := func(body string) (all []evidence.Cause, strength string) {
		t.Helper()
		v := s.verificationOf(body)
		for _, f := range v.Report.Findings {
			all = append(all, f.Cause)
		}
		return all, v.Report.Strength
	}
	if got, strength := causes("{}"); len(got) > 0 || !strings.Contains(strength, "self-signed") {
		t.Errorf("without a policy: %v, %s", got, strength)
	}
	given := fmt.Sprintf(`{"policy":%q}`, text)
	if got, _ := causes(given); len(got) != 1 || got[0] != evidence.Unwitnessed {
		t.Errorf("with a policy: %v", got)
	}
	for _, configured := range []string{text, witness + "quorum w\n"} {
		s.api.policy = []byte(configured)
		if got, _ := causes("{}"); len(got) != 1 || got[0] != evidence.Unwitnessed {
			t.Errorf("with this policy in the configuration: %v\n%s", got, configured)
		}
	}
	if got, _ := causes(fmt.Sprintf(`{"policy":%q}`, "log "+key+"\nquorum none\n")); len(got) > 0 {
		t.Errorf("with a policy that asks for none: %v", got)
	}
	s.do("POST", "/v1/trails/default/verifications", `{"policy":"quorum"}`).problem(422, "invalid")
}

// A list that somebody makes a file of is told of once, however many pages it has.
func TestExportIsTold(t *testing.T) {
	s := newSite(t, Limits{})
	sampleTrail(s)
	as := []string{"Test-Roles", "payload_reader"}
	const list = events + "?session_id=s1&limit=1&export=csv"
	p := decode[page](s.do("GET", list, "", as...).want(200))
	for p.Next != "" {
		p = decode[page](s.do("GET", list+"&cursor="+p.Next, "", as...).want(200))
	}
	s.do("GET", events+"?limit=1", "", as...).want(200) // it is only read
	s.do("GET", events+"?export=xml", "", as...).problem(422, "invalid")
	s.do("GET", list, "", append(as, "Sec-Fetch-Mode", "navigate")...).problem(422, "invalid") // a browser that was led here
	s.do("GET", events+"?export=csv&session_id=s1", "", "Test-Roles", "reader").problem(403, "forbidden")
	s.do("GET", events+"?export=ndjson&text=bash&field=/agent_id=a1&event_type=action_requested", "", as...).want(200)
	told := s.noted(event.ExportCreated)
	if len(told) != 2 {
		t.Fatalf("the events are %+v", told)
	}
	told[0].like(t, map[string]any{"what": "entries of trail default", "trail": "default", "format": "csv", "query": "map[session_id:s1]", "by": "test:payload_reader"})
	told[1].like(t, map[string]any{"what": "entries of trail default", "trail": "default", "format": "ndjson", "query": "map[event_type:[action_requested] fields:map[/agent_id:a1] text:bash]", "by": "test:payload_reader"})
}
