package evidence

import (
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestParseRanges(t *testing.T) {
	for text, count := range map[string]uint64{"": 0, "0": 1, "0-41,43,50-99": 93, "9223372036854775807": 1} {
		r, err := ParseRanges(text)
		if err != nil || r.Count() != count || r.String() != text {
			t.Errorf("%q: %v, %d, %q", text, err, r.Count(), r)
		}
	}
	for _, text := range []string{",", "1,", "a", "-", "1-", "-1", "01", "2-1", "1-1", "1,1", "1,2", "1-3,4", "1-3,2", "5,1", "1 ,3", "+1", "9223372036854775808", "1--2"} {
		if r, err := ParseRanges(text); err == nil {
			t.Errorf("%q gives %v", text, r)
		}
	}
}

// TestRangesOperations compares the operations with those on a plain set.
func TestRangesOperations(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	const n = 40
	set := func() (Ranges, [n]bool) {
		var in [n]bool
		var indices []uint64
		for i := range n {
			if in[i] = rng.IntN(3) > 0; in[i] {
				indices = append(indices, uint64(i))
			}
		}
		rng.Shuffle(len(indices), func(i, j int) { indices[i], indices[j] = indices[j], indices[i] })
		return RangesOf(append(indices, indices...)), in
	}
	check := func(what string, r Ranges, want func(i int) bool) {
		t.Helper()
		var indices []uint64
		for i := range n {
			if want(i) {
				indices = append(indices, uint64(i))
			}
			if r.Contains(uint64(i)) != want(i) {
				t.Fatalf("seed %d: %s: %s contains %d: %v", seed, what, r, i, !want(i))
			}
		}
		if got := slices.Collect(r.All()); !slices.Equal(got, indices) || r.Count() != uint64(len(indices)) {
			t.Fatalf("seed %d: %s: %s holds %v, want %v", seed, what, r, got, indices)
		}
		if again, err := ParseRanges(r.String()); err != nil || !slices.Equal(again, r) {
			t.Fatalf("seed %d: %s: %s is read as %v, %v", seed, what, r, again, err)
		}
	}
	for range 2000 {
		a, inA := set()
		b, inB := set()
		check("union", a.Union(b), func(i int) bool { return inA[i] || inB[i] })
		check("minus", a.Minus(b), func(i int) bool { return inA[i] && !inB[i] })
		check("intersection", a.Intersect(b), func(i int) bool { return inA[i] && inB[i] })
		from, to := uint64(rng.IntN(n)), uint64(rng.IntN(n+1))
		check("between", a.Between(from, to), func(i int) bool { return inA[i] && uint64(i) >= from && uint64(i) < to })
		limit := 5 + rng.IntN(30)
		var joined Ranges
		for _, part := range a.Split(limit) {
			if len(part.String()) > limit {
				t.Fatalf("seed %d: %q is longer than %d", seed, part, limit)
			}
			joined = append(joined, part...)
		}
		if joined.String() != a.String() {
			t.Fatalf("seed %d: %s split is %s", seed, a, joined)
		}
	}
}

func FuzzParseRanges(f *testing.F) {
	f.Add("0-41,43,50-99")
	f.Add(strings.Repeat("1,", 40))
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRanges(text)
		if err == nil && r.String() != text {
			t.Errorf("%q is written as %q", text, r)
		}
	})
}

func TestParseListed(t *testing.T) {
	d := Ranges{{0, 41}, {43, 43}}.Digest()
	digest := hex.EncodeToString(d[:])
	if r, err := ParseListed("0-41,43", digest, 44); err != nil || r.Count() != 43 {
		t.Errorf("%v, %v", r, err)
	}
	for what, err := range map[string]error{
		"other indices":     errorOf(ParseListed("0-41", digest, 44)),
		"no ranges":         errorOf(ParseListed("0-", digest, 44)),
		"not before it":     errorOf(ParseListed("0-41,43", digest, 43)),
		"upper-case digest": errorOf(ParseListed("0-41,43", strings.ToUpper(digest), 44)),
		"no digest":         errorOf(ParseListed("0-41,43", "", 44)),
	} {
		if err == nil {
			t.Errorf("%s: taken", what)
		}
	}
}

func errorOf(_ Ranges, err error) error { return err }
