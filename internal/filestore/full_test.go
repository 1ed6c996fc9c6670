package filestore_test

import (
	"bytes"
	"errors"
	"path"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/custodylog/custody/internal/filestore"
	"github.com/custodylog/custody/internal/storage"
	"github.com/custodylog/custody/internal/storage/storetest"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

// TestDiskFull fills the disk up to every place within a few commits.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	for free := uint64(0); free < 4000; free += 211 {
		disk, w := newTrail(t), storetest.NewWriter(free)
		s := open(t, disk)
		appendBatches(t, s, w, 3)
		size := w.Size()
		disk.SetFree(free)
		var err error
		for err == nil {
			if err = s.Append(w.Batch(2)); err == nil {
				size = w.Size()
			}
		}
		wantError(t, err, syscall.ENOSPC)
		wantError(t, s.Append(w.Batch(1)), storage.ErrFailed)
		check(t, s, w, size)
		must(t, s.Close())

		// While the disk is full the trail can be opened, but not appended to.
		s = open(t, disk)
		check(t, s, w, size)
		disk.SetFree(0)
		w = w.Fork(size, 1)
		wantError(t, s.Append(w.Batch(2)), syscall.ENOSPC)
		must(t, s.Close())

		disk.SetFree(1 << 20)
		s = open(t, disk)
		w = w.Fork(size, 2)
		appendBatches(t, s, w, 2, 1)
		check(t, s, w, w.Size())
		must(t, s.Close())
	}
}

// TestDiskFullWhileSealing has room for entries, but none for a segment.
func TestDiskFullWhileSealing(t *testing.T) {
	t.Parallel()
	disk, w := almostFull().fork(1)
	disk.SetFree(1 << 20)
	var problems problems
	s, err := filestore.Open(disk, dir, filestore.Options{Extract: storetest.Extract, OnProblem: problems.add})
	must(t, err)
	defer s.Close()
	appendBatches(t, s, w, 5, 3)
	wantError(t, s.AwaitSealing(), syscall.ENOSPC)
	wantError(t, problems.last(), syscall.ENOSPC)
	appendBatches(t, s, w, 10, 1)
	check(t, s, w, w.Size())
	must(t, s.Close())
	names, err := disk.List(path.Join(dir, "segments"))
	must(t, err)
	if len(names) > 0 {
		t.Errorf("what could not be sealed takes the room that entries need: %q", names)
	}

	disk.SetFree(1 << 30)
	s = open(t, disk)
	check(t, s, w, w.Size())
	must(t, s.AwaitSealing())
	check(t, s, w, w.Size())
	must(t, s.Close())
	check(t, openReader(t, disk), w, w.Size())
}

// openWithUpkeep opens a trail whose background looks after it all the time, and
// returns a function that waits until something is so.
func openWithUpkeep(t *testing.T, fsys vfs.FS) (*filestore.Store, func(what string, so func() bool)) {
	t.Helper()
	looked, done := make(chan struct{}), make(chan struct{})
	opts := filestore.Options{Extract: storetest.Extract, OnSpace: func(uint64, uint64) {
		select {
		case looked <- struct{}{}:
		case <-done:
		}
	}}
	s, err := filestore.Open(fsys, dir, opts.WithUpkeep(time.Millisecond))
	must(t, err)
	t.Cleanup(func() {
		close(done)
		must(t, s.Close())
		s = nil // as closeAtEnd does
	})
	return s, func(what string, so func() bool) {
		t.Helper()
		timeout := time.After(30 * time.Second)
		for !so() {
			select {
			case <-looked:
			case <-timeout:
				t.Fatalf("within 30 s: %s", what)
			}
		}
	}
}

// TestSealingTriedAgain lets sealing fail once and does nothing that would make
// the store try again.
func TestSealingTriedAgain(t *testing.T) {
	t.Parallel()
	disk, w := almostFull().fork(1)
	var failed atomic.Bool
	s, await := openWithUpkeep(t, vfstest.Inject(disk, func(op vfstest.Op) vfstest.Fault {
		if op.Kind == vfstest.Create && strings.HasPrefix(op.Name, segmentPath(0)) && !failed.Swap(true) {
			return vfstest.Fail
		}
		return vfstest.None
	}))
	appendBatches(t, s, w, 5, 3)
	await("the tail was not sealed", func() bool {
		_, err := disk.Size(segmentPath(0))
		return err == nil && failed.Load()
	})
	check(t, s, w, w.Size())
}

// TestUpkeep checks that the newest checkpoint is brought up to date while the
// trail is open.
func TestUpkeep(t *testing.T) {
	t.Parallel()
	s, await := openWithUpkeep(t, newTrail(t))
	w := storetest.NewWriter(1)
	for range 3 {
		appendBatches(t, s, w, 1, 2)
		await("the newest checkpoint is not kept beside the entries", func() bool {
			anchors, err := s.Anchors()
			must(t, err)
			newest, err := s.Checkpoint()
			must(t, err)
			return len(anchors) == 1 && bytes.Equal(anchors[0], newest)
		})
	}
}

// TestSealingFailsForGood lets a store go on as long as it can bear without
// sealing.
func TestSealingFailsForGood(t *testing.T) {
	t.Parallel()
	var problems problems
	broken := func(op vfstest.Op) vfstest.Fault {
		if op.Kind == vfstest.Create && strings.Contains(op.Name, "/segments/") {
			return vfstest.Fail
		}
		return vfstest.None
	}
	s, err := filestore.Open(vfstest.Inject(newTrail(t), broken), dir, filestore.Options{Extract: storetest.Extract, OnProblem: problems.add})
	must(t, err)
	defer s.Close()
	// Nothing reads these entries, so one stands for all.
	item := storetest.NewWriter(1).Batch(1).Items[0]
	b := &storage.Batch{Items: make([]storage.Item, storetest.Boundary), Checkpoint: []byte("none")}
	for i := range b.Items {
		b.Items[i] = item
	}
	for err == nil {
		if b.First >= 100*storetest.Boundary {
			t.Fatalf("%d entries were taken without any being sealed", b.First)
		}
		if err = s.Append(b); err == nil {
			b.First += storetest.Boundary
		}
	}
	wantError(t, err, vfstest.ErrInjected)
	wantError(t, s.Append(b), storage.ErrFailed)
	if b.First < 3*storetest.Boundary {
		t.Errorf("only %d entries were taken", b.First)
	}
	if n := problems.count.Load(); n < 1 || n > 20 {
		t.Errorf("%d problems were told of, want some, but not one in each turn of a loop", n)
	}
	if got := s.Size(); got != b.First {
		t.Errorf("size %d, want %d", got, b.First)
	}
}

// problems collects what went wrong in the background.
type problems struct {
	count atomic.Int64
	err   atomic.Pointer[error]
}

func (p *problems) add(err error) {
	p.count.Add(1)
	p.err.Store(&err)
}

func (p *problems) last() error {
	if err := p.err.Load(); err != nil {
		return *err
	}
	return errors.New("nothing was told of")
}
