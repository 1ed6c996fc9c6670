// Package timeline tells what happened: it puts the entries that belong to one
// session, agent or action together as people tell it, each action with its
// request, decisions, approvals and outcome.
//
// [StepOf] reads one entry and keeps what a reader wants to know of it in a
// line. [Build] groups steps. Both are pure.
//
// What an action came to is read from its events in the order of the trail,
// which nobody but the trail gave. Times are those that the producers claim.
package timeline
