package filestore_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/filestore"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/storage"
	"github.com/custodylog/custody/internal/storage/storetest"
	"github.com/custodylog/custody/internal/testlong"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

func prunedPath(n int) string { return path.Join(dir, "segments", file(n, "pruned")) }

// prunable returns a copy of twoSegments, of which the segments hold no payloads but
// those of the entries that are kept.
func prunable() (*vfstest.Mem, *storetest.Writer) {
	b := makePrunable()
	return b.fork(0)
}

var makePrunable = sync.OnceValue(func() base {
	try := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	disk, w := twoSegments().fork(11)
	s, err := filestore.Open(disk, dir, writing)
	try(err)
	at := w.Prunable(2 * storetest.Boundary)
	try(s.RemovePayloads(ctx, at))
	w.Forget(at)
	try(s.Close())
	return base{disk, w}
})

// checkPruning opens what is left. It is pruned to the first segment, the second,
// or not at all, and doing it again finishes.
func checkPruning(disk *vfstest.Mem, full *storetest.Writer) error {
	s, err := openStore(disk)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := wantGone(disk, int(s.First()/storetest.Boundary)); err != nil {
		return err
	}
	w := full.Fork(full.Size(), 1)
	w.Prune(s.First())
	if err := w.Check(ctx, s, w.Size()); err != nil {
		return fmt.Errorf("pruned to %d: %w", s.First(), err)
	}
	if err := s.Prune(ctx, 2*storetest.Boundary, storetest.Keep); err != nil {
		return fmt.Errorf("again: %w", err)
	}
	w.Prune(2 * storetest.Boundary)
	if err := w.Check(ctx, s, w.Size()); err != nil {
		return err
	}
	return wantGone(disk, 2)
}

// wantGone checks that nothing but what was kept is left of the first n segments.
func wantGone(disk *vfstest.Mem, n int) error {
	for n := range n {
		for _, name := range []string{segmentPath(n), indexPath(n), prunedPath(n) + vfs.TempSuffix} {
			if _, err := disk.Size(name); !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s is there (%v)", name, err)
			}
		}
	}
	return nil
}

func runPruning(fsys vfs.FS) (err error) {
	s, err := openStore(fsys)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.Prune(ctx, 2*storetest.Boundary, storetest.Keep)
}

func TestPrune(t *testing.T) {
	t.Parallel()
	disk, w := prunable()
	s := open(t, disk)
	before, err := s.Bytes()
	must(t, err)
	must(t, s.Prune(ctx, 2*storetest.Boundary, storetest.Keep))
	w.Prune(2 * storetest.Boundary)
	check(t, s, w, w.Size())
	after, err := s.Bytes()
	must(t, err)
	if after > before/20 {
		t.Errorf("the trail takes %d bytes, %d before", after, before)
	}
	for i := range keptAt.All() {
		var rec storage.Record
		must(t, s.Read(ctx, i, &rec))
		if !bytes.Equal(rec.Body, w.Entry(i).Body) || rec.Body == nil {
			t.Errorf("the payload of entry %d is %q", i, rec.Body)
		}
	}
	var rec storage.Record
	err = s.Read(ctx, 77, &rec)
	wantError(t, err, storage.ErrPruned)
	if want := fmt.Sprint("entry 77: ", storage.ErrPruned, "; the trail begins at entry ", 2*storetest.Boundary); err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	_, _, err = s.TreeAt(ctx, 5001)
	wantError(t, err, storage.ErrPruned)
	appendBatches(t, s, w, 30)
	check(t, s, w, w.Size())
	// Whoever asks for the payload of an entry that is kept to go, gets that.
	gone := salts(w, keptAt)
	for salt := range gone {
		gone[salt] = 0
	}
	must(t, s.RemovePayloads(ctx, keptAt))
	w.Forget(keptAt)
	check(t, s, w, w.Size())
	must(t, s.Close())
	check(t, open(t, disk.CrashClone(nil)), w, w.Size())
	for n := range 2 {
		if b := readAll(t, disk, prunedPath(n)); bytes.Contains(b, []byte("kept-")) {
			t.Errorf("%s still holds a payload that was removed", prunedPath(n))
		}
	}
}

