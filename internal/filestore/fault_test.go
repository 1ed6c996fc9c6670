package filestore_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/custodylog/custody/internal/filestore"
	"github.com/custodylog/custody/internal/storage"
	"github.com/custodylog/custody/internal/storage/storetest"
	"github.com/custodylog/custody/internal/testlong"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

var faults = []vfstest.Fault{vfstest.Fail, vfstest.FailAfter, vfstest.ShortWrite}

// faulty is a program that uses a trail on a disk of which one operation fails.
type faulty struct {
	w *storetest.Writer // has all batches that are appended
	progress
	following bool // it only reads, and looks for what a writer may have added

	mu       sync.Mutex
	problems []error // of the background; guarded by mu
}

func (f *faulty) open(fsys vfs.FS, readOnly bool) (*filestore.Store, error) {
	opts := writing
	opts.ReadOnly = readOnly
	opts.OnProblem = func(err error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.problems = append(f.problems, err)
	}
	return filestore.Open(fsys, dir, opts)
}

// appendOne appends the nth batch of f.w. When that fails, it checks that the
// store is left as it should be.
func (f *faulty) appendOne(s *filestore.Store, n int) error {
	if err := f.append(s, f.w.Replay(n)); err != nil {
		return errors.Join(fmt.Errorf("append: %w", err), f.stopped(s, n))
	}
	return nil
}

// errWrong marks what must not happen, whatever failed.
var errWrong = errors.New("WRONG")

// stopped checks that a store of which an Append failed takes nothing more and
// goes on to be read.
func (f *faulty) stopped(s *filestore.Store, n int) error {
	if s.Size() != f.acked.Load() {
		return fmt.Errorf("%w: size %d after a failure, %d were acknowledged", errWrong, s.Size(), f.acked.Load())
	}
	if err := s.Append(f.w.Replay(n)); !errors.Is(err, storage.ErrFailed) {
		return fmt.Errorf("%w: the next append gives %v, want ErrFailed", errWrong, err)
	}
	if err := f.readAll(s); err != nil {
		return fmt.Errorf("%w: after a failed append: %w", errWrong, err)
	}
	return nil
}

// readAll reads what was acknowledged last, in the ways that there are.
func (f *faulty) readAll(s *filestore.Store) error {
	size := f.acked.Load()
	var r storage.Record
	for i := size - min(size, 10); i < size; i++ {
		if err := s.Read(ctx, i, &r); err != nil {
			return err
		}
		if want := f.w.Entry(i); r.Hash != want.Hash {
			return fmt.Errorf("%w: entry %d is another one", errWrong, i)
		}
		if found, err := s.Lookup(nil, f.w.Entry(i).Keys[0], i); err != nil {
			return err
		} else if len(found) == 0 {
			return fmt.Errorf("%w: entry %d is not found", errWrong, i)
		}
	}
	for _, err := range s.Select(ctx, storage.Selection{To: math.MaxUint64, Since: time.UnixMicro(1)}) {
		if err != nil {
			return err
		}
	}
	if _, err := s.Counts(ctx, time.Time{}, time.Time{}, time.Hour); err != nil {
		return err
	}
	return nil
}

// life creates a trail, appends, reads, and opens it again.
func (f *faulty) life(fsys vfs.FS) error {
	if err := filestore.Create(fsys, dir, meta); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	for n := 0; n < len(f.w.Commits()); {
		s, err := f.open(fsys, false)
		if err != nil {
			return fmt.Errorf("open: %w", err)
		}
		for end := n + 3; n < min(end, len(f.w.Commits())) && err == nil; n++ {
			err = f.appendOne(s, n)
		}
		if err == nil {
			err = errors.Join(f.readAll(s), f.w.Check(ctx, s, s.Size()))
		}
		if err := errors.Join(err, s.Close()); err != nil {
			return err
		}
	}
	r, err := f.open(fsys, true)
	if err != nil {
		return fmt.Errorf("open for reading: %w", err)
	}
	f.following = true
	return errors.Join(f.readAll(r), f.w.Check(ctx, r, r.Size()), r.Close())
}

// TestFaults lets every operation of a trail's life fail in turn, in one way or in
// every.
func TestFaults(t *testing.T) {
	t.Parallel()
	step := testlong.Of(len(faults), 1)
	start := newRand(t).IntN(step)
	for i, fault := range faults {
		for n := (start + i) % step; ; n += step {
			disk := vfstest.NewMem()
			f := &faulty{w: storetest.NewWriter(uint64(n))}
			for _, size := range []int{1, 4, 2, 3} {
				f.w.Batch(size)
			}
			plan := vfstest.OnNth(n, fault)
			var op vfstest.Op
			err := f.life(vfstest.Inject(disk, func(next vfstest.Op) vfstest.Fault {
				fault := plan.Decide(next)
				if fault != vfstest.None {
					op = next
				}
				return fault
			}))
			if !plan.Hit() {
				must(t, err)
				if n < 100 {
					t.Errorf("a trail's life took only %d operations", n)
				}
				break
			}
			how := fmt.Sprintf("%s of operation %d, %s %s", fault, n, op.Kind, op.Name)
			f.judge(t, how, err)
			if err == nil && len(f.problems) == 0 && !f.harmless(op) {
				t.Errorf("%s: nobody was told", how)
			}
			f.recovered(t, how, disk)
		}
	}
}

