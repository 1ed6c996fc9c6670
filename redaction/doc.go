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
// Numbers, booleans and null stay, so that max_tokens, a count, is never lost.
//
// In every other string, what is given to such a name (password=x, a header, a
// flag of a command), and what has the form of a credential, which package
// [github.com/custodylog/custody/redaction/detector] knows. That is looked for in
// names and in the event's other members too. Strings that are themselves JSON
// are looked into, as are runs of base64. docs/redaction.md has all the rules.
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
// That no secret is left: one without a form, and without a name that says so, is
// not seen. docs/redaction.md tells how many are found of those that others
// published.
package redaction
