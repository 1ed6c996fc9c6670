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

// ParseBundle returns the entries of a bundle, which must hold exactly width of
// them, 1 to [TileWidth]. The entries are parts of b.
func ParseBundle(b []byte, width int) ([][]byte, error) {
	if width < 1 || width > TileWidth {
		return nil, fmt.Errorf("entry bundle cannot have %d entries; 1 to %d are allowed", width, TileWidth)
	}
	entries := make([][]byte, width)
	at := 0
	for i := range entries {
		if len(b)-at < 2 {
			return nil, fmt.Errorf("entry bundle ends at byte %d, before the length of entry %d of %d", len(b), i, width)
		}
		n := int(binary.BigEndian.Uint16(b[at:]))
		at += 2
		if len(b)-at < n {
			return nil, fmt.Errorf("entry bundle ends at byte %d, within entry %d of %d, which has %d bytes from byte %d", len(b), i, width, n, at)
		}
		entries[i] = b[at : at+n : at+n]
		at += n
	}
	if at < len(b) {
		return nil, fmt.Errorf("entry bundle goes on at byte %d, behind the last of %d entries", at, width)
	}
	return entries, nil
}
