package client

import (
	"fmt"
	"net/url"
	"strings"
)

// DefaultTrail is the trail of a server that is meant where an address names none.
const DefaultTrail = "default"

// unixHost stands for the server where requests go to a socket.
const unixHost = "localhost"

// address is where a trail is.
type address struct {
	base   *url.URL // of the server, without a slash at its end
	socket string   // path of a Unix socket that it listens at; empty: none
	trail  string
}

// parseAddress reads
//
//	https://HOST:PORT/trails/NAME
//	unix:/PATH/TO/SOCKET/trails/NAME
//
// and the same without /trails/NAME. What stands before that is kept: a proxy may
// serve a server below a path.
func parseAddress(text string) (a address, err error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		path = strings.TrimPrefix(path, "//")
		a.socket, a.trail = cutTrail(path)
		if !strings.HasPrefix(a.socket, "/") || len(a.socket) < 2 {
			return a, fmt.Errorf("%q: the path of a socket begins with a slash, as unix:/run/custody.sock", text)
		}
		a.base = &url.URL{Scheme: "http", Host: unixHost}
		return a, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return a, err
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return a, fmt.Errorf("%q is no address of a server; it is like https://custody.example.org:8420/trails/NAME", text)
	case u.User != nil:
		return a, fmt.Errorf("%q: a server is not asked with a name and a password; give a token", u.Redacted())
	case u.RawQuery != "" || u.Fragment != "":
		return a, fmt.Errorf("%q: the address of a trail ends with its name", text)
	}
	path, trail := cutTrail(u.Path)
	a.base, a.trail = &url.URL{Scheme: u.Scheme, Host: u.Host, Path: path}, trail
	return a, nil
}

// cutTrail cuts the name of a trail off a path.
func cutTrail(path string) (before, trail string) {
	path = strings.TrimRight(path, "/")
	if i := strings.LastIndex(path, "/trails/"); i >= 0 && !strings.Contains(path[i+len("/trails/"):], "/") {
		return strings.TrimSuffix(path[:i], "/v1"), path[i+len("/trails/"):]
	}
	return path, DefaultTrail
}

// String writes the address as parseAddress reads it.
func (a *address) String() string {
	if a.socket != "" {
		return "unix:" + a.socket + "/trails/" + a.trail
	}
	return a.base.String() + "/trails/" + a.trail
}
