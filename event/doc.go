// Package event defines what an agent's producer can report: the [Event], the
// registered vocabulary of event types, decisions and outcomes, and the
// canonical bytes that are hashed.
//
// It is pure: no I/O, no clock, no globals that change. Every function may be
// called from several goroutines at once.
//
// # First call
//
// Most programs only fill an [Event] and hand it to the trail, which calls the
// rest. A program that reads what others produced calls [Decode]; one that
// reads a stored payload calls [ParsePayload].
//
//	ev, notes, err := event.Decode(line)       // producer JSON, tolerant
//	ev.Defects = append(ev.Defects, notes...)
//	ev, err = ev.Normalize(event.Lenient)      // severity, defects
//	buf, err = ev.AppendPayload(buf[:0])       // RFC 8785, ready to be hashed
//
// # The vocabulary
//
// registry.go holds every registered type with its family, severity, required
// members and details. docs/events.md and docs/event.schema.json are generated
// from it; [Event.Check] validates against it. An unregistered type is never
// refused: it is kept and marked with the defect [DefectUnregistered].
//
// # Signatures
//
// A producer may sign an event ([Event.Sign]); [CheckSignature] checks that from a
// stored payload and the producer's key alone. docs/producers.md has every byte.
//
// # What is promised
//
//   - A payload written once is read for ever: members and [Field] numbers are
//     never renamed or reused.
//   - [Event.AppendPayload] gives the same bytes for equal events on every
//     platform, and refuses what JSON readers would disagree on (numbers a
//     float64 does not hold, NaN, invalid UTF-8, duplicate names) rather than
//     changing it silently.
//   - [Event.VisitFields] and [ScanFields] give the same pairs for an event and
//     for its payload, so that an index rebuilt from stored bytes is the same
//     as one built while writing.
//   - No function here modifies an Event, or what its Details reach, that a
//     caller passed in.
//   - No input makes a function here panic, except through a panicking method
//     of a value the caller put into Details.
//
// # What is not promised
//
// That an event is true. AgentID, Decision and every other member are claims
// of the producer; the trail adds the authenticated Principal beside them.
package event
