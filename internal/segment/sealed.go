package segment

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"sort"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/storage"
)

// A sealed segment holds exactly Entries entries:
//
//	header     32 bytes: "custody segment v1\n", five zeros, first index in 8 bytes
//	payloads   blocks of some 16 KiB: the salts, then zstd of the payloads
//	entries    1,024 zstd frames of 64 entries each, as C2SP entry bundles:
//	           length in 2 bytes, entry
//	hashes     the leaf hashes, 32 bytes each: 256 level-0 tiles
//	footer     directories, level-1 tile, times, checkpoints (see footer)
//	trailer    32 bytes: offset of the footer in 8, its length in 4, the
//	           CRC-32C of header and footer in 4, "custody seg end\n"
//
// A payload block is one salt of 16 bytes for each of its records, then a zstd
// frame over the lengths of the payloads as uvarints (0: not held; otherwise
// length + 1) followed by the payloads. Salts do not compress and would spoil
// the statistics of what does.
const (
	sealedHeaderSize  = 32
	sealedTrailerSize = 32
	sealedPrefix      = "custody segment v"
	sealedVersion     = 1
	sealedEnd         = "custody seg end\n"

	// BlockEntries is the number of entries in one compressed frame: few
	// enough that reading one entry costs microseconds.
	BlockEntries = 64
	entryBlocks  = Entries / BlockEntries

	// A payload block ends with the payload that makes it reach the target, or
	// with so many records that their salts reach it: after a removal, most have
	// no payload. One that would take it beyond the limit begins the next.
	payloadBlockTarget  = 16 << 10
	payloadBlockRecords = payloadBlockTarget / evidence.SaltSize
	payloadBlockLimit   = 64 << 10

	maxPayloadBlock = 1 << 30   // uncompressed
	maxPacked       = 1<<31 - 1 // of any block, so that its length is an int
	maxFooter       = 1 << 28
)

// encoders and decoders are shared: a zstd coder keeps megabytes of state.
var (
	encoders = sync.Pool{New: func() any {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true))
		if err != nil {
			panic(err) // the options are constants
		}
		return e
	}}
	decoders = sync.Pool{New: func() any {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPayloadBlock), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			panic(err) // the options are constants
		}
		return d
	}}
)

// SealedWriter writes a sealed segment in one pass.
type SealedWriter struct {
	w   io.Writer
	err error
	n   uint64 // bytes written
	sum uint32 // CRC-32C of the header

	first   uint64
	count   int
	enc     *zstd.Encoder
	entries []byte // finished entry frames
	bundle  []byte // entries of the frame being filled
	hashes  []byte
	tree    evidence.Tree
	level0  evidence.Tree // of the 256 entries being filled
	tile    []byte        // level-1 tile
	last    int64         // time of the last entry

	salts, lengths, payloads, block []byte

	entryLens  []byte
	blockTimes []byte
	blockDir   []byte
	blockRecs  uint32
	blocks     uint32
}

// NewSealedWriter starts the segment whose first entry has index first. The
// caller must call Finish, or Abort.
func NewSealedWriter(w io.Writer, first uint64) *SealedWriter {
	s := &SealedWriter{w: w, first: first, enc: encoders.Get().(*zstd.Encoder), hashes: make([]byte, 0, Entries*32)}
	head := make([]byte, sealedHeaderSize)
	copy(head, fmt.Appendf(nil, "%s%d\n", sealedPrefix, sealedVersion))
	binary.BigEndian.PutUint64(head[24:], first)
	s.sum = crc32.Checksum(head, castagnoli)
	s.write(head)
	return s
}

func (s *SealedWriter) write(b []byte) {
	if s.err == nil {
		var n int
		n, s.err = s.w.Write(b)
		s.n += uint64(n)
	}
}

