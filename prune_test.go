package custody

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/testlong"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

// later returns a clock by which everything that was recorded so far is old.
func later() *clock { return &clock{at: time.Now().UTC().AddDate(0, 0, 100)} }

const pruneAll = "payloads: 10d\nentries: 20d\n"

// TestPrune prunes two segments: what is left can be read, verified and continued.
func TestPrune(t *testing.T) {
	t.Parallel()
	f := get(expiredTrail())(t)
	dir := f.copyOf(t)
	trail := openTrail(t, dir, Options{KeyDir: f.keys, now: later().now})
	size := trail.Size()
	plan := get(trail.PlanRetention(t.Context(), policyOf(t, pruneAll)))(t)
	if plan.First != 0 || plan.Minimum != 2*segment.Entries || plan.Pruned.String() != "1-131071" || !strings.Contains(plan.Kept, "not whole yet") {
		t.Fatalf("%d to %d, %s: %s", plan.First, plan.Minimum, plan.Pruned, plan.Kept)
	}
	run := get(trail.ApplyRetention(t.Context(), policyOf(t, pruneAll), "operations"))(t)
	if len(run.Events) != 1 || trail.First() != 2*segment.Entries || trail.Size() != size+1 {
		t.Fatalf("%d events, from %d to %d", len(run.Events), trail.First(), trail.Size())
	}
	if _, err := trail.Entry(t.Context(), 5); !errors.Is(err, ErrPruned) || !strings.Contains(err.Error(), "131072") {
		t.Errorf("a pruned entry: %v", err)
	}
	if e := get(trail.Entry(t.Context(), 0))(t); e.Type != event.LogOpened {
		t.Errorf("the first entry is %s", e.Type)
	}
	if got := evidence.RangesOf(indices(all(t, trail, Query{}))).String(); got != "0,131072-131079" {
		t.Errorf("there are %s", got)
	}
	kept := get(trail.KeptCheckpoints(t.Context(), 0))(t)
	if len(kept) != 3 || kept[1].Size != 2*segment.Entries || kept[2].Size != segment.Entries || !kept[2].Time.IsZero() || kept[2].Err != nil || kept[0].Time.IsZero() {
		t.Errorf("checkpoints are kept of what was pruned: %+v", kept)
	}
	n := 0
	for _, err := range trail.Subscribe(t.Context(), Query{Limit: 9}) {
		must(t, err)
		n++
	}
	if n != 9 {
		t.Errorf("a subscriber sees %d", n)
	}
	report := wantClean(t, trail)
	if report.First != 2*segment.Entries || report.Entries != 9 || len(report.Removed) != 2 || report.Removed[1].Minimum != report.First ||
		report.Removed[1].Gone != 2*segment.Entries-1 || len(report.Removed[0].Left)+len(report.Removed[1].Left) > 0 {
		t.Errorf("%+v", report)
	}
	// Checkpoints of the end, and of whole bundles, can be compared; others of the
	// pruned part no more.
	now := get(trail.Checkpoint(t.Context()))(t)
	tree, _, err := trail.store.TreeAt(t.Context(), 512)
	must(t, err)
	signer := get(ReadKey(get(KeyFile(f.keys, f.vkey))(t)))(t)
	bundle := get(evidence.SignCheckpoint(&evidence.Checkpoint{Origin: origin, Size: 512, Root: tree.Root()}, signer))(t)
	for what, opts := range map[string]VerifyOptions{
		"against what is there":         {Checkpoints: [][]byte{now, f.checkpoint, bundle}},
		"since now":                     {Since: now},
		"since the end of what is gone": {Since: f.checkpoint},
		"since a bundle that is gone":   {Since: bundle},
	} {
		if got := verify(t, trail, opts); got != "" {
			t.Errorf("%s: %s", what, got)
		}
	}
	for what, opts := range map[string]VerifyOptions{"against": {Checkpoints: [][]byte{f.earlier}}, "since": {Since: f.earlier}} {
		if _, err := trail.Verify(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "131072") {
			t.Errorf("%s a checkpoint within what was pruned: %v", what, err)
		}
	}
	forged := get(evidence.SignCheckpoint(&evidence.Checkpoint{Origin: origin, Size: 512, Root: evidence.Hash{1}}, signer))(t)
	if got := verify(t, trail, VerifyOptions{Checkpoints: [][]byte{forged}}); got != "forked 0" {
		t.Errorf("against another history: %q", got)
	}
	record(t, trail, turn(1))
	must(t, trail.Close())
	again := openTrail(t, dir, Options{KeyDir: f.keys, now: later().now})
	wantClean(t, again)
	if again := get(again.ApplyRetention(t.Context(), policyOf(t, pruneAll), "operations"))(t); len(again.Events) > 0 {
		t.Errorf("a second run records %d events", len(again.Events))
	}
}

