package custody

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/storage"
)

// partVerifier verifies one part on its own. It implements storage.Visitor.
type partVerifier struct {
	v     *verification
	p     storage.Part
	from  uint64 // first entry of the part that is verified
	chain *evidence.Chain

	next   uint64         // index of the next entry, by its place
	before evidence.Hash  // of the entry at next-1, if linked
	linked bool           // before is known
	tree   evidence.Tree  // over the part's entries, from its first on
	broken bool           // some could not be read, so tree is not that of all
	dirty  uint64         // from here on tree may differ because entries are bad
	bundle []leaf         // entries behind the last multiple of 256, where hashes are kept
	root   *evidence.Hash // of the whole part, as it is kept

	suspect uint64   // the first bad entry, where kept hashes stand in for it
	tiles   []uint64 // first entries of bundles whose kept root is of neither the entries nor the kept hashes
	offRoot string   // what is wrong with root; empty: nothing

	notes     []placedNote
	at        map[uint64]evidence.Tree // tree at the sizes of v.sizes
	rotations []rotation
	removals  []Removal       // that entries of the part tell of
	breaks    []Break         // the same
	missing   evidence.Ranges // entries without their payload
	pruned    evidence.Ranges // entries of which only hashes are there

	keys      storage.KeySum
	keyBuf    []storage.Key
	unindexed bool // some entries or payloads could not be read
	noBody    string

	firstTime, lastTime time.Time // lastTime: of some entry in the last hour, at the end of the last one
	hour                [13]byte  // of lastTime, as entries write it
	entries, payloads   uint64
	counted             uint64

	findings []evidence.Finding
	damage   []evidence.Finding

	prefix      evidence.Tree // over everything before the part
	prefixWhole bool
}

// leaf is an entry's hash as computed, and as the store keeps it.
type leaf struct {
	computed, stored evidence.Hash
	inPlace          bool // the entry carries the index of its place
}

// placedNote is a checkpoint and the tree at the place where it stands.
type placedNote struct {
	signed []byte
	where  string
	at     uint64        // entries before it
	tree   evidence.Tree // over those of them that are in the part
	known  bool          // tree is right
}

// rotation is a change of key that an entry tells of.
type rotation struct {
	index     uint64
	statement []byte
}

func statementOf(e *event.Event) []byte {
	s, _ := e.Details["statement"].(string)
	return []byte(s)
}

func newPartVerifier(v *verification, p storage.Part) *partVerifier {
	pv := &partVerifier{v: v, p: p, from: max(p.First, v.since), next: p.First, dirty: math.MaxUint64, suspect: math.MaxUint64,
		at: make(map[uint64]evidence.Tree), chain: evidence.NewChain(p.First, nil)}
	pv.chain.SetWhere(p.Name)
	return pv
}

func (p *partVerifier) run(ctx context.Context) error {
	p.remember()
	if err := p.v.t.store.Walk(ctx, p.p, p); err != nil {
		return fmt.Errorf("%s: %w", p.p.Name, err)
	}
	p.endBundle(nil)
	p.endChain()
	p.progress(true)
	if p.unindexed || len(p.findings) > 0 || p.from > p.p.First {
		return nil
	}
	problem, err := p.v.t.store.CheckIndex(ctx, p.p, &p.keys)
	if errors.Is(err, storage.ErrNewer) {
		p.findings = append(p.findings, evidence.Finding{Cause: evidence.NewerFormat, Index: p.p.First, Count: p.p.Count, Where: p.p.Name, Detail: err.Error()})
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", p.p.Name, err)
	}
	if problem != "" {
		p.findings = append(p.findings, evidence.Finding{Cause: evidence.IndexWrong, Index: p.p.First, Count: p.p.Count, Where: p.p.Name, Detail: problem})
	}
	return nil
}

// endChain adds what the chain found, and of what else does not fit what that
// does not explain.
func (p *partVerifier) endChain() {
	found := p.chain.End()
	for _, f := range found {
		if f.Cause == evidence.TimeReversed {
			continue // it was committed like that
		}
		if p.root == nil {
			p.dirty = min(p.dirty, f.Index) // no hash is kept that would show the right one
		}
		p.suspect = min(p.suspect, f.Index)
	}
	p.findings = append(p.findings, found...)
	if next, _, _ := p.chain.Head(); p.root != nil && next < p.p.First+p.p.Count {
		p.suspect = min(p.suspect, next)
		p.findings = append(p.findings, evidence.Finding{Cause: evidence.Deleted, Index: next, Count: p.p.First + p.p.Count - next, Where: p.p.Name,
			Detail: fmt.Sprintf("the entries from %d to %d are missing", next, p.p.First+p.p.Count-1)})
	}
	for _, first := range p.tiles {
		if !slices.ContainsFunc(found, func(f evidence.Finding) bool { return f.Index < first+256 && f.Index+max(f.Count, 1) > first }) {
			p.findings = append(p.findings, evidence.Finding{Cause: evidence.Altered, Index: first, Count: 256, Where: p.p.Name,
				Detail: "the tile holds another hash for the 256 entries from here on"})
		}
	}
	if p.offRoot != "" && p.suspect == math.MaxUint64 && len(p.tiles) == 0 {
		p.findings = append(p.findings, evidence.Finding{Cause: evidence.Altered, Index: p.p.First, Count: p.p.Count, Where: p.p.Name, Detail: p.offRoot})
	}
}