// TestPruneRefuses: nothing changes when something is not as it has to be.
func TestPruneRefuses(t *testing.T) {
	t.Parallel()
	disk, _ := prunable()
	s := open(t, disk)
	was := content(t, disk)
	unchanged := func(err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
		if content(t, disk) != was {
			t.Errorf("%s: files were changed", want)
		}
	}
	none := func(string) bool { return false }
	unchanged(s.Prune(ctx, storetest.Boundary, none), "entry 1000, log_opened, still has its payload")
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	unchanged(s.Prune(cancelled, storetest.Boundary, storetest.Keep), context.Canceled.Error())

	// What goes is checked first: a hash of the level-1 tile, under a checksum that
	// is right, and that of an entry.
	b := readAll(t, disk, segmentPath(1))
	good := bytes.Clone(b)
	trailer := b[len(b)-32:]
	footer := b[binary.BigEndian.Uint64(trailer):][:binary.BigEndian.Uint32(trailer[8:])]
	opened, err := segment.OpenSealed(bytes.NewReader(b), int64(len(b)))
	must(t, err)
	footer[bytes.Index(footer, opened.Tile[7][:])] ^= 1
	table := crc32.MakeTable(crc32.Castagnoli)
	binary.BigEndian.PutUint32(trailer[12:], crc32.Update(crc32.Checksum(b[:32], table), table, footer))
	must(t, s.Close())
	must(t, disk.WriteAll(segmentPath(1), b))
	s = open(t, disk)
	was = content(t, disk)
	err = s.Prune(ctx, 2*storetest.Boundary, storetest.Keep)
	wantError(t, err, storage.ErrAltered)
	unchanged(err, fmt.Sprint("the tile holds another hash for the 256 entries before entry ", storetest.Boundary+8*256))
	must(t, s.Close())
	b = good
	must(t, disk.WriteAll(segmentPath(1), b))
	s = open(t, disk)
	seg, err := segment.OpenSealed(bytes.NewReader(b), int64(len(b)))
	must(t, err)
	hashes, err := seg.Hashes(nil, 9000, 1)
	must(t, err)
	b[bytes.Index(b, hashes[0][:])] ^= 1
	must(t, disk.WriteAll(segmentPath(1), b))
	was = content(t, disk)
	err = s.Prune(ctx, 2*storetest.Boundary, storetest.Keep)
	wantError(t, err, storage.ErrAltered)
	unchanged(err, fmt.Sprint("entry ", storetest.Boundary+9000))
}

