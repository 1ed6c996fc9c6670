package vfstest

import (
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/custodylog/custody/internal/vfs"
)

// ErrInjected is wrapped by every error that a [Fault] caused.
var ErrInjected = errors.New("injected fault")

// OpKind names a method of [vfs.FS] or [vfs.File].
type OpKind string

// The kinds of operations. Close is that of a file or a lock.
const (
	Create    OpKind = "create"
	Open      OpKind = "open"
	OpenWrite OpKind = "open for writing"
	Rename    OpKind = "rename"
	Remove    OpKind = "remove"
	MkdirAll  OpKind = "mkdir"
	List      OpKind = "list"
	Size      OpKind = "size"
	SyncDir   OpKind = "sync directory"
	Lock      OpKind = "lock"
	Free      OpKind = "free"

	ReadAt   OpKind = "read"
	WriteAt  OpKind = "write"
	Sync     OpKind = "sync"
	Truncate OpKind = "truncate"
	Allocate OpKind = "allocate"
	FileSize OpKind = "file size"
	Close    OpKind = "close"
)

// Op is an operation that is about to be done.
type Op struct {
	Kind OpKind
	Name string // of the file or directory; of a Rename the new one
	N    int    // how many operations came before it
}

// Fault says how an operation ends.
type Fault string

// The faults. The error of each names the file and wraps [ErrInjected]. A Close
// that fails has closed all the same, as close(2) has.
const (
	None       Fault = ""
	Fail       Fault = "fail"        // it is not done
	FailAfter  Fault = "fail after"  // it is done, but its results are lost
	ShortWrite Fault = "short write" // half of a WriteAt is done; Fail for all other kinds
)

// Inject returns fsys with the faults that decide asks for. It asks before each
// operation of the file system and its open files, for one at a time; the
// operations themselves run as concurrently as they are called. A decide that
// uses the returned file system would wait for itself for ever; it may use fsys,
// for a [Mem.CrashClone] at that moment, say.
//
// An opening or a Lock that fails after it was done leaves nothing open or
// locked, only what it made.
func Inject(fsys vfs.FS, decide func(Op) Fault) vfs.FS {
	return &injector{fsys: fsys, decide: decide}
}

type injector struct {
	fsys   vfs.FS
	mu     sync.Mutex // held while decide runs; guards n
	decide func(Op) Fault
	n      int
}

// next asks for the fault of the next operation.
func (in *injector) next(kind OpKind, name string) Fault {
	in.mu.Lock()
	defer in.mu.Unlock()
	op := Op{kind, name, in.n}
	in.n++
	return in.decide(op)
}

// do does an operation, or not, as its fault says.
func (in *injector) do(kind OpKind, name string, op func() error) error {
	return in.doWith(in.next(kind, name), kind, name, op)
}

func (in *injector) doWith(fault Fault, kind OpKind, name string, op func() error) error {
	switch fault {
	case None:
		return op()
	case FailAfter:
		op() // even if that fails by itself, the caller asked for this error
	}
	return injected(kind, name)
}

func injected(kind OpKind, name string) error { return pathError(string(kind), name, ErrInjected) }

func (in *injector) Create(name string) (vfs.File, error) {
	return in.open(Create, name, in.fsys.Create)
}

func (in *injector) Open(name string) (vfs.File, error) {
	return in.open(Open, name, in.fsys.Open)
}

func (in *injector) OpenWrite(name string) (vfs.File, error) {
	return in.open(OpenWrite, name, in.fsys.OpenWrite)
}

func (in *injector) open(kind OpKind, name string, open func(string) (vfs.File, error)) (vfs.File, error) {
	var f vfs.File
	err := in.do(kind, name, func() (err error) {
		f, err = open(name)
		return err
	})
	if err != nil {
		if f != nil {
			f.Close()
		}
		return nil, err
	}
	return &injectorFile{in, name, f}, nil
}

func (in *injector) Rename(from, to string) error {
	return in.do(Rename, to, func() error { return in.fsys.Rename(from, to) })
}

func (in *injector) Remove(name string) error {
	return in.do(Remove, name, func() error { return in.fsys.Remove(name) })
}

func (in *injector) MkdirAll(dir string) error {
	return in.do(MkdirAll, dir, func() error { return in.fsys.MkdirAll(dir) })
}

func (in *injector) SyncDir(dir string) error {
	return in.do(SyncDir, dir, func() error { return in.fsys.SyncDir(dir) })
}