// Add adds the next entry: its bytes, its salt and payload (nil: not held),
// its leaf hash and its time in microseconds. What cannot be stored makes Finish
// fail.
func (s *SealedWriter) Add(entry, body []byte, hash evidence.Hash, time int64) {
	if s.err == nil {
		s.err = checkItem(len(entry), len(body))
	}
	if s.err != nil || s.count == Entries {
		s.count++ // too many are as bad as too few
		return
	}
	if payload := len(body) - evidence.SaltSize; s.blockRecs > 0 && len(s.payloads)+payload > payloadBlockLimit {
		s.flushPayloads()
	}
	if s.count%BlockEntries == 0 {
		s.blockTimes = binary.BigEndian.AppendUint64(s.blockTimes, uint64(time))
	}
	s.last = time
	s.hashes = append(s.hashes, hash[:]...)
	s.level0.Append(hash)
	s.count++

	s.bundle = binary.BigEndian.AppendUint16(s.bundle, uint16(len(entry)))
	s.bundle = append(s.bundle, entry...)
	if s.count%BlockEntries == 0 {
		n := len(s.entries)
		s.entries = s.enc.EncodeAll(s.bundle, s.entries)
		s.entryLens = binary.BigEndian.AppendUint32(s.entryLens, uint32(len(s.entries)-n))
		s.bundle = s.bundle[:0]
	}
	if s.count%256 == 0 {
		root := s.level0.Root()
		s.tile = append(s.tile, root[:]...)
		s.tree.AppendSubtree(8, root)
		s.level0 = evidence.Tree{}
	}

	if len(body) == 0 {
		var none [evidence.SaltSize]byte
		s.salts = append(s.salts, none[:]...)
		s.lengths = binary.AppendUvarint(s.lengths, 0)
	} else {
		s.salts = append(s.salts, body[:evidence.SaltSize]...)
		s.lengths = binary.AppendUvarint(s.lengths, uint64(len(body)-evidence.SaltSize)+1)
		s.payloads = append(s.payloads, body[evidence.SaltSize:]...)
	}
	if s.blockRecs++; len(s.payloads) >= payloadBlockTarget || s.blockRecs == payloadBlockRecords || s.count == Entries {
		s.flushPayloads()
	}
}

func (s *SealedWriter) flushPayloads() {
	raw := append(s.lengths, s.payloads...)
	s.block = s.enc.EncodeAll(raw, append(s.block[:0], s.salts...))
	s.write(s.block)
	s.blockDir = binary.BigEndian.AppendUint32(s.blockDir, uint32(len(s.block)))
	s.blockDir = binary.BigEndian.AppendUint32(s.blockDir, uint32(len(raw)))
	s.blockDir = binary.BigEndian.AppendUint32(s.blockDir, s.blockRecs)
	s.blocks++
	s.blockRecs = 0
	s.lengths, s.payloads, s.salts = raw[:0], s.payloads[:0], s.salts[:0]
}

// Abort gives up a segment that will not be finished.
func (s *SealedWriter) Abort() {
	if s.enc != nil {
		encoders.Put(s.enc)
		s.enc = nil
	}
}

// Finish writes what remains and returns the root of the tree over the
// segment's entries. checkpoints are the signed checkpoints to keep.
func (s *SealedWriter) Finish(checkpoints [][]byte) (evidence.Hash, error) {
	defer s.Abort()
	if s.err != nil {
		return evidence.Hash{}, s.err
	}
	if s.count != Entries {
		return evidence.Hash{}, fmt.Errorf("segment has %d entries instead of %d", s.count, Entries)
	}
	s.write(s.entries)
	s.write(s.hashes)
	footerAt := s.n
	// footer: entry frame lengths, 4 bytes each; time of the first entry of
	// each frame, 8 bytes each; time of the last entry in 8; number of payload
	// blocks in 4; for each its length, its length uncompressed and its number
	// of records in 4 each; the level-1 tile; the root; number of checkpoints
	// in 4, each with its length in 4.
	footer := append([]byte(nil), s.entryLens...)
	footer = append(footer, s.blockTimes...)
	footer = binary.BigEndian.AppendUint64(footer, uint64(s.last))
	footer = binary.BigEndian.AppendUint32(footer, s.blocks)
	footer = append(footer, s.blockDir...)
	footer = append(footer, s.tile...)
	root := s.tree.Root()
	footer = append(footer, root[:]...)
	footer = binary.BigEndian.AppendUint32(footer, uint32(len(checkpoints)))
	for _, c := range checkpoints {
		footer = binary.BigEndian.AppendUint32(footer, uint32(len(c)))
		footer = append(footer, c...)
	}
	s.write(footer)
	trailer := binary.BigEndian.AppendUint64(nil, footerAt)
	trailer = binary.BigEndian.AppendUint32(trailer, uint32(len(footer)))
	trailer = binary.BigEndian.AppendUint32(trailer, crc32.Update(s.sum, castagnoli, footer))
	s.write(append(trailer, sealedEnd...))
	return root, s.err
}

