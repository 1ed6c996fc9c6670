//go:build unix

package custody

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

// newTrailDir makes a trail on the real disk.
func newTrailDir(t *testing.T) (dir, keys string) {
	dir, keys = filepath.Join(t.TempDir(), "trail"), t.TempDir()
	get(Create(dir, CreateOptions{Origin: origin, KeyDir: keys}))(t)
	return dir, keys
}

// A process that records is killed, again and again. Every event that it said was
// recorded is there afterwards, and the trail checks out.
func TestKill(t *testing.T) {
	t.Parallel()
	dir, keys := newTrailDir(t)
	rng := newRand(t)
	acknowledged := map[string]bool{}
	for round := range 4 * *rounds {
		c := startChild(t, "load", dir, keys, fmt.Sprint("r", round))
		for range 20 + rng.IntN(400) {
			acknowledged[c.line(t)] = true
		}
		for _, id := range c.kill(t) {
			acknowledged[id] = true
		}
		checkAfterKill(t, dir, keys, func(id string) bool { return acknowledged[id] }, len(acknowledged))
	}
}

// The same while full tails are being sealed.
func TestKillWhileSealing(t *testing.T) {
	t.Parallel()
	dir, keys := newTrailDir(t)
	rng := newRand(t)
	acknowledged := map[string]int{} // batches by tag
	total := 0
	for round := range *rounds {
		tag := fmt.Sprint("r", round)
		c := startChild(t, "batches", dir, keys, tag)
		lines := 0
		for range segment.Entries/batchSize + 1 + rng.IntN(20) {
			c.line(t)
			lines++
		}
		lines += len(c.kill(t))
		acknowledged[tag] = lines
		total += lines * batchSize
		checkAfterKill(t, dir, keys, func(id string) bool {
			tag, rest, _ := strings.Cut(id, "-")
			batch, _, _ := strings.Cut(rest, "-")
			n, err := strconv.Atoi(batch)
			return err == nil && n < acknowledged[tag]
		}, total)
	}
}

// checkAfterKill opens a trail whose writer was killed: for reading, for writing,
// and again. It must hold as many acknowledged events as there are.
func checkAfterKill(t *testing.T, dir, keys string, acknowledged func(id string) bool, want int) {
	t.Helper()
	reader := get(Open(dir, &Options{ReadOnly: true, Logger: quiet}))(t)
	torn := fmt.Sprintf("torn %d", reader.Size())
	if got := verify(t, reader, VerifyOptions{}); got != "" && got != torn {
		t.Errorf("before it is opened for writing, %q is found", got)
	} else if got == "" {
		torn = ""
	}
	must(t, reader.Close())

	trail := get(Open(dir, &Options{KeyDir: keys, Logger: quiet}))(t)
	found, recovered := 0, 0
	for e, err := range trail.Entries(t.Context(), Query{}) {
		must(t, err)
		if ev := get(e.Event())(t); acknowledged(ev.ID) {
			found++
		} else if ev.Type == event.LogRecovered && e.Index == trail.Size()-1 {
			recovered++
		}
	}
	if found != want {
		t.Errorf("%d events are here that were acknowledged, of %d", found, want)
	}
	if (torn != "") != (recovered == 1) {
		t.Errorf("%q was found, and %d events tell of a recovery", torn, recovered)
	}
	wantClean(t, trail)
	must(t, trail.Close())
	reader = get(Open(dir, &Options{ReadOnly: true, Logger: quiet}))(t)
	wantClean(t, reader)
	must(t, reader.Close())
}

// Power is lost at any moment of a load: what was acknowledged before is there.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	rng := newRand(t)
	for range 15 * *rounds {
		disk := vfstest.NewMem()
		key := newKey(t)
		trail := newTrail(t, Options{fs: disk, Signer: key, DiskWarning: -1})
		var mu sync.Mutex
		acknowledged := map[string]bool{}
		lost := make(chan struct{})
		var writers sync.WaitGroup
		for g := range 4 {
			writers.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-lost:
						return
					default:
					}
					e := turn(n)
					e.ID = fmt.Sprint(g, "-", n)
					if _, err := trail.Record(t.Context(), e); err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					acknowledged[e.ID] = true
					mu.Unlock()
				}
			})
		}
		for want, have := 5+rng.IntN(100), 0; have < want; {
			mu.Lock()
			have = len(acknowledged)
			mu.Unlock()
			runtime.Gosched()
		}
		mu.Lock()
		before := maps.Clone(acknowledged)
		mu.Unlock()
		after := disk.CrashClone(rng)
		close(lost)
		writers.Wait()
		must(t, trail.Close())

		trail = openTrail(t, "trail", Options{fs: after, Signer: key, DiskWarning: -1})
		for id := range before {
			if _, err := trail.EntryByID(t.Context(), id); err != nil {
				t.Errorf("it was acknowledged: %v", err)
			}
		}
		wantClean(t, trail)
		must(t, trail.Close())
	}
}

