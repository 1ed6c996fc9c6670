package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/custodylog/custody/internal/storage"
)

func FuzzParseTailHeader(f *testing.F) {
	f.Add(AppendTailHeader(nil, TailHeader{First: 65536, Nonce: testNonce}))
	f.Add([]byte("custody tail v2\n"))
	f.Add([]byte("custody tail v1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseTailHeader(b)
		if err != nil {
			if errors.Is(err, storage.ErrAltered) == errors.Is(err, storage.ErrNewer) {
				t.Fatal(err)
			}
			return
		}
		// Four bytes are reserved, and not looked at.
		want := AppendTailHeader(nil, h)
		if !bytes.Equal(b[:40], want[:40]) {
			t.Fatalf("read from %q\nwritten as %q", b, want)
		}
	})
}

func FuzzParseFrame(f *testing.F) {
	for _, b := range []*storage.Batch{batch(0, 0), batch(7, 1), batch(1<<40, 9)} {
		frame, _ := appendFrame(f, nil, testNonce, b)
		f.Add(frame)
		f.Add(frame[:len(frame)/2])
		f.Add(append(frame, frame...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		check := func(f Frame, err error) {
			if err != nil && !errors.Is(err, ErrFrameEnd) && !errors.Is(err, ErrFrameShort) && !errors.Is(err, ErrFrameSum) {
				t.Fatal(err)
			}
			again := storage.Batch{First: f.First, Checkpoint: f.Checkpoint}
			for r, err := range f.Records() {
				if err != nil {
					return
				}
				if !bytes.Equal(b[r.Place.Offset:][:r.Place.Entry+r.Place.Body], append(r.Entry, r.Body...)) {
					t.Fatalf("record at %+v is not what stands there", r.Place)
				}
				again.Items = append(again.Items, storage.Item{Entry: r.Entry, Body: r.Body})
			}
			if err != nil {
				return
			}
			// A frame that checks out is what is written for what it holds.
			out, _, err := AppendFrame(nil, f.Nonce, &again, nil)
			if err != nil || !bytes.Equal(out, b[:f.Size()]) {
				t.Fatalf("read from %q\nwritten as %q, %v", b[:f.Size()], out, err)
			}
		}
		check(ParseFrame(b))
		// Once more with the right checksum, to get at what is behind it.
		if len(b) < FrameHeaderSize {
			return
		}
		copy(b, frameMagic)
		size := min(uint64(binary.BigEndian.Uint32(b[4:])), uint64(len(b)-FrameHeaderSize))
		binary.BigEndian.PutUint32(b[4:], uint32(size))
		resum(b[:FrameHeaderSize+int(size)])
		check(ParseFrame(b))
	})
}

// FuzzSealed opens files that are made of a footer, with or without a right
// checksum, behind as many bytes as it says there are. The blocks are zeros, or
// what the input holds.
func FuzzSealed(f *testing.F) {
	full := fullSegment()
	size := len(full.file)
	footerAt := int(binary.BigEndian.Uint64(full.file[size-sealedTrailerSize:]))
	footer := full.file[footerAt : size-sealedTrailerSize]
	block := full.file[sealedHeaderSize : sealedHeaderSize+9000]
	f.Add(footer, block, uint64(footerAt), true)
	f.Add(footer, block, uint64(footerAt), false)
	f.Add(footer[:len(footer)/2], block, uint64(footerAt), true)
	f.Add([]byte{}, block, uint64(32), true)
	f.Fuzz(func(t *testing.T, footer, blocks []byte, footerAt uint64, sum bool) {
		footerAt = min(footerAt, 64<<20)
		file := &patched{size: int64(footerAt) + int64(len(footer)) + sealedTrailerSize}
		file.put(sealedHeaderSize, blocks)
		file.put(int64(footerAt), footer)
		file.put(0, full.file[:sealedHeaderSize])
		crc := crc32.Update(crc32.Checksum(full.file[:sealedHeaderSize], castagnoli), castagnoli, footer)
		if !sum {
			crc++
		}
		trailer := binary.BigEndian.AppendUint64(nil, footerAt)
		trailer = binary.BigEndian.AppendUint32(trailer, uint32(len(footer)))
		trailer = binary.BigEndian.AppendUint32(trailer, crc)
		file.put(file.size-sealedTrailerSize, append(trailer, sealedEnd...))
		seg, err := OpenSealed(file, file.size)
		if err != nil {
			if !errors.Is(err, storage.ErrAltered) {
				t.Fatal(err)
			}
			return
		}
		if !sum {
			t.Fatal("opened with a wrong checksum")
		}
		for _, i := range []int{0, 1, seg.EntryBlocks() - 1} {
			if _, _, err := seg.EntryBlock(i, nil, nil); err != nil && !errors.Is(err, storage.ErrAltered) {
				t.Fatal(err)
			}
		}
		for _, pos := range []uint32{0, 1, Entries - 1} {
			i := seg.PayloadBlockOf(pos)
			from, to := seg.PayloadRange(i)
			if pos < from || pos >= to {
				t.Fatalf("position %d is in block %d, which holds %d to %d", pos, i, from, to)
			}
			_, bodies, err := seg.PayloadBlock(i, nil, nil)
			if err != nil && !errors.Is(err, storage.ErrAltered) || err == nil && len(bodies) != int(to-from) {
				t.Fatalf("%d bodies, %v", len(bodies), err)
			}
			if _, err := seg.Hashes(nil, pos, 1); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzDecompress: what comes out is within the limit, whatever goes in.
func FuzzDecompress(f *testing.F) {
	f.Add(append(frameHeader(5), rawBlock("hello")...))
	f.Add(append(frameHeader(1<<30), rawBlock("hello")...))
	f.Add(append(append(frameHeader(5), rawBlock("hello")...), append(frameHeader(5), rawBlock("hello")...)...))
	full := fullSegment()
	seg := full.open(f)
	f.Add(full.file[seg.entryAt[0]:seg.entryAt[1]])
	f.Fuzz(func(t *testing.T, frame []byte) {
		const limit = 1 << 20
		got, err := decompress([]byte("dst"), frame, limit)
		if err == nil && (len(got) > limit+3 || string(got[:3]) != "dst") {
			t.Fatalf("%d bytes", len(got))
		}
	})
}

// patched is a file of zeros with some bytes written over them.
type patched struct {
	size   int64
	pieces []piece
}

func (p *patched) put(at int64, b []byte) { p.pieces = append(p.pieces, piece{at, b}) }

func (p *patched) ReadAt(b []byte, at int64) (int, error) {
	clear(b)
	for _, piece := range p.pieces {
		if at >= piece.at+int64(len(piece.b)) || at+int64(len(b)) <= piece.at {
			continue
		}
		if piece.at >= at {
			copy(b[piece.at-at:], piece.b)
		} else {
			copy(b, piece.b[at-piece.at:])
		}
	}
	return len(b), nil
}
