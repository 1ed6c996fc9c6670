// Package spool keeps records on the disk of the machine where they were made, until
// whoever they are for takes them.
//
// A spool is a directory with a file for each record, which docs/format/spool.md
// describes. Any number of processes may append at the same time, without waiting for
// each other; one at a time replays. A record is dropped only after it was taken, so one
// may be replayed twice where a process or the machine stops between the two: records
// have to be such that this does no harm.
package spool
