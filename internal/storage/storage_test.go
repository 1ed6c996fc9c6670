package storage

import (
	"errors"
	"math/rand/v2"
	"testing"
)

// TestKeyOfGolden: field numbers and hash are part of the index format. An index
// that was written with other ones finds nothing. The values were computed by an
// implementation of XXH64 that has nothing to do with the one used here.
func TestKeyOfGolden(t *testing.T) {
	for _, tt := range []struct {
		field uint8
		value string
		want  Key
	}{
		{0, "", 0xb72b101c5056},
		{1, "", 0xfc58e91cddf3},
		{1, "coder", 0x45a3bcfe4db3},
		{2, "coder", 0xb672e9b94e24},
		{1, "0193591c-0000-7000-8000-000000000000", 0x426fa1bba8c6},
		{255, "Grüße", 0xe3012a13b121},
	} {
		if got := KeyOf(tt.field, tt.value); got != tt.want {
			t.Errorf("KeyOf(%d, %q) = %#x, want %#x", tt.field, tt.value, got, tt.want)
		}
		if got := KeyOf(tt.field, []byte(tt.value)); got != tt.want {
			t.Errorf("KeyOf(%d, []byte(%q)) = %#x, want %#x", tt.field, tt.value, got, tt.want)
		}
	}
}

func TestKeysDiffer(t *testing.T) {
	seen := make(map[Key]string)
	for field := range uint8(16) {
		for i := range 5000 {
			value := string(rune('a'+i%26)) + string(rune(i))
			k := KeyOf(field, value)
			if k >= 1<<48 {
				t.Fatalf("KeyOf(%d, %q) = %#x has more than 48 bits", field, value, k)
			}
			if other, ok := seen[k]; ok {
				t.Fatalf("KeyOf(%d, %q) is that of %s", field, value, other)
			}
			seen[k] = value
		}
	}
}

func TestKeySum(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	type pair struct {
		k Key
		i uint64
	}
	pairs := make([]pair, 1000)
	for i := range pairs {
		pairs[i] = pair{Key(r.Uint64N(50)), r.Uint64N(1 << 20)} // some more than once
	}
	sum := func() (s KeySum) {
		for _, p := range pairs {
			s.Add(p.k, p.i)
		}
		return s
	}
	want := sum()
	for range 20 {
		r.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
		if got := sum(); got != want {
			t.Fatalf("another order gives %v, want %v", got, want)
		}
	}
	for range 1000 {
		i, j := r.IntN(len(pairs)), r.IntN(len(pairs))
		p, q := pairs[i], pairs[j]
		if p.k != q.k && p.i != q.i {
			// Each key and each index is there as often as before.
			pairs[i].k, pairs[j].k = q.k, p.k
			if sum() == want {
				t.Fatalf("%v and %v exchanged: same sum", p, q)
			}
			pairs[i], pairs[j] = p, q
		}
		pairs[i].i++
		if sum() == want {
			t.Fatalf("%v moved by one: same sum", p)
		}
		pairs[i] = p
	}
	pairs = pairs[:len(pairs)-1]
	if sum() == want {
		t.Error("one pair less: same sum")
	}
}

func TestCheckVersion(t *testing.T) {
	const prefix = "custody thing v"
	for _, tt := range []struct {
		head string
		want error
	}{
		{"custody thing v3\n", nil},
		{"custody thing v3\nand more", nil},
		{"custody thing v4\n", ErrNewer},
		{"custody thing v10\n", ErrNewer},
		{"custody thing v999999\n", ErrNewer},
		{"custody thing v2\n", ErrAltered},
		{"custody thing v0\n", ErrAltered},
		{"custody thing v03\n", ErrAltered},
		{"custody thing v04\n", ErrAltered},
		{"custody thing v\n", ErrAltered},
		{"custody thing v3", ErrAltered},
		{"custody thing v+4\n", ErrAltered},
		{"custody thing vx\n", ErrAltered},
		{"custody thing v9999999\n", ErrAltered},
		{"custody thinG v3\n", ErrAltered},
		{"custody", ErrAltered},
		{"", ErrAltered},
	} {
		if err := CheckVersion([]byte(tt.head), prefix, 3); !errors.Is(err, tt.want) {
			t.Errorf("%q: %v, want %v", tt.head, err, tt.want)
		}
	}
}

func TestFormatError(t *testing.T) {
	altered := &FormatError{Err: ErrAltered, File: "x.tail", Offset: 48, Detail: "why"}
	if got := altered.Error(); got != "x.tail, byte 48: stored bytes do not check out: why" || !errors.Is(altered, ErrAltered) || errors.Is(altered, ErrNewer) {
		t.Errorf("%q", got)
	}
	newer := &FormatError{Err: ErrNewer, File: "x.tail", Detail: "why"}
	if got := newer.Error(); got != "x.tail: written by a newer version of Custody: why" || !errors.Is(newer, ErrNewer) {
		t.Errorf("%q", got)
	}
}

func BenchmarkKeyOf(b *testing.B) {
	b.ReportAllocs()
	id := "0193591c-0000-7000-8000-000000000000"
	for b.Loop() {
		KeyOf(1, id)
	}
}
