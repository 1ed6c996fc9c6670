package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// socketDir returns a directory whose name is short enough for a socket.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "custody")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// A socket has its mode from the beginning, whatever the umask is.
func TestSocketIsNeverOpenToOthers(t *testing.T) {
	dir := socketDir(t)
	path := filepath.Join(dir, "socket")
	end := make(chan struct{})
	var looking sync.WaitGroup
	seen := map[os.FileMode]int{}
	looking.Go(func() {
		for {
			select {
			case <-end:
				return
			default:
			}
			if info, err := os.Lstat(path); err == nil {
				seen[info.Mode()]++
			}
		}
	})
	for range 300 {
		l, err := listenSocket(t.Context(), path, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := net.Dial("unix", path); err != nil {
			t.Fatal(err)
		} else if err := errors.Join(c.Close(), l.Close()); err != nil {
			t.Fatal(err)
		}
	}
	close(end)
	looking.Wait()
	if delete(seen, os.ModeSocket|0o600); len(seen) > 0 {
		t.Errorf("it had the modes %v", seen)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != "socket.lock" {
		t.Errorf("left are %q, %v", left, err)
	}
}

// A socket may have as long a path as the error says that one with a longer one gets.
func TestSocketWithLongPath(t *testing.T) {
	dir := socketDir(t)
	path := filepath.Join(dir, strings.Repeat("x", maxSocketPath-len(dir)-1))
	l, err := listenSocket(t.Context(), path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if l, err := listenSocket(t.Context(), path+"x", 0o600); err == nil || !strings.Contains(err.Error(), "105 bytes; the path of a socket may have 104") {
		t.Errorf("%v, %v", l, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 1 {
		t.Errorf("left are %q, %v", left, err)
	}
}

// What a server leaves that is killed while it makes its socket is no obstacle.
func TestSocketHalfMade(t *testing.T) {
	path := filepath.Join(socketDir(t), "socket")
	if err := os.Mkdir(path+privateSuffix, 0o700); err != nil {
		t.Fatal(err)
	}
	half, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(path+privateSuffix, privateName)})
	if err != nil {
		t.Fatal(err)
	}
	half.SetUnlinkOnClose(false)
	if err := half.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := listenSocket(t.Context(), path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path + privateSuffix); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
}

// A socket stays of which it cannot be told that nobody uses it.
func TestSocketOfAnotherKind(t *testing.T) {
	path := filepath.Join(socketDir(t), "socket")
	other, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if l, err := listenSocket(t.Context(), path, 0o600); err == nil || !strings.Contains(err.Error(), "cannot be told") {
		t.Errorf("%v, %v", l, err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("it is gone: %v", err)
	}
}
