package evidence

import (
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"
)

// ErasureReceipt proves what an erasure removed from a trail, and that no entry
// changed with it. It holds nothing of what was removed.
//
// The tree before is given by its perfect subtrees, which give the root that
// Before signs. The hashes of the entries added since, the events of the erasure
// among them, extend it to the root that After signs: so the entries before are
// the same. Which payloads went is what these events say.
type ErasureReceipt struct {
	Before string         `json:"before"` // signed checkpoint from before the erasure
	After  string         `json:"after"`  // signed checkpoint that covers its events
	Tree   []Hash         `json:"tree"`   // perfect subtrees of the tree that Before is over, the largest first
	Added  []Hash         `json:"added"`  // leaf hashes of the entries between the two
	Events []ErasureEvent `json:"events"`
}

// ErasureEvent is an entry that tells of an erasure, with its payload.
type ErasureEvent struct {
	Index   uint64 `json:"index"`
	Entry   []byte `json:"entry"`
	Salt    []byte `json:"salt"`
	Payload []byte `json:"payload"`
}

// Check verifies the receipt with the key, or keys, that the trail was signed with
// at the time, and returns the entries whose payloads were erased.
func (r *ErasureReceipt) Check(keys ...note.Verifier) (Ranges, error) {
	before, _, err := openWithAny([]byte(r.Before), keys)
	if err != nil {
		return nil, fmt.Errorf("the checkpoint before: %w", err)
	}
	after, _, err := openWithAny([]byte(r.After), keys)
	if err != nil {
		return nil, fmt.Errorf("the checkpoint after: %w", err)
	}
	if before.Origin != after.Origin {
		return nil, fmt.Errorf("the checkpoints are of two trails, %q and %q", before.Origin, after.Origin)
	}
	tree, err := NewTree(before.Size, r.Tree)
	if err != nil {
		return nil, fmt.Errorf("the tree before: %w", err)
	}
	if tree.Root() != before.Root {
		return nil, errors.New("the tree before does not have the root that was signed")
	}
	if before.Size+uint64(len(r.Added)) != after.Size {
		return nil, fmt.Errorf("%d hashes do not lead from %d entries to %d", len(r.Added), before.Size, after.Size)
	}
	for _, h := range r.Added {
		tree.Append(h)
	}
	if tree.Root() != after.Root {
		return nil, errors.New("the entries added since do not give the root that was signed: the trail is another one")
	}
	if len(r.Events) == 0 {
		return nil, errors.New("it holds no event that tells of an erasure")
	}
	var erased Ranges
	for i := range r.Events {
		part, err := r.Events[i].check(before.Size, r.Added)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", r.Events[i].Index, err)
		}
		erased = erased.Union(part)
	}
	return erased, nil
}

func openWithAny(signed []byte, keys []note.Verifier) (Checkpoint, note.Verifier, error) {
	err := errors.New("no key to check it with was given")
	for _, k := range keys {
		var c Checkpoint
		if c, _, err = OpenCheckpoint(signed, k); err == nil {
			return c, k, nil
		}
	}
	return Checkpoint{}, nil, err
}

func (e *ErasureEvent) check(first uint64, added []Hash) (Ranges, error) {
	if e.Index < first || e.Index-first >= uint64(len(added)) || LeafHash(e.Entry) != added[e.Index-first] {
		return nil, errors.New("it is not among the entries added")
	}
	entry, err := ParseEntry(e.Entry)
	if err != nil {
		return nil, err
	}
	if entry.Index != e.Index || entry.Type != "payload_erased" {
		return nil, fmt.Errorf("it is entry %d of type %s, which tells of no erasure", entry.Index, entry.Type)
	}
	if len(e.Salt) != SaltSize || CommitBody(append(append([]byte(nil), e.Salt...), e.Payload...)) != entry.Payload {
		return nil, errors.New("its payload is not the one that it commits to")
	}
	var payload struct {
		Details struct {
			Indices string `json:"indices"`
			Digest  string `json:"digest"`
		} `json:"details"`
	}
	if err := json.Unmarshal(e.Payload, &payload); err != nil {
		return nil, err
	}
	erased, err := ParseListed(payload.Details.Indices, payload.Details.Digest, e.Index)
	if err != nil {
		return nil, err
	}
	if len(erased) == 0 {
		return nil, errors.New("it lists no entries")
	}
	return erased, nil
}
