package filestore_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/filestore"
	"github.com/custodylog/custody/internal/storage"
	"github.com/custodylog/custody/internal/storage/storetest"
	"github.com/custodylog/custody/internal/testlong"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

// someOf picks about one of n entries before size, and a run of them.
func someOf(rng *rand.Rand, size uint64, n int) evidence.Ranges {
	var at evidence.Ranges
	from := rng.Uint64N(size)
	to := from + rng.Uint64N(size/8+1)
	for i := range size {
		if rng.IntN(n) == 0 || i >= from && i < to {
			at.Add(i)
		}
	}
	return at
}

// salts returns the salts of the payloads that entries have.
func salts(w *storetest.Writer, at evidence.Ranges) map[[evidence.SaltSize]byte]uint64 {
	all := map[[evidence.SaltSize]byte]uint64{}
	for i := range at.All() {
		if body := w.Entry(i).Body; body != nil {
			all[[evidence.SaltSize]byte(body)] = i
		}
	}
	return all
}

// wantNoneOf looks for salts in every file of the trail, at every byte. Salts are
// not compressed, and stand beside the payloads that they belong to.
func wantNoneOf(t *testing.T, disk *vfstest.Mem, gone map[[evidence.SaltSize]byte]uint64) {
	t.Helper()
	if len(gone) == 0 {
		t.Error("nothing is looked for")
	}
	// Whether the first bytes are those of any salt is quickly told.
	var begins [1 << 16]bool
	for salt := range gone {
		begins[int(salt[0])<<8|int(salt[1])] = true
	}
	for _, sub := range []string{"", "tail", "segments"} {
		names, err := disk.List(path.Join(dir, sub))
		must(t, err)
		for _, name := range names {
			if sub == "" && (name == "tail" || name == "segments") {
				continue
			}
			b := readAll(t, disk, path.Join(dir, sub, name))
			for i := 0; i+evidence.SaltSize <= len(b); i++ {
				if !begins[int(b[i])<<8|int(b[i+1])] {
					continue
				}
				if index, ok := gone[[evidence.SaltSize]byte(b[i:])]; ok {
					t.Fatalf("%s still holds the salt of entry %d, at byte %d", name, index, i)
				}
			}
		}
	}
}

// TestRemovePayloads removes some payloads, reads and opens again, and removes
// more.
func TestRemovePayloads(t *testing.T) {
	t.Parallel()
	rng := newRand(t)
	disk, w := twoSegments().fork(rng.Uint64())
	s := open(t, disk)
	before, err := s.Bytes()
	must(t, err)
	at := someOf(rng, w.Size(), 2)
	gone := salts(w, at)
	var ids []storage.Key
	for i := range at.All() {
		if keys := w.Entry(i).Keys; len(keys) > 1 {
			ids = append(ids, keys[2])
		}
	}
	must(t, s.RemovePayloads(ctx, at))
	w.Forget(at)
	wantNoneOf(t, disk, gone)
	for i := 0; i < len(ids); i += 50 {
		if found, err := s.Lookup(nil, ids[i], 0); err != nil || len(found) > 0 {
			t.Fatalf("what was removed is found at %v (%v)", found, err)
		}
	}
	must(t, s.RemovePayloads(ctx, at)) // nothing is left to do
	appendBatches(t, s, w, 10, 20)
	check(t, s, w, w.Size())
	check(t, openReader(t, disk), w, w.Size())
	after, err := s.Bytes()
	must(t, err)
	if after >= before {
		t.Errorf("the trail takes %d bytes, %d before", after, before)
	}
	must(t, s.Close())
	s = open(t, disk)
	check(t, s, w, w.Size())
	all := evidence.Ranges{{First: 0, Last: w.Size() - 1}}
	gone = salts(w, all)
	must(t, s.RemovePayloads(ctx, all))
	w.Forget(all)
	wantNoneOf(t, disk, gone)
	check(t, s, w, w.Size())
	wantError(t, s.RemovePayloads(ctx, evidence.Ranges{{First: w.Size(), Last: w.Size()}}), storage.ErrNotFound)
	r := openReader(t, disk)
	wantError(t, r.RemovePayloads(ctx, all), storage.ErrReadOnly)
	wantError(t, r.SetIntent([]byte("x")), storage.ErrReadOnly)
}

