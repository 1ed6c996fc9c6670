// Package testlong says how much tests do. What takes minutes is done in part by
// default, by chance or over classes of cases that are alike, and as a whole where
// the environment variable TEST_LONG is set: make test-long.
package testlong

import "os"

var all = os.Getenv("TEST_LONG") != ""

// All reports whether tests do all there is.
func All() bool { return all }

// Of returns some, or where tests do all there is, many.
func Of(some, many int) int {
	if all {
		return many
	}
	return some
}
