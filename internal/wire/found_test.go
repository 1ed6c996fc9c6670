package wire

import (
	"testing"

	"github.com/custodylog/custody"
)

// TestFoundIsLeftEarly: whoever wants no more is not given the error that a search ends
// with, and whoever does is.
func TestFoundIsLeftEarly(t *testing.T) {
	for _, leaves := range []bool{true, false} {
		n, failed, done := 0, error(nil), custody.Searched{}
		for _, err := range Found(func(found func(custody.Entry) bool) (custody.Searched, error) {
			found(custody.Entry{})
			return custody.Searched{Entries: 1}, custody.ErrAltered
		}, &done) {
			n, failed = n+1, err
			if leaves {
				break
			}
		}
		if leaves && (n != 1 || failed != nil) || !leaves && (n != 2 || failed != custody.ErrAltered) || done.Entries != 1 {
			t.Errorf("left early %v: %d are yielded, %v; searched %+v", leaves, n, failed, done)
		}
	}
}
