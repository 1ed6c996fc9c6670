package custody

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/evidence/timestamp"
)

// KeptCheckpoint is a checkpoint that the trail keeps since others vouch for it. None of
// it is verified: Verify says whether it holds.
type KeptCheckpoint struct {
	Size   uint64
	Signed []byte // the checkpoint, with its signatures

	// Cosigned are the cosignatures of witnesses, with when each was made.
	Cosigned []evidence.Cosignature

	// Stamped is what its time-stamp says; nil: it has none.
	Stamped *timestamp.Timestamp

	// Err is why the document, or its time-stamp, cannot be read.
	Err error
}

// KeptCheckpoints returns the checkpoints that witnesses cosigned or an authority
// time-stamped, the newest first. limit 0 means all. Of those that were cosigned within
// one hour the last is kept.
func (t *Trail) KeptCheckpoints(ctx context.Context, limit int) ([]KeptCheckpoint, error) {
	bySize := map[uint64]*KeptCheckpoint{}
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
			k := bySize[size]
			if k == nil {
				k = &KeptCheckpoint{Size: size}
				bySize[size] = k
			}
			k.Signed = signed // of the two, the cosigned one has more signatures
			if err == nil {
				k.Cosigned, err = evidence.PeekCosignatures(signed)
			}
			if err == nil && kind == attachedStamped {
				k.Stamped, err = t.peekTimestamp(size)
			}
			k.Err = cmp.Or(k.Err, err)
		}
	}
	all := make([]KeptCheckpoint, 0, len(bySize))
	for _, k := range bySize {
		all = append(all, *k)
	}
	slices.SortFunc(all, func(a, b KeptCheckpoint) int { return cmp.Compare(b.Size, a.Size) })
	if limit > 0 {
		all = all[:min(limit, len(all))]
	}
	return all, nil
}

func (t *Trail) peekTimestamp(size uint64) (*timestamp.Timestamp, error) {
	token, err := t.store.Attachment(attachedTimestamp, size)
	if err != nil {
		return nil, err
	}
	return timestamp.Peek(token)
}
