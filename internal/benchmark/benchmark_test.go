package benchmark

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

// feedEnv makes the test binary the writer that TestReopen kills.
const feedEnv = "CUSTODY_TEST_FEED"

func TestMain(m *testing.M) {
	if dir := os.Getenv(feedEnv); dir != "" {
		if err := Feed(context.Background(), dir, 3000, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestWorkload(t *testing.T) {
	const n = 30_000
	w, again := NewWorkload(1), NewWorkload(1)
	bytes := 0
	seen := map[event.Field]map[string]int{}
	for i := range uint64(n) {
		e := w.Event(i)
		if !reflect.DeepEqual(e, again.Event(i)) {
			t.Fatalf("event %d differs from one time to the next", i)
		}
		e.ID, e.Timestamp = "0197a1b2-c3d4-7e5f-8a6b-1234567890ab", time.Unix(1_800_000_000, 123456000)
		e, err := e.Normalize(event.Strict)
		if err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
		payload, err := e.AppendPayload(nil)
		if err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
		bytes += len(payload)
		fields := 0
		e.VisitFields(func(f event.Field, value string) {
			fields++
			if seen[f] == nil {
				seen[f] = map[string]int{}
			}
			seen[f][value]++
		})
		if fields != event.NumFields {
			t.Fatalf("event %d has %d of %d indexed fields", i, fields, event.NumFields)
		}
	}
	if mean := bytes / n; mean < payloadSize-10 || mean > payloadSize+10 {
		t.Errorf("a payload has %d bytes on average, want about %d", mean, payloadSize)
	}
	if got := len(seen[event.FieldAgent]); got != agents {
		t.Errorf("%d agents, want %d", got, agents)
	}
	for f, most := range map[event.Field]int{event.FieldAction: perAction, event.FieldCorrelation: perTask, event.FieldSession: perSession} {
		for value, got := range seen[f] {
			if got > most {
				t.Errorf("%d events have %s %q, want at most %d", got, f, value, most)
			}
		}
		if got, least := len(seen[f]), n/most; got < least {
			t.Errorf("%d values of %s, want at least %d", got, f, least)
		}
	}
}

func TestWorkloadAlternatesBetweenLiveSessions(t *testing.T) {
	w := NewWorkload(4)
	for i := range uint64(400) {
		if w.Event(i).SessionID == w.Event(i+1).SessionID {
			t.Fatalf("events %d and %d are of one session", i, i+1)
		}
		if i%200 < 196 && w.Event(i).SessionID != w.Event(i+4).SessionID {
			t.Fatalf("events %d and %d are not of one session", i, i+4)
		}
	}
}

func newTestTrail(t *testing.T, async bool) *TrailLog {
	t.Helper()
	log, err := NewTrail(filepath.Join(t.TempDir(), "trail"), async)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return log
}

func TestLoadRecordsEachEventOnce(t *testing.T) {
	for _, l := range []Load{
		{Name: "one caller", Callers: 1, Batch: 1},
		{Name: "callers", Callers: 7, Batch: 1},
		{Name: "batches", Callers: 3, Batch: 17},
		{Name: "asynchronous", Callers: 3, Batch: 1, Async: true},
	} {
		t.Run(l.Name, func(t *testing.T) {
			const first, n = 5, 170
			ctx, w, log := context.Background(), NewWorkload(1), newTestTrail(t, l.Async)
			s, err := l.Run(ctx, log, w, first, n)
			if err != nil {
				t.Fatal(err)
			}
			if s.Events != n || len(s.Latencies) != n/l.Batch || !slices.IsSorted(s.Latencies) {
				t.Errorf("%d events in %d calls, want %d in %d", s.Events, len(s.Latencies), n, n/l.Batch)
			}
			if !l.Async && (s.Commits < (n+l.Callers*l.Batch-1)/(l.Callers*l.Batch) || s.Commits > n/l.Batch) {
				t.Errorf("%d commits of %d calls by %d callers", s.Commits, n/l.Batch, l.Callers)
			}
			var want, got []string
			for i := range uint64(n) {
				e := w.Event(first + i)
				want = append(want, fmt.Sprint(e.ActionID, e.Type))
			}
			for e, err := range log.Entries(ctx, custody.Query{From: 1}) {
				if err != nil {
					t.Fatal(err)
				}
				ev, err := e.Event()
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, fmt.Sprint(ev.ActionID, ev.Type))
			}
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("the trail has %d events, which are not the %d of the workload", len(got), len(want))
			}
		})
	}
}

// paired is a log of which two calls share a commit.
type paired struct{ calls atomic.Uint64 }

func (p *paired) Append(context.Context, []event.Event) (uint64, error) {
	return p.calls.Add(1) / 2, nil
}

func (p *paired) Flush(context.Context) error { return nil }

func TestLoadCountsCommits(t *testing.T) {
	s, err := Load{Callers: 5, Batch: 2}.Run(context.Background(), &paired{}, NewWorkload(1), 0, 99)
	if err != nil || s.Events != 100 || s.Commits != 26 {
		t.Errorf("%d commits of %d events, error %v; want 26 of 100", s.Commits, s.Events, err)
	}
}

func TestLoadEndsWithTheLogsError(t *testing.T) {
	log, err := NewTrail(filepath.Join(t.TempDir(), "trail"), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Load{Callers: 4, Batch: 1}.Run(context.Background(), log, NewWorkload(1), 0, 100)
	if !errors.Is(err, custody.ErrClosed) {
		t.Errorf("error %v, want ErrClosed", err)
	}
}

func TestRawLimitLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	if elapsed, err := RawLimit(dir, 1000, 5); err != nil || elapsed <= 0 {
		t.Errorf("took %v, error %v", elapsed, err)
	}
	if rate, err := (Raw{EventsPerCommit: 10, BytesPerEvent: 800}).Rate(dir, 5*time.Millisecond); err != nil || rate <= 0 {
		t.Errorf("rate %v, error %v", rate, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, error %v", left, err)
	}
	if _, err := RawLimit(filepath.Join(dir, "missing"), 1000, 5); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want ErrNotExist", err)
	}
}

func TestRawCountsWhatTheTrailWrote(t *testing.T) {
	ctx, log := context.Background(), newTestTrail(t, false)
	s, err := Load{Callers: 1, Batch: 100}.Run(ctx, log, NewWorkload(1), 0, 2000)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := log.Raw(ctx, &s)
	if err != nil {
		t.Fatal(err)
	}
	tails, err := filepath.Glob(filepath.Join(log.Dir(), "tail", "*.tail"))
	if err != nil || len(tails) != 1 {
		t.Fatalf("tails %v, error %v", tails, err)
	}
	info, err := os.Stat(tails[0])
	if err != nil {
		t.Fatal(err)
	}
	if got, want := raw.BytesPerEvent*float64(s.Events), float64(info.Size()); math.Abs(got/want-1) > 0.02 {
		t.Errorf("%.0f bytes, but the file has %.0f", got, want)
	}
	if raw.EventsPerCommit != 100 {
		t.Errorf("%v events a commit, want 100", raw.EventsPerCommit)
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := median(tt.values); got != tt.want {
			t.Errorf("median of %v is %v, want %v", tt.values, got, tt.want)
		}
	}
}

func TestQuantile(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1))
	}
	for _, tt := range []struct {
		q    float64
		want time.Duration
	}{{0, 1}, {0.5, 51}, {0.99, 100}, {1, 100}} {
		if got := quantile(hundred, tt.q); got != tt.want {
			t.Errorf("quantile %v is %d, want %d", tt.q, got, tt.want)
		}
	}
}

