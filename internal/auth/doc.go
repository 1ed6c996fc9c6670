// Package auth says who may do what on the server.
//
// An [Authenticator] finds out who sent a request and gives a [Principal]: an API
// token ([Tokens]), the session of somebody who logged in to the web page
// ([Sessions]), by a token or an OpenID provider ([OIDC]), a client certificate
// ([MTLS]), the user at the other end of a Unix socket ([Peer]), or anybody on this
// machine ([Local]). [Middleware] asks them in
// turn, and the handlers behind it find the principal with [From] and ask it what it
// [Principal.May] do. A [Role] is a set of permissions; none of them allows to change
// an entry.
//
// [LocalGuard] is for a server that asks nobody who they are: it keeps out web pages
// that the user of this machine has open.
package auth
