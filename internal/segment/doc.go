// Package segment encodes and decodes the two kinds of files that hold the
// entries of a trail: the tail, to which commits are appended, and the sealed
// segment, into which a full tail is compressed. docs/format/tail.md and
// docs/format/segment.md are the normative description, byte by byte.
//
// All integers are big-endian. Decoders are total: arbitrary bytes give an
// error, and no length is believed before it is bounded.
package segment

// Entries is the number of entries of a sealed segment: 256 entry bundles of
// 256 entries, which is exactly one full level-1 tile (C2SP tlog-tiles).
const Entries = 1 << 16
