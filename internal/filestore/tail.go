package filestore

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"sync/atomic"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/index"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/storage"
	"github.com/custodylog/custody/internal/vfs"
)

// tail is a tail file and what memory knows of the entries in it.
type tail struct {
	first uint64
	name  string
	nonce segment.Nonce
	file  vfs.File

	// end is where the next frame goes. It belongs to Append, or while
	// loading to the goroutine that loads.
	end int64

	// count is the number of entries that readers see. Those are durable
	// when this process wrote them.
	count atomic.Uint32

	mu     sync.RWMutex // guards what follows; held briefly
	places []place      // guarded by mu; one for each entry
	hashes []evidence.Hash
	times  []int64
	index  *index.Memory
	tree   evidence.Tree // over the entries of this tail
	kept   [][]byte      // checkpoints signed by more than one key
	last   []byte        // newest checkpoint
}

// place is where an entry and its body stand in the file.
type place struct {
	offset int64
	entry  uint16
	body   uint32
}

func newTail(name string, first uint64, nonce segment.Nonce, file vfs.File) *tail {
	return &tail{first: first, name: name, nonce: nonce, file: file, end: segment.TailHeaderSize, index: index.NewMemory()}
}

// openTail reads the header of a tail file.
func openTail(name string, first uint64, file vfs.File) (*tail, error) {
	var b [segment.TailHeaderSize]byte
	n, err := file.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	h, err := segment.ParseTailHeader(b[:n])
	if err == nil && h.First != first {
		err = fmt.Errorf("%w: it is the tail from index %d on", storage.ErrAltered, h.First)
	}
	if err != nil {
		return nil, formatError(err, name, 0)
	}
	return newTail(name, first, h.Nonce, file), nil
}

// formatError adds the file to an error of a decoder.
func formatError(err error, name string, offset int64) error {
	for _, kind := range []error{storage.ErrNewer, storage.ErrAltered} {
		if errors.Is(err, kind) {
			return &storage.FormatError{Err: kind, File: name, Offset: offset, Detail: err.Error()}
		}
	}
	return fmt.Errorf("%s: %w", name, err)
}

// publish shows the entries of a batch, whose frame stands at offset, to
// readers.
func (t *tail) publish(offset int64, items []storage.Item, places []segment.Place, checkpoint []byte) {
	t.mu.Lock()
	for i := range items {
		it := &items[i]
		t.places = append(t.places, place{offset + places[i].Offset, uint16(places[i].Entry), places[i].Body})
		t.hashes = append(t.hashes, it.Hash)
		t.times = append(t.times, it.Time)
		t.tree.Append(it.Hash)
		t.index.Add(it.Time, it.Type, it.Keys)
	}
	t.keep(checkpoint)
	t.mu.Unlock()
	t.count.Add(uint32(len(items)))
}

// keep remembers a checkpoint. The caller holds mu.
func (t *tail) keep(checkpoint []byte) {
	t.last = checkpoint
	// A checkpoint with two signatures shows a change of key.
	if _, sigs, ok := bytes.Cut(checkpoint, []byte("\n\n")); ok && bytes.Count(sigs, []byte("\n")) > 1 {
		t.kept = append(t.kept, checkpoint)
	}
}

// checkpoints returns those that a sealed segment keeps.
func (t *tail) checkpoints() [][]byte {
	t.mu.RLock()
	defer t.mu.RUnlock()
	kept := append([][]byte(nil), t.kept...)
	if n := len(kept); n == 0 || !bytes.Equal(kept[n-1], t.last) {
		kept = append(kept, t.last)
	}
	return kept
}

// load takes in the frames that stand behind what is known, and returns how it
// ended. It stops at the first frame that does not check out.
func (t *tail) load(extract storage.Extract) (frameEnd, error) {
	r := frameReader{file: t.file, at: t.end, nonce: t.nonce}
	var items []storage.Item
	var places []segment.Place
	var keys []storage.Key
	for {
		next := t.first + uint64(t.count.Load())
		if next == t.first+segment.Entries {
			return frameEnd{kind: endClean, at: t.end}, nil
		}
		f, err := r.next()
		if err != nil {
			return r.ending(err, next)
		}
		if f.First != next || next+uint64(f.Count) > t.first+segment.Entries {
			return frameEnd{kind: endDamaged, at: t.end, detail: fmt.Sprintf("the commit begins at index %d instead of %d", f.First, next)}, nil
		}
		items, places, keys = items[:0], places[:0], keys[:0]
		for rec, err := range f.Records() {
			if err != nil {
				return frameEnd{kind: endDamaged, at: t.end, detail: err.Error()}, nil
			}
			e, err := evidence.ParseEntry(rec.Entry)
			if errors.Is(err, evidence.ErrEntryVersion) {
				return frameEnd{}, &storage.FormatError{Err: storage.ErrNewer, File: t.name, Offset: t.end + rec.Place.Offset, Detail: err.Error()}
			}
			if err != nil {
				return frameEnd{kind: endDamaged, at: t.end, detail: err.Error()}, nil
			}
			start := len(keys)
			if rec.Body != nil {
				// A payload that this program cannot read is found by
				// nothing but its index and type.
				keys, err = extract(keys, e.Type, rec.Body[evidence.SaltSize:])
			} else {
				keys, err = extract(keys, e.Type, nil)
			}
			if err != nil {
				keys = keys[:start]
			}
			items = append(items, storage.Item{Hash: evidence.LeafHash(rec.Entry), Time: e.Time.UnixMicro(), Type: e.Type, Keys: keys[start:len(keys):len(keys)]})
			places = append(places, rec.Place)
		}
		t.publish(t.end, items, places, bytes.Clone(f.Checkpoint))
		t.end += int64(f.Size())
	}
}

