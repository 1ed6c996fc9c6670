package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/storage"
)

func testEmpty(t *trail) {
	s := t.open()
	for _, s := range []storage.Store{s, t.openReader()} {
		t.check(s)
		var r storage.Record
		t.wantError("reading entry 0", s.Read(t.ctx, 0, &r), storage.ErrNotFound)
		for i, err := range s.Select(t.ctx, storage.Selection{To: math.MaxUint64}) {
			t.Errorf("selected entry %d (%v)", i, err)
		}
		if found, err := s.Lookup(nil, storage.KeyOf(FieldID, "x"), 0); len(found) != 0 || err != nil {
			t.Errorf("lookup: %v, %v", found, err)
		}
		if counts, err := s.Counts(t.ctx, time.Time{}, time.Time{}, time.Hour); len(counts) != 0 || err != nil {
			t.Errorf("counts: %v, %v", counts, err)
		}
		_, _, err := s.TreeAt(t.ctx, 1)
		t.wantError("the tree at 1", err, storage.ErrNotFound)
	}
}

func testAttach(t *trail) {
	s := t.open()
	t.append(s, 3)
	wantSizes := func(kind string, want ...uint64) {
		t.Helper()
		if got, err := s.Attached(kind); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s are attached at %d (%v), want %d", kind, got, err, want)
		}
	}
	wantSizes("cosigned")
	_, err := s.Attachment("cosigned", 3)
	t.wantError("a document that was never attached", err, storage.ErrNotFound)
	for i, size := range []uint64{3, 1, 70_000, 3} {
		if err := s.Attach("cosigned", size, fmt.Appendf(nil, "document %d", i)); err != nil {
			t.Error(err)
		}
	}
	if err := s.Attach("timestamp", 2, []byte{}); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s = t.open()
	wantSizes("cosigned", 1, 3, 70_000)
	wantSizes("timestamp", 2)
	if got, err := s.Attachment("cosigned", 3); string(got) != "document 3" {
		t.Errorf("the document is %q (%v)", got, err)
	}
	for range 2 { // also one that is gone
		if err := s.Detach("cosigned", 3); err != nil {
			t.Error(err)
		}
	}
	wantSizes("cosigned", 1, 70_000)
	if err := s.Attach("large", 1, make([]byte, 2<<20)); err == nil {
		t.Error("a document without a bound is attached")
	}
	t.check(s)
}

