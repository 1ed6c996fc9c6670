package filestore_test

import (
	"errors"
	"testing"

	"github.com/custodylog/custody/internal/filestore"
	"github.com/custodylog/custody/internal/storage"
	"github.com/custodylog/custody/internal/storage/storetest"
	"github.com/custodylog/custody/internal/vfs"
)

// TestNodesOfShortTail has a tail that lacks its last entries, though another one
// follows it: what is missing is an error.
func TestNodesOfShortTail(t *testing.T) {
	t.Parallel()
	short, err := vfs.ReadFile(almostFull().disk, tailPath(0), 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	disk, _ := recycling().fork(1)
	for _, suffix := range []string{"segment", "index"} {
		if err := disk.Remove(dir + "/segments/" + file(0, suffix)); err != nil {
			t.Fatal(err)
		}
	}
	if err := vfs.WriteFileAtomic(disk, tailPath(0), short); err != nil {
		t.Fatal(err)
	}
	s, err := filestore.Open(disk, dir, reading)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got, err := s.Nodes(t.Context(), nil, 0, storetest.Boundary-6, 1); err != nil || len(got) != 1 {
		t.Errorf("the last entry that is there: %d nodes (%v)", len(got), err)
	}
	for _, level := range []int{0, 8, 16} {
		if _, err := s.Nodes(t.Context(), nil, level, storetest.Boundary>>level-1, 1); !errors.Is(err, storage.ErrAltered) {
			t.Errorf("the last node of level %d: %v", level, err)
		}
	}
	if _, _, err := s.TreeAt(t.Context(), storetest.Boundary+1); !errors.Is(err, storage.ErrAltered) {
		t.Errorf("the tree: %v", err)
	}
}
