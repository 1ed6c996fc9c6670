package filestore_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/filestore"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/storage"
	"github.com/custodylog/custody/internal/storage/storetest"
	"github.com/custodylog/custody/internal/testlong"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

// walked is what a walk found. It implements storage.Visitor.
type walked struct {
	w       *storetest.Writer
	next    uint64
	noted   uint64 // size of the last checkpoint
	damage  []string
	onEntry func(i uint64)
}

func (v *walked) Entry(entry, _ []byte, _ *evidence.Hash) {
	i := v.next
	v.next++
	if string(entry) != string(v.w.Entry(i).Entry) {
		v.damage = append(v.damage, fmt.Sprintf("entry %d is %q", i, entry))
	}
	if v.onEntry != nil {
		v.onEntry(i)
	}
}

func (v *walked) Lost(n uint64, cause evidence.Cause, where, detail string) {
	v.damage = append(v.damage, fmt.Sprintf("%d entries from %d on: %s, %s: %s", n, v.next, cause, where, detail))
	v.next += n
}

func (v *walked) BodyLost(where, detail string) {
	v.damage = append(v.damage, fmt.Sprintf("payload of entry %d: %s: %s", v.next, where, detail))
}

func (v *walked) Damage(index, _ uint64, cause evidence.Cause, where, detail string) {
	v.damage = append(v.damage, fmt.Sprintf("at %d: %s, %s: %s", index, cause, where, detail))
}

func (v *walked) Node(int, evidence.Hash, string) {}

func (v *walked) Pruned(level int, _ evidence.Hash) { v.next += 1 << level }

func (v *walked) Checkpoint(signed []byte, where string) {
	c, err := evidence.PeekCheckpoint(signed)
	if err != nil || c.Size != v.next || c.Size == v.noted {
		v.damage = append(v.damage, fmt.Sprintf("%s: a checkpoint of size %d stands behind %d entries, and one of %d before it (%v)", where, c.Size, v.next, v.noted, err))
	}
	v.noted = c.Size
}

// TestReaderOfRecycledFile has readers that look away while the writer seals
// the tail that they know, and writes another one into its file.
func TestReaderOfRecycledFile(t *testing.T) {
	t.Parallel()
	disk, _ := almostFull().fork(1)
	_, w := twoSegments().fork(1)
	for range 2 {
		w.Batch(8191) // lies where the first entries lay
	}
	s := open(t, disk)
	known := s.Size()
	var readers [4]*filestore.Store
	for i := range readers {
		readers[i] = openReader(t, disk)
	}
	parts, err := readers[0].Parts(t.Context())
	must(t, err)

	goOn := func() {
		for n := range w.Commits() {
			if b := w.Replay(n); b.First >= known {
				must(t, s.Append(b))
				must(t, s.AwaitSealing())
			}
		}
	}
	// It happens in the middle of a walk.
	walk := &walked{w: w, onEntry: func(i uint64) {
		if i == 100 {
			goOn()
		}
	}}
	must(t, readers[0].Walk(t.Context(), parts[0], walk))
	if walk.next < known || len(walk.damage) > 0 {
		t.Errorf("a walk found %d of %d entries, and damage where there is none: %q", walk.next, known, walk.damage)
	}

	// The others have not looked since.
	var rec storage.Record
	for _, i := range []uint64{0, 100, known - 1} {
		must(t, readers[1].Read(t.Context(), i, &rec))
		if rec.Hash != w.Entry(i).Hash {
			t.Errorf("entry %d is another one", i)
		}
	}
	check(t, readers[1], w, w.Size())

	walk = &walked{w: w}
	must(t, readers[2].Walk(t.Context(), parts[0], walk))
	if walk.next < known || len(walk.damage) > 0 {
		t.Errorf("a walk found %d of %d entries, and damage where there is none: %q", walk.next, known, walk.damage)
	}

	n := uint64(0)
	for i, err := range readers[3].Select(t.Context(), storage.Selection{To: math.MaxUint64}) {
		must(t, err)
		must(t, readers[3].Read(t.Context(), i, &rec))
		n++
	}
	if n != w.Size() {
		t.Errorf("%d entries were selected, want %d", n, w.Size())
	}
}

