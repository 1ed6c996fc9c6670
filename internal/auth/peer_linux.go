package auth

import (
	"net"
	"syscall"
)

func peerSupport() error { return nil }

// peerCredentials asks the kernel (SO_PEERCRED, unix(7)).
func peerCredentials(c *net.UnixConn) credentials {
	conn, err := c.SyscallConn()
	if err != nil {
		return credentials{err: err}
	}
	var cred *syscall.Ucred
	var failed error
	if err := conn.Control(func(fd uintptr) {
		cred, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return credentials{err: err}
	}
	if failed != nil {
		return credentials{err: failed}
	}
	return credentials{uid: cred.Uid, gid: cred.Gid}
}
