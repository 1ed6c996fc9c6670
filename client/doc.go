// Package client works with a trail on a server (custody serve) as package custody
// does with one in a directory.
//
// # First call
//
//	trail, err := client.Open(ctx, "https://custody.example.org:8420/trails/payments", &client.Options{Token: token})
//	defer trail.Close()
//	receipt, err := trail.ActionDenied(ctx, action, custody.Verdict{Reasons: []string{"rm outside the project"}})
//
// A [Trail] has the methods of custody.Trail, with the same arguments, results and
// errors, so that a program can have either behind an interface. Only [Trail.Cosign] and
// [Trail.Timestamp] do not take whom to ask: that is in the server's configuration. errors.Is finds
// custody.ErrConflict, ErrNotFound, ErrErased, ErrPruned, ErrFull and so on; the
// [Problem] that the server answered with is found by errors.As.
//
// # What is promised
//
//   - An event is recorded once, however often it has to be sent: each gets its id
//     before it is sent for the first time. A receipt that is returned says that the
//     event is on the server's disk.
//   - What a server that is busy, restarts or cannot be reached did not answer is sent
//     again for as long as [Options].RetryFor says, and never before the time that the
//     server asks for (Retry-After). What must not be done twice, such as an erasure,
//     is sent again only where it is known that the server did nothing.
//   - Lists and subscriptions go on where they broke off, and neither miss nor repeat
//     an entry.
//
// # What is checked, and what is the server's word
//
// Checked here, so that an answer that does not check out is an error that wraps
// custody.ErrAltered:
//
//   - Entries: the bytes have the hash that is given, and say the same index, time and
//     type; the payload is the one that they commit to.
//   - Checkpoints and receipts: the checkpoint is of this trail and covers the entry,
//     and with [Options].Keys, it is signed with one of these.
//   - Proofs, also those of receipts ([Options].ProveReceipts): that they prove what
//     was asked for, against that checkpoint.
//
// The server's word: that a list or a search holds everything that matches, counts and statistics,
// what holds and policies cover, that a receipt without a proof is of the event that
// was sent, and the report of [Trail.Verify], which is made by the server. Of that
// only the checkpoints that were given are compared here with what the server has now.
// Whoever does not want to believe a server checks a bundle ([Trail.Bundle]) or the
// published log (custody check) instead, with keys from elsewhere.
//
// All methods may be called from any number of goroutines.
package client
