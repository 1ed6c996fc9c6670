package lyinglog_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/lyinglog"
	"github.com/custodylog/custody/tiles"
	"github.com/custodylog/custody/witness"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fixture is a kit and what it takes to check its logs.
type fixture struct {
	*lyinglog.Kit
	policy *evidence.Policy
	lies   []lyinglog.Lie
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	kit, err := lyinglog.New(t.Context(), t.TempDir())
	must(t, err)
	f := &fixture{Kit: kit}
	f.policy, err = evidence.ParsePolicy(kit.Policy)
	must(t, err)
	f.lies, err = kit.Lies()
	must(t, err)
	return f
}

// check checks a log from memory and over HTTP, which have to find the same.
func (f *fixture) check(t *testing.T, log lyinglog.Log, since []byte) *tiles.Report {
	t.Helper()
	opts := &tiles.CheckOptions{Since: since}
	r, err := tiles.Check(t.Context(), log, f.policy, opts)
	must(t, err)
	server := httptest.NewServer(log)
	defer server.Close()
	web, err := tiles.Check(t.Context(), tiles.HTTP(server.URL, nil), f.policy, opts)
	must(t, err)
	same := func(a, b evidence.Finding) bool {
		return a.Cause == b.Cause && a.Index == b.Index && a.Count == b.Count && a.Where == b.Where
	}
	if !slices.EqualFunc(r.Findings, web.Findings, same) {
		t.Errorf("over HTTP it finds\n%v\nnot\n%v", web.Findings, r.Findings)
	}
	return r
}

func TestHonestLog(t *testing.T) {
	f := newFixture(t)
	for what, since := range map[string][]byte{"alone": nil, "with a checkpoint from before": f.Since, "with its own": f.Honest["checkpoint"]} {
		r := f.check(t, f.Honest, since)
		if !r.OK() || r.Entries != lyinglog.Size || r.Size != lyinglog.Size || r.Origin != lyinglog.Origin || r.Minimum != 0 || r.Pruned != 0 || len(r.Cosigned) != 1 {
			t.Errorf("%s: %+v", what, r)
		}
	}
}

// The kit makes its files with package tlog; those of the trail are the same.
func TestHonestLogIsTheTrail(t *testing.T) {
	f := newFixture(t)
	trail, err := custody.Open(f.Trail, &custody.Options{ReadOnly: true})
	must(t, err)
	defer trail.Close()
	dir := t.TempDir()
	x, err := tiles.Export(t.Context(), trail, dir)
	must(t, err)
	if x.Written != len(f.Honest) {
		t.Errorf("the trail has %d files, the log %d", x.Written, len(f.Honest))
	}
	for path, want := range f.Honest {
		got, err := tiles.Dir(dir).Fetch(t.Context(), path)
		must(t, err)
		if path == "checkpoint" {
			want = want[:len(got)] // the trail's lacks the cosignature
		}
		if string(got) != string(want) {
			t.Errorf("%s is another one", path)
		}
	}
}

func TestCheckFindsLies(t *testing.T) {
	f := newFixture(t)
	for _, lie := range f.lies {
		t.Run(lie.Name, func(t *testing.T) {
			alone, kept := f.check(t, lie.Log, nil), f.check(t, lie.Log, f.Since)
			for _, r := range []*tiles.Report{alone, kept} {
				for _, finding := range r.Findings {
					if finding.Detail == "" || finding.Where == "" {
						t.Errorf("%+v says too little", finding)
					}
				}
			}
			t.Logf("%s: %v", lie.Did, kept.Findings)
			if lie.Cause == "" {
				if len(alone.Findings)+len(kept.Findings) > 0 || alone.Quorum || alone.OK() || kept.OK() {
					t.Errorf("it is found that %v, %v; and the quorum is met: %t", alone.Findings, kept.Findings, alone.Quorum)
				}
				return
			}
			if kept.OK() || !slices.ContainsFunc(kept.Findings, func(g evidence.Finding) bool {
				return g.Cause == lie.Cause && g.Index == lie.Index && g.Where == lie.Where
			}) {
				t.Errorf("%s at %d (%s) is not among %v", lie.Cause, lie.Index, lie.Where, kept.Findings)
			}
			found := slices.ContainsFunc(alone.Findings, func(g evidence.Finding) bool { return g.Cause == lie.Cause })
			if found == lie.Kept {
				t.Errorf("without a checkpoint from before it finds %v", alone.Findings)
			}
		})
	}
}

