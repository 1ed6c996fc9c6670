package segment

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/bits"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/storage"
)

// A pruned segment is what is left of a sealed one when its entries were removed:
//
//	header     32 bytes: "custody pruned v1\n", six zeros, first index in 8 bytes
//	times      of the first and the last entry, 8 bytes each
//	tile       level-1 tile: the roots of its 256 bundles, 32 bytes each
//	root       over the segment's entries, 32 bytes
//	notes      number of checkpoints in 4, each with its length in 4
//	bundles    32 bytes: bit i%8 of byte i/8 stands for bundle i
//	hashes     the 256 leaf hashes of each bundle whose bit is set
//	records    number of kept entries in 4; each: position in 2, length of
//	           the entry in 2, length of salt and payload in 4, both
//	checksum   CRC-32C of everything before it, 4 bytes
const (
	prunedPrefix  = "custody pruned v"
	prunedVersion = 1

	// Bundles is the number of bundles of a segment, BundleEntries that of the
	// entries of each.
	Bundles       = Entries / BundleEntries
	BundleEntries = 256

	prunedRecord = 8

	// MaxPruned bounds the file of a pruned segment.
	MaxPruned = 1 << 28
)

// Pruned is what a pruned segment keeps.
type Pruned struct {
	First               uint64
	FirstTime, LastTime int64           // microseconds since 1970
	Tile                []evidence.Hash // roots of the bundles
	Root                evidence.Hash
	Checkpoints         [][]byte

	// Hashes holds the leaf hashes of those bundles of which they are kept: all
	// with a kept entry, and the last one. nil for the others.
	Hashes  [Bundles][]evidence.Hash
	Records []PrunedRecord // by position
}

// PrunedRecord is an entry that was kept.
type PrunedRecord struct {
	Position uint32
	Entry    []byte
	Body     []byte // salt and payload; nil: none is held
}

// Hash returns the leaf hash of the entry at a position, if it is kept.
func (p *Pruned) Hash(pos uint32) (evidence.Hash, bool) {
	if h := p.Hashes[pos/BundleEntries]; h != nil {
		return h[pos%BundleEntries], true
	}
	return evidence.Hash{}, false
}

// fit says what of p the format cannot hold.
func (p *Pruned) fit() error {
	if len(p.Tile) != Bundles {
		return fmt.Errorf("its tile has %d hashes instead of %d", len(p.Tile), Bundles)
	}
	for i, h := range p.Hashes {
		if h != nil && len(h) != BundleEntries {
			return fmt.Errorf("bundle %d has %d leaf hashes", i, len(h))
		}
	}
	if p.Hashes[Bundles-1] == nil {
		return fmt.Errorf("the leaf hashes of the last bundle are missing")
	}
	for i, r := range p.Records {
		if r.Position >= Entries || i > 0 && r.Position <= p.Records[i-1].Position {
			return fmt.Errorf("position %d of a record is not behind the one before", r.Position)
		}
		if p.Hashes[r.Position/BundleEntries] == nil {
			return fmt.Errorf("the leaf hashes beside the record at position %d are missing", r.Position)
		}
		if err := checkItem(len(r.Entry), len(r.Body)); err != nil {
			return fmt.Errorf("the record at position %d: %w", r.Position, err)
		}
	}
	return nil
}

