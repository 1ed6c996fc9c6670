package server

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/producers"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/vfs"
)

func producerKey(t *testing.T, name string) *evidence.Signer {
	t.Helper()
	seed := sha256.Sum256([]byte("server test key " + name))
	k, err := evidence.NewSigner(name, ed25519.NewKeyFromSeed(seed[:]))
	must(t, err)
	return k
}

// signedTurn is an event that a producer signed, as it is sent.
func signedTurn(t *testing.T, k *evidence.Signer, id, agent string) string {
	t.Helper()
	e, err := event.Event{ID: id, Type: event.TurnEnded, AgentID: agent, SessionID: "s", Details: map[string]any{"password": map[bool]string{true: "hunter2"}[id == "secret"]}}.Sign(k)
	must(t, err)
	b, err := e.AppendPayload(nil)
	must(t, err)
	return string(b)
}

// next waits for the next events of a type, and returns them.
func (s *site) next(name string, n int, types ...event.Type) (all []event.Event) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	for e, err := range s.trail(name).Subscribe(ctx, custody.Query{Types: types, Limit: n}) {
		must(s.t, err)
		ev, err := e.Event()
		must(s.t, err)
		if len(ev.Defects) > 0 {
			s.t.Errorf("%s has defects: %q", ev.Type, ev.Defects)
		}
		all = append(all, ev)
	}
	return all
}

func TestSignedEvents(t *testing.T) {
	s := newSite(t, Limits{})
	k, other := producerKey(t, "p.example.com"), producerKey(t, "other.example.com")
	s.do("POST", "/v1/producers", fmt.Sprintf(`{"vkey":%q,"agents":["a1"],"must_sign":true}`, k.VerifierKey())).want(201)
	s.do("POST", "/v1/producers", `{"vkey":"x"}`).problem(422, "invalid")
	s.do("POST", "/v1/producers", fmt.Sprintf(`{"vkey":%q,"must_sign":true}`, other.VerifierKey())).problem(422, "invalid")
	s.do("GET", "/v1/producers", "", "Test-Roles", "auditor").problem(403, "forbidden")

	s.do("POST", events, signedTurn(t, k, "1", "a1")).want(201)
	s.do("POST", events, signedTurn(t, k, "1", "a1")).want(200) // signed and sent again
	unsigned := `{"event_type":"turn_ended","id":"2","agent_id":"a1","session_id":"s"}`
	s.do("POST", events, unsigned).problem(403, "signature")
	s.do("POST", events, signedTurn(t, other, "3", "a1")).problem(403, "signature")
	changed := strings.Replace(signedTurn(t, k, "4", "a1"), `"session_id":"s"`, `"session_id":"t"`, 1)
	s.do("POST", events, "["+signedTurn(t, k, "5", "a1")+","+changed+"]").problem(403, "signature")
	a := s.do("POST", events, signedTurn(t, k, "6", "a1")+"\n"+changed+"\n", "Content-Type", typeNDJSON).want(200)
	if !strings.Contains(string(a.body), `"code":"signature"`) || !strings.Contains(string(a.body), `"id":"6"`) {
		t.Errorf("the stream is answered with %s", a.body)
	}
	s.api.noteRefusals()
	if told := s.told(trails.System, event.IngestRejected); len(told) != 1 || told[0].Details["reason"] != "signature" || told[0].AgentID != "a1" || fmt.Sprint(told[0].Details["count"]) != "4" {
		t.Errorf("the refusals are told of as %+v", told)
	}

	// An auditor checks the payload with the key alone.
	s.do("POST", events, signedTurn(t, k, "secret", "a1")).want(201)
	s.do("POST", events, signedTurn(t, k, "secret", "a1")).want(200)
	for id, intact := range map[string]bool{"1": true, "secret": false} {
		index := decode[entry](s.do("GET", "/v1/trails/default/ids/"+id, "").want(200)).Index
		payload := s.do("GET", fmt.Sprint(events, "/", index, "/payload"), "").body
		c, err := event.CheckSignature(payload, k.Verifier())
		must(t, err)
		if c.Key.Name() != "p.example.com" || c.Intact != intact || strings.Contains(string(payload), "hunter2") {
			t.Errorf("checked: %+v of %s", c, payload)
		}
	}

	s.do("POST", "/v1/producers/"+evidence.KeyID(k.KeyHash())+"/revoke", `{"reason":"lost"}`).want(200)
	s.do("POST", events, signedTurn(t, k, "7", "a1")).problem(403, "signature")
	told := s.next(trails.System, 2, event.ProducerEnrolled, event.ProducerRevoked)
	if told[0].Details["vkey"] != k.VerifierKey() || told[1].Details["reason"] != "lost" || told[1].Details["by"] != "test:"+everybody {
		t.Errorf("the system trail tells of %+v", told)
	}
}

// What the command line enrolls is told of too, once, even when servers come and go.
func TestEnrolledByOthers(t *testing.T) {
	s := newSite(t, Limits{})
	keys, err := producers.OpenKeys(vfs.OS{}, filepath.Join(s.set.Dir(), producers.KeysFile))
	must(t, err)
	_, err = keys.Enroll(producers.Key{VKey: producerKey(t, "p.example.com").VerifierKey(), EnrolledBy: "operations"})
	must(t, err)
	if told := s.next(trails.System, 1, event.ProducerEnrolled); told[0].Details["by"] != "operations" {
		t.Errorf("told of %+v", told)
	}
	s.api.Stop()
	again := serveSet(t, s.set, Config{Authenticators: []auth.Authenticator{byHeader{}}})
	must(t, again.api.announceKeys(t.Context()))
	n := 0
	for range s.trail(trails.System).Entries(t.Context(), custody.Query{Types: []event.Type{event.ProducerEnrolled}}) {
		n++
	}
	if n != 1 {
		t.Errorf("told %d times", n)
	}
}

func TestGapsAreTold(t *testing.T) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	set, err := trails.Open(trails.Config{Dir: t.TempDir(), Origin: "example.org", Options: custody.Options{Logger: log, DiskWarning: -1}})
	must(t, err)
	t.Cleanup(func() { set.Close() })
	cfg := Config{Logger: log, Authenticators: []auth.Authenticator{byHeader{}}, Producers: producers.Config{Grace: 40 * time.Millisecond}}
	s := serveSet(t, set, cfg)
	send := func(n int) {
		t.Helper()
		s.do("POST", events, fmt.Sprintf(`{"event_type":"turn_ended","session_id":"s","source":"hook","source_run":"r","source_seq":%d}`, n)).want(201)
	}
	send(1)
	send(4)
	gap := s.next(trails.Default, 1, event.GapDetected)[0]
	if gap.Details["kind"] != "missing" || fmt.Sprintf("%v %v %v", gap.Details["from_seq"], gap.Details["to_seq"], gap.Details["count"]) != "2 4 2" || gap.Principal != producers.Principal {
		t.Errorf("told of %+v", gap)
	}
	// Another server goes on where this one stopped.
	s.api.Stop()
	s = serveSet(t, set, cfg)
	s.do("POST", events, `{"event_type":"heartbeat","source":"hook","source_run":"r","source_seq":6,"details":{"interval_ms":10}}`).want(201)
	gaps := s.next(trails.Default, 3, event.GapDetected)
	kinds := map[any]int{}
	for _, g := range gaps {
		kinds[g.Details["kind"]]++
	}
	if kinds["missing"] != 2 || kinds["silence"] != 1 {
		t.Errorf("told of %+v", gaps)
	}
}
