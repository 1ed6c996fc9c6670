package evidence

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/big"
	"slices"
	"testing"
)

// sampleByTheText draws as docs/format/proof.md says, with a list of all indices
// and large integers.
func sampleByTheText(seed string, root Hash, size, n int) []uint64 {
	list := make([]uint64, size)
	for i := range list {
		list[i] = uint64(i)
	}
	u64 := func(n uint64) string { return string(binary.BigEndian.AppendUint64(nil, n)) }
	counter := uint64(0)
	number := func() *big.Int {
		sum := sha256.Sum256([]byte("custody sample v1\n" + u64(uint64(len(seed))) + seed + string(root[:]) + u64(uint64(size)) + u64(counter)))
		counter++
		return new(big.Int).SetBytes(sum[:8])
	}
	for i := range min(n, size) {
		m := big.NewInt(int64(size - i))
		refused := new(big.Int).Mod(new(big.Int).Lsh(big.NewInt(1), 64), m)
		x := number()
		for x.Cmp(refused) < 0 {
			x = number()
		}
		j := i + int(x.Mod(x, m).Int64())
		list[i], list[j] = list[j], list[i]
	}
	return list[:min(n, size)]
}

func TestSampleIsThatOfTheText(t *testing.T) {
	for _, seed := range []string{"", "a", "a longer seed than most"} {
		for size := 1; size < 40; size++ {
			for n := 1; n < 45; n++ {
				got, want := Sample([]byte(seed), leafOf(7), uint64(size), n), sampleByTheText(seed, leafOf(7), size, n)
				if !slices.Equal(got, want) {
					t.Fatalf("seed %q, %d of %d: %v, want %v", seed, n, size, got, want)
				}
			}
		}
	}
}

func TestSample(t *testing.T) {
	seed, root := []byte("seed"), leafOf(1)
	if got := Sample(seed, root, 0, 5); got != nil {
		t.Errorf("of nothing: %v", got)
	}
	for _, n := range []int{0, -1, math.MinInt} {
		if got := Sample(seed, root, 5, n); got != nil {
			t.Errorf("%d: %v", n, got)
		}
	}
	all := Sample(seed, root, 1000, math.MaxInt)
	if sorted := slices.Sorted(slices.Values(all)); len(slices.Compact(sorted)) != 1000 || sorted[999] != 999 {
		t.Errorf("of 1000 entries, all are %v", all)
	}
	for n := range 1000 {
		if got := Sample(seed, root, 1000, n); !slices.Equal(got, all[:n]) {
			t.Fatalf("%d is not the beginning of a larger sample: %v", n, got)
		}
	}
	for _, size := range []uint64{math.MaxUint64, math.MaxInt64, 1<<63 + 1} {
		for _, i := range Sample(seed, root, size, 100) {
			if i >= size {
				t.Errorf("%d of %d", i, size)
			}
		}
	}
	// Everything that goes in counts, and where the seed ends does.
	other := [][]uint64{
		Sample([]byte("seeds"), root, 1000, 10), Sample(seed, leafOf(2), 1000, 10), Sample(seed, root, 1001, 10),
		Sample(append([]byte("seed"), root[0]), Hash(append(root[1:32:32], 0)), 1000, 10), all[:10],
	}
	for i, a := range other {
		for _, b := range other[:i] {
			if slices.Equal(a, b) {
				t.Errorf("the same sample twice: %v", a)
			}
		}
	}
}

// TestSampleIsEven counts how often each entry is drawn at each place. It draws
// the same on each run.
func TestSampleIsEven(t *testing.T) {
	const size, n, rounds = 7, 3, 7000
	var counts [n][size]int
	for round := range uint64(rounds) {
		for place, index := range Sample(binary.BigEndian.AppendUint64(nil, round), Hash{}, size, n) {
			counts[place][index]++
		}
	}
	// 1000 are expected in each; the standard deviation is below 30.
	for place, indices := range counts {
		for index, count := range indices {
			if count < 850 || count > 1150 {
				t.Errorf("entry %d is drawn %d times at place %d; 1000 are expected", index, count, place)
			}
		}
	}
}

// TestDrawingRejects: of a bound a little above 2^63, half of all numbers are
// passed over, and none that is given is at or above the bound.
func TestDrawingRejects(t *testing.T) {
	d := drawing{input: []byte("x")}
	const m = 1<<63 + 1
	for range 1000 {
		if x := d.below(m); x >= m {
			t.Fatal(x)
		}
	}
	if d.counter < 1800 || d.counter > 2200 {
		t.Errorf("1000 numbers took %d hashes; 2000 are expected", d.counter)
	}
}
