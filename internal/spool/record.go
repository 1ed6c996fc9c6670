package spool

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// ErrNewer says that a record was written by a newer version of this program.
var ErrNewer = errors.New("written by a newer version")

const (
	magic   = "custody spool v1\n"
	anyKind = "custody spool v" // of any version
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode returns the content of the file of a record.
func encode(record []byte) []byte {
	head := fmt.Sprintf("%s%d %08x\n", magic, len(record), crc32.Checksum(record, castagnoli))
	return append([]byte(head), record...)
}

// Parse reads the file of a record. The error says whether it is torn, altered or
// written by a newer version ([ErrNewer]).
func Parse(file []byte) (record []byte, err error) {
	rest, ok := bytes.CutPrefix(file, []byte(magic))
	switch {
	case ok:
	case bytes.HasPrefix(file, []byte(anyKind)):
		first, _, _ := bytes.Cut(file, []byte("\n"))
		return nil, fmt.Errorf("%.40q: %w", first, ErrNewer)
	case bytes.HasPrefix([]byte(magic), file):
		return nil, fmt.Errorf("torn: it ends within the first line, after %d bytes", len(file))
	default:
		return nil, fmt.Errorf("no record: the first line is not %q", strings.TrimSpace(magic))
	}
	line, record, ok := bytes.Cut(rest, []byte("\n"))
	if !ok {
		return nil, fmt.Errorf("torn: it ends within the second line, after %d bytes", len(file))
	}
	length, sum, ok := strings.Cut(string(line), " ")
	n, lerr := strconv.ParseUint(length, 10, 62)
	crc, cerr := strconv.ParseUint(sum, 16, 32)
	if !ok || lerr != nil || cerr != nil || fmt.Sprintf("%d %08x", n, crc) != string(line) {
		return nil, fmt.Errorf("altered: the second line is %.40q, not a length and a checksum", line)
	}
	switch have := uint64(len(record)); {
	case have < n:
		return nil, fmt.Errorf("torn: %d of %d bytes are there", have, n)
	case have > n:
		return nil, fmt.Errorf("altered: %d bytes follow the record", have-n)
	}
	if got := crc32.Checksum(record, castagnoli); got != uint32(crc) {
		return nil, fmt.Errorf("altered: its checksum is %08x, not %08x", got, crc)
	}
	return record, nil
}

// Endings of names.
const (
	waiting = ".record" // of what waits
	aside   = ".aside"  // of what nobody will take
)

// maxNumber bounds the number in the name of a record.
const maxNumber = 1_000_000_000_000_000_000

// nameOf returns the name of a record without its ending: its place in the order, the
// length of its file, and something that no other has.
func nameOf(number uint64, size int64, unique string) string {
	return fmt.Sprintf("%018d-%d-%s", number, size, unique)
}

// parseName reads the name of a record.
func parseName(name string) (number uint64, size int64, ok bool) {
	name, isWaiting := strings.CutSuffix(name, waiting)
	name, isAside := strings.CutSuffix(name, aside)
	parts := strings.Split(name, "-")
	if isWaiting == isAside || len(parts) != 3 {
		return 0, 0, false
	}
	number, nerr := strconv.ParseUint(parts[0], 10, 64)
	size, serr := strconv.ParseInt(parts[1], 10, 64)
	ok = nerr == nil && serr == nil && number < maxNumber && size >= 0 && nameOf(number, size, parts[2]) == name
	return number, size, ok
}
