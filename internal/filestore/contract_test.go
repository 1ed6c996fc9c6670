package filestore_test

import (
	"testing"

	"github.com/custodylog/custody/internal/filestore"
	"github.com/custodylog/custody/internal/storage"
	"github.com/custodylog/custody/internal/storage/storetest"
	"github.com/custodylog/custody/internal/vfs"
)

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Opener {
		dir := t.TempDir()
		create(t, vfs.OS{}, dir)
		opener := func(readOnly bool) func() (storage.Store, error) {
			return func() (storage.Store, error) {
				return filestore.Open(vfs.OS{}, dir, filestore.Options{
					ReadOnly:  readOnly,
					Extract:   storetest.Extract,
					OnProblem: func(err error) { t.Errorf("in the background: %v", err) },
				})
			}
		}
		return storetest.Opener{Open: opener(false), OpenReader: opener(true)}
	})
}
