package filestore_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
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

var (
	crashRounds = flag.Int("crash.rounds", testlong.Of(1, 30), "rounds of each crash test")
	crashSeed   = flag.Uint64("crash.seed", 0, "seed of the first round; 0: a random one")
)

var ctx = context.Background()

// rounds runs one round after the other, each with a seed of its own, which is
// printed when it fails.
func rounds(t *testing.T, round func(t *testing.T, rng *rand.Rand)) {
	seed := *crashSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	for n := range *crashRounds {
		round(t, rand.New(rand.NewPCG(seed, 0)))
		if t.Failed() {
			t.Fatalf("seed %d, the %d. of this run; again with -crash.seed=%d -crash.rounds=1", seed, n+1, seed)
		}
		seed++
	}
	t.Logf("seeds up to %d", seed-1)
}

// The ways to crash. The process may be killed, which loses nothing that it
// wrote, or the machine may lose power, which loses what was not synced, all of
// it or a part.
const (
	killed = iota
	powerLost
	powerLostWorst
	crashes
)

var crashNames = [crashes]string{"killed", "power lost", "power lost with everything that was not synced"}

func crash(disk *vfstest.Mem, how int, rng *rand.Rand) *vfstest.Mem {
	switch how {
	case killed:
		return disk.Clone()
	case powerLostWorst:
		return disk.CrashClone(nil)
	}
	return disk.CrashClone(rng)
}

// progress is how far a writer has come, as its callers know it.
type progress struct {
	begun atomic.Uint64 // size with the batch that is being appended
	acked atomic.Uint64 // size that was acknowledged
}

func (p *progress) append(s *filestore.Store, b *storage.Batch) error {
	size := b.First + uint64(len(b.Items))
	p.begun.Store(size)
	if err := s.Append(b); err != nil {
		return err
	}
	p.acked.Store(size)
	return nil
}

// wreck is what a crash left, and what was known of the trail then.
type wreck struct {
	disk        *vfstest.Mem
	w           *storetest.Writer
	how         string
	least, most uint64 // sizes that the trail may have
}

func newWreck(disk *vfstest.Mem, rng *rand.Rand, how int, op vfstest.Op, p *progress) *wreck {
	// In this order: what was acknowledged before the crash must be there.
	least := p.acked.Load()
	c := &wreck{disk: crash(disk, how, rng), least: least, most: p.begun.Load()}
	c.how = fmt.Sprintf("%s before operation %d: %s %s; %d entries were acknowledged and %d appended", crashNames[how], op.N, op.Kind, op.Name, c.least, c.most)
	return c
}

// check opens what is left for reading, which must not fail, and for writing,
// which must bring it into order. It then appends to it. Everything that was
// acknowledged must be there, and nothing but that and the batch that was being
// appended. again, if not nil, is asked before each operation of recovery and
// what follows whether to crash there as well.
func (c *wreck) check(rng *rand.Rand, again func(vfstest.Op) bool) error {
	if err := c.tryCheck(rng, again); err != nil {
		return fmt.Errorf("%s:\n%w", c.how, err)
	}
	return nil
}

