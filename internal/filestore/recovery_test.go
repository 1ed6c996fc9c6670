package filestore_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/filestore"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/storage"
	"github.com/custodylog/custody/internal/storage/storetest"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

// killedTrail returns a trail of batches of the sizes given, as a writer leaves
// it that is killed, and where each commit begins in the tail, and the last one
// ends.
func killedTrail(t *testing.T, disk *vfstest.Mem, sizes ...int) (*vfstest.Mem, *storetest.Writer, []int) {
	t.Helper()
	w := storetest.NewWriter(1)
	s := open(t, disk)
	at := []int{segment.TailHeaderSize}
	for _, n := range sizes {
		b := w.Batch(n)
		must(t, s.Append(b))
		frame, _, err := segment.AppendFrame(nil, segment.Nonce{}, b, nil)
		must(t, err)
		at = append(at, at[len(at)-1]+len(frame))
	}
	return disk.Clone(), w, at
}

func readAll(t *testing.T, disk *vfstest.Mem, name string) []byte {
	t.Helper()
	b, err := disk.ReadAll(name)
	must(t, err)
	return b
}

// TestTornCommit leaves of the last commit, which nobody was told of, what a
// crash may leave.
func TestTornCommit(t *testing.T) {
	t.Parallel()
	fresh, w, at := killedTrail(t, newTrail(t), 3, 2, 1)
	used := newTrail(t)
	plantSpare(t, used, newRand(t))
	recycled, _, _ := killedTrail(t, used, 3, 2, 1)
	start, end := at[2], at[3]
	for _, tc := range []struct {
		name string
		step int
		tear func(tail []byte, n int) []byte // what is left when n bytes of the commit were written
	}{
		{"the end is missing", 1, func(tail []byte, n int) []byte { return tail[:start+n] }},
		{"the end is zeros", 11, func(tail []byte, n int) []byte { clear(tail[start+n : end]); return tail }},
		{"the beginning is zeros", 11, func(tail []byte, n int) []byte { clear(tail[start : end-n]); return tail }},
		{"one byte is wrong", 11, func(tail []byte, n int) []byte { tail[end-1-n] ^= 0xff; return tail }},
	} {
		for name, disk := range map[string]*vfstest.Mem{"new file": fresh, "used file": recycled} {
			t.Run(tc.name+", "+name, func(t *testing.T) {
				step := tc.step
				if name == "used file" {
					step = 11
				}
				for n := 0; n < end-start; n += step {
					disk := disk.Clone()
					torn := tc.tear(readAll(t, disk, tailPath(0)), n)
					must(t, disk.WriteAll(tailPath(0), torn))
					check(t, openReader(t, disk), w, 5, evidence.Torn)

					s := open(t, disk)
					check(t, s, w, 5)
					got := s.Recovery()
					if want := (filestore.Recovery{Size: 5, Bytes: int64(len(torn) - start), File: got.File}); got != (filestore.Recovery{}) && got != want {
						t.Fatalf("%d bytes of the commit: recovery %+v, want nothing or %+v", n, got, want)
					}
					// Whatever follows the commits is no commit that was torn only
					// if its beginning is not there.
					if name == "new file" && tc.name == "the end is missing" && (got.Bytes > 0) != (n > 0) {
						t.Fatalf("%d bytes of the commit: recovery %+v", n, got)
					}
					if size, err := disk.Size(tailPath(0)); got.Bytes > 0 && (err != nil || size != int64(start)) {
						t.Fatalf("%d bytes of the commit: %d bytes are left (%v), want %d", n, size, err, start)
					}
					next := w.Fork(5, 2)
					appendBatches(t, s, next, 1)
					must(t, s.Close())
					if s = open(t, disk); s.Recovery() != (filestore.Recovery{}) {
						t.Fatalf("%d bytes of the commit: opened again, recovery %+v", n, s.Recovery())
					}
					check(t, s, next, 6)
					must(t, s.Close())
				}
			})
		}
	}
}

