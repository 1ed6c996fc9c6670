package benchmark

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/vfs"
)

// The parts of a suite.
const (
	PartLoads  = "load"   // each of Loads, beside the raw limit
	PartAllocs = "allocs" // memory allocations
	PartGrow   = "grow"   // a long row of events, with indexing and sealing
	PartQuery  = "query"  // queries on what has grown
	PartVerify = "verify" // its verification
	PartReopen = "reopen" // opening it after its writer was killed
)

// Parts lists them in the order in which they run.
var Parts = []string{PartLoads, PartAllocs, PartGrow, PartQuery, PartVerify, PartReopen}

// Suite says what to measure. Dir is required.
type Suite struct {
	// Dir is on the disk that is measured. A directory is made in it and
	// removed.
	Dir string

	Parts  []string // nil: all
	Loads  []Load   // nil: Loads
	Events int      // that the trail grows to; default: 1,000,000
	Rounds Rounds   // default: 5 rounds of 1 s; what is no load runs 5 times
	Live   int      // sessions that go on at once; default: 1

	// Profiles, if not empty, is a directory for a CPU profile of each part.
	Profiles string

	// Feed returns a command that runs [Feed] on dir, for PartReopen.
	Feed func(ctx context.Context, dir string) (*exec.Cmd, error)

	// Progress, if not nil, is told what is being measured.
	Progress func(what string)
}

// Report is what a suite measured.
type Report struct {
	Machine  Machine      `json:"machine"`
	Loads    []Result     `json:"loads,omitempty"`
	Allocs   *Allocations `json:"allocations,omitempty"`
	Growth   *Growth      `json:"growth,omitempty"`
	Queries  []Asked      `json:"queries,omitempty"`
	Verified []Verified   `json:"verifications,omitempty"`
	Reopened *Reopened    `json:"reopened,omitempty"`
}

// Machine says where it was measured.
type Machine struct {
	OS         string `json:"os"`
	Arch       string `json:"arch"`
	Go         string `json:"go"`
	Processors int    `json:"processors"`
	GOMAXPROCS int    `json:"gomaxprocs"`

	// Syncs is how often per second one thread can append 1,000 bytes to a
	// file and make them durable.
	Syncs float64 `json:"syncs_per_second"`
}

// spaceLeast is what has to be free on the disk besides what the trail takes.
const spaceLeast = 3 << 30

// Run measures. On an error, such as that of ctx, the report holds what was
// measured before.
func (s Suite) Run(ctx context.Context) (rep *Report, err error) {
	s.setDefaults()
	rep = &Report{Machine: Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, Go: runtime.Version(), Processors: runtime.NumCPU(), GOMAXPROCS: runtime.GOMAXPROCS(0)}}
	if err := s.checkSpace(); err != nil {
		return rep, err
	}
	dir, err := os.MkdirTemp(s.Dir, "custody-bench-")
	if err != nil {
		return rep, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	if rep.Machine.Syncs, err = (Raw{1, 1000}).Rate(dir, s.Rounds.Each/4); err != nil {
		return rep, err
	}
	w := NewWorkload(s.Live)
	if s.has(PartLoads) {
		for _, l := range s.Loads {
			s.progress("load: %s", l.Name)
			r, err := s.measureLoad(ctx, l, w, dir)
			if err != nil {
				return rep, err
			}
			rep.Loads = append(rep.Loads, r)
		}
	}
	if s.has(PartAllocs) {
		s.progress("memory allocations")
		if rep.Allocs, err = s.countAllocations(ctx, w, dir); err != nil {
			return rep, err
		}
	}
	if s.has(PartGrow) {
		return rep, s.growTrail(ctx, rep, w, filepath.Join(dir, "grown"))
	}
	return rep, nil
}

func (s *Suite) setDefaults() {
	if s.Parts == nil {
		s.Parts = Parts
	}
	if s.Loads == nil {
		s.Loads = Loads
	}
	if s.Events <= 0 {
		s.Events = 1_000_000
	}
	if s.Rounds.N <= 0 {
		s.Rounds.N = 5
	}
	if s.Rounds.Each <= 0 {
		s.Rounds.Each = time.Second
	}
}

// has reports whether a part is wanted, or needed by one that is.
func (s *Suite) has(part string) bool {
	if part == PartGrow {
		return slices.ContainsFunc([]string{PartGrow, PartQuery, PartVerify, PartReopen}, func(p string) bool { return slices.Contains(s.Parts, p) })
	}
	return slices.Contains(s.Parts, part)
}

func (s *Suite) progress(format string, args ...any) {
	if s.Progress != nil {
		s.Progress(fmt.Sprintf(format, args...))
	}
}

// checkSpace refuses to fill the disk.
func (s *Suite) checkSpace() error {
	free, _, err := vfs.OS{}.Free(s.Dir)
	if err != nil {
		return err
	}
	need := uint64(spaceLeast)
	if s.has(PartGrow) {
		need += 300 * uint64(s.Events)
	}
	if free < need {
		return fmt.Errorf("%s: %d MiB are free, and the measurement needs up to %d MiB", s.Dir, free>>20, need>>20)
	}
	return nil
}

