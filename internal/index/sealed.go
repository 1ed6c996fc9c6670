package index

import (
	"encoding/binary"
	"fmt"
	"io"
	"sort"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/storage"
)

// The joined contents of an index file:
//
//	 0  17  "custody index v1\n"
//	17   8  index of the first entry
//	25   4  number of entries
//	29  32  root hash of the tree over the segment's entries
//	61  40  five sections: offset and length in 4 bytes each
//
// and each section begins at a new page:
//
//	directory  first key of each page of keys, 6 bytes each
//	keys       409 to a page: key in 6 bytes, sorted; reference in 4 bytes
//	postings   lists of positions: count, first, differences, as uvarints
//	filter     bits of the filter
//	counts     types; then hour, type and number of entries
//
// A reference below 2^31 is the only position with that key; otherwise the
// rest of it is the offset of a list in the postings.
const (
	sealedPrefix  = "custody index v"
	sealedVersion = 1
	headerSize    = 101
	keySize       = 6
	keyRecord     = keySize + 4
	keysPerPage   = pageContent / keyRecord
	listFlag      = 1 << 31

	maxSectionSize = 1 << 28
)

const (
	sectionDirectory = iota
	sectionKeys
	sectionPostings
	sectionFilter
	sectionCounts
	sections
)

// Seal returns the bytes of the index file for the entries in m, which are
// those of the segment that begins at first and has the given root.
func (m *Memory) Seal(first uint64, root evidence.Hash) []byte {
	var directory, keys, postings []byte
	filter := make([]byte, filterBytes)
	m.pairs(func(pairs []pair) {
		n := 0 // keys written
		for i := 0; i < len(pairs); n++ {
			k := pairs[i].key()
			j := i + 1
			for j < len(pairs) && pairs[j].key() == k {
				j++
			}
			if n%keysPerPage == 0 {
				keys = append(keys, make([]byte, (pageContent-len(keys)%pageContent)%pageContent)...)
				directory = appendKey(directory, k)
			}
			keys = appendKey(keys, k)
			if j == i+1 {
				keys = binary.BigEndian.AppendUint32(keys, pairs[i].pos())
			} else {
				keys = binary.BigEndian.AppendUint32(keys, listFlag|uint32(len(postings)))
				postings = binary.AppendUvarint(postings, uint64(j-i))
				last := uint32(0)
				for _, p := range pairs[i:j] {
					postings = binary.AppendUvarint(postings, uint64(p.pos()-last))
					last = p.pos()
				}
			}
			for _, bit := range filterBitsOf(k) {
				filter[bit/8] |= 1 << (bit % 8)
			}
			i = j
		}
	})
	var counts []byte
	counts = binary.AppendUvarint(counts, uint64(len(m.types)))
	for _, t := range m.types {
		counts = binary.AppendUvarint(counts, uint64(len(t)))
		counts = append(counts, t...)
	}
	counts = binary.AppendUvarint(counts, uint64(len(m.buckets)))
	for _, b := range m.buckets {
		counts = binary.AppendVarint(counts, b.hour)
		counts = binary.AppendUvarint(counts, uint64(b.typ))
		counts = binary.AppendUvarint(counts, b.count)
	}

	return sealPages(join(first, m.count, root, [sections][]byte{directory, keys, postings, filter, counts}))
}

// join puts the sections of an index behind their header, each at a new page.
func join(first uint64, count uint32, root evidence.Hash, parts [sections][]byte) []byte {
	size := pageContent
	for _, p := range parts {
		size += len(p) + pageContent
	}
	content := make([]byte, headerSize, size)
	copy(content, fmt.Appendf(nil, "%s%d\n", sealedPrefix, sealedVersion))
	binary.BigEndian.PutUint64(content[17:], first)
	binary.BigEndian.PutUint32(content[25:], count)
	copy(content[29:], root[:])
	for i, p := range parts {
		content = append(content, make([]byte, (pageContent-len(content)%pageContent)%pageContent)...)
		binary.BigEndian.PutUint32(content[61+8*i:], uint32(len(content)))
		binary.BigEndian.PutUint32(content[65+8*i:], uint32(len(p)))
		content = append(content, p...)
	}
	return content
}

func appendKey(dst []byte, k key) []byte {
	return append(dst, byte(k>>40), byte(k>>32), byte(k>>24), byte(k>>16), byte(k>>8), byte(k))
}

func parseKey(b []byte) key {
	return key(b[0])<<40 | key(b[1])<<32 | key(b[2])<<24 | key(b[3])<<16 | key(b[4])<<8 | key(b[5])
}

// Sealed reads an index file. It keeps the directory in memory, two kilobytes
// for a segment, and reads the rest as it is asked for, checking every page.
// It is safe for concurrent use.
type Sealed struct {
	r         io.ReaderAt
	first     uint64
	count     uint32
	root      evidence.Hash
	section   [sections]struct{ at, size int64 }
	directory []key
}

