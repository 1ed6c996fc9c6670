package index

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"github.com/custodylog/custody/internal/storage"
)

// The file is a sequence of pages, so that one lookup reads and checks a few
// kilobytes and not the file. A page is 4,092 bytes of content and the CRC-32C
// of the content followed by the page's number in 4 bytes. The rest of this
// package sees the contents, joined.
const (
	pageSize    = 4096
	pageContent = pageSize - 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func pageSum(content []byte, page uint32) uint32 {
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], page)
	return crc32.Update(crc32.Checksum(content, castagnoli), castagnoli, n[:])
}

// sealPages cuts content into pages and adds their checksums. The last page is
// filled up with zeros.
func sealPages(content []byte) []byte {
	pages := (len(content) + pageContent - 1) / pageContent
	out := make([]byte, 0, pages*pageSize)
	for i := range pages {
		part := content[i*pageContent : min(len(content), (i+1)*pageContent)]
		start := len(out)
		out = append(out, part...)
		out = append(out, make([]byte, pageContent-len(part))...)
		out = binary.BigEndian.AppendUint32(out, pageSum(out[start:], uint32(i)))
	}
	return out
}

var pagePool = sync.Pool{New: func() any { return new([pageSize]byte) }}

// readPages appends n content bytes from offset at of the joined contents.
func readPages(dst []byte, r io.ReaderAt, at, n int64) ([]byte, error) {
	buf := pagePool.Get().(*[pageSize]byte)
	defer pagePool.Put(buf)
	for n > 0 {
		page := at / pageContent
		if n, err := r.ReadAt(buf[:], page*pageSize); n < len(buf) {
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				return dst, fmt.Errorf("%w: index ends before the end of page %d", storage.ErrAltered, page)
			}
			return dst, err
		}
		if pageSum(buf[:pageContent], uint32(page)) != binary.BigEndian.Uint32(buf[pageContent:]) {
			return dst, fmt.Errorf("%w: checksum of index page %d", storage.ErrAltered, page)
		}
		part := buf[at%pageContent : pageContent]
		if int64(len(part)) > n {
			part = part[:n]
		}
		dst = append(dst, part...)
		at += int64(len(part))
		n -= int64(len(part))
	}
	return dst, nil
}
