package custody_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

func TestStats(t *testing.T) {
	dir, keys := filepath.Join(t.TempDir(), "trail"), t.TempDir()
	vkey, err := custody.Create(dir, custody.CreateOptions{Origin: "example.org/stats", KeyDir: keys})
	if err != nil {
		t.Fatal(err)
	}
	trail, err := custody.Open(dir, &custody.Options{KeyDir: keys})
	if err != nil {
		t.Fatal(err)
	}
	defer trail.Close()
	var last custody.Receipt
	for range 3 {
		if last, err = trail.Record(t.Context(), event.Event{Type: event.LoopDetected, AgentID: "a"}); err != nil {
			t.Fatal(err)
		}
	}
	s, err := trail.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first, err := trail.Entry(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if s.Origin != "example.org/stats" || s.Size != 4 || !s.First.Equal(first.Time) || !s.Last.Equal(last.Time) || s.Checkpoint.Size != 4 {
		t.Errorf("got %+v", s)
	}
	if len(s.Types) != 2 || s.Types[0] != (custody.TypeCount{Type: event.LoopDetected, Count: 3}) || s.Types[1] != (custody.TypeCount{Type: event.LogOpened, Count: 1}) {
		t.Errorf("types: %+v", s.Types)
	}
	if len(s.Parts) != 1 || s.Parts[0].Count != 4 {
		t.Errorf("parts: %+v", s.Parts)
	}
	onDisk := int64(0)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		onDisk += info.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.Bytes != onDisk {
		t.Errorf("%d bytes, the files have %d", s.Bytes, onDisk)
	}
	file, err := custody.KeyFile(keys, vkey)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Base(file) != s.KeyIDs[0]+".key" {
		t.Errorf("key file %s, key ids %v", file, s.KeyIDs)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

func TestKeyFileOfNoKey(t *testing.T) {
	if _, err := custody.KeyFile(t.TempDir(), "no key"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
