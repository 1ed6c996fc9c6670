//go:build unix

package custody

import (
	"fmt"
	"strings"
	"testing"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

// TestVerifyWhileAnotherProcessErases has another process erase a payload before each
// operation of a verification in turn. Verification knows that what it finds may be due
// to that, and repeated it finds nothing.
func TestVerifyWhileAnotherProcessErases(t *testing.T) {
	dir, keys := newTrailDir(t)
	trail := openTrail(t, dir, Options{KeyDir: keys})
	record(t, trail, turns(1, 200)...)
	must(t, trail.Close())
	c := startChild(t, "erase", dir, keys, "")
	erased := 0 // entries, of which 0 is the trail's own
	at, operations := -1, 0
	reader := openTrail(t, dir, Options{ReadOnly: true, fs: vfstest.Inject(vfs.OS{}, func(vfstest.Op) vfstest.Fault {
		if operations++; operations-1 == at {
			erased++
			fmt.Fprintln(c.stdin, erased)
			c.line(t)
		}
		return vfstest.None
	})})
	// before erases the next payload before that operation of a verification.
	before := func(operation int) { at, operations = operation, 0 }

	repeated := -1
	before(-1)
	wantClean(t, reader)
	for operation := range operations {
		before(operation)
		report, rewritten, err := reader.verifyOnce(t.Context(), VerifyOptions{Workers: 1})
		must(t, err)
		if report.OK() {
			continue
		}
		if repeated = operation; !rewritten {
			t.Errorf("an erasure before operation %d: it finds %s, and does not know that files were rewritten", operation, findings(report))
		}
	}
	if repeated < 0 {
		t.Fatal("no erasure came between")
	}
	before(repeated)
	if report := verifyReport(t, reader, VerifyOptions{Workers: 1}); !report.OK() || len(report.Unchecked) > 0 {
		t.Errorf("repeated it finds %s; %v", findings(report), report.Unchecked)
	}
	if operations <= repeated {
		t.Error("nothing was erased meanwhile")
	}
	c.end(t)
}

// TestVerifyBesideUnfinishedRemoval: what is found while a removal in another process
// stays unfinished may be due to that, and this is said.
func TestVerifyBesideUnfinishedRemoval(t *testing.T) {
	trail := newTrail(t, Options{})
	record(t, trail, turns(1, 5)...)
	must(t, trail.store.SetIntent([]byte(`{"event":"not recorded yet"}`)))
	removeQuietly(t, trail, evidence.RangesOf([]uint64{3}))
	reader := openTrail(t, trail.Dir(), Options{ReadOnly: true})
	report := verifyReport(t, reader, VerifyOptions{})
	if findings(report) != "payload_missing 3" || len(report.Unchecked) != 1 || !strings.Contains(report.Unchecked[0], "a removal was interrupted") {
		t.Errorf("found %s; %v", findings(report), report.Unchecked)
	}
	if report := verifyReport(t, trail, VerifyOptions{}); findings(report) != "payload_missing 3" || len(report.Unchecked) != 0 {
		t.Errorf("the process that has the trail open for writing found %s; %v", findings(report), report.Unchecked)
	}
}
