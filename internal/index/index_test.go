package index

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/storage"
	"github.com/custodylog/custody/internal/testlong"
)

// model is an index as one writes it down without thinking.
type model struct {
	positions map[key][]uint32
	counts    map[string]map[int64]uint64 // by type and hour
	count     uint32
}

func (m *model) add(at time.Time, typ string, keys []key) {
	for _, k := range keys {
		if p := m.positions[k]; len(p) == 0 || p[len(p)-1] != m.count {
			m.positions[k] = append(p, m.count)
		}
	}
	if m.counts[typ] == nil {
		m.counts[typ] = make(map[int64]uint64)
	}
	hour := at.Unix() / 3600
	if at.Unix()%3600 < 0 {
		hour--
	}
	m.counts[typ][hour]++
	m.count++
}

func (m *model) buckets() (out []Bucket) {
	for typ, hours := range m.counts {
		for hour, n := range hours {
			out = append(out, Bucket{hour, typ, n})
		}
	}
	return sorted(out)
}

func sorted(b []Bucket) []Bucket {
	slices.SortFunc(b, func(x, y Bucket) int { return cmp.Or(cmp.Compare(x.Hour, y.Hour), cmp.Compare(x.Type, y.Type)) })
	return b
}

func (m *model) sum(first uint64) (s storage.KeySum) {
	for k, positions := range m.positions {
		for _, p := range positions {
			s.Add(k, first+uint64(p))
		}
	}
	for typ, hours := range m.counts {
		for hour, n := range hours {
			s.Count([]byte(typ), hour*microsecondsPerHour, n)
		}
	}
	return s
}

// fill adds n random entries to an index and its model: keys that are there once,
// a few times, in every tenth entry and in every one.
func fill(r *rand.Rand, m *Memory, n int) *model {
	mod := &model{positions: make(map[key][]uint32), counts: make(map[string]map[int64]uint64)}
	at := time.Unix(r.Int64N(1<<32)-1<<30, 0)
	for i := range n {
		at = at.Add(time.Duration(r.Int64N(int64(2 * time.Second))))
		if r.IntN(500) == 0 {
			at = at.Add(time.Duration(r.IntN(5)) * time.Hour)
		}
		typ := fmt.Sprintf("type_%d", r.IntN(1+r.IntN(30)))
		keys := []key{
			storage.KeyOf(1, fmt.Sprint("id ", i)),
			storage.KeyOf(2, typ),
			storage.KeyOf(3, fmt.Sprint("agent ", r.IntN(10))),
			storage.KeyOf(4, fmt.Sprint("action ", i/3)),
			storage.KeyOf(9, "in every one"),
		}
		// Keys with the same place in the table as others, the smallest and the
		// largest, and some twice.
		switch r.IntN(6) {
		case 0:
			keys = append(keys, keys[0]^memoryHeads, keys[0])
		case 1:
			keys = append(keys, 0, 1<<48-1)
		case 2:
			keys = keys[:r.IntN(len(keys))]
		}
		m.Add(at.UnixMicro(), typ, keys)
		mod.add(at, typ, keys)
	}
	return mod
}

