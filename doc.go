// Package custody keeps a tamper-evident audit trail of what AI agents do: what
// they asked for, what was decided and by whom, what happened, what it cost and
// when everything was stopped.
//
// # First call
//
//	vkey, err := custody.Create("trail", custody.CreateOptions{Origin: "example.org/agents"})
//	trail, err := custody.Open("trail", nil)
//	defer trail.Close()
//	receipt, err := trail.ActionDenied(ctx, action, custody.Verdict{Reasons: []string{"rm outside the project"}})
//
// Record takes any event; the methods named after an event type, such as
// [Trail.ActionDenied], fill one in. [Trail.Entries] finds what was recorded, and
// [Trail.Search] by words that it says; [Trail.Verify] checks that none of it was changed.
//
// # What is promised
//
//   - An event whose receipt was returned survives a crash of the program and
//     of the machine: it was synced to the disk before.
//   - Any later change to what was acknowledged is found by Verify, which names
//     the cause and the first index concerned. Against somebody who holds the
//     signing key that needs a checkpoint kept elsewhere: see [Trail.Checkpoint].
//   - Secrets under telling names are redacted before anything is hashed or
//     written. The caller's event is never changed.
//   - Nothing is dropped silently. What cannot be recorded is an error.
//
// # What is not
//
// That an event is true, or that everything was reported: a trail proves what
// was recorded. Only the process that opened a trail for writing can append to
// it; any number of others may read it at the same time.
//
// All methods of a [Trail] may be called from any number of goroutines.
package custody
