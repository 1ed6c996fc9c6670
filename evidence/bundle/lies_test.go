package bundle_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/evidence/bundle"
	"github.com/custodylog/custody/internal/lyinglog"
)

// lieShown is how a lie shows in a bundle of the entries from <= index < to.
type lieShown struct {
	from, to uint64
	cause    evidence.Cause // that custody check finds
	entries  string         // that the finding is about; empty: none
	page     string         // what the page says of them
	unfit    string         // why no bundle can tell the lie
}

// liesShown has every lie that a log can tell. Whoever makes a bundle of a lying log has
// no more than what the log serves: its checkpoint, and from its tiles and bundles
// of entries the proof and the entries.
var liesShown = map[string]lieShown{
	"truncated":             {508, 520, evidence.Deleted, "512-519", missing, ""},
	"hole":                  {290, 310, evidence.Deleted, "290-309", missing, ""},
	"no bundles":            {290, 310, evidence.Deleted, "290-309", missing, ""},
	"tile withheld":         {290, 310, evidence.Altered, "", "too few nodes", ""},
	"wrong tile of level 0": {290, 310, evidence.Altered, "300", otherLeaf, ""},
	"wrong partial tile":    {515, 530, evidence.Altered, "522", otherLeaf, ""},
	"wrong tile of level 1": {10, 20, evidence.Forked, "10-19", otherRoot, ""},
	"partial tile longer than full": {
		unfit: "a bundle has the hashes that its proof needs: nothing needs what a tile has behind its last one"},
	"tile too short": {290, 310, evidence.Altered, "", "too few nodes", ""},
	"bytes behind a bundle": {
		unfit: "a bundle has a line for each entry: what a bundle of entries has behind its last one belongs to none"},
	"bundle cut short": {500, 512, evidence.Altered, "511", otherLeaf, ""},
	"empty bundle":     {290, 310, evidence.Deleted, "290-309", missing, ""},

	"altered":                   {290, 310, evidence.Altered, "300", otherLeaf, ""},
	"altered, with its tile":    {290, 310, evidence.Forked, "290-309", otherRoot, ""},
	"altered, with all tiles":   {290, 310, evidence.Forked, "290-309", otherRoot, ""},
	"altered, relinked":         {290, 310, evidence.Forked, "290-309", otherRoot, ""},
	"last entry altered":        {590, 600, evidence.Altered, "599", otherLeaf, ""},
	"reordered":                 {395, 405, evidence.Reordered, "400", "stands behind that of an entry that comes after it", ""},
	"reordered, with all tiles": {395, 405, evidence.Forked, "395-404", otherRoot, ""},
	"reordered far apart":       {95, 105, evidence.Altered, "100", otherLeaf, ""},
	// Those behind what was put in stand in each other's lines.
	"inserted":                    {290, 310, evidence.Altered, "300-309", otherLeaf, ""},
	"inserted, with all tiles":    {290, 310, evidence.Forked, "290-309", otherRoot, ""},
	"deleted":                     {290, 310, evidence.Deleted, "300", missing, ""},
	"bundle one entry short":      {500, 512, evidence.Deleted, "511", missing, ""},
	"last bundle one entry short": {590, 600, evidence.Deleted, "599", missing, ""},

	// Histories of their own, which are sound: no honest witness cosigns them.
	"forked":                      {290, 310, evidence.Unwitnessed, "", fewWitnesses, ""},
	"rolled back":                 {240, 250, evidence.Unwitnessed, "", fewWitnesses, ""},
	"old checkpoint signed again": {240, 250, evidence.Unwitnessed, "", fewWitnesses, ""},
	"nothing":                     {290, 310, evidence.Altered, "", "the trail has 0 entries", ""},
	"time stepping back":          {395, 405, evidence.TimeReversed, "400", "is dated before", ""},

	"key swapped":                  {290, 310, evidence.KeySwapped, "", "did not sign it", ""},
	"another log of the same name": {290, 310, evidence.KeySwapped, "", "did not sign it", ""},
	"another origin":               {290, 310, evidence.KeySwapped, "", "is not a key of example.org/elsewhere", ""},
	"extension altered":            {290, 310, evidence.Altered, "", "its signature by the last key of keys.txt is wrong", ""},
	"not cosigned":                 {290, 310, evidence.Unwitnessed, "", fewWitnesses, ""},
	"cosigned by an unknown key":   {290, 310, evidence.Unwitnessed, "", fewWitnesses, ""},
	"bad cosignature":              {290, 310, evidence.Altered, "", wrongCosignature, ""},
	"borrowed cosignature":         {290, 310, evidence.Altered, "", wrongCosignature, ""},
}

