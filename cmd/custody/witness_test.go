package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/witness"
)

// startWitness starts custody witness and returns a client for the key and the
// address that it prints, and the line for policies.
func startWitness(t *testing.T, dir string, args ...string) (*process, *witness.Client, string) {
	t.Helper()
	p := start(t, dir, dir, append([]string{"witness", "--dir", filepath.Join(dir, "state"), "--key", filepath.Join(dir, "w.key"), "--listen", "127.0.0.1:0"}, args...)...)
	said := map[string]string{}
	for said["policy line"] == "" {
		name, value, _ := strings.Cut(p.line(), "  ")
		said[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	v, err := evidence.ParseCosignatureVerifier(said["verifier key"])
	if err != nil {
		t.Fatalf("%v: %v", said, err)
	}
	return p, &witness.Client{URL: said["listening"], Key: v}, said["policy line"]
}

// A witness cosigns what a trail signs, remembers it over a restart, and refuses
// another history that is signed with the same key.
func TestWitness(t *testing.T) {
	signer, err := evidence.ParseSigner(newSigningKey(t))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	args := []string{"--log", signer.VerifierKey(), "--name", "witness.example.org/w1"}
	p, c, policy := startWitness(t, dir, args...)
	if want := "witness witness.example.org/w1 " + c.Key.VerifierKey() + " " + c.URL; policy != want {
		t.Errorf("policy line %q, want %q", policy, want)
	}
	history := checkpoints(t, signer, "one")
	line, err := c.Cosign(t.Context(), history.signed[1], 0, history.prove)
	if err != nil {
		t.Fatal(err)
	}
	if both, err := evidence.AddCosignature(history.signed[1], line); err != nil || !strings.HasSuffix(string(both), string(line)) {
		t.Errorf("%s, %v", both, err)
	}
	if status := p.end(syscall.SIGTERM); status != exitOK {
		t.Errorf("told to stop, it exits with %d:\n%s", status, p.stderr.String())
	}
	if !strings.Contains(p.stderr.String(), "cosigned") {
		t.Errorf("its log does not say what it did:\n%s", p.stderr.String())
	}

	p, c, _ = startWitness(t, dir, args...)
	other := checkpoints(t, signer, "another")
	if _, err := c.Cosign(t.Context(), other.signed[2], 0, other.prove); !errors.Is(err, witness.ErrInconsistent) {
		t.Errorf("another history: %v", err)
	}
	if _, err := c.Cosign(t.Context(), history.signed[2], 1, history.prove); err != nil {
		t.Error(err)
	}
	// The directory has one witness at a time.
	second := start(t, dir, dir, append([]string{"witness", "--dir", filepath.Join(dir, "state"), "--key", filepath.Join(dir, "w.key"), "--listen", "127.0.0.1:0"}, args[:2]...)...)
	if status := second.wait(); status != exitFailure || !strings.Contains(second.stderr.String(), "hint: one witness works in a directory at a time") {
		t.Errorf("a second one exits with %d:\n%s", status, second.stderr.String())
	}
	if status := p.end(syscall.SIGINT); status != exitOK {
		t.Errorf("interrupted, it exits with %d:\n%s", status, p.stderr.String())
	}
}

func newSigningKey(t *testing.T) string {
	t.Helper()
	skey, _, err := evidence.GenerateKey("example.org/agents")
	if err != nil {
		t.Fatal(err)
	}
	return skey
}

// signedHistory is the checkpoints of a log of three entries, by size.
type signedHistory struct {
	hashes []tlog.Hash
	signed [][]byte
}

func checkpoints(t *testing.T, signer *evidence.Signer, entry string) *signedHistory {
	t.Helper()
	var h signedHistory
	var tree evidence.Tree
	for i := range 4 {
		c := evidence.Checkpoint{Origin: signer.Name(), Size: tree.Size(), Root: tree.Root()}
		signed, err := evidence.SignCheckpoint(&c, signer)
		if err != nil {
			t.Fatal(err)
		}
		h.signed = append(h.signed, signed)
		hashes, err := tlog.StoredHashes(int64(i), []byte(entry), tlog.HashReaderFunc(h.read))
		if err != nil {
			t.Fatal(err)
		}
		h.hashes = append(h.hashes, hashes...)
		tree.Append(evidence.LeafHash([]byte(entry)))
	}
	return &h
}

func (h *signedHistory) read(at []int64) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	for _, i := range at {
		hashes = append(hashes, h.hashes[i])
	}
	return hashes, nil
}

func (h *signedHistory) prove(_ context.Context, old, size uint64) ([]evidence.Hash, error) {
	return evidence.ProveConsistency(tlog.HashReaderFunc(h.read), old, size)
}
