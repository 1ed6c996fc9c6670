// Package tiles publishes a trail as a C2SP tiled log (c2sp.org/tlog-tiles): its
// checkpoint, the tiles of its tree and its entries, over HTTP or as files, for
// monitors, mirrors and auditors with tools of their own. [Check] is such a tool: it
// checks a published log without the trail.
//
// Entries hold no payloads: what is published tells when something of which type
// was recorded, and commits to what it was, but not more.
package tiles
