package custody

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

// A clock that is behind the newest entry when the trail is opened is recorded,
// and no time in the trail is before the one before it.
func TestClockBehind(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := &clock{at: time.Now().Add(time.Hour)}
		log := &lines{}
		opts := Options{now: c.now, Logger: slog.New(slog.NewTextHandler(log, nil)), Mode: event.Strict}
		trail := onMem(t, opts)
		record(t, trail, turn(1))
		newest := get(trail.Entry(t.Context(), 1))(t).Time
		c.advance(-30 * time.Minute)
		trail = reopen(t, trail, opts)
		defer trail.Close()
		record(t, trail, turn(2))
		synctest.Wait()
		record(t, trail, turn(3))

		entries := all(t, trail, Query{})
		for i := range entries[1:] {
			if entries[i+1].Time.Before(entries[i].Time) {
				t.Errorf("entry %d is of %v, the one before of %v", i+1, entries[i+1].Time, entries[i].Time)
			}
		}
		steps := all(t, trail, Query{Types: []event.Type{event.ClockStepped}})
		if len(steps) != 1 {
			t.Fatalf("%d events tell of a step", len(steps))
		}
		e := get(steps[0].Event())(t)
		if e.Details["what"] != "backward" || fmt.Sprint(e.Details["step_ms"]) != fmt.Sprint((-30*time.Minute).Milliseconds()) || len(e.Defects) != 0 {
			t.Errorf("recorded is %+v", e)
		}
		if got := e.Details["last"]; got != newest.Format("2006-01-02T15:04:05.000000Z") && got != newest.Format(time.RFC3339Nano) {
			t.Errorf("the last time is %v, want %v", got, newest)
		}
		if !strings.Contains(log.String(), "jumped") {
			t.Errorf("the log says %q", log)
		}
		wantClean(t, trail)
	})
}

// The trail records what the sequencer tells it of a jump while it runs.
func TestClockSteps(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		trail := onMem(t, Options{Mode: event.Strict})
		defer trail.Close()
		now := time.Now()
		trail.onClockStep(now, now.Add(90*time.Second))
		synctest.Wait()
		trail.onClockStep(now, now.Add(-90*time.Second))
		synctest.Wait()
		var got []string
		for _, entry := range all(t, trail, Query{Types: []event.Type{event.ClockStepped}}) {
			e := get(entry.Event())(t)
			got = append(got, fmt.Sprint(e.Details["what"], " ", e.Details["step_ms"]))
		}
		if want := []string{"forward 90000", "backward -90000"}; !slices.Equal(got, want) {
			t.Errorf("recorded are %q, want %q", got, want)
		}
		must(t, trail.Close())
		trail.onClockStep(now, now.Add(time.Hour)) // too late, and no harm
		wantSize(t, trail, 3)
	})
}

// A clock that stands still, or goes back while the trail is open, does not make
// times go back.
func TestTimesNeverDecrease(t *testing.T) {
	c := &clock{at: time.Now().Add(time.Hour)}
	trail := onMem(t, Options{now: c.now})
	rng := newRand(t)
	for n := range 50 {
		c.advance(time.Duration(rng.IntN(2000)-1000) * time.Millisecond)
		record(t, trail, turns(3*n, 3*n+3)...)
	}
	wantClean(t, trail)
}

func TestDiskWarning(t *testing.T) {
	for _, tt := range []struct {
		name    string
		free    float64 // percent
		warning float64
		want    bool
	}{
		{"below the default", 5, 0, true},
		{"above the default", 15, 0, false},
		{"below what was asked for", 30, 40, true},
		{"never", 1, -1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				disk := vfstest.NewMem()
				must(t, disk.WriteAll("ballast", make([]byte, 10<<20)))
				log := &lines{}
				opts := Options{fs: disk, DiskWarning: tt.warning, Mode: event.Strict, Logger: slog.New(slog.NewTextHandler(log, nil))}
				trail := newTrail(t, opts)
				must(t, trail.Close())
				setFree(t, disk, tt.free)
				trail = openTrail(t, "trail", Options{fs: disk, KeyDir: trail.opts.KeyDir, DiskWarning: tt.warning, Mode: event.Strict, Logger: opts.Logger})
				defer trail.Close()
				time.Sleep(time.Minute) // it looks now and then, and tells once
				record(t, trail, turn(1))
				synctest.Wait()
				warnings := all(t, trail, Query{Types: []event.Type{event.DiskSpaceLow}})
				if want := map[bool]int{true: 1}[tt.want]; len(warnings) != want || strings.Contains(log.String(), "filling up") != tt.want {
					t.Fatalf("%d warnings; the log says %q", len(warnings), log)
				}
				if !tt.want {
					return
				}
				e := get(warnings[0].Event())(t)
				used, threshold := fmt.Sprint(e.Details["used_percent"]), fmt.Sprint(e.Details["threshold"])
				if !strings.HasPrefix(used, fmt.Sprint(100 - tt.free)[:1]) || threshold != fmt.Sprint(100-map[float64]float64{0: 10}[tt.warning]-max(0, tt.warning)) || len(e.Defects) != 0 {
					t.Errorf("recorded is %+v", e)
				}

				// When there was room in between, it tells again.
				setFree(t, disk, 90)
				time.Sleep(time.Minute)
				setFree(t, disk, tt.free)
				time.Sleep(time.Minute)
				if n := len(all(t, trail, Query{Types: []event.Type{event.DiskSpaceLow}})); n != 2 {
					t.Errorf("%d warnings after the second time", n)
				}
			})
		})
	}
}

// setFree makes so many percent of the disk free.
func setFree(t *testing.T, disk *vfstest.Mem, percent float64) {
	t.Helper()
	free, total, err := disk.Free("trail")
	must(t, err)
	used := float64(total - free)
	disk.SetFree(uint64(used * percent / (100 - percent)))
}