func testRemove(t *trail) {
	s := t.open()
	t.append(s, 10, 10)
	if note, err := s.Intent(); note != nil || err != nil {
		t.Errorf("a note is there: %q (%v)", note, err)
	}
	for _, note := range []string{"first", "second"} {
		if err := s.SetIntent([]byte(note)); err != nil {
			t.Error(err)
		}
		if got, err := t.openReader().Intent(); string(got) != note {
			t.Errorf("the note is %q (%v), want %q", got, err, note)
		}
	}
	for _, at := range []evidence.Ranges{nil, {{First: 3, Last: 5}, {First: 19, Last: 19}}, {{First: 4, Last: 8}}} {
		if err := s.RemovePayloads(t.ctx, at); err != nil {
			t.Error(err)
		}
		t.w.Forget(at)
		t.check(s)
		t.readAll(s)
		t.append(s, 1)
		t.readAll(s)
	}
	t.wantError("removing behind the end", s.RemovePayloads(t.ctx, evidence.Ranges{{First: 5, Last: t.w.Size()}}), storage.ErrNotFound)
	t.wantError("removing as a reader", t.openReader().RemovePayloads(t.ctx, evidence.Ranges{{First: 1, Last: 1}}), storage.ErrReadOnly)
	t.wantError("noting as a reader", t.openReader().SetIntent([]byte("x")), storage.ErrReadOnly)
	for range 2 {
		if err := s.SetIntent(nil); err != nil {
			t.Error(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s = t.open()
	t.check(s)
	if note, err := s.Intent(); note != nil || err != nil {
		t.Errorf("a note is there: %q (%v)", note, err)
	}
}

func testAppend(t *trail) {
	s := t.open()
	for _, n := range []int{1, 1, 2, 7, 300, 1} {
		t.append(s, n)
		t.check(s)
		t.readAll(s)
		var r storage.Record
		t.wantError("reading behind the end", s.Read(t.ctx, t.w.Size(), &r), storage.ErrNotFound)
	}
	if n, err := s.Bytes(); n == 0 || err != nil {
		t.Errorf("the trail takes %d bytes (%v)", n, err)
	}
}

func testConflict(t *trail) {
	s := t.open()
	t.append(s, 3, 4)
	batch := t.w.Fork(7, 2).Batch(2)
	for _, first := range []uint64{0, 3, 6, 8, Boundary, math.MaxUint64} {
		wrong := *batch
		wrong.First = first
		t.wantError("a batch in the wrong place", s.Append(&wrong), storage.ErrConflict)
		t.check(s)
	}
	t.append(s, 2)
	t.check(s)
}

func testNothing(t *trail) {
	s := t.open()
	t.append(s, 3)
	if err := s.Append(&storage.Batch{First: 3, Checkpoint: t.w.commits[0].Checkpoint}); err == nil {
		t.Error("a batch without entries was taken")
	}
	t.check(s)
	t.close(s)
	s = t.open()
	t.append(s, 2)
	t.check(s)
}

func testBuffers(t *trail) {
	s := t.open()
	for range 5 {
		b := t.w.Batch(10)
		if err := s.Append(b); err != nil {
			t.Fatal(err)
		}
		for i := range b.Items {
			clear(b.Items[i].Entry)
			clear(b.Items[i].Body)
			clear(b.Items[i].Keys)
		}
		clear(b.Items)
	}
	t.check(s)
	id := t.w.entries[7].Keys
	if found, err := s.Lookup(nil, id[len(id)-1], 0); len(found) == 0 || err != nil {
		t.Errorf("entry 7 is not found by its key: %v, %v", found, err)
	}
}

func testShapes(t *trail) {
	s := t.open()
	salt := bytes.Repeat([]byte{0xa5}, evidence.SaltSize)
	body := func(payload string) []byte { return append(bytes.Clone(salt), payload...) }
	large := body(`{"text":"` + strings.Repeat("0123456789abcdef", 1<<16) + `"}`)
	for _, b := range []*storage.Batch{
		t.w.BatchOf("a", nil),
		t.w.BatchOf("a", nil, nil, body("{}"), nil),
		t.w.BatchOf("a", body("")),
		t.w.BatchOf("a"+strings.Repeat(".z", evidence.MaxTypeLen/2)[:evidence.MaxTypeLen-1], body(strings.Repeat("\x00", 100))),
		t.w.BatchOf("b", large, nil, body("{}"), large),
		t.w.BatchOf("b", body(string(make([]byte, 1<<16)))),
	} {
		if err := s.Append(b); err != nil {
			t.Fatal(err)
		}
	}
	t.check(s)
	t.readAll(s)
	t.close(s)
	s = t.open()
	t.check(s)
	t.readAll(s)
}

// readAll reads every entry, each into the record that the one before was read
// into, as one who follows the trail and as another.
func (t *trail) readAll(s storage.Store) {
	t.Helper()
	for _, r := range []*storage.Record{{}, {Following: true}} {
		for i := range t.w.entries {
			t.read(s, uint64(i), r)
		}
	}
}

func (t *trail) read(s storage.Store, i uint64, r *storage.Record) {
	t.Helper()
	err := s.Read(t.ctx, i, r)
	if t.w.Pruned(i) {
		if !errors.Is(err, storage.ErrPruned) {
			t.Fatalf("reading entry %d, which was pruned: %v", i, err)
		}
		return
	}
	if err != nil {
		t.Fatalf("reading entry %d: %v", i, err)
	}
	want := &t.w.entries[i]
	if r.Index != i || r.Hash != want.Hash || !bytes.Equal(r.Entry, want.Entry) || !bytes.Equal(r.Body, want.Body) || (r.Body == nil) != (want.Body == nil) {
		t.Fatalf("entry %d is read as entry %d, %q with hash %v and payload %q; want %q, %v, %q", i, r.Index, r.Entry, r.Hash, r.Body, want.Entry, want.Hash, want.Body)
	}
}

func testReopen(t *trail) {
	for range 4 {
		s := t.open()
		t.check(s)
		t.append(s, 2, 30)
		t.check(s)
		t.close(s)
	}
	t.check(t.openReader())
}

func testRotation(t *trail) {
	s := t.open()
	t.append(s, 5)
	t.w.Rotate()
	t.append(s, 1, 5)
	t.check(s)
	t.close(s)
	s = t.open()
	t.append(s, 2)
	t.wantNote(s, 6)
}

// wantNote checks that a walk finds the checkpoint of that size.
func (t *trail) wantNote(s storage.Store, size uint64) {
	t.Helper()
	parts, err := s.Parts(t.ctx)
	if err != nil {
		t.Fatal(err)
	}
	notes := noteFinder{}
	for _, p := range parts {
		if err := s.Walk(t.ctx, p, notes); err != nil {
			t.Fatal(err)
		}
	}
	want, _ := t.w.commitAt(size)
	if got := notes[size]; !bytes.Equal(got, want.Checkpoint) {
		t.Errorf("the checkpoint of size %d is %q, want %q", size, got, want.Checkpoint)
	}
}

// noteFinder collects checkpoints by their size. It implements storage.Visitor.
type noteFinder map[uint64][]byte

func (n noteFinder) Checkpoint(signed []byte, _ string) {
	if c, err := evidence.PeekCheckpoint(signed); err == nil {
		n[c.Size] = bytes.Clone(signed)
	}
}

func (noteFinder) Entry(_, _ []byte, _ *evidence.Hash)                      {}
func (noteFinder) Lost(uint64, evidence.Cause, string, string)              {}
func (noteFinder) BodyLost(string, string)                                  {}
func (noteFinder) Pruned(int, evidence.Hash)                                {}
func (noteFinder) Node(int, evidence.Hash, string)                          {}
func (noteFinder) Damage(_, _ uint64, _ evidence.Cause, _ string, _ string) {}

// closed waits until a channel is closed.
func (t *trail) closed(c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(30 * time.Second):
		t.Fatal("the channel was not closed within 30 s")
	}
}

func (t *trail) notClosed(c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
		t.Error("the channel is closed although nothing has changed")
	default:
	}
}

func testChanged(t *trail) {
	s := t.open()
	r := t.openReader()
	for range 3 {
		size := s.Size()
		var waiting []<-chan struct{}
		for _, s := range []storage.Store{s, s, r, r} {
			c := s.Changed(size)
			t.notClosed(c)
			waiting = append(waiting, c)
		}
		t.append(s, 2)
		for _, c := range waiting {
			t.closed(c)
		}
		for _, s := range []storage.Store{s, r} {
			if got := s.Size(); got != size+2 {
				t.Errorf("size %d after the channel was closed, want %d", got, size+2)
			}
			t.closed(s.Changed(size)) // has grown already
			t.notClosed(s.Changed(size + 2))
		}
	}
}

func testChangedClose(t *trail) {
	s := t.open()
	t.append(s, 2)
	for _, s := range []storage.Store{t.openReader(), s} {
		c := s.Changed(2)
		t.notClosed(c)
		t.close(s)
		t.closed(c)
		t.closed(s.Changed(2))
		t.closed(s.Changed(0))
	}
}

func testClose(t *trail) {
	s := t.open()
	t.append(s, 5)
	t.close(s)
	t.wantError("append", s.Append(t.w.Fork(5, 1).Batch(1)), storage.ErrClosed)
	t.close(s)
	var r storage.Record
	if err := s.Read(t.ctx, 7, &r); err == nil {
		t.Error("a closed store reads an entry that does not exist")
	}
	t.check(t.open())
}

func testReader(t *trail) {
	s := t.open()
	t.append(s, 5)
	r := t.openReader()
	t.check(r)
	t.wantError("append", r.Append(t.w.Fork(5, 1).Batch(1)), storage.ErrReadOnly)
	for range 3 {
		t.append(s, 1, 50)
		// Every method sees what is new, whichever is called first.
		fresh := t.openReader()
		t.check(fresh)
		t.readAll(r)
		t.check(r)
	}
	t.close(r)
	t.append(s, 1)
	t.check(s)
}

func testSelectSnapshot(t *trail) {
	s := t.open()
	t.append(s, 5, 5)
	selected := s.Select(t.ctx, storage.Selection{To: math.MaxUint64})
	t.append(s, 3)
	next := uint64(0)
	for i, err := range selected {
		if err != nil || i != next {
			t.Fatalf("entry %d (%v), want %d", i, err, next)
		}
		next++
		t.append(s, 1)
	}
	if next != 10 {
		t.Errorf("%d entries were selected, want the 10 that were there", next)
	}
}

func testCancelled(t *trail) {
	s := t.open()
	t.append(s, 20)
	ctx, cancel := context.WithCancel(t.ctx)
	cancel()
	var r storage.Record
	t.wantError("read", s.Read(ctx, 0, &r), context.Canceled)
	_, _, err := s.TreeAt(ctx, 20)
	t.wantError("tree", err, context.Canceled)
	_, err = s.Counts(ctx, time.Time{}, time.Time{}, time.Hour)
	t.wantError("counts", err, context.Canceled)
	_, err = s.Parts(ctx)
	t.wantError("parts", err, context.Canceled)
	for i, err := range s.Select(ctx, storage.Selection{To: 20}) {
		if t.wantError("select", err, context.Canceled); err == nil {
			t.Fatalf("selected entry %d", i)
		}
	}
	parts, err := s.Parts(t.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		t.wantError("walk", s.Walk(ctx, p, noteFinder{}), context.Canceled)
	}
}

func testCountsPeriod(t *trail) {
	s := t.open()
	t.append(s, 1)
	for _, every := range []time.Duration{0, -time.Hour, time.Minute, 90 * time.Minute, time.Hour + 1} {
		if counts, err := s.Counts(t.ctx, time.Time{}, time.Time{}, every); err == nil {
			t.Errorf("counts every %v: %v, want an error", every, counts)
		}
	}
}
