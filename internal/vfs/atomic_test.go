package vfs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

const atomicName = "/dir/state"

// The contents span several sectors and differ in each, so that a mixture
// cannot pass for either.
var (
	oldContent = strings.Repeat("old content ", 300)
	newContent = strings.Repeat("NEW CONTENT, longer ", 400)
)

// states is what may be there before WriteFileAtomic runs.
var states = []struct {
	name    string
	present bool // the file holds oldContent
	temp    bool // an unfinished write was left behind
}{
	{"new file", false, false},
	{"file replaced", true, false},
	{"new file, leftover of a crash", false, true},
	{"file replaced, leftover of a crash", true, true},
}

func newState(t *testing.T, present, temp bool) *vfstest.Mem {
	t.Helper()
	mem := newMem(t, filepath.Dir(atomicName))
	if present {
		must(t, mem.WriteAll(atomicName, []byte(oldContent)))
	}
	if temp {
		must(t, mem.WriteAll(atomicName+vfs.TempSuffix, []byte(newContent[:700])))
	}
	must(t, mem.SyncDir(filepath.Dir(atomicName)))
	return mem
}

// content returns what the file holds: "old", "new" or "absent". It fails the
// test on anything else.
func content(t *testing.T, mem *vfstest.Mem) string {
	t.Helper()
	b, err := mem.ReadAll(atomicName)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "absent"
	case err != nil:
		t.Fatal(err)
	case string(b) == oldContent:
		return "old"
	case string(b) == newContent:
		return "new"
	}
	t.Fatalf("the file holds a mixture of %d bytes", len(b))
	return ""
}

func before(present bool) string {
	if present {
		return "old"
	}
	return "absent"
}

func TestWriteFileAtomicFaults(t *testing.T) {
	plans := map[string]func(int, vfstest.Fault, ...vfstest.OpKind) *vfstest.Plan{
		"that operation only":     vfstest.OnNth,
		"and everything after it": vfstest.FromNth,
	}
	for _, state := range states {
		for reach, plan := range plans {
			for _, fault := range []vfstest.Fault{vfstest.Fail, vfstest.FailAfter, vfstest.ShortWrite} {
				t.Run(fmt.Sprintf("%s/%s, %s", state.name, fault, reach), func(t *testing.T) {
					const steps = 7 // remove, create, write, sync, close, rename, sync directory
					for n := 0; ; n++ {
						mem := newState(t, state.present, state.temp)
						p := plan(n, fault)
						err := vfs.WriteFileAtomic(vfstest.Inject(mem, p.Decide), atomicName, []byte(newContent))
						if !p.Hit() {
							must(t, err)
							if n != steps {
								t.Errorf("%d operations were tried, want %d", n, steps)
							}
							break
						}
						if !errors.Is(err, vfstest.ErrInjected) {
							t.Errorf("operation %d failed, but the error is %v", n, err)
						}
						checkAfterFault(t, mem, before(state.present), n)
					}
				})
			}
		}
	}
}

// checkAfterFault checks that operation n, which failed, left the file as it
// was or as it was to be, now and after a crash, and that trying again works.
func checkAfterFault(t *testing.T, mem *vfstest.Mem, before string, n int) {
	t.Helper()
	for _, after := range append(crashes(mem, 20), mem) {
		if got := content(t, after); got != before && got != "new" {
			t.Errorf("operation %d failed: the file is %s, was %s", n, got, before)
		}
		must(t, vfs.WriteFileAtomic(after, atomicName, []byte(newContent)))
		for _, again := range append(crashes(after, 5), after) {
			if got := content(t, again); got != "new" {
				t.Errorf("operation %d failed; after another try the file is %s", n, got)
			}
			wantNames(t, again, filepath.Dir(atomicName), filepath.Base(atomicName))
		}
	}
}

// crashes returns the worst that a crash could leave, and n other outcomes.
func crashes(mem *vfstest.Mem, n uint64) []*vfstest.Mem {
	clones := []*vfstest.Mem{mem.CrashClone(nil)}
	for seed := range n {
		clones = append(clones, mem.CrashClone(rand.New(rand.NewPCG(seed, 0))))
	}
	return clones
}

// A crash before any operation leaves the file whole, and once the write was
// acknowledged it is the new one.
func TestWriteFileAtomicCrash(t *testing.T) {
	const seeds = 50
	for _, state := range states {
		t.Run(state.name, func(t *testing.T) {
			mem := newState(t, state.present, state.temp)
			seen := map[string]int{}
			look := func(op vfstest.Op) vfstest.Fault {
				for seed, after := range crashes(mem, seeds) {
					got := content(t, after)
					if got != before(state.present) && got != "new" {
						t.Errorf("clone %d before %s (operation %d): the file is %s", seed, op.Kind, op.N, got)
					}
					seen[got]++
				}
				return vfstest.None
			}
			must(t, vfs.WriteFileAtomic(vfstest.Inject(mem, look), atomicName, []byte(newContent)))
			for _, outcome := range []string{before(state.present), "new"} {
				if seen[outcome] == 0 {
					t.Errorf("no crash left the file %s; outcomes: %v", outcome, seen)
				}
			}
			for seed, after := range crashes(mem, seeds) {
				if got := content(t, after); got != "new" {
					t.Errorf("clone %d after success: the file is %s", seed, got)
				}
			}
		})
	}
}

func TestWriteFileAtomicFullDisk(t *testing.T) {
	for free := range uint64(len(newContent)) {
		if free%500 != 0 {
			continue
		}
		mem := newState(t, true, false)
		mem.SetFree(free)
		err := vfs.WriteFileAtomic(mem, atomicName, []byte(newContent))
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("with %d bytes free: %v, want ENOSPC", free, err)
		}
		if got := content(t, mem); got != "old" {
			t.Errorf("with %d bytes free the file is %s", free, got)
		}
		wantNames(t, mem, filepath.Dir(atomicName), filepath.Base(atomicName))
		if now, _, _ := mem.Free("/"); now != free {
			t.Errorf("%d bytes are free afterwards, %d were before", now, free)
		}
	}
}

func TestReadFileLimit(t *testing.T) {
	mem := newMem(t, "/dir")
	must(t, mem.WriteAll("/dir/a", []byte("0123456789")))
	if b, err := vfs.ReadFile(mem, "/dir/a", 10); err != nil || string(b) != "0123456789" {
		t.Errorf("ReadFile at its limit = %q, %v", b, err)
	}
	_, err := vfs.ReadFile(mem, "/dir/a", 9)
	wantError(t, "ReadFile over its limit", err, nil, "/dir/a")
	_, err = vfs.ReadFile(mem, "/dir/b", 9)
	wantError(t, "ReadFile of a missing file", err, fs.ErrNotExist, "/dir/b")
}
