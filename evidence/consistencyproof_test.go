package evidence

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

func (trail *proofTrail) proveConsistency(t testing.TB, old, size uint64, witnesses ...string) *ConsistencyProof {
	t.Helper()
	hashes, err := ProveConsistency(&trail.stored, old, size)
	if err != nil {
		t.Fatal(err)
	}
	return &ConsistencyProof{Old: trail.checkpoint(t, old, witnesses...), New: trail.checkpoint(t, size, witnesses...), Hashes: hashes}
}

func TestConsistencyProof(t *testing.T) {
	const most = 9
	trail := newProofTrail(t, most)
	policy := parsePolicy(t, policyLines(t)+"quorum X1\n")
	for size := range uint64(most + 1) {
		for old := range size + 1 {
			text := marshal(t, trail.proveConsistency(t, old, size, "x1", "x2"))
			p, err := ParseConsistencyProof(text)
			if err != nil {
				t.Fatal(err)
			}
			if again := marshal(t, p); !bytes.Equal(again, text) {
				t.Errorf("read from %q\nwritten as %q", text, again)
			}
			a, b, err := p.Check(policy)
			if err != nil || a.Checkpoint.Size != old || b.Checkpoint.Size != size || len(a.Cosigned) != 2 || !b.Quorum {
				t.Errorf("from %d to %d: %+v, %+v, %v", old, size, a, b, err)
			}
		}
	}
}

func TestConsistencyProofKeepsExtensions(t *testing.T) {
	log := testSigner(t, testOrigin, "a")
	c := goldenCheckpoint()
	c.Extensions = []string{"an extension", "— another"}
	signed := cosignedCheckpoint(t, &c, log)
	p, err := ParseConsistencyProof(marshal(t, &ConsistencyProof{Old: signed, New: signed}))
	if err != nil || !bytes.Equal(p.Old, signed) || !bytes.Equal(p.New, signed) {
		t.Fatalf("%+v, %v", p, err)
	}
	if a, b, err := p.Check(parsePolicy(t, policyLines(t)+"quorum none\n")); err != nil || !slices.Equal(a.Checkpoint.Extensions, c.Extensions) || !slices.Equal(b.Checkpoint.Extensions, c.Extensions) {
		t.Errorf("%v", err)
	}
}

func TestConsistencyProofCheckSaysWhichStepFails(t *testing.T) {
	trail, elsewhere := newProofTrail(t, 8), testSigner(t, "example.org/other", "c")
	policy := parsePolicy(t, policyLines(t)+"log "+elsewhere.VerifierKey()+"\nquorum X1\n")
	proof := func(change func(p *ConsistencyProof)) *ConsistencyProof {
		p := trail.proveConsistency(t, 3, 8, "x1")
		change(p)
		return p
	}
	fork := cosignedCheckpoint(t, &Checkpoint{Origin: testOrigin, Size: 3, Root: leafOf(0)}, trail.log, "x1")
	other := cosignedCheckpoint(t, &Checkpoint{Origin: "example.org/other", Size: 3, Root: leafOf(0)}, elsewhere, "x1")
	for _, tt := range []struct {
		name   string
		proof  *ConsistencyProof
		want   string
		quorum bool
	}{
		{"old not cosigned", proof(func(p *ConsistencyProof) { p.Old = trail.checkpoint(t, 3) }), "the old checkpoint: not cosigned", true},
		{"new not cosigned", proof(func(p *ConsistencyProof) { p.New = trail.checkpoint(t, 8, "x2") }), "the new checkpoint: not cosigned", true},
		{"old changed", proof(func(p *ConsistencyProof) { p.Old = bytes.Replace(p.Old, []byte("\n3\n"), []byte("\n2\n"), 1) }), "the old checkpoint: signature of the log", false},
		{"other trail", proof(func(p *ConsistencyProof) { p.Old = other }), "two trails, \"example.org/other\" and \"example.org/trail\"", false},
		{"the wrong way round", proof(func(p *ConsistencyProof) { p.Old, p.New = p.New, p.Old }), "a tree of 3 entries cannot begin with 8", false},
		{"a hash too few", proof(func(p *ConsistencyProof) { p.Hashes = p.Hashes[1:] }), "has 3 hashes; it needs 4", false},
		{"other hash", proof(func(p *ConsistencyProof) { p.Hashes[0][0] ^= 1 }), "does not lead from the root of 3 entries", false},
		{"fork", proof(func(p *ConsistencyProof) { p.Old = fork }), "does not lead from the root of 3 entries", false},
		{"fork of the same size", proof(func(p *ConsistencyProof) { p.Old, p.New, p.Hashes = fork, trail.checkpoint(t, 3, "x1"), nil }), "two trees of 3 entries have different roots", false},
	} {
		a, b, err := tt.proof.Check(policy)
		if err == nil || a != nil || b != nil || errors.Is(err, ErrQuorum) != tt.quorum || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestParseConsistencyProofRefuses(t *testing.T) {
	trail := newProofTrail(t, 5)
	good := string(marshal(t, trail.proveConsistency(t, 3, 5)))
	first := strings.Index(good, "\n\n") + 2
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", "line 1: expected \"custody consistency proof v1\""},
		{"newer version", strings.Replace(good, "v1", "v2", 1), "line 1: expected"},
		{"a proof of inclusion", string(marshal(t, trail.prove(t, &trail.disclosed[0], 0, 5))), "line 1: expected"},
		{"header alone", consistencyHeader + "\n", "line 2: expected a hash"},
		{"a hash that is none", strings.Replace(good, "\n", "\nx\n", 1), "line 2: \"x\" is not"},
		{"too many hashes", strings.Replace(good, "\n", "\n"+strings.Repeat(leafOf(1).String()+"\n", 63), 1), "more than 63 hashes"},
		{"no checkpoints", good[:first], "no second checkpoint"},
		{"one checkpoint", good[:strings.LastIndex(good, "\n"+testOrigin)], "no second checkpoint"},
		{"two empty lines", strings.Replace(good, "\n\n", "\n\n\n", 1), "the old checkpoint: "},
		{"three checkpoints", good + "\n" + good[first:], "the new checkpoint: "},
		{"no last newline", strings.TrimSuffix(good, "\n"), "the new checkpoint: checkpoint: malformed note"},
		{"old checkpoint that is none", strings.Replace(good, "\n3\n", "\nthree\n", 1), "the old checkpoint: checkpoint line 2"},
		{"too long", good + strings.Repeat("x", maxConsistencyProof), "consistency proof has"},
	} {
		if got, err := ParseConsistencyProof([]byte(tt.text)); err == nil || got != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func FuzzParseConsistencyProof(f *testing.F) {
	trail := newProofTrail(f, 5)
	policy := parsePolicy(f, policyLines(f)+"quorum X1\n")
	f.Add(marshal(f, trail.proveConsistency(f, 3, 5, "x1")))
	f.Add(marshal(f, trail.proveConsistency(f, 0, 5)))
	f.Add([]byte(consistencyHeader + "\n\n" + specCheckpoint + "\n" + specCheckpoint))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseConsistencyProof(b)
		if err != nil {
			return
		}
		if again := marshal(t, p); !bytes.Equal(again, b) {
			t.Fatalf("read from %q\nwritten as %q", b, again)
		}
		old, latest, err := p.Check(policy)
		if err == nil && (old.Checkpoint.Root != trail.stored.root(t, int64(old.Checkpoint.Size)) || old.Checkpoint.Size > latest.Checkpoint.Size) {
			t.Fatalf("%q proves %+v, %+v", b, old, latest)
		}
	})
}
