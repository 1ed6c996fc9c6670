package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/storage"
)

var update = flag.Bool("update", false, "write the golden files anew: never those of a version that was released")

var testNonce = Nonce([]byte("sixteen bytes of"))

// batch returns a batch of n entries from index first on, with payloads of all
// kinds. It is the same every time.
func batch(first uint64, n int) *storage.Batch {
	b := &storage.Batch{First: first, Checkpoint: fmt.Appendf(nil, "example.org/trail\n%d\n", first+uint64(n))}
	for i := range n {
		index := first + uint64(i)
		it := storage.Item{Body: fmt.Appendf(nil, "salt of %8d%s", index, strings.Repeat(fmt.Sprintf(`{"id":"%d"}`, index), i%5))}
		if i%7 == 3 {
			it.Body = nil
		}
		e := evidence.Entry{Index: index, Time: time.UnixMicro(1_700_000_000_000_000 + int64(index)).UTC(), Type: "action_executed"}
		if it.Body != nil {
			e.Payload = evidence.CommitBody(it.Body)
		}
		it.Entry = evidence.AppendEntry(nil, &e)
		it.Hash = evidence.LeafHash(it.Entry)
		b.Items = append(b.Items, it)
	}
	return b
}

func appendFrame(t testing.TB, dst []byte, nonce Nonce, b *storage.Batch) ([]byte, []Place) {
	t.Helper()
	dst, places, err := AppendFrame(dst, nonce, b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return dst, places
}

func records(t testing.TB, f *Frame) (out []TailRecord) {
	t.Helper()
	for r, err := range f.Records() {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

func TestTailHeader(t *testing.T) {
	h := TailHeader{First: 131072, Nonce: testNonce}
	b := AppendTailHeader([]byte("x"), h)[1:]
	want := "custody tail v1\n\x00\x00\x00\x00\x00\x02\x00\x00sixteen bytes of\x00\x00\x00\x00"
	if len(b) != TailHeaderSize || string(b[:44]) != want || binary.BigEndian.Uint32(b[44:]) != crc32.Checksum([]byte(want), castagnoli) {
		t.Fatalf("header %q", b)
	}
	for _, behind := range []string{"", "what follows"} {
		if got, err := ParseTailHeader(append(b[:len(b):len(b)], behind...)); err != nil || got != h {
			t.Errorf("%+v, %v", got, err)
		}
	}
	for n := range b {
		if _, err := ParseTailHeader(b[:n]); !errors.Is(err, storage.ErrAltered) || errors.Is(err, storage.ErrNewer) {
			t.Errorf("cut short at %d: %v", n, err)
		}
	}
	for i := range b {
		for bit := range 8 {
			flipped := bytes.Clone(b)
			flipped[i] ^= 1 << bit
			_, err := ParseTailHeader(flipped)
			// Of the version one cannot tell a flip from a newer one.
			if newer := i == len(tailPrefix) && flipped[i] > '1' && flipped[i] <= '9'; newer != errors.Is(err, storage.ErrNewer) || newer == errors.Is(err, storage.ErrAltered) {
				t.Errorf("bit %d of byte %d: %v", bit, i, err)
			}
		}
	}
	if _, err := ParseTailHeader([]byte("custody tail v2\nanything at all")); !errors.Is(err, storage.ErrNewer) {
		t.Errorf("version 2: %v", err)
	}
}

func TestFrameRoundTrip(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 200 {
		want := batch(r.Uint64N(1<<53), r.IntN(40))
		if r.IntN(4) == 0 {
			want.Checkpoint = nil
		}
		// A frame may stand anywhere, with anything behind it.
		before := bytes.Repeat([]byte("before"), r.IntN(10))
		b, places := appendFrame(t, before, testNonce, want)
		size := len(b) - len(before)
		b = append(b, "behind"...)
		f, err := ParseFrame(b[len(before):])
		if err != nil {
			t.Fatal(err)
		}
		if f.Size() != size || f.First != want.First || int(f.Count) != len(want.Items) || f.Nonce != testNonce || !bytes.Equal(f.Checkpoint, want.Checkpoint) {
			t.Fatalf("got %+v", f)
		}
		got := records(t, &f)
		if len(got) != len(want.Items) || len(places) != len(got) {
			t.Fatalf("%d records and %d places for %d items", len(got), len(places), len(want.Items))
		}
		for i, rec := range got {
			it, at := want.Items[i], places[i]
			if rec.Place != at || !bytes.Equal(rec.Entry, it.Entry) || !bytes.Equal(rec.Body, it.Body) || (rec.Body == nil) != (it.Body == nil) {
				t.Fatalf("record %d: %+v", i, rec)
			}
			stored := b[len(before)+int(at.Offset):][:at.Entry+at.Body]
			if !bytes.Equal(stored[:at.Entry], it.Entry) || !bytes.Equal(stored[at.Entry:], it.Body) {
				t.Fatalf("record %d does not stand at its place", i)
			}
		}
	}
}

func TestFrameEveryBit(t *testing.T) {
	good, _ := appendFrame(t, nil, testNonce, batch(7, 4))
	for i := range good {
		for bit := range 8 {
			b := bytes.Clone(good)
			b[i] ^= 1 << bit
			_, err := ParseFrame(b)
			if !errors.Is(err, ErrFrameEnd) && !errors.Is(err, ErrFrameShort) && !errors.Is(err, ErrFrameSum) {
				t.Errorf("bit %d of byte %d: %v", bit, i, err)
			}
			if i >= FrameHeaderSize && !errors.Is(err, ErrFrameSum) {
				t.Errorf("bit %d of byte %d, in the body: %v", bit, i, err)
			}
		}
	}
}

func TestFrameTruncated(t *testing.T) {
	good, _ := appendFrame(t, nil, testNonce, batch(7, 4))
	for n := range good {
		want := ErrFrameShort
		if n == 0 {
			want = ErrFrameEnd
		}
		if _, err := ParseFrame(good[:n]); !errors.Is(err, want) {
			t.Errorf("cut short at %d: %v, want %v", n, err, want)
		}
	}
	for _, b := range []string{"\x00", strings.Repeat("\x00", 100), "CSTX", "no frame", strings.Repeat("no frame", 10)} {
		if _, err := ParseFrame([]byte(b)); !errors.Is(err, ErrFrameEnd) {
			t.Errorf("%q: %v", b, err)
		}
	}
}

// TestFrameLengthsAreNotBelieved: a header may claim any length.
func TestFrameLengthsAreNotBelieved(t *testing.T) {
	good, _ := appendFrame(t, nil, testNonce, batch(7, 4))
	for _, tt := range []struct {
		name  string
		at    int
		value uint32
	}{
		{"a body of 2^30", 4, 1 << 30},
		{"a body of 2^32-1", 4, 1<<32 - 1},
		{"2^32-1 entries", 16, 1<<32 - 1},
		{"one entry more than a segment", 16, Entries + 1},
		{"a checkpoint of 2^32-1", 20, 1<<32 - 1},
	} {
		b := bytes.Clone(good)
		binary.BigEndian.PutUint32(b[tt.at:], tt.value)
		if n := testing.AllocsPerRun(10, func() {
			if _, err := ParseFrame(b); !errors.Is(err, ErrFrameShort) {
				t.Errorf("%s: %v", tt.name, err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", tt.name, n)
		}
	}
}

// resum gives a frame the checksum that it should have.
func resum(frame []byte) []byte {
	binary.BigEndian.PutUint32(frame[40:], frameSum(frame))
	return frame
}

// TestRecordsRefuse: a frame with the right checksum may still hold records that
// do not fill it.
func TestRecordsRefuse(t *testing.T) {
	good, places := appendFrame(t, nil, testNonce, batch(7, 3))
	first := int(places[0].Offset) - recordHeader
	for _, tt := range []struct {
		name   string
		change func(b []byte)
		want   string
		before int // records that are still right
	}{
		{"one record more", func(b []byte) { binary.BigEndian.PutUint32(b[16:], 4) }, "record 3 of the frame is cut short", 3},
		{"one record less", func(b []byte) { binary.BigEndian.PutUint32(b[16:], 2) }, "bytes stand behind the last record", 2},
		{"no record", func(b []byte) { binary.BigEndian.PutUint32(b[16:], 0) }, "bytes stand behind the last record", 0},
		{"entry beyond the frame", func(b []byte) { binary.BigEndian.PutUint16(b[first:], 1<<16-1) }, "record 0 of the frame has an impossible length", 0},
		{"body beyond the frame", func(b []byte) { binary.BigEndian.PutUint32(b[first+2:], 1<<32-1) }, "record 0 of the frame has an impossible length", 0},
		{"body shorter than a salt", func(b []byte) { binary.BigEndian.PutUint32(b[first+2:], 15) }, "record 0 of the frame has an impossible length", 0},
		{"longer checkpoint", func(b []byte) { binary.BigEndian.PutUint32(b[20:], binary.BigEndian.Uint32(b[20:])+1) }, "record 2 of the frame has an impossible length", 2},
		{"checkpoint over everything", func(b []byte) { binary.BigEndian.PutUint32(b[20:], binary.BigEndian.Uint32(b[4:])) }, "record 0 of the frame is cut short", 0},
	} {
		b := bytes.Clone(good)
		tt.change(b)
		f, err := ParseFrame(resum(b))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		n := 0
		var got error
		for _, err := range f.Records() {
			if err != nil {
				got = err
				continue
			}
			n++
		}
		if got == nil || !strings.Contains(got.Error(), tt.want) || n != tt.before {
			t.Errorf("%s: %v after %d records, want %q after %d", tt.name, got, n, tt.want, tt.before)
		}
	}
	f, err := ParseFrame(good)
	if err != nil {
		t.Fatal(err)
	}
	for range f.Records() {
		break // stopping early is fine
	}
}

func TestAppendFrameRefuses(t *testing.T) {
	item := func(entry, body int) storage.Item {
		return storage.Item{Entry: make([]byte, entry), Body: make([]byte, body)}
	}
	big := make([]byte, MaxFrame)
	for _, tt := range []struct {
		name  string
		batch storage.Batch
		want  string
	}{
		{"an entry that is too long", storage.Batch{First: 9, Items: []storage.Item{item(10, 16), item(evidence.MaxEntrySize+1, 16)}}, "entry 10: it has 65536 bytes"},
		{"a body without room for a salt", storage.Batch{First: 9, Items: []storage.Item{item(10, 15)}}, "entry 9: its body has 15 bytes"},
		{"too many entries", storage.Batch{Items: make([]storage.Item, Entries+1)}, "more than a frame holds"},
		{"too many bytes", storage.Batch{Items: []storage.Item{{Entry: []byte("e"), Body: big}}}, "more than a frame holds"},
		{"a checkpoint of too many bytes", storage.Batch{Items: []storage.Item{item(1, 16)}, Checkpoint: big}, "more than a frame holds"},
	} {
		dst, places, err := AppendFrame([]byte("dst"), testNonce, &tt.batch, make([]Place, 2, 10))
		if err == nil || !strings.Contains(err.Error(), tt.want) || string(dst) != "dst" || len(places) != 2 {
			t.Errorf("%s: %q, %d places, %v", tt.name, dst, len(places), err)
		}
	}
	longest := storage.Batch{Items: []storage.Item{item(evidence.MaxEntrySize, 16)}}
	b, _ := appendFrame(t, nil, testNonce, &longest)
	if f, err := ParseFrame(b); err != nil || len(records(t, &f)[0].Entry) != evidence.MaxEntrySize {
		t.Errorf("the longest entry: %v", err)
	}
}

func TestAppendFrameTakesNoMemory(t *testing.T) {
	b := batch(0, 64)
	dst, places := appendFrame(t, nil, testNonce, b)
	if n := testing.AllocsPerRun(100, func() {
		if _, _, err := AppendFrame(dst[:0], testNonce, b, places[:0]); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestGoldenTail: a tail that version 1 wrote reads the same for ever, and is
// still written the same while version 1 is what is written. It holds three
// commits, and behind them what an earlier use of the file left.
func TestGoldenTail(t *testing.T) {
	const first = 65536
	batches := []*storage.Batch{batch(first, 1), batch(first+1, 5), batch(first+6, 9)}
	written := AppendTailHeader(nil, TailHeader{First: first, Nonce: testNonce})
	for _, b := range batches {
		written, _ = appendFrame(t, written, testNonce, b)
	}
	used := len(written)
	written, _ = appendFrame(t, written, Nonce([]byte("an earlier nonce")), batch(77, 1))
	golden(t, "tail", written)

	stored, err := os.ReadFile(filepath.Join("testdata", "golden", "v1", "tail"))
	if err != nil {
		t.Fatal(err)
	}
	h, err := ParseTailHeader(stored)
	if err != nil || h.First != first || h.Nonce != testNonce {
		t.Fatalf("%+v, %v", h, err)
	}
	at := TailHeaderSize
	for _, want := range batches {
		f, err := ParseFrame(stored[at:])
		if err != nil || f.First != want.First || !bytes.Equal(f.Checkpoint, want.Checkpoint) {
			t.Fatalf("byte %d: %+v, %v", at, f, err)
		}
		for i, r := range records(t, &f) {
			if !bytes.Equal(r.Entry, want.Items[i].Entry) || !bytes.Equal(r.Body, want.Items[i].Body) {
				t.Errorf("entry %d: %q, %q", want.First+uint64(i), r.Entry, r.Body)
			}
		}
		at += f.Size()
	}
	if f, err := ParseFrame(stored[at:]); at != used || err != nil || f.Nonce == h.Nonce {
		t.Errorf("byte %d: what an earlier use left: %+v, %v", at, f, err)
	}
}

// golden compares content with a golden file.
func golden(t *testing.T, name string, content []byte) {
	t.Helper()
	name = filepath.Join("testdata", "golden", "v1", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(content, want) {
		at := 0
		for at < min(len(content), len(want)) && content[at] == want[at] {
			at++
		}
		t.Errorf("%s: %d bytes instead of %d, different from byte %d on", name, len(content), len(want), at)
	}
}
