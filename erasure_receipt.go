package custody

import (
	"context"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/storage"
)

// ErasureReceipt proves what an erasure removed, and that no entry changed with
// it. evidence.ErasureReceipt.Check says how.
type ErasureReceipt = evidence.ErasureReceipt

// beginReceipt keeps the state of the trail before an erasure.
func (t *Trail) beginReceipt() (*ErasureReceipt, error) {
	checkpoint, err := t.store.Checkpoint()
	if err != nil {
		return nil, err
	}
	return &ErasureReceipt{Before: string(checkpoint)}, nil
}

// endReceipt adds the events that tell of the erasure, and what joins the state
// before with that after it.
func (t *Trail) endReceipt(ctx context.Context, r *ErasureReceipt, events []uint64) error {
	before, err := evidence.PeekCheckpoint([]byte(r.Before))
	if err != nil {
		return err
	}
	after, err := t.store.Checkpoint()
	if err != nil {
		return err
	}
	r.After = string(after)
	size, err := evidence.PeekCheckpoint(after)
	if err != nil {
		return err
	}
	tree, _, err := t.store.TreeAt(ctx, before.Size)
	if err != nil {
		return err
	}
	r.Tree = tree.Nodes()
	told := make(map[uint64]bool, len(events))
	for _, i := range events {
		told[i] = true
	}
	var rec storage.Record // one for all: it keeps the block that neighbours are in
	for i := before.Size; i < size.Size; i++ {
		e, err := t.entryAt(ctx, i, &rec)
		if err != nil {
			return err
		}
		r.Added = append(r.Added, e.Hash)
		if told[i] {
			r.Events = append(r.Events, evidence.ErasureEvent{Index: i, Entry: e.Envelope, Salt: e.Salt, Payload: e.Payload})
		}
	}
	return nil
}