// What the page says.
const (
	missing          = "the entry is missing"
	otherLeaf        = "does not have the leaf hash that proof.json gives it"
	otherRoot        = "do not give the root that was signed"
	fewWitnesses     = "too few of its witnesses cosigned the checkpoint"
	wrongCosignature = "the cosignature of witness.example.org/w1 is wrong"
)

// TestLies makes bundles of what lying logs serve. Both [bundle.Check] under the kit's
// policy, which is what custody check does, and the page have to refuse them.
func TestLies(t *testing.T) {
	f := newLyingFixture(t)
	open := bundle.NewPage(t)
	if b := f.honest(t, 290, 310); !f.check(t, b).OK() || !f.check(t, b).Trusted {
		t.Fatalf("the honest log: %v", f.check(t, b).Findings)
	} else if got := open(bundle.PageOf(t, b)); got.Verdict != "good" {
		t.Fatalf("the page of the honest log: %s %q", got.Verdict, got.Findings)
	}
	told := map[string]bool{}
	for _, lie := range f.lies {
		t.Run(lie.Name, func(t *testing.T) {
			told[lie.Name] = true
			want, ok := liesShown[lie.Name]
			if !ok {
				t.Fatal("it is not in the table")
			}
			if want.unfit != "" {
				return
			}
			b := f.tell(t, &lie, want.from, want.to)
			report := f.check(t, b)
			if !slices.ContainsFunc(report.Findings, func(g bundle.Finding) bool {
				return g.Cause == want.cause && g.Entries.String() == want.entries
			}) {
				t.Errorf("%s: %s at %q is not among\n%v", lie.Did, want.cause, want.entries, report.Findings)
			}
			got := open(bundle.PageOf(t, b))
			if got.Verdict != "bad" || !slices.ContainsFunc(got.Findings, func(g string) bool {
				return strings.HasPrefix(g, want.entries+" ") && strings.Contains(g, want.page)
			}) {
				t.Errorf("%s: the page says %s, %q", lie.Did, got.Verdict, got.Findings)
			}
		})
	}
	for name := range liesShown {
		if !told[name] {
			t.Errorf("no log tells the lie %q", name)
		}
	}
}

// lyingFixture is a kit of lies, and what it takes to make bundles of them.
type lyingFixture struct {
	*lyinglog.Kit
	policy *evidence.Policy
	lies   []lyinglog.Lie
	trail  *custody.Trail
	sound  map[bundle.Span][]byte // bundles of the honest log
}

func newLyingFixture(t *testing.T) *lyingFixture {
	t.Helper()
	kit, err := lyinglog.New(t.Context(), t.TempDir())
	must(t, err)
	f := &lyingFixture{Kit: kit, sound: map[bundle.Span][]byte{}}
	f.policy, err = evidence.ParsePolicy(kit.Policy)
	must(t, err)
	f.lies, err = kit.Lies()
	must(t, err)
	f.trail, err = custody.Open(kit.Trail, &custody.Options{ReadOnly: true, Guard: custody.GuardOff})
	must(t, err)
	t.Cleanup(func() { f.trail.Close() })
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (f *lyingFixture) check(t *testing.T, b []byte) *bundle.Report {
	t.Helper()
	r, err := bundle.Check(bytes.NewReader(b), int64(len(b)), &bundle.CheckOptions{Keys: f.policy.Logs(), Policy: f.policy})
	must(t, err)
	return r
}

// honest returns a bundle of entries of the honest log, with their events.
func (f *lyingFixture) honest(t *testing.T, from, to uint64) []byte {
	t.Helper()
	span := bundle.Span{From: from, To: to}
	if b, ok := f.sound[span]; ok {
		return b
	}
	log := served{f.Honest, lyinglog.Size}
	var b bytes.Buffer
	must(t, bundle.Write(&b, &bundle.Contents{
		Scope: bundle.Scope{Text: "what the log has"}, Range: span,
		Checkpoint: f.Honest["checkpoint"], Keys: []string{f.trail.FirstKey()}, Policy: f.Policy,
		Hashes: tlog.HashReaderFunc(log.readHashes),
		Entries: func(yield func(bundle.Item, error) bool) {
			for i := from; i < to; i++ {
				e, err := f.trail.Entry(t.Context(), i)
				if !yield(bundle.Item{Index: i, Entry: e.Envelope, Salt: e.Salt, Payload: e.Payload, Asked: true}, err) {
					return
				}
			}
		},
		Created: time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC), Program: "test",
	}))
	f.sound[span] = b.Bytes()
	return b.Bytes()
}

