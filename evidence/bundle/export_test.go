package bundle

import "testing"

// What the tests of package bundle_test use, which import what imports this package.

type (
	Proof   = proof
	Verdict = verdict
)

var (
	Canonical = canonical
	Edit      = edit
	PageOf    = pageOf
)

// NewPage starts a browser and returns what opens the page of a bundle in it.
func NewPage(tb testing.TB) func(page []byte) Verdict {
	tb.Helper()
	return newBrowser(tb).open
}
