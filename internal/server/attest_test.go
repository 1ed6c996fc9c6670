package server

import (
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/tsatest"
	"github.com/custodylog/custody/internal/wire"
	"github.com/custodylog/custody/witness"
)

// newAttested returns a server whose trails a witness cosigns and an authority time-stamps,
// and what ends these.
func newAttested(t *testing.T) (s *site, end func()) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	cfg := trails.Config{Dir: t.TempDir(), Origin: "example.org", Options: custody.Options{Logger: log, DiskWarning: -1}}
	set, err := trails.Open(cfg)
	must(t, err)
	d, err := set.Get(trails.Default)
	must(t, err)
	key, err := evidence.ParseVerifier(d.FirstKey())
	must(t, err)
	must(t, set.Close())

	skey, _, err := evidence.GenerateCosignatureKey("witness.example.org/w1")
	must(t, err)
	signer, err := evidence.ParseCosignatureSigner(skey)
	must(t, err)
	w, err := witness.NewServer(t.TempDir(), signer, []witness.Log{{Origin: d.Origin(), Verifiers: []note.Verifier{key}}}, log)
	must(t, err)
	t.Cleanup(func() { w.Close() })
	witnesses, authority := httptest.NewServer(w), httptest.NewServer(tsatest.New(t, tsatest.Options{}))
	end = func() { witnesses.Close(); authority.Close() }
	t.Cleanup(end)

	// As the page for operators has it, without the keys of the trails.
	policy := fmt.Sprintf("witness w1 %s %s\nquorum w1\n", signer.VerifierKey(), witnesses.URL)
	asked, err := evidence.ParsePolicy([]byte(policy))
	must(t, err)
	cfg.Options.Witnessing = &custody.Witnessing{Policy: asked, Every: time.Hour}
	cfg.Options.Timestamping = &custody.Timestamping{URL: authority.URL, Every: time.Hour}
	set, err = trails.Open(cfg)
	must(t, err)
	t.Cleanup(func() { set.Close() })
	return serveSet(t, set, Config{Logger: log, Authenticators: []auth.Authenticator{byHeader{}}, Policy: []byte(policy)}), end
}

// Witnesses and authority are asked when an operator wants it, and the metrics tell when
// they last did.
func TestAttesting(t *testing.T) {
	s, end := newAttested(t)
	const cosign, stamp = "/v1/trails/default/cosign", "/v1/trails/default/timestamp"
	operator := []string{"Test-Roles", "operator", "Content-Type", ""}
	s.record(turn("e", "s"))
	began := time.Now().Truncate(time.Second)
	if got := decode[wire.Cosigned](s.do("POST", cosign, "", operator...).want(200)); got.Size != s.size() || !got.Quorum || len(got.Witnesses) != 1 || got.Witnesses[0] != (wire.WitnessAnswer{Name: "w1", Cosigned: true}) {
		t.Errorf("it is answered by %+v", got)
	}
	if got := decode[Stamped](s.do("POST", stamp, "", operator...).want(200)); got.Size != s.size() {
		t.Errorf("the checkpoint of %d entries is time-stamped, of %d", got.Size, s.size())
	}
	stats, err := s.trail(trails.Default).Stats(t.Context())
	must(t, err)
	if stats.Cosigned == nil || stats.Cosigned.Size != s.size() || stats.Stamped == nil || stats.Stamped.Size != s.size() {
		t.Errorf("what is kept is %+v and %+v", stats.Cosigned, stats.Stamped)
	}
	at, ok := s.metric(`custody_cosigned_timestamp_seconds{trail="default"}`)
	if when := time.Unix(int64(at), 0); !ok || when.Before(began) || when.After(time.Now()) {
		t.Errorf("it was cosigned at %v, and asked for at %v", when, began)
	}
	if n, ok := s.metric(`custody_cosigned_entries{trail="default"}`); !ok || n != float64(s.size()) {
		t.Errorf("%v entries are cosigned", n)
	}
	// Its checkpoint is what receipts have, where it covers them.
	if got := decode[wire.Receipt](s.do("GET", events+"/1/receipt", "").want(200)); strings.Count(got.Checkpoint, "\n— ") != 2 {
		t.Errorf("the receipt has the checkpoint\n%s", got.Checkpoint)
	}
	latest := s.record(turn("later", "s"))
	if got := decode[wire.Receipt](s.do("GET", fmt.Sprint(events, "/", *latest.Index, "/receipt"), "").want(200)); strings.Count(got.Checkpoint, "\n— ") != 1 {
		t.Errorf("the receipt of a later entry has the checkpoint\n%s", got.Checkpoint)
	}
	if _, ok := s.metric(`custody_cosigned_timestamp_seconds{trail="system"}`); ok {
		t.Error("a witness that does not know a trail has cosigned it")
	}

	if p := s.do("POST", "/v1/trails/system/cosign", "", operator...).problem(502, "not_attested"); !strings.Contains(p.Detail, "w1") {
		t.Errorf("a trail that the witness does not know: %s", p.Detail)
	}
	end()
	if p := s.do("POST", cosign, "", operator...).problem(502, "not_attested"); !strings.Contains(p.Detail, "no witness cosigned") {
		t.Errorf("without the witness: %s", p.Detail)
	}
	s.do("POST", "/v1/trails", `{"name":"t2"}`).want(201)
	if p := s.do("POST", "/v1/trails/t2/timestamp", "", operator...).problem(502, "not_attested"); !strings.Contains(p.Detail, "authority") {
		t.Errorf("without the authority: %s", p.Detail)
	}
	s.do("POST", "/v1/trails/none/timestamp", "", operator...).problem(404, "not_found")
	bare := newSite(t, Limits{})
	bare.do("POST", cosign, "", operator...).problem(409, "not_configured")
	bare.do("POST", stamp, "", operator...).problem(409, "not_configured")
}
