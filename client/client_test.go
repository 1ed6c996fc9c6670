package client

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/evidence/bundle"
	"github.com/custodylog/custody/retention"
)

func TestParseAddress(t *testing.T) {
	for _, tt := range []struct{ text, base, socket, trail, written string }{
		{"http://127.0.0.1:8420", "http://127.0.0.1:8420", "", "default", "http://127.0.0.1:8420/trails/default"},
		{"https://h/trails/payments/", "https://h", "", "payments", "https://h/trails/payments"},
		{"https://h/v1/trails/payments", "https://h", "", "payments", "https://h/trails/payments"},
		{"https://h/below/trails/a", "https://h/below", "", "a", "https://h/below/trails/a"},
		{"unix:/run/custody.sock", "http://localhost", "/run/custody.sock", "default", "unix:/run/custody.sock/trails/default"},
		{"unix:///run/c.sock/trails/a", "http://localhost", "/run/c.sock", "a", "unix:/run/c.sock/trails/a"},
	} {
		a, err := parseAddress(tt.text)
		if err != nil || a.base.String() != tt.base || a.socket != tt.socket || a.trail != tt.trail || a.String() != tt.written {
			t.Errorf("%s: %v, %+v, %s, %v", tt.text, a.base, a, a.String(), err)
		}
	}
	for _, text := range []string{"", "h:8420", "ftp://h", "https://u:p@h/", "https://h/?x=1", "https://h/#x", "unix:", "unix:relative", "http://"} {
		if a, err := parseAddress(text); err == nil {
			t.Errorf("%q: %+v", text, a)
		}
	}
}

