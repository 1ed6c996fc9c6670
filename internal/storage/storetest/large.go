package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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

// largeCase is a case that only reads a trail of more than two segments.
type largeCase struct {
	name string
	why  string // printed when the store fails it
	test func(t *trail, s storage.Store, rng *rand.Rand)
}

var large = []largeCase{
	{"everything", "a walk over the parts gives back everything in order, with each checkpoint behind the entries that it was committed with", func(t *trail, s storage.Store, _ *rand.Rand) { t.check(s) }},
	{"read in order", "a record may be used again for the next read", testReadRuns},
	{"read at random", "every entry can be read on its own, into a new record or a used one", testReadRandom},
	{"lookup", "Lookup finds every entry with the key from the index given on, and next to nothing else", testLookup},
	{"select", "Select yields every entry that matches, in order, and next to nothing else", testSelect},
	{"select stops", "Select does nothing more when its caller has had enough", testSelectStops},
	{"counts", "Counts gives the number of entries by type and period, ordered by time and type", testCounts},
	{"trees", "TreeAt gives the tree at every size, as RFC 6962 defines it", testTrees},
	{"wrong keys", "CheckIndex says so when the index does not list what the entries hold", testWrongKeys},
	{"kept checkpoints", "Checkpoints gives the last one of each segment, those that two keys signed, and the newest, which comes first", testCheckpoints},
	{"a change of key", "a checkpoint that two keys signed is kept for ever", func(t *trail, s storage.Store, _ *rand.Rand) { t.wantNote(s, rotatedAt) }},
}

// rotatedAt is the size at which the large trail passes to another key.
const rotatedAt = 5 * 1021

// runLarge appends more than two segments while others read, and then looks at
// the trail from every side.
func runLarge(t *testing.T, o Opener) {
	w := NewWriter(3)
	for w.Size() < 2*Boundary+7000 {
		if w.Size() > rotatedAt && w.Size()%3 == 0 {
			w.BatchOf(KeptType, append(make([]byte, evidence.SaltSize), fmt.Sprintf(`{"id":"kept-%d"}`, w.Size())...))
		}
		n := 1021
		if w.Size() > Boundary {
			n = 4093
		}
		if w.Size()+uint64(n) == rotatedAt {
			w.Rotate()
		}
		w.Batch(n)
	}
	for range 5 {
		w.Batch(1)
	}
	tr := &trail{T: t, Opener: o, w: w, ctx: t.Context()}
	tr.index()
	s := tr.open()
	if !t.Run("appending while others read", func(t *testing.T) {
		explain(t, "everything but Append and Close may be called from any number of goroutines, also while a batch is being appended")
		tr := &trail{T: t, Opener: o, w: w, ctx: t.Context()}
		r := tr.openReader()
		tr.appendBesideReaders(s, r)
		tr.check(r)
	}) {
		return
	}
	tr.runCases("by the writer", s)
	tr.close(s)
	tr.runCases("after closing, by a reader", tr.openReader())
	s = tr.open()
	tr.runCases("reopened", s)
	tr.removeAndPrune(s)
}

// removeAndPrune takes payloads away, and then entries, and looks at what remains
// from every side.
func (t *trail) removeAndPrune(s storage.Store) {
	r := t.openReader()
	at := t.w.Prunable(t.w.Size()).Minus(evidence.Ranges{{First: Boundary / 2, Last: Boundary + Boundary/2}})
	if err := s.RemovePayloads(t.ctx, at); err != nil {
		t.Fatal(err)
	}
	t.w.Forget(at)
	t.index()
	t.runCases("without some payloads", s)
	t.check(r)

	for _, to := range []uint64{1, Boundary - 1, Boundary + 256, 3 * Boundary, math.MaxUint64} {
		if err := s.Prune(t.ctx, to, Keep); err == nil {
			t.Errorf("pruned to %d", to)
		}
	}
	if err := s.Prune(t.ctx, Boundary, Keep); err == nil {
		t.Error("entries that have their payload were pruned")
	}
	t.check(s)
	at = t.w.Prunable(Boundary)
	if err := errors.Join(s.RemovePayloads(t.ctx, at), s.Prune(t.ctx, Boundary, Keep), s.Prune(t.ctx, Boundary, Keep), s.Prune(t.ctx, 0, Keep)); err != nil {
		t.Fatal(err)
	}
	t.w.Forget(at)
	t.w.Prune(Boundary)
	t.index()
	t.runCases("pruned", s)
	t.runCases("pruned, by a reader from before", r)
	if err := r.Prune(t.ctx, Boundary, Keep); !errors.Is(err, storage.ErrReadOnly) {
		t.Errorf("pruning by a reader: %v", err)
	}
	t.close(s)
	t.check(t.open())
}

