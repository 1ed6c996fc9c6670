//go:build !linux

package auth

import (
	"errors"
	"fmt"
	"net"
	"runtime"
)

func peerSupport() error {
	return fmt.Errorf("rules for Unix sockets: on %s it is not known who is at the other end of one (%w); use API tokens, over the socket too", runtime.GOOS, errors.ErrUnsupported)
}

func peerCredentials(*net.UnixConn) credentials { return credentials{err: peerSupport()} }
