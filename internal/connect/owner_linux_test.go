package connect

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
)

// owned is a file of somebody.
type owned struct {
	fs.FileInfo
	mode     fs.FileMode
	uid, gid int
}

func (o owned) Mode() fs.FileMode { return o.mode }
func (o owned) Sys() any          { return &syscall.Stat_t{Uid: uint32(o.uid), Gid: uint32(o.gid)} }

// A user who is not in the group of a file changes it all the same. Nobody may do more with
// it than before.
func TestGroupOfOthers(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "settings"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if os.Geteuid() > 0 {
		changeGroup(t, f, os.Geteuid(), os.Getegid())
		return
	}
	const uid, gid = 12345, 12345 // root may do all
	if err := f.Chown(uid, gid); err != nil {
		t.Fatal(err)
	}
	var other sync.WaitGroup
	other.Go(func() {
		runtime.LockOSThread() // the thread is the other user, and ends here
		if err := syscall.Setfsuid(uid); err != nil {
			t.Error(err)
			return
		}
		changeGroup(t, f, uid, gid)
	})
	other.Wait()
}

// changeGroup tries to give a file of a user, which is in their group, to others.
func changeGroup(t *testing.T, f *os.File, uid, gid int) {
	const nobodys = 54321
	for mode, want := range map[fs.FileMode]fs.FileMode{0o600: 0o600, 0o660: 0o600, 0o664: 0o644, 0o640: 0o600} {
		if got, err := keepOwner(f, owned{mode: mode, uid: uid, gid: nobodys}); err != nil || got != want {
			t.Errorf("of %o: %o, %v, want %o", mode, got, err, want)
		}
		if got, err := keepOwner(f, owned{mode: mode, uid: uid, gid: gid}); err != nil || got != mode {
			t.Errorf("of %o in the same group: %o, %v", mode, got, err)
		}
	}
	if _, err := keepOwner(f, owned{mode: 0o600, uid: uid + 1, gid: gid}); err == nil {
		t.Error("it is given away")
	}
}
