package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/storage"
)

// prunedSegment is one of which two bundles keep their hashes, and three entries
// are kept. It is the same every time.
func prunedSegment() *Pruned {
	p := &Pruned{First: 65536, FirstTime: 1_700_000_000_000_000, LastTime: 1_700_000_000_065_535, Tile: make([]evidence.Hash, Bundles),
		Checkpoints: [][]byte{[]byte("a change of key"), []byte("the last one")}}
	for i := range p.Tile {
		p.Tile[i] = evidence.LeafHash(fmt.Appendf(nil, "bundle %d", i))
	}
	p.Root = evidence.LeafHash([]byte("root"))
	for _, n := range []int{3, Bundles - 1} {
		p.Hashes[n] = make([]evidence.Hash, BundleEntries)
		for i := range p.Hashes[n] {
			p.Hashes[n][i] = evidence.LeafHash(fmt.Appendf(nil, "entry %d", n*BundleEntries+i))
		}
	}
	p.Records = []PrunedRecord{
		{Position: 3 * BundleEntries, Entry: []byte("first"), Body: []byte("sixteen bytes of{}")},
		{Position: 3*BundleEntries + 1, Entry: []byte("second")},
		{Position: Entries - 1, Entry: []byte("third"), Body: []byte("sixteen bytes of")},
	}
	return p
}

func appendPruned(t testing.TB, p *Pruned) []byte {
	t.Helper()
	b, err := AppendPruned(nil, p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func wantPruned(t testing.TB, got, want *Pruned) {
	t.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Errorf("%.2000s\nwant\n%.2000s", g, w)
	}
}

func TestPrunedRoundTrip(t *testing.T) {
	p := prunedSegment()
	got, err := ParsePruned(appendPruned(t, p))
	if err != nil {
		t.Fatal(err)
	}
	wantPruned(t, got, p)
	if h, ok := got.Hash(3*BundleEntries + 7); !ok || h != p.Hashes[3][7] {
		t.Errorf("hash of an entry: %v, %v", h, ok)
	}
	if h, ok := got.Hash(7); ok || h != (evidence.Hash{}) {
		t.Errorf("a hash that is not kept: %v, %v", h, ok)
	}
	empty := &Pruned{Tile: make([]evidence.Hash, Bundles)}
	empty.Hashes[Bundles-1] = make([]evidence.Hash, BundleEntries)
	if got, err = ParsePruned(appendPruned(t, empty)); err != nil {
		t.Fatal(err)
	}
	wantPruned(t, got, empty)
}

// TestPrunedEveryByte: no byte can be changed, and none is too many or too few.
func TestPrunedEveryByte(t *testing.T) {
	good := appendPruned(t, prunedSegment())
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 1 << (i % 8)
		_, err := ParsePruned(b)
		if newer := i == len(prunedPrefix) && b[i] > '1' && b[i] <= '9'; errors.Is(err, storage.ErrNewer) != newer || errors.Is(err, storage.ErrAltered) == newer {
			t.Errorf("byte %d: %v", i, err)
		}
	}
	for n := 0; n < len(good); n += 1 + n/97 {
		if _, err := ParsePruned(good[:n]); !errors.Is(err, storage.ErrAltered) {
			t.Errorf("cut short at %d: %v", n, err)
		}
	}
	if _, err := ParsePruned(append(good, 0)); !errors.Is(err, storage.ErrAltered) {
		t.Errorf("a byte behind the end: %v", err)
	}
}

// resumPruned gives a file the checksum that it should have.
func resumPruned(b []byte) []byte {
	binary.BigEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b[:len(b)-4], castagnoli))
	return b
}