// Sealed reads a sealed segment. It keeps the directories in memory, some 40
// kilobytes. It is safe for concurrent use.
type Sealed struct {
	r     io.ReaderAt
	First uint64
	// FirstTime and LastTime are those of the first and last entry, in
	// microseconds since 1970; BlockTimes those of the first entry of each
	// entry block.
	FirstTime, LastTime int64
	BlockTimes          []int64
	Root                evidence.Hash
	Tile                []evidence.Hash // the level-1 tile
	Checkpoints         [][]byte

	entryAt []int64 // where each entry frame starts, and the end of the last
	blockAt []int64 // where each payload block starts, and the end of the last
	raw     []uint32
	blockOf []uint32 // position of each payload block's first record, and Entries
	hashAt  int64
}

// OpenSealed reads the footer of a segment file of the given size. It wraps
// storage.ErrNewer or storage.ErrAltered.
func OpenSealed(r io.ReaderAt, size int64) (*Sealed, error) {
	var head [sealedHeaderSize]byte
	if n, err := r.ReadAt(head[:], 0); err != nil && err != io.EOF {
		return nil, err
	} else if err := storage.CheckVersion(head[:n], sealedPrefix, sealedVersion); err != nil {
		return nil, err
	}
	var trailer [sealedTrailerSize]byte
	if size < sealedHeaderSize+sealedTrailerSize {
		return nil, fmt.Errorf("%w: segment has only %d bytes", storage.ErrAltered, size)
	}
	if err := readFull(r, trailer[:], size-sealedTrailerSize, "trailer"); err != nil {
		return nil, err
	}
	at, n := binary.BigEndian.Uint64(trailer[:]), int64(binary.BigEndian.Uint32(trailer[8:]))
	if string(trailer[16:]) != sealedEnd || n > maxFooter || at > uint64(size) || int64(at)+n != size-sealedTrailerSize {
		return nil, fmt.Errorf("%w: trailer of the segment", storage.ErrAltered)
	}
	footer := make([]byte, n)
	if err := readFull(r, footer, int64(at), "footer"); err != nil {
		return nil, err
	}
	if crc32.Update(crc32.Checksum(head[:], castagnoli), castagnoli, footer) != binary.BigEndian.Uint32(trailer[12:]) {
		return nil, fmt.Errorf("%w: checksum of the segment's header and footer", storage.ErrAltered)
	}
	s := &Sealed{r: r, First: binary.BigEndian.Uint64(head[24:])}
	if err := s.parseFooter(footer, int64(at)); err != nil {
		return nil, err
	}
	return s, nil
}

// readFull fills b from offset at. part names what is read.
func readFull(r io.ReaderAt, b []byte, at int64, part string) error {
	n, err := r.ReadAt(b, at)
	if n == len(b) {
		return nil // at the end, a reader may say so at once
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: segment ends within its %s", storage.ErrAltered, part)
	}
	return err
}