// TestBehindTheEnd puts something behind the last commit that no crash would
// leave, but that an earlier use of the disk may.
func TestBehindTheEnd(t *testing.T) {
	t.Parallel()
	disk, w, at := killedTrail(t, newTrail(t), 3, 2)
	tail := readAll(t, disk, tailPath(0))
	other := newTrail(t)
	plantSpare(t, other, newRand(t))
	frames := readAll(t, other, sparePath)[segment.TailHeaderSize:]
	for name, garbage := range map[string][]byte{
		"zeros":               make([]byte, 5000),
		"a few zeros":         make([]byte, 3),
		"text":                []byte(strings.Repeat("to be or not to be ", 100)),
		"a few bytes":         []byte("x"),
		"commits of another":  frames,
		"a part of one":       frames[100:3000],
		"a header of a tail":  tail[:segment.TailHeaderSize],
		"the nonce":           bytes.Repeat(tail[24:40], 20),
		"the middle of one":   tail[at[1]+10 : at[2]],
		"the beginning twice": slices.Concat(tail[at[0]:at[0]+60], tail[at[1]:at[1]+60]),
	} {
		t.Run(name, func(t *testing.T) {
			disk := disk.Clone()
			must(t, disk.WriteAll(tailPath(0), slices.Concat(tail, garbage)))
			check(t, openReader(t, disk), w, 5, evidence.Torn)
			s := open(t, disk)
			check(t, s, w, 5)
			next := w.Fork(5, 1)
			appendBatches(t, s, next, 1, 1, 1)
			must(t, s.Close())
			check(t, open(t, disk), next, 8)
		})
	}
}

// TestDamageIsNotRecovered alters each byte of the commits before the last one.
// No crash does that, so the trail must not be opened for writing, and least of
// all be cut back.
func TestDamageIsNotRecovered(t *testing.T) {
	t.Parallel()
	disk, _, at := killedTrail(t, newTrail(t), 1, 1, 1)
	whole := readAll(t, disk, tailPath(0))
	for i := range at[2] {
		altered := bytes.Clone(whole)
		altered[i] ^= 0x20
		if i == len("custody tail v") {
			continue // the version: another one than 1 is TestNewerFormat's
		}
		disk := disk.Clone()
		must(t, disk.WriteAll(tailPath(0), altered))
		wantNoRecover(t, disk, fmt.Sprintf("byte %d", i))
		if !bytes.Equal(readAll(t, disk, tailPath(0)), altered) {
			t.Fatalf("byte %d: the file was changed", i)
		}
		if i%10 == 0 {
			use(t, openReader(t, disk))
		}
	}
}

func wantNoRecover(t *testing.T, fsys vfs.FS, what string) {
	t.Helper()
	s, err := filestore.Open(fsys, dir, writing)
	if err == nil {
		s.Close()
	}
	if !errors.Is(err, storage.ErrNoRecover) || errors.Is(err, storage.ErrNewer) {
		t.Errorf("%s: open for writing gives %v, want ErrNoRecover", what, err)
	}
	lock, err := fsys.Lock(path.Join(dir, "lock"), "")
	if err != nil {
		t.Fatalf("%s: the trail stays locked: %v", what, err)
	}
	must(t, lock.Close())
}