func newRand(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

func TestMemoryAgainstModel(t *testing.T) {
	r := newRand(t)
	m := NewMemory()
	for _, n := range []int{0, 1, 2, 100, pageNodes, 20_000} {
		m.Reset() // the memory of the one before is used again
		mod := fill(r, m, n)
		if m.Count() != mod.count {
			t.Fatalf("%d entries, want %d", m.Count(), mod.count)
		}
		checkBuckets(t, m.Buckets(nil), mod)
		for k, want := range mod.positions {
			got := m.Descending([]uint32{7}, k, 0, math.MaxUint32, 0)
			slices.Reverse(got[1:])
			if got[0] != 7 || !slices.Equal(got[1:], want) {
				t.Fatalf("key %x: %v, want %v", k, got, want)
			}
		}
		for range 2000 {
			k := storage.KeyOf(3, fmt.Sprint("agent ", r.IntN(11)))
			from, to, limit := r.Uint32N(mod.count+2), r.Uint32N(mod.count+2), r.IntN(20)
			want := slices.Clone(mod.positions[k])
			want = slices.DeleteFunc(want, func(p uint32) bool { return p < from || p >= to })
			slices.Reverse(want)
			if limit > 0 && len(want) > limit {
				want = want[:limit]
			}
			if got := m.Descending(nil, k, from, to, limit); !slices.Equal(got, want) {
				t.Fatalf("key %x from %d to %d, at most %d: %v, want %v", k, from, to, limit, got, want)
			}
		}
	}
}

func checkBuckets(t *testing.T, got []Bucket, mod *model) {
	t.Helper()
	if want := mod.buckets(); !slices.Equal(sorted(got), want) {
		t.Fatalf("counts %v, want %v", got, want)
	}
}

// TestMemoryOfManyTypes: as many types as entries take no longer than a few.
func TestMemoryOfManyTypes(t *testing.T) {
	m := NewMemory()
	types := make([]string, maxEntries)
	for i := range types {
		types[i] = fmt.Sprintf("t%d", i)
		m.Add(0, types[i], nil)
	}
	buckets := m.Buckets(nil)
	if len(buckets) != maxEntries {
		t.Fatalf("%d buckets", len(buckets))
	}
	for i, b := range buckets {
		if b != (Bucket{0, types[i], 1}) {
			t.Fatalf("bucket %d: %v", i, b)
		}
	}
	// What was added goes into a file, and the last type of it comes back.
	s := openBytes(t, m.Seal(0, evidence.Hash{}))
	if got, err := s.Buckets(nil); err != nil || !slices.Equal(got, buckets) {
		t.Errorf("%d buckets read back, %v", len(got), err)
	}
}

func openBytes(t testing.TB, b []byte) *Sealed {
	t.Helper()
	s, err := OpenSealed(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealedAgainstModel(t *testing.T) {
	r := newRand(t)
	for _, n := range []int{0, 1, 2, keysPerPage, 3000, 30_000} {
		m := NewMemory()
		mod := fill(r, m, n)
		first, root := r.Uint64N(1<<40)<<16, evidence.LeafHash(fmt.Append(nil, n))
		b := m.Seal(first, root)
		if !bytes.Equal(b, m.Seal(first, root)) {
			t.Fatal("sealed once more, it is another file")
		}
		s := openBytes(t, b)
		if s.First() != first || s.Root() != root {
			t.Errorf("first %d, root %v", s.First(), s.Root())
		}
		filter, err := s.Filter()
		if err != nil {
			t.Fatal(err)
		}
		for k, want := range mod.positions {
			got, err := s.Ascending([]uint32{7}, k)
			if err != nil || got[0] != 7 || !slices.Equal(got[1:], want) {
				t.Fatalf("%d entries, key %x: %v, %v, want %v", n, k, got, err, want)
			}
			for _, bit := range filterBitsOf(k) {
				if filter[bit/8]&(1<<(bit%8)) == 0 {
					t.Fatalf("key %x is not in the filter", k)
				}
			}
		}
		for range 1000 {
			k := key(r.Uint64N(1 << 48))
			if _, ok := mod.positions[k]; ok {
				continue
			}
			if got, err := s.Ascending(nil, k); err != nil || len(got) > 0 {
				t.Fatalf("key %x, which is not there: %v, %v", k, got, err)
			}
		}
		buckets, err := s.Buckets([]Bucket{{1, "before", 1}})
		if err != nil || buckets[0].Type != "before" {
			t.Fatalf("%v, %v", buckets, err)
		}
		checkBuckets(t, buckets[1:], mod)
		if sum, err := s.Sum(); err != nil || sum != mod.sum(first) {
			t.Fatalf("sum %v, %v, want %v", sum, err, mod.sum(first))
		}
	}
}

// TestLongLists: lists of positions that cross the borders of pages, and numbers
// that do.
func TestLongLists(t *testing.T) {
	m := NewMemory()
	const every, lists = key(1<<48 - 1), 40
	want := make(map[key][]uint32)
	for pos := range uint32(maxEntries) {
		keys := []key{every}
		want[every] = append(want[every], pos)
		// Lists of differences of one, two and three bytes.
		for l := range uint32(lists) {
			if step := 1 + l*l*l/4; pos%step == l%step {
				keys = append(keys, key(l))
				want[key(l)] = append(want[key(l)], pos)
			}
		}
		m.Add(0, "t", keys)
	}
	s := openBytes(t, m.Seal(0, evidence.Hash{}))
	if size := s.section[sectionPostings].size; size < 20*pageContent {
		t.Fatalf("only %d bytes of lists", size)
	}
	for k, positions := range want {
		if got, err := s.Ascending(nil, k); err != nil || !slices.Equal(got, positions) {
			t.Errorf("key %x: %d positions, want %d, %v", k, len(got), len(positions), err)
		}
	}
}

// TestFilter: no key is missed, and few segments are looked into for nothing.
func TestFilter(t *testing.T) {
	// Two keys of its own for each entry, as an event with id and action has.
	const segments, keys = 70, 2 * maxEntries
	keyOf := func(n, i int) key { // spread as those of KeyOf are, and quicker
		h := uint64(n*keys+i+1) * 0x9e3779b97f4a7c15
		h = (h ^ h>>32) * 0xd6e8feb86659fd93
		return key((h ^ h>>32) >> 16)
	}
	var f Filter
	for n := range segments {
		if n == 3 || n == 65 {
			continue // not known: it may hold anything
		}
		bits := make([]byte, filterBytes)
		for i := range keys {
			for _, bit := range filterBitsOf(keyOf(n, i)) {
				bits[bit/8] |= 1 << (bit % 8)
			}
		}
		f.Add(n, bits)
	}
	f.Add(1, []byte("short")) // is not taken for a filter
	for n := range segments {
		for i := 0; i < keys; i += 2621 {
			if f.May(n/64, keyOf(n, i))>>(n%64)&1 == 0 {
				t.Fatalf("segment %d is passed over, but holds key %d", n, i)
			}
		}
	}
	tries, wrong := 0, 0
	for i := range 20_000 {
		may := f.May(0, keyOf(segments, i))
		if may>>3&1 == 0 {
			t.Fatal("segment 3 is not known, but passed over")
		}
		for n := range 64 {
			if n != 3 {
				tries++
				wrong += int(may >> n & 1)
			}
		}
	}
	rate := float64(wrong) / float64(tries)
	t.Logf("a segment of %d keys is looked into for nothing once in %.1f lookups", keys, 1/rate)
	if rate > 1.0/35 {
		t.Errorf("rate %.4f", rate)
	}
	for _, group := range []int{2, 1000} {
		if f.May(group, 1) != ^uint64(0) {
			t.Errorf("group %d is not known, but passed over", group)
		}
	}
	if f.May(1, 1)>>10 != ^uint64(0)>>10 {
		t.Error("segments behind the last are passed over")
	}
}

func TestFilterConcurrently(t *testing.T) {
	bits := make([]byte, filterBytes)
	for i := range bits {
		bits[i] = 0xff
	}
	var f Filter
	var wait sync.WaitGroup
	for g := range 4 {
		wait.Go(func() {
			for n := g; n < 40; n += 4 {
				f.Add(n, bits)
			}
		})
		wait.Go(func() {
			for i := range 2000 {
				if f.May(0, key(i)) != ^uint64(0) {
					t.Error("a segment that may hold everything is passed over")
				}
			}
		})
	}
	wait.Wait()
}

// TestIndexFlips flips a bit of every byte in the first pages of an index file, of
// every checksum, and of some of the others: opening or summing it finds each, and
// a lookup never gives anything but what is right.
func TestIndexFlips(t *testing.T) {
	r := newRand(t)
	m := NewMemory()
	mod := fill(r, m, 2500)
	file := m.Seal(65536, evidence.Hash{1})
	keys := make([]key, 0, len(mod.positions))
	for k := range mod.positions {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	t.Logf("%d bytes, %d keys", len(file), len(keys))
	for at := range file {
		if at > 2*pageSize && at%pageSize < pageContent && r.IntN(testlong.Of(64, 1)) > 0 {
			continue
		}
		bit := byte(1) << r.IntN(8)
		file[at] ^= bit
		err := useIndex(bytes.NewReader(file), keys[at%len(keys)], mod)
		newer := at == len(sealedPrefix) && file[at] > '1' && file[at] <= '9'
		if newer != errors.Is(err, storage.ErrNewer) || newer == errors.Is(err, storage.ErrAltered) {
			t.Fatalf("byte %d: %v", at, err)
		}
		file[at] ^= bit
	}
	if err := useIndex(bytes.NewReader(file), keys[0], mod); err != nil {
		t.Fatalf("with nothing flipped: %v", err)
	}
}

// useIndex opens an index, looks a key up and sums everything.
func useIndex(r io.ReaderAt, k key, mod *model) error {
	s, err := OpenSealed(r)
	if err != nil {
		return err
	}
	if got, err := s.Ascending(nil, k); err == nil && !slices.Equal(got, mod.positions[k]) {
		return fmt.Errorf("key %x: %v, want %v", k, got, mod.positions[k])
	}
	_, err = s.Sum()
	return err
}

func TestIndexTruncated(t *testing.T) {
	r := newRand(t)
	m := NewMemory()
	mod := fill(r, m, 1500)
	file := m.Seal(0, evidence.Hash{})
	for n := range 200 {
		for _, n := range []int{n, n * pageSize % len(file), len(file) - 1 - n} {
			err := useIndex(bytes.NewReader(file[:n]), 1<<48-1, mod)
			if !errors.Is(err, storage.ErrAltered) || errors.Is(err, storage.ErrNewer) {
				t.Fatalf("cut short at %d: %v", n, err)
			}
		}
	}
	// A reader may say that it is at the end together with the last bytes.
	if err := useIndex(atEnd{file}, 1<<48-1, mod); err != nil {
		t.Error(err)
	}
}

type atEnd struct{ b []byte }

func (r atEnd) ReadAt(b []byte, at int64) (int, error) {
	n := copy(b, r.b[min(at, int64(len(r.b))):])
	if at+int64(n) == int64(len(r.b)) {
		return n, io.EOF
	}
	return n, nil
}

func TestIndexNewerVersion(t *testing.T) {
	for _, file := range []string{"custody index v2\n", "custody index v2\nwith pages of another kind"} {
		if _, err := OpenSealed(bytes.NewReader([]byte(file))); !errors.Is(err, storage.ErrNewer) {
			t.Errorf("%q: %v", file, err)
		}
	}
	for _, file := range []string{"", "custody", "custody index v1\n", "custody index v0\n", "no index at all, but some bytes"} {
		if _, err := OpenSealed(bytes.NewReader([]byte(file))); !errors.Is(err, storage.ErrAltered) || errors.Is(err, storage.ErrNewer) {
			t.Errorf("%q: %v", file, err)
		}
	}
}

var errDisk = errors.New("the disk does not answer")

type failing struct{}

func (failing) ReadAt([]byte, int64) (int, error) { return 0, errDisk }

// TestIndexReadErrors: a disk that fails is not a file that was altered.
func TestIndexReadErrors(t *testing.T) {
	if _, err := OpenSealed(failing{}); !errors.Is(err, errDisk) || errors.Is(err, storage.ErrAltered) {
		t.Errorf("open: %v", err)
	}
	m := NewMemory()
	fill(newRand(t), m, 100)
	s := openBytes(t, m.Seal(0, evidence.Hash{}))
	s.r = failing{}
	for name, use := range map[string]func() error{
		"a lookup": func() error { _, err := s.Ascending(nil, 1<<48-1); return err },
		"counts":   func() error { _, err := s.Buckets(nil); return err },
		"filter":   func() error { _, err := s.Filter(); return err },
		"sum":      func() error { _, err := s.Sum(); return err },
	} {
		if err := use(); !errors.Is(err, errDisk) || errors.Is(err, storage.ErrAltered) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// contents takes the pages off an index file.
func contents(file []byte) (out []byte) {
	for ; len(file) > 0; file = file[pageSize:] {
		out = append(out, file[:pageContent]...)
	}
	return out
}

// TestSumFindsWhatMisleads: an index whose checksums are right may still be made
// so that lookups miss what is there. Then the sum is another one or, where it is
// that of the entries, something else tells.
func TestSumFindsWhatMisleads(t *testing.T) {
	m := NewMemory()
	mod := fill(newRand(t), m, 2500)
	good := contents(m.Seal(0, evidence.Hash{}))
	at := func(section int) int { return int(binary.BigEndian.Uint32(good[61+8*section:])) }
	size := func(section int) int { return int(binary.BigEndian.Uint32(good[65+8*section:])) }
	if s := openBytes(t, sealPages(good)); len(s.directory) < 3 {
		t.Fatalf("%d pages of keys", len(s.directory))
	}
	swap := func(b []byte, i, j, n int) {
		x, y := bytes.Clone(b[i:i+n]), bytes.Clone(b[j:j+n])
		copy(b[i:], y)
		copy(b[j:], x)
	}
	keysAt := at(sectionKeys)
	for _, tt := range []struct {
		name   string
		change func(b []byte)
		open   bool // it is found as the index is opened
	}{
		{"neighbours out of order", func(b []byte) { swap(b, keysAt+10*keyRecord, keysAt+11*keyRecord, keyRecord) }, false},
		{"first and last out of order", func(b []byte) { swap(b, keysAt+keyRecord, keysAt+(keysPerPage-1)*keyRecord, keyRecord) }, false},
		{"pages out of order", func(b []byte) { swap(b, keysAt, keysAt+pageContent, pageContent) }, false},
		{"pages and directory out of order", func(b []byte) {
			swap(b, keysAt, keysAt+pageContent, pageContent)
			swap(b, at(sectionDirectory), at(sectionDirectory)+keySize, keySize)
		}, false},
		{"a directory that skips a page", func(b []byte) {
			copy(b[at(sectionDirectory)+keySize:], b[at(sectionDirectory)+2*keySize:][:keySize])
		}, false},
		{"a filter that knows nothing", func(b []byte) { clear(b[at(sectionFilter):][:filterBytes]) }, false},
		{"a filter that misses one key", func(b []byte) {
			bit := filterBitsOf(parseKey(b[keysAt:]))[2]
			b[at(sectionFilter)+int(bit/8)] &^= 1 << (bit % 8)
		}, false},
		{"a reference beyond the entries", func(b []byte) { binary.BigEndian.PutUint32(b[keysAt+keySize:], 2500) }, false},
		{"a reference beyond the lists", func(b []byte) {
			binary.BigEndian.PutUint32(b[keysAt+keySize:], listFlag|uint32(size(sectionPostings)))
		}, false},
		{"a list of one position more", func(b []byte) { b[at(sectionPostings)]++ }, false},
		{"a list of one position less", func(b []byte) { b[at(sectionPostings)]-- }, false},
		{"a position that is not right", func(b []byte) {
			for i := 0; ; i++ {
				ref := b[keysAt+i*keyRecord+keySize:]
				if v := binary.BigEndian.Uint32(ref); v&listFlag == 0 {
					binary.BigEndian.PutUint32(ref, (v+1)%2500)
					return
				}
			}
		}, false},
		{"two references exchanged", func(b []byte) {
			swap(b, keysAt+keySize, keysAt+keyRecord+keySize, keyRecord-keySize)
		}, false},
		{"a count that is one higher", func(b []byte) { b[at(sectionCounts)+size(sectionCounts)-1]++ }, false},
		{"a byte behind the counts", func(b []byte) {
			binary.BigEndian.PutUint32(b[65+8*sectionCounts:], uint32(size(sectionCounts)+1))
		}, false},
		{"a shorter directory", func(b []byte) {
			binary.BigEndian.PutUint32(b[65+8*sectionDirectory:], uint32(size(sectionDirectory)-keySize))
		}, true},
		{"a section within a page", func(b []byte) { binary.BigEndian.PutUint32(b[61+8*sectionKeys:], uint32(keysAt+1)) }, true},
		{"keys of 2^32-1 bytes", func(b []byte) { binary.BigEndian.PutUint32(b[65+8*sectionKeys:], math.MaxUint32) }, true},
		{"a smaller filter", func(b []byte) { binary.BigEndian.PutUint32(b[65+8*sectionFilter:], 1) }, true},
		{"2^32-1 entries", func(b []byte) { binary.BigEndian.PutUint32(b[25:], math.MaxUint32) }, true},
	} {
		b := bytes.Clone(good)
		tt.change(b)
		s, err := OpenSealed(bytes.NewReader(sealPages(b)))
		if err == nil && !tt.open {
			var sum storage.KeySum
			if sum, err = s.Sum(); err == nil && sum != mod.sum(0) {
				continue
			}
		}
		if !errors.Is(err, storage.ErrAltered) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestSealedConcurrently(t *testing.T) {
	m := NewMemory()
	mod := fill(newRand(t), m, 5000)
	s := openBytes(t, m.Seal(0, evidence.Hash{}))
	var readers sync.WaitGroup
	for g := range 6 {
		readers.Go(func() {
			for i := range 11 {
				k := storage.KeyOf(3, fmt.Sprint("agent ", (i+g)%10))
				if got, err := s.Ascending(nil, k); err != nil || !slices.Equal(got, mod.positions[k]) {
					t.Errorf("key %x: %d positions, %v", k, len(got), err)
				}
				if _, err := s.Buckets(nil); err != nil {
					t.Error(err)
				}
			}
			if sum, err := s.Sum(); err != nil || sum != mod.sum(0) {
				t.Errorf("sum %v, %v", sum, err)
			}
		})
	}
	readers.Wait()
}

func TestHourOf(t *testing.T) {
	const hour = 3600 * 1_000_000
	for at, want := range map[int64]int64{
		0: 0, 1: 0, hour - 1: 0, hour: 1, 2*hour - 1: 1, 2 * hour: 2,
		-1: -1, -hour + 1: -1, -hour: -1, -hour - 1: -2, -2 * hour: -2, -2*hour - 1: -3,
		math.MaxInt64: math.MaxInt64 / hour, math.MinInt64: math.MinInt64/hour - 1,
	} {
		if got := HourOf(at); got != want {
			t.Errorf("HourOf(%d) = %d, want %d", at, got, want)
		}
	}
	at := time.Date(1969, 12, 31, 23, 59, 59, 999999000, time.UTC)
	if got := time.Unix(HourOf(at.UnixMicro())*3600, 0); !got.Equal(at.Truncate(time.Hour)) {
		t.Errorf("the hour of %v is %v", at, got.UTC())
	}
}

// TestSumOverCounts moves one entry to another hour, and another one to another
// type, and leaves everything else: the sum must tell.
func TestSumOverCounts(t *testing.T) {
	sum := func(times [2]int64, types [2]string) storage.KeySum {
		m := NewMemory()
		for i := range times {
			m.Add(times[i], types[i], []key{key(i)})
		}
		s, err := OpenSealed(bytes.NewReader(m.Seal(0, evidence.Hash{})))
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Sum()
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	const hour = microsecondsPerHour
	right := sum([2]int64{5, hour + 5}, [2]string{"a", "b"})
	var own storage.KeySum
	for i, typ := range []string{"a", "b"} {
		own.Add(key(i), uint64(i))
		own.Count([]byte(typ), int64(i)*hour+7, 1)
	}
	if right != own {
		t.Errorf("the sum of the index is %v, that of its entries %v", right, own)
	}
	if sum([2]int64{5, 6}, [2]string{"a", "b"}) == right {
		t.Error("an entry in another hour is not told")
	}
	if sum([2]int64{5, hour + 5}, [2]string{"b", "a"}) == right {
		t.Error("entries of other types are not told")
	}
}