func (p *partVerifier) progress(all bool) {
	if n := p.next - p.p.First - p.counted; p.v.opts.Progress != nil && (n >= 4096 || all && n > 0) {
		p.counted += n
		p.v.opts.Progress(p.v.done.Add(n), p.v.size)
	}
}

// Entry implements storage.Visitor.
func (p *partVerifier) Entry(entry, body []byte, stored *evidence.Hash) {
	if p.next < p.from {
		// The checkpoint that the verification begins at vouches for it.
		p.grow(evidence.LeafHash(entry), stored, true)
		return
	}
	p.begin()
	got := p.chain.Next(entry)
	p.grow(got.Hash, stored, got.OK && got.Index == p.next)
	p.entries++
	if !got.OK {
		p.unindexed, p.noBody = true, ""
		return
	}
	p.timed(&got)
	index := p.next - 1
	switch {
	case p.noBody != "":
		p.report(evidence.Altered, index, "its payload cannot be read: "+p.noBody)
		p.unindexed, p.noBody = true, ""
	case body == nil:
		// Whether an event says why is found out when all have been read.
		p.missing.Add(index)
		p.index(index, event.Type(got.Type), nil)
	default:
		p.payloads++
		if evidence.CommitBody(body) != got.Payload {
			p.report(evidence.Altered, index, "the payload, or its salt, is not the one that the entry commits to")
			p.unindexed = true
			return
		}
		p.payload(index, event.Type(got.Type), body[evidence.SaltSize:])
	}
}

// begin starts the chain where the verification begins within the part.
func (p *partVerifier) begin() {
	if p.next != p.from || p.from == p.p.First {
		return
	}
	var prev *evidence.Hash
	if p.linked {
		prev = &p.before
	}
	p.chain = evidence.NewChain(p.from, prev)
	p.chain.SetWhere(p.p.Name)
}

// timed takes in the time of an entry.
func (p *partVerifier) timed(got *evidence.Checked) {
	const hour = len("2006-01-02T15")
	if last := p.next == p.p.First+p.p.Count; last || string(got.Time[:hour]) != string(p.hour[:]) {
		// Parsed once an hour: until then, the one before does for counting.
		if t, err := evidence.ParseTime(got.Time); err == nil {
			if p.lastTime = t; p.firstTime.IsZero() {
				p.firstTime = t
			}
		}
		copy(p.hour[:], got.Time)
	}
	p.keys.Count(got.Type, p.lastTime.UnixMicro(), 1)
}

// payload looks at a payload that its entry commits to.
func (p *partVerifier) payload(index uint64, typ event.Type, payload []byte) {
	p.index(index, typ, payload)
	removes := typ == event.PayloadErased || typ == event.RetentionApplied
	if !removes && typ != event.KeyRotated && typ != event.TrailReanchored && index > 0 {
		return
	}
	e, err := event.ParsePayload(payload)
	if err != nil {
		return
	}
	key, _ := e.Details["key"].(string)
	switch {
	case typ == event.KeyRotated:
		p.rotations = append(p.rotations, rotation{index, statementOf(&e)})
	case typ == event.TrailReanchored:
		p.breaks = append(p.breaks, breakOf(index, &e))
	case removes:
		r, err := removalOf(index, &e)
		if err != nil {
			p.report(evidence.PayloadMissing, index, fmt.Sprintf("what it says was removed cannot be read, so it explains nothing: %v", err))
			return
		}
		p.removals = append(p.removals, r)
	case typ == event.LogOpened && key != p.v.t.meta.Key:
		p.report(evidence.KeySwapped, index, fmt.Sprintf("the first entry says that the trail began with key %s; its directory says %s", key, p.v.t.meta.Key))
	}
}

// index adds the keys that the entry has to be found by. payload is nil when none
// is held.
func (p *partVerifier) index(index uint64, typ event.Type, payload []byte) {
	var err error
	if p.keyBuf, err = extractKeys(p.keyBuf[:0], string(typ), payload); err != nil {
		p.keyBuf = p.keyBuf[:0]
	}
	for _, k := range p.keyBuf {
		p.keys.Add(k, index)
	}
}