// index notes which entries have which keys.
func (t *trail) index() {
	t.byKey = make(map[storage.Key][]uint64)
	for i := range t.w.entries {
		if t.w.Pruned(uint64(i)) {
			continue
		}
		for _, k := range t.w.entries[i].Keys {
			t.byKey[k] = append(t.byKey[k], uint64(i))
		}
	}
}

func (t *trail) runCases(name string, s storage.Store) {
	t.Run(name, func(tt *testing.T) {
		for _, c := range large {
			tt.Run(c.name, func(tt *testing.T) {
				explain(tt, c.why)
				c.test(&trail{T: tt, w: t.w, ctx: tt.Context(), byKey: t.byKey}, s, newRand(tt))
			})
		}
	})
}

func testCheckpoints(t *trail, s storage.Store, _ *rand.Rand) {
	var want [][]byte
	for _, size := range []uint64{t.w.Size(), 2 * Boundary, Boundary, rotatedAt} {
		c, _ := t.w.commitAt(size)
		want = append(want, c.Checkpoint)
	}
	for _, limit := range []int{0, 1, 3, 9} {
		n := len(want)
		if limit > 0 {
			n = min(n, limit)
		}
		if got := s.Checkpoints(limit); !slices.EqualFunc(got, want[:n], bytes.Equal) {
			t.Errorf("with limit %d: %q, want %q", limit, got, want[:n])
		}
	}
}

