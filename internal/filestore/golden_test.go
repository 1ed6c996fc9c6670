package filestore_test

import (
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/filestore"
	"github.com/custodylog/custody/internal/storage"
	"github.com/custodylog/custody/internal/storage/storetest"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

// golden lists the trails under testdata/golden at the root of the repository.
var golden = []struct {
	name  string
	root  string
	types []string
}{
	{"v1", "LBH0uejBJ2EhuFKGwq6rtgANWxoitFkursFY8AAj/hY=", []string{
		"log_opened", "session_started", "action_requested", "action_validated", "action_executed", "action_requested",
		"action_denied", "approval_requested", "approval_granted", "action_requested", "action_failed", "budget_warning",
		"key_rotated", "not_registered", "emergency_stop", "agent_paused", "agent_paused", "session_ended",
	}},
}

// TestGolden reads what every version of the format wrote.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, g := range golden {
		t.Run(g.name, func(t *testing.T) {
			from := filepath.Join("..", "..", "testdata", "golden", g.name)
			r, err := filestore.Open(vfs.OS{}, from, filestore.Options{ReadOnly: true, Extract: storetest.Extract}.WithPatience(1))
			must(t, err)
			defer r.Close()
			checkGolden(t, r, g.root, g.types)

			// It can be opened for writing too, and goes on.
			disk := copyTrail(t, from)
			s := open(t, disk)
			checkGolden(t, s, g.root, g.types)
			batch := storetest.NewWriter(1).Batch(1)
			batch.First = s.Size()
			must(t, s.Append(batch))
			must(t, s.Close())
		})
	}
}

// copyTrail copies a trail into memory.
func copyTrail(t *testing.T, from string) *vfstest.Mem {
	t.Helper()
	disk := vfstest.NewMem()
	must(t, filepath.WalkDir(from, func(name string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rest, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		to := path.Join(dir, filepath.ToSlash(rest))
		if entry.IsDir() {
			return disk.MkdirAll(to)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return disk.WriteAll(to, b)
	}))
	return disk
}

func checkGolden(t *testing.T, s *filestore.Store, root string, types []string) {
	t.Helper()
	first, err := evidence.ParseVerifier(s.Meta().Key)
	must(t, err)
	v := &goldenVisitor{t: t, chain: evidence.NewChain(0, nil), keys: []note.Verifier{first}}
	parts, err := s.Parts(t.Context())
	must(t, err)
	for _, p := range parts {
		must(t, s.Walk(t.Context(), p, v))
		if wrong, err := s.CheckIndex(t.Context(), p, &storage.KeySum{}); err != nil || wrong != "" {
			t.Errorf("index: %q, %v", wrong, err)
		}
	}
	if found := v.chain.End(); len(found) > 0 {
		t.Errorf("the entries do not check out: %v", found)
	}
	if !slices.Equal(v.types, types) {
		t.Errorf("entries of the types %q, want %q", v.types, types)
	}
	if got := v.root(); got.String() != root {
		t.Errorf("root %v, want %v", got, root)
	}
	if v.signed != uint64(len(types)) {
		t.Errorf("the checkpoints cover %d entries, want %d", v.signed, len(types))
	}
	if head := s.Head(); head.Tree.Root().String() != root || s.Size() != uint64(len(types)) {
		t.Errorf("head: size %d, root %v", s.Size(), head.Tree.Root())
	}
	anchors, err := s.Anchors()
	must(t, err)
	if len(anchors) != 1 {
		t.Fatalf("%d checkpoints are kept beside the entries, want 1", len(anchors))
	}
	v.Checkpoint(anchors[0], "checkpoint")
	var rec storage.Record
	for i := range s.Size() {
		must(t, s.Read(t.Context(), i, &rec))
		if !json.Valid(rec.Body[evidence.SaltSize:]) {
			t.Errorf("the payload of entry %d is no JSON: %q", i, rec.Body[evidence.SaltSize:])
		}
	}
}

// goldenVisitor checks what is in a trail with nothing but its first key. It
// implements storage.Visitor.
type goldenVisitor struct {
	t      *testing.T
	chain  *evidence.Chain
	keys   []note.Verifier // all that were in force
	types  []string
	hashes []tlog.Hash // as package tlog stores them
	signed uint64
}

func (v *goldenVisitor) Entry(entry, body []byte, hash *evidence.Hash) {
	got := v.chain.Next(slices.Clone(entry))
	if !got.OK || hash != nil && *hash != got.Hash {
		v.t.Errorf("entry %q has hash %v; %v is kept", entry, got.Hash, hash)
	}
	v.types = append(v.types, string(got.Type))
	hashes, err := tlog.StoredHashes(int64(len(v.types)-1), entry, v)
	must(v.t, err)
	v.hashes = append(v.hashes, hashes...)
	if body == nil {
		v.t.Fatalf("entry %q has no payload", entry)
	}
	if commitment, err := evidence.Commit(body[:evidence.SaltSize], body[evidence.SaltSize:]); err != nil || commitment != got.Payload {
		v.t.Errorf("entry %q commits to another payload than %q", entry, body)
	}
	if string(got.Type) == "key_rotated" {
		var payload struct{ Details struct{ Statement string } }
		must(v.t, json.Unmarshal(body[evidence.SaltSize:], &payload))
		_, next, err := evidence.OpenRotation([]byte(payload.Details.Statement), v.keys[len(v.keys)-1])
		must(v.t, err)
		v.keys = append(v.keys, next)
	}
}

func (v *goldenVisitor) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, at := range indexes {
		hashes[i] = v.hashes[at]
	}
	return hashes, nil
}

func (v *goldenVisitor) root() tlog.Hash {
	root, err := tlog.TreeHash(int64(len(v.types)), v)
	must(v.t, err)
	return root
}

func (v *goldenVisitor) Checkpoint(signed []byte, where string) {
	c, _, err := evidence.OpenCheckpoint(signed, v.keys[len(v.keys)-1])
	if err != nil || c.Size != uint64(len(v.types)) || c.Root != v.root() {
		v.t.Errorf("%s: checkpoint behind %d entries: %+v, %v", where, len(v.types), c, err)
	}
	v.signed = c.Size
}

func (v *goldenVisitor) Lost(n uint64, cause evidence.Cause, where, detail string) {
	v.t.Errorf("%d entries are lost: %s, %s: %s", n, cause, where, detail)
}

func (v *goldenVisitor) BodyLost(where, detail string) {
	v.t.Errorf("a payload is lost: %s: %s", where, detail)
}

func (v *goldenVisitor) Damage(index, _ uint64, cause evidence.Cause, where, detail string) {
	v.t.Errorf("damage at %d: %s, %s: %s", index, cause, where, detail)
}

func (v *goldenVisitor) Node(int, evidence.Hash, string) {}
func (v *goldenVisitor) Pruned(int, evidence.Hash)       {}
