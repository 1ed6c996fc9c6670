//go:build race

package filestore_test

// raceEnabled: everything takes ten times as long.
const raceEnabled = true
