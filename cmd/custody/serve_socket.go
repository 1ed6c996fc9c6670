package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"time"

	"github.com/custodylog/custody/internal/vfs"
)

// socket listens at a Unix socket, whose file it removes at the end.
type socket struct {
	*net.UnixListener
	path string
	file fs.FileInfo // of the socket that is this server's
	lock io.Closer
}

// listenSocket listens at a Unix socket. Beside it is a file, PATH.lock, which the one
// server has locked whose socket it is: so the file of a server that was killed can be
// told from that of one that runs.
func listenSocket(ctx context.Context, path string, mode fs.FileMode) (_ net.Listener, err error) {
	lock, err := vfs.OS{}.Lock(path+".lock", fmt.Sprintf("pid %d", os.Getpid()))
	if _, locked := errors.AsType[*vfs.LockedError](err); locked {
		return nil, withHint(err, "another server listens at this socket; give this one another with socket.path")
	}
	if err != nil {
		return nil, err
	}
	s := &socket{path: path, lock: lock}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.Close())
		}
	}()
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	s.UnixListener = l.(*net.UnixListener)
	s.SetUnlinkOnClose(false)
	if err = os.Chmod(path, mode); err == nil {
		s.file, err = os.Lstat(path)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close(), os.Remove(path))
	}
	return s, nil
}

// removeStale removes the socket of a server that is gone, and nothing else.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return withHint(fmt.Errorf("%s is there and is no socket", path), "it was left as it is; give socket.path another name")
	}
	dialer := net.Dialer{Timeout: time.Second}
	if c, err := dialer.DialContext(ctx, "unix", path); err == nil {
		return withHint(errors.Join(fmt.Errorf("%s is a socket at which another program listens", path), c.Close()), "give socket.path another name")
	}
	return os.Remove(path)
}

// Close ends listening, and removes the socket unless another one has taken its place.
func (s *socket) Close() error {
	err := s.UnixListener.Close()
	if errors.Is(err, net.ErrClosed) {
		return err // it was done before
	}
	if info, serr := os.Lstat(s.path); serr == nil && os.SameFile(info, s.file) {
		err = errors.Join(err, os.Remove(s.path))
	}
	return errors.Join(err, s.lock.Close())
}

// closeAll closes listeners that nothing is served at.
func closeAll(listeners []net.Listener) error {
	var errs []error
	for _, l := range listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}
