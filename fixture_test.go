package custody

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/vfs/vfstest"
	"github.com/custodylog/custody/retention"
)

const origin = "example.org/agents"

var update = flag.Bool("update", false, "write testdata/*.golden anew")

// childRole makes this binary a child of a test; its value says what it does.
const childRole = "CUSTODY_TEST_CHILD"

// runChild is what the child does, where a test can have one.
var runChild func(role string) int

// shared is a directory for fixtures that several tests copy.
var shared string

func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		os.Exit(runChild(role))
	}
	flag.Parse()
	var err error
	if shared, err = os.MkdirTemp("", "custody-test"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	code := m.Run()
	if err := os.RemoveAll(shared); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 2
	}
	os.Exit(code)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// get is for results that a test needs: get(f())(t) is what f returns, or the end
// of the test.
func get[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// quiet is a logger whose output nobody reads.
var quiet = slog.New(slog.DiscardHandler)

// newTrail makes a trail that is open for writing and closed with the test.
func newTrail(t testing.TB, opts Options) *Trail {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "trail")
	if opts.KeyDir == "" {
		opts.KeyDir = t.TempDir()
	}
	create := CreateOptions{Origin: origin, KeyDir: opts.KeyDir, Signer: opts.Signer, fs: opts.fs}
	if opts.fs != nil {
		dir = "trail"
	}
	get(Create(dir, create))(t)
	return openTrail(t, dir, opts)
}

// openTrail opens a trail and closes it with the test.
func openTrail(t testing.TB, dir string, opts Options) *Trail {
	t.Helper()
	if opts.Logger == nil {
		opts.Logger = quiet
	}
	if opts.Guard == "" {
		opts.Guard = GuardOff // many tests open an older copy of what they have opened
	}
	trail, err := Open(dir, &opts)
	must(t, err)
	t.Cleanup(func() {
		trail.Close()
		trail = nil // the testing package holds on to this function
	})
	return trail
}

// record records events of which only what is given matters.
func record(t testing.TB, trail *Trail, events ...event.Event) []Receipt {
	t.Helper()
	receipts, err := trail.RecordBatch(t.Context(), events)
	must(t, err)
	return receipts
}

// turn is a small event of a producer.
func turn(n int) event.Event {
	return event.Event{ID: fmt.Sprintf("turn-%d", n), Type: event.TurnStarted, SessionID: fmt.Sprintf("s%d", n%5),
		AgentID: fmt.Sprintf("agent-%d", n%3), Details: map[string]any{"n": n}}
}

func turns(from, to int) []event.Event {
	var events []event.Event
	for n := from; n < to; n++ {
		events = append(events, turn(n))
	}
	return events
}

// all returns the entries that match.
func all(t testing.TB, trail *Trail, q Query) []Entry {
	t.Helper()
	var entries []Entry
	for e, err := range trail.Entries(t.Context(), q) {
		must(t, err)
		entries = append(entries, e)
	}
	return entries
}

// indices returns what stands where, for comparing.
func indices(entries []Entry) []uint64 {
	var list []uint64
	for _, e := range entries {
		list = append(list, e.Index)
	}
	return list
}

// verify returns what is found in a trail, each as "cause index", and what is
// found of several files only once.
func verify(t testing.TB, trail *Trail, opts VerifyOptions) string {
	t.Helper()
	return findings(verifyReport(t, trail, opts))
}

func verifyReport(t testing.TB, trail *Trail, opts VerifyOptions) *Report {
	t.Helper()
	report, err := trail.Verify(t.Context(), opts)
	must(t, err)
	return report
}

func findings(report *Report) string {
	var list []string
	for _, f := range report.Findings {
		list = append(list, fmt.Sprintf("%s %d", f.Cause, f.Index))
	}
	return strings.Join(slices.Compact(list), ", ")
}

