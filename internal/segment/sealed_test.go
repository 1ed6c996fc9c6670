package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/storage"
)

// full is a sealed segment with what went into it. It is the same every time:
// golden files hold parts of it.
type full struct {
	first       uint64
	items       []storage.Item
	checkpoints [][]byte
	root        evidence.Hash
	file        []byte
}

var fullSegment = sync.OnceValue(func() *full {
	s := &full{first: 3 * Entries, checkpoints: [][]byte{[]byte("one checkpoint\n"), nil, []byte("another\n")}}
	var tree evidence.Tree
	prev := evidence.LeafHash([]byte("the entry before"))
	for i := range uint64(Entries) {
		it := storage.Item{Body: fmt.Appendf(nil, `salt of %8d{"agent_id":"agent-%d","event_type":"action_executed","id":"%d"}`, i, i%10, i)}
		switch {
		case i%97 == 5:
			it.Body = nil // not held
		case i%101 == 7:
			it.Body = it.Body[:evidence.SaltSize] // empty
		case i == 1000 || i == 1001 || i == Entries-1:
			it.Body = append(it.Body, bytes.Repeat([]byte("long "), 60_000)...)
		}
		e := evidence.Entry{Index: s.first + i, Prev: prev, Time: time.UnixMicro(1_700_000_000_000_000 + int64(i/3)), Type: "action_executed"}
		if it.Body != nil {
			e.Payload = evidence.CommitBody(it.Body)
		}
		it.Entry = evidence.AppendEntry(nil, &e)
		if i == 2000 {
			it.Entry = bytes.Repeat([]byte("e"), evidence.MaxEntrySize)
		}
		it.Hash, it.Time = evidence.LeafHash(it.Entry), e.Time.UnixMicro()
		prev = it.Hash
		tree.Append(it.Hash)
		s.items = append(s.items, it)
	}
	var file bytes.Buffer
	w := NewSealedWriter(&file, s.first)
	for i := range s.items {
		w.Add(s.items[i].Entry, s.items[i].Body, s.items[i].Hash, s.items[i].Time)
	}
	root, err := w.Finish(s.checkpoints)
	if err != nil || root != tree.Root() {
		panic(fmt.Sprintf("root %v, want %v, %v", root, tree.Root(), err))
	}
	s.root, s.file = root, file.Bytes()
	return s
})

func (s *full) open(t testing.TB) *Sealed {
	t.Helper()
	seg, err := OpenSealed(bytes.NewReader(s.file), int64(len(s.file)))
	if err != nil {
		t.Fatal(err)
	}
	return seg
}

// matches reports how a record differs from what went in.
func (s *full) matches(pos int, entry, body []byte) error {
	it := s.items[pos]
	if !bytes.Equal(entry, it.Entry) {
		return fmt.Errorf("position %d: entry %.100q, want %.100q", pos, entry, it.Entry)
	}
	if !bytes.Equal(body, it.Body) || (body == nil) != (it.Body == nil) {
		return fmt.Errorf("position %d: body %.100q, want %.100q", pos, body, it.Body)
	}
	return nil
}

