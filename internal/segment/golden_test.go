package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A sealed segment has megabytes, most of them hashes. What is kept of a golden
// one is enough to see that its form is still read: header, directories, and the
// blocks that a few entries are in. The file is a run of pieces, each with its
// offset in 8 bytes and its length in 4; everything between them is missing.
const goldenSparse = "segment.sparse"

// sparse reads what is there of a file.
type sparse struct {
	pieces []piece
	size   int64
}

type piece struct {
	at int64
	b  []byte
}

var errMissing = errors.New("this part of the golden segment was not kept")

func (s *sparse) ReadAt(b []byte, at int64) (int, error) {
	for _, p := range s.pieces {
		if at >= p.at && at+int64(len(b)) <= p.at+int64(len(p.b)) {
			return copy(b, p.b[at-p.at:]), nil
		}
	}
	return 0, errMissing
}

func parseSparse(b []byte) *sparse {
	s := &sparse{}
	for len(b) >= 12 {
		at, n := int64(binary.BigEndian.Uint64(b)), int(binary.BigEndian.Uint32(b[8:]))
		s.pieces = append(s.pieces, piece{at, b[12 : 12+n]})
		s.size = at + int64(n)
		b = b[12+n:]
	}
	return s
}

// TestGoldenSegment: a segment that version 1 wrote reads the same for ever.
// Another release of the compressor may write other bytes, so what is written
// today is not compared.
func TestGoldenSegment(t *testing.T) {
	name := filepath.Join("testdata", "golden", "v1", goldenSparse)
	full := fullSegment()
	seg := full.open(t)
	// Blocks with payloads that are held, not held and empty.
	const position = 64
	block, payloads := position/BlockEntries, seg.PayloadBlockOf(position)
	if *update {
		var out []byte
		keep := func(from, to int64) {
			out = binary.BigEndian.AppendUint64(out, uint64(from))
			out = binary.BigEndian.AppendUint32(out, uint32(to-from))
			out = append(out, full.file[from:to]...)
		}
		size := int64(len(full.file))
		keep(0, sealedHeaderSize)
		keep(seg.blockAt[payloads], seg.blockAt[payloads+1])
		keep(seg.entryAt[block], seg.entryAt[block+1])
		keep(seg.hashAt+position*32, seg.hashAt+(position+BlockEntries)*32)
		keep(seg.hashAt+Entries*32, size-sealedTrailerSize)
		keep(size-sealedTrailerSize, size)
		if err := os.WriteFile(name, out, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	file := parseSparse(b)
	old, err := OpenSealed(file, file.size)
	if err != nil {
		t.Fatal(err)
	}
	if old.First != full.first || old.Root != full.root || old.FirstTime != seg.FirstTime || old.LastTime != seg.LastTime || len(old.Checkpoints) != 3 || len(old.Tile) != 256 || old.Tile[255] != seg.Tile[255] {
		t.Errorf("first %d, root %v, times %d to %d, %d checkpoints", old.First, old.Root, old.FirstTime, old.LastTime, len(old.Checkpoints))
	}
	for i, c := range old.Checkpoints {
		if !bytes.Equal(c, full.checkpoints[i]) {
			t.Errorf("checkpoint %d: %q", i, c)
		}
	}
	_, entries, err := old.EntryBlock(block, nil, nil)
	if err != nil || len(entries) != BlockEntries {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	hashes, err := old.Hashes(nil, position, BlockEntries)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries {
		if it := full.items[position+i]; !bytes.Equal(e, it.Entry) || hashes[i] != it.Hash {
			t.Errorf("position %d: %q with hash %v", position+i, e, hashes[i])
		}
	}
	from, to := old.PayloadRange(old.PayloadBlockOf(position))
	_, bodies, err := old.PayloadBlock(old.PayloadBlockOf(position), nil, nil)
	if err != nil || len(bodies) != int(to-from) {
		t.Fatalf("%d bodies, %v", len(bodies), err)
	}
	for i, body := range bodies {
		if it := full.items[int(from)+i]; !bytes.Equal(body, it.Body) || (body == nil) != (it.Body == nil) {
			t.Errorf("position %d: %.100q", int(from)+i, body)
		}
	}
	if _, _, err := old.EntryBlock(block+1, nil, nil); !errors.Is(err, errMissing) {
		t.Errorf("a block that was not kept: %v", err)
	}
}
