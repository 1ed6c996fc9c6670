//go:build darwin || dragonfly || freebsd || linux

package connect_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/custodylog/custody/internal/connect"
)

// Nobody waits for the other end of a pipe that lies where settings should.
func TestPipe(t *testing.T) {
	o := options(t, "cursor")
	must(t, os.Mkdir(filepath.Join(o.Home, ".cursor"), 0o700))
	must(t, syscall.Mkfifo(filepath.Join(o.Home, ".cursor", "hooks.json"), 0o600))
	if _, err := connect.Connect(o); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Error(err)
	}
}

// Settings stay somebody's, also when root changes them.
func TestOwner(t *testing.T) {
	uid := os.Geteuid()
	if uid == 0 {
		uid = 12345 // others cannot give files away
	}
	o := options(t, "cursor")
	name, _ := connected(t, o, "{}")
	must(t, os.Chown(name, uid, -1))
	c, err := connect.Undo(o)
	must(t, err)
	must(t, c.Apply())
	info, err := os.Stat(name)
	must(t, err)
	if got := info.Sys().(*syscall.Stat_t).Uid; int(got) != uid {
		t.Errorf("it belongs to %d, not %d", got, uid)
	}
}
