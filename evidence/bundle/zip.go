package bundle

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Limits of a bundle. A file of up to MaxSize bytes is read into memory whole,
// and its content, unpacked, beside it.
const (
	MaxSize     = 256 << 20 // the zip, in bytes
	MaxUnpacked = 768 << 20 // all files of it, unpacked, in bytes
	MaxFiles    = 128
)

// A zip of this format has, for each file, a local header and the compressed
// bytes, one file behind the other; then the central directory; then its end
// record with the comment (PKWARE APPNOTE.TXT, sections 4.3.7, 4.3.12, 4.3.16).
// No header has an extra field, no file a data descriptor, and no byte stands
// between these parts, so that the file can be read in one way only.
const (
	localHeader   = 30
	centralHeader = 46
	endSize       = 22

	commentPrefix = Format + " sha256:"
	commentSize   = len(commentPrefix) + 2*sha256.Size

	zipVersion = 20 // 2.0, which deflate needs
	zipDeflate = 8
	zipDate    = 1<<5 | 1 // 1 January 1980, the first that there is
)

// file is a file of a bundle with its content.
type file struct {
	name    string
	content []byte
}

// pack returns a zip of the files. Its comment has the hash of all bytes before
// the comment, so that a change to any byte of the zip shows.
func pack(files []file) ([]byte, error) {
	var b, central []byte
	for _, f := range files {
		var packed bytes.Buffer
		w, err := flate.NewWriter(&packed, flate.DefaultCompression)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
		h := header{f.name, crc32.ChecksumIEEE(f.content), int64(packed.Len()), int64(len(f.content)), int64(len(b))}
		b = append(append(b, h.local()...), packed.Bytes()...)
		central = append(append(central, h.central()...), f.name...)
	}
	end := endRecord(len(files), len(central), len(b))
	b = append(append(b, central...), end...)
	if len(b)+commentSize > MaxSize {
		return nil, fmt.Errorf("bundle would have %d bytes, more than %d; ask for a smaller range", len(b)+commentSize, MaxSize)
	}
	return append(b, comment(b)...), nil
}

// endRecord returns the end record of the central directory, without the comment.
func endRecord(files, size, start int) []byte {
	b := []byte("PK\x05\x06\x00\x00\x00\x00") // one disk
	b = binary.LittleEndian.AppendUint16(b, uint16(files))
	b = binary.LittleEndian.AppendUint16(b, uint16(files))
	b = binary.LittleEndian.AppendUint32(b, uint32(size))
	b = binary.LittleEndian.AppendUint32(b, uint32(start))
	return binary.LittleEndian.AppendUint16(b, uint16(commentSize))
}

// comment returns the comment for a zip with those bytes before it.
func comment(b []byte) string {
	sum := sha256.Sum256(b)
	return commentPrefix + hex.EncodeToString(sum[:])
}

// unpack returns the files of a zip that pack wrote. What is wrong with the zip
// and leaves it readable is reported; an error means that no more files could be
// read. A file whose content is damaged is returned as far as it can be unpacked.
func unpack(b []byte, report func(file, detail string)) ([]file, error) {
	if len(b) < endSize+commentSize {
		return nil, errors.New("too short for a bundle; it may be cut off")
	}
	end := len(b) - commentSize
	if string(b[end:]) != comment(b[:end]) {
		report("", "the zip's comment does not have the SHA-256 of the bytes before it: the file was altered or damaged")
	}
	record := b[end-endSize : end]
	count := int(binary.LittleEndian.Uint16(record[8:]))
	size, start := int64(binary.LittleEndian.Uint32(record[12:])), int64(binary.LittleEndian.Uint32(record[16:]))
	if !bytes.Equal(record, endRecord(count, int(size), int(start))) || start+size != int64(end-endSize) {
		return nil, errors.New("it does not end as a bundle does: the record at the end of the zip is missing or has other values")
	}
	if count > MaxFiles {
		return nil, fmt.Errorf("it has %d files, more than %d", count, MaxFiles)
	}
	var files []file
	central, at, room := b[start:end-endSize], int64(0), int64(MaxUnpacked)
	for range count {
		f, err := readHeader(central)
		if err != nil {
			return files, err
		}
		central = central[centralHeader+len(f.name):]
		body := at + localHeader + int64(len(f.name))
		if f.offset != at || body+f.packed > start {
			return files, fmt.Errorf("%q does not stand right behind the file before it", f.name)
		}
		if !bytes.Equal(b[at:body], f.local()) {
			report(f.name, "its two headers in the zip differ")
		}
		at = body + f.packed
		if room -= f.unpacked; room < 0 {
			return files, fmt.Errorf("its files have more than %d bytes when they are unpacked; %q is too large", MaxUnpacked, f.name)
		}
		content, err := f.unpack(b[body:at])
		if err != nil {
			report(f.name, err.Error())
		}
		files = append(files, file{f.name, content})
	}
	if len(central) != 0 || at != start {
		return files, errors.New("there are bytes in the zip that belong to no file")
	}
	return files, nil
}

