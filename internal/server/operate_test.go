package server

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/trails"
)

// verification waits for the result of a verification.
func (s *site) verification() verification {
	s.t.Helper()
	return s.verificationOf("{}")
}

func (s *site) verificationOf(asked string) verification {
	s.t.Helper()
	a := s.do("POST", "/v1/trails/default/verifications", asked).want(202)
	for deadline := time.Now().Add(20 * time.Second); ; {
		v := decode[verification](s.do("GET", a.header.Get("Location"), "").want(200))
		if v.State != "running" {
			return v
		}
		if time.Now().After(deadline) {
			s.t.Fatal("the verification does not end")
		}
	}
}

func TestVerification(t *testing.T) {
	s := newSite(t, Limits{})
	sampleTrail(s)
	if v := s.verification(); v.State != "done" || v.Report == nil || !v.Report.OK || v.Done != 4 || v.By != "test:"+everybody {
		t.Errorf("got %+v", v)
	}
	if told := s.told(trails.System, event.VerificationCompleted); len(told) != 1 || fmt.Sprintf("%v of %v", told[0].Details["findings"], told[0].Details["size"]) != "0 of 4" || told[0].Details["by"] != "test:"+everybody || told[0].Details["trail"] != "default" {
		t.Errorf("the events are %+v", told)
	}
	// Somebody changes what is stored.
	changed := 0
	must(t, filepath.WalkDir(s.trail(trails.Default).Dir(), func(path string, _ fs.DirEntry, err error) error {
		b, rerr := os.ReadFile(path)
		if err == nil && rerr == nil && bytes.Contains(b, []byte(`"agent_id":"a2"`)) {
			changed++
			return os.WriteFile(path, bytes.Replace(b, []byte(`"agent_id":"a2"`), []byte(`"agent_id":"a3"`), 1), 0o600)
		}
		return err
	}))
	if changed != 1 {
		t.Fatalf("%d files were changed", changed)
	}
	v := s.verification()
	if v.State != "done" || v.Report.OK || len(v.Report.Findings) != 1 || v.Report.Findings[0].Cause != evidence.Altered || v.Report.Findings[0].Index != 3 || v.Report.Findings[0].Meaning == "" {
		t.Errorf("got %+v", v)
	}
	s.waitFor(`custody_verification_findings{trail="default"} 1`)
	told := 0
	for e, err := range s.trail(trails.System).Entries(t.Context(), custody.Query{Types: []event.Type{event.VerificationFailed}}) {
		must(t, err)
		if ev, err := e.Event(); err != nil || ev.Details["finding"] != "altered" || len(ev.Defects) > 0 {
			t.Errorf("the event is %+v, %v", ev, err)
		}
		told++
	}
	if told != 1 {
		t.Errorf("%d events tell of it", told)
	}
	if told := s.told(trails.System, event.VerificationCompleted); len(told) != 2 || fmt.Sprint(told[1].Details["findings"]) != "1" {
		t.Errorf("the events are %+v", told)
	}
	s.do("GET", events+"/3", "").problem(500, "altered")
	// A verification of what is behind it says nothing of it.
	since, err := json.Marshal(string(s.do("GET", "/v1/trails/default/checkpoint", "").want(200).body))
	must(t, err)
	if v := s.verificationOf(`{"since":` + string(since) + `}`); v.State != "done" || !v.Report.OK {
		t.Errorf("got %+v", v)
	}
	s.waitFor(`custody_verification_findings{trail="default"} 1`)
	s.api.metrics.findings.Reset()
	s.api.recallVerified(t.Context())
	s.waitFor(`custody_verification_findings{trail="default"} 1`)
}

func TestProofsAndBundles(t *testing.T) {
	s := newSite(t, Limits{})
	sampleTrail(s)
	policy, err := evidence.ParsePolicy([]byte("log " + s.trail(trails.Default).FirstKey() + "\nquorum none\n"))
	must(t, err)
	p, err := evidence.ParseProof(s.do("GET", events+"/2/proof?payload=true", "").want(200).body)
	must(t, err)
	checked, err := p.Check(policy)
	must(t, err)
	if payload := s.do("GET", events+"/2/payload", "").body; checked.Entry.Index != 2 || !bytes.Equal(checked.Disclosed.Payload, payload) {
		t.Errorf("the proof is of %+v", checked)
	}
	if b := s.do("GET", events+"/2/entry", "").body; evidence.LeafHash(b).String() != decode[entry](s.do("GET", events+"/2", "")).Hash {
		t.Error("the bytes of the entry have another hash")
	}
	a := s.do("GET", "/v1/trails/default/bundle?session_id=s1&question=what+happened", "").want(200)
	z, err := zip.NewReader(bytes.NewReader(a.body), int64(len(a.body)))
	must(t, err)
	if _, err := z.Open("index.html"); err != nil {
		t.Error(err)
	}
	told := 0
	for _, err := range s.trail(trails.System).Entries(t.Context(), custody.Query{Types: []event.Type{event.ExportCreated}}) {
		must(t, err)
		told++
	}
	if told != 1 {
		t.Errorf("%d events tell of the bundle", told)
	}
}

