package custody

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/custodylog/custody/evidence"
)

// verdict is what became of one checkpoint.
type verdict struct {
	c     evidence.Checkpoint
	where string
	err   error // it is not signed with the right key
	other bool  // it is signed, but in the name of other keys only
}

// open checks the signature of a checkpoint.
func (v *verification) open(signed []byte, where string) verdict {
	peek, err := evidence.PeekCheckpoint(signed)
	if err != nil {
		return verdict{where: where, err: err}
	}
	keys := v.keysAt(peek.Size)
	c, by, err := evidence.OpenCheckpoint(signed, keys...)
	for _, key := range keys {
		if err == nil && !slices.Contains(by, key.KeyHash()) {
			err = fmt.Errorf("it is not signed with key %s", evidence.KeyID(key.KeyHash()))
		}
	}
	if err != nil {
		by, kerr := evidence.SignatureKeys(signed)
		return verdict{peek, where, err, kerr == nil && len(by) > 0 && !slices.Contains(by, keys[0].KeyHash())}
	}
	if c.Origin != keys[0].Name() {
		err = fmt.Errorf("it is one of %q", c.Origin)
	}
	return verdict{c, where, err, false}
}

// checkNotes checks every checkpoint: its signature, and its root against the
// tree at that size.
func (v *verification) checkNotes(ctx context.Context) error {
	v.clean = v.since
	var bad []badNote // behind the largest size that a checkpoint vouches for
	for _, p := range v.parts {
		verdicts, err := v.openAll(ctx, p)
		if err != nil {
			return err
		}
		end := p.p.First + p.p.Count
		ended := false
		for i := range p.notes {
			ended = ended || verdicts[i].c.Size == end
			b, vouches := v.judge(p, &p.notes[i], &verdicts[i])
			if b != nil {
				bad = append(bad, *b)
			}
			if vouches {
				// What it vouches for is as it was, whatever is wrong
				// with the checkpoints before it.
				v.clean = max(v.clean, verdicts[i].c.Size)
				v.each(bad)
				bad = nil
			}
		}
		if p.root != nil && !ended {
			v.found(evidence.Altered, end-1, 1, p.p.Name, "the checkpoint that every segment ends with is missing")
		}
	}
	switch {
	case len(bad) > 0 && v.dirty(bad[0].size):
		v.each(bad)
	case len(bad) > 0:
		// Nobody vouches for what stands behind the last good one.
		f := bad[0].Finding
		f.Index, f.Count = v.clean, max(v.size, bad[0].size)-v.clean
		if n := len(bad) - 1; n > 0 {
			f.Detail += fmt.Sprintf("; nor does any of the %d checkpoints behind it check out", n)
		}
		v.entries = append(v.entries, f)
	case v.clean < v.size && v.whole && !v.explained(v.size):
		v.found(evidence.Unsigned, v.clean, v.size-v.clean, "", "no checkpoint covers the entries behind the last one")
	}
	for _, f := range v.links {
		if len(bad) == 0 || f.Index <= v.clean {
			v.entries = append(v.entries, f)
		}
	}
	for _, o := range v.outer {
		if err := v.checkOuter(o); err != nil {
			return err
		}
	}
	return nil
}

// badNote is a checkpoint among the entries that does not check out. Its finding
// concerns the last entry that it should cover.
type badNote struct {
	evidence.Finding
	size uint64 // entries before it
}

// each adds what is wrong with each checkpoint, those in a row that the same is
// wrong with as one.
func (v *verification) each(bad []badNote) {
	for i := 0; i < len(bad); {
		f, j := bad[i].Finding, i+1
		for j < len(bad) && bad[j].Cause == f.Cause && bad[j].Where == f.Where {
			j++
		}
		if n := j - 1 - i; n > 0 {
			f.Count = bad[j-1].Index + 1 - f.Index
			f.Detail += fmt.Sprintf("; nor does any of the %d checkpoints behind it check out", n)
		}
		v.entries = append(v.entries, f)
		i = j
	}
}

