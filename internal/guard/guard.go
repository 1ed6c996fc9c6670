// Package guard keeps, outside a trail's directory, the last checkpoint that the
// trail handed out. A trail that was restored from an older copy, or that somebody
// took entries from, does not extend it. The file is described in
// docs/format/guard.md.
package guard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/vfs"
)

const (
	header   = "custody guard v1\n"
	slotAt   = 4096 // where the first slot begins
	slotSize = 8192
	slots    = 3
	fileSize = slotAt + slots*slotSize
	frame    = 8 // length and checksum of a slot

	// syncEvery is how old the newest durable checkpoint is at most, after power
	// loss.
	syncEvery = time.Second
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrDamaged says that the file is there and holds no checkpoint that can be read.
var ErrDamaged = errors.New("the record of the last checkpoint that was handed out is damaged")

// Read returns the newest checkpoint that a file keeps, nil when there is no file or
// nothing was kept in it yet.
func Read(fsys vfs.FS, name string) ([]byte, error) {
	newest, _, err := read(fsys, name)
	return newest, err
}

func read(fsys vfs.FS, name string) (newest []byte, slot int, err error) {
	b, err := vfs.ReadFile(fsys, name, fileSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	return parse(name, b)
}

// parse returns the newest checkpoint, and which of the slots that are made durable has
// the newest of those; 0: none has one.
func parse(name string, b []byte) (newest []byte, durable int, err error) {
	if !slices.ContainsFunc(b, func(c byte) bool { return c != 0 }) {
		return nil, 0, nil // a crash came between making it and the first write
	}
	if len(b) < len(header) || string(b[:len(header)]) != header {
		return nil, 0, fmt.Errorf("%s: %w: it does not begin as one does", name, ErrDamaged)
	}
	var size, durableSize uint64
	empty := true
	for i := range slots {
		at := slotAt + i*slotSize
		if at+frame > len(b) {
			break
		}
		slot := b[at:min(at+slotSize, len(b))]
		n := int(binary.BigEndian.Uint32(slot))
		if n == 0 {
			continue
		}
		empty = empty && i == 0 // that one is not durable
		if n > len(slot)-frame || binary.BigEndian.Uint32(slot[4+n:]) != crc32.Checksum(slot[:4+n], castagnoli) {
			continue // torn by a loss of power
		}
		c, err := evidence.PeekCheckpoint(slot[4 : 4+n])
		if err == nil && (newest == nil || c.Size > size) {
			newest, size = slot[4:4+n], c.Size
		}
		if err == nil && i > 0 && (durable == 0 || c.Size > durableSize) {
			durable, durableSize = i, c.Size
		}
	}
	if newest == nil && !empty {
		return nil, 0, fmt.Errorf("%s: %w: none of its slots checks out", name, ErrDamaged)
	}
	return newest, durable, nil
}

// Guard writes the file of one trail. It may be used from several goroutines.
type Guard struct {
	onProblem func(error)

	mu    sync.Mutex
	file  vfs.File
	last  []byte      // newest checkpoint that was written
	next  int         // slot that the next durable one goes into: 1 or 2
	timer *time.Timer // runs while last is not durable
	err   error       // why nothing is written any more
}

// Open opens a file for writing, and makes it if need be. It returns what Read does as
// well. What goes wrong later is told to onProblem, once.
func Open(fsys vfs.FS, name string, onProblem func(error)) (g *Guard, newest []byte, err error) {
	newest, durable, err := read(fsys, name)
	if err != nil {
		return nil, nil, err
	}
	g = &Guard{onProblem: onProblem, next: 1}
	if durable == 1 {
		g.next = 2 // a crash must not tear the one that is whole
	}
	file, err := fsys.OpenWrite(name)
	if errors.Is(err, fs.ErrNotExist) {
		if err = fsys.MkdirAll(filepath.Dir(name)); err == nil {
			file, err = fsys.Create(name)
		}
	}
	if err != nil {
		return nil, nil, err
	}
	// Durable before any slot is, so that a file with slots has it.
	if _, err = file.WriteAt([]byte(header), 0); err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = fsys.SyncDir(filepath.Dir(name))
	}
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	g.file = file
	return g, newest, nil
}

// Keep keeps a checkpoint that is about to be handed out. It outlives this process at
// once, and the machine's power within a second.
func (g *Guard) Keep(checkpoint []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil || g.file == nil {
		return
	}
	g.last = checkpoint
	if g.write(0); g.err == nil && g.timer == nil {
		g.timer = time.AfterFunc(syncEvery, func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.sync()
		})
	}
}

// write puts the newest checkpoint into a slot. The caller holds mu.
func (g *Guard) write(slot int) {
	b, err := slotOf(g.last)
	if err == nil {
		_, err = g.file.WriteAt(b, int64(slotAt+slot*slotSize))
	}
	if err != nil {
		g.fail(err)
	}
}

func slotOf(checkpoint []byte) ([]byte, error) {
	n := len(checkpoint)
	if n > slotSize-frame {
		return nil, fmt.Errorf("a checkpoint of %d bytes is too large to be kept", n)
	}
	b := binary.BigEndian.AppendUint32(make([]byte, 0, n+frame), uint32(n))
	b = append(b, checkpoint...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)), nil
}

// Replace makes a file that keeps one checkpoint, durably and in place of whatever was
// kept.
func Replace(fsys vfs.FS, name string, checkpoint []byte) error {
	slot, err := slotOf(checkpoint)
	if err != nil {
		return err
	}
	b := make([]byte, slotAt, slotAt+len(slot))
	copy(b, header)
	return vfs.WriteFileAtomic(fsys, name, append(b, slot...))
}

// sync makes the newest checkpoint durable, in a slot that the one before is not in:
// a loss of power tears one of them at most. The caller holds mu.
func (g *Guard) sync() {
	g.timer = nil
	if g.err != nil || g.file == nil || g.last == nil {
		return
	}
	g.write(g.next)
	g.next = 3 - g.next
	if g.err != nil {
		return
	}
	if err := g.file.Sync(); err != nil {
		g.fail(err)
	}
}

func (g *Guard) fail(err error) {
	g.err = err
	g.onProblem(fmt.Errorf("keeping the last checkpoint that was handed out: %w; from now on none is kept", err))
}

// Err returns why nothing is kept any more; nil: it is.
func (g *Guard) Err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

// Close makes durable what was kept.
func (g *Guard) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.timer != nil {
		g.timer.Stop()
	}
	g.sync()
	err := errors.Join(g.err, g.file.Close())
	g.file = nil
	return err
}