// TestNoRecover takes away and alters what a crash leaves alone.
func TestNoRecover(t *testing.T) {
	t.Parallel()
	small := newTrail(t)
	{
		s := open(t, small)
		appendBatches(t, s, storetest.NewWriter(1), 3, 2, 2)
		must(t, s.Close())
	}
	large := twoSegments().disk
	// forge replaces the last commit of a trail by one with a right checksum.
	forge := func(change func(b *storage.Batch)) func(*testing.T, *vfstest.Mem) {
		return func(t *testing.T, disk *vfstest.Mem) {
			_, w, at := killedTrail(t, newTrail(t), 3, 2, 2)
			b := w.Replay(2)
			change(b)
			tail := readAll(t, disk, tailPath(0))
			h, err := segment.ParseTailHeader(tail)
			must(t, err)
			frame, _, err := segment.AppendFrame(nil, h.Nonce, b, nil)
			must(t, err)
			must(t, disk.WriteAll(tailPath(0), append(tail[:at[2]], frame...)))
		}
	}
	remove := func(name string) func(*testing.T, *vfstest.Mem) {
		return func(t *testing.T, disk *vfstest.Mem) { must(t, disk.Remove(name)) }
	}
	write := func(name, content string) func(*testing.T, *vfstest.Mem) {
		return func(t *testing.T, disk *vfstest.Mem) { must(t, disk.WriteAll(name, []byte(content))) }
	}
	cut := func(name string, by int) func(*testing.T, *vfstest.Mem) {
		return func(t *testing.T, disk *vfstest.Mem) {
			b := readAll(t, disk, name)
			must(t, disk.WriteAll(name, b[:len(b)-by]))
		}
	}
	flip := func(name string, fromEnd int) func(*testing.T, *vfstest.Mem) {
		return func(t *testing.T, disk *vfstest.Mem) {
			b := readAll(t, disk, name)
			b[len(b)-fromEnd] ^= 1
			must(t, disk.WriteAll(name, b))
		}
	}
	checkpoint := path.Join(dir, "checkpoint")
	for _, tc := range []struct {
		name  string
		disk  *vfstest.Mem
		harm  func(*testing.T, *vfstest.Mem)
		names string // what the error has to name
	}{
		{"the end of the last commit is gone", small, cut(tailPath(0), 1), "only 5 are here"},
		{"the tail is empty", small, write(tailPath(0), ""), "tail"},
		{"the tail is garbage", small, write(tailPath(0), strings.Repeat("garbage", 100)), "tail"},
		{"the tail is gone", small, remove(tailPath(0)), "covers 7 entries"},
		{"the tail of another index", small, func(t *testing.T, disk *vfstest.Mem) { must(t, disk.Rename(tailPath(0), tailPath(1))) }, "from index 0 on"},
		{"the checkpoint is garbage", small, write(checkpoint, "garbage"), "checkpoint"},
		{"the checkpoint is empty", small, write(checkpoint, ""), "checkpoint"},
		{"the checkpoint is too long", small, write(checkpoint, strings.Repeat("x", 1<<20)), "checkpoint"},
		{"the checkpoint of another trail", small, func(t *testing.T, disk *vfstest.Mem) {
			w := storetest.NewWriter(2)
			w.Batch(7)
			must(t, disk.WriteAll(checkpoint, w.Commits()[0].Checkpoint))
		}, "another root"},
		{"trail.json is garbage", small, write(path.Join(dir, "trail.json"), "garbage"), "trail.json"},
		{"trail.json says nothing", small, write(path.Join(dir, "trail.json"), "{}"), "trail.json"},
		{"a commit that overlaps the one before", small, forge(func(b *storage.Batch) { b.First-- }), "index 4 instead of 5"},
		{"a commit that leaves a gap", small, forge(func(b *storage.Batch) { b.First++ }), "index 6 instead of 5"},
		{"a commit of no entries", small, forge(func(b *storage.Batch) { b.Items = nil }), "no entries"},
		{"an entry that is none", small, forge(func(b *storage.Batch) { b.Items[1].Entry = []byte("{}") }), "canonical"},
		{"an entry in the place of another", small, forge(func(b *storage.Batch) { b.Items[0] = b.Items[1] }), "entry 6"},
		{"a checkpoint of another size", small, forge(func(b *storage.Batch) { b.Checkpoint = storetest.NewWriter(1).Batch(3).Checkpoint }), "checkpoint"},
		{"a checkpoint that is none", small, forge(func(b *storage.Batch) { b.Checkpoint = []byte("none") }), "checkpoint"},

		{"a segment is gone", large, remove(segmentPath(0)), "missing"},
		{"a segment is empty", large, write(segmentPath(0), ""), "segment"},
		{"the footer of a segment", large, flip(segmentPath(0), 200), "segment"},
		{"the trailer of a segment", large, flip(segmentPath(0), 1), "segment"},
		{"the end of a segment", large, cut(segmentPath(0), 100), "segment"},
		{"the segment of another index", large, func(t *testing.T, disk *vfstest.Mem) { must(t, disk.Rename(segmentPath(0), segmentPath(1))) }, "missing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			disk := tc.disk.Clone()
			tc.harm(t, disk)
			wantNoRecover(t, disk, tc.name)
			_, err := filestore.Open(disk, dir, writing)
			if err == nil || !strings.Contains(err.Error(), tc.names) {
				t.Errorf("the error does not say %q: %v", tc.names, err)
			}
		})
	}
}

