package evidence

import (
	"encoding/binary"
	"fmt"
)

// AppendToBundle appends an entry to an entry bundle: its length as a big-endian
// 16-bit integer, then its bytes (C2SP tlog-tiles, "Log entries"). It fails for
// an entry of more than [MaxEntrySize] bytes.
func AppendToBundle(dst, entry []byte) ([]byte, error) {
	if len(entry) > MaxEntrySize {
		return nil, fmt.Errorf("entry has %d bytes, more than the %d that an entry bundle can hold", len(entry), MaxEntrySize)
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(entry)))
	return append(dst, entry...), nil
}

// CutEntry takes the first entry off the bytes of a bundle. It is for reading what
// there is of a bundle that [ParseBundle] refuses. The entry and the rest are parts of
// b; ok is false when b ends before the entry does.
func CutEntry(b []byte) (entry, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, b, false
	}
	end := 2 + int(binary.BigEndian.Uint16(b))
	if len(b) < end {
		return nil, b, false
	}
	return b[2:end:end], b[end:], true
}

// ParseBundle returns the entries of a bundle, which must hold exactly width of
// them, 1 to [TileWidth]. The entries are parts of b.
func ParseBundle(b []byte, width int) ([][]byte, error) {
	if width < 1 || width > TileWidth {
		return nil, fmt.Errorf("entry bundle cannot have %d entries; 1 to %d are allowed", width, TileWidth)
	}
	entries := make([][]byte, width)
	rest := b
	for i := range entries {
		entry, behind, ok := CutEntry(rest)
		if at := len(b) - len(rest); !ok && len(rest) < 2 {
			return nil, fmt.Errorf("entry bundle ends at byte %d, before the length of entry %d of %d", len(b), i, width)
		} else if !ok {
			return nil, fmt.Errorf("entry bundle ends at byte %d, within entry %d of %d, which has %d bytes from byte %d", len(b), i, width, binary.BigEndian.Uint16(rest), at+2)
		}
		entries[i], rest = entry, behind
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("entry bundle goes on at byte %d, behind the last of %d entries", len(b)-len(rest), width)
	}
	return entries, nil
}
