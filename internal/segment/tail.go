package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/storage"
)

// A tail file is a header followed by frames, one for each commit:
//
//	header, 48 bytes
//	 0  16  "custody tail v1\n"
//	16   8  index of the first entry
//	24  16  nonce, random for each use of a file
//	40   4  zero
//	44   4  CRC-32C of bytes 0 to 43
//
//	frame, 44 bytes and a body
//	 0   4  "CSTF"
//	 4   4  length of the body
//	 8   8  index of the first entry
//	16   4  number of entries
//	20   4  length of the checkpoint
//	24  16  nonce of the file
//	40   4  CRC-32C of bytes 0 to 39 and of the body
//	44      body: the records, then the signed checkpoint
//
//	record, 6 bytes, entry, body
//	 0   2  length of the entry
//	 2   4  length of the body (salt and payload); 0: no payload is held
//
// A file is used again for a later tail, so old frames may lie behind the last
// one of today; their nonce tells them apart.
const (
	TailHeaderSize  = 48
	FrameHeaderSize = 44
	recordHeader    = 6

	// MaxFrame bounds a frame's body. A writer stays far below it.
	MaxFrame = 1 << 30

	tailPrefix  = "custody tail v"
	tailVersion = 1
	frameMagic  = "CSTF"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Nonce tells the frames of one use of a tail file from those of another.
type Nonce [16]byte

// TailHeader is the header of a tail file.
type TailHeader struct {
	First uint64
	Nonce Nonce
}

// AppendTailHeader appends the TailHeaderSize bytes of h.
func AppendTailHeader(dst []byte, h TailHeader) []byte {
	n := len(dst)
	dst = fmt.Appendf(dst, "%s%d\n", tailPrefix, tailVersion)
	dst = binary.BigEndian.AppendUint64(dst, h.First)
	dst = append(dst, h.Nonce[:]...)
	dst = append(dst, 0, 0, 0, 0)
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[n:], castagnoli))
}

// ParseTailHeader reads the header of a tail file. It wraps storage.ErrNewer
// or storage.ErrAltered.
func ParseTailHeader(b []byte) (TailHeader, error) {
	var h TailHeader
	if err := storage.CheckVersion(b, tailPrefix, tailVersion); err != nil {
		return h, err
	}
	if len(b) < TailHeaderSize {
		return h, fmt.Errorf("%w: header is cut short at %d of %d bytes", storage.ErrAltered, len(b), TailHeaderSize)
	}
	if crc32.Checksum(b[:44], castagnoli) != binary.BigEndian.Uint32(b[44:]) {
		return h, fmt.Errorf("%w: checksum of the header", storage.ErrAltered)
	}
	h.First = binary.BigEndian.Uint64(b[16:])
	copy(h.Nonce[:], b[24:])
	return h, nil
}

// AppendFrame appends the frame of a batch, and to places where each record's
// entry stands in the result.
func AppendFrame(dst []byte, nonce Nonce, b *storage.Batch, places []Place) ([]byte, []Place, error) {
	start := len(dst)
	body := len(b.Checkpoint)
	for i := range b.Items {
		it := &b.Items[i]
		if err := checkItem(len(it.Entry), len(it.Body)); err != nil {
			return dst, places, fmt.Errorf("entry %d: %w", b.First+uint64(i), err)
		}
		body += recordHeader + len(it.Entry) + len(it.Body)
	}
	if body > MaxFrame || len(b.Items) > Entries {
		return dst, places, fmt.Errorf("batch has %d entries and %d bytes, more than a frame holds", len(b.Items), body)
	}
	dst = append(dst, frameMagic...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(body))
	dst = binary.BigEndian.AppendUint64(dst, b.First)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(b.Items)))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(b.Checkpoint)))
	dst = append(dst, nonce[:]...)
	dst = append(dst, 0, 0, 0, 0)
	for i := range b.Items {
		it := &b.Items[i]
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(it.Entry)))
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(it.Body)))
		places = append(places, Place{Offset: int64(len(dst) - start), Entry: uint32(len(it.Entry)), Body: uint32(len(it.Body))})
		dst = append(dst, it.Entry...)
		dst = append(dst, it.Body...)
	}
	dst = append(dst, b.Checkpoint...)
	binary.BigEndian.PutUint32(dst[start+40:], frameSum(dst[start:]))
	return dst, places, nil
}