// wantClean verifies a trail that must check out.
func wantClean(t testing.TB, trail *Trail) *Report {
	t.Helper()
	report := verifyReport(t, trail, VerifyOptions{})
	for _, f := range report.Findings {
		t.Error(f)
	}
	if report.Size != trail.Size() || report.Entries+report.Pruned != report.Size {
		t.Errorf("%d entries of %d were verified, %d pruned; the trail has %d", report.Entries, report.Size, report.Pruned, trail.Size())
	}
	return report
}

// fixture is a closed trail on disk that is copied before anything is done to
// it.
type fixture struct {
	dir, keys  string
	vkey       string        // that it began with
	commits    []uint64      // the size after each commit
	checkpoint []byte        // newest
	earlier    []byte        // the checkpoint of a part of it
	entries    []Entry       // all of a small one
	root       evidence.Hash // of everything
}

func (f *fixture) size() uint64 { return f.commits[len(f.commits)-1] }

// fixtures are made once each.
var (
	smallTrail   = sync.OnceValues(makeSmall)
	rotatedTrail = sync.OnceValues(makeRotated)
	sealedTrail  = sync.OnceValues(makeSealed)
	expiredTrail = sync.OnceValues(makeExpired)
)

// build makes a trail under the shared directory. fill records and returns the
// earlier checkpoint.
func build(name string, opts Options, fill func(*fixture, *Trail) error) (*fixture, error) {
	ctx := context.Background()
	f := &fixture{dir: filepath.Join(shared, name), keys: filepath.Join(shared, name+".keys")}
	var err error
	if f.vkey, err = Create(f.dir, CreateOptions{Origin: origin, KeyDir: f.keys}); err != nil {
		return nil, err
	}
	opts.KeyDir, opts.Logger = f.keys, quiet
	trail, err := Open(f.dir, &opts)
	if err != nil {
		return nil, err
	}
	f.commits = []uint64{1}
	err = fill(f, trail)
	if f.checkpoint, _ = trail.Checkpoint(ctx); err == nil && trail.Size() < 1000 {
		for e, rerr := range trail.Entries(ctx, Query{}) {
			f.entries, err = append(f.entries, e), errors.Join(err, rerr)
		}
	}
	report, verr := trail.Verify(ctx, VerifyOptions{})
	if err = errors.Join(err, verr, trail.Close()); err != nil {
		return nil, err
	}
	f.root = report.Root
	return f, nil
}

// add records events in one commit.
func (f *fixture) add(trail *Trail, events ...event.Event) error {
	_, err := trail.RecordBatch(context.Background(), events)
	f.commits = append(f.commits, trail.Size())
	return err
}

// makeSmall makes a trail with one tail:
//
//	commit   0  1  2      3  4  5         6   7   8   9
//	entries  0  1  2 3 4  5  6  7 8 9 10  11  12  13  14 15
func makeSmall() (*fixture, error) {
	return build("small", Options{}, func(f *fixture, trail *Trail) error {
		n := 1
		for _, count := range []int{1, 3, 1, 1, 4, 1, 1, 1, 2} {
			if err := f.add(trail, turns(n, n+count)...); err != nil {
				return err
			}
			if n += count; n == 11 {
				f.earlier, _ = trail.Checkpoint(context.Background())
			}
		}
		return nil
	})
}

// makeRotated makes a trail whose key changes with entry 5; a commit for each
// entry.
func makeRotated() (*fixture, error) {
	return build("rotated", Options{}, func(f *fixture, trail *Trail) error {
		for n := 1; n < 10; n++ {
			if n != 5 {
				if err := f.add(trail, turn(n)); err != nil {
					return err
				}
				continue
			}
			f.earlier, _ = trail.Checkpoint(context.Background())
			next, _, err := NewKey(f.keys, origin)
			if err != nil {
				return err
			}
			if _, err := trail.RotateKey(context.Background(), next.Key(), "alice", "yearly"); err != nil {
				return err
			}
			f.commits = append(f.commits, trail.Size())
		}
		return nil
	})
}

// sealedTailSize is the number of entries behind the two segments of the sealed
// fixture.
const sealedTailSize = 6

