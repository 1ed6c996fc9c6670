package custody

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/storage"
)

// What follows takes files apart, so that a test can change any part and put
// them together again as an attacker would who knows the format: with lengths,
// directories and checksums that fit, but without the key.

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// tailFile is a tail file taken apart.
type tailFile struct {
	header segment.TailHeader
	frames []*tailFrame
}

type tailFrame struct {
	first      uint64
	records    []tailRecord
	checkpoint []byte
}

type tailRecord struct{ entry, body []byte }

func parseTail(t testing.TB, b []byte) *tailFile {
	t.Helper()
	f := &tailFile{header: get(segment.ParseTailHeader(b))(t)}
	for b = b[segment.TailHeaderSize:]; len(b) > 0; {
		frame := get(segment.ParseFrame(b))(t)
		one := &tailFrame{first: frame.First, checkpoint: frame.Checkpoint}
		for rec, err := range frame.Records() {
			must(t, err)
			one.records = append(one.records, tailRecord{rec.Entry, rec.Body})
		}
		f.frames = append(f.frames, one)
		b = b[frame.Size():]
	}
	return f
}

func (f *tailFile) bytes(t testing.TB) []byte {
	t.Helper()
	b := segment.AppendTailHeader(nil, f.header)
	for _, frame := range f.frames {
		batch := storage.Batch{First: frame.first, Checkpoint: frame.checkpoint}
		for _, r := range frame.records {
			batch.Items = append(batch.Items, storage.Item{Entry: r.entry, Body: r.body})
		}
		var err error
		b, _, err = segment.AppendFrame(b, f.header.Nonce, &batch, nil)
		must(t, err)
	}
	return b
}

// at returns the frame and the record that hold an entry.
func (f *tailFile) at(index uint64) (*tailFrame, *tailRecord) {
	for _, frame := range f.frames {
		if index >= frame.first && index < frame.first+uint64(len(frame.records)) {
			return frame, &frame.records[index-frame.first]
		}
	}
	panic("no such entry")
}

// frameAt returns where the commit that holds an entry stands in the file.
func (f *tailFile) frameAt(t testing.TB, index uint64) (offset, size int) {
	t.Helper()
	head := &tailFile{header: f.header}
	for _, frame := range f.frames {
		offset = len(head.bytes(t))
		head.frames = append(head.frames, frame)
		if index < frame.first+uint64(len(frame.records)) {
			return offset, len(head.bytes(t)) - offset
		}
	}
	panic("no such entry")
}

// fixFrame makes the checksum of the frame at an offset right.
func fixFrame(b []byte, offset, size int) {
	frame := b[offset : offset+size]
	sum := crc32.Update(crc32.Checksum(frame[:40], castagnoli), castagnoli, frame[segment.FrameHeaderSize:])
	binary.BigEndian.PutUint32(frame[40:], sum)
}

// edit changes an entry by its parts.
func (r *tailRecord) edit(t testing.TB, change func(*evidence.Entry)) {
	r.entry = edited(t, r.entry, change)
}

func edited(t testing.TB, entry []byte, change func(*evidence.Entry)) []byte {
	t.Helper()
	e := get(evidence.ParseEntry(entry))(t)
	change(&e)
	return evidence.AppendEntry(nil, &e)
}

// relink gives all entries from index k on the links and, with the key (a nil
// signer has none), the checkpoints that fit what is stored before them.
func (f *tailFile) relink(t testing.TB, k uint64, signer *evidence.Signer) {
	t.Helper()
	var tree evidence.Tree
	var prev evidence.Hash
	for _, frame := range f.frames {
		for i := range frame.records {
			r := &frame.records[i]
			if tree.Size() >= k {
				r.edit(t, func(e *evidence.Entry) { e.Index, e.Prev = tree.Size(), prev })
			}
			prev = evidence.LeafHash(r.entry)
			tree.Append(prev)
		}
		if tree.Size() > k {
			frame.checkpoint = forgeCheckpoint(t, frame.checkpoint, &tree, signer)
			frame.first = tree.Size() - uint64(len(frame.records))
		}
	}
}

// forgeCheckpoint returns a checkpoint of the tree, signed by signer, or with
// the signature that stood on old.
func forgeCheckpoint(t testing.TB, old []byte, tree *evidence.Tree, signer *evidence.Signer) []byte {
	t.Helper()
	c := evidence.Checkpoint{Origin: origin, Size: tree.Size(), Root: tree.Root()}
	if signer != nil {
		return get(evidence.SignCheckpoint(&c, signer))(t)
	}
	_, sigs, _ := bytes.Cut(old, []byte("\n\n"))
	return slices.Concat(c.AppendBody(nil), []byte("\n"), sigs)
}

