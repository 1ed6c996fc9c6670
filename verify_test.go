package custody

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/storage"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

// independentRoot computes the root over the entries with the tree of the Go
// checksum database.
func independentRoot(t testing.TB, trail *Trail) tlog.Hash {
	t.Helper()
	var hashes []tlog.Hash
	read := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		var list []tlog.Hash
		for _, i := range at {
			list = append(list, hashes[i])
		}
		return list, nil
	})
	n := int64(0)
	for e, err := range trail.Entries(t.Context(), Query{}) {
		must(t, err)
		hashes = append(hashes, get(tlog.StoredHashesForRecordHash(n, tlog.RecordHash(e.Envelope), read))(t)...)
		n++
	}
	return get(tlog.TreeHash(n, read))(t)
}

func TestReport(t *testing.T) {
	trail := onMem(t, Options{})
	record(t, trail, turns(1, 300)...)
	record(t, trail, turn(300))
	report := wantClean(t, trail)
	key := get(evidence.ParseVerifier(trail.VerifierKey()))(t)
	if report.Origin != origin || report.From != 0 || report.Payloads != 301 || report.Against != 0 || report.Elapsed <= 0 ||
		!slices.Equal(report.Keys, []string{fmt.Sprintf("%s+%s from 0", origin, evidence.KeyID(key.KeyHash()))}) {
		t.Errorf("the report is %+v", report)
	}
	if want := independentRoot(t, trail); report.Root != want {
		t.Errorf("the root is %v, want %v", report.Root, want)
	}
	if !strings.Contains(report.Strength(), "self-signed only") {
		t.Errorf("it is worth %q", report.Strength())
	}

	report = verifyReport(t, trail, VerifyOptions{Checkpoints: [][]byte{get(trail.Checkpoint(t.Context()))(t)}})
	if !report.OK() || report.Against != 301 || !strings.Contains(report.Strength(), "entries 0 to 300") {
		t.Errorf("against a kept checkpoint: %+v, %q", report, report.Strength())
	}
}

func TestVerifyProgress(t *testing.T) {
	t.Parallel()
	f := get(sealedTrail())(t)
	trail := openTrail(t, f.dir, Options{ReadOnly: true})
	var mu sync.Mutex
	var most, calls uint64
	report := verifyReport(t, trail, VerifyOptions{Workers: 3, Progress: func(done, total uint64) {
		mu.Lock()
		defer mu.Unlock()
		calls++
		if most = max(most, done); total != f.size() {
			t.Errorf("the total is %d", total)
		}
	}})
	if !report.OK() || most != f.size() || calls < 10 {
		t.Errorf("%d calls, up to %d of %d; found %v", calls, most, f.size(), report.Findings)
	}
	if report.Root != f.root {
		t.Error("the root is another one than before it was closed")
	}
}

func TestVerifyRefuses(t *testing.T) {
	trail := onMem(t, Options{})
	for name, opts := range map[string]VerifyOptions{
		"key":        {Key: "no key"},
		"checkpoint": {Checkpoints: [][]byte{[]byte("no checkpoint")}},
		"since":      {Since: []byte("no checkpoint")},
	} {
		if report, err := trail.Verify(t.Context(), opts); err == nil {
			t.Errorf("%s: no error, but %+v", name, report)
		}
	}
}

// A checkpoint of another trail, or one that nobody signed, is no proof of
// anything.
func TestForeignCheckpoints(t *testing.T) {
	trail := onMem(t, Options{})
	record(t, trail, turn(1))
	mine := get(trail.Checkpoint(t.Context()))(t)
	other := onMem(t, Options{})
	record(t, other, turn(1))
	unsigned := slices.Clone(mine)
	unsigned[len(unsigned)-10] ^= 1
	for name, signed := range map[string][]byte{"of another trail": get(other.Checkpoint(t.Context()))(t), "not signed": unsigned} {
		if got := verify(t, trail, VerifyOptions{Checkpoints: [][]byte{signed}}); got != "key_swapped 0" {
			t.Errorf("%s: found %q", name, got)
		}
	}
}

