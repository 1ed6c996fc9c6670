package custody

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
)

// rounds makes tests that choose at random, or wait for luck, go on for longer.
var rounds = flag.Int("custody.rounds", 1, "repeat random tests so many times")

// newRand returns a source of randomness whose seed is printed if the test
// fails.
func newRand(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// A single bit that flips in any file of a trail is found, or it is one without
// meaning: what the trail holds reads the same to the last byte, and the bit is
// one of those that are listed here.
func TestRandomFlips(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		made  func() (*fixture, error)
		flips int
	}{
		{"small", smallTrail, 150},
		{"rotated", rotatedTrail, 50},
		{"sealed", sealedTrail, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := tt.made()
			must(t, err)
			rng := newRand(t)
			content := files(t, f.dir)
			names := slices.Sorted(maps.Keys(content))
			originals := f.samples(t)
			t.Run("flip", func(t *testing.T) {
				for range tt.flips * *rounds {
					name := names[rng.IntN(len(names))]
					offset, bit := rng.IntN(len(content[name])), rng.IntN(8)
					t.Run(fmt.Sprintf("%s byte %d bit %d", filepath.Base(name), offset, bit), func(t *testing.T) {
						t.Parallel()
						flipped := slices.Clone(content[name])
						flipped[offset] ^= 1 << bit
						dir := f.copyOf(t)
						replace(t, filepath.Join(dir, name), flipped)
						if why := checkFlip(t, f, dir, name, originals, content[name], flipped, offset); why != "" {
							t.Error(why)
						}
					})
				}
			})
		})
	}
}

// checkFlip returns what is wrong with how a flipped bit is dealt with.
func checkFlip(t testing.TB, f *fixture, dir, name string, originals []Entry, was, is []byte, offset int) string {
	trail, err := Open(dir, &Options{ReadOnly: true, Logger: quiet})
	if errors.Is(err, ErrNewer) && name == "trail.json" {
		return "" // it is another version now
	}
	if err != nil {
		return fmt.Sprintf("it cannot be opened for reading: %v", err)
	}
	defer trail.Close()
	report := verifyReport(t, trail, VerifyOptions{})
	first := f.size()
	if !report.OK() {
		first = report.Findings[0].Index
	}
	// What is before the first finding is as it was. It may be in a commit that
	// is not read any more, since its checksum is wrong.
	for _, want := range originals {
		if want.Index >= first {
			break
		}
		got, err := trail.Entry(t.Context(), want.Index)
		if errors.Is(err, ErrAltered) && !report.OK() {
			continue
		}
		if err != nil || !bytes.Equal(got.Envelope, want.Envelope) || !bytes.Equal(got.Payload, want.Payload) || !bytes.Equal(got.Salt, want.Salt) {
			return fmt.Sprintf("entry %d is not as it was, %v; found is only %v", want.Index, err, report.Findings)
		}
	}
	if report.OK() && !meaningless(name, was, is, offset) {
		return "nothing is found"
	}
	return ""
}

// meaningless reports whether a bit may flip without being found.
func meaningless(name string, was, is []byte, offset int) bool {
	switch {
	case name == "lock":
		return true // it says who writes, and nothing about the trail
	case name == "trail.json":
		// Names of members are compared without regard to case.
		return bytes.EqualFold(was, is) && bytes.Contains(was[offset:], []byte(`": `))
	case name == "checkpoint":
		// The last character before the padding of a signature has bits that
		// belong to none of its bytes.
		return offset+1 < len(is) && is[offset+1] == '='
	case filepath.Ext(name) == ".segment":
		// Some bits of a zstd frame mean nothing. Reading it all gave the
		// same, and entries and payloads are checked against hashes.
		f := parseSealed(was)
		blocks := len(was) - 32 - 32*len(f.hashes)
		return offset >= 32 && offset < blocks
	}
	return false
}
