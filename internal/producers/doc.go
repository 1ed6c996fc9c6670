// Package producers holds producers to account (docs/producers.md): whether the numbers
// and heartbeats of their events have gaps, and which keys they sign with.
//
// [Follow] follows a trail and records a gap_detected event in it for each gap. What is
// missing is decided in tracker.go, from the entries alone; follower.go reads, waits
// and records. [Keys] is the file of enrolled keys, and [Keys.Admit] decides whether an
// event may come in.
package producers