// TestPrunedRefuses: a file with the right checksum may still be wrong.
func TestPrunedRefuses(t *testing.T) {
	good := appendPruned(t, prunedSegment())
	notes := sealedHeaderSize + 16 + 32*Bundles + 32
	bitmap := notes + 4 + 4 + len("a change of key") + 4 + len("the last one")
	records := bitmap + 32 + 2*32*BundleEntries
	second := records + 4 + prunedRecord + len("first") + len("sixteen bytes of{}")
	for _, tt := range []struct {
		name string
		at   int
		to   []byte
		want string
	}{
		{"the header", 20, []byte{1}, "its header"},
		{"2^32-1 checkpoints", notes, []byte{255, 255, 255, 255}, "cut short"},
		{"a checkpoint of 2^32-1 bytes", notes + 4, []byte{255, 255, 255, 255}, "cut short"},
		{"hashes of all bundles", bitmap, bytes.Repeat([]byte{255}, 32), "cut short"},
		{"none of the last bundle", bitmap + 31, []byte{0x40}, "the leaf hashes of the last bundle are missing"},
		{"those of another bundle", bitmap, []byte{0x10}, "the leaf hashes beside the record at position 768 are missing"},
		{"one record less", records, []byte{0, 0, 0, 2}, "bytes stand behind its last record"},
		{"one record more", records, []byte{0, 0, 0, 4}, "cut short"},
		{"2^32-1 records", records, []byte{255, 255, 255, 255}, "cut short"},
		{"an entry beyond the end", records + 6, []byte{255, 255}, "cut short"},
		{"a body beyond the end", records + 8, []byte{255, 255, 255, 255}, "cut short"},
		{"records in another order", second, []byte{3, 0}, "position 768 of a record is not behind"},
	} {
		b := bytes.Clone(good)
		copy(b[tt.at:], tt.to)
		if _, err := ParsePruned(resumPruned(b)); !errors.Is(err, storage.ErrAltered) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want one with %q", tt.name, err, tt.want)
		}
	}
}

func TestAppendPrunedRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(p *Pruned)
		want   string
	}{
		{"a short tile", func(p *Pruned) { p.Tile = p.Tile[1:] }, "its tile has 255 hashes"},
		{"a short bundle", func(p *Pruned) { p.Hashes[3] = p.Hashes[3][1:] }, "bundle 3 has 255 leaf hashes"},
		{"no last bundle", func(p *Pruned) { p.Hashes[Bundles-1] = nil }, "last bundle"},
		{"a record without its hashes", func(p *Pruned) { p.Records[0].Position = 0 }, "position 0 are missing"},
		{"a record behind the end", func(p *Pruned) { p.Records[2].Position = Entries }, "position 65536"},
		{"a record twice", func(p *Pruned) { p.Records[1].Position-- }, "position 768 of a record is not behind"},
		{"a body without room for a salt", func(p *Pruned) { p.Records[1].Body = []byte("{}") }, "its body has 2 bytes"},
		{"too much", func(p *Pruned) {
			p.Records[0].Body, p.Records[2].Body = make([]byte, MaxPruned/2), make([]byte, MaxPruned/2)
		}, "fit in"},
	} {
		p := prunedSegment()
		tt.change(p)
		if b, err := AppendPruned([]byte("dst"), p); err == nil || !strings.Contains(err.Error(), tt.want) || string(b) != "dst" {
			t.Errorf("%s: %d bytes, %v, want one with %q", tt.name, len(b), err, tt.want)
		}
	}
}

// TestGoldenPruned: a file that version 1 wrote reads the same for ever, and is
// still written the same while version 1 is what is written.
func TestGoldenPruned(t *testing.T) {
	golden(t, "pruned", appendPruned(t, prunedSegment()))
	b, err := os.ReadFile(filepath.Join("testdata", "golden", "v1", "pruned"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParsePruned(b)
	if err != nil {
		t.Fatal(err)
	}
	wantPruned(t, got, prunedSegment())
}

func FuzzParsePruned(f *testing.F) {
	good := appendPruned(f, prunedSegment())
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte("custody pruned v2\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		check := func(b []byte) {
			p, err := ParsePruned(b)
			if err != nil {
				if errors.Is(err, storage.ErrAltered) == errors.Is(err, storage.ErrNewer) {
					t.Fatal(err)
				}
				return
			}
			// What checks out is what is written for what it holds.
			if again, err := AppendPruned(nil, p); err != nil || !bytes.Equal(again, b) {
				t.Fatalf("read from %q\nwritten as %q, %v", b, again, err)
			}
		}
		check(b)
		// Once more with the right checksum, to get at what is behind it.
		if len(b) >= 4 {
			check(resumPruned(bytes.Clone(b)))
		}
	})
}