// The order in which checkpoints are given means nothing.
func TestOrderOfCheckpoints(t *testing.T) {
	f := get(smallTrail())(t)
	dir := f.copyOf(t)
	a := &attacker{t, f, dir}
	a.tail(firstTail, func(tail *tailFile) {
		rewrite(t, tail, 12, a.signer())
		a.setCheckpoint(tail.frames[len(tail.frames)-1].checkpoint)
	})
	trail := openTrail(t, dir, Options{ReadOnly: true})
	for _, given := range [][][]byte{{f.checkpoint, f.earlier}, {f.earlier, f.checkpoint}} {
		report := verifyReport(t, trail, VerifyOptions{Checkpoints: given})
		if got := findings(report); got != "forked 11" || report.Findings[0].Count != 5 || report.Against != 11 {
			t.Errorf("found %v, against %d", report.Findings, report.Against)
		}
	}
}

func TestVerifySince(t *testing.T) {
	t.Parallel()
	f := get(sealedTrail())(t)
	trail := openTrail(t, f.dir, Options{ReadOnly: true})
	for _, tt := range []struct {
		name    string
		since   []byte
		from    uint64
		entries uint64
	}{
		{"the beginning of a segment", f.earlier, 4097, f.size() - 4097},
		{"the newest", f.checkpoint, f.size(), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			report := verifyReport(t, trail, VerifyOptions{Since: tt.since})
			if !report.OK() || report.From != tt.from || report.Entries != tt.entries || report.Against != tt.from || report.Root != f.root || report.Size != f.size() {
				t.Errorf("the report is %+v", report)
			}
		})
	}

	// What is before is believed, what is behind is not.
	a := &attacker{t, f, f.copyOf(t)}
	a.segment(firstSegment, func(s *sealedFile) {
		s.edit(t, 100, func(e *evidence.Entry) { e.Type = "turn_ended" })
		s.edit(t, 5000, func(e *evidence.Entry) { e.Type = "turn_ended" })
	})
	trail = openTrail(t, a.dir, Options{ReadOnly: true})
	if got := verify(t, trail, VerifyOptions{Since: f.earlier}); got != "altered 5000" {
		t.Errorf("found %q", got)
	}
	if got := verify(t, trail, VerifyOptions{}); got != "altered 100, altered 5000" {
		t.Errorf("found %q", got)
	}
}

// A trail that does not extend the checkpoint that verification should begin at
// is read from the beginning.
func TestVerifySinceAnotherHistory(t *testing.T) {
	f := get(smallTrail())(t)
	for _, tt := range []struct {
		name string
		do   func(a *attacker)
		want string
	}{
		{"fork", func(a *attacker) {
			a.tail(firstTail, func(tail *tailFile) {
				rewrite(a, tail, 5, a.signer())
				a.setCheckpoint(tail.frames[len(tail.frames)-1].checkpoint)
			})
		}, "forked 0"},
		{"rolled back", func(a *attacker) {
			a.tail(firstTail, func(tail *tailFile) {
				tail.frames = tail.frames[:4]
				a.setCheckpoint(tail.frames[3].checkpoint)
			})
		}, "rolled_back 6"},
		{"altered before it", func(a *attacker) {
			a.entry(3, func(e *evidence.Entry) { e.Type = "turn_ended" })
		}, "altered 3"},
		{"altered behind it", func(a *attacker) {
			a.entry(12, func(e *evidence.Entry) { e.Type = "turn_ended" })
		}, "altered 12"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := &attacker{t, f, f.copyOf(t)}
			tt.do(a)
			trail := openTrail(t, a.dir, Options{ReadOnly: true})
			if got := verify(t, trail, VerifyOptions{Since: f.earlier}); got != tt.want {
				t.Errorf("found %q, want %q", got, tt.want)
			}
		})
	}
}

