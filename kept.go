package custody

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/evidence/timestamp"
	"github.com/custodylog/custody/internal/storage"
)

// KeptCheckpoint is a signed checkpoint that the trail keeps. None of it is verified:
// Verify says whether it holds.
type KeptCheckpoint struct {
	Size   uint64
	Root   evidence.Hash
	Signed []byte // the checkpoint, with its signatures

	// Time is that of the last entry that the checkpoint covers; zero when that entry
	// was pruned.
	Time time.Time

	// KeyIDs are the ids of the keys that signed it in the name of the trail.
	KeyIDs []string

	// Cosigned are the cosignatures of witnesses, with when each was made.
	Cosigned []evidence.Cosignature

	// Stamped is what its time-stamp says; nil: it has none.
	Stamped *timestamp.Timestamp

	// Err is why the document, its time-stamp or the entry cannot be read.
	Err error
}

// KeptCheckpoints returns the checkpoints that the trail keeps, the newest first. limit 0
// means all. Of those that commits end with it keeps the last one of every 65,536 entries
// and those that two keys signed, when the key changed; besides, until the next commit,
// the newest. Of those that witnesses cosigned within one hour it keeps the last, and of
// those that an authority time-stamped all. Before all others come those that cannot be
// read, so that nobody knows what they cover: Size is 0 then, and Signed what is there.
func (t *Trail) KeptCheckpoints(ctx context.Context, limit int) ([]KeptCheckpoint, error) {
	var all []KeptCheckpoint
	bySize := map[uint64]*KeptCheckpoint{}
	at := func(size uint64) *KeptCheckpoint {
		k := bySize[size]
		if k == nil {
			k = &KeptCheckpoint{Size: size}
			bySize[size] = k
		}
		return k
	}
	for _, signed := range t.store.Checkpoints(limit) {
		c, err := evidence.PeekCheckpoint(signed)
		if err != nil {
			all = append(all, KeptCheckpoint{Signed: signed, Err: err})
			continue
		}
		k := at(c.Size)
		k.Err = k.peek(signed, &c)
	}
	for _, kind := range []string{attachedStamped, attachedCosigned} {
		sizes, err := t.store.Attached(kind)
		if err != nil {
			return nil, t.closed(err)
		}
		if limit > 0 && len(sizes) > limit {
			sizes = sizes[len(sizes)-limit:]
		}
		for _, size := range sizes {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			signed, err := t.store.Attachment(kind, size)
			if errors.Is(err, ErrNotFound) {
				continue // a newer one of the same hour took its place
			}
			k := at(size)
			if err == nil {
				err = k.peekAttached(signed)
			}
			if err == nil && kind == attachedStamped {
				k.Stamped, err = t.peekTimestamp(size)
			}
			k.Err = cmp.Or(k.Err, err)
		}
	}
	for _, size := range slices.Backward(slices.Sorted(maps.Keys(bySize))) {
		all = append(all, *bySize[size])
	}
	if limit > 0 {
		all = all[:min(limit, len(all))]
	}
	for i := range all {
		if err := t.dateKept(ctx, &all[i]); err != nil {
			return nil, t.closed(err)
		}
	}
	return all, nil
}

// peekAttached takes over what a checkpoint says that others vouched for: the cosigned one
// has the most signatures, that of the commit the fewest.
func (k *KeptCheckpoint) peekAttached(signed []byte) error {
	c, err := evidence.PeekCheckpoint(signed)
	if err != nil {
		return err
	}
	if c.Size != k.Size {
		return fmt.Errorf("it covers %d entries, and is kept as one of %d", c.Size, k.Size)
	}
	if k.Cosigned, err = evidence.PeekCosignatures(signed); err != nil {
		return err
	}
	return k.peek(signed, &c)
}

// peek takes over a checkpoint, and who signed it.
func (k *KeptCheckpoint) peek(signed []byte, c *evidence.Checkpoint) error {
	names, err := evidence.SignatureNames(signed)
	if err != nil {
		return err
	}
	ids, err := evidence.SignatureKeys(signed)
	if err != nil {
		return err
	}
	k.Signed, k.Root, k.KeyIDs = signed, c.Root, nil
	for i, id := range ids {
		if names[i] == c.Origin {
			k.KeyIDs = append(k.KeyIDs, evidence.KeyID(id))
		}
	}
	return nil
}

// dateKept fills in when the last entry of a checkpoint was recorded. Only what says
// nothing of the checkpoint is an error.
func (t *Trail) dateKept(ctx context.Context, k *KeptCheckpoint) error {
	if k.Size == 0 || k.Signed == nil {
		return nil
	}
	var r storage.Record
	switch err := t.store.Read(ctx, k.Size-1, &r); {
	case err == nil:
		k.Time = r.Envelope.Time
	case errors.Is(err, storage.ErrPruned):
	case ctx.Err() != nil || t.ctx.Err() != nil:
		return err
	default:
		k.Err = cmp.Or(k.Err, err)
	}
	return nil
}

func (t *Trail) peekTimestamp(size uint64) (*timestamp.Timestamp, error) {
	token, err := t.store.Attachment(attachedTimestamp, size)
	if err != nil {
		return nil, err
	}
	return timestamp.Peek(token)
}
