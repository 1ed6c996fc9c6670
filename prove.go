package custody

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/storage"
)

// ProveOptions says what a proof of an entry shows.
type ProveOptions struct {
	// Payload discloses the payload, with the salt that its commitment was made
	// with. Default: the entry only, of which nobody can tell what happened.
	Payload bool

	// Checkpoint is the signed checkpoint of the trail that the entry is proved
	// against. nil: the newest that witnesses cosigned, if it covers the entry,
	// else the newest.
	Checkpoint []byte
}

// Prove returns a proof that an entry is in the trail (C2SP tlog-proof), which
// anybody can check who has a trust policy ([evidence.Proof.Check]). It fails with
// ErrNotFound when the checkpoint does not cover the entry, with ErrPruned when the
// entry was pruned, and with ErrErased when its payload is to be disclosed and is not
// held any more.
func (t *Trail) Prove(ctx context.Context, index uint64, opts ProveOptions) (*evidence.Proof, error) {
	e, err := t.Entry(ctx, index)
	if err != nil {
		return nil, err
	}
	if opts.Checkpoint == nil {
		if opts.Checkpoint, err = t.checkpointFor(ctx, index); err != nil {
			return nil, err
		}
	}
	c, err := evidence.PeekCheckpoint(opts.Checkpoint)
	if err != nil {
		return nil, err
	}
	if index >= c.Size {
		return nil, fmt.Errorf("entry %d: %w in the checkpoint, which covers %d entries", index, ErrNotFound, c.Size)
	}
	disclosed := evidence.Disclosed{Entry: e.Envelope}
	if opts.Payload {
		if e.Payload == nil {
			return nil, fmt.Errorf("entry %d: %w, so only the entry can be proved", index, ErrErased)
		}
		disclosed.Salt, disclosed.Payload = e.Salt, e.Payload
	}
	p := &evidence.Proof{Index: index, Checkpoint: opts.Checkpoint}
	if p.Extra, err = disclosed.Marshal(); err != nil {
		return nil, err
	}
	if p.Hashes, err = evidence.ProveInclusion(t.hashes(ctx), index, c.Size); err != nil {
		return nil, t.closed(err)
	}
	// What is stored may not be what was signed.
	if err := evidence.CheckInclusion(p.Hashes, index, c.Size, e.Hash, c.Root); err != nil {
		return nil, fmt.Errorf("%w: the checkpoint of %d entries is not of this trail, or the trail was altered: %w", ErrAltered, c.Size, err)
	}
	return p, nil
}

// ProveConsistency returns a proof that the trail as it was at an earlier signed
// checkpoint is a prefix of what it was at a later one. latest nil: the newest. It
// fails with ErrPruned where the hashes that it takes were pruned.
func (t *Trail) ProveConsistency(ctx context.Context, old, latest []byte) (*evidence.ConsistencyProof, error) {
	var err error
	if latest == nil {
		if latest, err = t.Checkpoint(ctx); err != nil {
			return nil, err
		}
	}
	from, err := evidence.PeekCheckpoint(old)
	if err != nil {
		return nil, fmt.Errorf("the earlier checkpoint: %w", err)
	}
	to, err := evidence.PeekCheckpoint(latest)
	if err != nil {
		return nil, fmt.Errorf("the later checkpoint: %w", err)
	}
	if to.Size > t.Size() {
		return nil, fmt.Errorf("the later checkpoint: %w: the trail has %d entries, fewer than the %d that it covers", ErrNotFound, t.Size(), to.Size)
	}
	p := &evidence.ConsistencyProof{Old: old, New: latest}
	if p.Hashes, err = t.proveConsistency(ctx, from.Size, to.Size); err != nil {
		return nil, err
	}
	if err := evidence.CheckConsistency(p.Hashes, from.Size, to.Size, from.Root, to.Root); err != nil {
		return nil, fmt.Errorf("%w: one of the checkpoints is not of this trail, or the trail was altered: %w", ErrAltered, err)
	}
	return p, nil
}

func (t *Trail) proveConsistency(ctx context.Context, old, size uint64) ([]evidence.Hash, error) {
	hashes, err := evidence.ProveConsistency(t.hashes(ctx), old, size)
	return hashes, t.closed(err)
}

// Tile returns the content of a tile or of an entry bundle (C2SP tlog-tiles). It
// fails with ErrNotFound when the trail is too small for it, and with ErrPruned when
// what is in it was pruned.
func (t *Trail) Tile(ctx context.Context, tile evidence.Tile) ([]byte, error) {
	if !tile.Exists(t.Size()) {
		return nil, fmt.Errorf("%s: %w in a trail of %d entries", tile.Path(), ErrNotFound, t.Size())
	}
	first := tile.Index * evidence.TileWidth
	if tile.Level == evidence.EntriesLevel {
		return t.bundle(ctx, first, tile.Width)
	}
	hashes, err := t.hashes(ctx).nodes(8*tile.Level, first, tile.Width)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", tile.Path(), t.closed(err))
	}
	b := make([]byte, 0, len(hashes)*len(evidence.Hash{}))
	for _, h := range hashes {
		b = append(b, h[:]...)
	}
	return b, nil
}

func (t *Trail) bundle(ctx context.Context, first uint64, n int) (b []byte, err error) {
	var r storage.Record
	for i := range uint64(n) {
		if err := t.store.Read(ctx, first+i, &r); err != nil {
			return nil, t.closed(err)
		}
		if b, err = evidence.AppendToBundle(b, r.Entry); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// hashReader reads the hashes of the trail's tree. It implements
// [evidence.HashReader].
type hashReader struct {
	ctx   context.Context
	store storage.Store
}

func (t *Trail) hashes(ctx context.Context) *hashReader { return &hashReader{ctx, t.store} }

// ReadHashes implements [tlog.HashReader].
func (r *hashReader) ReadHashes(at []int64) ([]evidence.Hash, error) {
	hashes := make([]evidence.Hash, len(at))
	for i, x := range at {
		level, n := tlog.SplitStoredHashIndex(x)
		nodes, err := r.nodes(level, uint64(n), 1)
		if err != nil {
			return nil, err
		}
		hashes[i] = nodes[0]
	}
	return hashes, nil
}

// nodes returns n nodes of any level, from number first on. Those of levels that are
// not kept are made from the ones below.
func (r *hashReader) nodes(level int, first uint64, n int) ([]evidence.Hash, error) {
	kept := min(level/8*8, 16)
	below := 1 << (level - kept)
	nodes, err := r.store.Nodes(r.ctx, nil, kept, first*uint64(below), n*below)
	if err != nil || below == 1 {
		return nodes, err
	}
	joined := make([]evidence.Hash, n)
	for i := range joined {
		joined[i] = evidence.Join(kept, nodes[i*below:(i+1)*below])
	}
	return joined, nil
}

// proveReceipts adds proofs to receipts.
func (t *Trail) proveReceipts(ctx context.Context, receipts []Receipt) error {
	for i := range receipts {
		r := &receipts[i]
		p, err := t.Prove(ctx, r.Index, ProveOptions{Payload: true, Checkpoint: r.Checkpoint})
		if errors.Is(err, ErrErased) { // a duplicate of what was erased since
			p, err = t.Prove(ctx, r.Index, ProveOptions{Checkpoint: r.Checkpoint})
		}
		if err != nil {
			return fmt.Errorf("event %q is recorded, as entry %d, but could not be proved: %w", r.ID, r.Index, err)
		}
		p.Checkpoint = bytes.Clone(p.Checkpoint) // receipts of a commit share it
		r.Proof = p
	}
	return nil
}