// forgedBody is a payload with another story and its salt.
func forgedBody(t testing.TB, body []byte, change func(*event.Event)) []byte {
	t.Helper()
	e := get(event.ParsePayload(body[evidence.SaltSize:]))(t)
	change(&e)
	return get(e.AppendPayload(slices.Clone(body[:evidence.SaltSize])))(t)
}

// sealedFile is a segment file taken apart.
type sealedFile struct {
	head     []byte
	payloads []payloadBlock
	entries  [][]byte // blocks of 64, compressed
	hashes   []evidence.Hash
	tile     []evidence.Hash
	root     evidence.Hash
	times    []byte // of the first entry of each block, and of the last entry, 8 bytes each
	notes    [][]byte
}

type payloadBlock struct {
	salts, packed []byte
	raw, records  uint32
}

func parseSealed(b []byte) *sealedFile {
	trailer := b[len(b)-32:]
	footerAt := binary.BigEndian.Uint64(trailer)
	footer := bytes.NewBuffer(slices.Clone(b[footerAt : len(b)-32]))
	number := func() uint32 { return binary.BigEndian.Uint32(footer.Next(4)) }
	f := &sealedFile{head: slices.Clone(b[:32])}
	b = b[32:]
	var lengths []uint32
	for range segment.Entries / segment.BlockEntries {
		lengths = append(lengths, number())
	}
	f.times = slices.Clone(footer.Next(8 * (len(lengths) + 1)))
	for range number() {
		length, raw, records := number(), number(), number()
		salts := records * evidence.SaltSize
		f.payloads = append(f.payloads, payloadBlock{slices.Clone(b[:salts]), slices.Clone(b[salts:length]), raw, records})
		b = b[length:]
	}
	for _, n := range lengths {
		f.entries = append(f.entries, slices.Clone(b[:n]))
		b = b[n:]
	}
	for range segment.Entries {
		f.hashes = append(f.hashes, evidence.Hash(b[:32]))
		b = b[32:]
	}
	for range 256 {
		f.tile = append(f.tile, evidence.Hash(footer.Next(32)))
	}
	f.root = evidence.Hash(footer.Next(32))
	for range number() {
		f.notes = append(f.notes, footer.Next(int(number())))
	}
	return f
}

func (f *sealedFile) bytes() []byte {
	b := slices.Clone(f.head)
	var lengths, dir []byte
	for _, p := range f.payloads {
		b = append(append(b, p.salts...), p.packed...)
		dir = binary.BigEndian.AppendUint32(dir, uint32(len(p.salts)+len(p.packed)))
		dir = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(dir, p.raw), p.records)
	}
	for _, e := range f.entries {
		b = append(b, e...)
		lengths = binary.BigEndian.AppendUint32(lengths, uint32(len(e)))
	}
	for _, h := range f.hashes {
		b = append(b, h[:]...)
	}
	at := len(b)
	b = binary.BigEndian.AppendUint32(slices.Concat(b, lengths, f.times), uint32(len(f.payloads)))
	b = append(b, dir...)
	for _, h := range f.tile {
		b = append(b, h[:]...)
	}
	b = append(b, f.root[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(f.notes)))
	for _, n := range f.notes {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(n))), n...)
	}
	footer := b[at:]
	b = binary.BigEndian.AppendUint64(b, uint64(at))
	b = binary.BigEndian.AppendUint32(b, uint32(len(footer)))
	b = binary.BigEndian.AppendUint32(b, crc32.Update(crc32.Checksum(f.head, castagnoli), castagnoli, footer))
	return append(b, "custody seg end\n"...)
}

var (
	inflater, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(0))
	deflater, _ = zstd.NewWriter(nil, zstd.WithSingleSegment(true), zstd.WithEncoderCRC(false), zstd.WithEncoderLevel(zstd.SpeedFastest))
)

func inflate(t testing.TB, b []byte) []byte {
	t.Helper()
	return get(inflater.DecodeAll(b, nil))(t)
}

func deflate(b []byte) []byte { return deflater.EncodeAll(b, nil) }

// block returns the entries of a block.
func (f *sealedFile) block(t testing.TB, n int) [][]byte {
	t.Helper()
	var entries [][]byte
	for b := inflate(t, f.entries[n]); len(b) > 0; {
		size := 2 + int(binary.BigEndian.Uint16(b))
		entries = append(entries, b[2:size])
		b = b[size:]
	}
	return entries
}

func (f *sealedFile) setBlock(n int, entries [][]byte) {
	var b []byte
	for _, e := range entries {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(e))), e...)
	}
	f.entries[n] = deflate(b)
}

