package bundle

// PageStyle returns the style sheet of the page of a bundle, for other pages that
// are to look like it.
func PageStyle() string { return pageCSS }

// PageScript returns the JavaScript with which the page of a bundle computes SHA-256
// and the hashes of RFC 6962, and reads and checks verifier keys, signed notes,
// checkpoints and cosignatures (C2SP), for other pages that check the same. It declares
// functions at the top level, and touches no document.
func PageScript() string { return hashJS + noteJS }