// Every method gives what the method of the library of that name gives.
func TestSameAsTheLibrary(t *testing.T) {
	s := newSite(t)
	c, l, ctx := s.open(nil), s.trail(), t.Context()

	receipt, err := c.Record(ctx, turn("t-1", "s-1"))
	must(t, err)
	again, err := c.Record(ctx, turn("t-1", "s-1"))
	must(t, err)
	if want := receipt; !again.Duplicate || receipt.Duplicate || again.Hash != want.Hash || again.Index != want.Index || !again.Time.Equal(want.Time) {
		t.Errorf("receipts\n%+v\n%+v", receipt, again)
	}
	if _, err := c.Record(ctx, turn("t-1", "other")); !errors.Is(err, custody.ErrConflict) {
		t.Errorf("conflict: %v", err)
	}
	receipts, err := c.RecordBatch(ctx, []event.Event{turn("", "s-1"), turn("t-2", "s-2")})
	must(t, err)
	if len(receipts) != 2 || receipts[0].Index != receipt.Index+1 || receipts[1].ID != "t-2" {
		t.Errorf("receipts %+v", receipts)
	}
	_, err = c.ActionDenied(ctx, custody.Action{ID: "a-1", AgentID: "agent-7", SessionID: "s-1", Tool: "Bash", Input: map[string]any{"command": "rm <&> \u2028"}}, custody.Verdict{Reasons: []string{"outside"}})
	must(t, err)
	_, err = c.EmergencyStop(ctx, custody.Stop{Type: "agent", TriggeredBy: "u-1", Reason: "r", AffectedAgents: []string{"agent-7"}})
	must(t, err)

	if got, want := c.Size(), l.Size(); got != want || c.Origin() != l.Origin() || c.FirstKey() != l.FirstKey() || c.Name() != "default" {
		t.Errorf("size %d, want %d; %s, %s", got, want, c.Origin(), c.FirstKey())
	}
	for i := range l.Size() {
		same(t, fmt.Sprint("entry ", i), of(c.Entry(ctx, i)), of(l.Entry(ctx, i)))
	}
	same(t, "by id", of(c.EntryByID(ctx, "t-2")), of(l.EntryByID(ctx, "t-2")))
	for _, q := range []custody.Query{
		{}, {Newest: true}, {Limit: 2}, {Newest: true, Limit: 2}, {From: 2, To: 4}, {From: 4, To: 4}, {Types: []event.Type{event.TurnEnded, event.ActionDenied}},
		{AgentID: "agent-7"}, {SessionID: "s-1", Newest: true}, {ActionID: "a-1", Decision: event.Deny}, {UserID: "u-1"}, {ProjectID: "none"},
		{Since: receipt.Time}, {Until: receipts[1].Time}, {OccurredSince: receipt.Time.Add(-time.Hour)}, {OccurredUntil: receipt.Time.Add(-time.Hour)},
	} {
		got, want := collect(t, c.Entries(ctx, q)), collect(t, l.Entries(ctx, q))
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%+v: %d entries, want %d", q, len(got), len(want))
		}
	}
	if got, want := collect(t, c.ActionHistory(ctx, "agent-7", 0)), collect(t, l.ActionHistory(ctx, "agent-7", 0)); len(want) != 1 || !reflect.DeepEqual(got, want) {
		t.Errorf("history %+v, want %+v", got, want)
	}
	for _, every := range []time.Duration{time.Hour, 3 * time.Hour, 24 * time.Hour, 48 * time.Hour} {
		same(t, "counts", of(c.Counts(ctx, time.Time{}, time.Time{}, every)), of(l.Counts(ctx, time.Time{}, time.Time{}, every)))
	}
	stats, err := c.Stats(ctx)
	must(t, err)
	if stats.Guard != GuardOnServer {
		t.Errorf("guard %q", stats.Guard)
	}
	want, err := l.Stats(ctx)
	must(t, err)
	stats.Guard, want.Guard = "", ""
	if !reflect.DeepEqual(stats, want) {
		t.Errorf("stats\n%+v\nwant\n%+v", stats, want)
	}
	same(t, "checkpoint", of(c.Checkpoint(ctx)), of(l.Checkpoint(ctx)))
	same(t, "published", of(c.Published(ctx)), of(l.Published(ctx)))
	for _, opts := range []custody.ProveOptions{{}, {Payload: true}, {Payload: true, Checkpoint: receipts[1].Checkpoint}} {
		same(t, "proof", of(c.Prove(ctx, 1, opts)), of(l.Prove(ctx, 1, opts)))
	}
	same(t, "consistency", of(c.ProveConsistency(ctx, receipt.Checkpoint, nil)), of(l.ProveConsistency(ctx, receipt.Checkpoint, nil)))
	same(t, "consistency", of(c.ProveConsistency(ctx, receipt.Checkpoint, receipts[1].Checkpoint)), of(l.ProveConsistency(ctx, receipt.Checkpoint, receipts[1].Checkpoint)))
	keys, err := c.Keys(ctx)
	must(t, err)
	if len(keys) != 1 || keys[0].VKey != l.FirstKey() || !keys[0].InForce || keys[0].Time.IsZero() {
		t.Errorf("keys %+v", keys)
	}
}

// result is what a call returns.
type result struct {
	v   any
	err error
}

func of[T any](v T, err error) result { return result{v, err} }

// same compares what two calls return.
func same(t *testing.T, what string, got, want result) {
	t.Helper()
	must(t, errors.Join(got.err, want.err))
	if !reflect.DeepEqual(got.v, want.v) {
		t.Errorf("%s: %+v\nwant %+v", what, got.v, want.v)
	}
}

func TestPages(t *testing.T) {
	s := newSite(t)
	c, ctx := s.open(nil), t.Context()
	events := make([]event.Event, 2*maxPage+1)
	for i := range events {
		events[i] = turn("", "s-1")
	}
	_, err := c.RecordBatch(ctx, events)
	must(t, err)
	n := 0
	for _, err := range c.Entries(ctx, custody.Query{SessionID: "s-1"}) {
		must(t, err)
		if n++; n == 10 { // what is recorded meanwhile does not belong to it
			_, err := s.trail().Record(ctx, turn("", "s-1"))
			must(t, err)
		}
	}
	if n != len(events) {
		t.Errorf("%d entries, want %d", n, len(events))
	}
	if got := collect(t, c.Entries(ctx, custody.Query{SessionID: "s-1", Limit: maxPage + 5, Newest: true})); len(got) != maxPage+5 {
		t.Errorf("%d entries", len(got))
	}
}

