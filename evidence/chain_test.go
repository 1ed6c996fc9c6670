package evidence

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// run returns entries that check out, from index first on. Some share their
// time with the one before.
func run(first uint64, n int) [][]byte {
	prev := Hash{}
	if first > 0 {
		prev = LeafHash([]byte("the entry before"))
	}
	entries := make([][]byte, n)
	for i := range entries {
		index := first + uint64(i)
		e := Entry{
			Index:   index,
			Payload: CommitBody(fmt.Appendf(nil, "salt of %8d payload", index)),
			Prev:    prev,
			Time:    epoch.Add(time.Duration(index/2) * 600 * time.Millisecond),
			Type:    []string{"action_requested", "action_denied", "x"}[index%3],
		}
		entries[i] = AppendEntry(nil, &e)
		prev = LeafHash(entries[i])
	}
	return entries
}

// change returns the entry with one thing about it changed.
func change(t testing.TB, entry []byte, f func(e *Entry)) []byte {
	t.Helper()
	e, err := ParseEntry(entry)
	if err != nil {
		t.Fatal(err)
	}
	f(&e)
	return AppendEntry(nil, &e)
}

// found is what a test expects of a finding: its detail is for people.
type found struct {
	Cause Cause
	Index uint64
	Count uint64
}

// check feeds entries to a chain and returns what it found.
func check(c *Chain, entries [][]byte) []found {
	for _, e := range entries {
		// The chain may look at an entry until the call behind the next.
		c.Next(bytes.Clone(e))
	}
	var out []found
	for _, f := range c.End() {
		out = append(out, found{f.Cause, f.Index, f.Count})
	}
	return out
}

func TestChainAcceptsWhatChecksOut(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 300} {
		entries := run(0, n)
		c := NewChain(0, nil)
		for i, e := range entries {
			got := c.Next(e)
			want, _ := ParseEntry(e)
			if !got.OK || got.Index != uint64(i) || got.Hash != LeafHash(e) || got.Payload != want.Payload || string(got.Type) != want.Type {
				t.Fatalf("entry %d: %+v, want %+v", i, got, want)
			}
		}
		if f := c.End(); len(f) != 0 {
			t.Errorf("%d entries: %v", n, f)
		}
		next, head, known := c.Head()
		if next != uint64(n) || known != (n > 0) || n > 0 && head != LeafHash(entries[n-1]) {
			t.Errorf("%d entries: head %d %v %v", n, next, head, known)
		}
	}
}

func TestChainStartsAnywhere(t *testing.T) {
	before := LeafHash([]byte("the entry before"))
	entries := run(65536, 5)

	c := NewChain(65536, &before)
	if f := check(c, entries); f != nil {
		t.Errorf("with the hash before: %v", f)
	}
	if _, ok := c.FirstPrev(); ok {
		t.Error("a first link that was given is reported as open")
	}

	c = NewChain(65536, nil)
	if f := check(c, entries); f != nil {
		t.Errorf("without the hash before: %v", f)
	}
	if prev, ok := c.FirstPrev(); !ok || prev != before {
		t.Errorf("FirstPrev = %v, %v", prev, ok)
	}

	wrong := LeafHash([]byte("another entry before"))
	if f := check(NewChain(65536, &wrong), entries); !slices.Equal(f, []found{{Altered, 65536, 1}}) {
		t.Errorf("with another hash before: %v", f)
	}

	// The largest index that there can be.
	entries = run(MaxIndex-1, 2)
	if f := check(NewChain(MaxIndex-1, nil), entries); f != nil {
		t.Errorf("up to the largest index: %v", f)
	}
	e, _ := ParseEntry(entries[1])
	e.Index, e.Prev = MaxIndex+1, LeafHash(entries[1])
	entries = append(entries, AppendEntry(nil, &e))
	if f := check(NewChain(MaxIndex-1, nil), entries); !slices.Equal(f, []found{{Altered, MaxIndex + 1, 1}}) {
		t.Errorf("beyond the largest index: %v", f)
	}
}

