package filestore

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
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

	// ending is how the last load ended. It belongs to whoever loads.
	ending frameEnd

	use  sync.RWMutex // held for reading while the file is read, for writing to give it up
	gone bool         // guarded by use: sealed meanwhile, and the file is used for something else

	mu     sync.RWMutex  // guards what follows; held briefly
	memory *memory       // nil once the tail was given up
	tree   evidence.Tree // over the entries of this tail
	kept   [][]byte      // checkpoints signed by more than one key
	last   []byte        // newest checkpoint
}

// memory is what is known of each entry of a tail, some 200 bytes for each. It
// goes from a tail that was sealed to the next one.
type memory struct {
	places []place
	hashes []evidence.Hash
	times  []int64
	index  *index.Memory

	bundles []evidence.Hash // roots of the first bundles, as far as they were asked for
}

func newMemory() *memory { return &memory{index: index.NewMemory()} }

func (m *memory) reset() {
	m.places, m.hashes, m.times, m.bundles = m.places[:0], m.hashes[:0], m.times[:0], m.bundles[:0]
	m.index.Reset()
}

// place is where an entry and its body stand in the file.
type place struct {
	offset int64
	entry  uint16
	body   uint32
}

// end is the offset behind the entry and its body.
func (p place) end() int64 { return p.offset + int64(p.entry) + int64(p.body) }

func newTail(name string, first uint64, nonce segment.Nonce, file vfs.File, m *memory) *tail {
	return &tail{first: first, name: name, nonce: nonce, file: file, end: segment.TailHeaderSize, memory: m}
}

// readHeader reads the header of a tail file, which should begin at index first.
func readHeader(name string, first uint64, file vfs.File) (segment.TailHeader, error) {
	var b [segment.TailHeaderSize]byte
	n, err := file.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return segment.TailHeader{}, err
	}
	h, err := segment.ParseTailHeader(b[:n])
	if err == nil && h.First != first {
		err = fmt.Errorf("%w: it is the tail from index %d on", storage.ErrAltered, h.First)
	}
	if err != nil {
		return h, formatError(err, name, 0)
	}
	return h, nil
}

// formatError adds the file to an error of a decoder.
func formatError(err error, name string, offset int64) error {
	for _, kind := range []error{storage.ErrNewer, storage.ErrAltered} {
		if errors.Is(err, kind) {
			return &storage.FormatError{Err: kind, File: name, Offset: offset, Detail: strings.TrimPrefix(err.Error(), kind.Error()+": ")}
		}
	}
	return fmt.Errorf("%s: %w", name, err)
}

