package vfstest

import (
	"bytes"
	"errors"
	"io/fs"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func TestFullDisk(t *testing.T) {
	mem := NewMem()
	f, err := mem.Create("f")
	must(t, err)
	_, err = f.WriteAt(make([]byte, 100), 0)
	must(t, err)
	mem.SetFree(50)
	wantFree(t, mem, 50)

	n, err := f.WriteAt(bytes.Repeat([]byte("x"), 80), 90)
	if n != 60 || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "f") {
		t.Errorf("WriteAt over the end of the disk = %d, %v, want 60 and ENOSPC", n, err)
	}
	wantFree(t, mem, 0)
	if size, _ := f.Size(); size != 150 {
		t.Errorf("the file has %d bytes, want the 150 there is room for", size)
	}
	for name, err := range map[string]error{
		"Truncate": f.Truncate(151),
		"Allocate": f.Allocate(151),
	} {
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s on a full disk = %v, want ENOSPC", name, err)
		}
	}
	if n, err := f.WriteAt([]byte("x"), 1000); n != 0 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("WriteAt far behind the end = %d, %v, want 0 and ENOSPC", n, err)
	}
	if n, err := f.WriteAt(make([]byte, 150), 0); n != 150 || err != nil {
		t.Errorf("WriteAt over what is there = %d, %v; it needs no room", n, err)
	}

	must(t, f.Truncate(20)) // gives room back
	wantFree(t, mem, 130)
	must(t, f.Allocate(120)) // and takes it
	wantFree(t, mem, 30)
	mem.SetFree(0)
	must(t, f.Truncate(30)) // within what was reserved
	if n, err := f.WriteAt(make([]byte, 50), 20); n != 50 || err != nil {
		t.Errorf("WriteAt where room was reserved = %d, %v", n, err)
	}
	wantFree(t, mem, 0)
	must(t, mem.Remove("f"))
	wantFree(t, mem, 120)
	_, err = f.WriteAt(make([]byte, 130), 0) // it has no name, and so no part in this
	must(t, err)
	wantFree(t, mem, 120)
	wantFree(t, mem.Clone(), 120)

	must(t, mem.WriteAll("a", make([]byte, 60)))
	must(t, mem.WriteAll("b", make([]byte, 40)))
	wantFree(t, mem, 20)
	must(t, mem.Rename("a", "b")) // what was replaced is gone
	wantFree(t, mem, 60)
	must(t, mem.Rename("b", "b")) // changes nothing
	wantFree(t, mem, 60)
	must(t, mem.SyncDir("/"))
	wantFree(t, mem.CrashClone(nil), 60)
	must(t, mem.WriteAll("a", make([]byte, 500))) // tampering needs no room
	wantFree(t, mem, 0)
}

func wantFree(t *testing.T, m *Mem, want uint64) {
	t.Helper()
	if free, _, err := m.Free("/"); err != nil || free != want {
		t.Errorf("Free = %d, %v, want %d", free, err, want)
	}
}

func TestTampering(t *testing.T) {
	mem := NewMem()
	f, err := mem.Create("f")
	must(t, err)
	_, err = f.WriteAt([]byte("unsynced"), 0)
	must(t, err)
	must(t, mem.SyncDir("/"))
	b := []byte("tampered")
	must(t, mem.WriteAll("f", b))
	b[0] = 'T' // the caller keeps its slice
	wantFile(t, mem, "f", "tampered")
	wantFile(t, mem.CrashClone(nil), "f", "tampered")
	must(t, f.Sync()) // nothing that was written before comes back
	wantFile(t, mem.CrashClone(nil), "f", "tampered")
	got := make([]byte, 8)
	if _, err := f.ReadAt(got, 0); err != nil || string(got) != "tampered" {
		t.Errorf("an open handle reads %q, %v", got, err)
	}
	read, err := mem.ReadAll("f")
	must(t, err)
	read[0] = 'T'
	wantFile(t, mem, "f", "tampered")

	must(t, mem.WriteAll("new", []byte("content")))
	wantFile(t, mem, "new", "content")
	if err := mem.WriteAll("nowhere/f", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("WriteAll into a missing directory = %v", err)
	}
	if _, err := mem.ReadAll("missing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadAll of a missing file = %v", err)
	}
}

// A removed file stays what it was for those who have it open.
func TestRemovedFileStaysOpen(t *testing.T) {
	mem := NewMem()
	must(t, mem.WriteAll("f", []byte("content")))
	f, err := mem.OpenWrite("f")
	must(t, err)
	must(t, mem.Remove("f"))
	must(t, create(mem, "f"))
	b := make([]byte, 7)
	if _, err := f.ReadAt(b, 0); err != nil || string(b) != "content" {
		t.Errorf("the handle reads %q, %v", b, err)
	}
	_, err = f.WriteAt([]byte("more"), 7)
	must(t, err)
	wantFile(t, mem, "f", "")
}

// Appending and syncing costs what is appended, not what is there.
func TestAppendIsNotQuadratic(t *testing.T) {
	const record, records = 1 << 10, 32 << 10
	mem := NewMem()
	f, err := mem.Create("f")
	must(t, err)
	p := make([]byte, record)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range int64(records) {
		if i%2 == 0 {
			must(t, f.Truncate((i+1)*record))
		}
		_, err := f.WriteAt(p, i*record)
		must(t, err)
		if i%8 == 0 {
			must(t, f.Sync())
		}
	}
	runtime.ReadMemStats(&after)
	// Both images grow by a quarter at a time, which makes for five times
	// their length each.
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 20*record*records {
		t.Errorf("appending %d bytes allocated %d", record*records, allocated)
	}
}

func BenchmarkAppendSync(b *testing.B) {
	mem := NewMem()
	f, err := mem.Create("f")
	if err != nil {
		b.Fatal(err)
	}
	p := make([]byte, 1<<10)
	b.SetBytes(int64(len(p)))
	for i := int64(0); b.Loop(); i++ {
		if _, err := f.WriteAt(p, i%(64<<10)*int64(len(p))); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantFile(t *testing.T, m *Mem, name, want string) {
	t.Helper()
	if b, err := m.ReadAll(name); err != nil || string(b) != want {
		t.Errorf("%s holds %q, %v, want %q", name, b, err, want)
	}
}