// TestChainTellsDamage goes through single damage to a run of ten entries.
func TestChainTellsDamage(t *testing.T) {
	const n = 10
	alter := func(at int, f func(e *Entry)) func(testing.TB, [][]byte) [][]byte {
		return func(t testing.TB, es [][]byte) [][]byte {
			es[at] = change(t, es[at], f)
			return es
		}
	}
	payload := func(e *Entry) { e.Payload[31] ^= 1 }
	prev := func(e *Entry) { e.Prev[0] ^= 0x80 }
	typ := func(e *Entry) { e.Type = "action_allowed" }
	index := func(i uint64) func(e *Entry) { return func(e *Entry) { e.Index = i } }
	later := func(e *Entry) { e.Time = e.Time.Add(time.Hour) }
	sooner := func(e *Entry) { e.Time = e.Time.Add(-time.Hour) }
	replace := func(at int, entry string) func(testing.TB, [][]byte) [][]byte {
		return func(_ testing.TB, es [][]byte) [][]byte {
			es[at] = []byte(entry)
			return es
		}
	}
	newer := func(at int) func(testing.TB, [][]byte) [][]byte {
		return func(_ testing.TB, es [][]byte) [][]byte {
			es[at] = bytes.Replace(es[at], []byte(`"v":1`), []byte(`"v":2`), 1)
			return es
		}
	}
	remove := func(from, to int) func(testing.TB, [][]byte) [][]byte {
		return func(_ testing.TB, es [][]byte) [][]byte { return slices.Delete(es, from, to) }
	}
	insert := func(at int, copyOf int) func(testing.TB, [][]byte) [][]byte {
		return func(_ testing.TB, es [][]byte) [][]byte { return slices.Insert(es, at, es[copyOf]) }
	}
	forge := func(at, as int, f func(e *Entry)) func(testing.TB, [][]byte) [][]byte {
		return func(t testing.TB, es [][]byte) [][]byte { return slices.Insert(es, at, change(t, es[as], f)) }
	}
	swap := func(i, j int) func(testing.TB, [][]byte) [][]byte {
		return func(_ testing.TB, es [][]byte) [][]byte {
			es[i], es[j] = es[j], es[i]
			return es
		}
	}
	move := func(from, to int) func(testing.TB, [][]byte) [][]byte {
		return func(_ testing.TB, es [][]byte) [][]byte {
			e := es[from]
			return slices.Insert(slices.Delete(es, from, from+1), to, e)
		}
	}
	relink := func(from int, f func(e *Entry)) func(testing.TB, [][]byte) [][]byte {
		return func(t testing.TB, es [][]byte) [][]byte {
			es[from] = change(t, es[from], f)
			for i := from + 1; i < len(es); i++ {
				es[i] = change(t, es[i], func(e *Entry) { e.Prev = LeafHash(es[i-1]) })
			}
			return es
		}
	}

	for _, tt := range []struct {
		name   string
		damage func(testing.TB, [][]byte) [][]byte
		want   []found
	}{
		{"payload of the first", alter(0, payload), []found{{Altered, 0, 1}}},
		{"payload in the middle", alter(5, payload), []found{{Altered, 5, 1}}},
		{"payload of the last but two", alter(7, payload), []found{{Altered, 7, 1}}},
		// Only one entry vouches for it, and may be the one that was altered.
		{"payload of the last but one", alter(8, payload), []found{{Altered, 8, 2}}},
		{"payload of the last", alter(9, payload), nil},
		{"type of the first", alter(0, typ), []found{{Altered, 0, 1}}},
		{"type in the middle", alter(4, typ), []found{{Altered, 4, 1}}},
		{"link of the first", alter(0, prev), []found{{Altered, 0, 1}}},
		{"link in the middle", alter(5, prev), []found{{Altered, 5, 1}}},
		{"link of the last but one", alter(8, prev), []found{{Altered, 8, 1}}},
		{"link of the last", alter(9, prev), []found{{Altered, 8, 2}}},
		{"later time in the middle", alter(5, later), []found{{Altered, 5, 1}}},
		{"sooner time in the middle", alter(5, sooner), []found{{Altered, 5, 1}}},
		{"sooner time of the last", alter(9, sooner), []found{{TimeReversed, 9, 1}}},
		{"index of the first", alter(0, index(7)), []found{{Altered, 0, 1}}},
		{"higher index in the middle", alter(5, index(7)), []found{{Altered, 5, 1}}},
		{"index far beyond the end", alter(5, index(MaxIndex)), []found{{Altered, 5, 1}}},
		{"lower index in the middle", alter(5, index(1)), []found{{Altered, 5, 1}}},
		{"index of the next", alter(5, index(6)), []found{{Altered, 5, 1}}},
		{"higher index of the last", alter(9, index(10)), []found{{Altered, 9, 1}}},
		{"lower index of the last", alter(9, index(8)), []found{{Altered, 9, 1}}},
		{"two neighbours", func(t testing.TB, es [][]byte) [][]byte {
			return alter(4, payload)(t, alter(5, payload)(t, es))
		}, []found{{Altered, 4, 2}}},
		{"three apart", func(t testing.TB, es [][]byte) [][]byte {
			return alter(1, payload)(t, alter(4, typ)(t, alter(7, prev)(t, es)))
		}, []found{{Altered, 1, 1}, {Altered, 4, 1}, {Altered, 7, 1}}},

		{"the first is no entry", replace(0, "{}"), []found{{Altered, 0, 1}}},
		{"one in the middle is no entry", replace(5, `{"index":5}`), []found{{Altered, 5, 1}}},
		{"the last is no entry", replace(9, ""), []found{{Altered, 9, 1}}},
		{"one in the middle is that of another place", func(_ testing.TB, es [][]byte) [][]byte {
			es[5] = es[2]
			return es
		}, []found{{Altered, 5, 1}}},
		{"the first is of a newer version", newer(0), []found{{NewerFormat, 0, 1}}},
		{"one in the middle is of a newer version", newer(5), []found{{NewerFormat, 5, 1}}},
		{"the last is of a newer version", newer(9), []found{{NewerFormat, 9, 1}}},
		{"a newer version with other members", replace(5, `{"alg":"x","index":5,"v":2}`), []found{{NewerFormat, 5, 1}}},

		{"first deleted", remove(0, 1), []found{{Deleted, 0, 1}}},
		{"first three deleted", remove(0, 3), []found{{Deleted, 0, 3}}},
		{"one deleted", remove(5, 6), []found{{Deleted, 5, 1}}},
		{"all but the ends deleted", remove(1, 9), []found{{Deleted, 1, 8}}},
		{"last but one deleted", remove(8, 9), []found{{Deleted, 8, 1}}},
		{"last deleted", remove(9, 10), nil}, // Head says how far it goes
		{"two runs deleted", func(t testing.TB, es [][]byte) [][]byte {
			return remove(1, 3)(t, remove(6, 8)(t, es))
		}, []found{{Deleted, 1, 2}, {Deleted, 6, 2}}},

		{"first stored twice", insert(1, 0), []found{{Inserted, 0, 1}}},
		{"one stored twice", insert(6, 5), []found{{Inserted, 5, 1}}},
		{"last stored twice", insert(10, 9), []found{{Inserted, 9, 1}}},
		{"copy put in later", insert(8, 2), []found{{Inserted, 2, 1}}},
		{"copy put in at the end", insert(10, 2), []found{{Inserted, 2, 1}}},
		{"copy put in before", insert(2, 7), []found{{Inserted, 2, 1}}},
		{"copy put in at the start", insert(0, 4), []found{{Inserted, 0, 1}}},
		{"copy of the last put in before", insert(4, 9), []found{{Inserted, 4, 1}}},
		{"stored three times", func(t testing.TB, es [][]byte) [][]byte {
			return insert(6, 5)(t, insert(6, 5)(t, es))
		}, []found{{Inserted, 5, 1}}},
		{"a run stored twice", func(_ testing.TB, es [][]byte) [][]byte {
			return slices.Insert(es, 6, es[3:6]...)
		}, []found{{Inserted, 3, 3}}},
		{"another one put in behind", forge(6, 5, payload), []found{{Inserted, 5, 1}}},
		{"another one put in before", forge(5, 5, payload), []found{{Inserted, 5, 1}}},
		{"another one without a link put in before", forge(5, 5, prev), []found{{Inserted, 5, 1}}},
		{"another one with a later time put in before", forge(5, 5, later), []found{{Inserted, 5, 1}}},
		{"one from far beyond put in", forge(5, 5, index(1<<40)), []found{{Altered, 5, 1}, {Inserted, 5, 1}}},

		{"neighbours swapped", swap(4, 5), []found{{Reordered, 4, 2}}},
		{"first two swapped", swap(0, 1), []found{{Reordered, 0, 2}}},
		{"last two swapped", swap(8, 9), []found{{Reordered, 8, 2}}},
		{"swapped over one", swap(3, 5), []found{{Reordered, 3, 1}, {Reordered, 5, 1}}},
		{"swapped far apart", swap(1, 7), []found{{Reordered, 1, 1}, {Reordered, 7, 1}}},
		{"ends swapped", swap(0, 9), []found{{Reordered, 0, 1}, {Reordered, 9, 1}}},
		{"moved behind", move(2, 6), []found{{Reordered, 2, 1}}},
		{"moved to the end", move(2, 9), []found{{Reordered, 2, 1}}},
		{"first moved to the end", move(0, 9), []found{{Reordered, 0, 1}}},
		{"moved before", move(6, 2), []found{{Reordered, 2, 5}}},
		{"last moved to the start", move(9, 0), []found{{Reordered, 0, 10}}},
		{"halves swapped", func(_ testing.TB, es [][]byte) [][]byte {
			return append(slices.Clone(es[5:]), es[:5]...)
		}, []found{{Reordered, 0, 5}}},

		{"time back, relinked", relink(5, sooner), []found{{TimeReversed, 5, 1}}},
		{"time ahead, relinked", relink(5, later), []found{{TimeReversed, 6, 1}}},
		{"time back at the start, relinked", relink(0, later), []found{{TimeReversed, 1, 1}}},
		// A rewritten history is what a chain alone cannot see.
		{"payload changed, relinked", relink(5, payload), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			entries := run(0, n)
			got := check(NewChain(0, nil), tt.damage(t, slices.Clone(entries)))
			if !slices.Equal(got, tt.want) {
				t.Errorf("found %v, want %v", got, tt.want)
			}
		})
		if tt.want == nil {
			continue
		}
		t.Run(tt.name+", in a later part", func(t *testing.T) {
			// The same from another index on, where the damage is deep enough
			// inside that the open end does not matter.
			if slices.ContainsFunc(tt.want, func(f found) bool { return f.Index < 2 }) {
				return
			}
			const first = 1 << 17
			entries := run(first, n)
			damaged := tt.damage(t, slices.Clone(entries))
			for i, e := range damaged {
				// Indices that the damage set are meant from the start of the run.
				if p, err := ParseEntry(e); err == nil && p.Index < first {
					damaged[i] = change(t, e, func(e *Entry) { e.Index = min(e.Index+first, MaxIndex) })
				}
			}
			got := check(NewChain(first, nil), damaged)
			want := slices.Clone(tt.want)
			for i := range want {
				want[i].Index += first
			}
			if !slices.Equal(got, want) {
				t.Errorf("found %v, want %v", got, want)
			}
		})
	}
}

