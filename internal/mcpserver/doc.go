// Package mcpserver lets an agent, or whoever watches over one, ask a trail what
// happened: a server of the Model Context Protocol whose tools only read.
//
// The tools are query, timeline, show, verify, stats and stops. Resources are the trail,
// its newest checkpoint, and by templates an entry, an event, an action and a proof.
// [Trail] has all that they can do to a trail, and nothing in it writes.
//
// Answers are for a model, so they are bounded: [MaxAnswer] bytes at the most, and lists
// that are cut say that there is more and how to go on. Long texts in events are cut as
// well, and end in "…". A checkpoint or a proof is never cut: one that is too long is
// refused.
//
// What events say was written by agents, tools and people. It stands in strings of JSON
// and nowhere else, characters that are not seen are escaped, and each answer says that
// it is data, and no instruction. That cannot keep a model from taking it for one.
package mcpserver
