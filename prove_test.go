package custody

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/segment"
)

// believing returns a policy that believes a trail's key, and asks for no witness.
func believing(t testing.TB, trail *Trail) *evidence.Policy {
	t.Helper()
	return get(evidence.ParsePolicy(fmt.Appendf(nil, "log %s\nquorum none\n", trail.signer.VerifierKey())))(t)
}

func TestProve(t *testing.T) {
	trail := newTrail(t, Options{ProveReceipts: true})
	policy := believing(t, trail)
	receipts := record(t, trail, turns(1, 600)...)
	one := get(trail.Record(t.Context(), turn(9999)))(t)
	for _, r := range []Receipt{receipts[0], receipts[255], receipts[598], one} {
		c := get(r.Proof.Check(policy))(t)
		if c.Entry.Index != r.Index || c.Hash != r.Hash || c.Disclosed.Payload == nil || !bytes.Equal(r.Proof.Checkpoint, r.Checkpoint) {
			t.Errorf("the receipt of entry %d proves %+v", r.Index, c.Entry)
		}
	}
	early := receipts[0].Checkpoint
	for index := range trail.Size() {
		opts := ProveOptions{Payload: index%2 == 0}
		if index%3 == 0 && index < 600 {
			opts.Checkpoint = early
		}
		p := get(trail.Prove(t.Context(), index, opts))(t)
		c, err := p.Check(policy)
		if err != nil || c.Entry.Index != index || (c.Disclosed.Payload != nil) != opts.Payload {
			t.Fatalf("entry %d: %v", index, err)
		}
	}
	for what, c := range map[string]struct {
		index uint64
		opts  ProveOptions
		want  error
	}{
		"beyond the end":            {602, ProveOptions{}, ErrNotFound},
		"beyond the checkpoint":     {601, ProveOptions{Checkpoint: early}, ErrNotFound},
		"under another checkpoint":  {3, ProveOptions{Checkpoint: get(evidence.SignCheckpoint(&evidence.Checkpoint{Origin: origin, Size: 7}, trail.signer))(t)}, ErrAltered},
		"a checkpoint ahead of all": {3, ProveOptions{Checkpoint: get(evidence.SignCheckpoint(&evidence.Checkpoint{Origin: origin, Size: 700}, trail.signer))(t)}, ErrNotFound},
	} {
		if _, err := trail.Prove(t.Context(), c.index, c.opts); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	erased := record(t, trail, about("u9", "p", 1))[0]
	erase(t, trail, "u9")
	if _, err := trail.Prove(t.Context(), erased.Index, ProveOptions{Payload: true}); !errors.Is(err, ErrErased) {
		t.Errorf("an erased payload: %v", err)
	}
	get(get(trail.Prove(t.Context(), erased.Index, ProveOptions{}))(t).Check(policy))(t)
	// The receipt goes on proving what was erased: it is its holder's.
	if c := get(erased.Proof.Check(policy))(t); !strings.Contains(string(c.Disclosed.Payload), "u9") {
		t.Errorf("%s", c.Disclosed.Payload)
	}
}

// TestProveLarge proves entries and consistency at many sizes of a trail with sealed,
// pruned and open parts.
func TestProveLarge(t *testing.T) {
	t.Parallel()
	f := get(expiredTrail())(t)
	rng := newRand(t)
	trail := openTrail(t, f.copyOf(t), Options{KeyDir: f.keys, now: later().now})
	policy := believing(t, trail)
	signedAt := func(size uint64) []byte {
		tree, _, err := trail.store.TreeAt(t.Context(), size)
		must(t, err)
		return get(evidence.SignCheckpoint(&evidence.Checkpoint{Origin: origin, Size: size, Root: tree.Root()}, trail.signer))(t)
	}
	check := func(first uint64, rounds int) {
		t.Helper()
		for range rounds {
			to := first + 1 + rng.Uint64N(trail.Size()-first)
			from := first + rng.Uint64N(to-first)
			signed := signedAt(to)
			p := get(trail.Prove(t.Context(), from, ProveOptions{Checkpoint: signed}))(t)
			if _, err := p.Check(policy); err != nil {
				t.Fatalf("entry %d of %d: %v", from, to, err)
			}
			c := get(trail.ProveConsistency(t.Context(), signedAt(from), signed))(t)
			if _, _, err := c.Check(policy); err != nil {
				t.Fatalf("from %d to %d: %v", from, to, err)
			}
		}
	}
	check(0, 60)
	hold := Hold{Query: Query{From: segment.Entries + 7, To: segment.Entries + 8}, Reason: "case", By: "counsel"}
	get(trail.PlaceHold(t.Context(), hold))(t)
	get(trail.ApplyRetention(t.Context(), policyOf(t, pruneAll), "operations"))(t)
	if trail.First() != segment.Entries {
		t.Fatalf("pruned up to %d", trail.First())
	}
	check(segment.Entries, 60)
	get(get(trail.Prove(t.Context(), 0, ProveOptions{Payload: true}))(t).Check(policy))(t) // the trail's own
	if _, err := trail.Prove(t.Context(), 5, ProveOptions{}); !errors.Is(err, ErrPruned) {
		t.Errorf("a pruned entry: %v", err)
	}
	if _, err := trail.ProveConsistency(t.Context(), f.earlier, nil); !errors.Is(err, ErrPruned) {
		t.Errorf("from within what was pruned: %v", err)
	}
}

func TestProveConsistencyRefuses(t *testing.T) {
	trail := newTrail(t, Options{})
	early := record(t, trail, turn(1))[0].Checkpoint
	record(t, trail, turns(2, 9)...)
	other := get(evidence.SignCheckpoint(&evidence.Checkpoint{Origin: origin, Size: 2, Root: evidence.Hash{1}}, trail.signer))(t)
	ahead := get(evidence.SignCheckpoint(&evidence.Checkpoint{Origin: origin, Size: 100}, trail.signer))(t)
	if _, err := trail.ProveConsistency(t.Context(), other, nil); !errors.Is(err, ErrAltered) {
		t.Errorf("from another history: %v", err)
	}
	for what, pair := range map[string][2][]byte{"ahead": {early, ahead}, "backwards": {get(trail.Checkpoint(t.Context()))(t), early}, "nonsense": {[]byte("x"), nil}} {
		if _, err := trail.ProveConsistency(t.Context(), pair[0], pair[1]); err == nil {
			t.Errorf("%s: proved", what)
		}
	}
}

// TestTiles compares tiles with the entries they are made of.
func TestTiles(t *testing.T) {
	t.Parallel()
	f := get(expiredTrail())(t)
	trail := openTrail(t, f.copyOf(t), Options{KeyDir: f.keys, now: later().now})
	size := trail.Size()
	rng := newRand(t)
	hash := func(level int, first uint64) evidence.Hash {
		var tree evidence.Tree
		for i := first << level; i < (first+1)<<level; i++ {
			tree.Append(get(trail.Entry(t.Context(), i))(t).Hash)
		}
		return tree.Root()
	}
	tile := func(path string) []byte { return get(trail.Tile(t.Context(), get(evidence.ParseTile(path))(t)))(t) }
	for _, path := range []string{"tile/0/000", "tile/0/511", "tile/0/512.p/6", "tile/0/400.p/3", "tile/1/000", "tile/1/001.p/9", "tile/2/000.p/2"} {
		at := get(evidence.ParseTile(path))(t)
		b := tile(path)
		if len(b) != 32*at.Width {
			t.Errorf("%s has %d bytes", path, len(b))
		}
		k := rng.IntN(at.Width)
		if at.Level < 2 && evidence.Hash(b[32*k:32*k+32]) != hash(8*at.Level, at.Index*256+uint64(k)) {
			t.Errorf("%s: hash %d is wrong", path, k)
		}
		if at.Level == 2 {
			b1 := tile("tile/1/000")
			var hashes []evidence.Hash
			for ; len(b1) > 0; b1 = b1[32:] {
				hashes = append(hashes, evidence.Hash(b1[:32]))
			}
			if evidence.Hash(b[:32]) != evidence.Join(8, hashes) {
				t.Errorf("%s is wrong", path)
			}
		}
	}
	entries := get(evidence.ParseBundle(tile("tile/entries/512.p/7"), 7))(t)
	for i, e := range entries {
		if !bytes.Equal(e, get(trail.Entry(t.Context(), size-7+uint64(i)))(t).Envelope) {
			t.Errorf("entry %d of the bundle is another one", i)
		}
	}
	for _, path := range []string{"tile/0/512", "tile/0/512.p/8", "tile/0/513.p/1", "tile/3/000.p/1", "tile/entries/513.p/1"} {
		if _, err := trail.Tile(t.Context(), get(evidence.ParseTile(path))(t)); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", path, err)
		}
	}
	get(trail.ApplyRetention(t.Context(), policyOf(t, pruneAll), "operations"))(t)
	for _, path := range []string{"tile/0/001", "tile/entries/000", "tile/entries/511"} {
		if _, err := trail.Tile(t.Context(), get(evidence.ParseTile(path))(t)); !errors.Is(err, ErrPruned) {
			t.Errorf("pruned, %s: %v", path, err)
		}
	}
	tile("tile/1/000")
	tile("tile/2/000.p/2")
}

// BenchmarkProve measures proofs in a trail of two segments, against the hashing of
// one bundle, which is what a proof costs at least.
func BenchmarkProve(b *testing.B) {
	f := get(sealedTrail())(b)
	trail := openTrail(b, f.copyOf(b), Options{ReadOnly: true})
	rng := rand.New(rand.NewPCG(1, 2))
	signed := get(trail.Checkpoint(b.Context()))(b)
	var bundle [256]evidence.Hash
	const times = 1000
	began := time.Now()
	for range times {
		evidence.Join(0, bundle[:])
	}
	raw := float64(time.Since(began).Nanoseconds()) / times
	for b.Loop() {
		if _, err := trail.Prove(b.Context(), rng.Uint64N(trail.Size()), ProveOptions{Checkpoint: signed}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "proofs/s")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/raw, "of-one-bundle")
}
