package vfstest

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/custodylog/custody/internal/vfs"
)

// Mem is a file system in memory. It remembers what was synced, file by file
// and directory by directory, so that [Mem.CrashClone] can tell what a crash
// would leave.
//
// Relative names are below the root. Only files are renamed. A removed file can
// be read and written through handles that are open. Room is counted in bytes
// of length, gaps included; unless [Mem.SetFree] says otherwise there are 4 GiB.
//
// All methods may be called from several goroutines.
type Mem struct {
	mu      sync.RWMutex // guards all that is reachable from here
	root    *dir
	journal []dirChange // what was not synced of the directories, oldest first
	used    int64       // the room of all files that have a name
	total   int64       // may be less than used after SetFree or WriteAll
}

var _ vfs.FS = (*Mem)(nil)

// NewMem returns an empty file system.
func NewMem() *Mem { return &Mem{root: newDir(), total: 4 << 30} }

// node is a *dir or a *file.
type node any

type dir struct {
	now    map[string]node
	synced map[string]node // what a crash leaves at least
}

func newDir() *dir { return &dir{now: map[string]node{}, synced: map[string]node{}} }

// dirChange is a name that was made (from is nil), removed (to is nil) or
// renamed.
type dirChange struct {
	from, to         *dir
	oldName, newName string
	node             node // that has the new name
}

// dirs returns the directories that c changes.
func (c *dirChange) dirs() []*dir {
	switch {
	case c.from == nil:
		return []*dir{c.to}
	case c.to == nil || c.to == c.from:
		return []*dir{c.from}
	}
	return []*dir{c.from, c.to}
}

// apply makes the change in the maps that names returns for its directories.
func (c *dirChange) apply(names func(*dir) map[string]node) {
	if c.from != nil {
		delete(names(c.from), c.oldName)
	}
	if c.to != nil {
		names(c.to)[c.newName] = c.node
	}
}

// change makes a change and remembers it as not synced.
func (m *Mem) change(c dirChange) {
	c.apply(func(d *dir) map[string]node { return d.now })
	m.journal = append(m.journal, c)
}

// syncDir makes durable all changes of a directory. A rename from or to another
// one takes along what came before it there.
func (m *Mem) syncDir(d *dir) {
	wanted := map[*dir]bool{d: true}
	durable := make([]bool, len(m.journal))
	for i, c := range slices.Backward(m.journal) {
		durable[i] = slices.ContainsFunc(c.dirs(), func(d *dir) bool { return wanted[d] })
		if durable[i] {
			for _, d := range c.dirs() {
				wanted[d] = true
			}
		}
	}
	var rest []dirChange
	for i, c := range m.journal {
		if durable[i] {
			c.apply(func(d *dir) map[string]node { return d.synced })
		} else {
			rest = append(rest, c)
		}
	}
	m.journal = rest
}

// split returns the components of a name, none for the root.
func split(name string) []string {
	rooted := path.Clean("/" + filepath.ToSlash(name))
	if rooted == "/" {
		return nil
	}
	return strings.Split(rooted[1:], "/")
}

func (m *Mem) walk(parts []string) (node, error) {
	var n node = m.root
	for _, part := range parts {
		d, ok := n.(*dir)
		if !ok {
			return nil, syscall.ENOTDIR
		}
		if n, ok = d.now[part]; !ok {
			return nil, fs.ErrNotExist
		}
	}
	return n, nil
}

func (m *Mem) findFile(name string) (*file, error) {
	n, err := m.walk(split(name))
	if err != nil {
		return nil, err
	}
	f, ok := n.(*file)
	if !ok {
		return nil, syscall.EISDIR
	}
	return f, nil
}

func (m *Mem) findDir(name string) (*dir, error) {
	n, err := m.walk(split(name))
	if err != nil {
		return nil, err
	}
	d, ok := n.(*dir)
	if !ok {
		return nil, syscall.ENOTDIR
	}
	return d, nil
}

// place returns the directory that name is in, and the last part of name.
func (m *Mem) place(name string) (d *dir, base string, err error) {
	parts := split(name)
	if len(parts) == 0 {
		return nil, "", fs.ErrInvalid // the root is in no directory
	}
	last := len(parts) - 1
	n, err := m.walk(parts[:last])
	if err != nil {
		return nil, "", err
	}
	d, ok := n.(*dir)
	if !ok {
		return nil, "", syscall.ENOTDIR
	}
	return d, parts[last], nil
}

// create makes a file. The name must be free.
func (m *Mem) create(name string) (*file, error) {
	d, base, err := m.place(name)
	if err != nil {
		return nil, err
	}
	if _, ok := d.now[base]; ok {
		return nil, fs.ErrExist
	}
	f := new(file)
	m.change(dirChange{to: d, newName: base, node: f})
	return f, nil
}

// findOrCreate returns a file, and makes it if there is none.
func (m *Mem) findOrCreate(name string) (*file, error) {
	f, err := m.findFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return m.create(name)
	}
	return f, err
}

// Create implements [vfs.FS].
func (m *Mem) Create(name string) (vfs.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := m.create(name)
	if err != nil {
		return nil, pathError("create", name, err)
	}
	return &handle{mem: m, file: f, name: name, writable: true}, nil
}