// TestNewerFormat has files that say a version which does not exist yet. That
// is no damage, and nothing of it may be changed.
func TestNewerFormat(t *testing.T) {
	t.Parallel()
	version := func(name string) func(*testing.T, *vfstest.Mem) {
		return func(t *testing.T, disk *vfstest.Mem) {
			b := readAll(t, disk, name)
			must(t, disk.WriteAll(name, bytes.Replace(b, []byte(" v1\n"), []byte(" v2\n"), 1)))
		}
	}
	for _, tc := range []struct {
		name  string
		newer func(*testing.T, *vfstest.Mem)
	}{
		{"tail", version(tailPath(2))},
		{"segment", version(segmentPath(0))},
		{"trail.json", func(t *testing.T, disk *vfstest.Mem) {
			b, err := json.Marshal(map[string]any{"format": 2, "origin": meta.Origin, "key": meta.Key, "more": true})
			must(t, err)
			must(t, disk.WriteAll(path.Join(dir, "trail.json"), b))
		}},
		{"entry", func(t *testing.T, disk *vfstest.Mem) {
			tail := readAll(t, disk, tailPath(2))
			h, err := segment.ParseTailHeader(tail)
			must(t, err)
			b := twoSegments().w.Fork(twoSegments().w.Size(), 1).Batch(2)
			b.Items[1].Entry = bytes.Replace(b.Items[1].Entry, []byte(`"v":1}`), []byte(`"v":2}`), 1)
			tail, _, err = segment.AppendFrame(tail, h.Nonce, b, nil)
			must(t, err)
			must(t, disk.WriteAll(tailPath(2), tail))
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			disk := twoSegments().disk.Clone()
			tc.newer(t, disk)
			before := content(t, disk)
			_, err := filestore.Open(disk, dir, writing)
			if wantError(t, err, storage.ErrNewer); errors.Is(err, storage.ErrNoRecover) || errors.Is(err, storage.ErrAltered) {
				t.Errorf("what a newer version wrote is called damaged: %v", err)
			}
			if after := content(t, disk); after != before {
				t.Error("files were changed")
			}
		})
	}
}

// content returns what a trail's files hold, but for the lock.
func content(t *testing.T, disk *vfstest.Mem) string {
	var s strings.Builder
	for _, sub := range []string{dir, path.Join(dir, "tail"), path.Join(dir, "segments")} {
		names, err := disk.List(sub)
		must(t, err)
		for _, name := range names {
			if b, err := disk.ReadAll(path.Join(sub, name)); err == nil && name != "lock" {
				fmt.Fprintf(&s, "%s %x\n", name, evidence.LeafHash(b))
			}
		}
	}
	return s.String()
}

// TestNewerIndex: a search index that a newer version wrote is left alone, and
// another one serves meanwhile.
func TestNewerIndex(t *testing.T) {
	t.Parallel()
	disk, w := twoSegments().fork(1)
	b := bytes.Replace(readAll(t, disk, indexPath(0)), []byte(" v1\n"), []byte(" v2\n"), 1)
	must(t, disk.WriteAll(indexPath(0), b))
	s := open(t, disk)
	wantFound(t, s, w, 100)
	must(t, s.Close())
	if !bytes.Equal(readAll(t, disk, indexPath(0)), b) {
		t.Error("the index of a newer version was replaced")
	}
}

// wantFound checks that an entry is found by its keys.
func wantFound(t *testing.T, s *filestore.Store, w *storetest.Writer, i uint64) {
	t.Helper()
	for _, k := range w.Entry(i).Keys {
		if found, err := s.Lookup(nil, k, 0); err != nil || !slices.Contains(found, i) {
			t.Fatalf("entry %d is not found (%v)", i, err)
		}
	}
}

// TestTwoWriters opens a trail for writing twice.
func TestTwoWriters(t *testing.T) {
	t.Parallel()
	disk, w := newTrail(t), storetest.NewWriter(1)
	s := open(t, disk)
	appendBatches(t, s, w, 2)
	_, err := filestore.Open(disk, dir, writing)
	var locked *vfs.LockedError
	if !errors.As(err, &locked) || !strings.HasPrefix(locked.Holder, "process ") {
		t.Fatalf("a second writer gets %v, want a LockedError that names the process", err)
	}
	check(t, openReader(t, disk), w, 2)
	appendBatches(t, s, w, 2)
	check(t, s, w, 4)
	must(t, s.Close())
	s = open(t, disk)
	appendBatches(t, s, w, 2)
	check(t, s, w, 6)
}

