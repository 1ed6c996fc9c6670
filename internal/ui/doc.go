// Package ui is the web page of the server: pages made on the server with
// html/template, a few small scripts, and nothing from elsewhere. It reads the trails
// directly; its scripts use the API under /v1 for what is live, and so do its forms for
// what changes something, with the credentials of whoever sent them.
//
// Everything that a producer sent is hostile. Templates escape it, scripts put it in
// as text, and the Content-Security-Policy allows no script but those that are embedded
// here.
package ui