// TestChainMarks: whoever holds the hashes that were committed can make out
// which entry is meant where the chain alone cannot.
func TestChainMarks(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(es [][]byte) [][]byte
		want   []found
	}{
		{"payload of the last", func(es [][]byte) [][]byte {
			es[9] = change(t, es[9], func(e *Entry) { e.Payload[0]++ })
			return es
		}, []found{{Altered, 9, 1}}},
		{"payload of the last but one", func(es [][]byte) [][]byte {
			es[8] = change(t, es[8], func(e *Entry) { e.Payload[0]++ })
			return es
		}, []found{{Altered, 8, 1}}},
		{"link of the last", func(es [][]byte) [][]byte {
			es[9] = change(t, es[9], func(e *Entry) { e.Prev[0]++ })
			return es
		}, []found{{Altered, 9, 1}}},
		{"payload in the middle", func(es [][]byte) [][]byte {
			es[4] = change(t, es[4], func(e *Entry) { e.Payload[0]++ })
			return es
		}, []found{{Altered, 4, 1}}},
		{"neighbours and one apart", func(es [][]byte) [][]byte {
			for _, i := range []int{3, 4, 8} {
				es[i] = change(t, es[i], func(e *Entry) { e.Payload[0]++ })
			}
			return es
		}, []found{{Altered, 3, 2}, {Altered, 8, 1}}},
		{"deleted", func(es [][]byte) [][]byte { return slices.Delete(es, 4, 6) }, []found{{Deleted, 4, 2}}},
		{"swapped", func(es [][]byte) [][]byte {
			es[4], es[5] = es[5], es[4]
			return es
		}, []found{{Reordered, 4, 2}}},
		{"swapped, and the last altered", func(es [][]byte) [][]byte {
			es[4], es[5] = es[5], es[4]
			es[9] = change(t, es[9], func(e *Entry) { e.Payload[0]++ })
			return es
		}, []found{{Reordered, 4, 2}, {Altered, 9, 1}}},
		{"put in", func(es [][]byte) [][]byte { return slices.Insert(es, 5, es[4]) }, []found{{Inserted, 4, 1}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			entries := run(0, 10)
			if got := checkMarked(entries, tt.damage(slices.Clone(entries))); !slices.Equal(got, tt.want) {
				t.Errorf("found %v, want %v", got, tt.want)
			}
		})
	}
}