// TestReaderOpensWhileSealing opens a trail for reading and lets the writer seal
// the tail at each step on the way.
func TestReaderOpensWhileSealing(t *testing.T) {
	t.Parallel()
	for _, at := range []nthOp{
		{vfstest.List, path.Join(dir, "tail"), 0},
		{vfstest.List, path.Join(dir, "segments"), 0},
		{vfstest.Open, tailPath(0), 0},
		{vfstest.ReadAt, tailPath(0), 0},
	} {
		if !testlong.All() && at.kind != vfstest.Open {
			continue // each takes seconds
		}
		disk, w := almostFull().fork(1)
		s := open(t, disk)
		appendBatches(t, s, w, 5)
		var seen opLog
		hit := false
		r, err := filestore.Open(vfstest.Inject(disk, func(op vfstest.Op) vfstest.Fault {
			if seen.decide(op); seen.last() == at && !hit {
				hit = true
				appendBatches(t, s, w, 3)
				must(t, s.AwaitSealing())
			}
			return vfstest.None
		}), dir, reading)
		must(t, err)
		if !hit {
			t.Fatalf("%s of %s did not come up", at.kind, at.name)
		}
		check(t, r, w, w.Size())
		must(t, r.Close())
	}
}

// TestReaderOfDamage opens what cannot be opened for writing, and uses all of it.
func TestReaderOfDamage(t *testing.T) {
	t.Parallel()
	b := twoSegments()
	garbage := strings.Repeat("garbage ", 1000)
	first, last := []uint64{0, 70, 2*storetest.Boundary - 1}, []uint64{storetest.Boundary, b.w.Size() - 1}
	all := slices.Concat(first, last)
	for _, file := range []struct {
		name  string
		still []uint64 // entries that can be read without it
	}{
		{segmentPath(0), last}, // index files: TestIndexBuiltAgain
		{tailPath(2), first},
		{path.Join(dir, "checkpoint"), all},
	} {
		content := readAll(t, b.disk, file.name)
		for how, content := range map[string][]byte{
			"missing":  nil,
			"empty":    {},
			"garbage":  []byte(garbage),
			"cut":      content[:len(content)/2],
			"zeros":    make([]byte, len(content)),
			"longer":   append(content[:len(content):len(content)], garbage...),
			"no start": content[min(len(content), 100):],
		} {
			t.Run(path.Base(file.name)+" is "+how, func(t *testing.T) {
				disk := b.disk.Clone()
				if content == nil {
					must(t, disk.Remove(file.name))
				} else {
					must(t, disk.WriteAll(file.name, content))
				}
				r := openReader(t, disk)
				use(t, r)
				for _, i := range file.still {
					var rec storage.Record
					must(t, r.Read(t.Context(), i, &rec))
					if rec.Hash != b.w.Entry(i).Hash {
						t.Errorf("entry %d is another one", i)
					}
				}
			})
		}
	}
}

// use calls every method of a store, whose files may hold anything. What they
// return is up to the damage.
func use(t *testing.T, s *filestore.Store) {
	size := s.Size()
	s.Head()
	s.Checkpoint()
	s.Anchors()
	s.Bytes()
	s.Meta()
	s.Recovery()
	s.Changed(size)
	var rec storage.Record
	for _, i := range []uint64{0, 1, size / 2, size - 1, size, size + 1, storetest.Boundary, math.MaxUint64} {
		s.Read(t.Context(), i, &rec)
		s.TreeAt(t.Context(), i)
	}
	key := storage.KeyOf(storetest.FieldType, storetest.Types[0])
	s.Lookup(nil, key, 0)
	for _, sel := range []storage.Selection{
		{To: math.MaxUint64},
		{To: math.MaxUint64, Reverse: true, All: [][]storage.Key{{key}}},
		{To: size, Since: time.UnixMicro(1), Until: time.UnixMicro(1 << 52)},
	} {
		n := 0
		for range s.Select(t.Context(), sel) {
			if n++; n > 1000 {
				break
			}
		}
	}
	s.Counts(t.Context(), time.Time{}, time.Time{}, time.Hour)
	parts, _ := s.Parts(t.Context())
	for _, p := range parts {
		s.Walk(t.Context(), p, ignore{})
		s.CheckIndex(t.Context(), p, &storage.KeySum{})
	}
}

// ignore is a storage.Visitor that looks at nothing.
type ignore struct{}

func (ignore) Entry(_, _ []byte, _ *evidence.Hash)                   {}
func (ignore) Lost(uint64, evidence.Cause, string, string)           {}
func (ignore) BodyLost(string, string)                               {}
func (ignore) Pruned(int, evidence.Hash)                             {}
func (ignore) Node(int, evidence.Hash, string)                       {}
func (ignore) Checkpoint([]byte, string)                             {}
func (ignore) Damage(uint64, uint64, evidence.Cause, string, string) {}