// harmless reports whether an operation may fail without anybody being told.
func (f *faulty) harmless(op vfstest.Op) bool {
	switch op.Kind {
	case vfstest.Free: // no room is reserved
		return true
	case vfstest.Close: // of a file that was opened for reading
		return true
	case vfstest.ReadAt, vfstest.Size: // the next look may succeed
		return f.following
	}
	return false
}

// judge checks what a fault led to.
func (f *faulty) judge(t *testing.T, how string, err error) {
	t.Helper()
	if errors.Is(err, errWrong) {
		t.Errorf("%s: %v", how, err)
	}
	if err != nil && !errors.Is(err, vfstest.ErrInjected) {
		t.Errorf("%s: error %v does not name its cause", how, err)
	}
}

// recovered checks what the fault left, on the disk that works again.
func (f *faulty) recovered(t *testing.T, how string, disk *vfstest.Mem) {
	t.Helper()
	c := &wreck{disk: disk, w: f.w, how: how, least: f.acked.Load(), most: max(f.acked.Load(), f.begun.Load())}
	if err := c.check(nil, nil); err != nil {
		t.Error(err)
	}
}

// fill opens a trail and appends the batches of f.w from the nth on, which fill
// a tail.
func (f *faulty) fill(fsys vfs.FS, n int, opened func()) error {
	s, err := f.open(fsys, false)
	if err != nil {
		return err
	}
	opened()
	for ; n < len(f.w.Commits()) && err == nil; n++ {
		if err = f.appendOne(s, n); err != nil {
			break
		}
		if failed := s.AwaitSealing(); failed != nil {
			// It failed behind the caller's back, and is tried again.
			if again := s.AwaitSealing(); again != nil {
				err = fmt.Errorf("%w: sealing failed for good: %w, then %w", errWrong, failed, again)
			}
		}
	}
	if err == nil {
		err = f.readAll(s)
	}
	return errors.Join(err, s.Close())
}

// TestFaultsSealing lets operations fail while a tail is filled and sealed and
// the next one is begun: some or all kinds on each file, the first time and the last.
func TestFaultsSealing(t *testing.T) {
	t.Parallel()
	rng := newRand(t)
	type plan struct {
		base  base
		at    nthOp
		fault vfstest.Fault
	}
	run := func(b base, decide func(vfstest.Op) vfstest.Fault, opened func()) (*faulty, *vfstest.Mem, error) {
		disk, w := b.fork(1)
		f := &faulty{w: w}
		f.acked.Store(w.Size())
		n := len(w.Commits())
		for _, size := range []int{3, 2, 4, 1} { // the third is in the next tail
			w.Batch(size)
		}
		return f, disk, f.fill(vfstest.Inject(disk, decide), n, opened)
	}
	var plans []plan
	for _, b := range []base{almostFull(), recycling()} {
		var ops opLog
		opening := 0
		f, _, err := run(b, ops.decide, func() { opening = ops.len() })
		if must(t, err); len(f.problems) > 0 {
			t.Fatal(f.problems)
		}
		for _, at := range ops.order[opening:] {
			if at.n > 0 && at.n < ops.count[nthOp{at.kind, at.name, 0}]-1 {
				continue
			}
			for _, fault := range faults {
				if fault != vfstest.ShortWrite || at.kind == vfstest.WriteAt {
					plans = append(plans, plan{b, at, fault})
				}
			}
		}
	}
	rng.Shuffle(len(plans), func(i, j int) { plans[i], plans[j] = plans[j], plans[i] })
	for _, p := range plans[:testlong.Of(2, len(plans))] {
		var seen opLog
		hit := false
		f, disk, err := run(p.base, func(op vfstest.Op) vfstest.Fault {
			seen.decide(op)
			if !hit && seen.last() == p.at {
				hit = true
				return p.fault
			}
			return vfstest.None
		}, func() {})
		how := fmt.Sprintf("%s of %s %s, time %d", p.fault, p.at.kind, p.at.name, p.at.n)
		if !hit {
			t.Errorf("%s: it did not come up", how)
		}
		f.judge(t, how, err)
		if err == nil && len(f.problems) == 0 && p.at.kind != vfstest.Free {
			t.Errorf("%s: nobody was told", how)
		}
		if strings.Contains(p.at.name, "/segments/") && f.acked.Load() < f.w.Size() {
			t.Errorf("%s: sealing failed, and so did the writer: %v", how, err)
		}
		f.recovered(t, how, disk)
	}
}