// TestPruneStops: what has to stay keeps everything behind it.
func TestPruneStops(t *testing.T) {
	t.Parallel()
	expired, sealed := get(expiredTrail())(t), get(sealedTrail())(t)
	hold := Hold{Query: Query{From: segment.Entries + 7, To: segment.Entries + 8}, Reason: "case", By: "counsel"}
	for name, c := range map[string]struct {
		policy string
		hold   bool
		min    uint64
		kept   string
	}{
		"entries for ever":   {"payloads: 10d", false, 0, ""},
		"nothing is so old":  {"payloads: 10d\nentries: 200d", false, 0, ""},
		"payloads are there": {"payloads: 150d\nentries: 150d", false, 0, ""},
		"a hold":             {pruneAll, true, segment.Entries, "entry 65543 is under hold"},
	} {
		t.Run(name, func(t *testing.T) {
			f := expired
			if name == "payloads are there" {
				f = sealed
			}
			trail := openTrail(t, f.copyOf(t), Options{KeyDir: f.keys, now: later().now})
			if c.hold {
				get(trail.PlaceHold(t.Context(), hold))(t)
			}
			run := get(trail.ApplyRetention(t.Context(), policyOf(t, c.policy), "operations"))(t)
			if run.Minimum != c.min || trail.First() != c.min || !strings.Contains(run.Kept, c.kept) || c.kept == "" && run.Kept != "" {
				t.Errorf("pruned up to %d (%d): %s", run.Minimum, trail.First(), run.Kept)
			}
			wantClean(t, trail)
		})
	}
}

// TestPrunedAttacks: what goes without an event, and what was kept and is not what
// it was, is found.
func TestPrunedAttacks(t *testing.T) {
	t.Parallel()
	f := get(expiredTrail())(t)
	pruned := f.copyOf(t)
	trail := openTrail(t, pruned, Options{KeyDir: f.keys, now: later().now})
	get(trail.ApplyRetention(t.Context(), policyOf(t, pruneAll), "operations"))(t)
	must(t, trail.Close())
	rewrite := func(change func(*segment.Pruned)) func(testing.TB, string) {
		return func(t testing.TB, dir string) {
			name := filepath.Join(dir, "segments", "00000000000000000000.pruned")
			p := get(segment.ParsePruned(readFile(t, name)))(t)
			change(p)
			replace(t, name, get(segment.AppendPruned(nil, p))(t))
		}
	}
	for name, c := range map[string]struct {
		attack func(testing.TB, string)
		found  string
	}{
		"nothing":           {func(testing.TB, string) {}, ""},
		"a kept entry goes": {rewrite(func(p *segment.Pruned) { p.Records = nil }), "deleted 0"},
		"a kept hash":       {rewrite(func(p *segment.Pruned) { p.Hashes[255][3][0]++ }), "altered 65280"},
		"a tile":            {rewrite(func(p *segment.Pruned) { p.Tile[7][0]++ }), "altered 0"},
		"the root":          {rewrite(func(p *segment.Pruned) { p.Root[0]++ }), "altered 0"},
		"a payload":         {rewrite(func(p *segment.Pruned) { p.Records[0].Body[20]++ }), "altered 0"},
		"an entry":          {rewrite(func(p *segment.Pruned) { p.Records[0].Entry[90]++ }), "altered 0"},
		"a checkpoint":      {rewrite(func(p *segment.Pruned) { p.Checkpoints[0][40]++ }), "altered"},
		"a segment goes": {func(t testing.TB, dir string) {
			must(t, os.Remove(filepath.Join(dir, "segments", "00000000000000065536.pruned")))
		}, "deleted 65536"},
		"pruned in the index": {rewrite(func(p *segment.Pruned) { p.First = segment.Entries }), "altered 0"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "trail")
			must(t, os.CopyFS(dir, os.DirFS(pruned)))
			c.attack(t, dir)
			got := verify(t, openTrail(t, dir, Options{ReadOnly: true}), VerifyOptions{})
			if !strings.HasPrefix(got, c.found) || c.found == "" && got != "" {
				t.Errorf("found %q, want %q", got, c.found)
			}
		})
	}
	// Without an event.
	trail = openTrail(t, f.copyOf(t), Options{KeyDir: f.keys, now: later().now})
	must(t, trail.store.Prune(t.Context(), segment.Entries, func(typ string) bool { return isKept(event.Type(typ)) }))
	if got := verify(t, trail, VerifyOptions{}); got != "deleted 1" {
		t.Errorf("pruned without an event: %q", got)
	}
}