// TestSuite runs everything but the kill on a small scale. Times are not
// looked at: only that each part says what it should.
func TestSuite(t *testing.T) {
	dir := t.TempDir()
	profiles := t.TempDir()
	const events = 70_000 // more than one segment
	rep, err := Suite{
		Dir: dir, Parts: []string{PartLoads, PartAllocs, PartQuery, PartVerify}, Profiles: profiles,
		Loads:  []Load{{Key: "2", Name: "two callers", Callers: 2, Batch: 1}, {Key: "2x10", Name: "two with batches", Callers: 2, Batch: 10}},
		Events: events, Rounds: Rounds{N: 1, Each: 20 * time.Millisecond},
	}.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Loads) != 2 {
		t.Fatalf("%d loads, want 2", len(rep.Loads))
	}
	for _, l := range rep.Loads {
		if l.Rate <= 0 || l.RawRate <= 0 || l.IdealRate <= 0 || l.Ratio <= 0 || l.P99 < l.P50 || l.Group < 1 || l.Behind != 1 || l.Written < payloadSize {
			t.Errorf("%+v", l)
		}
	}
	if a := rep.Allocs; a.Record <= 0 || a.Batched <= 0 || a.Record < a.Batched {
		t.Errorf("%+v", a)
	}
	if g := rep.Growth; g.Events != events || g.Sealed < 50 || g.Sealed > payloadSize || g.SealedIndex <= 0 || g.SealedIndex >= g.Sealed || g.HeapPeak <= g.HeapBefore {
		t.Errorf("%+v", g)
	}
	if len(rep.Queries) != len(Questions) {
		t.Fatalf("%d queries, want %d", len(rep.Queries), len(Questions))
	}
	for i, want := range []float64{1, 1, 2.9, 5.5, 100, 100, 20, 100, 20, 4} {
		if got := rep.Queries[i]; got.Results < want || got.Results > 1.1*want+2 || got.Size != events+1 {
			t.Errorf("%+v, want about %v results", got, want)
		}
	}
	if v := rep.Verified; len(v) != 2 || v[0].Entries != events+1 || v[0].Workers != 1 {
		t.Errorf("%+v", v)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, error %v", left, err)
	}
	for _, name := range []string{"load-2", "load-2x10", "grow", "verify-1"} {
		if _, err := os.Stat(filepath.Join(profiles, name+".pprof")); err != nil {
			t.Error(err)
		}
	}
}

func TestSuiteStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	dir := t.TempDir()
	rep, err := Suite{Dir: dir, Loads: Loads[:1], Rounds: Rounds{N: 1, Each: time.Millisecond}, Progress: func(what string) {
		if what == "memory allocations" {
			cancel()
		}
	}}.Run(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want Canceled", err)
	}
	if len(rep.Loads) != 1 || rep.Growth != nil {
		t.Errorf("the report does not hold what was measured until then: %+v", rep)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, error %v", left, err)
	}
}

func TestSuiteDoesNotFillTheDisk(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	begun := false
	s := Suite{Dir: t.TempDir(), Parts: []string{PartGrow}, Events: math.MaxInt / 1000, Progress: func(string) {
		begun = true
		cancel()
	}}
	if _, err := s.Run(ctx); err == nil || begun {
		t.Errorf("a suite that would fill the disk was begun; error %v", err)
	}
}

func TestReopen(t *testing.T) {
	ctx, dir := context.Background(), filepath.Join(t.TempDir(), "trail")
	log, err := NewTrail(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, err := Reopen(ctx, dir, 2, func(ctx context.Context, dir string) (*exec.Cmd, error) {
		cmd := exec.CommandContext(ctx, self)
		cmd.Env = append(os.Environ(), feedEnv+"="+dir)
		return cmd, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	const each = 3000
	if r.Size >= 1+2*(1+feedMost)*each {
		t.Error("the writer was not killed")
	}
	if r.Times != 2 || r.Size < 1+2*each || r.Median <= 0 || r.Max < r.Median || r.FirstAnswer < r.Median {
		t.Errorf("%+v", r)
	}
	// Whatever the kill cut short, what is there checks out.
	tr, err := custody.Open(dir, &custody.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	if _, err := Verify(ctx, tr, 1, nil); err != nil {
		t.Error(err)
	}
}

func TestReopenSaysWhyTheWriterEnded(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	_, err = Reopen(context.Background(), t.TempDir(), 1, func(ctx context.Context, dir string) (*exec.Cmd, error) {
		cmd := exec.CommandContext(ctx, self)
		cmd.Env = append(os.Environ(), feedEnv+"="+filepath.Join(dir, "no trail here"))
		return cmd, nil
	})
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Errorf("error %v, want that of the process", err)
	}
}
