// Package lyinglog makes logs that lie, for tests: an honest log, and what somebody
// who runs a log, or stands between it and those who check it, could publish instead.
// Each lie says how it has to be noticed, and by whom.
package lyinglog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
)

const (
	// Origin is that of the logs.
	Origin = "example.org/agents"

	// Size is how many entries the honest log has: two full bundles, and a partial
	// one.
	Size = 600

	// Earlier is how many entries the checkpoint covers that was kept from before.
	Earlier = 300
)

// Kit is an honest log, and what it takes to make others of it.
type Kit struct {
	Trail  string // directory of the trail that the log was published from
	Policy []byte // names the log's key and the witness; the quorum is the witness
	Honest Log
	Since  []byte // the honest checkpoint of Earlier entries, cosigned

	entries [][]byte
	signer  *evidence.Signer
	witness *evidence.CosignatureSigner
}

// New records a trail below dir, which is empty, and publishes it. Only the
// cosignature of the witness is made by hand.
func New(ctx context.Context, dir string) (*Kit, error) {
	k := &Kit{Trail: filepath.Join(dir, "trail")}
	keys := filepath.Join(dir, "keys")
	vkey, err := custody.Create(k.Trail, custody.CreateOptions{Origin: Origin, KeyDir: keys})
	if err != nil {
		return nil, err
	}
	name, err := custody.KeyFile(keys, vkey)
	if err != nil {
		return nil, err
	}
	if k.signer, err = custody.ReadKey(name); err != nil {
		return nil, err
	}
	skey, witness, err := evidence.GenerateCosignatureKey("witness.example.org/w1")
	if err != nil {
		return nil, err
	}
	if k.witness, err = evidence.ParseCosignatureSigner(skey); err != nil {
		return nil, err
	}
	k.Policy = fmt.Appendf(nil, "log %s\nwitness w1 %s\nquorum w1\n", vkey, witness)
	trail, err := custody.Open(k.Trail, &custody.Options{KeyDir: keys, Guard: custody.GuardOff})
	if err != nil {
		return nil, err
	}
	return k, errors.Join(k.record(ctx, trail), trail.Close())
}

func (k *Kit) record(ctx context.Context, trail *custody.Trail) (err error) {
	var signed []byte
	for trail.Size() < Size {
		to := uint64(Size)
		if trail.Size() < Earlier {
			to = Earlier
		}
		var events []event.Event
		for i := trail.Size(); i < to; i++ {
			events = append(events, event.Event{Type: event.TurnStarted, AgentID: "agent-1", SessionID: fmt.Sprint(i % 7), Details: map[string]any{"turn": i}})
		}
		if _, err := trail.RecordBatch(ctx, events); err != nil {
			return err
		}
		if signed, err = trail.Checkpoint(ctx); err == nil {
			signed, err = k.cosign(signed, k.witness)
		}
		if err != nil {
			return err
		}
		if to == Earlier {
			k.Since = signed
		}
	}
	for i := range trail.Size() {
		e, err := trail.Entry(ctx, i)
		if err != nil {
			return err
		}
		k.entries = append(k.entries, e.Envelope)
	}
	k.Honest, err = Publish(k.entries, signed)
	return err
}

// Log is a published log: contents by path. It is a source of package tiles.
type Log map[string][]byte

// Fetch returns the content at a path.
func (l Log) Fetch(ctx context.Context, path string) ([]byte, error) {
	content, ok := l[path]
	if !ok {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return content, ctx.Err()
}

// ServeHTTP implements [http.Handler].
func (l Log) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	content, ok := l[strings.TrimPrefix(r.URL.Path, "/")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Write(content) // an error means that the client is gone
}

// Publish returns the log of entries under a signed checkpoint. Tiles are made with
// package tlog.
func Publish(entries [][]byte, signed []byte) (Log, error) {
	l := Log{"checkpoint": signed}
	hashes, err := stored(entries)
	if err != nil {
		return nil, err
	}
	for _, t := range tlog.NewTiles(8, 0, int64(len(entries))) {
		tile := evidence.Tile{Level: t.L, Index: uint64(t.N), Width: t.W}
		if l[tile.Path()], err = tlog.ReadTileData(t, hashes); err != nil {
			return nil, err
		}
		if t.L > 0 {
			continue
		}
		tile.Level = evidence.EntriesLevel
		first := int(t.N) * evidence.TileWidth
		if l[tile.Path()], err = bundle(entries[first : first+t.W]); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func bundle(entries [][]byte) (b []byte, err error) {
	for _, entry := range entries {
		if b, err = evidence.AppendToBundle(b, entry); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// stored returns the hashes of the tree over entries.
func stored(entries [][]byte) (evidence.HashReader, error) {
	var hashes []tlog.Hash
	read := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(at))
		for i, x := range at {
			if x >= int64(len(hashes)) {
				return nil, fmt.Errorf("there is no hash %d in a tree of %d entries", x, len(entries))
			}
			out[i] = hashes[x]
		}
		return out, nil
	})
	for i, entry := range entries {
		more, err := tlog.StoredHashes(int64(i), entry, read)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, more...)
	}
	return read, nil
}

// sign returns the checkpoint of entries, signed by the log, after a change.
func (k *Kit) sign(entries [][]byte, change func(*evidence.Checkpoint), signers ...note.Signer) ([]byte, error) {
	var tree evidence.Tree
	for _, entry := range entries {
		tree.Append(evidence.LeafHash(entry))
	}
	c := evidence.Checkpoint{Origin: Origin, Size: tree.Size(), Root: tree.Root()}
	if change != nil {
		change(&c)
	}
	if signers == nil {
		signers = []note.Signer{k.signer}
	}
	return evidence.SignCheckpoint(&c, signers...)
}

// cosign adds a cosignature to a checkpoint.
func (k *Kit) cosign(signed []byte, witness *evidence.CosignatureSigner) ([]byte, error) {
	body, _, _ := bytes.Cut(signed, []byte("\n\n"))
	line, err := witness.Cosign(string(body)+"\n", time.Now())
	if err != nil {
		return nil, err
	}
	return evidence.AddCosignature(signed, line)
}

// impostor returns a key of the same name as the log's.
func impostor(name string) (*evidence.Signer, error) {
	skey, _, err := evidence.GenerateKey(name)
	if err != nil {
		return nil, err
	}
	return evidence.ParseSigner(skey)
}

// edit returns entries with one of them changed. Those behind it are linked anew if
// relink says so.
func edit(entries [][]byte, index int, relink bool, change func(*evidence.Entry)) ([][]byte, error) {
	entries = slices.Clone(entries)
	e, err := evidence.ParseEntry(entries[index])
	if err != nil {
		return nil, err
	}
	change(&e)
	entries[index] = evidence.AppendEntry(nil, &e)
	if relink {
		err = link(entries, index+1)
	}
	return entries, err
}

// link gives the entries from number from on the indices and links of their places.
func link(entries [][]byte, from int) error {
	for i := from; i < len(entries); i++ {
		e, err := evidence.ParseEntry(entries[i])
		if err != nil {
			return err
		}
		e.Index, e.Prev = uint64(i), evidence.LeafHash(entries[i-1])
		entries[i] = evidence.AppendEntry(nil, &e)
	}
	return nil
}