// report adds a finding about one entry. What continues the last one is added to
// that.
func (p *partVerifier) report(cause evidence.Cause, index uint64, detail string) {
	if n := len(p.findings); n > 0 {
		if last := &p.findings[n-1]; last.Cause == cause && last.Detail == detail && last.Index+last.Count == index {
			last.Count++
			return
		}
	}
	p.findings = append(p.findings, evidence.Finding{Cause: cause, Index: index, Count: 1, Where: p.p.Name, Detail: detail})
}

// grow adds the next entry to the tree. inPlace says that it carries the index of its
// place.
func (p *partVerifier) grow(computed evidence.Hash, stored *evidence.Hash, inPlace bool) {
	if stored == nil {
		p.endBundle(nil)
		p.tree.Append(computed)
	} else {
		// Which hash counts where the two differ is decided at the end of
		// the bundle, by the tile.
		p.bundle = append(p.bundle, leaf{computed, *stored, inPlace})
	}
	p.before, p.linked = computed, true
	p.next++
	p.remember()
	if p.next%4096 == 0 {
		p.progress(false)
	}
}

// remember keeps the tree if somebody asks for it at this size.
func (p *partVerifier) remember() {
	if _, ok := slices.BinarySearch(p.v.sizes, p.next); ok && !p.broken {
		p.at[p.next] = p.treeNow()
	}
}

// treeNow returns the tree up to the next entry.
func (p *partVerifier) treeNow() evidence.Tree {
	tree := p.tree.Clone()
	for _, l := range p.bundle {
		tree.Append(l.computed)
	}
	return tree
}

// endBundle adds a bundle to the tree. tile is its root as the store keeps it;
// nil: the bundle is not whole.
func (p *partVerifier) endBundle(tile *evidence.Hash) {
	if len(p.bundle) == 0 {
		return
	}
	first := p.next - uint64(len(p.bundle))
	differ := slices.IndexFunc(p.bundle, func(l leaf) bool { return l.computed != l.stored })
	var computed evidence.Tree
	for i := range p.bundle {
		computed.Append(p.bundle[i].computed)
	}
	switch {
	case tile == nil || computed.Root() == *tile:
		for i, l := range p.bundle {
			if l.computed != l.stored {
				p.report(evidence.Altered, first+uint64(i), "the leaf hash that is kept beside the entry is not that of the entry")
			}
		}
	case differ >= 0 && p.storedRoot() == *tile:
		// The kept hashes are right, so the entries are not. With the right
		// hashes the tree goes on.
		computed = evidence.Tree{}
		for i, l := range p.bundle {
			if l.computed != l.stored && l.inPlace {
				p.chain.Mark(first+uint64(i), "its bytes do not have the hash that was committed")
			}
			computed.Append(l.stored)
		}
	default:
		p.tiles = append(p.tiles, first)
		p.dirty = min(p.dirty, first)
	}
	if p.tree.Size()%256 == 0 {
		p.tree.Extend(&computed)
	} else {
		p.broken = true // entries are missing before it
	}
	p.bundle = p.bundle[:0]
}

func (p *partVerifier) storedRoot() evidence.Hash {
	var t evidence.Tree
	for i := range p.bundle {
		t.Append(p.bundle[i].stored)
	}
	return t.Root()
}

// Lost implements storage.Visitor.
func (p *partVerifier) Lost(n uint64, cause evidence.Cause, where, detail string) {
	p.endBundle(nil)
	p.findings = append(p.findings, evidence.Finding{Cause: cause, Index: p.next, Count: n, Where: where, Detail: detail})
	p.chain.Skip(n)
	p.next += n
	p.broken, p.unindexed = true, true
	p.progress(false)
}

// BodyLost implements storage.Visitor.
func (p *partVerifier) BodyLost(_, detail string) { p.noBody = detail }

// Node implements storage.Visitor.
func (p *partVerifier) Node(level int, hash evidence.Hash, where string) {
	if level == 16 {
		p.endBundle(nil)
		p.p.Count = 1 << level // it may have been a tail, with fewer, when we began
		if p.root = &hash; !p.broken && p.tree.Root() != hash {
			p.offRoot = "the root that is kept for the segment is not that of its entries"
		}
		return
	}
	if len(p.bundle) == 1<<level {
		p.endBundle(&hash)
	} else {
		p.endBundle(nil)
	}
}

// Checkpoint implements storage.Visitor.
func (p *partVerifier) Checkpoint(signed []byte, where string) {
	n := placedNote{signed: bytes.Clone(signed), where: where, at: p.next, known: !p.broken}
	if n.known {
		n.tree = p.treeNow()
	}
	if p.next > p.from {
		p.notes = append(p.notes, n)
	}
}

// Damage implements storage.Visitor.
func (p *partVerifier) Damage(index, n uint64, cause evidence.Cause, where, detail string) {
	p.damage = append(p.damage, evidence.Finding{Cause: cause, Index: index, Count: n, Where: where, Detail: detail})
}