func (c *wreck) tryCheck(rng *rand.Rand, again func(vfstest.Op) bool) error {
	if _, err := filestore.ReadMeta(c.disk, dir); errors.Is(err, storage.ErrNotFound) && c.least == 0 {
		// The crash came while the trail was being created.
		if err := filestore.Create(c.disk, dir, meta); err != nil {
			return fmt.Errorf("creating it again: %w", err)
		}
	}
	size, err := c.read()
	if err != nil {
		return err
	}
	if size < c.least || size > c.most {
		return fmt.Errorf("it has %d entries", size)
	}

	p := &progress{}
	p.acked.Store(c.least)
	p.begun.Store(size)
	var w atomic.Pointer[storetest.Writer]
	w.Store(c.w)
	var second []error
	fsys := vfstest.Inject(c.disk, func(op vfstest.Op) vfstest.Fault {
		if again != nil && again(op) {
			c := newWreck(c.disk, rng, rng.IntN(crashes), op, p)
			c.w = w.Load()
			if err := c.check(rng, nil); err != nil {
				second = append(second, err)
			}
		}
		return vfstest.None
	})
	s, err := filestore.Open(fsys, dir, writing)
	if err != nil {
		return fmt.Errorf("open for writing: %w", err)
	}
	defer s.Close()
	if got := s.Size(); got != size {
		return fmt.Errorf("it has %d entries for a reader, and %d for a writer", size, got)
	}
	next := c.w.Fork(size, size)
	n := len(next.Commits())
	next.Batch(1)
	next.Batch(3)
	w.Store(next)
	p.acked.Store(size) // it is shown to callers from now on
	if err := next.Check(ctx, s, size); err != nil {
		return fmt.Errorf("opened for writing: %w", err)
	}
	for ; n < len(next.Commits()); n++ {
		if err := p.append(s, next.Replay(n)); err != nil {
			return fmt.Errorf("append: %w", err)
		}
	}
	if err := s.AwaitSealing(); err != nil {
		return fmt.Errorf("sealing: %w", err)
	}
	if err := s.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	c.w = next
	if got, err := c.read(); err != nil || got != next.Size() {
		return fmt.Errorf("after two more batches it has %d entries, want %d (%v)", got, next.Size(), err)
	}
	return errors.Join(second...)
}

// read reads everything, as a reader.
func (c *wreck) read() (size uint64, err error) {
	r, err := filestore.Open(c.disk, dir, reading)
	if err != nil {
		return 0, fmt.Errorf("open for reading: %w", err)
	}
	defer r.Close()
	size = r.Size()
	if size > 0 && !slices.ContainsFunc(c.w.Commits(), func(k storetest.Commit) bool { return k.Size == size }) {
		return size, fmt.Errorf("it has %d entries, which is not where a batch ends", size)
	}
	if err := c.w.Check(ctx, r, size, evidence.Torn); err != nil {
		return size, fmt.Errorf("opened for reading: %w", err)
	}
	return size, nil
}

// TestCrash crashes at every operation, in one way or in each, while a trail is
// created, appended to, closed, opened and appended to again; and now and then
// again while what is left is being recovered.
func TestCrash(t *testing.T) {
	t.Parallel()
	rounds(t, func(t *testing.T, rng *rand.Rand) {
		disk, p := vfstest.NewMem(), &progress{}
		w := storetest.NewWriter(rng.Uint64())
		w.PayloadSize = rng.IntN(2000) // batches of some sectors
		for _, n := range []int{1, 1 + rng.IntN(5), 1, 1, 1 + rng.IntN(5)} {
			w.Batch(n)
		}
		if rng.IntN(2) == 0 {
			plantSpare(t, disk, rng)
		}
		var wrecks []*wreck
		fsys := vfstest.Inject(disk, func(op vfstest.Op) vfstest.Fault {
			for _, how := range rng.Perm(crashes)[:testlong.Of(1, crashes)] {
				wrecks = append(wrecks, newWreck(disk, rng, how, op, p))
			}
			return vfstest.None
		})
		must(t, filestore.Create(fsys, dir, meta))
		for from := range 2 {
			s, err := filestore.Open(fsys, dir, writing)
			must(t, err)
			for n := from * 3; n < min(from*3+3, len(w.Commits())); n++ {
				must(t, p.append(s, w.Replay(n)))
			}
			must(t, s.Close())
		}
		for _, c := range wrecks {
			c.w = w
			if err := c.check(rng, func(vfstest.Op) bool { return rng.IntN(30) == 0 }); err != nil {
				t.Error(err)
				return
			}
		}
	})
}