// frameEnd tells how a run of frames ended.
type frameEnd struct {
	kind   endKind
	at     int64  // where the first frame that does not check out would stand
	detail string // for people
	later  int64  // endDamaged: where the next whole frame stands, or 0
}

type endKind int

const (
	endClean   endKind = iota // nothing of this use of the file follows
	endTorn                   // the beginning of a frame follows, and nothing else
	endDamaged                // whole frames follow behind something else
)

// frameReader reads the frames of a tail file.
type frameReader struct {
	file  vfs.File
	at    int64 // of the next frame
	nonce segment.Nonce
	buf   *bufio.Reader
	frame []byte
}

// next reads the next frame, whose bytes are valid until the call after. It
// leaves at where the frame stands when that gives an error.
func (r *frameReader) next() (segment.Frame, error) {
	if r.buf == nil {
		r.buf = bufio.NewReaderSize(io.NewSectionReader(r.file, r.at, math.MaxInt64-r.at), 256<<10)
	}
	head, err := r.buf.Peek(segment.FrameHeaderSize)
	if err != nil && err != io.EOF {
		return segment.Frame{}, err
	}
	if len(head) < segment.FrameHeaderSize {
		_, err := segment.ParseFrame(head)
		return segment.Frame{}, err
	}
	f, err := segment.ParseFrame(head)
	if errors.Is(err, segment.ErrFrameEnd) || err == nil && f.Nonce != r.nonce {
		return segment.Frame{}, segment.ErrFrameEnd
	}
	n := segment.FrameHeaderSize + int(binary.BigEndian.Uint32(head[4:]))
	if n > segment.FrameHeaderSize+segment.MaxFrame || f.Nonce != r.nonce {
		return segment.Frame{}, segment.ErrFrameShort
	}
	// Grow with what is there, not with what the header says is there.
	r.frame = r.frame[:0]
	for len(r.frame) < n {
		want := min(n-len(r.frame), 1<<20)
		have := len(r.frame)
		if cap(r.frame)-have < want {
			r.frame = append(r.frame, make([]byte, want)...)[:have]
		}
		got, err := io.ReadFull(r.buf, r.frame[have:have+want])
		r.frame = r.frame[:have+got]
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		} else if err != nil {
			return segment.Frame{}, err
		}
	}
	f, err = segment.ParseFrame(r.frame)
	if err == nil {
		r.at += int64(f.Size())
	} else {
		r.buf = nil // its place is behind what was read; start over at r.at
	}
	return f, err
}

// seek continues at another place.
func (r *frameReader) seek(at int64) { r.at, r.buf = at, nil }

// ending finds out what stands where next gave err: the end, a torn write, or
// damage with whole frames behind it. next is the index that the frame should
// begin with.
func (r *frameReader) ending(err error, next uint64) (frameEnd, error) {
	end := frameEnd{at: r.at}
	if !errors.Is(err, segment.ErrFrameEnd) && !errors.Is(err, segment.ErrFrameShort) && !errors.Is(err, segment.ErrFrameSum) {
		return end, err
	}
	later, ferr := r.find(r.at + 1)
	if ferr != nil {
		return end, ferr
	}
	var head [segment.FrameHeaderSize]byte
	n, rerr := r.file.ReadAt(head[:], r.at)
	if rerr != nil && rerr != io.EOF {
		return end, rerr
	}
	switch {
	case later > 0:
		end.kind, end.later = endDamaged, later
		end.detail = fmt.Sprintf("the commit at byte %d cannot be read (%v), but one behind it can", r.at, err)
	case n == len(head) && !bytes.Equal(head[24:40], r.nonce[:]) && binary.BigEndian.Uint64(head[8:]) != next:
		end.kind = endClean // zeros, or what is left of an earlier use of the file
	case n == 0:
		end.kind = endClean
	case bytes.Equal(head[:n], make([]byte, n)):
		end.kind = endClean
	default:
		end.kind = endTorn
		end.detail = fmt.Sprintf("the commit at byte %d is incomplete: %v", r.at, err)
	}
	return end, nil
}

// find returns where the first whole frame at or behind from stands, or 0.
func (r *frameReader) find(from int64) (int64, error) {
	size, err := r.file.Size()
	if err != nil {
		return 0, err
	}
	const window = 1 << 20
	buf := make([]byte, window)
	for at := from; at < size; {
		n, err := r.file.ReadAt(buf, at)
		if err != nil && err != io.EOF {
			return 0, err
		}
		for i := 0; ; {
			j := bytes.Index(buf[i:n], r.nonce[:])
			if j < 0 {
				break
			}
			if start := at + int64(i+j) - 24; start >= from {
				probe := frameReader{file: r.file, at: start, nonce: r.nonce}
				if _, err := probe.next(); err == nil {
					return start, nil
				}
			}
			i += j + 1
		}
		if n < len(buf) {
			break
		}
		at += int64(n - len(r.nonce) + 1)
	}
	return 0, nil
}
