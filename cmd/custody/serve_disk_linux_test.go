package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// mount mounts a file system of some bytes, where this process may do that.
func mount(t *testing.T, size int) (dir string, ok bool) {
	t.Helper()
	dir = t.TempDir()
	if syscall.Mount("none", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)) != nil {
		return "", false
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir, true
}

// limitFiles bounds how large a process may make a file, in bytes.
func limitFiles(t *testing.T, pid int, size uint64) {
	t.Helper()
	limit := syscall.Rlimit{Cur: size, Max: syscall.RLIM_INFINITY & (1<<64 - 1)}
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_FSIZE, uintptr(unsafe.Pointer(&limit)), 0, 0, 0); errno != 0 {
		t.Fatal(errno)
	}
}

// A disk that fills up under load: what was acknowledged is there, the rest is refused,
// and people are told. Where no file system can be mounted, the disk is one that takes no
// larger files.
func TestServerFillsItsDisk(t *testing.T) {
	h := newHook(t)
	config := h.config()
	disk, mounted := mount(t, 64<<20)
	if !mounted {
		disk = t.TempDir()
	}
	data, filler := filepath.Join(disk, "data"), filepath.Join(disk, "filler")
	p, url := startServer(t, data, "--config", config)
	acknowledged := map[string]bool{}
	record := func(n int) bool {
		id := fmt.Sprint("e", n)
		ok, err := post(url, id)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			acknowledged[id] = true
		}
		return ok
	}
	for n := range 50 {
		if !record(n) {
			t.Fatalf("event %d was refused", n)
		}
	}
	code := "failed"
	if mounted {
		code = "disk_full"
		f, err := os.Create(filler)
		if err != nil {
			t.Fatal(err)
		}
		block := bytes.Repeat([]byte("x"), 4096)
		for err == nil {
			_, err = f.Write(block)
		}
		f.Close()
	} else {
		limitFiles(t, p.cmd.Process.Pid, largest(t, data)+10_000)
	}
	n := 50
	for record(n) {
		if n++; n == 100_000 {
			t.Fatal("the disk does not fill up")
		}
	}
	wantRefused(t, url, code)
	h.wait("operation.alert", code)
	wantNotReady(t, url, code)
	if status, _, body := answered(t, "GET", url+"/v1/trails/default/ids/e1", ""); status != 200 {
		t.Errorf("reading is answered with %d: %s", status, body)
	}
	p.cmd.Process.Kill()
	p.wait()

	// The operator makes room, and starts it again.
	if mounted {
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
	}
	p, url = startServer(t, data, "--config", config)
	if !record(n) {
		t.Error("it does not record when there is room again")
	}
	if status := p.end(syscall.SIGTERM); status != exitOK {
		t.Errorf("exit status %d; standard error:\n%s", status, p.stderr.String())
	}
	checkAcknowledged(t, data, acknowledged)
	t.Logf("%d events until the disk was full (%s)", n, code)
}

// largest returns the size of the largest file below a directory.
func largest(t *testing.T, dir string) (size uint64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size = max(size, uint64(info.Size()))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// On a file system that cannot be written the server does not start and says why, and the
// trail can be read and verified.
func TestServerOnReadOnlyDisk(t *testing.T) {
	disk, mounted := mount(t, 64<<20)
	if !mounted {
		disk = t.TempDir()
	}
	data := filepath.Join(disk, "data")
	p, url := startServer(t, data)
	if ok, err := post(url, "e1"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if status := p.end(syscall.SIGTERM); status != exitOK {
		t.Fatalf("exit status %d", status)
	}
	want, serve := "read-only file system", data
	switch {
	case mounted:
		if err := syscall.Mount("none", disk, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
	case os.Getuid() == 0: // whom modes do not keep out
		want, serve = "not permitted", "/sys/custody"
	default:
		want = "permission denied"
		chmod(t, data, 0o500, 0o400)
		defer chmod(t, data, 0o700, 0o600)
	}
	p = start(t, "", t.TempDir(), "serve", "--data", serve, "--listen", "127.0.0.1:0")
	if status := p.wait(); status != exitFailure || !strings.Contains(p.stderr.String(), want) || !strings.Contains(p.stderr.String(), serve) {
		t.Errorf("exit status %d; standard error:\n%s", status, p.stderr.String())
	}
	if status := start(t, filepath.Join(data, "trails", "default"), filepath.Join(data, "keys"), "verify").wait(); status != exitOK {
		t.Errorf("verification exits with %d", status)
	}
}

// chmod sets the modes of all directories and files below one.
func chmod(t *testing.T, dir string, directories, files fs.FileMode) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		mode := files
		if err == nil && d.IsDir() {
			mode = directories
		}
		return errors.Join(err, os.Chmod(path, mode))
	})
	if err != nil {
		t.Fatal(err)
	}
}
