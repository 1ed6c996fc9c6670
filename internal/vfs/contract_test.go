package vfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

// contract holds what every FS must do. Each case gets an empty directory.
var contract = []struct {
	name string
	why  string // printed when the case fails
	test func(t *testing.T, fsys vfs.FS, dir string)
}{
	{"create, write, reopen", "what was written is what is read, through any handle", testReopen},
	{"create takes a free name only", "two writers must not get the same file", testCreateExisting},
	{"a missing file", "callers branch on fs.ErrNotExist, and people need the name", testMissing},
	{"a file where a directory should be", "a wrong path must not be taken for a missing file and made anew", testNotDirectory},
	{"reading at the end", "io.ReaderAt: fewer bytes than asked for come with an error", testReadEnd},
	{"writing behind the end", "a gap reads as zeros", testGap},
	{"opened for reading", "only OpenWrite allows changes", testReadOnly},
	{"truncate", "what was cut off is gone, also when the file grows again", testTruncate},
	{"allocate", "reserving room changes neither length nor content", testAllocate},
	{"rename", "the target becomes the source, and the old name is free", testRename},
	{"remove", "the name is free", testRemove},
	{"list", "the names in the directory itself, sorted", testList},
	{"make directories", "making one that exists is fine", testMkdirAll},
	{"after close", "a handle that is used too long must say so", testClosed},
	{"lock", "one holder at a time, and the other is told who", testLock},
	{"free space", "free is part of total", testFree},
	{"read while another goroutine writes", "readers follow the writer without a lock of their own", testConcurrent},
}

func TestContract(t *testing.T) {
	none := func(vfstest.Op) vfstest.Fault { return vfstest.None }
	for _, impl := range []struct {
		name string
		open func(t *testing.T) (fsys vfs.FS, dir string)
	}{
		{"OS", func(t *testing.T) (vfs.FS, string) { return vfs.OS{}, t.TempDir() }},
		{"Mem", func(t *testing.T) (vfs.FS, string) { return newMem(t, "/some/dir"), "/some/dir" }},
		{"Mem, relative names", func(t *testing.T) (vfs.FS, string) { return newMem(t, "dir"), "dir" }},
		{"Clone of Mem", func(t *testing.T) (vfs.FS, string) { return newMem(t, "/dir").Clone(), "/dir" }},
		{"CrashClone of Mem", func(t *testing.T) (vfs.FS, string) { return newMem(t, "/dir").CrashClone(nil), "/dir" }},
		{"Inject, no faults", func(t *testing.T) (vfs.FS, string) { return vfstest.Inject(vfs.OS{}, none), t.TempDir() }},
	} {
		t.Run(impl.name, func(t *testing.T) {
			for _, c := range contract {
				t.Run(c.name, func(t *testing.T) {
					t.Cleanup(func() {
						if t.Failed() {
							t.Logf("the contract: %s", c.why)
						}
					})
					fsys, dir := impl.open(t)
					c.test(t, fsys, dir)
				})
			}
		})
	}
}

func testReopen(t *testing.T, fsys vfs.FS, dir string) {
	name := filepath.Join(dir, "a")
	f, err := fsys.Create(name)
	must(t, err)
	n, err := f.WriteAt([]byte("hello"), 0)
	must(t, err)
	if n != 5 {
		t.Errorf("WriteAt = %d, want 5", n)
	}
	_, err = f.WriteAt([]byte("J"), 0)
	must(t, err)
	must(t, f.Sync())
	wantContent(t, fsys, name, "Jello") // while f is open
	must(t, f.Close())

	w, err := fsys.OpenWrite(name)
	must(t, err)
	_, err = w.WriteAt([]byte("!"), 5)
	must(t, err)
	size, err := w.Size()
	must(t, err)
	if size != 6 {
		t.Errorf("Size of the open file = %d, want 6", size)
	}
	must(t, w.Close())
	if size, err = fsys.Size(name); err != nil || size != 6 {
		t.Errorf("Size = %d, %v, want 6", size, err)
	}
	wantContent(t, fsys, name, "Jello!")
}

func testCreateExisting(t *testing.T, fsys vfs.FS, dir string) {
	name := filepath.Join(dir, "a")
	write(t, fsys, name, "first")
	_, err := fsys.Create(name)
	wantError(t, "Create", err, fs.ErrExist, name)
	wantContent(t, fsys, name, "first")
}