// OpenSealed reads the head of an index file. It wraps storage.ErrNewer or
// storage.ErrAltered.
func OpenSealed(r io.ReaderAt) (*Sealed, error) {
	// A newer version may have other pages, so the first line comes first.
	var line [len(sealedPrefix) + 8]byte
	n, err := r.ReadAt(line[:], 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if err := storage.CheckVersion(line[:n], sealedPrefix, sealedVersion); err != nil {
		return nil, err
	}
	head, err := readPages(nil, r, 0, headerSize)
	if err != nil {
		return nil, err
	}
	s := &Sealed{r: r, first: binary.BigEndian.Uint64(head[17:]), count: binary.BigEndian.Uint32(head[25:])}
	copy(s.root[:], head[29:])
	for i := range s.section {
		s.section[i].at = int64(binary.BigEndian.Uint32(head[61+8*i:]))
		s.section[i].size = int64(binary.BigEndian.Uint32(head[65+8*i:]))
		if s.section[i].size > maxSectionSize || s.section[i].at%pageContent != 0 {
			return nil, fmt.Errorf("%w: index section %d has an impossible place", storage.ErrAltered, i)
		}
	}
	pages := (s.section[sectionKeys].size + pageContent - 1) / pageContent
	if s.count > maxEntries || s.section[sectionDirectory].size != pages*keySize || s.section[sectionFilter].size != filterBytes {
		return nil, fmt.Errorf("%w: index sections do not fit each other", storage.ErrAltered)
	}
	dir, err := s.read(nil, sectionDirectory, 0, s.section[sectionDirectory].size)
	if err != nil {
		return nil, err
	}
	s.directory = make([]key, pages)
	for i := range s.directory {
		s.directory[i] = parseKey(dir[i*keySize:])
	}
	return s, nil
}

// First returns the index of the segment's first entry.
func (s *Sealed) First() uint64 { return s.first }

// Root returns the root of the segment that the index was made from.
func (s *Sealed) Root() evidence.Hash { return s.root }

// read appends n bytes of a section.
func (s *Sealed) read(dst []byte, section int, at, n int64) ([]byte, error) {
	sec := s.section[section]
	if at < 0 || n < 0 || at+n > sec.size {
		return dst, fmt.Errorf("%w: index refers beyond section %d", storage.ErrAltered, section)
	}
	return readPages(dst, s.r, sec.at+at, n)
}

// Ascending appends the positions of the entries with key k, oldest first.
func (s *Sealed) Ascending(dst []uint32, k key) ([]uint32, error) {
	page := sort.Search(len(s.directory), func(i int) bool { return s.directory[i] > k }) - 1
	if page < 0 {
		return dst, nil
	}
	var buf [pageContent]byte
	records, err := s.read(buf[:0], sectionKeys, int64(page)*pageContent, s.keyBytes(page))
	if err != nil {
		return dst, err
	}
	n := len(records) / keyRecord
	i := sort.Search(n, func(i int) bool { return parseKey(records[i*keyRecord:]) >= k })
	if i == n || parseKey(records[i*keyRecord:]) != k {
		return dst, nil
	}
	return s.positions(dst, binary.BigEndian.Uint32(records[i*keyRecord+keySize:]))
}

// keyBytes returns the number of bytes in a page of keys that hold records.
func (s *Sealed) keyBytes(page int) int64 {
	return min(s.section[sectionKeys].size-int64(page)*pageContent, keysPerPage*keyRecord)
}

// positions appends the positions that a reference stands for.
func (s *Sealed) positions(dst []uint32, ref uint32) ([]uint32, error) {
	if ref&listFlag == 0 {
		if ref >= s.count {
			return dst, fmt.Errorf("%w: index names position %d of %d", storage.ErrAltered, ref, s.count)
		}
		return append(dst, ref), nil
	}
	at := int64(ref &^ listFlag)
	sec := s.section[sectionPostings]
	list := listDecoder{count: s.count}
	var buf [pageContent]byte
	// How long a list is shows only once it is read: up to the end of the
	// page, which is all of most, then page by page.
	for chunk := pageContent - (sec.at+at)%pageContent; ; chunk = pageContent {
		b, err := s.read(buf[:0], sectionPostings, at, min(sec.size-at, chunk))
		if err != nil {
			return dst, err
		}
		var used int
		if dst, used, err = list.take(dst, b); err != nil || list.done() {
			return dst, err
		}
		if at += int64(used); at+int64(len(b)-used) >= sec.size {
			return dst, errList // it should go on, but here the section ends
		}
	}
}

// listDecoder reads a list of positions piece by piece.
type listDecoder struct {
	count uint32 // entries in the segment
	left  uint64 // positions still to come
	last  uint64 // below count
	begun bool   // the length was read
	after bool   // a position was read
}

func (l *listDecoder) done() bool { return l.begun && l.left == 0 }

// take appends what b holds of the list, and returns how many bytes it used:
// less than all when a number goes on behind b.
func (l *listDecoder) take(dst []uint32, b []byte) (_ []uint32, used int, err error) {
	for !l.done() {
		v, w := binary.Uvarint(b[used:])
		if w == 0 {
			return dst, used, nil
		}
		if w < 0 {
			return dst, used, errList
		}
		used += w
		if !l.begun {
			if v == 0 || v > uint64(l.count) {
				return dst, used, errList
			}
			l.left, l.begun = v, true
			continue
		}
		if v >= uint64(l.count)-l.last || v == 0 && l.after {
			return dst, used, errList
		}
		l.last += v
		dst = append(dst, uint32(l.last))
		l.left--
		l.after = true
	}
	return dst, used, nil
}

var errList = fmt.Errorf("%w: index holds a list of positions that is none", storage.ErrAltered)

var errCounts = fmt.Errorf("%w: counts of the index are no counts", storage.ErrAltered)

// Buckets appends the counts by type and hour.
func (s *Sealed) Buckets(dst []Bucket) ([]Bucket, error) {
	b, err := s.read(nil, sectionCounts, 0, s.section[sectionCounts].size)
	if err != nil {
		return dst, err
	}
	ok := true
	uvarint := func() uint64 {
		v, w := binary.Uvarint(b)
		if w <= 0 {
			b, ok = nil, false
			return 0
		}
		b = b[w:]
		return v
	}
	var types []string
	for range min(uvarint(), maxEntries) {
		n := uvarint()
		if n > uint64(len(b)) || n > evidence.MaxTypeLen || !ok {
			return dst, errCounts
		}
		types = append(types, string(b[:n]))
		b = b[n:]
	}
	start, left := len(dst), uint64(s.count)
	for range min(uvarint(), maxEntries) {
		hour, w := binary.Varint(b)
		if w <= 0 {
			return dst[:start], errCounts
		}
		b = b[w:]
		typ, count := uvarint(), uvarint()
		if !ok || typ >= uint64(len(types)) || count == 0 || count > left {
			return dst[:start], errCounts
		}
		left -= count
		dst = append(dst, Bucket{hour, types[typ], count})
	}
	if !ok || left != 0 || len(b) != 0 {
		return dst[:start], errCounts
	}
	return dst, nil
}

// Filter returns the bits of the segment's filter.
func (s *Sealed) Filter() ([]byte, error) {
	return s.read(make([]byte, 0, filterBytes), sectionFilter, 0, filterBytes)
}

// Sum returns the sum over everything the index holds, for comparing it with
// the entries. It checks on the way that a lookup finds what the sum is over:
// that the keys ascend, and that directory and filter know them all.
func (s *Sealed) Sum() (sum storage.KeySum, err error) {
	postings, err := s.read(nil, sectionPostings, 0, s.section[sectionPostings].size)
	if err != nil {
		return sum, err
	}
	filter, err := s.Filter()
	if err != nil {
		return sum, err
	}
	buckets, err := s.Buckets(nil)
	if err != nil {
		return sum, err
	}
	for _, b := range buckets {
		sum.Count([]byte(b.Type), b.Hour*microsecondsPerHour, b.Count)
	}
	var buf [pageContent]byte
	var positions []uint32
	least := key(0) // that the next key may be
	for page := range s.directory {
		records, err := s.read(buf[:0], sectionKeys, int64(page)*pageContent, s.keyBytes(page))
		if err != nil {
			return sum, err
		}
		if len(records) < keyRecord || len(records)%keyRecord != 0 || parseKey(records) != s.directory[page] {
			return sum, fmt.Errorf("%w: directory of the index does not fit page %d of keys", storage.ErrAltered, page)
		}
		for ; len(records) > 0; records = records[keyRecord:] {
			k, ref := parseKey(records), binary.BigEndian.Uint32(records[keySize:])
			if k < least {
				return sum, fmt.Errorf("%w: keys of the index do not ascend on page %d of keys", storage.ErrAltered, page)
			}
			least = k + 1
			for _, bit := range filterBitsOf(k) {
				if filter[bit/8]&(1<<(bit%8)) == 0 {
					return sum, fmt.Errorf("%w: filter of the index lacks a key", storage.ErrAltered)
				}
			}
			if positions, err = s.positionsIn(positions[:0], ref, postings); err != nil {
				return sum, err
			}
			for _, p := range positions {
				sum.Add(k, s.first+uint64(p))
			}
		}
	}
	return sum, nil
}

// positionsIn is positions with all postings at hand.
func (s *Sealed) positionsIn(dst []uint32, ref uint32, postings []byte) ([]uint32, error) {
	at := uint64(ref &^ listFlag)
	if ref&listFlag == 0 || at >= uint64(len(postings)) {
		return s.positions(dst, ref)
	}
	list := listDecoder{count: s.count}
	dst, _, err := list.take(dst, postings[at:])
	if err == nil && !list.done() {
		err = errList
	}
	return dst, err
}
