package interop

import (
	"context"
	"fmt"
	"testing"

	"filippo.io/torchwood"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/evidence"
)

// pairs is how many random proofs of each kind wantProved asks a trail for.
const pairs = 100

// leafHashes appends to known, the leaf hashes of a trail's first entries, those of the
// others.
func leafHashes(t testing.TB, trail *custody.Trail, known [][]byte) [][]byte {
	t.Helper()
	for e, err := range trail.Entries(t.Context(), custody.Query{From: uint64(len(known))}) {
		must(t, err)
		known = append(known, rfc6962.DefaultHasher.HashLeaf(e.Envelope))
	}
	if uint64(len(known)) != trail.Size() {
		t.Fatalf("%d leaf hashes of %d entries", len(known), trail.Size())
	}
	return known
}

// wantProved has proofs of a trail checked: as files by Torchwood, and their hashes by
// transparency-dev/merkle, for random entries in trees of random sizes, whose roots
// that library computes from the leaf hashes.
func wantProved(t *testing.T, s store, trail *custody.Trail, p *published, leaves [][]byte) {
	t.Helper()
	rng := newRand(t)
	between := func(from, to uint64) uint64 { return from + rng.Uint64N(to-from+1) }
	entries, trees := make([][2]uint64, pairs), make([][2]uint64, pairs)
	var sizes []uint64
	for i := range pairs {
		size := between(p.first+1, trail.Size())
		entries[i] = [2]uint64{between(p.first, size-1), size}
		trees[i] = [2]uint64{between(max(p.first, 1), size), size}
		sizes = append(sizes, size, trees[i][0])
	}
	roots := rootsAt(t, leaves, sizes)
	signer := s.signer(t, trail)
	checkpoint := func(size uint64) []byte {
		c := evidence.Checkpoint{Origin: origin, Size: size, Root: evidence.Hash(roots[size])}
		return get(evidence.SignCheckpoint(&c, signer))(t)
	}
	policy := get(torchwood.ParsePolicy(p.policy()))(t)
	for _, x := range entries {
		if err := checkInclusion(t.Context(), trail, x[0], x[1], checkpoint(x[1]), leaves[x[0]], roots[x[1]], policy); err != nil {
			t.Errorf("entry %d of %d: %v", x[0], x[1], err)
		}
	}
	for _, x := range trees {
		if err := checkConsistency(t.Context(), trail, x[0], x[1], checkpoint(x[0]), checkpoint(x[1]), roots); err != nil {
			t.Errorf("%d to %d entries: %v", x[0], x[1], err)
		}
	}
}

// rootsAt returns the roots of the trees of some sizes.
func rootsAt(t testing.TB, leaves [][]byte, sizes []uint64) map[uint64][]byte {
	t.Helper()
	roots := map[uint64][]byte{}
	for _, size := range sizes {
		roots[size] = nil
	}
	tree := (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)
	for _, leaf := range leaves {
		must(t, tree.Append(leaf, nil))
		if _, wanted := roots[tree.End()]; wanted {
			roots[tree.End()] = get(tree.GetRootHash(nil))(t)
		}
	}
	return roots
}

// checkInclusion has the proof of an entry checked, and rejected for another one.
func checkInclusion(ctx context.Context, trail *custody.Trail, index, size uint64, checkpoint, leaf, root []byte, policy torchwood.Policy) error {
	p, err := trail.Prove(ctx, index, custody.ProveOptions{Checkpoint: checkpoint})
	if err != nil {
		return err
	}
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, index, size, leaf, asBytes(p.Hashes), root); err != nil {
		return err
	}
	file, err := p.Marshal()
	if err != nil {
		return err
	}
	if err := torchwood.VerifyProof(policy, tlog.Hash(leaf), file); err != nil {
		return err
	}
	other := tlog.Hash(leaf)
	other[0] ^= 1
	if proof.VerifyInclusion(rfc6962.DefaultHasher, index, size, other[:], asBytes(p.Hashes), root) == nil || torchwood.VerifyProof(policy, other, file) == nil {
		return fmt.Errorf("the proof is taken for one of another entry")
	}
	return nil
}

// checkConsistency has the proof between two trees checked, and rejected for another one.
func checkConsistency(ctx context.Context, trail *custody.Trail, old, size uint64, from, to []byte, roots map[uint64][]byte) error {
	p, err := trail.ProveConsistency(ctx, from, to)
	if err != nil {
		return err
	}
	hashes := asBytes(p.Hashes)
	if err := proof.VerifyConsistency(rfc6962.DefaultHasher, old, size, hashes, roots[old], roots[size]); err != nil {
		return err
	}
	other := append([]byte{roots[old][0] ^ 1}, roots[old][1:]...)
	if proof.VerifyConsistency(rfc6962.DefaultHasher, old, size, hashes, other, roots[size]) == nil {
		return fmt.Errorf("the proof is taken for one from another tree")
	}
	return nil
}

func asBytes(hashes []evidence.Hash) [][]byte {
	b := make([][]byte, len(hashes))
	for i := range hashes {
		b[i] = hashes[i][:]
	}
	return b
}
