package vfstest

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/custodylog/custody/internal/vfs"
)

// operations has one operation for each kind. Each runs on a file system with
// a file "f" that holds "content".
var operations = []struct {
	kind OpKind
	name string // of the Op
	do   func(fsys vfs.FS) error
	done func(m *Mem) bool // whether it shows; nil when it changes nothing
}{
	{Create, "new", func(fsys vfs.FS) error { _, err := fsys.Create("new"); return err }, exists("new")},
	{Open, "f", func(fsys vfs.FS) error { _, err := fsys.Open("f"); return err }, nil},
	{OpenWrite, "f", func(fsys vfs.FS) error { _, err := fsys.OpenWrite("f"); return err }, nil},
	{Rename, "g", func(fsys vfs.FS) error { return fsys.Rename("f", "g") }, exists("g")},
	{Remove, "f", func(fsys vfs.FS) error { return fsys.Remove("f") }, func(m *Mem) bool { return !exists("f")(m) }},
	{MkdirAll, "d", func(fsys vfs.FS) error { return fsys.MkdirAll("d") }, func(m *Mem) bool { _, err := m.List("d"); return err == nil }},
	{List, "/", func(fsys vfs.FS) error { names, err := fsys.List("/"); return lostResult(err, len(names)) }, nil},
	{Size, "f", func(fsys vfs.FS) error { n, err := fsys.Size("f"); return lostResult(err, int(n)) }, nil},
	{SyncDir, "/", func(fsys vfs.FS) error { return fsys.SyncDir("/") }, func(m *Mem) bool { return !m.Dirty("/") }},
	{Lock, "lock", func(fsys vfs.FS) error { _, err := fsys.Lock("lock", "holder"); return err }, exists("lock")},
	{Free, "/", func(fsys vfs.FS) error { free, total, err := fsys.Free("/"); return lostResult(err, int(free+total)) }, nil},
	{ReadAt, "f", onFile(func(f vfs.File) error { n, err := f.ReadAt(make([]byte, 3), 0); return lostResult(err, n) }), nil},
	{WriteAt, "f", onFile(func(f vfs.File) error { n, err := f.WriteAt([]byte("CONTENT"), 0); return lostResult(err, n) }), holds("CONTENT")},
	{Sync, "f", onFile(func(f vfs.File) error { return f.Sync() }), func(m *Mem) bool { return !m.Dirty("f") }},
	{Truncate, "f", onFile(func(f vfs.File) error { return f.Truncate(3) }), holds("con")},
	{Allocate, "f", onFile(func(f vfs.File) error { return f.Allocate(1000) }), func(m *Mem) bool { return m.used >= 1000 }},
	{FileSize, "f", onFile(func(f vfs.File) error { n, err := f.Size(); return lostResult(err, int(n)) }), nil},
}

func exists(name string) func(*Mem) bool {
	return func(m *Mem) bool { _, err := m.Size(name); return err == nil }
}

func holds(content string) func(*Mem) bool {
	return func(m *Mem) bool { b, _ := m.ReadAll("f"); return string(b) == content }
}

func onFile(do func(vfs.File) error) func(vfs.FS) error {
	return func(fsys vfs.FS) error {
		f, err := fsys.OpenWrite("f")
		if err != nil {
			return err
		}
		return do(f)
	}
}

// lostResult complains about a result that comes with an error, and about one
// that is missing without.
func lostResult(err error, result int) error {
	if (err == nil) != (result != 0) {
		return fmt.Errorf("result %d with error %v", result, err)
	}
	return err
}

// newFile returns a file system with a file "f", which is not synced.
func newFile(t *testing.T) *Mem {
	t.Helper()
	mem := NewMem()
	f, err := mem.Create("f")
	must(t, err)
	_, err = f.WriteAt([]byte("content"), 0)
	must(t, err)
	must(t, f.Close())
	return mem
}

func TestInject(t *testing.T) {
	for _, op := range operations {
		for _, tc := range []struct {
			fault Fault
			done  bool
		}{
			{None, true},
			{Fail, false},
			{FailAfter, true},
		} {
			t.Run(fmt.Sprintf("%s, fault %q", op.kind, tc.fault), func(t *testing.T) {
				mem := newFile(t)
				plan := OnNth(0, tc.fault, op.kind)
				var asked []Op
				err := op.do(Inject(mem, func(o Op) Fault {
					asked = append(asked, o)
					return plan.Decide(o)
				}))
				switch {
				case tc.fault == None && err != nil:
					t.Errorf("without a fault: %v", err)
				case tc.fault != None && (!errors.Is(err, ErrInjected) || !strings.Contains(err.Error(), op.name)):
					t.Errorf("error %v, want one that wraps ErrInjected and names %s", err, op.name)
				}
				if !plan.Hit() {
					t.Error("the plan was not hit")
				}
				if last := asked[len(asked)-1]; last != (Op{op.kind, op.name, len(asked) - 1}) {
					t.Errorf("asked about %+v", last)
				}
				if op.done != nil && op.done(mem) != tc.done {
					t.Errorf("the operation was done: %v, want %v", !tc.done, tc.done)
				}
				// Nothing may stay locked behind a failure.
				if op.kind == Lock && tc.fault != None {
					l, err := mem.Lock("lock", "another")
					must(t, err)
					must(t, l.Close())
				}
			})
		}
	}
}

