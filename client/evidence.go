package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/evidence"
)

// checkpoint checks a signed checkpoint as far as that can be done here.
func (t *Trail) checkpoint(signed []byte) (evidence.Checkpoint, error) {
	var c evidence.Checkpoint
	var err error
	if len(t.server.keys) > 0 {
		c, _, err = evidence.OpenCheckpoint(signed, t.server.keys...)
	} else {
		c, err = evidence.PeekCheckpoint(signed)
	}
	if err == nil && c.Origin != t.info.Origin {
		err = errors.New("it is of the trail " + c.Origin)
	}
	if err != nil {
		return c, altered("the checkpoint: %w", err)
	}
	return c, nil
}

// Checkpoint returns the newest signed checkpoint, as custody.Trail.Checkpoint does.
func (t *Trail) Checkpoint(ctx context.Context) ([]byte, error) {
	return t.signed(ctx, t.path("checkpoint"))
}

// Published returns the checkpoint that outsiders are to see, as
// custody.Trail.Published does.
func (t *Trail) Published(ctx context.Context) ([]byte, error) {
	return t.signed(ctx, []string{"t", t.info.Name, "checkpoint"})
}

func (t *Trail) signed(ctx context.Context, path []string) ([]byte, error) {
	signed, err := t.conn.text(ctx, request{method: http.MethodGet, path: path})
	if err != nil {
		return nil, err
	}
	c, err := t.checkpoint(signed)
	if err != nil {
		return nil, err
	}
	t.sized(c.Size)
	return signed, nil
}

// Key is a key that the trail was signed with.
type Key struct {
	KeyID   string
	VKey    string    // the verifier key
	From    uint64    // index of the entry from which on it signs
	Time    time.Time // of that entry
	By      string    // who changed the key
	Reason  string
	InForce bool
}

// Keys returns the keys that the trail was signed with, the first one first, as the
// trail says itself.
func (t *Trail) Keys(ctx context.Context) ([]Key, error) {
	var answer struct {
		Keys []struct {
			KeyID   string `json:"key_id"`
			VKey    string `json:"vkey"`
			From    uint64 `json:"from"`
			Time    moment `json:"time"`
			By      string `json:"by"`
			Reason  string `json:"reason"`
			InForce bool   `json:"in_force"`
		} `json:"keys"`
	}
	if err := t.get(ctx, &answer, "keys"); err != nil {
		return nil, err
	}
	keys := make([]Key, len(answer.Keys))
	for i, k := range answer.Keys {
		keys[i] = Key{k.KeyID, k.VKey, k.From, k.Time.Time, k.By, k.Reason, k.InForce}
	}
	return keys, nil
}

// Prove returns a proof that an entry is in the trail, as custody.Trail.Prove does. It
// was checked against its checkpoint.
func (t *Trail) Prove(ctx context.Context, index uint64, opts custody.ProveOptions) (*evidence.Proof, error) {
	ask := struct {
		Index      uint64 `json:"index"`
		Payload    bool   `json:"payload,omitempty"`
		Checkpoint string `json:"checkpoint,omitempty"`
	}{index, opts.Payload, string(opts.Checkpoint)}
	text, err := t.conn.text(ctx, request{method: http.MethodPost, path: t.path("proofs"), body: ask})
	if err != nil {
		return nil, err
	}
	p, err := evidence.ParseProof(text)
	if err != nil {
		return nil, altered("the proof: %w", err)
	}
	return p, t.checkProof(p, index, opts)
}

// checkProof checks that a proof proves what was asked for.
func (t *Trail) checkProof(p *evidence.Proof, index uint64, opts custody.ProveOptions) error {
	if opts.Checkpoint != nil && string(p.Checkpoint) != string(opts.Checkpoint) {
		return altered("the proof is against another checkpoint")
	}
	c, err := t.checkpoint(p.Checkpoint)
	if err != nil {
		return err
	}
	d, err := evidence.ParseDisclosed(p.Extra)
	if err != nil {
		return altered("the proof: %w", err)
	}
	said, err := d.Open()
	switch {
	case err != nil:
		return altered("the proof: %w", err)
	case p.Index != index || said.Index != index:
		return altered("the proof is of entry %d, and %d was asked for", said.Index, index)
	case opts.Payload && d.Payload == nil:
		return altered("the proof does not disclose the payload")
	}
	if err := evidence.CheckInclusion(p.Hashes, index, c.Size, evidence.LeafHash(d.Entry), c.Root); err != nil {
		return altered("the proof: %w", err)
	}
	return nil
}

// ProveConsistency returns a proof that the trail as it was at an earlier signed
// checkpoint is a prefix of what it was at a later one, as
// custody.Trail.ProveConsistency does. It was checked.
func (t *Trail) ProveConsistency(ctx context.Context, old, latest []byte) (*evidence.ConsistencyProof, error) {
	ask := struct {
		Old string `json:"old"`
		New string `json:"new,omitempty"`
	}{string(old), string(latest)}
	text, err := t.conn.text(ctx, request{method: http.MethodPost, path: t.path("consistency-proofs"), body: ask})
	if err != nil {
		return nil, err
	}
	p, err := evidence.ParseConsistencyProof(text)
	if err != nil {
		return nil, altered("the proof: %w", err)
	}
	if string(p.Old) != string(old) || latest != nil && string(p.New) != string(latest) {
		return nil, altered("the proof is between other checkpoints")
	}
	from, err := evidence.PeekCheckpoint(old)
	if err != nil {
		return nil, err
	}
	to, err := t.checkpoint(p.New)
	if err != nil {
		return nil, err
	}
	if err := evidence.CheckConsistency(p.Hashes, from.Size, to.Size, from.Root, to.Root); err != nil {
		return nil, altered("the proof: %w", err)
	}
	return p, nil
}

// Bundle writes an evidence bundle, as custody.Trail.Bundle does. Options.Program is
// not used: the program is the server's. What is written is what the server made;
// custody check, or package evidence/bundle, checks it. When Bundle fails, a part may
// have been written.
func (t *Trail) Bundle(ctx context.Context, w io.Writer, opts custody.BundleOptions) error {
	q := opts.Query
	query, err := q.Members()
	if err != nil {
		return err
	}
	ask := struct {
		Query    map[string]any `json:"query,omitempty"`
		Question string         `json:"question,omitempty"`
		Policy   string         `json:"policy,omitempty"`
	}{query, opts.Text, string(opts.Policy)}
	return t.conn.do(ctx, request{method: http.MethodPost, path: t.path("bundle"), body: ask, long: true}, func(resp *http.Response) error {
		if _, err := io.Copy(w, resp.Body); err != nil {
			return &finalError{err} // a part of it is written
		}
		return nil
	})
}
