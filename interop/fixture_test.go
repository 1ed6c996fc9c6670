package interop

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/tiles"
)

const origin = "example.org/agents"

// Programs that TestMain builds. The command custody is beside them.
var fsckProgram, litewitnessProgram string

func TestMain(m *testing.M) {
	code, err := withPrograms(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		code = 2
	}
	os.Exit(code)
}

func withPrograms(run func() int) (code int, err error) {
	bin, err := os.MkdirTemp("", "custody-interop")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(bin)
	for _, build := range []*exec.Cmd{
		exec.Command("go", "build", "-o", bin+"/", "github.com/transparency-dev/tessera/cmd/fsck", "filippo.io/torchwood/cmd/litewitness", "github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen"),
		exec.Command("go", "build", "-o", bin+"/mcp-everything", "github.com/modelcontextprotocol/go-sdk/examples/server/everything"),
		exec.Command("go", "build", "-o", bin+"/mcp-hello", "github.com/modelcontextprotocol/go-sdk/examples/server/hello"),
		exec.Command("go", "build", "-C", "..", "-o", bin+"/", "./cmd/custody"),
	} {
		if out, err := build.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("%v: %w\n%s", build, err, out)
		}
	}
	fsckProgram, litewitnessProgram = filepath.Join(bin, "fsck"), filepath.Join(bin, "litewitness")
	return run(), nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func get[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		must(t, err)
		return v
	}
}

// newRand returns a source of random numbers, and says how to get the same again.
func newRand(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// store is where a trail is: its directory, and that of its keys.
type store struct{ dir, keys string }

// newTrail makes a trail, which has one entry.
func newTrail(t testing.TB) (store, *custody.Trail) {
	t.Helper()
	s := store{filepath.Join(t.TempDir(), "trail"), t.TempDir()}
	get(custody.Create(s.dir, custody.CreateOptions{Origin: origin, KeyDir: s.keys}))(t)
	return s, s.open(t)
}

// open opens the trail for writing. Its guard is off, since some tests open copies.
func (s store) open(t testing.TB) *custody.Trail {
	t.Helper()
	trail := get(custody.Open(s.dir, &custody.Options{KeyDir: s.keys, Guard: custody.GuardOff, Logger: logger(t)}))(t)
	t.Cleanup(func() { must(t, trail.Close()) })
	return trail
}

// copyOf returns a copy of the trail as it is on the disk now.
func (s store) copyOf(t testing.TB) store {
	t.Helper()
	c := store{filepath.Join(t.TempDir(), "trail"), s.keys}
	must(t, os.CopyFS(c.dir, os.DirFS(s.dir)))
	return c
}

// signer returns the key that the trail is signed with.
func (s store) signer(t testing.TB, trail *custody.Trail) *evidence.Signer {
	t.Helper()
	return get(custody.ReadKey(get(custody.KeyFile(s.keys, trail.VerifierKey()))(t)))(t)
}

func logger(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

// grow records events until the trail has size entries.
func grow(t testing.TB, trail *custody.Trail, size uint64) {
	t.Helper()
	for n := trail.Size(); n < size; n = trail.Size() {
		batch := make([]event.Event, min(size-n, 4096))
		for i := range batch {
			batch[i] = event.Event{Type: event.TurnStarted, SessionID: fmt.Sprintf("s%d", i%5)}
		}
		get(trail.RecordBatch(t.Context(), batch))(t)
	}
	if trail.Size() != size {
		t.Fatalf("the trail has %d entries, more than the %d wanted", trail.Size(), size)
	}
}

// published is a log as outsiders see it.
type published struct {
	vkey       string // of the log
	url        string // where it is served
	dir        string // where its files are
	first      uint64 // minimum index
	checkpoint evidence.Checkpoint
}

// publish serves a trail and exports it below dir.
func publish(t testing.TB, trail *custody.Trail, dir string) *published {
	t.Helper()
	server := httptest.NewServer(tiles.NewHandler(trail, logger(t)))
	t.Cleanup(server.Close)
	p := &published{vkey: trail.VerifierKey(), url: server.URL, dir: dir, first: trail.First()}
	p.checkpoint = get(evidence.PeekCheckpoint(get(trail.Published(t.Context()))(t)))(t)
	x := get(tiles.Export(t.Context(), trail, dir))(t)
	if x.Minimum != p.first || x.Size != p.checkpoint.Size || x.Size != trail.Size() {
		t.Fatalf("published are %d entries, exported %d to %d, and the trail has %d to %d", p.checkpoint.Size, x.Minimum, x.Size, p.first, trail.Size())
	}
	return p
}

// policy returns the policy (C2SP tlog-policy) that believes the log's key alone.
func (p *published) policy() []byte { return fmt.Appendf(nil, "log %s\nquorum none\n", p.vkey) }

// judge is software that is not ours, and reads a published log in one of two ways.
// It returns the checkpoint of what it found to be right.
type judge struct {
	name string
	// whole says that it reads every log from entry 0 on, and so can read none that
	// was pruned.
	whole bool
	check func(context.Context, *published) (evidence.Checkpoint, error)
}

var judges = []judge{
	{"fsck over HTTP", true, func(ctx context.Context, p *published) (evidence.Checkpoint, error) { return fsck(ctx, p, p.url) }},
	{"fsck of files", true, func(ctx context.Context, p *published) (evidence.Checkpoint, error) {
		return fsck(ctx, p, "file://"+p.dir)
	}},
	{"torchwood over HTTP", false, torchwoodHTTP},
	{"torchwood of files", false, torchwoodFiles},
}

// wantJudged has all judges read a log. Each has to come to its checkpoint; those that
// read whole logs only have to miss what was pruned.
func wantJudged(t *testing.T, p *published) {
	t.Helper()
	want := &p.checkpoint
	for _, j := range judges {
		got, err := j.check(t.Context(), p)
		switch {
		case j.whole && p.first > 0:
			if err == nil || !strings.Contains(err.Error(), "tile/entries/000") {
				t.Errorf("%s reads a pruned log: %v", j.name, err)
			}
		case err != nil:
			t.Errorf("%s: %v", j.name, err)
		case got.Size != want.Size || got.Root != want.Root:
			t.Errorf("%s checked %d entries with the root %v; there are %d with %v", j.name, got.Size, got.Root, want.Size, want.Root)
		}
	}
}