func TestInjectShortWrite(t *testing.T) {
	mem := newFile(t)
	fsys := Inject(mem, OnNth(0, ShortWrite, WriteAt).Decide)
	f, err := fsys.OpenWrite("f")
	must(t, err)
	n, err := f.WriteAt([]byte("12345678"), 7)
	if n != 4 || !errors.Is(err, ErrInjected) {
		t.Errorf("WriteAt = %d, %v, want 4 and an injected error", n, err)
	}
	wantFile(t, mem, "f", "content1234")
	n, err = f.WriteAt([]byte("12345678"), 7)
	if n != 8 || err != nil {
		t.Errorf("the write after = %d, %v", n, err)
	}
	// For what cannot be short it is a failure.
	if err := Inject(mem, OnNth(0, ShortWrite).Decide).Remove("f"); !errors.Is(err, ErrInjected) {
		t.Errorf("Remove = %v", err)
	}
	wantFile(t, mem, "f", "content12345678")
}

// A Close that fails has closed.
func TestInjectClose(t *testing.T) {
	for _, fault := range []Fault{Fail, FailAfter} {
		mem := newFile(t)
		fsys := Inject(mem, FromNth(0, fault, Close).Decide)
		f, err := fsys.Open("f")
		must(t, err)
		if err := f.Close(); !errors.Is(err, ErrInjected) {
			t.Errorf("Close = %v", err)
		}
		if _, err := f.Size(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("after a Close with fault %q the file can be used: %v", fault, err)
		}
		l, err := fsys.Lock("lock", "holder")
		must(t, err)
		if err := l.Close(); !errors.Is(err, ErrInjected) {
			t.Errorf("Close of a lock = %v", err)
		}
		if _, err := fsys.Lock("lock", "another"); err != nil {
			t.Errorf("after a Close with fault %q the lock is kept: %v", fault, err)
		}
	}
}

// FailAfter gives the injected error even when the operation fails by itself,
// so that a caller that tolerates the latter is still told.
func TestInjectFailAfterRealError(t *testing.T) {
	fsys := Inject(NewMem(), OnNth(0, FailAfter).Decide)
	if err := fsys.Remove("missing"); !errors.Is(err, ErrInjected) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Remove = %v", err)
	}
}

func TestPlan(t *testing.T) {
	ops := []OpKind{WriteAt, Sync, WriteAt, WriteAt, Sync}
	for _, tc := range []struct {
		name string
		plan *Plan
		want string // x where the fault is
		hit  bool
	}{
		{"first of all", OnNth(0, Fail), "x....", true},
		{"third of all", OnNth(2, Fail), "..x..", true},
		{"not reached", OnNth(5, Fail), ".....", false},
		{"second of a kind", OnNth(1, Fail, Sync), "....x", true},
		{"not reached of a kind", OnNth(2, Fail, Sync), ".....", false},
		{"of two kinds", OnNth(1, Fail, Sync, Rename, WriteAt), ".x...", true},
		{"from the second on", FromNth(1, Fail), ".xxxx", true},
		{"from the second of a kind on", FromNth(1, Fail, WriteAt), "..xx.", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.plan.Hit() {
				t.Error("hit before anything happened")
			}
			var got strings.Builder
			for n, kind := range ops {
				if tc.plan.Decide(Op{Kind: kind, N: n}) == Fail {
					got.WriteByte('x')
				} else {
					got.WriteByte('.')
				}
			}
			if got.String() != tc.want || tc.plan.Hit() != tc.hit {
				t.Errorf("faults %s, hit %v, want %s, %v", got.String(), tc.plan.Hit(), tc.want, tc.hit)
			}
		})
	}
}

// Exactly one of many concurrent operations is hit, and each has a number of
// its own.
func TestInjectConcurrent(t *testing.T) {
	const workers, each = 8, 200
	mem := newFile(t)
	plan := OnNth(777, Fail)
	var numbers []int // decide is called for one operation at a time
	fsys := Inject(mem, func(op Op) Fault {
		numbers = append(numbers, op.N)
		return plan.Decide(op)
	})
	var wg sync.WaitGroup
	failed := make([]int, workers)
	for w := range workers {
		wg.Go(func() {
			for range each {
				if _, err := fsys.Size("f"); err != nil {
					failed[w]++
				}
			}
		})
	}
	wg.Wait()
	total := 0
	for _, n := range failed {
		total += n
	}
	if total != 1 || !plan.Hit() {
		t.Errorf("%d operations failed, want 1", total)
	}
	for i, n := range numbers {
		if i != n {
			t.Fatalf("operation %d has number %d", i, n)
		}
	}
	if len(numbers) != workers*each || !slices.IsSorted(numbers) {
		t.Errorf("%d operations were counted, want %d", len(numbers), workers*each)
	}
}