func TestErrors(t *testing.T) {
	s := newSite(t)
	c, ctx := s.open(&Options{RetryFor: -1}), t.Context()
	l := s.trail()
	_, err := c.Record(ctx, event.Event{Type: event.TurnEnded, ID: "gone", UserID: "u-17", SessionID: "s-1"})
	must(t, err)
	at := l.Size() - 1
	_, err = l.Erase(ctx, custody.Erasure{Query: custody.Query{UserID: "u-17"}, Ground: "g", By: "b"})
	must(t, err)

	_, notThere := c.Entry(ctx, 99)
	_, noID := c.EntryByID(ctx, "none")
	_, erased := c.Prove(ctx, at, custody.ProveOptions{Payload: true})
	_, beyond := c.Prove(ctx, 99, custody.ProveOptions{})
	_, noHold := c.ReleaseHold(ctx, "none", "", "r")
	_, exists := c.Server().CreateTrail(ctx, "default")
	_, noTrail := c.Server().Open(ctx, "none")
	for _, tt := range []struct {
		name      string
		err, want error
	}{
		{"entry", notThere, custody.ErrNotFound}, {"id", noID, custody.ErrNotFound}, {"erased", erased, custody.ErrErased}, {"beyond", beyond, custody.ErrNotFound},
		{"hold", noHold, custody.ErrNotFound}, {"exists", exists, fs.ErrExist}, {"trail", noTrail, custody.ErrNotFound},
	} {
		if !errors.Is(tt.err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, tt.err, tt.want)
		}
	}

	var size *custody.PayloadSizeError
	large := turn("", "s")
	large.Details = map[string]any{"x": strings.Repeat("x", 1<<20)}
	if _, err := c.Record(ctx, large); !errors.As(err, &size) || size.Limit != 1<<20 || size.Size <= 1<<20 {
		t.Errorf("too large: %v, %+v", err, size)
	}
	var refused *custody.BatchError
	if _, err := c.RecordBatch(ctx, []event.Event{turn("", "s"), large}); !errors.As(err, &refused) || refused.Position != 1 || !errors.As(err, &size) {
		t.Errorf("too large in a batch: %v", err)
	}
	if _, err := c.RecordBatch(ctx, []event.Event{turn("x-1", "s"), turn("x-2", "s"), turn("x-1", "t")}); !errors.As(err, &refused) || refused.Position != 2 || !errors.Is(err, custody.ErrConflict) {
		t.Errorf("conflict in a batch: %v", err)
	}
	if _, err := c.EntryByID(ctx, "x-1"); !errors.Is(err, custody.ErrNotFound) {
		t.Errorf("of a batch that was refused, something was recorded: %v", err)
	}
	var field *event.FieldError
	bad := turn("", "s")
	bad.Details = map[string]any{"x": math.NaN()}
	if _, err := c.Record(ctx, bad); !errors.As(err, &field) {
		t.Errorf("no JSON: %v", err)
	}
	reserved := event.Event{Type: event.LegalHoldChanged}
	if _, err := c.Record(ctx, reserved); !errors.As(err, &field) || field.Pointer != "/event_type" {
		t.Errorf("reserved: %v", err)
	}
	strict := s.open(&Options{Mode: event.Strict, RetryFor: -1})
	var invalid *event.ValidationError
	_, err = strict.Record(ctx, event.Event{Type: event.ActionDenied})
	if !errors.As(err, &invalid) && !errors.As(err, &field) {
		t.Errorf("strict: %v", err)
	}

	if _, err := Open(ctx, "http://"+s.addr, &Options{Token: "cst_wrong"}); asProblem(err) == nil || asProblem(err).Status != http.StatusUnauthorized {
		t.Errorf("wrong token: %v", err)
	}
	if _, err := Open(ctx, "http://"+s.addr+"/trails/none", &Options{Token: s.token}); !errors.Is(err, custody.ErrNotFound) {
		t.Errorf("no such trail: %v", err)
	}
	reader := s.open(&Options{Token: s.reader})
	if _, err := reader.Record(ctx, turn("", "s")); asProblem(err) == nil || asProblem(err).Code != "forbidden" {
		t.Errorf("a reader records: %v", err)
	}
}