// publish shows the entries of a batch, whose frame stands at offset, to
// readers.
func (t *tail) publish(offset int64, items []storage.Item, places []segment.Place, checkpoint []byte) {
	t.mu.Lock()
	m := t.memory // a tail is given up only when it is full
	for i := range items {
		it := &items[i]
		m.places = append(m.places, place{offset + places[i].Offset, uint16(places[i].Entry), places[i].Body})
		m.hashes = append(m.hashes, it.Hash)
		m.times = append(m.times, it.Time)
		m.index.Add(it.Time, it.Type, it.Keys)
		t.tree.Append(it.Hash)
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

// load takes in the frames that stand behind what is known, and finds out what
// stands behind the last one that checks out. It looks at payloads if that is
// asked for.
func (t *tail) load(extract storage.Extract, payloads bool) (frameEnd, error) {
	r, detail, err := t.loadFrames(extract, payloads)
	switch {
	case detail != "":
		return frameEnd{kind: endDamaged, at: t.end, detail: detail}, nil
	case err == nil:
		return frameEnd{kind: endClean, at: t.end}, nil
	}
	return r.ending(err, t.first+uint64(t.count.Load()))
}

// loadMore takes in what was appended since. The last frame may be one that is
// being written just now, so anything that does not check out is left alone.
func (t *tail) loadMore(extract storage.Extract) error {
	_, _, err := t.loadFrames(extract, false)
	if errors.Is(err, segment.ErrFrameEnd) || errors.Is(err, segment.ErrFrameShort) || errors.Is(err, segment.ErrFrameSum) {
		return nil
	}
	return err
}

// loadFrames takes in frames until the tail is full (no error), one cannot be
// read (the error says how), or one is whole and yet wrong (detail says how).
func (t *tail) loadFrames(extract storage.Extract, payloads bool) (r *frameReader, detail string, err error) {
	r = &frameReader{file: t.file, at: t.end, nonce: t.nonce}
	var items []storage.Item
	var places []segment.Place
	var keys []storage.Key
	for {
		next := t.first + uint64(t.count.Load())
		if next == t.first+segment.Entries {
			return r, "", nil
		}
		f, err := r.next()
		if err != nil {
			return r, "", err
		}
		if f.First != next || next+uint64(f.Count) > t.first+segment.Entries {
			return r, fmt.Sprintf("the commit begins at index %d instead of %d", f.First, next), nil
		}
		if f.Count == 0 {
			return r, "the commit holds no entries", nil
		}
		items, places, keys = items[:0], places[:0], keys[:0]
		for rec, err := range f.Records() {
			if err != nil {
				return r, err.Error(), nil
			}
			e, err := evidence.ParseEntry(rec.Entry)
			if errors.Is(err, evidence.ErrEntryVersion) {
				return r, "", &storage.FormatError{Err: storage.ErrNewer, File: t.name, Offset: t.end + rec.Place.Offset, Detail: err.Error()}
			}
			if err != nil {
				return r, err.Error(), nil
			}
			if want := next + uint64(len(items)); e.Index != want {
				return r, fmt.Sprintf("entry %d stands in the place of entry %d", e.Index, want), nil
			}
			if payloads && rec.Body != nil && evidence.CommitBody(rec.Body) != e.Payload {
				return r, fmt.Sprintf("the payload of entry %d is not the one it commits to", e.Index), nil
			}
			start := len(keys)
			var payload []byte
			if rec.Body != nil {
				payload = rec.Body[evidence.SaltSize:]
			}
			if keys, err = extract(keys, e.Type, payload); err != nil {
				keys = keys[:start] // found by nothing but its index
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
	first  uint64 // endDamaged: the index it begins with
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
	frame []byte // holds the frame that was read last
	spare []byte // the one before, to be used again
}

// next reads the next frame, whose bytes are valid until the next frame but one
// has been read. It leaves at where the frame stands when that gives an error.
func (r *frameReader) next() (segment.Frame, error) {
	if r.buf == nil {
		// A small read tells whether it is worth a large one: most often a
		// reader that looks for more finds nothing.
		var head [segment.FrameHeaderSize]byte
		n, err := r.file.ReadAt(head[:], r.at)
		if err != nil && err != io.EOF {
			return segment.Frame{}, err
		}
		if _, err := r.length(head[:n]); err != nil {
			return segment.Frame{}, err
		}
		r.buf = bufio.NewReaderSize(io.NewSectionReader(r.file, r.at, math.MaxInt64-r.at), 256<<10)
	}
	head, err := r.buf.Peek(segment.FrameHeaderSize)
	if err != nil && err != io.EOF {
		return segment.Frame{}, err
	}
	n, err := r.length(head)
	if err != nil {
		return segment.Frame{}, err
	}
	// Grow with what is there, not with what the header says is there.
	b := r.spare[:0]
	for len(b) < n {
		want, have := min(n-len(b), 1<<20), len(b)
		b = slices.Grow(b, want)
		got, err := io.ReadFull(r.buf, b[have:have+want])
		b = b[:have+got]
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		} else if err != nil {
			return segment.Frame{}, err
		}
	}
	r.spare = b
	f, err := segment.ParseFrame(b)
	if err != nil {
		r.buf = nil // its place is behind what was read; start over at r.at
		return f, err
	}
	r.at += int64(f.Size())
	r.frame, r.spare = r.spare, r.frame
	return f, nil
}

// length returns how long a frame of this use of the file says that it is. head
// is its header, or less at the end of the file.
func (r *frameReader) length(head []byte) (int, error) {
	f, err := segment.ParseFrame(head)
	if len(head) < segment.FrameHeaderSize {
		return 0, err
	}
	if errors.Is(err, segment.ErrFrameEnd) || err == nil && f.Nonce != r.nonce {
		return 0, segment.ErrFrameEnd
	}
	n := segment.FrameHeaderSize + int(binary.BigEndian.Uint32(head[4:]))
	if n > segment.FrameHeaderSize+segment.MaxFrame || f.Nonce != r.nonce {
		return 0, segment.ErrFrameShort
	}
	return n, nil
}

// keep makes the frame that next returned with an error as good as another one:
// its bytes stay until the next frame but one has been read.
func (r *frameReader) keep() { r.frame, r.spare = r.spare, r.frame }

// seek continues at another place.
func (r *frameReader) seek(at int64) { r.at, r.buf = at, nil }

// readError tells a file that is too short from one that cannot be read.
func readError(name string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %s ends before it", storage.ErrAltered, name)
	}
	return err
}

// ending finds out what stands where next gave err: the end, a torn write, or
// damage with whole frames behind it. next is the index that the frame should
// begin with.
func (r *frameReader) ending(err error, next uint64) (frameEnd, error) {
	end := frameEnd{at: r.at}
	if !errors.Is(err, segment.ErrFrameEnd) && !errors.Is(err, segment.ErrFrameShort) && !errors.Is(err, segment.ErrFrameSum) {
		return end, err
	}
	later, first, ferr := r.find(r.at + 1)
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
		end.kind, end.later, end.first = endDamaged, later, first
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

// find returns where the first whole frame at or behind from stands, and the
// index it begins with; 0 when there is none.
func (r *frameReader) find(from int64) (at int64, first uint64, err error) {
	size, err := r.file.Size()
	if err != nil {
		return 0, 0, err
	}
	const nonceAt = 24
	left := 8 * size // bytes to read at most of what only looks like a frame
	buf := make([]byte, min(1<<20, max(size-from, 0)))
	for start := from; start < size; {
		n, err := r.file.ReadAt(buf, start)
		if err != nil && err != io.EOF {
			return 0, 0, err
		}
		for i := 0; i+segment.FrameHeaderSize <= n; i++ {
			j := bytes.Index(buf[i+nonceAt:n], r.nonce[:])
			if j < 0 || i+j+segment.FrameHeaderSize > n {
				break
			}
			i += j
			head := buf[i : i+segment.FrameHeaderSize]
			if _, err := segment.ParseFrame(head); errors.Is(err, segment.ErrFrameEnd) {
				continue
			}
			at, length := start+int64(i), int64(binary.BigEndian.Uint32(head[4:]))
			if length > size-at {
				continue
			}
			if left -= length; left < 0 {
				return 0, 0, nil // made to keep us busy
			}
			probe := frameReader{file: r.file, at: at, nonce: r.nonce}
			if f, err := probe.next(); err == nil {
				return at, f.First, nil
			}
		}
		if n < len(buf) || start+int64(n) == size {
			break
		}
		start += int64(n - segment.FrameHeaderSize + 1)
	}
	return 0, 0, nil
}