func (s *Sealed) parseFooter(b []byte, footerAt int64) error {
	short := fmt.Errorf("%w: footer of the segment is cut short", storage.ErrAltered)
	take := func(n int) []byte {
		if n < 0 || len(b) < n {
			b = nil
			return nil
		}
		part := b[:n]
		b = b[n:]
		return part
	}
	lens, times, last, count := take(4*entryBlocks), take(8*entryBlocks), take(8), take(4)
	if count == nil {
		return short
	}
	blocks := binary.BigEndian.Uint32(count)
	if blocks == 0 || blocks > Entries {
		return fmt.Errorf("%w: segment has %d payload blocks", storage.ErrAltered, blocks)
	}
	dir := take(12 * int(blocks))
	tile, root, notes := take(256*32), take(32), take(4)
	if notes == nil {
		return short
	}
	at, records := int64(sealedHeaderSize), uint32(0)
	for ; len(dir) > 0; dir = dir[12:] {
		length, raw, n := binary.BigEndian.Uint32(dir), binary.BigEndian.Uint32(dir[4:]), binary.BigEndian.Uint32(dir[8:])
		if n == 0 || n > Entries-records || raw > maxPayloadBlock || length > maxPacked || int64(length) < int64(n)*evidence.SaltSize {
			return fmt.Errorf("%w: directory of payload blocks", storage.ErrAltered)
		}
		s.blockAt, s.raw, s.blockOf = append(s.blockAt, at), append(s.raw, raw), append(s.blockOf, records)
		at, records = at+int64(length), records+n
	}
	s.blockAt, s.blockOf = append(s.blockAt, at), append(s.blockOf, records)
	for ; len(lens) > 0; lens = lens[4:] {
		length := binary.BigEndian.Uint32(lens)
		if length > maxPacked {
			return fmt.Errorf("%w: directory of entry blocks", storage.ErrAltered)
		}
		s.entryAt = append(s.entryAt, at)
		at += int64(length)
	}
	s.entryAt = append(s.entryAt, at)
	s.hashAt = at
	if records != Entries || at+Entries*32 != footerAt {
		return fmt.Errorf("%w: directories of the segment do not fit the file", storage.ErrAltered)
	}
	s.Tile = make([]evidence.Hash, 256)
	for i := range s.Tile {
		copy(s.Tile[i][:], tile[32*i:])
	}
	copy(s.Root[:], root)
	s.BlockTimes = make([]int64, entryBlocks)
	for i := range s.BlockTimes {
		s.BlockTimes[i] = int64(binary.BigEndian.Uint64(times[8*i:]))
	}
	s.FirstTime, s.LastTime = s.BlockTimes[0], int64(binary.BigEndian.Uint64(last))
	for range binary.BigEndian.Uint32(notes) {
		n := take(4)
		if n == nil {
			return short
		}
		note := take(int(binary.BigEndian.Uint32(n)))
		if note == nil {
			return short
		}
		s.Checkpoints = append(s.Checkpoints, note)
	}
	if len(b) != 0 {
		return fmt.Errorf("%w: bytes behind the end of the footer", storage.ErrAltered)
	}
	return nil
}

// EntryBlocks is the number of entry blocks; block i holds the entries at
// positions i*BlockEntries and following.
func (s *Sealed) EntryBlocks() int { return entryBlocks }

// EntryBlock appends the uncompressed entry block i to dst and the entries in
// it, whose bytes lie in the result, to entries. There should be BlockEntries of
// them, but whoever walks over a damaged segment wants to see what is there:
// the caller counts.
func (s *Sealed) EntryBlock(i int, dst []byte, entries [][]byte) ([]byte, [][]byte, error) {
	packed, err := s.readBlock(s.entryAt[i], s.entryAt[i+1])
	if err != nil {
		return dst, entries, err
	}
	defer blockPool.Put(packed)
	raw, err := decompress(dst, *packed, BlockEntries*(2+evidence.MaxEntrySize))
	if err != nil {
		return dst, entries, fmt.Errorf("%w: entries %d to %d cannot be decompressed: %w", storage.ErrAltered, s.First+uint64(i*BlockEntries), s.First+uint64((i+1)*BlockEntries-1), err)
	}
	for b := raw[len(dst):]; len(b) > 0; {
		if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
			return raw, entries, fmt.Errorf("%w: entry block %d ends within an entry", storage.ErrAltered, i)
		}
		n := 2 + int(binary.BigEndian.Uint16(b))
		entries = append(entries, b[2:n:n])
		b = b[n:]
	}
	return raw, entries, nil
}

// PayloadBlocks is the number of payload blocks.
func (s *Sealed) PayloadBlocks() int { return len(s.raw) }

// PayloadBlockOf returns the payload block that holds position pos.
func (s *Sealed) PayloadBlockOf(pos uint32) int {
	return sort.Search(len(s.raw), func(i int) bool { return s.blockOf[i+1] > pos })
}

// PayloadRange returns the positions [from, to) of the records in block i.
func (s *Sealed) PayloadRange(i int) (from, to uint32) { return s.blockOf[i], s.blockOf[i+1] }