// TestReaderOfTwoTails opens a trail of which the sealing came to nothing, and
// the first tail is damaged.
func TestReaderOfTwoTails(t *testing.T) {
	t.Parallel()
	disk, w := almostFull().fork(1)
	s := open(t, vfstest.Inject(disk, func(op vfstest.Op) vfstest.Fault {
		if op.Kind == vfstest.Create && strings.Contains(op.Name, "/segments/") {
			return vfstest.Fail
		}
		return vfstest.None
	}))
	appendBatches(t, s, w, 5, 3)
	disk = disk.Clone()
	check(t, openReader(t, disk.Clone()), w, w.Size())
	tail := readAll(t, disk, tailPath(0))
	altered := bytes.Clone(tail)
	altered[len(tail)/2] ^= 1
	for what, tail := range map[string][]byte{"altered": altered, "cut": tail[:len(tail)/2]} {
		must(t, disk.WriteAll(tailPath(0), tail))
		r := openReader(t, disk)
		use(t, r)
		if got := r.Size(); got != w.Size() {
			t.Errorf("%s: size %d, want %d", what, got, w.Size())
		}
		if head := r.Head(); what == "cut" && head.Tree.Size() != 0 {
			t.Errorf("the head has the tree of %d entries, of which some are missing", head.Tree.Size())
		}
		var rec storage.Record
		for _, i := range []uint64{0, w.Size() - 1} {
			must(t, r.Read(t.Context(), i, &rec))
		}
		wantNoRecover(t, disk, what)
	}
}

// TestStrayNames has files with names that promise more entries than there can
// be.
func TestStrayNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		path.Join(dir, "segments", "00000006553600000000.segment"),
		path.Join(dir, "segments", "09223372036854710272.segment"),
		path.Join(dir, "tail", "00000006553600000000.tail"),
		path.Join(dir, "tail", "09007199254675456.tail"),
		path.Join(dir, "segments", "00000000000000000001.segment"),
		path.Join(dir, "segments", "x.segment"),
		path.Join(dir, "tail", "-0000000000000065536.tail"),
	} {
		disk, w := newTrail(t), storetest.NewWriter(1)
		s := open(t, disk)
		appendBatches(t, s, w, 3)
		must(t, s.Close())
		must(t, disk.WriteAll(name, nil))
		r := openReader(t, disk)
		use(t, r)
		var rec storage.Record
		must(t, r.Read(t.Context(), 1, &rec))
		must(t, disk.Remove(tailPath(0)))
		use(t, openReader(t, disk))
	}
}

// TestMadeToBusy fills a tail with what looks like the beginnings of commits
// that reach to its end.
func TestMadeToBusy(t *testing.T) {
	t.Parallel()
	disk, w, at := killedTrail(t, newTrail(t), 3, 2)
	tail := readAll(t, disk, tailPath(0))
	const n = 20_000
	for i := range n {
		head := bytes.Clone(tail[at[1] : at[1]+segment.FrameHeaderSize])
		binary.BigEndian.PutUint32(head[4:], uint32((n-i-1)*segment.FrameHeaderSize))
		tail = append(tail, head...)
	}
	must(t, disk.WriteAll(tailPath(0), tail))
	reads := 0
	r, err := filestore.Open(vfstest.Inject(disk, func(op vfstest.Op) vfstest.Fault {
		if op.Kind == vfstest.ReadAt {
			reads++
		}
		return vfstest.None
	}), dir, reading)
	must(t, err)
	use(t, r)
	must(t, r.Close())
	if reads > 5000 {
		t.Errorf("%d reads of a file of %d bytes", reads, len(tail))
	}
	check(t, openReader(t, disk), w, 5, evidence.Torn)
}

// TestFilesAreClosed counts what is opened and closed.
func TestFilesAreClosed(t *testing.T) {
	t.Parallel()
	disk, w := almostFull().fork(1)
	opened := 0 // and not closed; decide is called for one operation at a time
	count := func(fsys vfs.FS) vfs.FS {
		return vfstest.Inject(fsys, func(op vfstest.Op) vfstest.Fault {
			switch op.Kind {
			case vfstest.Create, vfstest.Open, vfstest.OpenWrite, vfstest.Lock:
				_, err := fsys.Size(op.Name)
				if (err == nil) != (op.Kind == vfstest.Create) || op.Kind == vfstest.Lock {
					opened++
				}
			case vfstest.Close:
				opened--
			}
			return vfstest.None
		})
	}
	// One injector, so that one decides at a time.
	fsys := count(disk)
	s := open(t, fsys)
	r := openReader(t, fsys)
	closed := openReader(t, fsys)
	must(t, closed.Close())
	appendBatches(t, s, w, 5, 3)
	must(t, s.AwaitSealing())
	check(t, s, w, w.Size())
	check(t, r, w, w.Size())
	use(t, closed) // opens nothing
	must(t, r.Close())
	must(t, s.Close())
	if opened != 0 {
		t.Errorf("%d files are left open", opened)
	}
	must(t, disk.WriteAll(segmentPath(0), []byte("garbage")))
	wantNoRecover(t, fsys, "garbage")
	r = openReader(t, fsys)
	use(t, r)
	must(t, r.Close())
	if opened != 0 {
		t.Errorf("%d files are left open after damage", opened)
	}
}
