package vfstest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/custodylog/custody/internal/vfs"
)

// outcomes crashes mem once for each seed, describes what is left, and counts
// how often each description came up.
func outcomes(mem *Mem, seeds uint64, describe func(*Mem) string) map[string]int {
	seen := map[string]int{}
	for seed := range seeds {
		seen[describe(mem.CrashClone(rand.New(rand.NewPCG(seed, 1))))]++
	}
	return seen
}

// wantOutcomes checks that exactly the wanted outcomes came up.
func wantOutcomes(t *testing.T, seen map[string]int, want ...string) {
	t.Helper()
	for _, w := range want {
		if seen[w] == 0 {
			t.Errorf("no crash gave %q", w)
		}
		delete(seen, w)
	}
	for other, n := range seen {
		t.Errorf("%d crashes gave %q, which cannot be", n, other)
	}
}

// blocks describes a file by one letter for each sector: the one that the
// sector is full of, 0 for zeros.
func blocks(t *testing.T, name string) func(*Mem) string {
	return func(m *Mem) string {
		b, err := m.ReadAll(name)
		if err != nil {
			t.Fatal(err)
		}
		var s strings.Builder
		for s.Len() < len(b)/sector {
			part := b[s.Len()*sector:][:sector]
			c := part[0]
			if !bytes.Equal(part, bytes.Repeat(part[:1], sector)) {
				c = '?'
			} else if c == 0 {
				c = '0'
			}
			s.WriteByte(c)
		}
		if rest := len(b) % sector; rest != 0 {
			fmt.Fprintf(&s, "+%d", rest)
		}
		return s.String()
	}
}

// full returns sectors full of the letters of s.
func full(s string) []byte {
	var b []byte
	for _, c := range []byte(s) {
		b = append(b, bytes.Repeat([]byte{c}, sector)...)
	}
	return b
}

func TestCrashOfFile(t *testing.T) {
	type step struct {
		at   int // sector
		data string
		size int // of a truncation, in sectors
	}
	for _, tc := range []struct {
		name   string
		synced string
		steps  []step
		want   []string
	}{
		{
			name: "all synced", synced: "abc", want: []string{"abc"},
		}, {
			name: "overwritten: each sector old or new", synced: "abc",
			steps: []step{{at: 1, data: "XY"}},
			want:  []string{"abc", "aXc", "abY", "aXY"},
		}, {
			name: "appended: length and bytes apart", synced: "a",
			steps: []step{{at: 1, data: "XY"}},
			want:  []string{"a", "a00", "aX0", "a0Y", "aXY"},
		}, {
			name: "two appends: the later may survive the earlier", synced: "",
			steps: []step{{at: 0, data: "X"}, {at: 1, data: "Y"}},
			want:  []string{"", "0", "X", "00", "X0", "0Y", "XY"},
		}, {
			name: "the same place twice", synced: "a",
			steps: []step{{at: 0, data: "X"}, {at: 0, data: "Y"}},
			want:  []string{"a", "X", "Y"},
		}, {
			name: "cut", synced: "abc",
			steps: []step{{at: -1, size: 1}},
			want:  []string{"abc", "a"},
		}, {
			name: "cut and grown: what was cut off does not come back as part of it", synced: "abc",
			steps: []step{{at: -1, size: 1}, {at: -1, size: 2}},
			want:  []string{"abc", "a", "a0"},
		}, {
			name: "cut and written again", synced: "ab",
			steps: []step{{at: -1, size: 1}, {at: 1, data: "X"}},
			want:  []string{"ab", "a", "a0", "aX"},
		}, {
			name: "a gap", synced: "a",
			steps: []step{{at: 2, data: "X"}},
			want:  []string{"a", "a00", "a0X"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mem := NewMem()
			f, err := mem.Create("f")
			must(t, err)
			_, err = f.WriteAt(full(tc.synced), 0)
			must(t, err)
			must(t, f.Sync())
			must(t, mem.SyncDir("/"))
			for _, s := range tc.steps {
				if s.at < 0 {
					must(t, f.Truncate(int64(s.size)*sector))
					continue
				}
				_, err := f.WriteAt(full(s.data), int64(s.at)*sector)
				must(t, err)
			}
			if got := mem.Dirty("f"); got != (len(tc.steps) > 0) {
				t.Errorf("Dirty = %v after %d changes", got, len(tc.steps))
			}
			describe := blocks(t, "f")
			now := describe(mem)
			if got := describe(mem.CrashClone(nil)); got != tc.synced {
				t.Errorf("the strict crash gave %q, want %q", got, tc.synced)
			}
			wantOutcomes(t, outcomes(mem, 2000, describe), tc.want...)

			must(t, f.Sync())
			if mem.Dirty("f") {
				t.Error("still dirty after Sync")
			}
			wantOutcomes(t, outcomes(mem, 50, describe), now)
		})
	}
}