// tell returns the same bundle with what a lying log serves in the place of what the
// honest one does. Leaf hashes that it does not serve at all are the honest ones, and
// other hashes are left out.
func (f *lyingFixture) tell(t *testing.T, lie *lyinglog.Lie, from, to uint64) []byte {
	t.Helper()
	signed := lie.Log["checkpoint"]
	c, err := evidence.PeekCheckpoint(signed)
	must(t, err)
	honest, log := served{f.Honest, lyinglog.Size}, served{lie.Log, max(c.Size, to)}
	disclosed := evidence.Ranges{{First: from, Last: to - 1}}
	p := bundle.Proof{Entries: bundle.Set{Ranges: disclosed}, Nodes: []evidence.Hash{}, Root: c.Root, Size: c.Size}
	for i := range disclosed.All() {
		leaf, ok := log.hash(0, i)
		if !ok {
			leaf, _ = honest.hash(0, i)
		}
		p.Leaves = append(p.Leaves, leaf)
	}
	for _, node := range bundle.Cover(c.Size, disclosed) {
		if hash, ok := log.hash(node.Level, node.Index); ok {
			p.Nodes = append(p.Nodes, hash)
		}
	}
	proof, err := bundle.Canonical(&p)
	must(t, err)
	return bundle.Edit(t, f.honest(t, from, to), func(name string, content []byte) []byte {
		switch name {
		case "checkpoint":
			return signed
		case "proof.json":
			return proof
		case "entries.ndjson":
			var lines []byte
			for i := range disclosed.All() {
				if entry, ok := log.entry(i); ok {
					lines = append(append(lines, entry...), '\n')
				}
			}
			return append([]byte{}, lines...)
		}
		return content
	})
}

// served is a log as somebody reads it who believes it: nothing is checked.
type served struct {
	log  lyinglog.Log
	size uint64
}

// file returns the tile that the hash or entry with that index is in, and its place
// there.
func (s served) file(level int, index uint64) (content []byte, place int) {
	t := evidence.Tile{Level: level, Index: index / evidence.TileWidth, Width: evidence.TileWidth}
	if n := s.size >> (8 * max(level, 0)); s.log[t.Path()] == nil && t.Index == n/evidence.TileWidth {
		t.Width = int(n % evidence.TileWidth)
	}
	return s.log[t.Path()], int(index % evidence.TileWidth)
}

// hash returns the hash of a perfect subtree.
func (s served) hash(level int, index uint64) (evidence.Hash, bool) {
	const size = 32
	n := 1 << (level % 8)
	content, place := s.file(level/8, index*uint64(n))
	if len(content) < size*(place+n) {
		return evidence.Hash{}, false
	}
	hashes := make([]evidence.Hash, n)
	for i := range hashes {
		hashes[i] = evidence.Hash(content[size*(place+i):])
	}
	return evidence.Join(level/8*8, hashes), true
}

func (s served) readHashes(at []int64) ([]evidence.Hash, error) {
	hashes := make([]evidence.Hash, len(at))
	for i, x := range at {
		level, n := tlog.SplitStoredHashIndex(x)
		hashes[i], _ = s.hash(level, uint64(n)) // an honest log has them all
	}
	return hashes, nil
}

// entry returns the entry at a place, cut short if it is.
func (s served) entry(index uint64) ([]byte, bool) {
	content, place := s.file(evidence.EntriesLevel, index)
	for ; len(content) >= 2; place-- {
		n := min(2+int(binary.BigEndian.Uint16(content)), len(content))
		if place == 0 {
			return content[2:n], true
		}
		content = content[n:]
	}
	return nil, false
}