// edit changes the entry at a position.
func (f *sealedFile) edit(t testing.TB, pos int, change func(*evidence.Entry)) {
	t.Helper()
	entries := f.block(t, pos/segment.BlockEntries)
	i := pos % segment.BlockEntries
	entries[i] = edited(t, entries[i], change)
	f.setBlock(pos/segment.BlockEntries, entries)
}

// payload changes the payload at a position, or takes it out if change gives
// nil.
func (f *sealedFile) payload(t testing.TB, pos int, change func(payload []byte) []byte) {
	t.Helper()
	n := 0
	for ; pos >= int(f.payloads[n].records); n++ {
		pos -= int(f.payloads[n].records)
	}
	p := &f.payloads[n]
	raw := inflate(t, p.packed)
	var lengths, payloads []byte
	var sizes []uint64
	for range p.records {
		size, w := binary.Uvarint(raw)
		sizes, raw = append(sizes, size), raw[w:]
	}
	for i, size := range sizes {
		var one []byte
		if size > 0 {
			one, raw = raw[:size-1], raw[size-1:]
		}
		if i == pos {
			if one = change(slices.Clone(one)); one == nil {
				size = 0
			} else {
				size = uint64(len(one)) + 1
			}
		}
		lengths, payloads = binary.AppendUvarint(lengths, size), append(payloads, one...)
	}
	raw = append(lengths, payloads...)
	p.packed, p.raw = deflate(raw), uint32(len(raw))
}

// salt returns the salt of the payload at a position.
func (f *sealedFile) salt(pos int) []byte {
	for n := range f.payloads {
		if pos < int(f.payloads[n].records) {
			return f.payloads[n].salts[pos*evidence.SaltSize:][:evidence.SaltSize]
		}
		pos -= int(f.payloads[n].records)
	}
	panic("no such position")
}

// rehash makes the leaf hash at a position that of the entry.
func (f *sealedFile) rehash(t testing.TB, pos int) {
	t.Helper()
	f.hashes[pos] = evidence.LeafHash(f.block(t, pos/segment.BlockEntries)[pos%segment.BlockEntries])
}

// retile makes tile and root those of the hashes.
func (f *sealedFile) retile() {
	var tree evidence.Tree
	for i := range f.tile {
		var bundle evidence.Tree
		for _, h := range f.hashes[256*i : 256*i+256] {
			bundle.Append(h)
			tree.Append(h)
		}
		f.tile[i] = bundle.Root()
	}
	f.root = tree.Root()
}

// relink links the entries from a position on to what stands before them.
func (f *sealedFile) relink(t testing.TB, from int) {
	t.Helper()
	for n := from / segment.BlockEntries; n < len(f.entries); n++ {
		entries := f.block(t, n)
		for i := range entries {
			if pos := n*segment.BlockEntries + i; pos > from {
				entries[i] = edited(t, entries[i], func(e *evidence.Entry) { e.Prev = f.hashes[pos-1] })
			}
			f.hashes[n*segment.BlockEntries+i] = evidence.LeafHash(entries[i])
		}
		f.setBlock(n, entries)
	}
	f.retile()
}

// An index file is pages of 4,092 bytes and a checksum.
const indexPage, indexContent = 4096, 4092

// indexContents returns what the pages hold, joined.
func indexContents(b []byte) []byte {
	var content []byte
	for ; len(b) > 0; b = b[indexPage:] {
		content = append(content, b[:indexContent]...)
	}
	return content
}

// indexBytes makes pages of contents, with checksums.
func indexBytes(content []byte) []byte {
	var b []byte
	for n := uint32(0); len(content) > 0; n++ {
		page := content[:indexContent]
		content = content[indexContent:]
		sum := crc32.Update(crc32.Checksum(page, castagnoli), castagnoli, binary.BigEndian.AppendUint32(nil, n))
		b = binary.BigEndian.AppendUint32(append(b, page...), sum)
	}
	return b
}

// indexSection returns one of the five sections of an index: directory, keys,
// postings, filter, counts.
func indexSection(content []byte, n int) []byte {
	at, size := binary.BigEndian.Uint32(content[61+8*n:]), binary.BigEndian.Uint32(content[65+8*n:])
	return content[at : at+size]
}

// The names of files in a trail's directory.
const (
	firstTail     = "tail/00000000000000000000.tail"
	lastTail      = "tail/00000000000000131072.tail"
	firstSegment  = "segments/00000000000000000000.segment"
	secondSegment = "segments/00000000000000065536.segment"
	firstIndex    = "segments/00000000000000000000.index"
	secondIndex   = "segments/00000000000000065536.index"
)
