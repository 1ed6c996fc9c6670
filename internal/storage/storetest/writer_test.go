package storetest

import (
	"bytes"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/storage"
)

// TestWriter checks what the writer makes, so that a store is not blamed for it.
func TestWriter(t *testing.T) {
	w := NewWriter(7)
	w.PayloadSize = 50
	var batches []*storage.Batch
	for _, n := range []int{1, 2, 300, 1} {
		batches = append(batches, w.Batch(n))
	}
	w.Rotate()
	batches = append(batches, w.Batch(3), w.BatchOf("a", nil, make([]byte, evidence.SaltSize)), w.Batch(1))

	keys := []note.Verifier{w.signer(0).Verifier(), w.signer(1).Verifier()}
	chain := evidence.NewChain(0, nil)
	var tree evidence.Tree
	for n, b := range batches {
		if b.First != tree.Size() {
			t.Errorf("batch %d begins at %d, want %d", n, b.First, tree.Size())
		}
		for _, it := range b.Items {
			got := chain.Next(it.Entry)
			e, err := evidence.ParseEntry(it.Entry)
			if err != nil || got.Hash != it.Hash || e.Time.UnixMicro() != it.Time || e.Type != it.Type {
				t.Errorf("item %+v does not belong to its entry: %+v, %v", it, e, err)
			}
			var payload []byte
			if it.Body != nil {
				payload = it.Body[evidence.SaltSize:]
				if evidence.CommitBody(it.Body) != got.Payload {
					t.Errorf("entry %d commits to another payload", e.Index)
				}
			}
			if keys, err := Extract(nil, it.Type, payload); err != nil || !slices.Equal(keys, it.Keys) {
				t.Errorf("entry %d has the keys %x, want %x (%v)", e.Index, it.Keys, keys, err)
			}
			tree.Append(it.Hash)
		}
		by := keys[:1]
		if n == 4 {
			by = keys
		} else if n > 4 {
			by = keys[1:]
		}
		for _, key := range by {
			c, _, err := evidence.OpenCheckpoint(b.Checkpoint, key)
			if err != nil || c.Origin != Origin || c.Size != tree.Size() || c.Root != tree.Root() {
				t.Errorf("checkpoint of batch %d: %+v, %v", n, c, err)
			}
		}
	}
	if found := chain.End(); len(found) > 0 {
		t.Errorf("the entries do not check out: %v", found)
	}
	for n, b := range batches {
		if again := w.Replay(n); !bytes.Equal(again.Checkpoint, b.Checkpoint) || again.First != b.First || len(again.Items) != len(b.Items) {
			t.Errorf("batch %d is another one when replayed", n)
		}
	}
	first := NewWriter(7)
	first.PayloadSize = 50
	if again := first.Batch(1); !bytes.Equal(again.Checkpoint, batches[0].Checkpoint) {
		t.Error("equal seeds make different trails")
	}
	fork := w.Fork(303, 8)
	if b := fork.Batch(1); b.First != 303 || bytes.Equal(b.Items[0].Entry, w.Entry(303).Entry) || fork.Root(303) != w.Root(303) {
		t.Error("a fork does not begin with the same entries, or does not go on with others")
	}
}

// TestWriterBoundary: no batch reaches over a boundary.
func TestWriterBoundary(t *testing.T) {
	w := NewWriter(1)
	for w.Size() < Boundary+5 {
		b := w.Batch(50_000)
		if last := b.First + uint64(len(b.Items)) - 1; b.First/Boundary != last/Boundary {
			t.Errorf("a batch holds the entries %d to %d", b.First, last)
		}
	}
}