// Whoever may not read payloads gets entries without, and can see that they are kept
// back.
func TestWithheld(t *testing.T) {
	s := newSite(t)
	c := s.open(&Options{Token: s.reader})
	if c.Withheld() {
		t.Error("withheld before anything was asked")
	}
	all := collect(t, c.Entries(t.Context(), custody.Query{}))
	if len(all) != 1 || all[0].Payload != nil || all[0].Salt != nil || all[0].Envelope == nil || !c.Withheld() {
		t.Errorf("entries %+v, withheld %v", all, c.Withheld())
	}
}

func TestHoldsErasureRetention(t *testing.T) {
	s := newSite(t)
	c, l, ctx := s.open(nil), s.trail(), t.Context()
	_, err := c.RecordBatch(ctx, []event.Event{turn("t-1", "s-1"), turn("t-2", "s-2"), turn("t-3", "s-2")})
	must(t, err)
	h, err := c.PlaceHold(ctx, custody.Hold{Query: custody.Query{SessionID: "s-1", Types: []event.Type{event.TurnEnded}, From: 1}, Reason: "case 7"})
	must(t, err)
	if h.By != "everybody" && !strings.Contains(h.By, "everybody") {
		t.Errorf("placed by %q", h.By)
	}
	same(t, "holds", of(c.Holds(ctx)), of(l.Holds(ctx)))

	ask := custody.Erasure{Query: custody.Query{Types: []event.Type{event.TurnEnded}}, Ground: "GDPR Art. 17(1)(b)"}
	plan, err := c.PlanErasure(ctx, ask)
	must(t, err)
	want, err := l.PlanErasure(ctx, ask)
	must(t, err)
	want.Held[0].Hold = custody.Hold{ID: h.ID, Reason: h.Reason}
	if !reflect.DeepEqual(plan, want) {
		t.Errorf("plan\n%+v\nwant\n%+v", plan, want)
	}
	var held *custody.HeldError
	if _, err := c.Erase(ctx, ask); !errors.As(err, &held) || !slices.Equal(held.Holds, []string{h.ID}) || held.Entries.String() != "1" {
		t.Errorf("held: %v, %+v", err, held)
	}
	ask.ExceptHeld = true
	receipt, err := c.Erase(ctx, ask)
	must(t, err)
	key, err := evidence.ParseVerifier(l.FirstKey())
	must(t, err)
	if gone, err := receipt.Check(key); err != nil || gone.String() != "2-3" {
		t.Errorf("erased %s, %v", gone, err)
	}
	if e, err := c.Entry(ctx, 2); err != nil || e.Payload != nil || c.Withheld() {
		t.Errorf("erased, and there: %+v, %v, %v", e, err, c.Withheld())
	}
	released, err := c.ReleaseHold(ctx, h.ID, "", "case closed")
	must(t, err)
	if e, err := l.Entry(ctx, released.Index); err != nil || e.Type != event.LegalHoldChanged || e.Hash != released.Hash {
		t.Errorf("%+v, %v", e, err)
	}

	policies := []retention.Policy{retention.Default()}
	for _, p := range retention.Presets() {
		policies = append(policies, p.Policy)
	}
	for _, policy := range policies {
		plan, err := c.PlanRetention(ctx, policy)
		must(t, err)
		want, err := l.PlanRetention(ctx, policy)
		must(t, err)
		want.Time = plan.Time
		for i := range want.Rules {
			want.Rules[i].Cutoff = plan.Rules[i].Cutoff
		}
		if !reflect.DeepEqual(plan, want) {
			t.Errorf("plan\n%+v\nwant\n%+v", plan, want)
		}
	}
	run, err := c.ApplyRetention(ctx, policies[0], "")
	must(t, err)
	if len(run.Events) != 0 || run.Policy.Name != policies[0].Name {
		t.Errorf("%+v", run)
	}
}

