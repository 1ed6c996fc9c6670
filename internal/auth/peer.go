package auth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Peer returns an authenticator by the user and the group at the other end of a Unix
// socket, which the kernel vouches for. The first rule that matches counts; a user whom
// no rule matches is refused. Match is "uid:" or "gid:" and a number. The group is the
// one that the process had when it connected; other groups of its user do not count.
//
// The server needs [ConnContext]. Where the system does not say who is at the other end
// in a way that this program knows, the error wraps [errors.ErrUnsupported]; Linux does.
func Peer(rules []Rule) (Authenticator, error) {
	if err := peerSupport(); err != nil {
		return nil, err
	}
	p := peers{slices.Clone(rules), make([]peerMatch, len(rules))}
	for i := range rules {
		u := &rules[i]
		err := u.check()
		if err == nil {
			p.matches[i], err = parsePeerMatch(u.Match)
		}
		if err != nil {
			return nil, &RuleError{"Unix sockets", i, u.Match, err}
		}
	}
	return p, nil
}

type peers struct {
	rules   []Rule
	matches []peerMatch // of the rule with the same index
}

// peerMatch is what a rule requires.
type peerMatch struct {
	group bool
	id    uint32
}

func parsePeerMatch(match string) (peerMatch, error) {
	kind, number, _ := strings.Cut(match, ":")
	id, err := strconv.ParseUint(number, 10, 32)
	if err != nil || kind != "uid" && kind != "gid" {
		return peerMatch{}, errors.New("expected uid: or gid: and a number")
	}
	return peerMatch{kind == "gid", uint32(id)}, nil
}

func (m peerMatch) matches(c credentials) bool {
	if m.group {
		return m.id == c.gid
	}
	return m.id == c.uid
}

// credentials are those of a process at the time when it connected.
type credentials struct {
	uid, gid uint32
	err      error // why they are not known
}

type credentialsKey struct{}

// ConnContext is the ConnContext of an [http.Server] that listens on a Unix socket: it
// notes who is at the other end. On other connections it does nothing.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	return context.WithValue(ctx, credentialsKey{}, peerCredentials(u))
}

// Authenticate implements [Authenticator].
func (p peers) Authenticate(r *http.Request) (*Principal, error) {
	c, ok := r.Context().Value(credentialsKey{}).(credentials)
	if !ok {
		return nil, nil
	}
	if c.err != nil {
		return nil, fmt.Errorf("finding out who is at the other end of a Unix socket: %w", c.err)
	}
	for i, m := range p.matches {
		if m.matches(c) {
			user := fmt.Sprintf("uid=%d", c.uid)
			return p.rules[i].principal(KindUnix, user, user), nil
		}
	}
	return nil, &Denied{Reason: BadCredentials, Detail: fmt.Sprintf("no rule of this server is for the user %d with the group %d", c.uid, c.gid)}
}