func TestHoldsAndErasure(t *testing.T) {
	s := newSite(t, Limits{})
	sampleTrail(s)
	s.do("POST", "/v1/trails/default/holds", `{"query":{"session_id":"s1"},"reason":"a case"}`).want(201)
	holds, err := s.trail(trails.Default).Holds(t.Context())
	must(t, err)
	if len(holds) != 1 || holds[0].By != "test:"+everybody || holds[0].Query.SessionID != "s1" {
		t.Fatalf("the holds are %+v", holds)
	}
	s.do("POST", "/v1/trails/default/erasures", `{"fields":{"/agent_id":"a1"},"ground":"g"}`).problem(409, "held")
	s.do("POST", "/v1/trails/default/holds/"+holds[0].ID+"/release", `{"reason":"closed"}`).want(200)
	a := s.do("POST", "/v1/trails/default/erasures", `{"fields":{"/agent_id":"a1"},"ground":"g","requester":"case 7"}`).want(200)
	if !strings.Contains(string(a.body), `"erased":true,"entries":"1-2"`) || !strings.Contains(string(a.body), `"receipt":{"before":"`) {
		t.Errorf("answered by %s", a.body)
	}
	if e := decode[entry](s.do("GET", events+"/1", "").want(200)); string(e.Event) != "null" || e.Withheld {
		t.Errorf("an erased entry is %+v", e)
	}
	if v := s.verification(); !v.Report.OK || len(v.Report.Removed) != 1 {
		t.Errorf("got %+v", v.Report)
	}
}

// A trail that cannot be written answers so, is read, and shows.
func TestTrailThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	cfg := trails.Config{Dir: dir, Origin: "example.org", Options: custody.Options{DiskWarning: -1, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}}
	set, err := trails.Open(cfg)
	must(t, err)
	d, err := set.Get(trails.Default)
	must(t, err)
	key, err := custody.KeyFile(filepath.Join(dir, "keys"), d.FirstKey())
	must(t, errors.Join(err, set.Close(), os.Remove(key)))
	set, err = trails.Open(cfg)
	must(t, err)
	t.Cleanup(func() { set.Close() })
	s := serveSet(t, set, Config{Logger: cfg.Options.Logger, Local: true})
	s.do("POST", events, turn("", "s")).problem(503, "read_only")
	s.do("POST", "/v1/trails/default/holds", `{"all":true,"reason":"r"}`).problem(503, "read_only")
	s.do("GET", events, "").want(200)
	if a := s.do("GET", "/readyz", "").want(503); !strings.Contains(string(a.body), `"default":"read_only"`) || !strings.Contains(string(a.body), `"system":"ok"`) {
		t.Errorf("ready: %s", a.body)
	}
	s.waitFor(`custody_writable{trail="default"} 0`)
	s.do("GET", "/healthz", "").want(200)
}

// What has ended answers so, too.
func TestClosedTrails(t *testing.T) {
	s := newSite(t, Limits{})
	d := s.trail(trails.Default)
	must(t, d.Close())
	a := s.do("POST", events, turn("", "s"))
	a.problem(503, "stopping")
	if a.header.Get("Retry-After") == "" {
		t.Error("it does not say when to try again")
	}
	s.do("GET", "/readyz", "").want(503)
	must(t, s.set.Close())
	s.do("GET", events, "").problem(503, "stopping")
}

// Without configuration whoever is on this machine may do everything, and the pages
// that they have open may not.
func TestLocal(t *testing.T) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	set, err := trails.Open(trails.Config{Dir: t.TempDir(), Origin: "example.org", Options: custody.Options{Logger: log, DiskWarning: -1}})
	must(t, err)
	t.Cleanup(func() { set.Close() })
	s := serveSet(t, set, Config{Logger: log, Local: true})
	s.do("POST", events, turn("e", "s")).want(201)
	e, err := s.trail(trails.Default).EntryByID(t.Context(), "e")
	must(t, err)
	if ev, err := e.Event(); err != nil || ev.Principal != "local" {
		t.Errorf("recorded as sent by %q, %v", ev.Principal, err)
	}
	s.do("GET", events, "", "Origin", "https://attacker.example").problem(403, "cross_site")
	r := s.request("GET", events, "")
	r.Host = "attacker.example"
	s.send(r).problem(403, "foreign_host")
	s.do("GET", events, "", "X-Forwarded-For", "192.0.2.1").problem(401, "no_credentials")
}

