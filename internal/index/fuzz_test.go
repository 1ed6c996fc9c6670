package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/storage"
)

// FuzzSealed opens index files whose sections, and one word of whose header, hold
// anything, with right checksums, and uses all of them.
func FuzzSealed(f *testing.F) {
	for _, n := range []int{0, 5, 300} {
		s := openBytes(f, goldenMemory(n).Seal(65536, evidence.Hash{}))
		var parts [sections][]byte
		for i := range parts {
			var err error
			if parts[i], err = s.read(nil, i, 0, s.section[i].size); err != nil {
				f.Fatal(err)
			}
		}
		f.Add(parts[sectionDirectory], parts[sectionKeys], parts[sectionPostings], parts[sectionCounts], uint32(n), uint8(25), uint32(n), uint64(n))
	}
	filter := bytes.Repeat([]byte{0xff}, filterBytes)
	f.Fuzz(func(t *testing.T, directory, keys, postings, counts []byte, count uint32, at uint8, word uint32, k uint64) {
		content := join(65536, count, evidence.Hash{}, [sections][]byte{directory, keys, postings, filter, counts})
		if at := 25 + int(at)%(headerSize-28); at != 25 {
			binary.BigEndian.PutUint32(content[at:], word)
		}
		s, err := OpenSealed(bytes.NewReader(sealPages(content)))
		if err != nil {
			if errors.Is(err, storage.ErrAltered) == errors.Is(err, storage.ErrNewer) {
				t.Fatal(err)
			}
			return
		}
		altered := func(err error) {
			if err != nil && !errors.Is(err, storage.ErrAltered) {
				t.Fatal(err)
			}
		}
		for _, k := range append(slices.Clone(s.directory[:min(len(s.directory), 5)]), key(k&(1<<48-1)), 0, 1<<48-1) {
			got, err := s.Ascending(nil, k)
			altered(err)
			for i, pos := range got {
				if pos >= s.count || i > 0 && pos <= got[i-1] {
					t.Fatalf("%d entries, positions %v", s.count, got)
				}
			}
		}
		_, err = s.Buckets(nil)
		altered(err)
		_, err = s.Filter()
		altered(err)
		_, err = s.Sum()
		altered(err)
	})
}

// FuzzPositions reads any bytes as a list of positions, in one piece and in many.
func FuzzPositions(f *testing.F) {
	list := binary.AppendUvarint(nil, 3)
	for _, d := range []uint64{5, 300, 70000} {
		list = binary.AppendUvarint(list, d)
	}
	f.Add(list, uint32(1<<20), 1)
	f.Add(list, uint32(10), 100)
	f.Add([]byte{2, 90, 20}, uint32(100), 100) // together they are beyond the end
	f.Add([]byte{2, 90, 0}, uint32(100), 1)
	f.Add([]byte{2, 5, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, uint32(100), 3)
	f.Fuzz(func(t *testing.T, b []byte, count uint32, piece int) {
		whole := listDecoder{count: count}
		want, _, wantErr := whole.take(nil, b)
		for i, pos := range want {
			if pos >= count || i > 0 && pos <= want[i-1] {
				t.Fatalf("%d entries, positions %v", count, want)
			}
		}
		var got []uint32
		var err error
		parts := listDecoder{count: count}
		for at, end := 0, 0; err == nil && !parts.done() && end < len(b); {
			end = min(len(b), end+max(1, piece))
			var used int
			got, used, err = parts.take(got, b[at:end])
			at += used
		}
		if (err == nil) != (wantErr == nil) || parts.done() != whole.done() || len(got) != len(want) {
			t.Fatalf("in one piece %v, %v; in pieces %v, %v", want, wantErr, got, err)
		}
	})
}
