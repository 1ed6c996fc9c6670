//go:build unix

package tiles_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/custodylog/custody/tiles"
)

// Nothing outside of the directory is read, and nothing that could be waited for.
func TestDirLinksAndPipes(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "log", "tile", "0")
	must(t, os.MkdirAll(dir, 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "000"), make([]byte, 8192), 0o644))
	must(t, os.WriteFile(filepath.Join(parent, "secret"), make([]byte, 32), 0o644))
	must(t, os.Symlink("000", filepath.Join(dir, "001")))
	must(t, os.Symlink("../../../secret", filepath.Join(dir, "002")))
	must(t, os.Symlink(filepath.Join(parent, "secret"), filepath.Join(dir, "003")))
	must(t, syscall.Mkfifo(filepath.Join(dir, "004"), 0o644))
	source := tiles.Dir(filepath.Join(parent, "log"))
	if b, err := source.Fetch(t.Context(), "tile/0/001"); err != nil || len(b) != 8192 {
		t.Errorf("a link within: %d bytes, %v", len(b), err)
	}
	for path, want := range map[string]string{"tile/0/002": "escapes", "tile/0/003": "escapes", "tile/0/004": "is no file"} {
		if b, err := source.Fetch(t.Context(), path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %d bytes, %v; want %q", path, len(b), err, want)
		}
	}
}