// TestRemoveFromRecycledFile removes from a trail in whose files lie the entries
// of earlier tails.
func TestRemoveFromRecycledFile(t *testing.T) {
	t.Parallel()
	rng := newRand(t)
	disk, w := recycling().fork(rng.Uint64())
	s := open(t, disk)
	for w.Size() < 2*storetest.Boundary+1000 {
		must(t, s.Append(w.Batch(8191)))
	}
	must(t, s.AwaitSealing())
	// Of the first segment only: the tail itself holds none of them.
	at := someOf(rng, storetest.Boundary, 2)
	gone := salts(w, at)
	must(t, s.RemovePayloads(ctx, at))
	w.Forget(at)
	wantNoneOf(t, disk, gone)
	appendBatches(t, s, w, 100)
	check(t, s, w, w.Size())
}

// TestRemoveBesideOthers removes while entries are appended, sealed, read, searched
// and walked over, here and by a reader of its own.
func TestRemoveBesideOthers(t *testing.T) {
	t.Parallel()
	rng := newRand(t)
	disk, w := almostFull().fork(rng.Uint64())
	s := open(t, disk)
	r := openReader(t, disk)
	known := w.Size()
	full := w.Fork(known, 1) // what it held
	first, second := someOf(rng, known, 3), someOf(rng, known, 3)
	stop := make(chan struct{})
	var others, writer sync.WaitGroup
	for _, s := range []*filestore.Store{s, r} {
		others.Go(func() {
			var rec storage.Record
			rng := rand.New(rand.NewPCG(1, 2))
			for {
				select {
				case <-stop:
					return
				default:
				}
				i := rng.Uint64N(known)
				if err := s.Read(ctx, i, &rec); err != nil {
					t.Error(err)
					return
				}
				want := full.Entry(i)
				if !bytes.Equal(rec.Entry, want.Entry) || rec.Body != nil && !bytes.Equal(rec.Body, want.Body) {
					t.Errorf("entry %d is another one", i)
				}
				if rec.Body == nil && want.Body != nil && !first.Contains(i) && !second.Contains(i) {
					t.Errorf("entry %d lost its payload", i)
				}
				if keys := want.Keys; len(keys) > 1 {
					if _, err := s.Lookup(nil, keys[2], 0); err != nil {
						t.Error(err)
					}
				}
				if h := s.Head(); h.Tree.Size() < known {
					t.Errorf("the head has %d entries", h.Tree.Size())
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
	must(t, s.RemovePayloads(ctx, first))
	must(t, s.RemovePayloads(ctx, second))
	var rec storage.Record
	for i := range second.All() {
		if err := r.Read(ctx, i, &rec); err != nil || rec.Body != nil {
			t.Fatalf("entry %d: a reader still sees the payload (%v)", i, err)
		}
	}
	writer.Wait()
	close(stop)
	others.Wait()
	w.Forget(first.Union(second))
	check(t, s, w, w.Size())
	check(t, r, w, w.Size()) // it looks at the files again
	must(t, s.AwaitSealing())
	check(t, s, w, w.Size())
}

// removal is a trail out of which payloads are removed until a fault or a crash.
type removal struct {
	disk  *vfstest.Mem
	w     *storetest.Writer
	at    evidence.Ranges
	after *storetest.Writer // without them
}

func newRemoval(disk *vfstest.Mem, w *storetest.Writer, rng *rand.Rand) *removal {
	r := &removal{disk: disk, w: w, at: someOf(rng, w.Size(), 4), after: w.Fork(w.Size(), 1)}
	r.after.Forget(r.at)
	return r
}

// check opens what is left. Each entry has its payload, unless that was to be
// removed; doing it again finishes.
func (r *removal) check(disk *vfstest.Mem) error {
	s, err := openStore(disk)
	if err != nil {
		return err
	}
	defer s.Close()
	var rec storage.Record
	// Of many, some: what is compared below would miss a payload that is lost too.
	for i := uint64(0); i < r.w.Size(); i += 1 + r.w.Size()/1000 {
		if err := s.Read(ctx, i, &rec); err != nil {
			return err
		}
		want := r.w.Entry(i)
		if !bytes.Equal(rec.Entry, want.Entry) || rec.Body != nil && !bytes.Equal(rec.Body, want.Body) {
			return fmt.Errorf("entry %d is another one", i)
		}
		if rec.Body == nil && want.Body != nil && !r.at.Contains(i) {
			return fmt.Errorf("entry %d lost its payload, which was to stay", i)
		}
	}
	if err := s.RemovePayloads(ctx, r.at); err != nil {
		return fmt.Errorf("again: %w", err)
	}
	return r.after.Check(ctx, s, r.after.Size())
}

func openStore(fsys vfs.FS) (*filestore.Store, error) {
	return filestore.Open(fsys, dir, writing)
}

// run removes with faults and reports whether that went well.
func (r *removal) run(fsys vfs.FS) (err error) {
	s, err := openStore(fsys)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.RemovePayloads(ctx, r.at)
}

// smallTrail is one whose entries are all in the tail; sealedTrail has a segment.
func smallTrail(t *testing.T, seed uint64) (*vfstest.Mem, *storetest.Writer) {
	disk, w := newTrail(t), storetest.NewWriter(seed)
	s := open(t, disk)
	appendBatches(t, s, w, 7, 1, 30, 12)
	must(t, s.Close())
	return disk, w
}

func sealedTrail(_ *testing.T, seed uint64) (*vfstest.Mem, *storetest.Writer) {
	return oneSegment().fork(seed)
}

// TestCrashWhileRemoving crashes before each operation in a tail, and in a segment
// before some or each of those that change something.
func TestCrashWhileRemoving(t *testing.T) {
	t.Parallel()
	rng := newRand(t)
	for name, base := range map[string]func(*testing.T, uint64) (*vfstest.Mem, *storetest.Writer){"tail": smallTrail, "segment": sealedTrail} {
		disk, w := base(t, rng.Uint64())
		r := newRemoval(disk, w, rng)
		var crashes []*vfstest.Mem
		var hows []string
		must(t, r.run(vfstest.Inject(disk, func(op vfstest.Op) vfstest.Fault {
			if name == "segment" && (op.Kind == vfstest.WriteAt || !slices.Contains(changing, op.Kind)) {
				return vfstest.None
			}
			how := rng.IntN(3)
			crashes = append(crashes, crash(disk, how, rng))
			hows = append(hows, fmt.Sprintf("%s before operation %d, %s %s", crashNames[how], op.N, op.Kind, op.Name))
			return vfstest.None
		})))
		some := len(crashes)
		if name == "segment" {
			some = testlong.Of(2, some)
		}
		for _, n := range rng.Perm(len(crashes))[:some] {
			if err := r.check(crashes[n]); err != nil {
				t.Fatalf("%s: %v", hows[n], err)
			}
		}
		must(t, r.check(disk))
	}
}

// TestFaultsWhileRemoving lets each operation fail in turn, in one way or in every.
func TestFaultsWhileRemoving(t *testing.T) {
	t.Parallel()
	rng := newRand(t)
	step := testlong.Of(len(faults), 1)
	for i, fault := range faults {
		disk, w := smallTrail(t, rng.Uint64())
		r := newRemoval(disk, w, rng)
		for n := 1 + i%step; ; n += step {
			copied := disk.Clone()
			plan := vfstest.OnNth(n, fault)
			err := r.run(vfstest.Inject(copied, plan.Decide))
			if !plan.Hit() {
				must(t, err)
				break
			}
			if err := r.check(copied); err != nil {
				t.Fatalf("operation %d: %s: %v", n, fault, err)
			}
		}
	}
}

// TestRemoveFromAltered has a payload that does not check out: it is neither
// removed nor carried over.
func TestRemoveFromAltered(t *testing.T) {
	t.Parallel()
	disk, w := smallTrail(t, 1)
	s := open(t, disk)
	at := evidence.Ranges{{First: 3, Last: 5}}
	var payload []byte
	for i := uint64(10); payload == nil; i++ {
		payload = w.Entry(i).Body
	}
	tail := readAll(t, disk, tailPath(0))
	tail[bytes.Index(tail, payload)] ^= 1
	must(t, disk.WriteAll(tailPath(0), tail))
	wantError(t, s.RemovePayloads(ctx, at), storage.ErrAltered)
	if _, err := disk.Size(tailPath(0) + vfs.TempSuffix); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an unfinished file is left: %v", err)
	}
	if got := readAll(t, disk, tailPath(0)); !bytes.Equal(got, tail) {
		t.Error("the tail was changed")
	}
}

func TestIntent(t *testing.T) {
	t.Parallel()
	disk := newTrail(t)
	s := open(t, disk)
	want := func(s *filestore.Store, want []byte) {
		t.Helper()
		if got, err := s.Intent(); err != nil || !bytes.Equal(got, want) || got == nil != (want == nil) {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	want(s, nil)
	must(t, s.SetIntent(nil))
	must(t, s.SetIntent([]byte("first")))
	must(t, s.SetIntent([]byte("second")))
	want(s, []byte("second"))
	must(t, s.Close())
	s = open(t, disk.CrashClone(nil))
	want(s, []byte("second"))
	must(t, s.SetIntent(nil))
	want(s, nil)
}

// TestReaderAfterFailedRemoval: a removal that fails has replaced some files. A
// reader in another process goes on with them.
func TestReaderAfterFailedRemoval(t *testing.T) {
	t.Parallel()
	disk, w := sealedTrail(t, 1)
	s := open(t, vfstest.Inject(disk, func(op vfstest.Op) vfstest.Fault {
		if op.Kind == vfstest.Create && op.Name == segmentPath(0)+vfs.TempSuffix {
			return vfstest.Fail
		}
		return vfstest.None
	}))
	r := openReader(t, disk)
	all := evidence.Ranges{{First: 0, Last: w.Size() - 1}}
	wantError(t, s.RemovePayloads(ctx, all), vfstest.ErrInjected)
	appendBatches(t, s, w, 7)
	if got := r.Size(); got != w.Size() {
		t.Errorf("the reader sees %d entries of %d", got, w.Size())
	}
}

// TestRemoveWhatIsNotInUse: files that no entry is read from may hold payloads too,
// as after a fault. They go with them, and a crash brings none of them back.
func TestRemoveWhatIsNotInUse(t *testing.T) {
	t.Parallel()
	disk, w := almostFull().fork(1)
	broken := atomic.Bool{}
	s := open(t, vfstest.Inject(disk, func(op vfstest.Op) vfstest.Fault {
		if op.Kind == vfstest.Rename && op.Name == sparePath || broken.Load() && op.Kind == vfstest.SyncDir && op.Name == path.Dir(sparePath) {
			return vfstest.Fail
		}
		return vfstest.None
	}))
	held := readAll(t, disk, tailPath(0))
	appendBatches(t, s, w, 100, 40)
	s.AwaitSealing() // an error, if it is there in time: the tail is not given up
	must(t, disk.WriteAll(segmentPath(0)+vfs.TempSuffix, held))
	must(t, disk.WriteAll(sparePath, held))
	must(t, disk.SyncDir(path.Dir(sparePath)))
	must(t, disk.SyncDir(path.Dir(segmentPath(0))))
	at := evidence.Ranges{{First: 0, Last: storetest.Boundary - 1}} // none in the tail that is appended to
	gone := salts(w, at)
	broken.Store(true)
	wantError(t, s.RemovePayloads(ctx, at), vfstest.ErrInjected)
	broken.Store(false)
	must(t, s.RemovePayloads(ctx, at))
	wantNoneOf(t, disk, gone)
	wantNoneOf(t, disk.CrashClone(nil), gone)
}