// What takes a second person is not done, and says so.
func TestSecondPerson(t *testing.T) {
	s := newSite(t)
	s.second = true
	s.restart(nil)
	c, ctx := s.open(nil), t.Context()
	_, err := c.Record(ctx, turn("t-1", "s-1"))
	must(t, err)
	var pending *PendingError
	if _, err := c.Erase(ctx, custody.Erasure{Query: custody.Query{SessionID: "s-1"}, Ground: "g"}); !errors.As(err, &pending) || pending.Request == "" || pending.Expires.IsZero() {
		t.Errorf("erasure: %v", err)
	}
	if _, err := c.ApplyRetention(ctx, retention.Default(), ""); !errors.As(err, &pending) {
		t.Errorf("retention: %v", err)
	}
	if e, err := c.Entry(ctx, 1); err != nil || e.Payload == nil {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestVerify(t *testing.T) {
	s := newSite(t)
	c, l, ctx := s.open(nil), s.trail(), t.Context()
	first, err := c.Record(ctx, turn("t-1", "s-1"))
	must(t, err)
	_, err = c.Record(ctx, turn("t-2", "s-1"))
	must(t, err)
	var done uint64
	opts := custody.VerifyOptions{Key: l.FirstKey(), Checkpoints: [][]byte{first.Checkpoint}, Progress: func(n, _ uint64) { done = n }}
	report, err := c.Verify(ctx, opts)
	must(t, err)
	opts.Progress = nil
	want, err := l.Verify(ctx, opts)
	must(t, err)
	report.Elapsed, want.Elapsed = 0, 0
	if len(report.Unchecked) == 0 && len(want.Unchecked) == 0 {
		report.Unchecked, want.Unchecked = nil, nil
	}
	if len(report.Findings) == 0 && len(want.Findings) == 0 {
		report.Findings, want.Findings = nil, nil
	}
	if !reflect.DeepEqual(report, want) || report.Strength() != want.Strength() || done != 3 {
		t.Errorf("report\n%+v\nwant\n%+v", report, want)
	}
	since, err := c.Verify(ctx, custody.VerifyOptions{Since: first.Checkpoint})
	must(t, err)
	if since.From != 2 || !since.OK() {
		t.Errorf("since: %+v", since)
	}
	policy, err := evidence.ParsePolicy([]byte("log " + l.FirstKey() + "\nquorum none\n"))
	must(t, err)
	if report, err := c.Verify(ctx, custody.VerifyOptions{Policy: policy}); err != nil || !report.OK() {
		t.Errorf("policy: %+v, %v", report, err)
	}
	_, other, err := evidence.GenerateKey(l.Origin())
	must(t, err)
	policy, err = evidence.ParsePolicy([]byte("log " + other + "\nquorum none\n"))
	must(t, err)
	if report, err := c.Verify(ctx, custody.VerifyOptions{Policy: policy}); err != nil || report.OK() || report.Findings[0].Cause != evidence.Unwitnessed {
		t.Errorf("policy with another key: %+v, %v", report, err)
	}
	if _, err := c.Verify(ctx, custody.VerifyOptions{Roots: x509.NewCertPool()}); !errors.Is(err, errOnlyThere) {
		t.Errorf("roots: %v", err)
	}
}

func TestBundle(t *testing.T) {
	s := newSite(t)
	c, ctx := s.open(nil), t.Context()
	_, err := c.Record(ctx, turn("t-1", "s-1"))
	must(t, err)
	var b bytes.Buffer
	policy := "log " + c.FirstKey() + "\nquorum none\n"
	must(t, c.Bundle(ctx, &b, custody.BundleOptions{Query: custody.Query{SessionID: "s-1"}, Text: "what?", Policy: []byte(policy)}))
	p, err := evidence.ParsePolicy([]byte(policy))
	must(t, err)
	r, err := bundle.Check(bytes.NewReader(b.Bytes()), int64(b.Len()), &bundle.CheckOptions{Keys: p.Logs(), Policy: p})
	must(t, err)
	if !r.OK() || r.Manifest.Scope.Text != "what?" || r.Completeness.Asked.String() != "1" {
		t.Errorf("%+v", r)
	}
	if err := c.Bundle(ctx, &b, custody.BundleOptions{Query: custody.Query{SessionID: "none"}}); !errors.Is(err, custody.ErrNotFound) {
		t.Errorf("nothing: %v", err)
	}
}

func TestCreateTrail(t *testing.T) {
	s := newSite(t)
	ctx := t.Context()
	server := s.open(nil).Server()
	made, err := server.CreateTrail(ctx, "payments")
	must(t, err)
	all, err := server.Trails(ctx)
	must(t, err)
	if len(all) != 3 || made.Origin != "example.org/payments" || !made.Writable || !slices.Contains(all, made) {
		t.Errorf("made %+v of %+v", made, all)
	}
	c, err := Open(ctx, "http://"+s.addr+"/trails/payments", &Options{Token: s.token})
	must(t, err)
	if _, err := c.Record(ctx, turn("", "s")); err != nil || c.Address() != "http://"+s.addr+"/trails/payments" {
		t.Errorf("%v, %s", err, c.Address())
	}
}

func TestTokens(t *testing.T) {
	s := newSite(t)
	server, ctx := s.open(nil).Server(), t.Context()
	expires := time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
	made, err := server.CreateToken(ctx, TokenSpec{Name: "ci", Roles: []string{"submitter"}, Trails: []string{"default"}, Agents: []string{"a1"}, Expires: expires})
	must(t, err)
	if made.Token == "" || made.CreatedBy != "token:everybody" || made.Created.IsZero() || !made.Expires.Equal(expires) || !slices.Equal(made.Agents, []string{"a1"}) {
		t.Errorf("%+v", made)
	}
	c := s.open(&Options{Token: made.Token, RetryFor: -1})
	_, err = c.Record(ctx, event.Event{Type: event.TurnEnded, AgentID: "a1"})
	must(t, err)
	all, err := server.Tokens(ctx)
	must(t, err)
	if len(all) != 3 || all[2].ID != made.ID || all[2].Token != "" {
		t.Errorf("%+v", all)
	}
	revoked, err := server.RevokeToken(ctx, made.ID)
	must(t, err)
	if revoked.Revoked.IsZero() || revoked.RevokedBy != "token:everybody" {
		t.Errorf("%+v", revoked)
	}
	if _, err := c.Record(ctx, event.Event{Type: event.TurnEnded, AgentID: "a1"}); asProblem(err) == nil || asProblem(err).Code != "revoked" {
		t.Errorf("with a token that was revoked: %v", err)
	}
	if _, err := server.RevokeToken(ctx, "00000000"); !errors.Is(err, custody.ErrNotFound) {
		t.Errorf("no such token: %v", err)
	}
}

func TestTransport(t *testing.T) {
	s := newSite(t)
	ctx := t.Context()
	handler := s.api.Handler()
	secure := httptest.NewUnstartedServer(handler)
	secure.Config.ErrorLog = slog.NewLogLogger(quiet.Handler(), slog.LevelError)
	secure.StartTLS()
	defer secure.Close()
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	c, err := Open(ctx, secure.URL, &Options{Token: s.token, TLS: &tls.Config{RootCAs: roots, ServerName: "example.com"}})
	must(t, err)
	if _, err := c.Record(ctx, turn("t-1", "s")); err != nil {
		t.Error(err)
	}
	start := time.Now()
	var unknown *tls.CertificateVerificationError
	if _, err := Open(ctx, secure.URL, &Options{Token: s.token}); !errors.As(err, &unknown) || time.Since(start) > 10*time.Second {
		t.Errorf("a certificate that nobody vouches for: %v", err)
	}
	if _, err := Open(ctx, secure.URL, &Options{Token: s.token, HTTP: secure.Client()}); err != nil {
		t.Error(err)
	}

	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	must(t, err)
	local := &httptest.Server{Listener: l, Config: &http.Server{Handler: handler}}
	local.Start()
	defer local.Close()
	c, err = Open(ctx, "unix:"+socket+"/trails/default", &Options{Token: s.token})
	must(t, err)
	if e, err := c.EntryByID(ctx, "t-1"); err != nil || e.Type != event.TurnEnded {
		t.Errorf("%+v, %v", e, err)
	}
}
