package wire

import (
	"context"
	"fmt"
	"iter"
	"path"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
)

// Stats is a trail at a glance.
type Stats struct {
	Dir        string      `json:"dir,omitempty"`
	Origin     string      `json:"origin"`
	Size       uint64      `json:"size"`
	First      string      `json:"first,omitempty"`
	Last       string      `json:"last,omitempty"`
	Bytes      int64       `json:"bytes"`
	KeyIDs     []string    `json:"key_ids"`
	Checkpoint *Checkpoint `json:"checkpoint,omitempty"`
	Parts      []Part      `json:"parts"`
	Types      []TypeCount `json:"types"`
	Minimum    uint64      `json:"minimum_index"`
	Cosigned   *Claimed    `json:"cosigned,omitempty"`
	Stamped    *Claimed    `json:"time_stamped,omitempty"`
	Guard      string      `json:"guard,omitempty"`
}

// Claimed is what others are said to vouch for.
type Claimed struct {
	Size uint64   `json:"size"`
	By   []string `json:"by"`
	Time string   `json:"time,omitempty"` // of the newest cosignature, as it says
}

func claimed(c *custody.Claimed) *Claimed {
	if c == nil {
		return nil
	}
	return &Claimed{c.Size, append([]string{}, c.By...), Time(c.Time)}
}

// Checkpoint is the newest checkpoint of a trail.
type Checkpoint struct {
	Size uint64 `json:"size"`
	Root string `json:"root"`
}

// Part is a file that holds a run of entries.
type Part struct {
	Name   string `json:"name"`
	First  uint64 `json:"first"`
	Count  uint64 `json:"count"`
	Sealed bool   `json:"sealed"`
}

// TypeCount is the number of entries of one type.
type TypeCount struct {
	Type  string `json:"type"`
	Count uint64 `json:"count"`
}

// StatsOf returns the JSON of a trail's statistics, without the places of its files on
// this machine: Dir and Guard are empty.
func StatsOf(s *custody.Stats) Stats {
	j := Stats{Origin: s.Origin, Size: s.Size, First: Time(s.First), Last: Time(s.Last), Bytes: s.Bytes,
		KeyIDs: append([]string{}, s.KeyIDs...), Parts: []Part{}, Types: []TypeCount{},
		Minimum: s.Minimum, Cosigned: claimed(s.Cosigned), Stamped: claimed(s.Stamped)}
	if s.Checkpoint.Size > 0 {
		j.Checkpoint = &Checkpoint{s.Checkpoint.Size, s.Checkpoint.Root.String()}
	}
	for _, part := range s.Parts {
		j.Parts = append(j.Parts, Part{part.Name, part.First, part.Count, path.Ext(part.Name) == ".segment"})
	}
	for _, c := range s.Types {
		j.Types = append(j.Types, TypeCount{string(c.Type), c.Count})
	}
	return j
}

// Count is the number of entries of one type within one period.
type Count struct {
	Start string `json:"start,omitempty"` // of the period; left out where there are no periods
	Type  string `json:"type"`
	Count uint64 `json:"count"`
}

// Key is a key of the trail.
type Key struct {
	KeyID   string `json:"key_id"`
	VKey    string `json:"vkey"`
	From    uint64 `json:"from"` // index of the entry from which on it signs
	Time    string `json:"time"`
	By      string `json:"by,omitempty"`
	Reason  string `json:"reason,omitempty"`
	InForce bool   `json:"in_force"`
}

// Keyed is a trail that tells its keys.
type Keyed interface {
	FirstKey() string
	Entry(ctx context.Context, index uint64) (custody.Entry, error)
	Entries(context.Context, custody.Query) iter.Seq2[custody.Entry, error]
}

// KeysOf returns the keys of a trail, as it says itself, the first one first.
func KeysOf(ctx context.Context, t Keyed) ([]Key, error) {
	first, err := t.Entry(ctx, 0)
	if err != nil {
		return nil, err
	}
	keys := []Key{{VKey: t.FirstKey(), Time: Time(first.Time)}}
	for e, err := range t.Entries(ctx, custody.Query{Types: []event.Type{event.KeyRotated}}) {
		if err != nil {
			return nil, err
		}
		ev, err := e.Event()
		if err != nil {
			return nil, err
		}
		k := Key{From: e.Index + 1, Time: Time(e.Time)}
		k.VKey, _ = ev.Details["new_key"].(string)
		k.By, _ = ev.Details["by"].(string)
		k.Reason, _ = ev.Details["reason"].(string)
		keys = append(keys, k)
	}
	keys[len(keys)-1].InForce = true
	for i := range keys {
		v, err := evidence.ParseVerifier(keys[i].VKey)
		if err != nil {
			return nil, fmt.Errorf("%w: the trail names a key that is none: %w", custody.ErrAltered, err)
		}
		keys[i].KeyID = evidence.KeyID(v.KeyHash())
	}
	return keys, nil
}
