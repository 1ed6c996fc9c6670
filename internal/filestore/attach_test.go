package filestore_test

import (
	"testing"

	"github.com/custodylog/custody/internal/filestore"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

// TestBytesOfAttached: what is attached to a trail counts for the room that it takes.
func TestBytesOfAttached(t *testing.T) {
	disk := vfstest.NewMem()
	must(t, filestore.Create(disk, dir, meta))
	s := open(t, disk)
	before, err := s.Bytes()
	must(t, err)
	document := []byte("a checkpoint, say")
	for range 2 {
		must(t, s.Attach("cosigned", 5, document))
	}
	after, err := s.Bytes()
	must(t, err)
	if after != before+int64(len(document)) {
		t.Errorf("with a document of %d bytes a trail of %d bytes has %d", len(document), before, after)
	}
}