// profile writes a CPU profile of what happens until the result is called.
func (s *Suite) profile(name string) (stop func() error, err error) {
	if s.Profiles == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(filepath.Join(s.Profiles, name+".pprof"))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

// measureLoad measures one load on a trail of its own.
func (s *Suite) measureLoad(ctx context.Context, l Load, w *Workload, dir string) (r Result, err error) {
	trail := filepath.Join(dir, "load")
	log, err := NewTrail(trail, l.Async)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, log.Close(), os.RemoveAll(trail)) }()
	logs := []Contender{{Name: "custody", Log: log}}
	results, err := s.Rounds.Measure(ctx, l, logs, w, dir)
	if err != nil {
		return r, err
	}
	if s.Profiles != "" {
		// One more run, without the raw limit, whose time would be in it.
		stop, err := s.profile("load-" + l.Key)
		if err != nil {
			return r, err
		}
		_, err = logs[0].run(ctx, l, w)
		if err := errors.Join(err, stop()); err != nil {
			return r, err
		}
	}
	return results[0], nil
}

func (s *Suite) countAllocations(ctx context.Context, w *Workload, dir string) (_ *Allocations, err error) {
	trail := filepath.Join(dir, "allocs")
	log, err := NewTrail(trail, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, log.Close(), os.RemoveAll(trail)) }()
	a, err := CountAllocations(ctx, log.Trail, w)
	return &a, err
}

const (
	million  = 1_000_000
	askTimes = 2000 // that a query is asked, in a trail of a million entries
)

// growTrail grows a trail and measures what it can do then.
func (s *Suite) growTrail(ctx context.Context, rep *Report, w *Workload, dir string) (err error) {
	log, err := NewTrail(dir, false)
	if err != nil {
		return err
	}
	open := true
	defer func() {
		if open {
			err = errors.Join(err, log.Close())
		}
	}()
	perRun := million / 2
	if s.Events < million {
		perRun = million / 10
	}
	var since []byte // the checkpoint before the last run
	s.progress("growing a trail to %d events", s.Events)
	stop, err := s.profile("grow")
	if err != nil {
		return err
	}
	g, err := Grow(ctx, Contender{Name: "custody", Log: log}, w, s.Events, perRun, func(events int) error {
		s.progress("growing a trail: %d of %d events", events, s.Events)
		if events < s.Events {
			if since, err = log.Checkpoint(ctx); err != nil {
				return err
			}
		}
		if events == million && events < s.Events && s.has(PartQuery) {
			// The profile ends here, so that it holds nothing but growing.
			err := stop()
			stop = func() error { return nil }
			return errors.Join(err, s.ask(ctx, rep, log.Trail, w))
		}
		return nil
	})
	if err = errors.Join(err, stop()); err != nil {
		return err
	}
	rep.Growth = &g
	if s.has(PartQuery) {
		if err := s.ask(ctx, rep, log.Trail, w); err != nil {
			return err
		}
	}
	if s.has(PartVerify) {
		if err := s.verify(ctx, rep, log.Trail, since); err != nil {
			return err
		}
	}
	open = false
	if err := log.Close(); err != nil {
		return err
	}
	if g.Sealed, g.SealedIndex, err = sealedSize(dir); err != nil {
		return err
	}
	if s.has(PartReopen) && s.Feed != nil {
		s.progress("opening the trail after its writer was killed")
		r, err := Reopen(ctx, dir, s.Rounds.N, s.Feed)
		if err != nil {
			return err
		}
		rep.Reopened = &r
	}
	return nil
}

func (s *Suite) ask(ctx context.Context, rep *Report, t *custody.Trail, w *Workload) (err error) {
	s.progress("queries at %d entries", t.Size())
	stop, err := s.profile(fmt.Sprintf("query-%d", t.Size()))
	if err != nil {
		return err
	}
	asked, err := AskAll(ctx, t, w, min(askTimes, max(1, s.Events/(million/askTimes))))
	rep.Queries = append(rep.Queries, asked...)
	return errors.Join(err, stop())
}

// verify measures a whole verification with one worker, with one for each
// processor, and one of what is new.
func (s *Suite) verify(ctx context.Context, rep *Report, t *custody.Trail, since []byte) error {
	type way struct {
		workers int
		since   []byte
	}
	ways := []way{{1, nil}, {runtime.NumCPU(), nil}}
	if since != nil {
		ways = append(ways, way{runtime.NumCPU(), since})
	}
	for _, how := range ways {
		s.progress("verification, %d workers", how.workers)
		name := fmt.Sprintf("verify-%d", how.workers)
		if how.since != nil {
			name = "verify-since"
		}
		stop, err := s.profile(name)
		if err != nil {
			return err
		}
		var all []Verified
		for range s.Rounds.N {
			v, err := Verify(ctx, t, how.workers, how.since)
			if err != nil {
				return errors.Join(err, stop())
			}
			all = append(all, v)
		}
		if err := stop(); err != nil {
			return err
		}
		slices.SortFunc(all, func(a, b Verified) int { return cmp.Compare(a.Rate, b.Rate) })
		rep.Verified = append(rep.Verified, all[len(all)/2])
	}
	return nil
}