// header is what a zip says of a file.
type header struct {
	name             string
	crc              uint32
	packed, unpacked int64
	offset           int64
}

// readHeader reads a header of the central directory.
func readHeader(b []byte) (header, error) {
	if len(b) < centralHeader {
		return header{}, errors.New("the zip's directory is cut short")
	}
	h := header{
		crc:      binary.LittleEndian.Uint32(b[16:]),
		packed:   int64(binary.LittleEndian.Uint32(b[20:])),
		unpacked: int64(binary.LittleEndian.Uint32(b[24:])),
		offset:   int64(binary.LittleEndian.Uint32(b[42:])),
	}
	n := centralHeader + int(binary.LittleEndian.Uint16(b[28:]))
	if len(b) < n {
		return header{}, errors.New("the zip's directory is cut short")
	}
	h.name = string(b[centralHeader:n])
	if !bytes.Equal(b[:centralHeader], h.central()) {
		return header{}, fmt.Errorf("the zip's directory has something else about %.80q than a bundle has", h.name)
	}
	return h, nil
}

// local returns the file's local header.
func (h *header) local() []byte {
	b := []byte("PK\x03\x04")
	b = binary.LittleEndian.AppendUint16(b, zipVersion)
	b = h.appendCommon(b)
	return append(b, h.name...)
}

// central returns the file's header in the central directory, without its name.
func (h *header) central() []byte {
	b := []byte("PK\x01\x02")
	b = binary.LittleEndian.AppendUint16(b, zipVersion)
	b = binary.LittleEndian.AppendUint16(b, zipVersion)
	b = h.appendCommon(b)
	b = append(b, make([]byte, 10)...) // comment, disk, attributes
	return binary.LittleEndian.AppendUint32(b, uint32(h.offset))
}

// appendCommon appends what both headers have, from the flags to the length of
// the extra field.
func (h *header) appendCommon(b []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, 0) // flags
	b = binary.LittleEndian.AppendUint16(b, zipDeflate)
	b = binary.LittleEndian.AppendUint16(b, 0) // time
	b = binary.LittleEndian.AppendUint16(b, zipDate)
	b = binary.LittleEndian.AppendUint32(b, h.crc)
	b = binary.LittleEndian.AppendUint32(b, uint32(h.packed))
	b = binary.LittleEndian.AppendUint32(b, uint32(h.unpacked))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(h.name)))
	return binary.LittleEndian.AppendUint16(b, 0) // extra field
}

// unpack returns the content of the file, as far as it can be had.
func (h *header) unpack(packed []byte) ([]byte, error) {
	source := bytes.NewReader(packed)
	var buf bytes.Buffer
	n, err := io.Copy(&buf, io.LimitReader(flate.NewReader(source), h.unpacked+1))
	content := buf.Bytes()
	switch {
	case err != nil:
		return content, fmt.Errorf("it cannot be unpacked beyond byte %d: %w", n, err)
	case n != h.unpacked:
		return content[:min(n, h.unpacked)], fmt.Errorf("it does not have the %d bytes that the zip says it has", h.unpacked)
	case source.Len() > 0:
		return content, fmt.Errorf("%d bytes follow behind its end", source.Len())
	case crc32.ChecksumIEEE(content) != h.crc:
		return content, errors.New("its CRC-32 is wrong")
	}
	return content, nil
}