// TestPruneBesideOthers prunes while entries are appended, read, searched and
// walked over, here and by a reader of its own.
func TestPruneBesideOthers(t *testing.T) {
	t.Parallel()
	disk, w := prunable()
	s, r := open(t, disk), openReader(t, disk)
	full := w.Fork(w.Size(), 1)
	known := full.Size()
	stop := make(chan struct{})
	var others, writer sync.WaitGroup
	for _, s := range []*filestore.Store{s, r} {
		others.Go(func() {
			var rec storage.Record
			rng := rand.New(rand.NewPCG(3, 4))
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				i := rng.Uint64N(known)
				if err := s.Read(ctx, i, &rec); err != nil {
					if !errors.Is(err, storage.ErrPruned) || keptAt.Contains(i) || i >= 2*storetest.Boundary {
						t.Error(err)
						return
					}
				} else if !bytes.Equal(rec.Entry, full.Entry(i).Entry) {
					t.Errorf("entry %d is another one", i)
				}
				if found, err := s.Lookup(nil, storage.KeyOf(storetest.FieldID, "kept-1000"), 0); err != nil || len(found) == 0 || found[0] != 1000 {
					t.Errorf("entry 1000 is found at %v (%v)", found, err)
				}
				if h := s.Head(); h.Tree.Size() < known {
					t.Errorf("the head has %d entries", h.Tree.Size())
				}
				if n%50 == 0 {
					parts, err := s.Parts(ctx)
					if err != nil {
						t.Error(err)
						return
					}
					v := walked{w: full, next: parts[n/50%2].First}
					if err := s.Walk(ctx, parts[n/50%2], &v); err != nil || len(v.damage) > 0 {
						t.Errorf("walk: %v, %q", err, v.damage)
					}
				}
			}
		})
	}
	writer.Go(func() {
		for range 200 {
			if err := s.Append(w.Batch(5)); err != nil {
				t.Error(err)
			}
		}
	})
	must(t, s.Prune(ctx, storetest.Boundary, storetest.Keep))
	must(t, s.Prune(ctx, 2*storetest.Boundary, storetest.Keep))
	writer.Wait()
	close(stop)
	others.Wait()
	w.Prune(2 * storetest.Boundary)
	check(t, s, w, w.Size())
	check(t, r, w, w.Size())
	var rec storage.Record
	wantError(t, r.Read(ctx, 77, &rec), storage.ErrPruned)
}

// TestWalkWhilePruning: what is looked for as a segment is pruned in that moment.
func TestWalkWhilePruning(t *testing.T) {
	t.Parallel()
	disk, w := prunable()
	pruned := true
	r := openReader(t, vfstest.Inject(disk, func(op vfstest.Op) vfstest.Fault {
		if !pruned && op.Kind == vfstest.Open && op.Name == segmentPath(1) {
			pruned = true
			must(t, runPruning(disk))
		}
		return vfstest.None
	}))
	parts, err := r.Parts(ctx)
	must(t, err)
	v := walked{w: w, next: storetest.Boundary}
	pruned = false
	must(t, r.Walk(ctx, parts[1], &v))
	if len(v.damage) > 0 || v.next != 2*storetest.Boundary || !pruned {
		t.Errorf("%q up to entry %d", v.damage, v.next)
	}
	w.Prune(2 * storetest.Boundary)
	check(t, r, w, w.Size())
}

// changing are the kinds of operations that change something.
var changing = []vfstest.OpKind{vfstest.WriteAt, vfstest.Rename, vfstest.Remove, vfstest.Sync, vfstest.SyncDir, vfstest.Truncate, vfstest.Create}

// TestCrashWhilePruning crashes before some or each of the operations that change
// something.
func TestCrashWhilePruning(t *testing.T) {
	t.Parallel()
	rng := newRand(t)
	disk, w := prunable()
	var crashes []*vfstest.Mem
	var hows []string
	must(t, runPruning(vfstest.Inject(disk, func(op vfstest.Op) vfstest.Fault {
		if slices.Contains(changing, op.Kind) {
			how := rng.IntN(3)
			crashes = append(crashes, crash(disk, how, rng))
			hows = append(hows, fmt.Sprintf("%s before operation %d, %s %s", crashNames[how], op.N, op.Kind, op.Name))
		}
		return vfstest.None
	})))
	for _, n := range rng.Perm(len(crashes))[:testlong.Of(3, len(crashes))] {
		if err := checkPruning(crashes[n], w); err != nil {
			t.Fatalf("%s: %v", hows[n], err)
		}
	}
}

