// Package index finds the entries of a trail by key: in memory for the tail,
// in a file for a sealed segment, and with a filter across all segments that
// says which of them are worth looking into.
//
// An index is derived from the entries: it can be deleted and is built again.
// It holds hashes only, so a lookup gives candidates that the caller compares.
// docs/format/index.md describes the file byte by byte.
package index

import "github.com/custodylog/custody/internal/storage"

// Positions within a segment or tail count from 0 to 65,535.
const maxEntries = 1 << 16

// Bucket counts the entries of one type in one hour.
type Bucket struct {
	Hour  int64 // since 1970
	Type  string
	Count uint64
}

const microsecondsPerHour = 3600 * 1e6

// HourOf returns the hour of a time in microseconds since 1970.
func HourOf(t int64) int64 {
	if t < 0 {
		return (t+1)/microsecondsPerHour - 1
	}
	return t / microsecondsPerHour
}

type key = storage.Key
