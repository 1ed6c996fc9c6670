//go:build darwin || dragonfly || freebsd || linux

package spool_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/custodylog/custody/internal/spool"
)

func TestOpenPrivate(t *testing.T) {
	for name, c := range map[string]struct {
		make func(dir string) error
		bad  bool
	}{
		"none":            {func(string) error { return nil }, false},
		"mine":            {func(dir string) error { return os.Mkdir(dir, 0o700) }, false},
		"others may read": {func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o750)) }, true},
		"a link":          {func(dir string) error { return os.Symlink(filepath.Dir(dir), dir) }, true},
		"a file":          {func(dir string) error { return os.WriteFile(dir, nil, 0o600) }, true},
	} {
		dir := filepath.Join(t.TempDir(), "spool")
		must(t, c.make(dir))
		if _, err := spool.OpenPrivate(dir, spool.Options{}); c.bad != errors.Is(err, spool.ErrNotPrivate) || !c.bad && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	dir := filepath.Join(t.TempDir(), "spool")
	s, err := spool.OpenPrivate(dir, spool.Options{})
	must(t, err)
	must(t, s.Append([]byte("a")))
	if _, err := spool.OpenPrivate(dir, spool.Options{}); err != nil {
		t.Errorf("what it made itself: %v", err)
	}
	if os.Geteuid() == 0 { // others cannot give directories away
		must(t, os.Chown(dir, 12345, -1))
		if _, err := spool.OpenPrivate(dir, spool.Options{}); !errors.Is(err, spool.ErrNotPrivate) {
			t.Errorf("another user's: %v", err)
		}
	}
}
