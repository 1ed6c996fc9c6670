// Package bundle writes and checks evidence bundles: one zip with the entries and
// events of a trail that answer a question, and all that somebody needs who has
// never heard of the trail to check them, in a browser, with public tools or with
// [Check]. docs/format/bundle.md has the format byte by byte.
//
// # What a bundle proves
//
// The leaf hashes of the disclosed entries and the roots of the subtrees between
// them ([Cover]) give the root that a signed checkpoint names, so the entries are
// those that the trail committed at these indices. Each payload has the commitment
// in its entry. Where all entries of a range of indices are disclosed, or of a
// time with its neighbours, nothing was left out of it ([Completeness]).
//
// # What it does not
//
// The key comes with the bundle, so a bundle that checks out by itself may have
// been made by anybody. Give [CheckOptions] a key or a policy from elsewhere. For a
// question about the content of events, such as those of one session, that none
// was left out is the word of whoever made the bundle. So is that a legal hold was not
// released, and that there is no other. And a trail proves what was recorded, never that
// everything was recorded.
//
// The manifest, with the question, the time and the program, is signed by nobody.
//
// # Limits
//
// A bundle is written and checked in memory: see [MaxSize] and [MaxUnpacked].
// Functions do no I/O but on the reader and writer that they are given, and may be
// called from several goroutines.
package bundle