// plantSpare leaves the file of another tail to be used again, so that the
// commits of another trail stand behind those of this one.
func plantSpare(t *testing.T, disk *vfstest.Mem, rng *rand.Rand) {
	other := newTrail(t)
	w := storetest.NewWriter(rng.Uint64())
	w.PayloadSize = 500
	s := open(t, other)
	appendBatches(t, s, w, 1, 2, 3, 4, 5, 6, 7, 8)
	must(t, s.Close())
	b, err := other.ReadAll(tailPath(0))
	must(t, err)
	must(t, disk.MkdirAll(path.Join(dir, "tail")))
	must(t, disk.WriteAll(sparePath, b))
	must(t, disk.SyncDir(path.Join(dir, "tail")))
}

// TestCrashSealing crashes while a tail is filled and sealed and the next one is
// begun, in a new file or in that of the one before.
func TestCrashSealing(t *testing.T) {
	t.Parallel()
	rounds(t, func(t *testing.T, rng *rand.Rand) {
		base := []func() base{almostFull, recycling}[rng.IntN(2)]()
		disk, w := base.fork(rng.Uint64())
		w.PayloadSize = rng.IntN(2000)
		n := len(w.Commits())
		for _, size := range []int{3, 2, 1 + rng.IntN(4), 1, 2} { // the third is in the next tail
			w.Batch(size)
		}
		p := &progress{}
		p.acked.Store(base.w.Size())
		p.begun.Store(base.w.Size())

		// A healthy run shows which operations there are. They are so many
		// writes that each kind of operation on each file gets the same chance.
		var ops opLog
		must(t, fillTail(vfstest.Inject(disk.Clone(), ops.decide), w, n, &progress{}))
		at := ops.pick(rng)

		var c *wreck
		var seen opLog
		how := rng.IntN(crashes)
		err := fillTail(vfstest.Inject(disk, func(op vfstest.Op) vfstest.Fault {
			if c != nil {
				return vfstest.Fail // it is over
			}
			if seen.decide(op); seen.last() == at {
				c = newWreck(disk, rng, how, op, p)
			}
			return vfstest.None
		}), w, n, p)
		if c == nil {
			must(t, err)
			return // this time the goroutines took another way
		}
		c.w = w
		second := rng.IntN(200)
		if err := c.check(rng, func(op vfstest.Op) bool { return op.N == second }); err != nil {
			t.Error(err)
		}
	})
}

// fillTail opens a trail and appends the batches of w from the nth on.
func fillTail(fsys vfs.FS, w *storetest.Writer, n int, p *progress) error {
	s, err := filestore.Open(fsys, dir, writing)
	if err != nil {
		return err
	}
	defer s.Close()
	for ; n < len(w.Commits()); n++ {
		if err := p.append(s, w.Replay(n)); err != nil {
			return err
		}
		if err := s.AwaitSealing(); err != nil {
			return err
		}
	}
	return s.Close()
}

// opLog counts operations by their kind and file.
type opLog struct {
	mu    sync.Mutex
	order []nthOp
	count map[nthOp]int // with n 0
}

// nthOp is the nth operation of a kind on a file.
type nthOp struct {
	kind vfstest.OpKind
	name string
	n    int
}

func (l *opLog) decide(op vfstest.Op) vfstest.Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count == nil {
		l.count = make(map[nthOp]int)
	}
	class := nthOp{kind: op.Kind, name: op.Name}
	l.order = append(l.order, nthOp{op.Kind, op.Name, l.count[class]})
	l.count[class]++
	return vfstest.None
}

// len returns how many operations there were so far; others may be under way.
func (l *opLog) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.order)
}

func (l *opLog) last() nthOp { return l.order[len(l.order)-1] }

// pick chooses an operation.
func (l *opLog) pick(rng *rand.Rand) nthOp {
	var classes []nthOp
	for _, op := range l.order {
		if op.n == 0 {
			classes = append(classes, op)
		}
	}
	at := classes[rng.IntN(len(classes))]
	at.n = rng.IntN(l.count[at])
	return at
}
