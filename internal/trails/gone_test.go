package trails_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/custodylog/custody/internal/trails"
)

// What happens to the directories of open trails is seen, and so is that they are back.
func TestGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	d, err := open(t, dir).Get(trails.Default)
	if err != nil {
		t.Fatal(err)
	}
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	want := func(what string, gone bool) {
		t.Helper()
		err := d.Look()
		if errors.Is(err, trails.ErrGone) != gone || gone != (err != nil) {
			t.Errorf("%s: %v", what, err)
		}
		for end := time.Now().Add(10 * time.Second); (d.Gone() != nil) != gone; {
			if time.Now().After(end) {
				t.Fatalf("%s: it is not noticed", what)
			}
		}
	}
	want("untouched", false)
	move(dir, dir+".away")
	want("moved away", true)
	if err := os.MkdirAll(d.Dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	want("another one in its place", true)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	move(dir+".away", dir)
	want("moved back", false)
}
