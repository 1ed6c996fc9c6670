package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
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
	if len(path) > maxSocketPath {
		return nil, withHint(fmt.Errorf("%s has %d bytes; the path of a socket may have %d here", path, len(path), maxSocketPath), "give socket.path a shorter one")
	}
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
	if err = checkStale(ctx, path); err != nil {
		return nil, err
	}
	if err = s.listen(ctx, mode); err != nil {
		return nil, err
	}
	return s, nil
}

// A socket is made in a directory whose name has privateSuffix more than its own, under
// the name privateName: both are short, since the path of a socket has a bound. Whoever has
// the lock may use it.
const (
	privateSuffix = "~"
	privateName   = "s"
)

// maxSocketPath is how many bytes the path of a socket may have, so that it can be made
// beside it; the system's own bound counts the NUL at its end.
const maxSocketPath = len(syscall.RawSockaddrUnix{}.Path) - 1 - len(privateSuffix+"/"+privateName)

// listen listens at a socket that nobody can connect to who may not: it is made where
// nobody else comes, with a mode that the umask decides, and comes to its place with its
// own.
func (s *socket) listen(ctx context.Context, mode fs.FileMode) (err error) {
	private := s.path + privateSuffix
	made := filepath.Join(private, privateName)
	if info, serr := os.Lstat(private); serr == nil && info.IsDir() {
		os.Remove(made) // of a server that was killed
		os.Remove(private)
	}
	if err = os.Mkdir(private, 0o700); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(private)) }()
	l, err := new(net.ListenConfig).Listen(ctx, "unix", made)
	if err != nil {
		return err
	}
	s.UnixListener = l.(*net.UnixListener)
	s.SetUnlinkOnClose(false)
	if err = os.Chmod(made, mode); err == nil {
		s.file, err = os.Lstat(made)
	}
	if err == nil {
		err = os.Rename(made, s.path)
	}
	if err != nil {
		err = errors.Join(err, l.Close(), os.Remove(made))
	}
	return err
}

// refused is WSAECONNREFUSED, which package syscall has not: ECONNREFUSED on Windows.
const refused = syscall.Errno(10061)

// checkStale checks that at path is nothing, or the socket of a server that is gone.
func checkStale(ctx context.Context, path string) error {
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
	c, err := dialer.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		err = errors.Join(fmt.Errorf("%s is a socket at which another program listens", path), c.Close())
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, refused), errors.Is(err, fs.ErrNotExist):
		return nil // nobody listens
	default: // it may be busy, of another kind, or for others only
		err = fmt.Errorf("%s is a socket of which it cannot be told whether another program listens at it: %w", path, err)
	}
	return withHint(err, "give socket.path another name, or remove it if nobody does")
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
