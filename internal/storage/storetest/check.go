package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/storage"
)

// Check reads everything that a store holds and compares it with the first size
// entries of w: their bytes and payloads, in order, the checkpoints that stand
// between them, every hash of the tree that the store keeps, the search index,
// and where the store says that the trail ends. Any damage that the store tells
// of is an error too, unless it concerns no entry and has one of the causes
// given. size is that of a commit, or 0.
func (w *Writer) Check(ctx context.Context, s storage.Store, size uint64, expected ...evidence.Cause) error {
	return errors.Join(w.checkHead(ctx, s, size), w.checkParts(ctx, s, size, expected))
}

func (w *Writer) checkHead(ctx context.Context, s storage.Store, size uint64) error {
	var errs []error
	if got := s.First(); got != w.first {
		errs = append(errs, fmt.Errorf("minimum index %d, want %d", got, w.first))
	}
	if got := s.Size(); got != size {
		errs = append(errs, fmt.Errorf("size %d, want %d", got, size))
	}
	head := s.Head()
	if got := head.Tree.Size(); got != size || head.Tree.Root() != w.Root(size) {
		errs = append(errs, fmt.Errorf("head has the tree of %d entries with root %v, want %d and %v", got, head.Tree.Root(), size, w.Root(size)))
	}
	var last storage.Item
	if size > 0 {
		last = w.entries[size-1]
	}
	commit, _ := w.commitAt(size)
	if head.Hash != last.Hash || head.Time != last.Time {
		errs = append(errs, fmt.Errorf("head has hash %v and time %d of the last entry, want %v and %d", head.Hash, head.Time, last.Hash, last.Time))
	}
	if got, err := s.Checkpoint(); err != nil || !bytes.Equal(got, commit.Checkpoint) {
		errs = append(errs, fmt.Errorf("newest checkpoint %q (%v), want %q", got, err, commit.Checkpoint))
	}
	if tree, hash, err := s.TreeAt(ctx, size); err != nil || tree.Size() != size || tree.Root() != w.Root(size) || hash != last.Hash {
		errs = append(errs, fmt.Errorf("tree at %d: size %d, root %v, last hash %v (%v)", size, tree.Size(), tree.Root(), hash, err))
	}
	anchors, err := s.Anchors()
	for _, a := range anchors {
		c, perr := evidence.PeekCheckpoint(a)
		if perr != nil || c.Size > size || c.Root != w.Root(c.Size) {
			err = errors.Join(err, fmt.Errorf("a checkpoint beside the entries is none of the trail (%v): %q", perr, a))
		}
	}
	return errors.Join(append(errs, err)...)
}

func (w *Writer) checkParts(ctx context.Context, s storage.Store, size uint64, expected []evidence.Cause) error {
	parts, err := s.Parts(ctx)
	if err != nil {
		return fmt.Errorf("parts: %w", err)
	}
	c := walkCheck{w: w, size: size, expected: expected}
	for _, p := range parts {
		c.part, c.keys, c.before = p, storage.KeySum{}, nil
		if p.First != c.next {
			c.fault("it begins at entry %d, want %d", p.First, c.next)
			c.next = p.First
		}
		if err := s.Walk(ctx, p, &c); err != nil {
			c.fault("walk: %w", err)
		}
		if got := c.next - p.First; got != p.Count {
			c.fault("%d entries were found, %d are listed", got, p.Count)
		}
		if wrong, err := s.CheckIndex(ctx, p, &c.keys); err != nil || wrong != "" {
			c.fault("index: %q (%v)", wrong, err)
		}
	}
	c.part = storage.Part{Name: "end"}
	if c.next != size {
		c.fault("%d entries, want %d", c.next, size)
	}
	if size > 0 && c.noted != size {
		c.fault("the newest checkpoint that was found is that of size %d, want %d", c.noted, size)
	}
	return errors.Join(c.errs...)
}

// walkCheck compares what a walk finds with what was written. It implements
// storage.Visitor.
type walkCheck struct {
	w        *Writer
	size     uint64
	expected []evidence.Cause
	part     storage.Part
	next     uint64 // index of the next entry
	before   []byte // the entry before, which is valid until the next was taken
	noted    uint64 // size of the last checkpoint
	keys     storage.KeySum
	errs     []error
}