func testMissing(t *testing.T, fsys vfs.FS, dir string) {
	missing := filepath.Join(dir, "missing")
	for op, do := range map[string]func(name string) error{
		"Open":      func(name string) error { _, err := fsys.Open(name); return err },
		"OpenWrite": func(name string) error { _, err := fsys.OpenWrite(name); return err },
		"Create":    func(name string) error { _, err := fsys.Create(filepath.Join(name, "a")); return err },
		"Rename":    func(name string) error { return fsys.Rename(name, filepath.Join(dir, "b")) },
		"Remove":    fsys.Remove,
		"Size":      func(name string) error { _, err := fsys.Size(name); return err },
		"List":      func(name string) error { _, err := fsys.List(name); return err },
		"SyncDir":   fsys.SyncDir,
		"Lock":      func(name string) error { _, err := fsys.Lock(filepath.Join(name, "lock"), "x"); return err },
		"Free":      func(name string) error { _, _, err := fsys.Free(name); return err },
	} {
		wantError(t, op, do(missing), fs.ErrNotExist, missing)
	}
	if names, err := fsys.List(dir); err != nil || len(names) > 0 {
		t.Errorf("after all that failed the directory holds %q, %v", names, err)
	}
}

func testNotDirectory(t *testing.T, fsys vfs.FS, dir string) {
	file := filepath.Join(dir, "a")
	write(t, fsys, file, "content")
	below := filepath.Join(file, "b")
	for op, do := range map[string]func() error{
		"Create":                      func() error { _, err := fsys.Create(below); return err },
		"Open":                        func() error { _, err := fsys.Open(below); return err },
		"Lock":                        func() error { _, err := fsys.Lock(below, "x"); return err },
		"List":                        func() error { _, err := fsys.List(file); return err },
		"MkdirAll":                    func() error { return fsys.MkdirAll(below) },
		"MkdirAll of the file itself": func() error { return fsys.MkdirAll(file) },
	} {
		if err := do(); err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s = %v, want an error that names %s and is not fs.ErrNotExist", op, err, file)
		}
	}
	wantContent(t, fsys, file, "content")
}

func testReadEnd(t *testing.T, fsys vfs.FS, dir string) {
	name := filepath.Join(dir, "a")
	write(t, fsys, name, "0123456789")
	f, err := fsys.Open(name)
	must(t, err)
	defer f.Close()
	for _, tc := range []struct {
		off  int64
		n    int
		want string
		err  error
	}{
		{0, 10, "0123456789", nil},
		{4, 3, "456", nil},
		{4, 6, "456789", nil},
		{4, 7, "456789", io.EOF},
		{10, 1, "", io.EOF},
		{11, 1, "", io.EOF},
		{1 << 40, 1, "", io.EOF},
		{10, 0, "", nil},
		{99, 0, "", nil},
	} {
		b := make([]byte, tc.n)
		n, err := f.ReadAt(b, tc.off)
		if string(b[:n]) != tc.want || err != tc.err {
			t.Errorf("ReadAt(%d bytes, %d) = %q, %v, want %q, %v", tc.n, tc.off, b[:n], err, tc.want, tc.err)
		}
	}
	if _, err := f.ReadAt(make([]byte, 1), -1); err == nil || err == io.EOF {
		t.Errorf("ReadAt of a negative offset = %v, want an error that is not io.EOF", err)
	}
}

func testGap(t *testing.T, fsys vfs.FS, dir string) {
	name := filepath.Join(dir, "a")
	f, err := fsys.Create(name)
	must(t, err)
	_, err = f.WriteAt([]byte("ab"), 0)
	must(t, err)
	_, err = f.WriteAt([]byte("z"), 5)
	must(t, err)
	n, err := f.WriteAt(nil, 100) // changes nothing
	if n != 0 || err != nil {
		t.Errorf("WriteAt of nothing = %d, %v", n, err)
	}
	if _, err := f.WriteAt([]byte("x"), -1); err == nil {
		t.Error("WriteAt took a negative offset")
	}
	must(t, f.Close())
	wantContent(t, fsys, name, "ab\x00\x00\x00z")
}

func testReadOnly(t *testing.T, fsys vfs.FS, dir string) {
	name := filepath.Join(dir, "a")
	write(t, fsys, name, "content")
	f, err := fsys.Open(name)
	must(t, err)
	_, err = f.WriteAt([]byte("x"), 0)
	wantError(t, "WriteAt", err, nil, name)
	wantError(t, "Truncate", f.Truncate(0), nil, name)
	must(t, f.Close())
	wantContent(t, fsys, name, "content")
}

