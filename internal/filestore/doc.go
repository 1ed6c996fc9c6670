// Package filestore keeps a trail in a directory: the embedded store, with one
// writer and any number of readers, also from other processes and while the
// writer runs.
//
//	trail.json                                  origin, first key, format version
//	lock                                        held by the writer; its pid
//	checkpoint                                  newest checkpoint, brought up to date now and then
//	tail/00000000000000131072.tail              commits, appended; named after the first index
//	tail/spare                                  a tail that was sealed, to be used again
//	segments/00000000000000000000.segment       65,536 entries, compressed
//	segments/00000000000000000000.index         how to find them; derived
//
// # A commit
//
// Append builds one frame and writes it behind the last one (a crash here
// leaves a torn frame, or whole frames that nobody was told of; either is dealt
// with by the next Open), then calls fdatasync (a crash here, the same), then
// shows the entries to readers and returns. When a tail holds 65,536 entries
// the next commit goes to a new one and the full one is sealed behind the
// caller's back: index and segment are written under other names, synced and
// renamed, and only then is the tail given up (a crash between leaves both; the
// segment counts).
//
// # Failure
//
// A write or sync that fails leaves it open what is on disk. The store then
// takes no further batch until it is opened again; reading back and carrying on
// after a failed sync is not safe, since the page cache may show what the disk
// does not hold.
//
// That concerns Append. A tail that cannot be sealed, as on a disk with little
// room, keeps its entries and is tried again every few seconds and whenever the
// next one is full; only when several wait in vain does Append fail too.
package filestore