// A torn write is cut off when the trail is opened for writing, and that is
// recorded; it is not cut off when the trail is opened for reading.
func TestTornTail(t *testing.T) {
	f := get(smallTrail())(t)
	dir := f.copyOf(t)
	name := filepath.Join(dir, firstTail)
	torn := tear(t, dir, f.size())

	reader := openTrail(t, dir, Options{ReadOnly: true})
	if got := verify(t, reader, VerifyOptions{}); got != "torn 16" {
		t.Errorf("found %q", got)
	}
	wantSize(t, reader, 16)
	must(t, reader.Close())
	if now := readFile(t, name); len(now) != len(torn) {
		t.Errorf("the file had %d bytes, now %d", len(torn), len(now))
	}

	trail := openTrail(t, dir, Options{KeyDir: f.keys})
	e := eventAt(t, trail, 16)
	if e.Type != event.LogRecovered || fmt.Sprint(e.Details["cut_bytes"]) != "500" || fmt.Sprint(e.Details["size"]) != "16" || e.Details["segment"] != filepath.Base(firstTail) {
		t.Errorf("recorded is %+v", e)
	}
	if len(e.Defects) != 0 {
		t.Errorf("it has the defects %q", e.Defects)
	}
	wantSize(t, trail, 17)
	wantClean(t, trail)
	must(t, trail.Close())
	wantSize(t, openTrail(t, dir, Options{KeyDir: f.keys}), 17) // nothing more to tell
}

// A process that may not write any more takes nothing more, and loses nothing
// that it took.
func TestFileSizeLimit(t *testing.T) {
	t.Parallel()
	dir, keys := newTrailDir(t)
	c := startChild(t, "limited", dir, keys, "r")
	acknowledged := map[string]bool{}
	for line := c.line(t); line != "failed"; line = c.line(t) {
		acknowledged[line] = true
	}
	must(t, c.cmd.Wait())
	if len(acknowledged) == 0 {
		t.Fatal("nothing was acknowledged before the limit")
	}
	checkAfterKill(t, dir, keys, func(id string) bool { return acknowledged[id] }, len(acknowledged))
}

func TestDiskFull(t *testing.T) {
	disk := vfstest.NewMem()
	keys := t.TempDir()
	trail := newTrail(t, Options{fs: disk, KeyDir: keys, DiskWarning: -1})
	record(t, trail, turns(0, 10)...)
	disk.SetFree(2000)
	var acknowledged []Receipt
	var err error
	for n := 10; err == nil; n++ {
		var r Receipt
		if r, err = trail.Record(t.Context(), turn(n)); err == nil {
			acknowledged = append(acknowledged, r)
		}
	}
	if !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("the error is %v", err)
	}
	for range 3 {
		if _, err := trail.Record(t.Context(), turn(1000)); !errors.Is(err, ErrFailed) {
			t.Errorf("later, the error is %v", err)
		}
	}
	if _, err := trail.Flush(t.Context()); !errors.Is(err, ErrFailed) {
		t.Errorf("Flush: %v", err)
	}
	// Reading goes on.
	for _, r := range acknowledged {
		if e := get(trail.Entry(t.Context(), r.Index))(t); e.Hash != r.Hash {
			t.Errorf("entry %d has another hash", r.Index)
		}
	}
	if err := trail.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}

	if _, err := Open(trail.Dir(), &Options{fs: disk, KeyDir: keys, Logger: quiet, DiskWarning: -1}); err != nil && !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, ErrFailed) {
		t.Errorf("opening it while the disk is full: %v", err)
	}
	disk = disk.Clone() // nothing is locked in it
	disk.SetFree(1 << 30)
	trail = openTrail(t, trail.Dir(), Options{fs: disk, KeyDir: keys, DiskWarning: -1})
	for _, r := range acknowledged {
		if e := get(trail.Entry(t.Context(), r.Index))(t); e.Hash != r.Hash {
			t.Errorf("after reopening, entry %d has another hash", r.Index)
		}
	}
	record(t, trail, turn(2000))
	wantClean(t, trail)
}

// Whatever one operation of the disk fails: what was acknowledged is there after
// reopening, and what was not may be; the trail checks out either way.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, fault := range []vfstest.Fault{vfstest.Fail, vfstest.FailAfter, vfstest.ShortWrite} {
		t.Run(string(fault), func(t *testing.T) {
			for n := 0; ; n++ {
				disk := vfstest.NewMem()
				keys := t.TempDir()
				get(Create("trail", CreateOptions{Origin: origin, KeyDir: keys, fs: disk}))(t)
				plan := vfstest.OnNth(n, fault)
				acknowledged, err := recordSome(t, vfstest.Inject(disk, plan.Decide), keys)
				if !plan.Hit() {
					must(t, err)
					if len(acknowledged) != 5 {
						t.Errorf("%d events were acknowledged", len(acknowledged))
					}
					return
				}
				trail := openTrail(t, "trail", Options{fs: disk.CrashClone(nil), KeyDir: keys, DiskWarning: -1})
				for _, id := range acknowledged {
					if _, err := trail.EntryByID(t.Context(), id); err != nil {
						t.Errorf("operation %d: %v", n, err)
					}
				}
				for i := range 5 { // as somebody does who is not sure
					if _, err := trail.Record(t.Context(), turn(i)); err != nil {
						t.Errorf("operation %d: recording event %d again: %v", n, i, err)
					}
				}
				if got := verify(t, trail, VerifyOptions{}); got != "" {
					t.Errorf("operation %d: found %q", n, got)
				}
				must(t, trail.Close())
			}
		})
	}
}

// recordSome records five events and returns the ids of those that were
// acknowledged.
func recordSome(t *testing.T, fsys vfs.FS, keys string) (ids []string, err error) {
	trail, err := Open("trail", &Options{fs: fsys, KeyDir: keys, Logger: quiet, DiskWarning: -1})
	if err != nil {
		return nil, err
	}
	for n := range 5 {
		r, rerr := trail.Record(t.Context(), turn(n))
		if err = errors.Join(err, rerr); rerr == nil {
			ids = append(ids, r.ID)
		}
	}
	return ids, errors.Join(err, trail.Close())
}