// judge looks at one checkpoint. It vouches if it is signed and the entries have
// its root.
func (v *verification) judge(p *partVerifier, n *placedNote, d *verdict) (bad *badNote, vouches bool) {
	index := max(n.at, 1) - 1
	is := func(cause evidence.Cause, format string, args ...any) *badNote {
		return &badNote{evidence.Finding{Cause: cause, Index: index, Count: 1, Where: d.where, Detail: fmt.Sprintf(format, args...)}, n.at}
	}
	switch {
	case d.err != nil && d.other:
		return is(evidence.KeySwapped, "the checkpoint of %d entries: %v", d.c.Size, d.err), false
	case d.err != nil:
		return is(evidence.Altered, "the checkpoint behind entry %d: %v", index, d.err), false
	case !n.known:
		return nil, false
	case d.c.Size != n.at:
		if v.explained(d.c.Size) || v.suspected(d.c.Size) {
			return nil, false
		}
		return is(evidence.Altered, "a checkpoint of %d entries stands behind %d", d.c.Size, n.at), false
	case !p.prefixWhole || !fits(&p.prefix, &n.tree):
		return nil, false
	}
	tree := p.prefix.Clone()
	tree.Extend(&n.tree)
	if tree.Root() == d.c.Root {
		return nil, true
	}
	if v.explained(d.c.Size) || v.suspected(d.c.Size) {
		return nil, false
	}
	v.differs = min(v.differs, d.c.Size)
	return is(evidence.Altered, "the entries do not have the root that was signed for %d of them; all up to %d do", d.c.Size, v.clean), false
}

// suspected reports whether there is a bad entry below size for which a hash is
// kept that cannot be right either, since the root at that size differs.
func (v *verification) suspected(size uint64) bool {
	found := false
	for _, p := range v.parts {
		if p.suspect < size {
			p.dirty = min(p.dirty, p.suspect)
			found = true
		}
	}
	return found
}

// explained reports whether it is known already that the root at that size
// differs, so that this tells nothing new.
func (v *verification) explained(size uint64) bool { return v.differs <= size || v.dirty(size) }

// dirty reports whether the hash of an entry below size is known to be wrong.
func (v *verification) dirty(size uint64) bool {
	return slices.ContainsFunc(v.parts, func(p *partVerifier) bool { return p.dirty < size })
}

// openAll checks the signatures of a part's checkpoints, several at a time.
func (v *verification) openAll(ctx context.Context, p *partVerifier) ([]verdict, error) {
	verdicts := make([]verdict, len(p.notes))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(v.opts.Workers, len(p.notes)) {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(p.notes) {
					return
				}
				verdicts[i] = v.open(p.notes[i].signed, p.notes[i].where)
			}
		}()
	}
	workers.Wait()
	v.report.Signed += uint64(len(p.notes))
	return verdicts, ctx.Err()
}