// What is verified does not change while others write, and what they write is
// not taken for damage.
func TestVerifyWhileWriting(t *testing.T) {
	trail := newTrail(t, Options{KeyDir: t.TempDir()})
	reader := openTrail(t, trail.Dir(), Options{ReadOnly: true})
	var stop atomic.Bool
	var writers sync.WaitGroup
	for g := range 4 {
		writers.Go(func() {
			for n := 0; !stop.Load(); n++ {
				e := turn(n)
				e.ID = fmt.Sprint(g, "-", n)
				if _, err := trail.Record(t.Context(), e); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	var last [2]uint64
	for range 15 {
		for i, trail := range []*Trail{trail, reader} {
			report := verifyReport(t, trail, VerifyOptions{})
			if !report.OK() || report.Size < last[i] {
				t.Errorf("size %d after %d, found %v", report.Size, last[i], report.Findings)
			}
			last[i] = report.Size
		}
	}
	stop.Store(true)
	writers.Wait()
	wantClean(t, trail)
	wantClean(t, reader)
}

// A tail that is sealed while it is about to be verified is verified as the segment
// that it became.
func TestVerifyWhileSealing(t *testing.T) {
	f := get(sealedTrail())(t)
	trail := openTrail(t, f.dir, Options{ReadOnly: true})
	v := &verification{t: trail, opts: VerifyOptions{Workers: 1}, report: &Report{}}
	must(t, v.prepare(t.Context()))
	// As if this had been looked at when the first tail held 60,000 entries.
	v.outer, v.sizes = nil, nil
	v.size, v.report.Size = 60_000, 60_000
	v.parts = []*partVerifier{newPartVerifier(v, storage.Part{Count: 60_000, Name: filepath.Base(firstTail)})}
	must(t, v.walk(t.Context()))
	v.join()
	must(t, v.checkNotes(t.Context()))
	v.conclude()
	// Nor is the index of the segment held against what the tail had.
	if problem := get(trail.store.CheckIndex(t.Context(), storage.Part{Count: 60_000}, &storage.KeySum{}))(t); problem != "" {
		t.Error(problem)
	}
	if r := v.report; !r.OK() || r.Size != segment.Entries || r.Entries != segment.Entries || r.Signed != 1 {
		t.Errorf("the report is %+v", r)
	}
}

// A disk that does not read is an error or a finding; a pass is one of all entries.
func TestVerifyUnreadable(t *testing.T) {
	disk := vfstest.NewMem()
	trail := newTrail(t, Options{fs: disk})
	record(t, trail, turns(1, 20)...)
	must(t, trail.Close())
	failed := 0
	for n := 0; ; n++ {
		plan := vfstest.OnNth(n, vfstest.Fail, vfstest.Open, vfstest.ReadAt, vfstest.Size, vfstest.FileSize, vfstest.List)
		reader, err := Open("trail", &Options{ReadOnly: true, Logger: quiet, fs: vfstest.Inject(disk, plan.Decide)})
		if err == nil {
			var report *Report
			if report, err = reader.Verify(t.Context(), VerifyOptions{}); err == nil && report.OK() && report.Entries != 20 {
				t.Errorf("operation %d failed, and a trail of %d entries passed", n, report.Entries)
			} else if err == nil && !report.OK() {
				err = errors.New(findings(report))
			}
			reader.Close()
		}
		if !plan.Hit() {
			must(t, err)
			break
		}
		if err != nil {
			failed++
		}
	}
	if failed < 5 {
		t.Errorf("only %d of the faults were noticed", failed)
	}
}

// A trail without entries is not a pass, and opening it for writing begins it
// again.
func TestEmptyTrail(t *testing.T) {
	f := get(smallTrail())(t)
	a := &attacker{t, f, f.copyOf(t)}
	a.remove(firstTail)
	a.remove("checkpoint")
	reader := openTrail(t, a.dir, Options{ReadOnly: true})
	report := verifyReport(t, reader, VerifyOptions{})
	if report.OK() || findings(report) != "wiped 0" {
		t.Errorf("found %v", report.Findings)
	}
	if _, err := reader.Checkpoint(t.Context()); !errors.Is(err, ErrNotFound) {
		t.Errorf("its checkpoint: %v", err)
	}
	must(t, reader.Close())
	trail := openTrail(t, a.dir, Options{KeyDir: f.keys})
	wantClean(t, trail)
	if got := verify(t, trail, VerifyOptions{Checkpoints: [][]byte{f.earlier}}); got != "rolled_back 1" {
		t.Errorf("against a kept checkpoint: %q", got)
	}
}

// Entries that no writer would have put behind the last one do not make
// verification panic, however many there are.
func TestEndlessTail(t *testing.T) {
	t.Parallel()
	f := get(smallTrail())(t)
	for _, tt := range []struct {
		name string
		do   func(f *tailFile)
	}{
		{"the same entries over and over", func(f *tailFile) {
			var records []tailRecord
			for range segment.Entries - 1 {
				records = append(records, f.frames[0].records[0])
			}
			for range 2 {
				f.frames = append(f.frames, &tailFrame{first: 0, records: records, checkpoint: f.frames[0].checkpoint})
			}
		}},
		{"a commit of nothing", func(f *tailFile) {
			f.frames = append(f.frames, &tailFrame{first: 16, checkpoint: f.frames[9].checkpoint})
		}},
		{"a commit far behind", func(f *tailFile) {
			f.frames = append(f.frames, &tailFrame{first: 1 << 62, records: f.frames[0].records, checkpoint: f.frames[9].checkpoint})
		}},
		{"an entry far behind", func(f *tailFile) {
			e := edited(t, f.frames[0].records[0].entry, func(e *evidence.Entry) { e.Index = 60_000 })
			f.frames = append(f.frames, &tailFrame{first: 60_000, records: []tailRecord{{entry: e}}, checkpoint: f.frames[9].checkpoint})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := &attacker{t, f, f.copyOf(t)}
			a.tail(firstTail, tt.do)
			trail := openTrail(t, a.dir, Options{ReadOnly: true})
			if report := verifyReport(t, trail, VerifyOptions{}); report.OK() || len(report.Findings) > 5 {
				t.Errorf("%d findings, %.3v", len(report.Findings), report.Findings)
			}
			if got := lost(t, trail, f.entries); got != "" {
				t.Errorf("lost are the entries %s", got)
			}
			must(t, trail.Close())
			if _, err := Open(a.dir, &Options{KeyDir: f.keys, Logger: quiet}); !errors.Is(err, ErrDamaged) {
				t.Errorf("opening for writing: %v", err)
			}
		})
	}
}

// What fits says is what evidence.Tree demands.
func TestFits(t *testing.T) {
	tree := func(n int) *evidence.Tree {
		var tree evidence.Tree
		for range n {
			tree.Append(evidence.Hash{})
		}
		return &tree
	}
	for size := range 20 {
		for by := range 20 {
			panicked := func() (panicked bool) {
				defer func() { panicked = recover() != nil }()
				tree(size).Extend(tree(by))
				return false
			}()
			if fits(tree(size), tree(by)) == panicked {
				t.Errorf("%d by %d: fits %v, panicked %v", size, by, !panicked, panicked)
			}
		}
	}
}

// Segments that hold other numbers of entries than they must do not make it panic.
func TestCrookedSegments(t *testing.T) {
	t.Parallel()
	f := get(sealedTrail())(t)
	a := &attacker{t, f, f.copyOf(t)}
	rng := newRand(t)
	a.segment(firstSegment, func(s *sealedFile) {
		for n := range s.entries {
			switch b := s.block(t, n); rng.IntN(8) {
			case 0:
				s.setBlock(n, b[rng.IntN(len(b)):])
			case 1:
				s.setBlock(n, append(b, b[:rng.IntN(len(b))]...))
			case 2:
				s.entries[n][0] ^= 1
			case 3:
				s.setBlock(n, nil)
			}
		}
		for i := range s.tile {
			if rng.IntN(4) == 0 {
				s.tile[i][0] ^= 1
			}
		}
	})
	trail := openTrail(t, a.dir, Options{ReadOnly: true})
	if report := verifyReport(t, trail, VerifyOptions{}); report.OK() {
		t.Error("nothing is found")
	}
}

// An entry without its payload is found by its type, and verified as far as it
// goes.
func TestPayloadNotHeld(t *testing.T) {
	f := get(smallTrail())(t)
	a := &attacker{t, f, f.copyOf(t)}
	a.tail(firstTail, func(tail *tailFile) { _, r := tail.at(8); r.body = nil })
	trail := openTrail(t, a.dir, Options{ReadOnly: true})
	e := get(trail.Entry(t.Context(), 8))(t)
	if ev, err := e.Event(); e.Payload != nil || e.Salt != nil || err != nil || ev.Type != event.TurnStarted {
		t.Errorf("the entry is %+v, its event %+v, %v", e, ev, err)
	}
	if got := indices(all(t, trail, Query{Types: []event.Type{event.TurnStarted}, From: 7, To: 10})); !slices.Equal(got, []uint64{7, 8, 9}) {
		t.Errorf("by its type: %v", got)
	}
	if got := indices(all(t, trail, Query{AgentID: "agent-2", From: 7, To: 10})); len(got) != 0 {
		t.Errorf("by its agent, which is not known any more: %v", got)
	}
	if _, err := trail.EntryByID(t.Context(), "turn-8"); !errors.Is(err, ErrNotFound) {
		t.Errorf("by its id: %v", err)
	}
}