func TestProblems(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
		code   string
		again  bool
	}{
		{fmt.Errorf("x: %w", custody.ErrFailed), 503, "failed", true},
		{fmt.Errorf("%w: %w", custody.ErrFailed, syscall.ENOSPC), 503, "disk_full", true},
		{fmt.Errorf("%w: %w", custody.ErrFailed, syscall.EDQUOT), 503, "disk_full", true},
		{custody.ErrFull, 503, "full", true},
		{custody.ErrClosed, 503, "stopping", true},
		{fmt.Errorf("waiting: %w", context.DeadlineExceeded), 503, "timeout", true},
		{custody.ErrAltered, 500, "altered", false},
		{custody.ErrPruned, 410, "pruned", false},
		{custody.ErrErased, 410, "erased", false},
		{&custody.HeldError{Holds: []string{"h"}, Entries: evidence.Ranges{{First: 1, Last: 2}}}, 409, "held", false},
		{io.ErrUnexpectedEOF, 400, "cut_off", false},
		{&http.MaxBytesError{Limit: 5}, 413, "too_large", false},
		{errors.New("something secret"), 500, "internal", false},
	} {
		p := problemOf(tt.err)
		if p.Status != tt.status || p.Code != tt.code || (p.GetHeaders().Get("Retry-After") != "") != tt.again || p.Detail == "" {
			t.Errorf("%v: %+v", tt.err, p)
		}
		if strings.Contains(p.Detail, "secret") {
			t.Errorf("%v is told to the client: %s", tt.err, p.Detail)
		}
	}
}

func TestCompressedAnswers(t *testing.T) {
	s := newSite(t, Limits{})
	for range 30 {
		s.record(turn("", "s"))
	}
	for accepted, want := range map[string]string{"gzip": "gzip", "zstd": "zstd", "gzip, zstd": "zstd", "zstd;q=0.1, gzip": "gzip", "br, gzip;q=0.5": "gzip"} {
		a := s.do("GET", events, "", "Accept-Encoding", accepted).want(200)
		if got := a.header.Get("Content-Encoding"); got != want {
			t.Errorf("for %q it is encoded as %q", accepted, got)
			continue
		}
		var unpacked io.Reader
		var err error
		if want == "zstd" {
			unpacked, err = zstd.NewReader(bytes.NewReader(a.body))
		} else {
			unpacked, err = gzip.NewReader(bytes.NewReader(a.body))
		}
		must(t, err)
		a.body, err = io.ReadAll(unpacked)
		must(t, err)
		if len(decode[page](a).Entries) != 31 {
			t.Errorf("for %q it is %s", accepted, a.body)
		}
	}
	if a := s.do("GET", events, "", "Accept-Encoding", "identity").want(200); a.header.Get("Content-Encoding") != "" || len(decode[page](a).Entries) != 31 {
		t.Errorf("it is encoded as %q", a.header.Get("Content-Encoding"))
	}
}

// That somebody read payloads is an event, one for many.
func TestReadsAreTold(t *testing.T) {
	s := newSite(t, Limits{})
	sampleTrail(s)
	s.do("GET", events, "", "Test-Roles", "payload_reader").want(200)
	s.do("GET", events+"/3/payload", "", "Test-Roles", "payload_reader").want(200)
	s.do("GET", events+"/2/proof?payload=true", "", "Test-Roles", "auditor").want(200)
	s.do("GET", "/v1/trails/default/timeline?action_id=x1", "", "Test-Roles", "auditor").want(200)
	s.do("GET", events+"?limit=1", "", "Test-Roles", "reader").want(200)
	s.do("GET", events+"/1/proof", "", "Test-Roles", "auditor").want(200)
	s.api.Stop()
	got := map[string]string{}
	for e, err := range s.trail(trails.System).Entries(t.Context(), custody.Query{Types: []event.Type{event.AccessRead}}) {
		must(t, err)
		ev, err := e.Event()
		must(t, err)
		if len(ev.Defects) > 0 || ev.Details["what"] != "payloads of trail default" {
			t.Errorf("the event is %+v", ev)
		}
		got[ev.Principal] += fmt.Sprintf("%v from %v to %v;", ev.Details["count"], ev.Details["from_index"], ev.Details["to_index"])
	}
	if len(got) != 2 || got["test:payload_reader"] != "5 from 0 to 4;" || got["test:auditor"] != "3 from 1 to 3;" {
		t.Errorf("told is %v", got)
	}
	// Reading that does not lead to more of the same.
	s.do("GET", "/v1/trails/system/events?event_type=access_read", "").want(200)
	if left := s.api.reads.take(); len(left) > 0 {
		t.Errorf("reading of it is told: %v", left)
	}
}