// makeSealed makes a trail with two sealed segments and a tail of six entries,
// in commits of 4,096 and, at the end, of one. The events are as small as can be.
func makeSealed() (*fixture, error) {
	sealed := make(chan struct{}, 2)
	fsys := vfstest.Inject(vfs.OS{}, func(op vfstest.Op) vfstest.Fault {
		if op.Kind == vfstest.Rename && filepath.Base(op.Name) == "spare" {
			sealed <- struct{}{} // a segment took the place of a tail
		}
		return vfstest.None
	})
	return build("sealed", Options{fs: fsys}, func(f *fixture, trail *Trail) error {
		for n := 1; n < 2*segment.Entries; n += 4096 {
			var events []event.Event
			for i := n; i < min(n+4096, 2*segment.Entries); i++ {
				events = append(events, event.Event{ID: fmt.Sprintf("turn-%d", i), Type: event.TurnStarted})
			}
			if err := f.add(trail, events...); err != nil {
				return err
			}
			if n == 1 {
				f.earlier, _ = trail.Checkpoint(context.Background())
			}
		}
		for n := range sealedTailSize {
			if err := f.add(trail, turn(2*segment.Entries+n)); err != nil {
				return err
			}
		}
		<-sealed
		<-sealed
		return nil
	})
}

// makeExpired makes a copy of the sealed trail whose payloads have all expired. What
// is left to prune of it is what most tests of pruning begin with.
func makeExpired() (*fixture, error) {
	sealed, err := sealedTrail()
	if err != nil {
		return nil, err
	}
	f := *sealed
	f.dir = filepath.Join(shared, "expired")
	if err := os.CopyFS(f.dir, os.DirFS(sealed.dir)); err != nil {
		return nil, err
	}
	trail, err := Open(f.dir, &Options{KeyDir: f.keys, Guard: GuardOff, Logger: quiet, now: later().now})
	if err != nil {
		return nil, err
	}
	_, err = trail.ApplyRetention(context.Background(), retention.Policy{Name: "p", Payloads: retention.Period{Days: 10}}, "operations")
	return &f, errors.Join(err, trail.Close())
}

// copyOf returns a copy of the fixture's trail. The files of segments, which are
// never changed in place, are shared with it.
func (f *fixture) copyOf(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "trail")
	copyTrail(t, dir, f.dir)
	return dir
}

func copyTrail(t testing.TB, to, from string) {
	t.Helper()
	must(t, filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(target, 0o700)
		case filepath.Base(filepath.Dir(path)) == "segments":
			return os.Link(path, target)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, b, 0o600)
	}))
}

// replace gives a file of a copied trail other bytes.
func replace(t testing.TB, name string, b []byte) {
	t.Helper()
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	must(t, os.WriteFile(name, b, 0o600))
}

// replaceOrRemove is replace, but nil removes the file.
func replaceOrRemove(t testing.TB, name string, b []byte) {
	t.Helper()
	if b == nil {
		must(t, os.Remove(name))
		return
	}
	replace(t, name, b)
}

// tear adds the first half of a commit to a trail of that size whose only file is
// firstTail, and returns the bytes that the file then has.
func tear(t testing.TB, dir string, size uint64) []byte {
	t.Helper()
	name := filepath.Join(dir, firstTail)
	whole := readFile(t, name)
	half := whole[segment.TailHeaderSize : segment.TailHeaderSize+500] // of another commit
	torn := slices.Concat(whole, half)
	torn[len(whole)+15] = byte(size)
	replace(t, name, torn)
	return torn
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	return get(os.ReadFile(name))(t)
}

// files returns the content of every file below dir, by name.
func files(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err == nil {
			found[rel], err = os.ReadFile(path)
		}
		return err
	}))
	return found
}

// golden compares got with a file under testdata, or writes that.
func golden(t testing.TB, name string, got []byte) {
	t.Helper()
	name = filepath.Join("testdata", name+".golden")
	if *update {
		must(t, os.MkdirAll(filepath.Dir(name), 0o755))
		must(t, os.WriteFile(name, got, 0o644))
	}
	want := readFile(t, name)
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

// lines is a writer that can be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

var _ io.Writer = (*lines)(nil)

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
