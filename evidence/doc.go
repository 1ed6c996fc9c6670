// Package evidence holds what an auditor needs to check a Custody trail, and
// nothing that needs a disk, a network or a clock: entries, commitments, the
// hash tree, checkpoints, keys and key rotations.
//
// # Checking an export by hand
//
// An entry is a line of canonical JSON (RFC 8785); its hash is its RFC 6962
// leaf hash. [ParseEntry] reads one, [LeafHash] hashes one, and a [Chain]
// checks a run of them: indices without a gap, each naming the hash of the one
// before, times that never step back. A payload belongs to an entry when
// [Commit] of its salt and bytes is the entry's commitment. A [Tree] over the
// leaf hashes has the root that a signed [Checkpoint] names.
//
// # Proofs
//
// A [Proof] (C2SP tlog-proof) shows without the trail that an entry is in it, and a
// [ConsistencyProof] that one checkpoint continues another. A [Policy] (C2SP
// tlog-policy) says whom to believe: the log's key and the witnesses whose
// cosignatures count. [Sample] draws entries that nobody could foresee. A [Tile]
// names a part of the published tree.
//
// # What is promised
//
// Every function is total: arbitrary bytes give an error, never a panic, and
// every length is bounded before memory is taken for it. Bytes are hashed as
// they are given; nothing is encoded again in order to check it.
//
// # What is not
//
// A chain and a tree that check out prove that the entries are those that the
// holder of the key signed. Who holds the key can sign another history: the
// defence is a checkpoint that somebody else keeps. And a trail proves what was
// recorded, never that everything was recorded.
//
// Values are plain and may be used from several goroutines when none of them
// writes; a [Chain] and a [Tree] belong to one goroutine.
package evidence