// checkItem refuses what the formats have no way to write.
func checkItem(entry, body int) error {
	if entry > evidence.MaxEntrySize {
		return fmt.Errorf("it has %d bytes, more than %d", entry, evidence.MaxEntrySize)
	}
	if body > 0 && body < evidence.SaltSize || body > MaxFrame {
		return fmt.Errorf("its body has %d bytes; a salt of %d and a payload are expected", body, evidence.SaltSize)
	}
	return nil
}

// Place is where an entry and its body stand, one after the other.
type Place struct {
	Offset      int64 // from the start of the frame
	Entry, Body uint32
}

func frameSum(frame []byte) uint32 {
	return crc32.Update(crc32.Checksum(frame[:40], castagnoli), castagnoli, frame[FrameHeaderSize:])
}

// Frame is a decoded frame. Its slices lie in the bytes that were decoded.
type Frame struct {
	First      uint64
	Count      uint32
	Nonce      Nonce
	Checkpoint []byte

	records []byte
	size    int
}

// Size is the length of the frame in bytes.
func (f *Frame) Size() int { return f.size }

// Errors of ParseFrame.
var (
	// ErrFrameEnd: no frame starts here.
	ErrFrameEnd = errors.New("no frame")
	// ErrFrameShort: a frame starts here but its end is missing.
	ErrFrameShort = errors.New("frame is cut short")
	// ErrFrameSum: the frame is whole but its checksum is wrong. The frame
	// is returned all the same.
	ErrFrameSum = errors.New("checksum of the frame is wrong")
)

// ParseFrame decodes the frame at the start of b.
func ParseFrame(b []byte) (Frame, error) {
	var f Frame
	if len(b) < FrameHeaderSize || string(b[:4]) != frameMagic {
		if len(b) > 0 && len(b) < FrameHeaderSize && bytes.HasPrefix([]byte(frameMagic), b[:min(len(b), 4)]) {
			return f, ErrFrameShort
		}
		return f, ErrFrameEnd
	}
	length := binary.BigEndian.Uint32(b[4:])
	f.First = binary.BigEndian.Uint64(b[8:])
	f.Count = binary.BigEndian.Uint32(b[16:])
	note := binary.BigEndian.Uint32(b[20:])
	copy(f.Nonce[:], b[24:])
	if length > MaxFrame || note > length || f.Count > Entries {
		return f, ErrFrameShort
	}
	if uint64(len(b)-FrameHeaderSize) < uint64(length) {
		return f, ErrFrameShort
	}
	f.size = FrameHeaderSize + int(length)
	f.records = b[FrameHeaderSize : f.size-int(note)]
	f.Checkpoint = b[f.size-int(note) : f.size]
	if frameSum(b[:f.size]) != binary.BigEndian.Uint32(b[40:]) {
		return f, ErrFrameSum
	}
	return f, nil
}

// Records yields the place of each record, whose offset counts from the start
// of the frame, and its bytes. The error, which comes last, says that the
// records do not fill the frame exactly.
func (f *Frame) Records() iter.Seq2[TailRecord, error] {
	return func(yield func(TailRecord, error) bool) {
		b, at := f.records, int64(FrameHeaderSize)
		for i := range f.Count {
			if len(b) < recordHeader {
				yield(TailRecord{}, fmt.Errorf("record %d of the frame is cut short", i))
				return
			}
			entry, body := uint32(binary.BigEndian.Uint16(b)), binary.BigEndian.Uint32(b[2:])
			b, at = b[recordHeader:], at+recordHeader
			if uint64(entry)+uint64(body) > uint64(len(b)) || body != 0 && body < evidence.SaltSize {
				yield(TailRecord{}, fmt.Errorf("record %d of the frame has an impossible length", i))
				return
			}
			r := TailRecord{Place: Place{Offset: at, Entry: entry, Body: body}, Entry: b[:entry:entry]}
			if body > 0 {
				r.Body = b[entry : entry+body : entry+body]
			}
			if !yield(r, nil) {
				return
			}
			b, at = b[entry+body:], at+int64(entry+body)
		}
		if len(b) > 0 {
			yield(TailRecord{}, fmt.Errorf("%d bytes stand behind the last record of the frame", len(b)))
		}
	}
}

// TailRecord is one record of a frame.
type TailRecord struct {
	Place Place
	Entry []byte
	Body  []byte // salt and payload; nil: none is held
}
