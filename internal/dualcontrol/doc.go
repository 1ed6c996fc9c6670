// Package dualcontrol has removals done by two persons: one asks, another one approves,
// and some time later it is done (dual authorization, NIST SP 800-53 AC-3(2)).
//
// It keeps the requests in one file, described in docs/format/requests.md, and decides
// who may do what to which of them when. A request can name the person whom an erasure
// is about. So what it asks for leaves the file once nothing more comes of it, and
// whoever tells of a request elsewhere has a salted digest of that to tell.
//
// A person is known by the name of a principal, by what stays the same when that changes
// (auth.Person), and by who made their API token. One person who has two accounts, or two
// API tokens that somebody else made, passes for two: who gives them out has to see to that.
package dualcontrol
