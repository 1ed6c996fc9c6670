package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"runtime"
	"testing"

	"github.com/custodylog/custody/internal/storage"
)

// memory returns how many bytes f takes from the heap.
func memory(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestSealedLengthsAreNotBelieved: whoever writes a footer with a right checksum
// can claim anything. Claims take no memory.
func TestSealedLengthsAreNotBelieved(t *testing.T) {
	s := fullSegment()
	size := len(s.file)
	footerAt := int(binary.BigEndian.Uint64(s.file[size-sealedTrailerSize:]))
	const countAt = 4*entryBlocks + 8*entryBlocks + 8
	blocks := int(binary.BigEndian.Uint32(s.file[footerAt+countAt:]))
	notesAt := countAt + 4 + 12*blocks + 256*32 + 32
	put := func(at int, v uint32) func(f []byte) { return func(f []byte) { binary.BigEndian.PutUint32(f[at:], v) } }
	for _, tt := range []struct {
		name   string
		change func(footer []byte)
	}{
		{"2^32-1 payload blocks", put(countAt, 1<<32-1)},
		{"no payload blocks", put(countAt, 0)},
		{"one payload block more", put(countAt, uint32(blocks+1))},
		{"a payload block of 2^32-1 bytes", put(countAt+4, 1<<32-1)},
		{"a payload block shorter than its salts", put(countAt+4, 1)},
		{"a payload block of 2^30+1 bytes uncompressed", put(countAt+8, 1<<30+1)},
		{"a payload block of 2^32-1 records", put(countAt+12, 1<<32-1)},
		{"a payload block of no records", put(countAt+12, 0)},
		{"an entry block of 2^32-1 bytes", put(0, 1<<32-1)},
		{"an entry block that is a byte longer", put(0, binary.BigEndian.Uint32(s.file[footerAt:])+1)},
		{"2^32-1 checkpoints", put(notesAt, 1<<32-1)},
		{"one checkpoint more", put(notesAt, 4)},
		{"one checkpoint less", put(notesAt, 2)},
		{"a checkpoint of 2^32-1 bytes", put(notesAt+4, 1<<32-1)},
	} {
		file := bytes.Clone(s.file)
		footer := file[footerAt : size-sealedTrailerSize]
		tt.change(footer)
		sum := crc32.Update(crc32.Checksum(file[:sealedHeaderSize], castagnoli), castagnoli, footer)
		binary.BigEndian.PutUint32(file[size-20:], sum)
		var err error
		used := memory(func() { _, err = OpenSealed(bytes.NewReader(file), int64(size)) })
		if !errors.Is(err, storage.ErrAltered) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if used > 2<<20 {
			t.Errorf("%s: took %d bytes", tt.name, used)
		}
	}

	// A length that does not show before the block is read.
	file := bytes.Clone(s.file)
	footer := file[footerAt : size-sealedTrailerSize]
	put(countAt+8, binary.BigEndian.Uint32(footer[countAt+8:])+1)(footer)
	binary.BigEndian.PutUint32(file[size-20:], crc32.Update(crc32.Checksum(file[:sealedHeaderSize], castagnoli), castagnoli, footer))
	seg, err := OpenSealed(bytes.NewReader(file), int64(size))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := seg.PayloadBlock(0, nil, nil); !errors.Is(err, storage.ErrAltered) {
		t.Errorf("a payload block of a byte less than the directory says: %v", err)
	}

	// A trailer that says the footer has 2^28 bytes, or starts anywhere.
	for _, tt := range []struct{ at, n uint64 }{{0, 1 << 28}, {0, 1<<32 - 1}, {1<<64 - 1, 1}, {1 << 63, 0}, {32, 0}, {32, 1}, {uint64(footerAt), 0}} {
		file := bytes.Clone(s.file[:200])
		trailer := file[len(file)-sealedTrailerSize:]
		binary.BigEndian.PutUint64(trailer, tt.at)
		binary.BigEndian.PutUint32(trailer[8:], uint32(tt.n))
		copy(trailer[16:], sealedEnd)
		var err error
		used := memory(func() { _, err = OpenSealed(bytes.NewReader(file), int64(len(file))) })
		if !errors.Is(err, storage.ErrAltered) || used > 1<<20 {
			t.Errorf("footer of %d bytes at %d: %v, took %d bytes", tt.n, tt.at, err, used)
		}
	}
}

// frameHeader is the header of a zstd frame that claims size bytes (RFC 8878
// section 3.1.1): one segment, its size in eight bytes.
func frameHeader(size uint64) []byte {
	return binary.LittleEndian.AppendUint64([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0}, size)
}

// rawBlock is the last block of a frame, not compressed (section 3.1.1.2).
func rawBlock(content string) []byte {
	n := uint32(len(content))<<3 | 1
	return append([]byte{byte(n), byte(n >> 8), byte(n >> 16)}, content...)
}

// rleBlock is a block of n times the same byte.
func rleBlock(n uint32, last uint32) []byte {
	h := n<<3 | 1<<1 | last
	return []byte{byte(h), byte(h >> 8), byte(h >> 16), 'x'}
}

// TestDecompressIsBounded: no frame makes it take more memory than its size, and
// the size of what it can hold, allow.
func TestDecompressIsBounded(t *testing.T) {
	small := append(frameHeader(5), rawBlock("hello")...)
	if got, err := decompress([]byte("dst"), small, 5); err != nil || string(got) != "dsthello" {
		t.Fatalf("%q, %v", got, err)
	}
	rle := append(append(frameHeader(256<<10), rleBlock(128<<10, 0)...), rleBlock(128<<10, 1)...)
	if got, err := decompress(nil, rle, 1<<20); err != nil || len(got) != 256<<10 {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	bomb := frameHeader(maxPayloadBlock)
	for range 100 {
		bomb = append(bomb, rleBlock(128<<10, 0)...)
	}
	join := func(frames ...[]byte) []byte { return bytes.Join(frames, nil) }
	for _, tt := range []struct {
		name  string
		frame []byte
		limit int
	}{
		{"nothing", nil, 100},
		{"no frame", []byte("no frame at all"), 100},
		{"a header alone", frameHeader(5), 100},
		{"more than the limit", small, 4},
		{"a claim of 2^30 with little behind it", append(frameHeader(1<<30), rawBlock("hello")...), 1 << 30},
		{"a claim of 2^64-1", append(frameHeader(1<<64-1), rawBlock("hello")...), 1 << 30},
		{"less than it claims", append(frameHeader(6), rawBlock("hello")...), 100},
		{"more than it claims", append(frameHeader(4), rawBlock("hello")...), 100},
		{"a second frame", join(small, small), 100},
		{"a second frame of 2^29", join(small, frameHeader(1<<29), rawBlock("hello")), 100},
		{"a second frame without a size", join(small, []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58}, rleBlock(128<<10, 0), rleBlock(128<<10, 1)), 100},
		{"a frame that can be passed over first", join([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}, small), 100},
		{"something behind it", append(bytes.Clone(small), "behind"...), 100},
		{"a reserved block", append(frameHeader(5), 7, 0, 0), 100},
		{"cut short", small[:len(small)-1], 100},
		{"a bomb without end", bomb, maxPayloadBlock},
	} {
		var err error
		dst := make([]byte, 0, 64)
		used := memory(func() { _, err = decompress(dst, tt.frame, tt.limit) })
		if err == nil {
			t.Errorf("%s: accepted", tt.name)
		}
		if limit := uint64(1 << 20); used > limit+uint64(len(tt.frame)/4)<<17 {
			t.Errorf("%s: took %d bytes", tt.name, used)
		}
	}
}
