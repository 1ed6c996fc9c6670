package stops_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/stops"
)

// life is a trail with stops that are placed, lifted and erased, and which of them hold.
type life struct {
	trail   *custody.Trail
	rng     *rand.Rand
	holding []string // ids
	lifted  []string
}

func (l *life) one(from []string) string { return from[l.rng.IntN(len(from))] }

// place records a stop.
func (l *life) place(t *testing.T) {
	t.Helper()
	r, err := l.trail.EmergencyStop(t.Context(), custody.Stop{Type: "session", SessionID: fmt.Sprint("s", l.rng.IntN(3)), TriggeredBy: l.one(people), Reason: "drill"})
	if err != nil {
		t.Fatal(err)
	}
	l.holding = append(l.holding, r.ID)
}

// lift records the end of a stop that holds, if one does.
func (l *life) lift(t *testing.T) {
	t.Helper()
	if len(l.holding) == 0 {
		return
	}
	id := l.one(l.holding)
	l.holding = slices.DeleteFunc(l.holding, func(other string) bool { return other == id })
	l.lifted = append(l.lifted, id)
	l.end(t, id)
}

func (l *life) end(t *testing.T, id string) {
	t.Helper()
	if _, err := l.trail.EmergencyStopCleared(t.Context(), id, l.one(people), custody.Stop{Reason: "mended"}); err != nil {
		t.Fatal(err)
	}
}

var people = []string{"u1", "u2", "u3"}

// erase erases what it may of what is asked for.
func (l *life) erase(t *testing.T, r custody.Erasure) {
	t.Helper()
	r.Ground, r.By, r.ExceptHeld = "g", "b", true
	if _, err := l.trail.Erase(t.Context(), r); err != nil && !errors.Is(err, custody.ErrNotFound) {
		t.Error(err)
	}
}

// check opens the trail anew and looks which stops hold.
func (l *life) check(t *testing.T, dir, keys, after string) {
	t.Helper()
	if err := l.trail.Close(); err != nil {
		t.Fatal(err)
	}
	l.trail = open(t, dir, keys)
	set, err := stops.Open(t.Context(), l.trail)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range set.Active() {
		got = append(got, s.ID)
	}
	slices.Sort(got)
	want := slices.Sorted(slices.Values(l.holding))
	if !slices.Equal(got, want) {
		t.Fatalf("after %s: %d stops hold, want %d:\n%s\n%s", after, len(got), len(want), strings.Join(got, " "), strings.Join(want, " "))
	}
	report, err := l.trail.Verify(t.Context(), custody.VerifyOptions{})
	if err != nil || !report.OK() {
		t.Fatalf("after %s: %v, %v", after, report, err)
	}
}

func newLife(t *testing.T) (l *life, dir, keys string) {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dir, keys = t.TempDir()+"/trail", t.TempDir()
	if _, err := custody.Create(dir, custody.CreateOptions{Origin: "example.org/stops", KeyDir: keys}); err != nil {
		t.Fatal(err)
	}
	return &life{trail: open(t, dir, keys), rng: rand.New(rand.NewPCG(seed, 0))}, dir, keys
}

// TestErasedAtRandom: whatever is erased, the stops that hold are known after a restart,
// and no other ones.
func TestErasedAtRandom(t *testing.T) {
	l, dir, keys := newLife(t)
	for range 30 {
		var after []string
		for range 1 + l.rng.IntN(4) {
			switch n := l.rng.IntN(10); {
			case n < 4:
				l.place(t)
				after = append(after, "a stop")
			case n < 6:
				l.lift(t)
				after = append(after, "its end")
			case n == 6 && len(l.lifted) > 0:
				l.end(t, l.one(l.lifted))
				after = append(after, "a second end")
			case n == 7:
				l.erase(t, custody.Erasure{Query: custody.Query{UserID: l.one(people)}})
				after = append(after, "an erasure by user")
			case n == 8:
				l.erase(t, custody.Erasure{Query: custody.Query{Types: []event.Type{event.EmergencyStopCleared}}})
				after = append(after, "an erasure of ends")
			default:
				some := evidence.Ranges{}
				for i := range l.trail.Size() {
					if l.rng.IntN(2) == 0 {
						some.Add(i)
					}
				}
				l.erase(t, custody.Erasure{Entries: some})
				after = append(after, "an erasure by index")
			}
		}
		l.check(t, dir, keys, strings.Join(after, ", "))
	}
	if len(l.holding) == 0 || len(l.lifted) == 0 {
		t.Errorf("%d stops hold, %d were lifted", len(l.holding), len(l.lifted))
	}
}

// TestErasedWhileRecording erases all that it may while stops are placed and lifted.
func TestErasedWhileRecording(t *testing.T) {
	l, dir, keys := newLife(t)
	for range 3 {
		done := make(chan struct{})
		var eraser sync.WaitGroup
		eraser.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					l.erase(t, custody.Erasure{Query: custody.Query{Types: []event.Type{event.EmergencyStop, event.EmergencyStopCleared}}})
				}
			}
		})
		for range 50 {
			l.place(t)
			if l.rng.IntN(4) > 0 {
				l.lift(t)
			}
		}
		close(done)
		eraser.Wait()
		l.check(t, dir, keys, "placing, lifting and erasing at once")
	}
}
