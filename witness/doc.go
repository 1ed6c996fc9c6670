// Package witness cosigns checkpoints and has them cosigned, by the protocol of
// C2SP tlog-witness.
//
// A witness remembers, for each log that it was told of, the last checkpoint
// that it cosigned. It cosigns another one only when a proof shows that this one
// continues that one. So whoever holds a log's key cannot show one history to
// some and another to others, nor take one back, without the witness's
// signature missing from one of them.
//
// [Client] asks a witness, of this or any other make. [Server] is one.
//
// What a witness says is that a tree grew by appending. It never sees an entry,
// knows nothing of what was recorded, and does not keep the log.
package witness