// TestDurable checks that what Append acknowledges, and all that it rests on, is
// on the disk.
func TestDurable(t *testing.T) {
	t.Parallel()
	clean := func(disk *vfstest.Mem, tail int) {
		t.Helper()
		names := []string{dir, path.Join(dir, "tail"), path.Join(dir, "trail.json"), tailPath(tail)}
		if tail == 0 { // later, the sealing has files in there that it has not finished
			names = append(names, path.Join(dir, "segments"))
		}
		for _, name := range names {
			if disk.Dirty(name) {
				t.Errorf("%s could still be lost", name)
			}
		}
	}
	disk, w := newTrail(t), storetest.NewWriter(1)
	s := open(t, disk)
	for _, n := range []int{1, 1, 5, 200} {
		appendBatches(t, s, w, n)
		clean(disk, 0)
	}
	disk, w = almostFull().fork(1)
	s = open(t, disk)
	for n := range 3 {
		appendBatches(t, s, w, 5)
		clean(disk, min(n, 1))
	}
	must(t, s.AwaitSealing())
	if disk.Dirty(segmentPath(0)) || disk.Dirty(path.Join(dir, "segments")) {
		t.Error("the tail was given up while its segment could still be lost")
	}
}

// TestCopyWithoutEmptyDirectories opens what a tool made that copies only files.
func TestCopyWithoutEmptyDirectories(t *testing.T) {
	t.Parallel()
	disk, w := almostFull().fork(1)
	must(t, disk.Remove(path.Join(dir, "segments")))
	r := openReader(t, disk)
	check(t, r, w, w.Size())
	if n, err := r.Bytes(); n == 0 || err != nil {
		t.Errorf("it takes %d bytes (%v)", n, err)
	}
	s := open(t, disk)
	appendBatches(t, s, w, 5, 1)
	must(t, s.AwaitSealing())
	check(t, s, w, w.Size())

	disk = newTrail(t)
	must(t, disk.Remove(path.Join(dir, "segments")))
	must(t, disk.Remove(path.Join(dir, "tail")))
	w = storetest.NewWriter(1)
	s = open(t, disk)
	appendBatches(t, s, w, 5, 1)
	check(t, s, w, w.Size())
}

// TestLeftovers leaves unfinished files of every kind.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	disk, w := twoSegments().fork(1)
	for _, name := range []string{tailPath(3), segmentPath(2), indexPath(1), indexPath(0), path.Join(dir, "checkpoint")} {
		must(t, disk.WriteAll(name+vfs.TempSuffix, []byte("half")))
	}
	// The tail of a segment that was sealed just before the crash.
	must(t, disk.WriteAll(tailPath(1), readAll(t, recycling().disk, tailPath(1))))
	check(t, openReader(t, disk), w, w.Size())
	s := open(t, disk)
	check(t, s, w, w.Size())
	appendBatches(t, s, w, 5, 1)
	must(t, s.Close())
	for _, sub := range []string{"tail", "segments", ""} {
		names, err := disk.List(path.Join(dir, sub))
		must(t, err)
		for _, name := range names {
			if strings.HasSuffix(name, vfs.TempSuffix) || name == path.Base(tailPath(1)) || name == "spare" {
				t.Errorf("%s is left in %q", name, sub)
			}
		}
	}
	check(t, open(t, disk), w, w.Size())
}

// TestCreate makes trails where something is.
func TestCreate(t *testing.T) {
	t.Parallel()
	disk := newTrail(t)
	if err := filestore.Create(disk, dir, meta); err == nil {
		t.Error("a trail is made over another one")
	}
	s := open(t, disk)
	appendBatches(t, s, storetest.NewWriter(1), 1)
	must(t, s.Close())
	must(t, disk.Remove(path.Join(dir, "trail.json")))
	if err := filestore.Create(disk, dir, meta); err == nil {
		t.Error("a trail is made over the entries of another one")
	}
	_, err := filestore.Open(vfstest.NewMem(), dir, writing)
	wantError(t, err, storage.ErrNotFound)
	_, err = filestore.Open(vfstest.NewMem(), dir, reading)
	wantError(t, err, storage.ErrNotFound)
}