// A write that is smaller than a sector is whole or absent, and one that
// crosses a border is torn there.
func TestCrashTearsAtSectors(t *testing.T) {
	mem := NewMem()
	f, err := mem.Create("f")
	must(t, err)
	must(t, f.Truncate(2*sector))
	must(t, f.Sync())
	must(t, mem.SyncDir("/"))
	_, err = f.WriteAt([]byte("left|right"), sector-5)
	must(t, err)
	seen := outcomes(mem, 500, func(m *Mem) string {
		b, err := m.ReadAll("f")
		must(t, err)
		return strings.ReplaceAll(string(b[sector-5:sector+5]), "\x00", ".")
	})
	wantOutcomes(t, seen, "..........", "left|.....", ".....right", "left|right")
}

func names(t *testing.T, dirs ...string) func(*Mem) string {
	return func(m *Mem) string {
		var all []string
		for _, dir := range dirs {
			list, err := m.List(dir)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			all = append(all, strings.Join(list, " "))
		}
		return strings.Join(all, " | ")
	}
}

func TestCrashOfDirectory(t *testing.T) {
	for _, tc := range []struct {
		name  string
		steps func(m *Mem) error // dirs A and B exist and are synced, and A/x, synced
		want  []string           // names in A and in B
	}{
		{"all synced", func(m *Mem) error { return nil }, []string{"x | "}},
		{
			"changes survive in order",
			func(m *Mem) error {
				return errors.Join(create(m, "A/y"), m.Rename("A/x", "A/z"), m.Remove("A/y"))
			},
			[]string{"x | ", "x y | ", "y z | ", "z | "},
		}, {
			"a synced file is lost with its name",
			func(m *Mem) error { return vfs.WriteFileAtomic(noSyncDir{m}, "A/y", []byte("content")) },
			[]string{"x | ", "x y.tmp | ", "x y | "},
		}, {
			"directories do not wait for each other",
			func(m *Mem) error { return errors.Join(create(m, "A/y"), create(m, "B/y")) },
			[]string{"x | ", "x y | ", "x | y", "x y | y"},
		}, {
			"a rename between directories is in both or in neither",
			func(m *Mem) error { return m.Rename("A/x", "B/x") },
			[]string{"x | ", " | x"},
		}, {
			"what comes before a rename between directories survives with it",
			func(m *Mem) error {
				return errors.Join(create(m, "B/first"), m.Rename("A/x", "B/x"), create(m, "A/last"))
			},
			[]string{"x | ", "x | first", " | first x", "last | first x"},
		}, {
			"syncing one side of a rename syncs the other",
			func(m *Mem) error {
				return errors.Join(create(m, "A/y"), m.Rename("A/x", "B/x"), create(m, "A/z"), m.SyncDir("B"))
			},
			[]string{"y | x", "y z | x"},
		}, {
			"a directory that was made stays",
			func(m *Mem) error {
				return errors.Join(m.MkdirAll("B/sub/deep"), create(m, "B/sub/f"), m.SyncDir("B/sub"))
			},
			[]string{"x | sub"},
		}, {
			"synced",
			func(m *Mem) error { return errors.Join(m.Remove("A/x"), m.SyncDir("A")) },
			[]string{" | "},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mem := NewMem()
			must(t, errors.Join(mem.MkdirAll("A"), mem.MkdirAll("B"), mem.SyncDir("/"), create(mem, "A/x"), mem.SyncDir("A")))
			if mem.Dirty("A") {
				t.Error("A is dirty after SyncDir")
			}
			must(t, tc.steps(mem))
			describe := names(t, "A", "B")
			if got := describe(mem.CrashClone(nil)); got != tc.want[0] {
				t.Errorf("the strict crash gave %q, want %q", got, tc.want[0])
			}
			wantOutcomes(t, outcomes(mem, 500, describe), tc.want...)

			now := describe(mem)
			must(t, errors.Join(mem.SyncDir("A"), mem.SyncDir("B")))
			if mem.Dirty("A") || mem.Dirty("B") {
				t.Error("dirty after SyncDir")
			}
			wantOutcomes(t, outcomes(mem, 50, describe), now)
		})
	}
}

// noSyncDir never gets to syncing a directory.
type noSyncDir struct{ *Mem }

func (noSyncDir) SyncDir(string) error { return nil }

func create(m *Mem, name string) error {
	f, err := m.Create(name)
	if err != nil {
		return err
	}
	return f.Close()
}

// A rename leaves the content of the source or of the target as it was, never
// nothing, however often it is repeated.
func TestCrashOfRenames(t *testing.T) {
	mem := NewMem()
	must(t, mem.WriteAll("f", []byte("0")))
	must(t, mem.SyncDir("/"))
	want := []string{"0"}
	for i := 1; i < 5; i++ {
		content := fmt.Sprint(i)
		must(t, mem.WriteAll("t", []byte(content)))
		must(t, mem.Rename("t", "f"))
		want = append(want, content)
	}
	wantOutcomes(t, outcomes(mem, 500, func(m *Mem) string {
		b, err := m.ReadAll("f")
		must(t, err)
		return string(b)
	}), want...)
}