// checkMarked is check by somebody who holds the hashes of the entries as they
// were committed.
func checkMarked(committed, stored [][]byte) []found {
	c := NewChain(0, nil)
	for i, e := range stored {
		got := c.Next(bytes.Clone(e))
		if i < len(committed) && got.OK && got.Index == uint64(i) && got.Hash != LeafHash(committed[i]) {
			c.Mark(uint64(i), "another hash was committed")
		}
	}
	return check(c, nil)
}

func TestChainSkip(t *testing.T) {
	entries := run(0, 20)
	c := NewChain(0, nil)
	for _, e := range entries[:5] {
		c.Next(e)
	}
	c.Skip(3)
	if got := check(c, entries[8:]); got != nil {
		t.Errorf("found %v", got)
	}
	if next, head, known := c.Head(); next != 20 || !known || head != LeafHash(entries[19]) {
		t.Errorf("head %d %v %v", next, head, known)
	}

	// What stands on either side of it is still judged.
	damaged := slices.Clone(entries)
	damaged[2] = change(t, damaged[2], func(e *Entry) { e.Payload[0]++ })
	damaged[9] = change(t, damaged[9], func(e *Entry) { e.Payload[0]++ })
	c = NewChain(0, nil)
	for _, e := range damaged[:5] {
		c.Next(e)
	}
	c.Skip(3)
	if got, want := check(c, damaged[8:]), []found{{Altered, 2, 1}, {Altered, 9, 1}}; !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}

	c = NewChain(0, nil)
	c.Skip(4)
	if next, _, known := c.Head(); next != 4 || known {
		t.Errorf("nothing but unreadable entries: head %d, known %v", next, known)
	}
}

