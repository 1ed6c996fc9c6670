package alert

import (
	"math/bits"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/custodylog/custody/evidence"
)

// There are few marks, and one that is not much farther back than any entry is.
func TestMarks(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 20 {
		var m marks
		step, first, index := 1+rng.Uint64N(20), rng.Uint64N(100), uint64(0)
		for n := range 1500 {
			before := append(marks{}, m...)
			next := m.with(mark{first + index, evidence.Hash{1}})
			for i := range before {
				if before[i] != m[i] {
					t.Fatal("a step changed the marks that it began from")
				}
			}
			m = next
			if err := m.fit(first + index + 1); err != nil {
				t.Fatal(err)
			}
			if most := 2*bits.Len64(index) + 2; len(m) > most {
				t.Fatalf("%d marks for %d entries, more than %d", len(m), index, most)
			}
			if m[0].Index != first {
				t.Fatalf("the first of %d is forgotten", n)
			}
			if n%50 == 0 {
				far := m[0].Index
				for i := range m[1:] {
					// From an entry just before a mark it is as far to the mark before.
					back, distance := m[i+1].Index-far, first+index-m[i+1].Index+1
					if far = m[i+1].Index; back > 4*distance+step {
						t.Fatalf("%d entries back there is none for %d more: %v", distance, back, m)
					}
				}
			}
			index += 1 + rng.Uint64N(step)
		}
	}
	m := marks{{5, evidence.Hash{1}}}
	if len(m.with(mark{})) != 1 || len(m.with(mark{5, evidence.Hash{2}})) != 1 {
		t.Error("what is no newer entry becomes a mark")
	}
}

// copyDir copies what is in a directory, but for one name in it.
func copyDir(t *testing.T, from, to, but string) {
	t.Helper()
	must(t, os.MkdirAll(to, 0o700))
	all, err := os.ReadDir(from)
	must(t, err)
	for _, d := range all {
		name := filepath.Join(from, d.Name())
		switch {
		case d.Name() == but:
		case d.IsDir():
			copyDir(t, name, filepath.Join(to, d.Name()), "")
		default:
			b, err := os.ReadFile(name)
			must(t, err)
			must(t, os.WriteFile(filepath.Join(to, d.Name()), b, 0o600))
		}
	}
}

// After the trails were restored from a backup, and the state of the alerts was not, no
// event is passed over, however many there are by then, and it is told.
func TestRestored(t *testing.T) {
	for name, tt := range map[string]struct {
		lost, meanwhile int    // denials after the backup, and after the restore while nobody looks
		marks           bool   // the state has them
		told            string // of the alert
		raised          int    // of what was recorded after the restore
	}{
		"shorter":                       {lost: 20, meanwhile: 3, marks: true, told: "as far as entry 26", raised: 4},
		"longer":                        {lost: 3, meanwhile: 20, marks: true, told: "as far as entry 9", raised: 21},
		"shorter, an earlier version":   {lost: 20, meanwhile: 3, told: "as far as entry 26, as after a restore from a backup: they went on from entry 9", raised: 1},
		"the same, nothing was lost":    {meanwhile: 5, marks: true, raised: 6},
		"longer, an earlier version":    {lost: 3, meanwhile: 20, raised: 18}, // it cannot tell
		"the same size with other ends": {lost: 3, meanwhile: 3, marks: true, told: "as far as entry 9", raised: 4},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, Config{Rules: denials(1)})
			s.start()
			for range 5 {
				s.deny("a")
				s.get()
			}
			s.settled()
			s.stop()
			backup := filepath.Join(t.TempDir(), "backup")
			copyDir(t, s.dir, backup, "alerts")
			s.start()
			for range tt.lost {
				s.deny("a")
				s.get()
			}
			s.settled()
			s.stop()

			alerts := filepath.Join(t.TempDir(), "alerts")
			must(t, os.Rename(filepath.Join(s.dir, "alerts"), alerts))
			must(t, os.RemoveAll(s.dir))
			copyDir(t, backup, s.dir, "")
			must(t, os.Rename(alerts, filepath.Join(s.dir, "alerts")))
			state := filepath.Join(s.dir, "alerts", "state", "default.json")
			if !tt.marks {
				b, err := os.ReadFile(state)
				must(t, err)
				at, end := strings.Index(string(b), `"marks":`), strings.Index(string(b), `"windows":`)
				must(t, os.WriteFile(state, append(b[:at:at], b[end:]...), 0o600))
			}
			s.cfg.Rules = nil
			s.start()
			size := s.trail("default").Size()
			for range tt.meanwhile {
				s.deny("a")
			}
			s.stop()

			s.cfg.Rules = denials(1)
			s.start()
			s.deny("a")
			s.settled()
			var told []Alert
			raised := map[uint64]int{}
			for len(s.received) > 0 {
				got := s.get()
				if got.Type == "operation.alert" {
					told = append(told, got.Alert)
				} else if got.Raised.Index >= size {
					raised[got.Raised.Index]++
				}
			}
			if len(raised) != tt.raised {
				t.Errorf("%d alerts of what was recorded since, want %d: %v", len(raised), tt.raised, raised)
			}
			for index, n := range raised {
				if n != 1 {
					t.Errorf("entry %d raises %d alerts", index, n)
				}
			}
			if tt.told == "" {
				if len(told) > 0 {
					t.Errorf("told: %+v", told)
				}
				return
			}
			if len(told) == 0 {
				told = append(told, s.get().Alert)
			}
			if told[0].Code != "trail_replaced" || told[0].Trail != "default" || told[0].Stops || !strings.Contains(told[0].Detail, tt.told) {
				t.Errorf("told: %+v", told)
			}

			// The next start knows where it is.
			s.stop()
			s.start()
			s.deny("a")
			if got := s.get(); got.Type == "operation.recovered" {
				got = s.get()
			} else if got.Type != "alert.raised" {
				t.Errorf("got %s", got.body)
			}
			s.settled()
			for _, alert := range s.alerts.Operational() {
				t.Errorf("still told: %+v", alert)
			}
		})
	}
}