func (in *injector) List(dir string) (names []string, err error) {
	err = in.do(List, dir, func() (err error) {
		names, err = in.fsys.List(dir)
		return err
	})
	if err != nil {
		return nil, err
	}
	return names, nil
}

func (in *injector) Size(name string) (size int64, err error) {
	err = in.do(Size, name, func() (err error) {
		size, err = in.fsys.Size(name)
		return err
	})
	if err != nil {
		return 0, err
	}
	return size, nil
}

func (in *injector) Free(dir string) (free, total uint64, err error) {
	err = in.do(Free, dir, func() (err error) {
		free, total, err = in.fsys.Free(dir)
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	return free, total, nil
}

func (in *injector) Lock(name, holder string) (io.Closer, error) {
	var l io.Closer
	err := in.do(Lock, name, func() (err error) {
		l, err = in.fsys.Lock(name, holder)
		return err
	})
	if err != nil {
		if l != nil {
			l.Close()
		}
		return nil, err
	}
	return &injectorLock{in, name, l}, nil
}

// close closes a file or lock, whatever the fault.
func (in *injector) close(name string, c io.Closer) error {
	fault := in.next(Close, name)
	err := c.Close()
	if fault != None {
		return injected(Close, name)
	}
	return err
}

type injectorLock struct {
	in   *injector
	name string
	lock io.Closer
}

func (l *injectorLock) Close() error { return l.in.close(l.name, l.lock) }

type injectorFile struct {
	in   *injector
	name string
	file vfs.File
}

func (f *injectorFile) ReadAt(p []byte, off int64) (n int, err error) {
	fault := f.in.next(ReadAt, f.name)
	err = f.in.doWith(fault, ReadAt, f.name, func() (err error) {
		n, err = f.file.ReadAt(p, off)
		return err
	})
	if fault != None {
		n = 0
	}
	return n, err
}

func (f *injectorFile) WriteAt(p []byte, off int64) (n int, err error) {
	fault := f.in.next(WriteAt, f.name)
	if fault == ShortWrite {
		n, err = f.file.WriteAt(p[:len(p)/2], off)
		if err == nil {
			err = injected(WriteAt, f.name)
		}
		return n, err
	}
	err = f.in.doWith(fault, WriteAt, f.name, func() (err error) {
		n, err = f.file.WriteAt(p, off)
		return err
	})
	if fault != None {
		n = 0
	}
	return n, err
}

func (f *injectorFile) Size() (size int64, err error) {
	err = f.in.do(FileSize, f.name, func() (err error) {
		size, err = f.file.Size()
		return err
	})
	if err != nil {
		return 0, err
	}
	return size, nil
}

func (f *injectorFile) Sync() error { return f.in.do(Sync, f.name, f.file.Sync) }

func (f *injectorFile) Truncate(size int64) error {
	return f.in.do(Truncate, f.name, func() error { return f.file.Truncate(size) })
}

func (f *injectorFile) Allocate(size int64) error {
	return f.in.do(Allocate, f.name, func() error { return f.file.Allocate(size) })
}

func (f *injectorFile) Close() error { return f.in.close(f.name, f.file) }

// Plan decides for [Inject] by counting. It may be used concurrently.
type Plan struct {
	n       int
	fault   Fault
	kinds   []OpKind
	onwards bool

	mu   sync.Mutex
	seen int  // guarded by mu
	hit  bool // guarded by mu
}

// OnNth plans a fault for the n-th operation of the given kinds, counted from
// 0, and no other. No kinds means all.
func OnNth(n int, fault Fault, kinds ...OpKind) *Plan {
	return &Plan{n: n, fault: fault, kinds: kinds}
}

// FromNth plans a fault for the n-th operation of the given kinds, counted from
// 0, and for all of them after it. No kinds means all.
func FromNth(n int, fault Fault, kinds ...OpKind) *Plan {
	return &Plan{n: n, fault: fault, kinds: kinds, onwards: true}
}

// Decide is what to give to [Inject].
func (p *Plan) Decide(op Op) Fault {
	if len(p.kinds) > 0 && !slices.Contains(p.kinds, op.Kind) {
		return None
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.seen
	p.seen++
	if n == p.n || p.onwards && n > p.n {
		p.hit = true
		return p.fault
	}
	return None
}

// Hit reports whether an operation got the fault.
func (p *Plan) Hit() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hit
}
