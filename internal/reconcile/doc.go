// Package reconcile compares the calls of tools that something else has written down with
// those that a trail holds: what is there and not here, what is here and not there, and
// what both tell differently.
//
// That tells of omissions, which no proof does: a trail proves what was recorded, never
// that everything was. What it is compared with may be a transcript of the agent, the log
// of a gateway, or an export of OpenTelemetry; it is evidence of lower trust than the
// trail, since nothing protects it.
//
// [Calls] collects calls, of either side. [Compare] matches them: by the id that the agent
// gave a call, or else by session, tool, digest of the input and order.
package reconcile