// PayloadBlock appends the uncompressed bodies of payload block i, salt and
// payload one after the other, to dst, and each body to bodies; nil stands for
// one that is not held.
func (s *Sealed) PayloadBlock(i int, dst []byte, bodies [][]byte) ([]byte, [][]byte, error) {
	from, to := s.PayloadRange(i)
	bad := func(err error) error {
		return fmt.Errorf("%w: payloads of entries %d to %d cannot be decompressed: %w", storage.ErrAltered, s.First+uint64(from), s.First+uint64(to-1), err)
	}
	packed, err := s.readBlock(s.blockAt[i], s.blockAt[i+1])
	if err != nil {
		return dst, bodies, err
	}
	defer blockPool.Put(packed)
	n := int(to - from)
	salts, frame := (*packed)[:n*evidence.SaltSize], (*packed)[n*evidence.SaltSize:]
	rawBuf := blockPool.Get().(*[]byte)
	defer blockPool.Put(rawBuf)
	raw, err := decompress((*rawBuf)[:0], frame, int(s.raw[i]))
	if err != nil {
		return dst, bodies, bad(err)
	}
	*rawBuf = raw
	if len(raw) != int(s.raw[i]) {
		return dst, bodies, bad(fmt.Errorf("%d bytes instead of %d", len(raw), s.raw[i]))
	}
	payloads := raw
	lens := make([]uint64, 0, 64)
	for range n {
		l, w := binary.Uvarint(payloads)
		if w <= 0 || l > uint64(len(raw))+1 {
			return dst, bodies, bad(fmt.Errorf("lengths of the payloads"))
		}
		lens, payloads = append(lens, l), payloads[w:]
	}
	// The bodies must not move while they are cut out.
	dst = slices.Grow(dst, len(raw)+len(salts))
	for j, l := range lens {
		if l == 0 {
			bodies = append(bodies, nil)
			continue
		}
		if l-1 > uint64(len(payloads)) {
			return dst, bodies, bad(fmt.Errorf("payload %d is cut short", j))
		}
		start := len(dst)
		dst = append(dst, salts[j*evidence.SaltSize:(j+1)*evidence.SaltSize]...)
		dst = append(dst, payloads[:l-1]...)
		bodies = append(bodies, dst[start:len(dst):len(dst)])
		payloads = payloads[l-1:]
	}
	if len(payloads) != 0 {
		return dst, bodies, bad(fmt.Errorf("%d bytes behind the last payload", len(payloads)))
	}
	return dst, bodies, nil
}

// Hashes appends n leaf hashes from position pos on.
func (s *Sealed) Hashes(dst []evidence.Hash, pos uint32, n int) ([]evidence.Hash, error) {
	packed, err := s.readBlock(s.hashAt+int64(pos)*32, s.hashAt+int64(pos)*32+int64(n)*32)
	if err != nil {
		return dst, err
	}
	defer blockPool.Put(packed)
	for b := *packed; len(b) > 0; b = b[32:] {
		dst = append(dst, evidence.Hash(b[:32]))
	}
	return dst, nil
}

var blockPool = sync.Pool{New: func() any { return new([]byte) }}

// readBlock reads the bytes [from, to) into a pooled buffer.
func (s *Sealed) readBlock(from, to int64) (*[]byte, error) {
	buf := blockPool.Get().(*[]byte)
	if n := int(to - from); cap(*buf) < n {
		*buf = make([]byte, n)
	} else {
		*buf = (*buf)[:n]
	}
	if err := readFull(s.r, *buf, from, "blocks"); err != nil {
		blockPool.Put(buf)
		return nil, err
	}
	return buf, nil
}

// decoderSlack is room behind the content that lets the decoder copy in whole
// words.
const decoderSlack = 16

// decompress appends the content of a zstd frame, at most limit bytes, to dst.
func decompress(dst, frame []byte, limit int) ([]byte, error) {
	var h zstd.Header
	if err := h.Decode(frame); err != nil {
		return dst, err
	}
	if !h.HasFCS || h.FrameContentSize > uint64(limit) {
		return dst, fmt.Errorf("frame declares %d bytes, at most %d are expected", h.FrameContentSize, limit)
	}
	// A block of zstd holds up to 128 KiB and takes four bytes or more: do not
	// make room for what cannot come.
	if h.FrameContentSize > uint64(len(frame)/4+1)<<17 {
		return dst, fmt.Errorf("frame of %d bytes declares %d", len(frame), h.FrameContentSize)
	}
	size := len(dst) + int(h.FrameContentSize)
	dst = slices.Grow(dst, int(h.FrameContentSize)+decoderSlack)
	d := decoders.Get().(*zstd.Decoder)
	defer decoders.Put(d)
	// The decoder stays within the capacity, whatever stands behind the frame.
	out, err := d.DecodeAll(frame, dst)
	if err == nil && len(out) != size {
		err = fmt.Errorf("frame has %d bytes instead of the %d it declares", len(out)-len(dst), h.FrameContentSize)
	}
	return out, err
}