// newRand returns a source of randomness whose seed is printed when the test
// fails.
func newRand(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// appendBesideReaders appends everything to s while goroutines read from s and
// from r, each until it has seen the end.
func (t *trail) appendBesideReaders(s, r storage.Store) {
	var readers sync.WaitGroup
	for _, s := range []storage.Store{s, r} {
		for n, read := range []func(storage.Store, uint64, *rand.Rand) error{t.readSome, t.findSome, t.lookAround} {
			seed := rand.Uint64()
			t.Logf("reader %d: seed %d", n, seed)
			rng := rand.New(rand.NewPCG(seed, 0))
			readers.Add(1)
			go func() {
				defer readers.Done()
				for size := uint64(0); size < t.w.Size(); {
					<-s.Changed(size)
					now := s.Size()
					if now < size {
						t.Errorf("size went from %d back to %d", size, now)
					}
					size = now
					if err := read(s, size, rng); err != nil {
						t.Errorf("reader %d at size %d: %v", n, size, err)
						return
					}
				}
			}()
		}
	}
	for n := range t.w.commits {
		if err := s.Append(t.w.Replay(n)); err != nil {
			t.Error(err)
			s.Close() // lets the readers go
			r.Close()
			break
		}
	}
	readers.Wait()
}

// readSome reads the last entry below size and a few others.
func (t *trail) readSome(s storage.Store, size uint64, rng *rand.Rand) error {
	var rec storage.Record
	for n := range 20 {
		i := size - 1
		if n > 0 {
			i = rng.Uint64N(size)
		}
		if err := s.Read(t.ctx, i, &rec); err != nil {
			return err
		}
		if rec.Hash != t.w.entries[i].Hash || rec.Index != i {
			return errors.New("another entry was read")
		}
	}
	return nil
}

// findSome looks for an entry by its id, and for the newest of its agent.
func (t *trail) findSome(s storage.Store, size uint64, rng *rand.Rand) error {
	i := rng.Uint64N(size)
	keys := t.w.entries[i].Keys
	found, err := s.Lookup(nil, keys[len(keys)-1], 0)
	if err == nil && !slices.Contains(found, i) {
		err = errors.New("lookup misses an entry")
	}
	if err != nil {
		return err
	}
	sel := storage.Selection{To: math.MaxUint64, All: [][]storage.Key{{keys[0]}, {keys[min(1, len(keys)-1)]}}, Reverse: true}
	n, last := 0, uint64(math.MaxUint64)
	for i, err := range s.Select(t.ctx, sel) {
		if err != nil {
			return err
		}
		if i >= last {
			return errors.New("selected entries are out of order")
		}
		if last = i; n == 50 {
			break
		}
		n++
	}
	return nil
}

// lookAround walks over the last part, and counts and sums up the whole.
func (t *trail) lookAround(s storage.Store, size uint64, _ *rand.Rand) error {
	counts, err := s.Counts(t.ctx, time.Time{}, time.Time{}, 24*time.Hour)
	if err != nil {
		return err
	}
	total := uint64(0)
	for _, c := range counts {
		total += c.Count
	}
	if total < size {
		return errors.New("entries are missing from the counts")
	}
	if tree, _, err := s.TreeAt(t.ctx, size); err != nil || tree.Root() != t.w.Root(size) {
		return errors.Join(err, errors.New("the tree is another one"))
	}
	parts, err := s.Parts(t.ctx)
	if err != nil {
		return err
	}
	p := parts[len(parts)-1]
	c := walkCheck{w: t.w, size: t.w.Size(), part: p, next: p.First}
	if err := s.Walk(t.ctx, p, &c); err != nil {
		return err
	}
	if c.next < p.First+p.Count {
		c.fault("%d entries were found, %d are listed", c.next-p.First, p.Count)
	}
	return errors.Join(c.errs...)
}

// testReadRuns reads the entries at both ends and around the boundaries, in order
// and backwards.
func testReadRuns(t *trail, s storage.Store, _ *rand.Rand) {
	reach := uint64(testlong.Of(200, 1500)) // some blocks of entries, and of payloads
	var r storage.Record
	for _, at := range []uint64{reach, Boundary, 2 * Boundary, t.w.Size() - reach} {
		for i := at - reach; i < at+reach; i++ {
			t.read(s, i, &r)
		}
		for i := at + reach; i > at-reach; i-- {
			t.read(s, i-1, &r)
		}
	}
}

func testReadRandom(t *trail, s storage.Store, rng *rand.Rand) {
	var used storage.Record
	for range testlong.Of(300, 2000) {
		// In the neighbourhood of the one before, or anywhere.
		i := rng.Uint64N(t.w.Size())
		if rng.IntN(2) == 0 {
			i = min(used.Index+rng.Uint64N(100), t.w.Size()-1)
		}
		t.read(s, i, &used)
	}
	for range testlong.Of(30, 100) {
		t.read(s, rng.Uint64N(t.w.Size()), new(storage.Record))
	}
	for _, i := range []uint64{0, Boundary - 1, Boundary, 2*Boundary - 1, 2 * Boundary, t.w.Size() - 1} {
		t.read(s, i, &used)
	}
}

func testLookup(t *trail, s storage.Store, rng *rand.Rand) {
	for range testlong.Of(100, 300) {
		key, from := t.randomKey(rng), uint64(0)
		if rng.IntN(2) == 0 {
			from = rng.Uint64N(t.w.Size() + 10)
		}
		found, err := s.Lookup([]uint64{7}, key, from)
		if err != nil || len(found) == 0 || found[0] != 7 {
			t.Fatalf("lookup of %x from %d: %v", key, from, err)
		}
		found = found[1:]
		slices.Sort(found)
		want := t.byKey[key]
		n, _ := slices.BinarySearch(want, from)
		t.wantIndices(fmt.Sprintf("lookup of %x from %d", key, from), found, want[n:])
	}
}

// randomKey returns a key that some entry has, or, seldom, one that none has.
func (t *trail) randomKey(rng *rand.Rand) storage.Key {
	if rng.IntN(8) == 0 {
		return storage.Key(rng.Uint64N(1 << 48))
	}
	keys := t.w.entries[rng.IntN(len(t.w.entries))].Keys
	return keys[rng.IntN(len(keys))]
}

// wantIndices compares what a store found with the entries that match, both in
// ascending order.
func (t *trail) wantIndices(what string, found, want []uint64) {
	t.Helper()
	more := 0 // that do not match, as two keys may have the same hash
	for j, i := range found {
		if i >= t.w.Size() || j > 0 && found[j-1] >= i {
			t.Fatalf("%s: entry %d is out of order, or is none", what, i)
		}
		if _, ok := slices.BinarySearch(want, i); !ok {
			more++
		}
	}
	if len(found)-more != len(want) || more > len(want)/100+1 {
		t.Fatalf("%s: %d entries, of which %d do not match; want %d", what, len(found), more, len(want))
	}
}

// matches reports whether an entry has the keys and the time of a selection.
func matches(it *storage.Item, sel *storage.Selection) bool {
	at := time.UnixMicro(it.Time)
	if !sel.Since.IsZero() && at.Before(sel.Since) || !sel.Until.IsZero() && !at.Before(sel.Until) {
		return false
	}
	for _, group := range sel.All {
		if !slices.ContainsFunc(group, func(k storage.Key) bool { return slices.Contains(it.Keys, k) }) {
			return false
		}
	}
	return true
}

func (t *trail) randomSelection(rng *rand.Rand) storage.Selection {
	sel := storage.Selection{To: math.MaxUint64, Reverse: rng.IntN(2) == 0}
	if rng.IntN(2) == 0 {
		sel.From = rng.Uint64N(t.w.Size() + 10)
	}
	if rng.IntN(2) == 0 {
		sel.To = rng.Uint64N(t.w.Size() + 10)
	}
	moment := func() (at time.Time) {
		if rng.IntN(2) == 0 {
			at = time.UnixMicro(t.w.entries[rng.IntN(len(t.w.entries))].Time).Add(time.Duration(rng.IntN(5000) - 2500))
		}
		return at
	}
	sel.Since, sel.Until = moment(), moment()
	for range rng.IntN(4) {
		group := make([]storage.Key, 1+min(rng.IntN(4), rng.IntN(4)))
		for i := range group {
			group[i] = t.randomKey(rng)
		}
		sel.All = append(sel.All, group)
	}
	return sel
}

func testSelect(t *trail, s storage.Store, rng *rand.Rand) {
	for range testlong.Of(12, 50) {
		sel := t.randomSelection(rng)
		var found []uint64
		for i, err := range s.Select(t.ctx, sel) {
			if err != nil {
				t.Fatalf("select %+v: %v", sel, err)
			}
			found = append(found, i)
		}
		if sel.Reverse {
			slices.Reverse(found)
		}
		var want []uint64
		for i := sel.From; i < min(sel.To, t.w.Size()); i++ {
			if matches(&t.w.entries[i], &sel) && !t.w.Pruned(i) {
				want = append(want, i)
			}
		}
		t.wantIndices(fmt.Sprintf("select %+v", sel), found, want)
	}
}

func testSelectStops(t *trail, s storage.Store, rng *rand.Rand) {
	for range testlong.Of(15, 40) {
		sel := t.randomSelection(rng)
		left := rng.IntN(300)
		for _, err := range s.Select(t.ctx, sel) {
			if err != nil {
				t.Fatal(err)
			}
			if left == 0 {
				break
			}
			left-- // an iterator that goes on after the break panics
		}
	}
	ctx, cancel := context.WithCancel(t.ctx)
	n := 0
	var last error
	for _, err := range s.Select(ctx, storage.Selection{To: math.MaxUint64}) {
		if last = err; n == 10 {
			cancel()
		}
		n++
	}
	cancel()
	t.wantError("a context that ends on the way", last, context.Canceled)
}

func testCounts(t *trail, s storage.Store, rng *rand.Rand) {
	first, last := time.UnixMicro(t.w.entries[0].Time), time.UnixMicro(t.w.entries[len(t.w.entries)-1].Time)
	moment := func() time.Time {
		return first.Add(time.Duration(rng.Int64N(int64(last.Sub(first))*5/4)) - last.Sub(first)/8)
	}
	for n := range testlong.Of(7, 20) {
		var since, until time.Time
		if n%4 > 0 {
			since = moment()
		}
		if n%3 > 0 {
			until = moment()
		}
		every := []time.Duration{time.Hour, 2 * time.Hour, 5 * time.Hour, 24 * time.Hour}[rng.IntN(4)]
		got, err := s.Counts(t.ctx, since, until, every)
		if err != nil {
			t.Fatal(err)
		}
		if want := t.wantCounts(since, until, every); !slices.Equal(got, want) {
			t.Fatalf("counts from %v to %v every %v:\n%v, want\n%v", since, until, every, got, want)
		}
	}
}

func (t *trail) wantCounts(since, until time.Time, every time.Duration) []storage.Bucket {
	since = since.Truncate(time.Hour)
	if !until.Equal(until.Truncate(time.Hour)) {
		until = until.Truncate(time.Hour).Add(time.Hour)
	}
	var counts []storage.Bucket
	for i := range t.w.entries {
		it := &t.w.entries[i]
		at := time.UnixMicro(it.Time).UTC()
		if at.Before(since) || !until.IsZero() && !at.Before(until) || t.w.Pruned(uint64(i)) {
			continue
		}
		// Periods begin at multiples of their length since 1970.
		start := time.Unix(0, at.UnixNano()/int64(every)*int64(every)).UTC()
		n := slices.IndexFunc(counts, func(b storage.Bucket) bool { return b.Start.Equal(start) && b.Type == it.Type })
		if n < 0 {
			n = len(counts)
			counts = append(counts, storage.Bucket{Start: start, Type: it.Type})
		}
		counts[n].Count++
	}
	slices.SortFunc(counts, func(a, b storage.Bucket) int {
		if c := a.Start.Compare(b.Start); c != 0 {
			return c
		}
		return slices.Index(sortedTypes, a.Type) - slices.Index(sortedTypes, b.Type)
	})
	return counts
}

var sortedTypes = slices.Sorted(slices.Values(append([]string{KeptType}, Types...)))

func testTrees(t *trail, s storage.Store, rng *rand.Rand) {
	sizes := []uint64{0, 1, 2, 255, 256, 257, Boundary - 1, Boundary, Boundary + 1, 2 * Boundary, 2*Boundary + 1, t.w.Size() - 1, t.w.Size()}
	for range 30 {
		sizes = append(sizes, rng.Uint64N(t.w.Size()+1))
	}
	for _, size := range sizes {
		var last evidence.Hash
		if size > 0 {
			last = t.w.entries[size-1].Hash
		}
		tree, hash, err := s.TreeAt(t.ctx, size)
		if bundle := size / 256 * 256; size < t.w.first && errors.Is(err, storage.ErrPruned) && size%256 > 0 && (bundle+256)%Boundary > 0 && !t.anyHeld(bundle) {
			continue
		} else if size < t.w.first && size%256 == 0 && hash == (evidence.Hash{}) && !t.anyHeld(size-256) {
			last = hash
		}
		if err != nil || tree.Size() != size || tree.Root() != t.w.Root(size) || hash != last {
			t.Errorf("tree at %d: size %d, root %v, last hash %v (%v); want root %v, last hash %v", size, tree.Size(), tree.Root(), hash, err, t.w.Root(size), last)
		}
	}
	t.testNodes(s, rng)
	_, _, err := s.TreeAt(t.ctx, t.w.Size()+1)
	t.wantError("a tree larger than the trail", err, storage.ErrNotFound)
}

// testNodes compares nodes with those of the writer, which has them from package tlog.
func (t *trail) testNodes(s storage.Store, rng *rand.Rand) {
	for _, level := range []int{0, 8, 16} {
		all := t.w.Size() >> level
		for range 20 {
			first := rng.Uint64N(all)
			n := 1 + rng.IntN(int(min(all-first, 300)))
			got, err := s.Nodes(t.ctx, nil, level, first, n)
			if level == 0 && errors.Is(err, storage.ErrPruned) && first < t.w.first {
				continue
			}
			if err != nil || len(got) != n {
				t.Errorf("%d nodes of level %d from %d on: %d (%v)", n, level, first, len(got), err)
				continue
			}
			for i, h := range got {
				if want := t.w.Node(level, (first+uint64(i)+1)<<level); h != want {
					t.Fatalf("node %d of level %d is %v, want %v", first+uint64(i), level, h, want)
				}
			}
		}
		_, err := s.Nodes(t.ctx, nil, level, all, 1)
		t.wantError("a node behind the last", err, storage.ErrNotFound)
	}
	if _, err := s.Nodes(t.ctx, nil, 3, 0, 1); err == nil {
		t.Errorf("nodes of level 3 are kept")
	}
}

// anyHeld reports whether any of the 256 entries from first on were not pruned.
func (t *trail) anyHeld(first uint64) bool {
	for i := range uint64(256) {
		if !t.w.Pruned(first + i) {
			return true
		}
	}
	return false
}

func testWrongKeys(t *trail, s storage.Store, _ *rand.Rand) {
	parts, err := s.Parts(t.ctx)
	if err != nil {
		t.Fatal(err)
	}
	said := ""
	for _, p := range parts {
		wrong, err := s.CheckIndex(t.ctx, p, &storage.KeySum{N: 1})
		if err != nil {
			t.Fatal(err)
		}
		said += wrong
	}
	if said == "" {
		t.Error("no index is found to be wrong, but none holds a single key")
	}
}
