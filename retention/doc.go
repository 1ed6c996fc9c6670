// Package retention decides how long a trail holds payloads and entries.
//
// It is pure: no I/O, no clock, no state. A [Policy] is a plain value and may be
// used from several goroutines when none of them writes.
//
// # First call
//
//	policy, err := retention.Parse("policy.yaml", text)
//
// A program without a file starts from [Default] or from one of [Presets]. The
// trail asks the policy for the period of each event and removes what has
// outlived it; docs/retention.md has the form of the file.
//
// # What is promised
//
//   - [Policy.Validate] names every problem of a policy, not just the first.
//   - A period that is not set has no cutoff, so that nothing is removed by
//     omission.
//   - Two policies that decide the same have the same [Policy.Digest], however
//     they are written.
//   - No input makes a function here panic.
//
// # What is not
//
// That a policy satisfies a law or a standard. The presets take their numbers
// from published texts; whether a text applies, and what else it asks for, they
// do not say.
package retention
