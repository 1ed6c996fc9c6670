package filestore_test

import (
	"bytes"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/custodylog/custody/internal/filestore"
	"github.com/custodylog/custody/internal/index"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/storage"
	"github.com/custodylog/custody/internal/storage/storetest"
	"github.com/custodylog/custody/internal/testlong"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

// keySum is the sum over the keys of the entries [from, to).
func keySum(w *storetest.Writer, from, to uint64) (sum storage.KeySum) {
	for i := from; i < to; i++ {
		for _, k := range w.Entry(i).Keys {
			sum.Add(k, i)
		}
		sum.Count([]byte(w.Entry(i).Type), w.Entry(i).Time, 1)
	}
	return sum
}

// lyingIndex returns the index of the first segment as somebody would make it
// who wants an entry not to be found.
func lyingIndex(t *testing.T, b base, hidden uint64) []byte {
	t.Helper()
	raw := readAll(t, b.disk, segmentPath(0))
	seg, err := segment.OpenSealed(bytes.NewReader(raw), int64(len(raw)))
	must(t, err)
	m := index.NewMemory()
	for i := range uint64(storetest.Boundary) {
		it := b.w.Entry(i)
		keys := it.Keys
		if i == hidden {
			keys = nil
		}
		m.Add(it.Time, it.Type, keys)
	}
	return m.Seal(0, seg.Root)
}

// TestIndexBuiltAgain harms the search index of a segment in every way. It is
// derived: a writer replaces it, a reader makes its own, and both find
// everything.
func TestIndexBuiltAgain(t *testing.T) {
	t.Parallel()
	b := twoSegments()
	whole := readAll(t, b.disk, indexPath(0))
	flip := func(at int) []byte {
		c := bytes.Clone(whole)
		c[at] ^= 1
		return c
	}
	sum := keySum(b.w, 0, storetest.Boundary)
	for _, tc := range []struct {
		name  string
		index []byte // nil: missing
		read  bool   // by a reader as well, which costs as much again
		says  string // what CheckIndex then says
	}{
		{"missing", nil, true, ""},
		{"empty", []byte{}, false, ""},
		{"garbage", bytes.Repeat([]byte("garbage "), 5000), true, "does not start"},
		{"cut", whole[:len(whole)/2], false, ""},
		{"header", flip(20), false, ""},
		{"a page in the middle", flip(len(whole) / 3), true, "checksum of index page"},
		{"another segment's", readAll(t, b.disk, indexPath(1)), true, "other entries"},
	} {
		if !testlong.All() && tc.name != "a page in the middle" {
			continue // each takes seconds
		}
		t.Run(tc.name, func(t *testing.T) {
			disk := b.disk.Clone()
			if tc.index == nil {
				must(t, disk.Remove(indexPath(0)))
			} else {
				must(t, disk.WriteAll(indexPath(0), tc.index))
			}
			if tc.read {
				r := openReader(t, disk)
				part := storage.Part{First: 0, Count: storetest.Boundary, Name: "part"}
				if wrong, err := r.CheckIndex(t.Context(), part, &sum); err != nil || !strings.Contains(wrong, tc.says) || (wrong == "") != (tc.says == "") {
					t.Errorf("CheckIndex says %q (%v), want %q", wrong, err, tc.says)
				}
				wantAllFound(t, r, b.w)
				if after, err := disk.ReadAll(indexPath(0)); !bytes.Equal(after, tc.index) {
					t.Errorf("a reader changed the index (%v)", err)
				}
				must(t, r.Close())
			}

			var problems problems
			s, err := filestore.Open(disk, dir, filestore.Options{Extract: storetest.Extract, OnProblem: problems.add})
			must(t, err)
			wantAllFound(t, s, b.w)
			must(t, s.Close())
			if (problems.count.Load() > 0) != (tc.index != nil) {
				t.Errorf("%d problems were told of: %v", problems.count.Load(), problems.last())
			}
			if err := problems.last(); tc.index != nil && !strings.Contains(err.Error(), path.Base(indexPath(0))) {
				t.Errorf("what was told does not name the file: %v", err)
			}
			if !bytes.Equal(readAll(t, disk, indexPath(0)), whole) {
				t.Error("the index that was built again is another one")
			}
		})
	}
}

// wantAllFound looks for some entries of every part, and for every type.
func wantAllFound(t *testing.T, s *filestore.Store, w *storetest.Writer) {
	t.Helper()
	for i := uint64(0); i < w.Size(); i += 1009 {
		wantFound(t, s, w, i)
	}
}

// TestIndexThatLies has an index that is well made, but not of what the entries
// hold.
func TestIndexThatLies(t *testing.T) {
	t.Parallel()
	b := twoSegments()
	disk := b.disk.Clone()
	must(t, disk.WriteAll(indexPath(0), lyingIndex(t, b, 4711)))
	for _, s := range []*filestore.Store{openReader(t, disk), open(t, disk)} {
		sum := keySum(b.w, 0, storetest.Boundary)
		wrong, err := s.CheckIndex(t.Context(), storage.Part{First: 0, Count: storetest.Boundary}, &sum)
		if err != nil || !strings.Contains(wrong, "does not list") {
			t.Errorf("CheckIndex says %q (%v)", wrong, err)
		}
	}
	// Another one is made once it is gone.
	must(t, disk.Remove(indexPath(0)))
	wantFound(t, openReader(t, disk), b.w, 4711)
}

// TestIndexBrokenWhileInUse breaks an index that many use.
func TestIndexBrokenWhileInUse(t *testing.T) {
	t.Parallel()
	b := twoSegments()
	disk := b.disk.Clone()
	s := open(t, disk)
	wantFound(t, s, b.w, 1)
	breakPages(t, disk)
	var users sync.WaitGroup
	for n := range 8 {
		users.Add(1)
		go func() {
			defer users.Done()
			for i := uint64(n); i < storetest.Boundary; i += 97 {
				keys := b.w.Entry(i).Keys
				if found, err := s.Lookup(nil, keys[len(keys)-1], 0); err != nil || !slices.Contains(found, i) {
					t.Errorf("entry %d: %v", i, err)
					return
				}
			}
		}()
	}
	users.Wait()
}

// breakPages alters every other page of the first segment's index.
func breakPages(t *testing.T, disk *vfstest.Mem) {
	t.Helper()
	b := readAll(t, disk, indexPath(0))
	for page := 1; page < len(b)/4096; page += 2 {
		b[page*4096+7] ^= 1
	}
	must(t, disk.WriteAll(indexPath(0), b))
}

// TestIndexReplacedWhileRead replaces an index between two reads of a lookup.
func TestIndexReplacedWhileRead(t *testing.T) {
	t.Parallel()
	b := twoSegments()
	disk := b.disk.Clone()
	var meanwhile atomic.Pointer[func()]
	s := open(t, &indexHook{disk, func() {
		if do := meanwhile.Swap(nil); do != nil {
			(*do)()
		}
	}})
	wantFound(t, s, b.w, 1)
	breakPages(t, disk)
	lookups := func() {
		for i := uint64(0); i < storetest.Boundary; i += 97 {
			if _, err := s.Lookup(nil, b.w.Entry(i).Keys[0], 0); err != nil {
				t.Errorf("entry %d: %v", i, err)
			}
		}
	}
	meanwhile.Store(&lookups)
	wantFound(t, s, b.w, 2)
	if meanwhile.Load() != nil {
		t.Error("the index was not read")
	}
}

// indexHook is a file system that calls a function before it reads from an index.
type indexHook struct {
	vfs.FS
	before func()
}

func (h *indexHook) Open(name string) (vfs.File, error) {
	f, err := h.FS.Open(name)
	if err == nil && strings.HasSuffix(name, ".index") {
		f = &hookedFile{f, h}
	}
	return f, err
}

type hookedFile struct {
	vfs.File
	hook *indexHook
}

func (f *hookedFile) ReadAt(b []byte, at int64) (int, error) {
	f.hook.before()
	return f.File.ReadAt(b, at)
}

// TestIndexCannotBeKept has a disk that takes no index any more.
func TestIndexCannotBeKept(t *testing.T) {
	t.Parallel()
	b := twoSegments()
	disk := b.disk.Clone()
	must(t, disk.Remove(indexPath(0)))
	var problems problems
	s, err := filestore.Open(vfstest.Inject(disk, func(op vfstest.Op) vfstest.Fault {
		if op.Kind == vfstest.Create && strings.Contains(op.Name, "index") {
			return vfstest.Fail
		}
		return vfstest.None
	}), dir, filestore.Options{Extract: storetest.Extract, OnProblem: problems.add})
	must(t, err)
	wantAllFound(t, s, b.w)
	must(t, s.Close())
	wantError(t, problems.last(), vfstest.ErrInjected)
}
