package statefile_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody/internal/statefile"
	"github.com/custodylog/custody/internal/vfs"
)

func TestDecode(t *testing.T) {
	for content, want := range map[string]string{
		`{"format":2,"name":"n"}`:           "",
		`{"format":3}`:                      "newer version",
		`{"format":1}`:                      "expected 2",
		`{}`:                                "expected 2",
		"{\"format\":2,\n\"name\":}":        "line 2",
		"{\"format\":2,\n\n\"name\":7}":     "line 3",
		`{"format":2,"name":"n","other":1}`: `"other"`,
		``:                                  "line 1",
	} {
		var v struct {
			Format int
			Name   string
		}
		err := statefile.Decode([]byte(content), 2, &v)
		if want == "" && (err != nil || v.Name != "n") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func TestLock(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	lock, err := statefile.Lock(vfs.OS{}, name, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := statefile.Lock(vfs.OS{}, name, time.Millisecond); err == nil {
		t.Error("locked twice")
	} else if _, ok := errors.AsType[*vfs.LockedError](err); !ok {
		t.Error(err)
	}
	// It waits for who holds it.
	freed := make(chan error, 1)
	go func() { freed <- lock.Close() }()
	again, err := statefile.Lock(vfs.OS{}, name, statefile.LockWait)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(<-freed, again.Close()); err != nil {
		t.Error(err)
	}
}

func TestDecodeSince(t *testing.T) {
	for content, want := range map[string]string{
		`{"format":1}`:            "expected 2 to 3",
		`{"format":2,"name":"n"}`: "",
		`{"format":3,"name":"n"}`: "",
		`{"format":4,"name":"n"}`: "this program reads 2 to 3",
	} {
		var v struct {
			Format int
			Name   string
		}
		err := statefile.DecodeSince([]byte(content), 2, 3, &v)
		if want == "" && (err != nil || v.Name != "n") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v", content, err)
		}
	}
}