func TestCrashRepeats(t *testing.T) {
	mem := NewMem()
	for i := range 20 {
		name := fmt.Sprintf("f%d", i)
		f, err := mem.Create(name)
		must(t, err)
		must(t, mem.SyncDir("/"))
		_, err = f.WriteAt(full("abcdefgh"), 0)
		must(t, err)
	}
	for seed := range uint64(20) {
		first, second := mem.CrashClone(rand.New(rand.NewPCG(seed, 4))), mem.CrashClone(rand.New(rand.NewPCG(seed, 4)))
		for i := range 20 {
			describe := blocks(t, fmt.Sprintf("f%d", i))
			if a, b := describe(first), describe(second); a != b {
				t.Fatalf("seed %d left f%d as %q, then as %q", seed, i, a, b)
			}
		}
	}
}

// Random histories: what was synced is found after every crash, byte for byte
// where nothing was written since.
func TestCrashKeepsWhatWasSynced(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 2))
		mem := NewMem()
		f, err := mem.Create("f")
		must(t, err)
		must(t, mem.SyncDir("/"))
		var synced []byte
		dirty := map[int64]bool{} // bytes written since the last sync
		for range 30 {
			switch rng.IntN(4) {
			case 0:
				must(t, f.Sync())
				synced, err = mem.ReadAll("f")
				must(t, err)
				clear(dirty)
			default:
				p := make([]byte, 1+rng.IntN(3000))
				for i := range p {
					p[i] = byte(rng.Uint32())
				}
				at := rng.Int64N(10000)
				_, err := f.WriteAt(p, at)
				must(t, err)
				for i := range p {
					dirty[at+int64(i)] = true
					p[i]++ // the slice is ours again
				}
			}
			crash := rng.Uint64()
			got, err := mem.CrashClone(rand.New(rand.NewPCG(crash, 0))).ReadAll("f")
			must(t, err)
			if len(got) < len(synced) {
				t.Fatalf("seed %d: %d bytes of %d that were synced are left", seed, len(got), len(synced))
			}
			for i, b := range synced {
				if got[i] != b && !dirty[int64(i)] {
					t.Fatalf("seed %d, crash seed %d: byte %d was synced and is lost", seed, crash, i)
				}
			}
			strict, err := mem.CrashClone(nil).ReadAll("f")
			must(t, err)
			if !bytes.Equal(strict, synced) {
				t.Fatalf("seed %d: the strict crash does not give exactly what was synced", seed)
			}
		}
	}
}

func TestCrashCloneIsSeparate(t *testing.T) {
	mem := NewMem()
	f, err := mem.Create("f")
	must(t, err)
	_, err = f.WriteAt([]byte("one"), 0)
	must(t, err)
	must(t, f.Sync())
	held, err := mem.Lock("lock", "somebody")
	must(t, err)
	must(t, mem.SyncDir("/"))

	for name, clone := range map[string]*Mem{"CrashClone": mem.CrashClone(nil), "Clone": mem.Clone()} {
		// The old one lives on, with its handle and its lock.
		_, err = f.WriteAt([]byte("two"), 0)
		must(t, err)
		if _, err := mem.Lock("lock", "x"); err == nil {
			t.Errorf("%s released the lock", name)
		}
		// The new one is free and knows nothing of it.
		wantFile(t, clone, "f", "one")
		lock, err := clone.Lock("lock", "somebody else")
		must(t, err)
		must(t, lock.Close())
		must(t, clone.WriteAll("f", []byte("three")))
		wantFile(t, mem, "f", "two")
		_, err = f.WriteAt([]byte("one"), 0)
		must(t, err)
	}
	must(t, held.Close())
	must(t, f.Close())
}

// A Clone remembers what was not synced, as a crash of both shows.
func TestCloneKeepsWhatIsUnsynced(t *testing.T) {
	mem := NewMem()
	must(t, errors.Join(mem.MkdirAll("A"), mem.MkdirAll("B"), mem.SyncDir("/")))
	f, err := mem.Create("A/f")
	must(t, err)
	must(t, errors.Join(mem.SyncDir("A"), create(mem, "A/g"), mem.Rename("A/g", "B/g"), mem.Remove("A/f"), create(mem, "A/f")))
	_, err = f.WriteAt(full("ab"), 0)
	must(t, err)
	clone := mem.Clone()
	describe := func(m *Mem) string {
		size, err := m.Size("A/f")
		return fmt.Sprint(names(t, "A", "B")(m), size, err)
	}
	for seed := range uint64(100) {
		a, b := mem.CrashClone(rand.New(rand.NewPCG(seed, 3))), clone.CrashClone(rand.New(rand.NewPCG(seed, 3)))
		if describe(a) != describe(b) {
			t.Fatalf("seed %d: a crash leaves %q, one of the clone %q", seed, describe(a), describe(b))
		}
	}
	if mem.Dirty("A") != clone.Dirty("A") || !clone.Dirty("B") {
		t.Error("the clone does not know that its directories are not synced")
	}
	must(t, clone.SyncDir("B"))
	if !mem.Dirty("B") {
		t.Error("syncing the clone synced the original")
	}
}