// Open implements [vfs.FS].
func (m *Mem) Open(name string) (vfs.File, error) { return m.open(name, false) }

// OpenWrite implements [vfs.FS].
func (m *Mem) OpenWrite(name string) (vfs.File, error) { return m.open(name, true) }

func (m *Mem) open(name string, writable bool) (vfs.File, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	f, err := m.findFile(name)
	if err != nil {
		return nil, pathError("open", name, err)
	}
	return &handle{mem: m, file: f, name: name, writable: writable}, nil
}

// Rename implements [vfs.FS].
func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := m.findFile(from)
	if err != nil {
		return pathError("rename", from, err)
	}
	source, oldName, _ := m.place(from) // is there, since the file is
	target, newName, err := m.place(to)
	if err != nil {
		return pathError("rename", to, err)
	}
	switch replaced := target.now[newName].(type) {
	case *dir:
		return pathError("rename", to, syscall.EISDIR)
	case *file:
		if replaced == f {
			return nil
		}
		m.unlink(replaced)
	}
	m.change(dirChange{from: source, oldName: oldName, to: target, newName: newName, node: f})
	return nil
}

// Remove implements [vfs.FS]. It also removes an empty directory.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, base, err := m.place(name)
	if err != nil {
		return pathError("remove", name, err)
	}
	switch n := d.now[base].(type) {
	case nil:
		return pathError("remove", name, fs.ErrNotExist)
	case *dir:
		if len(n.now) > 0 {
			return pathError("remove", name, syscall.ENOTEMPTY)
		}
	case *file:
		m.unlink(n)
	}
	m.change(dirChange{from: d, oldName: base})
	return nil
}

// MkdirAll implements [vfs.FS].
func (m *Mem) MkdirAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.root
	for _, part := range split(name) {
		switch n := at.now[part].(type) {
		case nil:
			d := newDir()
			m.change(dirChange{to: at, newName: part, node: d})
			m.syncDir(at)
			at = d
		case *dir:
			at = n
		default:
			return pathError("mkdir", name, syscall.ENOTDIR)
		}
	}
	return nil
}

// List implements [vfs.FS].
func (m *Mem) List(name string) ([]string, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	d, err := m.findDir(name)
	if err != nil {
		return nil, pathError("list", name, err)
	}
	return slices.Sorted(maps.Keys(d.now)), nil
}

// Size implements [vfs.FS].
func (m *Mem) Size(name string) (int64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	f, err := m.findFile(name)
	if err != nil {
		return 0, pathError("stat", name, err)
	}
	return int64(len(f.data)), nil
}

// SyncDir implements [vfs.FS].
func (m *Mem) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, err := m.findDir(name)
	if err != nil {
		return pathError("sync", name, err)
	}
	m.syncDir(d)
	return nil
}

// Lock implements [vfs.FS]. There is one process only, so it is the second
// Lock that fails.
func (m *Mem) Lock(name, holder string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := m.findOrCreate(name)
	if err != nil {
		return nil, pathError("lock", name, err)
	}
	if f.locked {
		return nil, &vfs.LockedError{Name: name, Holder: string(f.data)}
	}
	if _, err := m.write(f, []byte(holder), 0); err != nil {
		return nil, pathError("lock", name, err)
	}
	if err := m.truncate(f, int64(len(holder))); err != nil {
		return nil, pathError("lock", name, err)
	}
	f.locked = true
	return &lock{mem: m, file: f, name: name}, nil
}

// Free implements [vfs.FS].
func (m *Mem) Free(name string) (free, total uint64, err error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if _, err := m.walk(split(name)); err != nil {
		return 0, 0, pathError("statfs", name, err)
	}
	return uint64(m.free()), uint64(m.total), nil
}

// SetFree sets how many bytes can be written from now on. What goes beyond
// fails with syscall.ENOSPC, after a part of it was written.
func (m *Mem) SetFree(bytes uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total = m.used + int64(min(bytes, 1<<62))
}

func (m *Mem) free() int64 { return max(0, m.total-m.used) }

// Dirty reports whether a crash could still lose something of the file, be it
// bytes or length. Of a directory it reports whether names could be lost.
func (m *Mem) Dirty(name string) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n, err := m.walk(split(name))
	if err != nil {
		return false
	}
	switch n := n.(type) {
	case *file:
		return len(n.pending) > 0
	case *dir:
		return slices.ContainsFunc(m.journal, func(c dirChange) bool { return slices.Contains(c.dirs(), n) })
	}
	return false
}

// ReadAll returns the content of a file.
func (m *Mem) ReadAll(name string) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	f, err := m.findFile(name)
	if err != nil {
		return nil, pathError("read", name, err)
	}
	return slices.Clone(f.data), nil
}

// WriteAll replaces the content of a file as somebody with access to the disk
// would: it is durable at once, and open handles see it. It makes the file if
// there is none; the name is then durable after SyncDir. It works on a full
// disk too.
func (m *Mem) WriteAll(name string, b []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := m.findOrCreate(name)
	if err != nil {
		return pathError("write", name, err)
	}
	f.data, f.synced, f.pending, f.shared = slices.Clone(b), slices.Clone(b), nil, false
	m.occupy(f, int64(len(b)))
	return nil
}

func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}
