package custody

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
)

// Stats is a trail at a glance. None of it is verified.
type Stats struct {
	Origin string
	Size   uint64    // entries
	First  time.Time // of the first entry; zero when there is none
	Last   time.Time // of the newest entry
	Bytes  int64     // on disk: entries, payloads, index, everything

	// Parts is what the entries lie in, in order.
	Parts []Part

	// Types counts the entries by type, the most frequent first.
	Types []TypeCount

	// Checkpoint is the newest checkpoint, and KeyIDs are the ids of the keys
	// it is signed with, the newest last.
	Checkpoint evidence.Checkpoint
	KeyIDs     []string

	// Minimum is the minimum index: entries before it were pruned.
	Minimum uint64

	// Cosigned is the newest checkpoint that carries signatures of others, and
	// Stamped the newest one that has a time-stamp; nil when there is none. By
	// are the names that the signatures are in.
	Cosigned, Stamped *Claimed

	// Guard is where the last checkpoint that is handed out is kept; empty:
	// nowhere.
	Guard string
}

// Claimed is what others are said to vouch for. Verify says whether they do.
type Claimed struct {
	Size uint64
	By   []string

	// Time is when the newest cosignature of a witness was made, as it says; zero: there
	// is none.
	Time time.Time
}

// Part is a file that holds a run of entries.
type Part struct {
	Name  string
	First uint64 // index of its first entry
	Count uint64
}

// TypeCount is the number of entries of one type.
type TypeCount struct {
	Type  event.Type
	Count uint64
}

// Stats returns the trail at a glance, in a time that hardly depends on its
// size: of all entries only the first and the newest are read. While the trail
// is written, its parts may be of slightly different moments.
func (t *Trail) Stats(ctx context.Context) (Stats, error) {
	s := Stats{Origin: t.meta.Origin, Size: t.store.Size(), Minimum: t.store.First()}
	var err error
	if last, err := t.lastHandedOut(); err == nil && last != nil {
		if s.Guard, err = t.guardFile(); err != nil {
			return s, err
		}
	}
	if s.Cosigned, err = t.claimed(attachedCosigned); err != nil {
		return s, err
	}
	if s.Stamped, err = t.claimed(attachedStamped); err != nil {
		return s, err
	}
	if s.Bytes, err = t.store.Bytes(); err != nil {
		return s, err
	}
	parts, err := t.store.Parts(ctx)
	if err != nil {
		return s, err
	}
	for _, p := range parts {
		s.Parts = append(s.Parts, Part{Name: p.Name, First: p.First, Count: p.Count})
	}
	if s.Size == 0 {
		return s, nil
	}
	first, err := t.Entry(ctx, 0)
	if err != nil {
		return s, err
	}
	last, err := t.Entry(ctx, s.Size-1)
	if err != nil {
		return s, err
	}
	s.First, s.Last = first.Time, last.Time
	if s.Types, err = t.countTypes(ctx); err != nil {
		return s, err
	}
	signed, err := t.Checkpoint(ctx)
	if errors.Is(err, ErrNotFound) {
		return s, nil
	} else if err != nil {
		return s, err
	}
	if s.Checkpoint, err = evidence.PeekCheckpoint(signed); err != nil {
		return s, err
	}
	ids, err := evidence.SignatureKeys(signed)
	for _, id := range ids {
		s.KeyIDs = append(s.KeyIDs, evidence.KeyID(id))
	}
	return s, err
}

// claimed returns the newest document of a kind.
func (t *Trail) claimed(kind string) (*Claimed, error) {
	sizes, err := t.store.Attached(kind)
	if err != nil || len(sizes) == 0 {
		return nil, err
	}
	c := &Claimed{Size: sizes[len(sizes)-1]}
	signed, err := t.store.Attachment(kind, c.Size)
	if errors.Is(err, ErrNotFound) {
		return t.claimed(kind) // a newer one of the same hour took its place
	}
	if err != nil {
		return nil, err
	}
	names, err := evidence.SignatureNames(signed)
	if err != nil {
		return c, nil // Verify reports it
	}
	c.By = slices.DeleteFunc(names, func(name string) bool { return name == t.meta.Origin })
	cosigned, err := evidence.PeekCosignatures(signed)
	if err != nil {
		return c, nil
	}
	for _, one := range cosigned {
		if one.Time.After(c.Time) {
			c.Time = one.Time
		}
	}
	return c, nil
}

func (t *Trail) countTypes(ctx context.Context) ([]TypeCount, error) {
	counts, err := t.Counts(ctx, time.Time{}, time.Time{}, 24*time.Hour)
	if err != nil {
		return nil, err
	}
	byType := map[event.Type]uint64{}
	for _, c := range counts {
		byType[c.Type] += c.Count
	}
	types := make([]TypeCount, 0, len(byType))
	for typ, n := range byType {
		types = append(types, TypeCount{typ, n})
	}
	slices.SortFunc(types, func(a, b TypeCount) int {
		switch {
		case a.Count > b.Count:
			return -1
		case a.Count < b.Count:
			return 1
		}
		return strings.Compare(string(a.Type), string(b.Type))
	})
	return types, nil
}