// AppendPruned appends the file of a pruned segment.
func AppendPruned(dst []byte, p *Pruned) ([]byte, error) {
	if err := p.fit(); err != nil {
		return dst, fmt.Errorf("pruned segment from index %d on: %w", p.First, err)
	}
	start := len(dst)
	b := append(dst, make([]byte, sealedHeaderSize)...)
	copy(b[start:], fmt.Appendf(nil, "%s%d\n", prunedPrefix, prunedVersion))
	binary.BigEndian.PutUint64(b[start+24:], p.First)
	b = binary.BigEndian.AppendUint64(b, uint64(p.FirstTime))
	b = binary.BigEndian.AppendUint64(b, uint64(p.LastTime))
	for _, h := range p.Tile {
		b = append(b, h[:]...)
	}
	b = append(b, p.Root[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.Checkpoints)))
	for _, c := range p.Checkpoints {
		b = binary.BigEndian.AppendUint32(b, uint32(len(c)))
		b = append(b, c...)
	}
	var kept [Bundles / 8]byte
	for i, h := range p.Hashes {
		if h != nil {
			kept[i/8] |= 1 << (i % 8)
		}
	}
	b = append(b, kept[:]...)
	for _, bundle := range p.Hashes {
		for _, h := range bundle {
			b = append(b, h[:]...)
		}
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.Records)))
	for _, r := range p.Records {
		b = binary.BigEndian.AppendUint16(b, uint16(r.Position))
		b = binary.BigEndian.AppendUint16(b, uint16(len(r.Entry)))
		b = binary.BigEndian.AppendUint32(b, uint32(len(r.Body)))
		b = append(append(b, r.Entry...), r.Body...)
		if len(b)-start > MaxPruned {
			break
		}
	}
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
	if n := len(b) - start; n > MaxPruned {
		return dst, fmt.Errorf("pruned segment from index %d on: what is kept of it takes %d bytes or more, %d at most fit in", p.First, n, MaxPruned)
	}
	return b, nil
}

// ParsePruned reads the file of a pruned segment, in whose bytes the result lies.
// It wraps storage.ErrNewer or storage.ErrAltered.
func ParsePruned(b []byte) (*Pruned, error) {
	if err := storage.CheckVersion(b, prunedPrefix, prunedVersion); err != nil {
		return nil, err
	}
	bad := func(format string, args ...any) (*Pruned, error) {
		return nil, fmt.Errorf("%w: pruned segment: %s", storage.ErrAltered, fmt.Sprintf(format, args...))
	}
	end := len(b) - 4
	if end < sealedHeaderSize || end > MaxPruned {
		return bad("it has %d bytes", len(b))
	}
	if crc32.Checksum(b[:end], castagnoli) != binary.BigEndian.Uint32(b[end:]) {
		return bad("its checksum is wrong")
	}
	if [6]byte(b[18:24]) != [6]byte{} {
		return bad("its header")
	}
	p := &Pruned{First: binary.BigEndian.Uint64(b[24:])}
	rest, short := b[sealedHeaderSize:end], false
	take := func(n uint64) []byte {
		if short = short || n > uint64(len(rest)); short {
			return nil
		}
		part := rest[:n:n]
		rest = rest[n:]
		return part
	}
	number := func(n uint64) (v uint64) {
		for _, c := range take(n) {
			v = v<<8 | uint64(c)
		}
		return v
	}
	hashes := func(n int) []evidence.Hash {
		raw := take(uint64(n) * 32)
		if raw == nil {
			return nil
		}
		out := make([]evidence.Hash, n)
		for i := range out {
			copy(out[i][:], raw[32*i:])
		}
		return out
	}
	p.FirstTime, p.LastTime = int64(number(8)), int64(number(8))
	p.Tile = hashes(Bundles)
	copy(p.Root[:], take(32))
	for n := number(4); n > 0 && !short; n-- {
		p.Checkpoints = append(p.Checkpoints, take(number(4)))
	}
	for i, set := range take(Bundles / 8) {
		for ; set != 0; set &= set - 1 {
			n := i*8 + bits.TrailingZeros8(set)
			p.Hashes[n] = hashes(BundleEntries)
		}
	}
	for n := number(4); n > 0 && !short; n-- {
		r := PrunedRecord{Position: uint32(number(2))}
		entry, body := number(2), number(4)
		r.Entry = take(entry)
		if body > 0 {
			r.Body = take(body)
		}
		p.Records = append(p.Records, r)
	}
	switch {
	case short:
		return bad("it is cut short")
	case len(rest) > 0:
		return bad("%d bytes stand behind its last record", len(rest))
	}
	if err := p.fit(); err != nil {
		return bad("%v", err)
	}
	return p, nil
}
