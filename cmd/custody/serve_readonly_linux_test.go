package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// failing is a disk that can be made to turn read-only under who writes to it.
type failing struct {
	t           *testing.T
	image, dir  string
	trigger     string // what makes the kernel find an error in the file system
	cannotMount bool   // instead it is one on which no file can grow
}

// newFailing makes a file system that the kernel mounts read-only once it finds an error,
// where this process may do that. (It refuses to do so when it is asked to, as long as
// there are files that somebody writes.)
func newFailing(t *testing.T) *failing {
	t.Helper()
	f := &failing{t: t, image: filepath.Join(t.TempDir(), "image"), dir: t.TempDir()}
	file, err := os.Create(f.image)
	if err == nil {
		err = file.Truncate(32 << 20)
		file.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	f.cannotMount = exec.Command("mkfs.ext4", "-q", "-F", f.image).Run() != nil || !f.mount()
	return f
}

// mount mounts it for writing, and reports whether it can be.
func (f *failing) mount() bool {
	if exec.Command("mount", "-o", "loop,errors=remount-ro", f.image, f.dir).Run() != nil {
		return false
	}
	f.t.Cleanup(func() { syscall.Unmount(f.dir, syscall.MNT_DETACH) })
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return false
	}
	for line := range bytes.Lines(mounts) {
		if fields := strings.Fields(string(line)); len(fields) > 1 && fields[1] == f.dir {
			f.trigger = filepath.Join("/sys/fs/ext4", filepath.Base(fields[0]), "trigger_fs_error")
		}
	}
	_, err = os.Stat(f.trigger)
	return err == nil
}

// fail makes it read-only, for a process that writes to it.
func (f *failing) fail(pid int) {
	f.t.Helper()
	if f.cannotMount {
		limitFiles(f.t, pid, 0)
	} else if err := os.WriteFile(f.trigger, []byte("test"), 0o200); err != nil {
		f.t.Error(err)
	}
}

// repair does what an operator does: check the file system, and mount it for writing.
func (f *failing) repair() {
	f.t.Helper()
	if f.cannotMount {
		return
	}
	if err := os.WriteFile(filepath.Join(f.dir, "x"), nil, 0o600); err == nil {
		f.t.Error("the disk did not turn read-only")
	}
	if err := syscall.Unmount(f.dir, 0); err != nil {
		f.t.Fatal(err)
	}
	// It exits with 1 for errors that it has corrected.
	if out, err := exec.Command("e2fsck", "-fy", f.image).CombinedOutput(); err != nil && !strings.Contains(err.Error(), "exit status 1") {
		f.t.Fatalf("%v: %s", err, out)
	}
	if !f.mount() {
		f.t.Fatal("it cannot be mounted again")
	}
}

// A disk that turns read-only under a server: what was acknowledged is there, the rest is
// refused, reading goes on, and people are told. Where no file system can be mounted, the
// disk is one on which no file can grow.
//
// It does so between two requests: what is under way at that moment ext4 may report to be
// on the disk when it is not.
func TestDiskTurnsReadOnlyUnderServer(t *testing.T) {
	h := newHook(t)
	config := h.config()
	disk := newFailing(t)
	data := filepath.Join(disk.dir, "data")
	p, url := startServer(t, data, "--config", config)
	acknowledged := map[string]bool{}
	for n := range 30 {
		s := senders[n%len(senders)]
		ids := make([]string, s.each)
		for i := range ids {
			ids[i] = fmt.Sprintf("%s-%d-%d", s.name, n, i)
		}
		got, err := s.send(url, ids)
		if err != nil || len(got) != len(ids) {
			t.Fatalf("%d of %d events were acknowledged, %v", len(got), len(ids), err)
		}
		for _, id := range got {
			acknowledged[id] = true
		}
	}
	disk.fail(p.cmd.Process.Pid)
	if late := load(t, url, "late", 1, func() {}); len(late) > 0 {
		t.Errorf("%d events were acknowledged that cannot be written", len(late))
	}
	wantRefused(t, url, "failed")
	h.wait("operation.alert", "failed")
	wantNotReady(t, url, "failed")
	if status, _, body := answered(t, "GET", url+"/v1/trails/default/ids/single-27-0", ""); status != 200 {
		t.Errorf("reading is answered with %d: %s", status, body)
	}
	if status := p.end(syscall.SIGTERM); status != exitFailure || !strings.Contains(p.stderr.String(), "an earlier write failed") {
		t.Errorf("exit status %d; standard error:\n%s", status, p.stderr.String())
	}

	disk.repair()
	p, url = startServer(t, data, "--config", config)
	if ok, err := post(url, "again"); !ok || err != nil {
		t.Errorf("it does not record when the disk can be written again: %v, %v", ok, err)
	}
	acknowledged["again"] = true
	if status := p.end(syscall.SIGTERM); status != exitOK {
		t.Errorf("exit status %d; standard error:\n%s", status, p.stderr.String())
	}
	checkAcknowledged(t, data, acknowledged)
	t.Logf("a file system of its own: %t", !disk.cannotMount)
}
