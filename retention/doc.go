// Package retention says how long payloads and entries are kept: policies, as
// files have them, and presets. It decides and does nothing else: no I/O, no clock.
//
// # First call
//
//	policy, err := retention.Parse("retention.yaml", content)
//	run, err := trail.ApplyRetention(ctx, policy, "operations")
//
// # What is promised
//
// A policy that [Policy.Validate] accepts has no period below its floor unless it
// says why. Values are not changed by any method, and may be used by several
// goroutines at once.
package retention