// expiredOnDisk returns a copy of the expired trail, in directory trail, and where its key is.
func expiredOnDisk(t testing.TB) (disk *vfstest.Mem, keys string) {
	t.Helper()
	f := get(expiredTrail())(t)
	disk = vfstest.NewMem()
	for name, b := range files(t, f.dir) {
		name = filepath.Join("trail", name)
		must(t, disk.MkdirAll(filepath.Dir(name)))
		must(t, vfs.WriteFileAtomic(disk, name, b))
	}
	return disk, f.keys
}

// TestCrashWhilePruning loses power at some operations of a run that prunes; the
// store's own tests do so before each. Opened again, the trail checks out, and a
// further run comes to the same end.
func TestCrashWhilePruning(t *testing.T) {
	t.Parallel()
	rng := newRand(t)
	disk, keys := expiredOnDisk(t)
	p := policyOf(t, pruneAll)
	open := func(fsys vfs.FS) *Trail {
		return openTrail(t, "trail", Options{KeyDir: keys, fs: fsys, DiskWarning: -1, now: later().now, Logger: quiet})
	}
	var crashes []*vfstest.Mem // what a loss of power before each operation leaves
	pruning := false
	trail := open(vfstest.Inject(disk, func(vfstest.Op) vfstest.Fault {
		if pruning {
			crashes = append(crashes, disk.CrashClone(rng))
		}
		return vfstest.None
	}))
	pruning = true
	get(trail.ApplyRetention(t.Context(), p, "operations"))(t)
	pruning = false
	must(t, trail.Close())
	if len(crashes) < 10 {
		t.Fatalf("only %d operations", len(crashes))
	}
	for range testlong.Of(3, 8) * *rounds {
		at := rng.IntN(len(crashes))
		trail := open(crashes[at].Clone())
		report := get(trail.Verify(t.Context(), VerifyOptions{}))(t)
		if !report.OK() || report.First%segment.Entries != 0 {
			t.Fatalf("crash before operation %d: from %d on: %s", at, report.First, findings(report))
		}
		for _, r := range report.Removed {
			if len(r.Left) > 0 {
				t.Fatalf("crash before operation %d: entry %d lists %s, which is there", at, r.Event, r.Left)
			}
		}
		get(trail.ApplyRetention(t.Context(), p, "operations"))(t)
		if trail.First() != 2*segment.Entries {
			t.Fatalf("crash before operation %d: in the end it begins at %d", at, trail.First())
		}
		must(t, trail.Close())
	}
}
