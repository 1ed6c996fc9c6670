// Package mcpserver lets an agent, or whoever watches over one, ask a trail what
// happened: a server of the Model Context Protocol whose tools only read.
//
// The tools are query, timeline, show, verify, stats and stops. [Trail] has all that
// they can do to a trail, and nothing in it writes.
//
// Answers are for a model, so they are bounded: [MaxAnswer] bytes of JSON at the most,
// and lists that are cut say that there is more and how to go on. Long texts in events
// are cut as well, and end in "…".
//
// What events say was written by agents, tools and people. The server tells its client
// that it is data, and no instruction; it cannot keep a model from taking it for one.
package mcpserver