func TestProofsAreRefused(t *testing.T) {
	f := newFixture(t)
	check := func(b []byte) error {
		p, err := evidence.ParseProof(b)
		if err == nil {
			_, err = p.Check(f.policy)
		}
		return err
	}
	honest, err := f.Proof(300)
	must(t, err)
	must(t, check(honest))
	lies, err := f.Proofs()
	must(t, err)
	for _, lie := range lies {
		refused(t, lie, check(lie.Proof))
	}
}

func TestConsistencyProofsAreRefused(t *testing.T) {
	f := newFixture(t)
	check := func(b []byte) error {
		p, err := evidence.ParseConsistencyProof(b)
		if err == nil {
			_, _, err = p.Check(f.policy)
		}
		return err
	}
	honest, err := f.Consistency()
	must(t, err)
	must(t, check(honest))
	lies, err := f.ConsistencyProofs()
	must(t, err)
	for _, lie := range lies {
		refused(t, lie, check(lie.Proof))
	}
}

func refused(t *testing.T, lie lyinglog.LyingProof, err error) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), lie.Says) || lie.Err != nil && !errors.Is(err, lie.Err) {
		t.Errorf("%s: %v; want %q, %v", lie.Name, err, lie.Says, lie.Err)
	}
}

// A witness that cosigned the honest log is asked to cosign the others.
func TestWitnessRefusesLies(t *testing.T) {
	f := newFixture(t)
	for _, lie := range append(f.lies, f.Truth()) {
		t.Run(lie.Name, func(t *testing.T) {
			skey, vkey, err := evidence.GenerateCosignatureKey("witness.example.org/w2")
			must(t, err)
			signer, err := evidence.ParseCosignatureSigner(skey)
			must(t, err)
			key, err := evidence.ParseCosignatureVerifier(vkey)
			must(t, err)
			s, err := witness.NewServer(t.TempDir(), signer, []witness.Log{{Origin: lyinglog.Origin, Verifiers: f.policy.Logs()}}, slog.New(slog.DiscardHandler))
			must(t, err)
			defer s.Close()
			server := httptest.NewServer(s)
			defer server.Close()
			client := witness.Client{URL: server.URL, Key: key}
			_, err = client.AddCheckpoint(t.Context(), 0, nil, f.Since)
			must(t, err)
			_, err = client.Cosign(t.Context(), lie.Log["checkpoint"], lyinglog.Earlier, lie.Prove)
			var ahead *witness.AheadError
			switch {
			case errors.As(lie.Witness, &ahead):
				if !errors.As(err, &ahead) {
					t.Errorf("%s: the witness answers %v, not that it is ahead", lie.Did, err)
				}
			case !errors.Is(err, lie.Witness):
				t.Errorf("%s: the witness answers %v, not %v", lie.Did, err, lie.Witness)
			}
		})
	}
}

// The trail is verified against the checkpoints of the logs.
func TestTrailFindsLies(t *testing.T) {
	f := newFixture(t)
	trail, err := custody.Open(f.Trail, &custody.Options{ReadOnly: true, Guard: custody.GuardOff})
	must(t, err)
	defer trail.Close()
	verify := func(t *testing.T, signed []byte) string {
		t.Helper()
		r, err := trail.Verify(t.Context(), custody.VerifyOptions{Checkpoints: [][]byte{signed}, Policy: f.policy})
		must(t, err)
		var causes []string
		for _, finding := range r.Findings {
			causes = append(causes, string(finding.Cause))
		}
		return fmt.Sprint(causes)
	}
	for _, lie := range append(f.lies, f.Truth()) {
		t.Run(lie.Name, func(t *testing.T) {
			want := "[]"
			if lie.Trail != "" {
				want = "[" + string(lie.Trail) + "]"
			}
			if got := verify(t, lie.Log["checkpoint"]); got != want {
				t.Errorf("%s: it finds %s, not %s", lie.Did, got, want)
			}
		})
	}
}