func TestSealedGivesAllBack(t *testing.T) {
	s := fullSegment()
	seg := s.open(t)
	t.Logf("%d bytes, %.1f for each entry; %d payload blocks", len(s.file), float64(len(s.file))/Entries, seg.PayloadBlocks())
	if seg.First != s.first || seg.Root != s.root || seg.FirstTime != s.items[0].Time || seg.LastTime != s.items[Entries-1].Time {
		t.Errorf("first %d, root %v, times %d to %d", seg.First, seg.Root, seg.FirstTime, seg.LastTime)
	}
	if len(seg.Checkpoints) != len(s.checkpoints) {
		t.Fatalf("%d checkpoints", len(seg.Checkpoints))
	}
	for i, c := range seg.Checkpoints {
		if !bytes.Equal(c, s.checkpoints[i]) {
			t.Errorf("checkpoint %d: %q", i, c)
		}
	}
	hashes, err := seg.Hashes(nil, 0, Entries)
	if err != nil {
		t.Fatal(err)
	}
	var bundle evidence.Tree
	for i, h := range hashes {
		if h != s.items[i].Hash {
			t.Fatalf("position %d: hash %v", i, h)
		}
		if bundle.Append(h); i%256 == 255 {
			if bundle.Root() != seg.Tile[i/256] {
				t.Fatalf("tile %d: %v, want %v", i/256, seg.Tile[i/256], bundle.Root())
			}
			bundle = evidence.Tree{}
		}
	}

	// All blocks into the same buffers, behind something else.
	raw, entries, bodies := []byte("before"), [][]byte{[]byte("before")}, [][]byte{nil}
	for i := range seg.EntryBlocks() {
		if raw, entries, err = seg.EntryBlock(i, raw, entries); err != nil {
			t.Fatal(err)
		}
		if seg.BlockTimes[i] != s.items[i*BlockEntries].Time {
			t.Fatalf("block %d begins at %d", i, seg.BlockTimes[i])
		}
	}
	pos := uint32(0)
	for i := range seg.PayloadBlocks() {
		from, to := seg.PayloadRange(i)
		if from != pos || to <= from || seg.PayloadBlockOf(from) != i || seg.PayloadBlockOf(to-1) != i {
			t.Fatalf("block %d holds %d to %d, after %d", i, from, to, pos)
		}
		pos = to
		if raw, bodies, err = seg.PayloadBlock(i, raw, bodies); err != nil {
			t.Fatal(err)
		}
	}
	if len(entries) != 1+Entries || len(bodies) != 1+Entries || pos != Entries || !bytes.HasPrefix(raw, []byte("before")) {
		t.Fatalf("%d entries, %d bodies, payloads up to %d", len(entries), len(bodies), pos)
	}
	for i := range s.items {
		if err := s.matches(i, entries[1+i], bodies[1+i]); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPayloadBlocksAreSmall: a long payload does not make reading the short ones
// beside it long.
func TestPayloadBlocksAreSmall(t *testing.T) {
	s := fullSegment()
	seg := s.open(t)
	for i := range seg.PayloadBlocks() {
		from, to := seg.PayloadRange(i)
		size, longest := 0, 0
		for pos := from; pos < to; pos++ {
			n := len(s.items[pos].Body)
			size, longest = size+n, max(longest, n)
		}
		if size > payloadBlockLimit+int(to-from)*evidence.SaltSize && to-from > 1 {
			t.Errorf("block %d holds %d payloads, %d bytes, the longest of %d", i, to-from, size, longest)
		}
	}
}

// TestBlocksWithoutPayloads: what was removed does not make reading the few payloads
// that are left long.
func TestBlocksWithoutPayloads(t *testing.T) {
	var file bytes.Buffer
	w := NewSealedWriter(&file, 0)
	for range Entries {
		w.Add([]byte("entry"), nil, evidence.Hash{}, 0)
	}
	if _, err := w.Finish(nil); err != nil {
		t.Fatal(err)
	}
	seg, err := OpenSealed(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		t.Fatal(err)
	}
	for i := range seg.PayloadBlocks() {
		if from, to := seg.PayloadRange(i); (to-from)*evidence.SaltSize > payloadBlockTarget {
			t.Errorf("block %d holds %d salts", i, to-from)
		}
	}
}

// TestSealedIsRead by many at once, at random.
func TestSealedConcurrently(t *testing.T) {
	s := fullSegment()
	seg := s.open(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var readers sync.WaitGroup
	for g := range uint64(8) {
		readers.Go(func() {
			r := rand.New(rand.NewPCG(seed, g))
			var raw, bodyRaw []byte
			var entries, bodies [][]byte
			var hashes []evidence.Hash
			for range 150 {
				pos := r.IntN(Entries)
				var err error
				if raw, entries, err = seg.EntryBlock(pos/BlockEntries, raw[:0], entries[:0]); err != nil {
					t.Error(err)
					return
				}
				block := seg.PayloadBlockOf(uint32(pos))
				if bodyRaw, bodies, err = seg.PayloadBlock(block, bodyRaw[:0], bodies[:0]); err != nil {
					t.Error(err)
					return
				}
				from, _ := seg.PayloadRange(block)
				if err := s.matches(pos, entries[pos%BlockEntries], bodies[pos-int(from)]); err != nil {
					t.Error(err)
				}
				if hashes, err = seg.Hashes(hashes[:0], uint32(pos), 1); err != nil || hashes[0] != s.items[pos].Hash {
					t.Errorf("position %d: hash %v, %v", pos, hashes, err)
				}
			}
		})
	}
	readers.Wait()
}

// overlay reads a file with some bytes changed.
type overlay struct {
	file []byte
	at   int64
	flip byte
	size int64
}

func (o *overlay) ReadAt(b []byte, at int64) (int, error) {
	if at >= o.size {
		return 0, io.EOF
	}
	n := copy(b, o.file[at:o.size])
	if i := o.at - at; i >= 0 && i < int64(n) {
		b[i] ^= o.flip
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// TestSealedEveryFlip: a bit that flips in the header, the footer or the trailer
// shows when the segment is opened.
func TestSealedEveryFlip(t *testing.T) {
	s := fullSegment()
	size := int64(len(s.file))
	footerAt := int64(binary.BigEndian.Uint64(s.file[size-sealedTrailerSize:]))
	try := func(at int64, bit int) {
		o := &overlay{s.file, at, 1 << bit, size}
		_, err := OpenSealed(o, size)
		v := s.file[at] ^ o.flip
		if newer := at == int64(len(sealedPrefix)) && v > '1' && v <= '9'; newer != errors.Is(err, storage.ErrNewer) || newer == errors.Is(err, storage.ErrAltered) {
			t.Errorf("bit %d of byte %d: %v", bit, at, err)
		}
	}
	for bit := range 8 {
		for at := range int64(sealedHeaderSize) {
			try(at, bit)
		}
		for at := size - sealedTrailerSize; at < size; at++ {
			try(at, bit)
		}
	}
	for at := footerAt; at < size-sealedTrailerSize; at++ {
		try(at, int(at%8))
	}
}

// TestSealedBlockFlips: a bit that flips elsewhere shows when the block is read,
// in its form or in that it is not what it has the hash of.
func TestSealedBlockFlips(t *testing.T) {
	s := fullSegment()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	seg := s.open(t)
	without := 0 // flips that change nothing that is read
	for range 1500 {
		at := sealedHeaderSize + r.Int64N(seg.hashAt+Entries*32-sealedHeaderSize)
		seg.r = &overlay{s.file, at, 1 << r.IntN(8), int64(len(s.file))}
		same, err := s.compareAt(seg, at)
		if err != nil && !errors.Is(err, storage.ErrAltered) {
			t.Fatalf("byte %d: %v", at, err)
		}
		if err == nil && same {
			without++
		}
	}
	if without > 30 {
		t.Errorf("%d flips of 1500 changed nothing", without)
	}
}

// compareAt reads the block of the file that byte at belongs to and reports
// whether it is as it was. It is an error if it is not, and yet has its hashes.
func (s *full) compareAt(seg *Sealed, at int64) (same bool, err error) {
	switch {
	case at >= seg.hashAt:
		pos := uint32(at-seg.hashAt) / 32
		h, err := seg.Hashes(nil, pos, 1)
		return err == nil && h[0] == s.items[pos].Hash, err
	case at >= seg.entryAt[0]:
		block := 0
		for seg.entryAt[block+1] <= at {
			block++
		}
		_, entries, err := seg.EntryBlock(block, nil, nil)
		if err != nil {
			return false, err
		}
		if len(entries) != BlockEntries {
			return false, nil // the caller counts
		}
		same = true
		for i, e := range entries {
			it := s.items[block*BlockEntries+i]
			if !bytes.Equal(e, it.Entry) {
				if same = false; evidence.LeafHash(e) == it.Hash {
					return false, fmt.Errorf("another entry with the same hash")
				}
			}
		}
		return same, nil
	default:
		block := 0
		for seg.blockAt[block+1] <= at {
			block++
		}
		from, to := seg.PayloadRange(block)
		_, bodies, err := seg.PayloadBlock(block, nil, nil)
		if err != nil {
			return false, err
		}
		if len(bodies) != int(to-from) {
			return false, fmt.Errorf("%d bodies instead of %d", len(bodies), to-from)
		}
		same = true
		for i, b := range bodies {
			// A body that differs has another commitment, or seems not to be held.
			same = same && bytes.Equal(b, s.items[int(from)+i].Body)
			if b != nil && len(b) < evidence.SaltSize {
				return false, fmt.Errorf("a body of %d bytes", len(b))
			}
		}
		return same, nil
	}
}

// TestSealedTruncated: a file that is cut short anywhere is refused.
func TestSealedTruncated(t *testing.T) {
	s := fullSegment()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	size := len(s.file)
	sizes := []int{}
	for n := range 100 {
		sizes = append(sizes, n, size-1-n)
	}
	for range 500 {
		sizes = append(sizes, r.IntN(size))
	}
	for _, n := range sizes {
		cut := bytes.NewReader(s.file[:n])
		if _, err := OpenSealed(cut, int64(n)); !errors.Is(err, storage.ErrAltered) || errors.Is(err, storage.ErrNewer) {
			t.Errorf("cut short at %d: %v", n, err)
		}
		// Also when it was cut after its size was asked for.
		if _, err := OpenSealed(cut, int64(size)); !errors.Is(err, storage.ErrAltered) {
			t.Errorf("cut short at %d, and said to have %d: %v", n, size, err)
		}
	}
	if _, err := OpenSealed(bytes.NewReader(append(s.file[:size:size], 0)), int64(size+1)); !errors.Is(err, storage.ErrAltered) {
		t.Errorf("one byte more: %v", err)
	}
}

func TestSealedNewerVersion(t *testing.T) {
	for _, file := range []string{"custody segment v2\n", "custody segment v2\n" + strings.Repeat("x", 1000), "custody segment v12\nx"} {
		if _, err := OpenSealed(strings.NewReader(file), int64(len(file))); !errors.Is(err, storage.ErrNewer) {
			t.Errorf("%.20q: %v", file, err)
		}
	}
	if _, err := OpenSealed(strings.NewReader(""), 0); !errors.Is(err, storage.ErrAltered) {
		t.Errorf("an empty file: %v", err)
	}
}

// atEnd is a reader that says io.EOF together with the last bytes, as io.ReaderAt
// allows.
type atEnd struct{ b []byte }

func (r atEnd) ReadAt(b []byte, at int64) (int, error) {
	n := copy(b, r.b[min(at, int64(len(r.b))):])
	if at+int64(n) == int64(len(r.b)) {
		return n, io.EOF
	}
	return n, nil
}

func TestSealedReadsUpToTheEnd(t *testing.T) {
	s := fullSegment()
	if _, err := OpenSealed(atEnd{s.file}, int64(len(s.file))); err != nil {
		t.Error(err)
	}
}

var errDisk = errors.New("the disk does not answer")

// failing is a reader that fails from some offset on.
type failing struct {
	io.ReaderAt
	from int64
}

func (f failing) ReadAt(b []byte, at int64) (int, error) {
	if at+int64(len(b)) > f.from {
		return 0, errDisk
	}
	return f.ReaderAt.ReadAt(b, at)
}

// TestSealedReadErrors: a disk that fails is not a file that was altered.
func TestSealedReadErrors(t *testing.T) {
	s := fullSegment()
	size := int64(len(s.file))
	for _, from := range []int64{0, size - 1000, size - 10} {
		if _, err := OpenSealed(failing{bytes.NewReader(s.file), from}, size); !errors.Is(err, errDisk) || errors.Is(err, storage.ErrAltered) {
			t.Errorf("failing from byte %d on: %v", from, err)
		}
	}
	seg := s.open(t)
	seg.r = failing{seg.r, 0}
	if _, _, err := seg.EntryBlock(0, nil, nil); !errors.Is(err, errDisk) {
		t.Errorf("entries: %v", err)
	}
	if _, _, err := seg.PayloadBlock(0, nil, nil); !errors.Is(err, errDisk) {
		t.Errorf("payloads: %v", err)
	}
	if _, err := seg.Hashes(nil, 0, 1); !errors.Is(err, errDisk) {
		t.Errorf("hashes: %v", err)
	}
}

func TestSealedWriterRefuses(t *testing.T) {
	s := fullSegment()
	hash := evidence.Hash{}
	fill := func(w *SealedWriter, n int) {
		for range n {
			w.Add([]byte("e"), s.items[0].Body, hash, 0)
		}
	}
	for _, tt := range []struct {
		name string
		add  func(w *SealedWriter)
		want string
	}{
		{"no entry", func(*SealedWriter) {}, "0 entries instead of 65536"},
		{"one less", func(w *SealedWriter) { fill(w, Entries-1) }, "65535 entries instead of 65536"},
		{"one more", func(w *SealedWriter) { fill(w, Entries+1) }, "65537 entries instead of 65536"},
		{"an entry that is too long", func(w *SealedWriter) {
			fill(w, 10)
			w.Add(make([]byte, evidence.MaxEntrySize+1), nil, hash, 0)
			fill(w, Entries-11)
		}, "it has 65536 bytes"},
		{"a body without room for a salt", func(w *SealedWriter) {
			w.Add([]byte("e"), make([]byte, evidence.SaltSize-1), hash, 0)
			fill(w, Entries-1)
		}, "its body has 15 bytes"},
	} {
		w := NewSealedWriter(io.Discard, 0)
		tt.add(w)
		if _, err := w.Finish(nil); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		w.Abort() // after Finish, it does nothing
	}
	w := NewSealedWriter(io.Discard, 0)
	fill(w, 100)
	w.Abort()
	w.Abort()
}

// full disk: it takes that many bytes and no more.
type fullDisk struct{ room int }

func (d *fullDisk) Write(b []byte) (int, error) {
	n := min(d.room, len(b))
	d.room -= n
	if n < len(b) {
		return n, errDisk
	}
	return n, nil
}

func TestSealedWriterOnAFullDisk(t *testing.T) {
	s := fullSegment()
	size := len(s.file)
	for _, room := range []int{0, 10, sealedHeaderSize, size / 2, size - sealedTrailerSize, size - 1} {
		w := NewSealedWriter(&fullDisk{room}, s.first)
		for i := range s.items {
			w.Add(s.items[i].Entry, s.items[i].Body, s.items[i].Hash, s.items[i].Time)
		}
		if _, err := w.Finish(s.checkpoints); !errors.Is(err, errDisk) {
			t.Errorf("room for %d of %d bytes: %v", room, size, err)
		}
	}
}
