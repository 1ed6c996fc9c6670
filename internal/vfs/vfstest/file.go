package vfstest

import (
	"io"
	"io/fs"
	"math"
	"slices"
	"syscall"
)

// file is what a name leads to. Its data is what its synced bytes become by its
// pending changes.
type file struct {
	data    []byte
	synced  []byte   // what a crash leaves at least
	pending []change // since the last sync, oldest first
	room    int64    // what it takes of the disk: its length, or more after Allocate
	removed bool     // no name leads here, and the room was given back
	locked  bool
	shared  bool // data and synced may be those of another file: own comes before a change
}

// own makes the bytes of a file its own. Clones share them until then, since
// most files of a clone are never written to.
func (f *file) own() {
	if f.shared {
		f.data, f.synced, f.shared = slices.Clone(f.data), slices.Clone(f.synced), false
	}
}

// change is a write at an offset or, when data is nil, a new length.
type change struct {
	at   int64
	data []byte
}

// apply makes the change in b.
func (c change) apply(b []byte) []byte {
	if c.data == nil {
		return resize(b, c.at)
	}
	return paint(b, c.at, c.data)
}

// length returns how long a file is after the change that had size before.
func (c change) length(size int64) int64 {
	if c.data == nil {
		return c.at
	}
	return max(size, c.at+int64(len(c.data)))
}

// resize cuts b, or fills it up with zeros. Growing by little costs little.
func resize(b []byte, size int64) []byte {
	have := len(b)
	if size > int64(have) {
		b = slices.Grow(b, int(size)-have)[:size]
		clear(b[have:]) // may hold what was cut off before
	}
	return b[:size]
}

// paint puts p into b at an offset; a gap before it becomes zeros. A file that
// grows by many small writes is copied seldom: it doubles.
func paint(b []byte, at int64, p []byte) []byte {
	b = resize(b, max(int64(len(b)), at))
	if end := int(at) + len(p); end > cap(b) {
		b = slices.Grow(b, max(end, 2*cap(b))-len(b))
	}
	overlap := copy(b[at:], p)
	return append(b, p[overlap:]...)
}

// record makes a change and remembers it as not synced.
func (f *file) record(c change) {
	f.own()
	f.data = c.apply(f.data)
	f.pending = append(f.pending, c)
}

func (f *file) sync() {
	if len(f.pending) > 0 {
		f.own()
	}
	if len(f.synced) == 0 {
		f.synced = slices.Clone(f.data)
	} else {
		for _, c := range f.pending {
			f.synced = c.apply(f.synced)
		}
	}
	f.pending = nil
}

// occupy changes the room that a file takes.
func (m *Mem) occupy(f *file, room int64) {
	if !f.removed {
		m.used += room - f.room
	}
	f.room = room
}

// unlink gives back the room of a file that loses its name.
func (m *Mem) unlink(f *file) {
	m.used -= f.room
	f.removed = true
}

// write writes what there is room for. The caller holds mu.
func (m *Mem) write(f *file, p []byte, at int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if at > math.MaxInt64-int64(len(p)) {
		return 0, syscall.EFBIG
	}
	end := min(at+int64(len(p)), f.room+m.free())
	if end > at {
		m.occupy(f, max(f.room, end))
		f.record(change{at, slices.Clone(p[:end-at])})
	}
	if n := int(max(0, end-at)); n < len(p) {
		return n, syscall.ENOSPC
	}
	return len(p), nil
}

// truncate changes the length. The caller holds mu.
func (m *Mem) truncate(f *file, size int64) error {
	if size < 0 {
		return syscall.EINVAL
	}
	if size > f.room+m.free() {
		return syscall.ENOSPC
	}
	if size == int64(len(f.data)) {
		return nil
	}
	// Cutting a file also gives back what was allocated behind its end.
	room := size
	if size > int64(len(f.data)) {
		room = max(size, f.room)
	}
	m.occupy(f, room)
	f.record(change{at: size})
	return nil
}

// handle is an open file.
type handle struct {
	mem      *Mem
	file     *file
	name     string
	writable bool
	closed   bool
}

// check returns the reason why an operation cannot be done with the handle.
func (h *handle) check(write bool) error {
	switch {
	case h.closed:
		return fs.ErrClosed
	case write && !h.writable:
		return syscall.EBADF
	}
	return nil
}

// ReadAt implements [io.ReaderAt].
func (h *handle) ReadAt(p []byte, off int64) (int, error) {
	h.mem.mu.RLock()
	defer h.mem.mu.RUnlock()
	if err := h.check(false); err != nil {
		return 0, pathError("read", h.name, err)
	}
	if off < 0 {
		return 0, pathError("read", h.name, syscall.EINVAL)
	}
	if len(p) == 0 {
		return 0, nil
	}
	var n int
	if off < int64(len(h.file.data)) {
		n = copy(p, h.file.data[off:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements [io.WriterAt].
func (h *handle) WriteAt(p []byte, off int64) (int, error) {
	h.mem.mu.Lock()
	defer h.mem.mu.Unlock()
	if err := h.check(true); err != nil {
		return 0, pathError("write", h.name, err)
	}
	if off < 0 {
		return 0, pathError("write", h.name, syscall.EINVAL)
	}
	n, err := h.mem.write(h.file, p, off)
	if err != nil {
		return n, pathError("write", h.name, err)
	}
	return n, nil
}

// Sync implements [vfs.File].
func (h *handle) Sync() error {
	h.mem.mu.Lock()
	defer h.mem.mu.Unlock()
	if err := h.check(false); err != nil {
		return pathError("sync", h.name, err)
	}
	h.file.sync()
	return nil
}

// Size implements [vfs.File].
func (h *handle) Size() (int64, error) {
	h.mem.mu.RLock()
	defer h.mem.mu.RUnlock()
	if err := h.check(false); err != nil {
		return 0, pathError("stat", h.name, err)
	}
	return int64(len(h.file.data)), nil
}

// Truncate implements [vfs.File].
func (h *handle) Truncate(size int64) error {
	h.mem.mu.Lock()
	defer h.mem.mu.Unlock()
	err := h.check(true)
	if err == nil {
		err = h.mem.truncate(h.file, size)
	}
	if err != nil {
		return pathError("truncate", h.name, err)
	}
	return nil
}

// Allocate implements [vfs.File].
func (h *handle) Allocate(size int64) error {
	h.mem.mu.Lock()
	defer h.mem.mu.Unlock()
	err := h.check(true)
	if err == nil && size > h.file.room+h.mem.free() {
		err = syscall.ENOSPC
	}
	if err != nil {
		return pathError("allocate", h.name, err)
	}
	h.mem.occupy(h.file, max(h.file.room, size))
	return nil
}

// Close implements [io.Closer].
func (h *handle) Close() error {
	h.mem.mu.Lock()
	defer h.mem.mu.Unlock()
	if h.closed {
		return pathError("close", h.name, fs.ErrClosed)
	}
	h.closed = true
	return nil
}

// lock is what the holder of a lock closes.
type lock struct {
	mem    *Mem
	file   *file
	name   string
	closed bool
}

// Close implements [io.Closer].
func (l *lock) Close() error {
	l.mem.mu.Lock()
	defer l.mem.mu.Unlock()
	if l.closed {
		return pathError("unlock", l.name, fs.ErrClosed)
	}
	l.closed = true
	l.file.locked = false
	return nil
}
