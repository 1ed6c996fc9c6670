// Package redaction takes secrets out of an event before anything is hashed or
// written, and lists in the event what it took out and where.
//
// It is pure: no I/O, no clock, no state. A [Redactor] may be used from several
// goroutines at once.
//
// # First call
//
//	e = redaction.Default().Redact(e)
//
// The trail does this for every event that it records. [Keys] makes a redactor
// with other names.
//
// # What is redacted
//
// Every string in Details that stands under a name that says secret, such as
// password, X-Api-Key or refreshToken: directly, or at any depth below it.
// Strings that are themselves JSON are looked into. Numbers, booleans and null
// stay, so that max_tokens, a count, is never lost. docs/redaction.md has the
// rules for names.
//
// # What is promised
//
//   - Nothing that the caller's Details reach is modified. What is changed is
//     copied, the rest is shared.
//   - The same event gives the same result, however maps are ordered, and
//     redacting twice changes nothing more.
//   - No input makes it panic, except through a panicking method of a value
//     that the caller put into Details.
//
// # What is not
//
// That no secret is left. Values are not looked at: a password in a command
// line, or under the name "note", stays. Neither are names: a secret used as
// the name of a member stays.
package redaction