// TestFaultsWhilePruning lets some or each of the operations that change something
// fail.
func TestFaultsWhilePruning(t *testing.T) {
	t.Parallel()
	kinds := append(slices.Clone(changing), vfstest.Close)
	rng := newRand(t)
	disk, w := prunable()
	ops := 0
	must(t, runPruning(vfstest.Inject(disk.Clone(), func(op vfstest.Op) vfstest.Fault {
		if slices.Contains(kinds, op.Kind) {
			ops++
		}
		return vfstest.None
	})))
	tries := len(faults) * ops
	for _, try := range rng.Perm(tries)[:testlong.Of(3, tries)] {
		fault, n := faults[try%len(faults)], try/len(faults)
		copied := disk.Clone()
		plan := vfstest.OnNth(n, fault, kinds...)
		runPruning(vfstest.Inject(copied, plan.Decide)) // fails, unless nothing depends on the operation
		if !plan.Hit() {
			t.Errorf("there is no operation %d of %d", n, ops)
		}
		if err := checkPruning(copied, w); err != nil {
			t.Fatalf("operation %d of %d: %s: %v", n, ops, fault, err)
		}
	}
}

// TestPruneFullDisk: there is no room for the first file. Nothing is lost, and
// with room it goes on.
func TestPruneFullDisk(t *testing.T) {
	t.Parallel()
	disk, w := prunable()
	s := open(t, disk)
	for free := 0; free < 60_000; free += testlong.Of(40_000, 7919) {
		disk.SetFree(uint64(free))
		if err := s.Prune(ctx, 2*storetest.Boundary, storetest.Keep); err == nil {
			break
		}
		copied := w.Fork(w.Size(), 1)
		copied.Prune(s.First())
		check(t, s, copied, w.Size())
	}
	disk.SetFree(1 << 30)
	must(t, s.Prune(ctx, 2*storetest.Boundary, storetest.Keep))
	w.Prune(2 * storetest.Boundary)
	check(t, s, w, w.Size())
}

// TestPrunedDamage: a file that does not check out is no crash. A reader says what
// is lost; the segment counts if it is still there.
func TestPrunedDamage(t *testing.T) {
	t.Parallel()
	disk, w := prunable()
	before := disk.Clone()
	must(t, runPruning(disk))
	good := readAll(t, disk, prunedPath(1))
	lost := func(what, want string) {
		t.Helper()
		r := openReader(t, disk)
		v := walked{w: w, next: storetest.Boundary}
		parts, err := r.Parts(ctx)
		must(t, err)
		must(t, r.Walk(ctx, parts[1], &v))
		if len(v.damage) != 1 || !strings.Contains(v.damage[0], fmt.Sprintf("%d entries from %d on: %s", storetest.Boundary, storetest.Boundary, want)) {
			t.Errorf("%s: %q", what, v.damage)
		}
		use(t, r)
		if r.First() != storetest.Boundary {
			t.Errorf("%s: minimum index %d", what, r.First())
		}
		s, err := openStore(disk.Clone())
		if err == nil {
			s.Close()
			t.Errorf("%s: the trail is opened for writing", what)
		}
	}
	for _, at := range []int{0, 17, 20, 40, 3000, len(good) / 2, len(good) - 1} {
		b := bytes.Clone(good)
		b[at] ^= 0x40
		must(t, disk.WriteAll(prunedPath(1), b))
		lost(fmt.Sprintf("byte %d", at), string(evidence.Altered))
	}
	must(t, disk.WriteAll(prunedPath(1), bytes.Replace(good, []byte("v1\n"), []byte("v2\n"), 1)))
	lost("version 2", string(evidence.NewerFormat))
	must(t, disk.WriteAll(prunedPath(1), readAll(t, disk, prunedPath(0))))
	lost("that of another segment", string(evidence.Altered))

	// Not from the beginning on: no prefix.
	must(t, disk.WriteAll(prunedPath(1), good))
	must(t, disk.Remove(prunedPath(0)))
	must(t, disk.WriteAll(segmentPath(0), readAll(t, before, segmentPath(0))))
	wantNoRecover(t, disk, "a segment before one that was pruned")

	must(t, before.WriteAll(prunedPath(0), good[:len(good)/2]))
	s := open(t, before)
	check(t, s, w, w.Size())
	must(t, s.Prune(ctx, storetest.Boundary, storetest.Keep))
	w.Prune(storetest.Boundary)
	check(t, s, w, w.Size())
}