func TestChainNamesWhere(t *testing.T) {
	entries := run(0, 12)
	entries[3] = change(t, entries[3], func(e *Entry) { e.Payload[0]++ })
	entries[7] = []byte("x")
	entries = slices.Delete(entries, 9, 10)
	c := NewChain(0, nil)
	for i, e := range entries {
		c.SetWhere(fmt.Sprintf("part %d", i/4))
		c.Next(e)
	}
	var got []string
	for _, f := range c.End() {
		got = append(got, fmt.Sprintf("%s %d %s", f.Cause, f.Index, f.Where))
	}
	// Entry 3 is judged while part 1 is read, and what is missing is known
	// from the entry behind it.
	if want := []string{"altered 3 part 0", "altered 7 part 1", "deleted 9 part 2"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestChainTakesLittleForMuchDamage: what is wrong with every entry is one
// finding, not one for each.
func TestChainTakesLittleForMuchDamage(t *testing.T) {
	const n = 3000
	entries := run(0, n)
	renumbered := [][]byte{change(t, entries[0], func(e *Entry) { e.Type = "forged" })}
	for _, e := range entries {
		renumbered = append(renumbered, change(t, e, func(e *Entry) { e.Index++ }))
	}
	nonsense := make([][]byte, n)
	for i := range nonsense {
		nonsense[i] = []byte("nonsense")
	}
	backwards := slices.Clone(entries)
	slices.Reverse(backwards)
	for _, tt := range []struct {
		name    string
		entries [][]byte
		first   found
	}{
		{"one put in and all renumbered", renumbered, found{Altered, 0, n}},
		{"no entry at all", nonsense, found{Altered, 0, n}},
		{"backwards", backwards, found{Reordered, 0, n - 1}},
	} {
		got := check(NewChain(0, nil), tt.entries)
		if len(got) == 0 || len(got) > 2 || got[0] != tt.first {
			t.Errorf("%s: found %v, want %v", tt.name, got[:min(len(got), 5)], tt.first)
		}
	}
}

// TestChainRandomDamage damages a run once, anywhere, and expects exactly what
// was done.
func TestChainRandomDamage(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 4000 {
		n := 2 + r.IntN(40)
		entries := run(0, n)
		damaged := slices.Clone(entries)
		var what string
		var alone, marked []found // without and with the hashes that were committed
		switch r.IntN(5) {
		case 0: // one byte
			k := r.IntN(n)
			e := bytes.Clone(damaged[k])
			at := r.IntN(len(e))
			old := e[at]
			for e[at] == old {
				e[at] = byte(r.IntN(256))
			}
			damaged[k] = e
			what = fmt.Sprintf("byte %d of entry %d: %q for %q", at, k, e[at], old)
			alone, marked = byteDamage(entries, k, e)
		case 1: // deleted
			from := r.IntN(n)
			to := from + 1 + r.IntN(n-from)
			damaged = slices.Delete(damaged, from, to)
			what = fmt.Sprintf("deleted %d to %d of %d", from, to, n)
			if to < n {
				alone = []found{{Deleted, uint64(from), uint64(to - from)}}
			}
			marked = alone
		case 2: // put in
			of, at := r.IntN(n), r.IntN(n+1)
			damaged = slices.Insert(damaged, at, damaged[of])
			what = fmt.Sprintf("copy of %d put in at %d of %d", of, at, n)
			alone = []found{{Inserted, uint64(min(of, at)), 1}}
			marked = alone
		case 3: // swapped
			i, j := r.IntN(n), r.IntN(n)
			if i == j {
				continue
			}
			i, j = min(i, j), max(i, j)
			damaged[i], damaged[j] = damaged[j], damaged[i]
			what = fmt.Sprintf("swapped %d and %d of %d", i, j, n)
			alone = []found{{Reordered, uint64(i), 1}, {Reordered, uint64(j), 1}}
			if j == i+1 {
				alone = []found{{Reordered, uint64(i), 2}}
			}
			marked = alone
		case 4: // moved
			from, to := r.IntN(n), r.IntN(n)
			if from == to || from+1 == to || to+1 == from {
				continue
			}
			e := damaged[from]
			damaged = slices.Insert(slices.Delete(damaged, from, from+1), to, e)
			what = fmt.Sprintf("moved %d to %d of %d", from, to, n)
			alone = []found{{Reordered, uint64(from), 1}}
			if to < from {
				alone = []found{{Reordered, uint64(to), uint64(from - to + 1)}}
			}
			marked = alone
		}
		if got := check(NewChain(0, nil), damaged); !slices.Equal(got, alone) {
			t.Fatalf("%s: found %v, want %v", what, got, alone)
		}
		if got := checkMarked(entries, damaged); !slices.Equal(got, marked) {
			t.Fatalf("%s, knowing the hashes: found %v, want %v", what, got, marked)
		}
	}
}

// byteDamage says what is to be found when entry k of entries is stored as e.
func byteDamage(entries [][]byte, k int, e []byte) (alone, marked []found) {
	n, i := len(entries), uint64(k)
	altered := []found{{Altered, i, 1}}
	was, _ := ParseEntry(entries[k])
	is, err := ParseEntry(e)
	switch {
	case errors.Is(err, ErrEntryVersion):
		return []found{{NewerFormat, i, 1}}, []found{{NewerFormat, i, 1}}
	case err != nil, is.Index != was.Index, k < n-2:
		return altered, altered
	case is.Prev != was.Prev && k == n-1:
		return []found{{Altered, i - 1, 2}}, altered
	case is.Prev == was.Prev && k == n-2:
		return []found{{Altered, i, 2}}, altered
	case k == n-1 && k > 0:
		// Nothing behind it names its hash.
		before, _ := ParseEntry(entries[k-1])
		if is.Time.Before(before.Time) {
			return []found{{TimeReversed, i, 1}}, altered
		}
		return nil, altered
	}
	return altered, altered
}

func TestFindingString(t *testing.T) {
	for _, tt := range []struct {
		f    Finding
		want string
	}{
		{Finding{Cause: Altered, Index: 5, Count: 1, Detail: "why"}, "altered at index 5: why"},
		{Finding{Cause: Deleted, Index: 5, Count: 3, Where: "x.tail", Detail: "why"}, "deleted at index 5 and the 2 after it (x.tail): why"},
		{Finding{Cause: Truncated, Index: 9, Detail: "why"}, "truncated at index 9: why"},
	} {
		if got := tt.f.String(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	for _, c := range []Cause{Altered, Inserted, Deleted, Reordered, Truncated, Wiped, Forked, RolledBack, KeySwapped, PayloadMissing, TimeReversed, Unsigned, Torn, NewerFormat, IndexWrong, Unreadable} {
		if c.Meaning() == "" {
			t.Errorf("%s: no meaning", c)
		}
		if c.Derived() != (c == IndexWrong || c == Torn) {
			t.Errorf("%s: Derived = %v", c, c.Derived())
		}
	}
	if got := Cause("other").Meaning(); got != "" {
		t.Errorf("a cause that does not exist means %q", got)
	}
}