func testTruncate(t *testing.T, fsys vfs.FS, dir string) {
	name := filepath.Join(dir, "a")
	write(t, fsys, name, "0123456789")
	f, err := fsys.OpenWrite(name)
	must(t, err)
	must(t, f.Truncate(3))
	wantContent(t, fsys, name, "012")
	must(t, f.Truncate(5))
	wantContent(t, fsys, name, "012\x00\x00")
	must(t, f.Truncate(1))
	_, err = f.WriteAt([]byte("z"), 3)
	must(t, err)
	wantContent(t, fsys, name, "0\x00\x00z")
	wantError(t, "Truncate(-1)", f.Truncate(-1), nil, name)
	must(t, f.Truncate(0))
	must(t, f.Sync())
	must(t, f.Close())
	wantContent(t, fsys, name, "")
}

func testAllocate(t *testing.T, fsys vfs.FS, dir string) {
	name := filepath.Join(dir, "a")
	f, err := fsys.Create(name)
	must(t, err)
	_, err = f.WriteAt([]byte("content"), 0)
	must(t, err)
	for _, size := range []int64{1 << 20, 10, 0} {
		must(t, f.Allocate(size))
		wantContent(t, fsys, name, "content")
	}
	_, err = f.WriteAt([]byte("!"), 7)
	must(t, err)
	must(t, f.Close())
	wantContent(t, fsys, name, "content!")
}

func testRename(t *testing.T, fsys vfs.FS, dir string) {
	a, b, sub := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "sub")
	write(t, fsys, a, "A")
	must(t, fsys.Rename(a, b))
	wantNames(t, fsys, dir, "b")
	wantContent(t, fsys, b, "A")

	write(t, fsys, a, "A2")
	must(t, fsys.Rename(a, b)) // replaces
	wantNames(t, fsys, dir, "b")
	wantContent(t, fsys, b, "A2")

	must(t, fsys.Rename(b, b)) // changes nothing
	wantContent(t, fsys, b, "A2")

	must(t, fsys.MkdirAll(sub))
	wantError(t, "Rename over a directory", fsys.Rename(b, sub), nil, sub)
	must(t, fsys.Rename(b, filepath.Join(sub, "c")))
	wantNames(t, fsys, dir, "sub")
	wantContent(t, fsys, filepath.Join(sub, "c"), "A2")
	must(t, fsys.SyncDir(dir))
	must(t, fsys.SyncDir(sub))
}

func testRemove(t *testing.T, fsys vfs.FS, dir string) {
	name, full := filepath.Join(dir, "a"), filepath.Join(dir, "full")
	write(t, fsys, name, "old")
	must(t, fsys.Remove(name))
	wantNames(t, fsys, dir)
	write(t, fsys, name, "new")
	wantContent(t, fsys, name, "new")

	must(t, fsys.MkdirAll(full))
	write(t, fsys, filepath.Join(full, "b"), "content")
	wantError(t, "Remove of a directory with a file", fsys.Remove(full), nil, full)
	must(t, fsys.Remove(filepath.Join(full, "b")))
	must(t, fsys.Remove(full))
	wantNames(t, fsys, dir, "a")
}

func testList(t *testing.T, fsys vfs.FS, dir string) {
	wantNames(t, fsys, dir)
	must(t, fsys.MkdirAll(filepath.Join(dir, "m", "below")))
	for _, name := range []string{"z", "a", "A", "10", "9"} {
		write(t, fsys, filepath.Join(dir, name), "")
	}
	wantNames(t, fsys, dir, "10", "9", "A", "a", "m", "z")
}

func testMkdirAll(t *testing.T, fsys vfs.FS, dir string) {
	deep := filepath.Join(dir, "x", "y", "z")
	must(t, fsys.MkdirAll(deep))
	write(t, fsys, filepath.Join(deep, "a"), "content")
	must(t, fsys.MkdirAll(deep))
	must(t, fsys.MkdirAll(dir))
	wantContent(t, fsys, filepath.Join(dir, "x", ".", "y", "..", "y", "z", "a"), "content")
}