// checkOuter checks a checkpoint that is not stored among the entries. It fails
// for one that cannot be compared with the trail any more.
func (v *verification) checkOuter(o outerNote) error {
	d := v.open(o.signed, "")
	v.report.Signed++
	where, what, kept := o.where, "", o.from != fromAnchor
	switch o.from {
	case fromAnchor:
		what = "the checkpoint beside the entries"
	case fromGuard:
		what = fmt.Sprintf("the checkpoint of %d entries that was handed out last", d.c.Size)
	case fromWitnesses:
		what = fmt.Sprintf("the checkpoint of %d entries that was cosigned", d.c.Size)
	case fromStamp:
		what = fmt.Sprintf("the checkpoint of %d entries that was time-stamped", d.c.Size)
	default:
		what = fmt.Sprintf("the checkpoint of %d entries that was kept elsewhere", d.c.Size)
	}
	switch {
	case o.from == fromGuard && d.c.Size > v.size && v.size > 0 && !v.unknown:
		// Who can write it has the key, so its signature says nothing more; and it
		// may be of a key that the trail, set back, does not know.
		v.found(evidence.RolledBack, v.size, d.c.Size-v.size, where, fmt.Sprintf("%s; the trail has %d", what, v.size))
	case d.err != nil && (kept || d.other):
		index := min(v.clean, max(d.c.Size, 1)-1)
		if kept {
			index = 0 // it may be of another trail altogether
		}
		v.found(evidence.KeySwapped, index, 0, where, fmt.Sprintf("%s is not signed with the key that the trail goes by: %v", what, d.err))
	case d.err != nil:
		v.found(evidence.Altered, v.clean, 0, where, fmt.Sprintf("%s: %v", what, d.err))
	case d.c.Size > v.size && (v.unknown || v.untear(d.c.Size)):
		// Where the end is cannot be told, or it is told already.
	case v.size == 0:
		v.found(evidence.Wiped, 0, d.c.Size, where, fmt.Sprintf("%s covers %d entries; there is none", what, d.c.Size))
	case d.c.Size > v.size && kept:
		v.found(evidence.RolledBack, v.size, d.c.Size-v.size, where, fmt.Sprintf("%s; the trail has %d", what, v.size))
	case d.c.Size > v.size:
		v.found(evidence.Truncated, v.size, d.c.Size-v.size, where, fmt.Sprintf("%s covers %d entries; %d are here", what, d.c.Size, v.size))
	default:
		tree, ok := v.treeAt(d.c.Size)
		switch {
		case !ok && d.c.Size < v.report.First && o.from == fromGuard:
			// It is older than what was pruned since.
		case !ok && d.c.Size < v.report.First && o.where != "":
			v.unchecked("%s: the entries around it were pruned", what)
		case !ok && d.c.Size < v.report.First:
			return fmt.Errorf("%s cannot be compared with the trail: the entries around it were pruned; a checkpoint of %d entries or more can", what, v.report.First)
		case !ok:
			// Entries below it cannot be read; that is found already.
		case tree.Root() == d.c.Root:
			if o.from == fromElsewhere || o.from == fromSince {
				v.report.Against = max(v.report.Against, d.c.Size)
			}
			v.attest(&o)
		case v.explained(d.c.Size):
		case kept:
			v.found(evidence.Forked, v.report.Against, d.c.Size-v.report.Against, where, fmt.Sprintf("%s has another root than the trail has at that size", what))
		default:
			v.found(evidence.Altered, v.clean, 0, where, fmt.Sprintf("%s has another root than the trail has at that size", what))
		}
	}
	return nil
}

// untear tells of a last commit that seems to be cut short by a crash, but that
// a signed checkpoint covers: it was whole once. It reports whether there is one.
func (v *verification) untear(size uint64) bool {
	i := slices.IndexFunc(v.damage, func(f evidence.Finding) bool { return f.Cause == evidence.Torn && f.Index == v.size })
	if i >= 0 {
		v.torn = v.damage[i]
		v.damage = slices.Delete(v.damage, i, i+1)
		v.found(evidence.Altered, v.size, size-v.size, v.torn.Where, v.torn.Detail+"; but a signed checkpoint covers it, so it was acknowledged")
	}
	return v.torn.Cause == evidence.Torn
}

// treeAt returns the tree at one of v.sizes.
func (v *verification) treeAt(size uint64) (evidence.Tree, bool) {
	if size == v.since {
		return v.known.Clone(), true
	}
	for _, p := range v.parts {
		if local, ok := p.at[size]; ok && fits(&p.prefix, &local) {
			tree := p.prefix.Clone()
			tree.Extend(&local)
			return tree, p.prefixWhole
		}
	}
	if size <= v.base {
		tree, _, err := v.t.store.TreeAt(context.Background(), size)
		return tree, err == nil
	}
	return evidence.Tree{}, false
}