func (c *walkCheck) fault(format string, args ...any) {
	if len(c.errs) < 20 { // one cause often has thousands of effects
		c.errs = append(c.errs, fmt.Errorf("%s: "+format, append([]any{c.part.Name}, args...)...))
	}
}

// Entry implements storage.Visitor.
func (c *walkCheck) Entry(entry, body []byte, hash *evidence.Hash) {
	i := c.next
	c.next++
	if before := c.before; before != nil && i > 0 && i <= c.size && !bytes.Equal(before, c.w.entries[i-1].Entry) {
		c.fault("the bytes of entry %d changed before the next one was handed over", i-1)
	}
	c.before = entry
	if i >= c.size {
		c.fault("entry %d was never committed", i)
		return
	}
	if c.w.Pruned(i) {
		c.fault("entry %d was pruned, and is there", i)
	}
	want := &c.w.entries[i]
	if !bytes.Equal(entry, want.Entry) {
		c.fault("entry %d is %q, want %q", i, entry, want.Entry)
	}
	if !bytes.Equal(body, want.Body) || (body == nil) != (want.Body == nil) {
		c.fault("the payload of entry %d is %q, want %q", i, body, want.Body)
	}
	if hash != nil && *hash != want.Hash {
		c.fault("the hash that is kept of entry %d is %v, want %v", i, *hash, want.Hash)
	}
	for _, k := range want.Keys {
		c.keys.Add(k, i)
	}
	c.keys.Count([]byte(want.Type), want.Time, 1)
}

// Node implements storage.Visitor.
func (c *walkCheck) Node(level int, hash evidence.Hash, _ string) {
	if level < 0 || level > 63 || c.next == 0 || c.next&(1<<level-1) != 0 || c.next-c.part.First < 1<<level || c.next > c.size {
		c.fault("a hash of level %d comes behind %d entries", level, c.next)
	} else if want := c.w.Node(level, c.next); hash != want {
		c.fault("the hash over the %d entries before entry %d is %v, want %v", 1<<level, c.next, hash, want)
	}
}

// Pruned implements storage.Visitor.
func (c *walkCheck) Pruned(level int, hash evidence.Hash) {
	n := uint64(1) << level
	if c.next%n != 0 || c.next+n > c.size {
		c.fault("%d pruned entries come behind %d entries", n, c.next)
		return
	}
	for i := c.next; i < c.next+n; i++ {
		if !c.w.Pruned(i) {
			c.fault("entry %d is said to be pruned", i)
		}
	}
	c.next += n
	c.before = nil
	if want := c.w.Node(level, c.next); hash != want {
		c.fault("the hash over %d pruned entries before entry %d is %v, want %v", n, c.next, hash, want)
	}
}

// Checkpoint implements storage.Visitor.
func (c *walkCheck) Checkpoint(signed []byte, _ string) {
	peek, err := evidence.PeekCheckpoint(signed)
	if err != nil {
		c.fault("checkpoint behind entry %d: %w", c.next, err)
		return
	}
	if peek.Size != c.next {
		c.fault("the checkpoint of size %d stands behind %d entries", peek.Size, c.next)
	}
	if peek.Size <= c.noted {
		c.fault("the checkpoint of size %d comes behind that of size %d", peek.Size, c.noted)
	}
	commit, ok := c.w.commitAt(peek.Size)
	if !ok || !bytes.Equal(signed, commit.Checkpoint) {
		c.fault("the checkpoint of size %d is %q, want %q", peek.Size, signed, commit.Checkpoint)
	}
	c.noted = peek.Size
}

// Lost implements storage.Visitor.
func (c *walkCheck) Lost(n uint64, cause evidence.Cause, where, detail string) {
	c.fault("%d entries from %d on are lost: %s, %s: %s", n, c.next, cause, where, detail)
	c.next += n
}

// BodyLost implements storage.Visitor.
func (c *walkCheck) BodyLost(where, detail string) {
	c.fault("the payload of entry %d is lost: %s: %s", c.next, where, detail)
}

// Damage implements storage.Visitor.
func (c *walkCheck) Damage(index, n uint64, cause evidence.Cause, where, detail string) {
	if n == 0 && slices.Contains(c.expected, cause) {
		return
	}
	c.fault("damage to %d entries from %d on: %s, %s: %s", n, index, cause, where, detail)
}