func testClosed(t *testing.T, fsys vfs.FS, dir string) {
	name := filepath.Join(dir, "a")
	f, err := fsys.Create(name)
	must(t, err)
	must(t, f.Close())
	for op, do := range map[string]func() error{
		"ReadAt":   func() error { _, err := f.ReadAt(make([]byte, 1), 0); return err },
		"WriteAt":  func() error { _, err := f.WriteAt([]byte("x"), 0); return err },
		"Sync":     f.Sync,
		"Size":     func() error { _, err := f.Size(); return err },
		"Truncate": func() error { return f.Truncate(0) },
		"Close":    f.Close,
	} {
		wantError(t, op, do(), fs.ErrClosed, name)
	}
}

func testLock(t *testing.T, fsys vfs.FS, dir string) {
	name := filepath.Join(dir, "lock")
	first, err := fsys.Lock(name, "pid 4711 on some-host")
	must(t, err)
	for range 2 {
		_, err = fsys.Lock(name, "the second")
		var locked *vfs.LockedError
		if !errors.As(err, &locked) || locked.Name != name || locked.Holder != "pid 4711 on some-host" {
			t.Fatalf("second Lock = %v, want a *LockedError with name and holder", err)
		}
	}
	must(t, first.Close())
	if err := first.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("second Close = %v, want fs.ErrClosed", err)
	}

	second, err := fsys.Lock(name, "pid 7")
	must(t, err)
	wantContent(t, fsys, name, "pid 7")
	must(t, second.Close())

	other, err := fsys.Lock(filepath.Join(dir, "other"), "")
	must(t, err)
	third, err := fsys.Lock(name, "pid 8")
	must(t, err)
	must(t, other.Close())
	must(t, third.Close())
}

func testFree(t *testing.T, fsys vfs.FS, dir string) {
	free, total, err := fsys.Free(dir)
	must(t, err)
	if free == 0 || total == 0 || free > total {
		t.Errorf("Free = %d of %d", free, total)
	}
}

func testConcurrent(t *testing.T, fsys vfs.FS, dir string) {
	const records, readers = 500, 3
	record := func(i int) []byte { return fmt.Appendf(nil, "record %9d\n", i) }
	length := int64(len(record(0)))
	f, err := fsys.Create(filepath.Join(dir, "a"))
	must(t, err)
	written := make([]chan int, readers) // index of a record that is there
	var wg sync.WaitGroup
	for r := range readers {
		written[r] = make(chan int, records)
		wg.Go(func() {
			b := make([]byte, length)
			for i := range written[r] {
				if _, err := f.ReadAt(b, int64(i)*length); err != nil || !bytes.Equal(b, record(i)) {
					t.Errorf("record %d is %q, %v", i, b, err)
				}
			}
		})
	}
	for i := range records {
		if _, err := f.WriteAt(record(i), int64(i)*length); err != nil {
			t.Error(err)
		}
		for _, w := range written {
			w <- i
		}
	}
	for _, w := range written {
		close(w)
	}
	wg.Wait()
	must(t, f.Close())
}

func newMem(t *testing.T, dir string) *vfstest.Mem {
	t.Helper()
	mem := vfstest.NewMem()
	must(t, mem.MkdirAll(dir))
	for at := dir; at != filepath.Dir(at); at = filepath.Dir(at) {
		must(t, mem.SyncDir(filepath.Dir(at)))
	}
	return mem
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, fsys vfs.FS, name, content string) {
	t.Helper()
	f, err := fsys.Create(name)
	must(t, err)
	_, err = f.WriteAt([]byte(content), 0)
	must(t, err)
	must(t, f.Close())
}

func wantContent(t *testing.T, fsys vfs.FS, name, want string) {
	t.Helper()
	if got, err := vfs.ReadFile(fsys, name, 1<<20); err != nil || string(got) != want {
		t.Errorf("%s holds %q, %v, want %q", name, got, err, want)
	}
}

func wantNames(t *testing.T, fsys vfs.FS, dir string, want ...string) {
	t.Helper()
	if got, err := fsys.List(dir); err != nil || !slices.Equal(got, want) {
		t.Errorf("%s holds %q, %v, want %q", dir, got, err, want)
	}
}

// wantError checks that err wraps target, if there is one, and names the file.
func wantError(t *testing.T, op string, err, target error, name string) {
	t.Helper()
	if err == nil || target != nil && !errors.Is(err, target) || !strings.Contains(err.Error(), name) {
		t.Errorf("%s = %v, want an error that names %s and wraps %v", op, err, name, target)
	}
}
