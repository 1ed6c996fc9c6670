package filestore_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"sync"
	"testing"
	"time"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/filestore"
	"github.com/custodylog/custody/internal/storage/storetest"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

// dir is where the trails of these tests lie.
const dir = "trail"

// create makes an empty trail for a storetest.Writer.
func create(t *testing.T, fsys vfs.FS, dir string) {
	t.Helper()
	must(t, filestore.Create(fsys, dir, meta))
}

var meta = filestore.Meta{Origin: storetest.Origin, Key: storetest.NewWriter(0).Verifier()}

// newTrail returns a disk with an empty trail.
func newTrail(t *testing.T) *vfstest.Mem {
	t.Helper()
	disk := vfstest.NewMem()
	create(t, disk, dir)
	return disk
}

// open opens a trail for writing until the test ends.
func open(t *testing.T, fsys vfs.FS) *filestore.Store {
	t.Helper()
	s, err := filestore.Open(fsys, dir, writing)
	must(t, err)
	closeAtEnd(t, s)
	return s
}

// closeAtEnd closes a store when the test ends. It lets go of it then: the testing
// package holds on to what was cleaned up until all parallel tests have ended, and
// the disks of these tests are in memory.
func closeAtEnd(t *testing.T, s *filestore.Store) {
	t.Cleanup(func() {
		s.Close()
		s = nil
	})
}

// writing is how a trail is opened for writing. The background does nothing by
// the clock, so that equal programs do equal operations.
var writing = filestore.Options{Extract: storetest.Extract}.WithUpkeep(time.Hour)

// openReader opens a trail for reading until the test ends.
func openReader(t *testing.T, fsys vfs.FS) *filestore.Store {
	t.Helper()
	s, err := filestore.Open(fsys, dir, reading)
	must(t, err)
	closeAtEnd(t, s)
	return s
}

// reading is how a trail is opened for reading that nobody writes.
var reading = filestore.Options{ReadOnly: true, Extract: storetest.Extract}.WithPatience(1)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want one that wraps %q", err, want)
	}
}

// appendBatches appends a batch of w for each size.
func appendBatches(t *testing.T, s *filestore.Store, w *storetest.Writer, sizes ...int) {
	t.Helper()
	for _, n := range sizes {
		must(t, s.Append(w.Batch(n)))
	}
}

// check compares a store with the first size entries of w.
func check(t *testing.T, s *filestore.Store, w *storetest.Writer, size uint64, expected ...evidence.Cause) {
	t.Helper()
	if err := w.Check(t.Context(), s, size, expected...); err != nil {
		t.Fatalf("the store does not hold what was written: %v", err)
	}
}

// newRand returns a source of randomness whose seed is printed when the test
// fails.
func newRand(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// tailPath, segmentPath and indexPath name the files of the nth segment.
func tailPath(n int) string    { return path.Join(dir, "tail", file(n, "tail")) }
func segmentPath(n int) string { return path.Join(dir, "segments", file(n, "segment")) }
func indexPath(n int) string   { return path.Join(dir, "segments", file(n, "index")) }

func file(n int, suffix string) string { return fmt.Sprintf("%020d.%s", n*storetest.Boundary, suffix) }

var sparePath = path.Join(dir, "tail", "spare")

// Trails that fill a tail are expensive to make, so the tests share them, and copy.
var bases = sync.OnceValue(makeBases)

// almostFull has one tail, in which five entries are missing.
func almostFull() base { return bases()[0] }

// recycling has a segment, a tail in which five entries are missing, and the
// file of the sealed tail, to be used again.
func recycling() base { return bases()[1] }

// twoSegments has two segments and a short tail, and was closed. The writers of
// the other two were killed.
func twoSegments() base { return bases()[2] }

// keptAt are the entries of these trails that are of storetest.KeptType.
var keptAt = evidence.Ranges{{First: 1000, Last: 1000}, {First: storetest.Boundary + 300, Last: storetest.Boundary + 301}}

// oneSegment has a segment and a short tail, and was closed.
func oneSegment() base { return bases()[3] }

// base is a disk with a trail, and what was written to it.
type base struct {
	disk *vfstest.Mem
	w    *storetest.Writer
}

// fork returns a copy to go on with. Equal seeds go on with equal entries.
func (b base) fork(seed uint64) (*vfstest.Mem, *storetest.Writer) {
	return b.disk.Clone(), b.w.Fork(b.w.Size(), seed)
}

func makeBases() (made [4]base) {
	try := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	disk, w := vfstest.NewMem(), storetest.NewWriter(9)
	try(filestore.Create(disk, dir, meta))
	s, err := filestore.Open(disk, dir, writing)
	try(err)
	w.Rotate() // a checkpoint that the first segment keeps beside its last one
	fill := func(size uint64) {
		for w.Size() < size {
			try(s.Append(w.Batch(min(8191, int(size-w.Size())))))
		}
	}
	for i, size := range []uint64{storetest.Boundary - 5, 2*storetest.Boundary - 5, 2*storetest.Boundary + 100} {
		for at := range keptAt.Between(w.Size(), size).All() {
			fill(at)
			body := fmt.Appendf(nil, `salt of %8d{"agent_id":"agent-00","id":"kept-%d","session_id":"s-0"}`, at, at)
			try(s.Append(w.BatchOf(storetest.KeptType, body)))
		}
		fill(size)
		try(s.AwaitSealing())
		made[i] = base{disk.Clone(), w.Fork(size, 0)}
	}
	try(s.Close())
	made[2].disk = disk

	disk, w = made[0].fork(0)
	s, err = filestore.Open(disk, dir, writing)
	try(err)
	try(s.Append(w.Batch(100)))
	try(s.Append(w.Batch(40)))
	try(s.AwaitSealing())
	try(s.Close())
	made[3] = base{disk, w}
	return made
}
