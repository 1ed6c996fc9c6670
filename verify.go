package custody

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/storage"
)

// VerifyOptions says what a trail is verified against. The zero value checks it
// against itself.
type VerifyOptions struct {
	// Key is the verifier key (vkey) that the trail began with, from a place
	// that the trail's operator cannot change. Empty: the one that the trail
	// names itself.
	Key string

	// Checkpoints are signed checkpoints of the trail that were kept
	// elsewhere. The trail must extend each of them.
	Checkpoints [][]byte

	// Since is a signed checkpoint of the trail as it was when it was last
	// verified. Only what came after it is read; what is before must still
	// have its root. nil: everything is read.
	Since []byte

	// Workers is how many goroutines verify. Default: GOMAXPROCS.
	Workers int

	// Progress, if not nil, is called now and then with the number of
	// entries done and their total, from several goroutines.
	Progress func(done, total uint64)
}

// Report is the result of a verification.
type Report struct {
	Origin string
	Size   uint64        // entries in the trail
	Root   evidence.Hash // of the tree over them, if there are no findings

	From     uint64 // first entry that was read: 0, or the size of VerifyOptions.Since
	Entries  uint64 // entries that were read
	Payloads uint64 // of those, how many have their payload

	Signed  uint64 // checkpoints whose signature was checked
	Keys    []string
	Against uint64 // largest size of a checkpoint kept elsewhere that the trail extends

	// Findings is everything that does not check out, by index. Empty, and
	// only then, the trail is as it was signed.
	Findings []evidence.Finding

	Elapsed time.Duration
}

// OK reports whether nothing was found.
func (r *Report) OK() bool { return len(r.Findings) == 0 }

// Strength says how much a report without findings is worth.
func (r *Report) Strength() string {
	if r.Against > 0 {
		return fmt.Sprintf("self-signed; entries 0 to %d also by a checkpoint that was kept elsewhere", r.Against-1)
	}
	return "self-signed only: whoever holds the signing key could have rewritten everything; a checkpoint kept elsewhere rules that out"
}

// Verify reads the whole trail again, recomputes everything from the stored
// bytes and reports all that does not check out: entries, their order, links
// and times, payloads, the tree against every stored checkpoint, signatures
// and changes of key, tiles and the search index. It believes nothing that is
// in memory. It may be called while the trail is written, for what is there when
// it begins.
//
// An error means that the verification could not be completed, not that
// something was found.
func (t *Trail) Verify(ctx context.Context, opts VerifyOptions) (*Report, error) {
	start := time.Now()
	if opts.Workers <= 0 {
		opts.Workers = runtime.GOMAXPROCS(0)
	}
	v := &verification{t: t, opts: opts, report: &Report{Origin: t.meta.Origin}}
	if err := v.prepare(ctx); err != nil {
		return nil, err
	}
	if err := v.walk(ctx); err != nil {
		return nil, err
	}
	v.join()
	if err := v.checkNotes(ctx); err != nil {
		return nil, err
	}
	v.conclude()
	v.report.Elapsed = time.Since(start)
	return v.report, nil
}

// verification is one run of Verify.
type verification struct {
	t      *Trail
	opts   VerifyOptions
	report *Report

	size  uint64        // entries that are there
	since uint64        // size of opts.Since, if the trail still extends that
	base  uint64        // where the part begins that since lies in
	known evidence.Tree // over the entries before since
	prior evidence.Tree // over the entries before base
	last  evidence.Hash // leaf hash of the entry before base
	outer []outerNote   // checkpoints that stand beside the entries or were kept elsewhere
	sizes []uint64      // of those, which the walk has to remember the tree at

	parts   []*partVerifier
	done    atomic.Uint64
	tree    evidence.Tree // over everything joined so far
	whole   bool          // tree is that of the entries; false once some could not be read
	unknown bool          // a newer version wrote a part, so how far the trail goes cannot be told
	clean   uint64        // the largest size at which a signed root is that of the tree
	differs uint64        // the smallest size at which a root differs, and that is reported
	keys    []keyFrom     // the keys in force, in order
	entries []evidence.Finding
	damage  []evidence.Finding
	torn    evidence.Finding   // taken out of damage by untear
	links   []evidence.Finding // about entries that do not name the hash of the part before
}

// outerNote is a checkpoint that is not stored among the entries.
type outerNote struct {
	signed []byte
	c      evidence.Checkpoint
	kept   bool // elsewhere; false: in the trail's directory
	since  bool // it is VerifyOptions.Since
}

// keyFrom is a key and the size from which on checkpoints are signed with it.
type keyFrom struct {
	from uint64
	key  note.Verifier
}

// prepare finds out what there is to verify.
func (v *verification) prepare(ctx context.Context) error {
	v.whole, v.differs = true, math.MaxUint64
	if err := v.t.store.MetaErr(); err != nil {
		v.found(evidence.Altered, 0, 0, "trail.json", err.Error())
	}
	first := v.opts.Key
	if first == "" {
		first = v.t.meta.Key
	}
	key, err := evidence.ParseVerifier(first)
	if err != nil {
		return fmt.Errorf("the key to verify with: %w", err)
	}
	v.keys = []keyFrom{{0, key}}

	anchors, err := v.t.store.Anchors()
	if err != nil {
		return err
	}
	add := func(signed []byte, kept, since bool) error {
		c, err := evidence.PeekCheckpoint(signed)
		if err == nil {
			v.outer = append(v.outer, outerNote{signed, c, kept, since})
			v.sizes = append(v.sizes, c.Size)
		} else if !kept {
			v.found(evidence.Altered, 0, 0, "checkpoint", "the newest checkpoint, kept beside the entries: "+err.Error())
			err = nil
		}
		return err
	}
	// Those that are kept elsewhere come first: what they rule out names the
	// cause better.
	for i, signed := range v.opts.Checkpoints {
		if err := add(signed, true, false); err != nil {
			return fmt.Errorf("checkpoint %d of those given: %w", i+1, err)
		}
	}
	if v.opts.Since != nil {
		if err := add(v.opts.Since, true, true); err != nil {
			return fmt.Errorf("the checkpoint to begin at: %w", err)
		}
	}
	// Smaller ones say from where on a larger one does not fit.
	slices.SortStableFunc(v.outer, func(a, b outerNote) int { return cmp.Compare(a.c.Size, b.c.Size) })
	for _, signed := range anchors {
		if err := add(signed, false, false); err != nil {
			return err
		}
	}
	slices.Sort(v.sizes)
	v.sizes = slices.Compact(v.sizes)

	parts, err := v.t.store.Parts(ctx)
	if err != nil {
		return err
	}
	for _, p := range parts {
		v.size = max(v.size, p.First+p.Count)
	}
	v.report.Size = v.size
	if v.opts.Since != nil {
		if err := v.skipTo(ctx, parts); err != nil {
			return err
		}
	}
	for _, p := range parts {
		if p.First+p.Count > v.since || p.Count == 0 {
			v.parts = append(v.parts, newPartVerifier(v, p))
		}
	}
	v.report.From = v.since
	return nil
}

// skipTo takes the tree up to opts.Since from the hashes that the store keeps.
// That they are right is what the root of the checkpoint says; if they are not,
// everything is read, to find out why.
func (v *verification) skipTo(ctx context.Context, parts []storage.Part) error {
	for _, o := range v.outer {
		if !o.since || o.c.Size == 0 || o.c.Size > v.size {
			continue
		}
		tree, last, err := v.t.store.TreeAt(ctx, o.c.Size)
		if err == nil && tree.Root() == o.c.Root {
			v.since = o.c.Size
			for _, p := range parts {
				if p.First <= v.since {
					v.base = p.First
				}
			}
			v.known, v.prior, v.last = tree, tree, last
			if v.base < v.since {
				v.prior, v.last, err = v.t.store.TreeAt(ctx, v.base)
			}
		}
		if err != nil && !errors.Is(err, storage.ErrAltered) {
			return err
		}
	}
	// Each statement of a change of key is signed with the key before it, so
	// the index need not be believed.
	for e, err := range v.t.Entries(ctx, Query{Types: []event.Type{event.KeyRotated}, From: 0, To: v.since}) {
		if v.since == 0 || errors.Is(err, storage.ErrAltered) {
			break
		} else if err != nil {
			return err
		}
		if ev, err := e.Event(); err == nil {
			v.rotate(rotation{e.Index, statementOf(&ev)})
		}
	}
	return nil
}

// walk reads all parts, several at a time.
func (v *verification) walk(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan *partVerifier)
	var workers sync.WaitGroup
	for range min(v.opts.Workers, len(v.parts)) {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for p := range next {
				if err := p.run(ctx); err != nil {
					cancel(err)
				}
			}
		}()
	}
	for _, p := range v.parts {
		select {
		case next <- p:
		case <-ctx.Done():
		}
	}
	close(next)
	workers.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// join puts the parts together in order: the links between them, the tree, and
// the changes of key.
func (v *verification) join() {
	v.tree = v.prior
	prev, known := v.last, v.since > 0 && v.since == v.base
	var lastTime time.Time
	at := v.base // index at which the next part should begin
	for i, p := range v.parts {
		if p.p.First > at {
			v.found(evidence.Deleted, at, p.p.First-at, p.p.Name, fmt.Sprintf("the entries from %d to %d are missing", at, p.p.First-1))
			v.whole, known = false, false
		}
		if first, ok := p.chain.FirstPrev(); ok && known && first != prev {
			v.links = append(v.links, evidence.Finding{Cause: evidence.Altered, Index: p.from, Count: 1, Where: p.p.Name,
				Detail: "the entry does not name the hash of the entry before it"})
		}
		if !lastTime.IsZero() && !p.firstTime.IsZero() && p.firstTime.Before(lastTime) {
			v.found(evidence.TimeReversed, p.from, 1, p.p.Name, fmt.Sprintf("time %s is before %s of the entry before", p.firstTime.Format(evidence.TimeLayout), lastTime.Format(evidence.TimeLayout)))
		}
		v.entries = append(v.entries, p.findings...)
		v.damage = append(v.damage, p.damage...)
		v.unknown = v.unknown || slices.ContainsFunc(p.damage, func(f evidence.Finding) bool { return f.Cause == evidence.NewerFormat })
		v.report.Entries += p.entries
		v.report.Payloads += p.payloads
		p.prefix, p.prefixWhole = v.tree.Clone(), v.whole
		for _, r := range p.rotations {
			v.rotate(r)
		}
		switch {
		case v.whole && !p.broken && fits(&v.tree, &p.tree) && (p.tree.Size() == p.p.Count || i == len(v.parts)-1):
			v.tree.Extend(&p.tree)
		case v.whole && p.root != nil:
			// Some of its entries cannot be read, but their root is kept.
			v.tree.AppendSubtree(16, *p.root)
		default:
			v.whole = false
		}
		at = p.p.First + p.p.Count
		var next uint64
		next, prev, known = p.chain.Head()
		v.size = max(v.size, next) // there may be more than readers see
		known = known && next == at && !slices.ContainsFunc(p.findings, func(f evidence.Finding) bool {
			return f.Cause == evidence.Altered && f.Index+f.Count == at // the last entry is bad, so its hash is
		})
		lastTime = p.lastTime
	}
	if len(v.parts) == 0 {
		v.tree = v.known // nothing came after it
	}
	v.report.Root = v.tree.Root()
	for _, k := range v.keys {
		v.report.Keys = append(v.report.Keys, fmt.Sprintf("%s+%s from %d", k.key.Name(), evidence.KeyID(k.key.KeyHash()), k.from))
	}
}

// fits reports whether a tree can be extended by another one: some trees that
// damaged files hold begin where no other tree of that size does.
func fits(tree, by *evidence.Tree) bool {
	n := bits.Len64(by.Size())
	return n == 0 || tree.Size()&(1<<(n-1)-1) == 0
}

func (v *verification) found(cause evidence.Cause, index, count uint64, where, detail string) {
	v.entries = append(v.entries, evidence.Finding{Cause: cause, Index: index, Count: count, Where: where, Detail: detail})
}

// rotate follows a change of key. A producer can record an event of that type
// too; only a statement that the key in force signed changes the key.
func (v *verification) rotate(r rotation) {
	current := v.keys[len(v.keys)-1].key
	if _, next, err := evidence.OpenRotation(r.statement, current); err == nil {
		v.keys = append(v.keys, keyFrom{r.index + 1, next})
	}
}

// keysAt returns the keys that a checkpoint of that size is signed with: the one
// in force and, where the trail passes to it, the one before.
func (v *verification) keysAt(size uint64) []note.Verifier {
	i := len(v.keys) - 1
	for i > 0 && size < v.keys[i].from {
		i--
	}
	keys := []note.Verifier{v.keys[i].key}
	if i > 0 && size == v.keys[i].from {
		keys = append(keys, v.keys[i-1].key)
	}
	return keys
}

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
		v.checkOuter(o)
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

// checkOuter checks a checkpoint that is not stored among the entries.
func (v *verification) checkOuter(o outerNote) {
	d := v.open(o.signed, "")
	v.report.Signed++
	where, what := "checkpoint", "the checkpoint beside the entries"
	if o.kept {
		where, what = "", fmt.Sprintf("the checkpoint of %d entries that was kept elsewhere", d.c.Size)
	}
	switch {
	case d.err != nil && (o.kept || d.other):
		index := min(v.clean, max(d.c.Size, 1)-1)
		if o.kept {
			index = 0 // it may be of another trail altogether
		}
		v.found(evidence.KeySwapped, index, 0, where, fmt.Sprintf("%s is not signed with the key that the trail goes by: %v", what, d.err))
	case d.err != nil:
		v.found(evidence.Altered, v.clean, 0, where, fmt.Sprintf("%s: %v", what, d.err))
	case d.c.Size > v.size && (v.unknown || v.untear(d.c.Size)):
		// Where the end is cannot be told, or it is told already.
	case v.size == 0:
		v.found(evidence.Wiped, 0, d.c.Size, where, fmt.Sprintf("%s covers %d entries; there is none", what, d.c.Size))
	case d.c.Size > v.size && o.kept:
		v.found(evidence.RolledBack, v.size, d.c.Size-v.size, where, fmt.Sprintf("%s; the trail has %d", what, v.size))
	case d.c.Size > v.size:
		v.found(evidence.Truncated, v.size, d.c.Size-v.size, where, fmt.Sprintf("%s covers %d entries; %d are here", what, d.c.Size, v.size))
	default:
		tree, ok := v.treeAt(d.c.Size)
		switch {
		case !ok:
			// Entries below it cannot be read; that is found already.
		case tree.Root() == d.c.Root:
			if o.kept {
				v.report.Against = max(v.report.Against, d.c.Size)
			}
		case v.explained(d.c.Size):
		case o.kept:
			v.found(evidence.Forked, v.report.Against, d.c.Size-v.report.Against, where, fmt.Sprintf("%s has another root than the trail has at that size", what))
		default:
			v.found(evidence.Altered, v.clean, 0, where, fmt.Sprintf("%s has another root than the trail has at that size", what))
		}
	}
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

// conclude puts the findings in order and leaves out those that others say
// better.
func (v *verification) conclude() {
	if v.size == 0 && len(v.entries) == 0 && !v.unknown {
		v.found(evidence.Wiped, 0, 0, "", "the trail holds no entry, not even the one that its creation wrote: there is nothing to verify")
	}
	v.narrow()
	for _, d := range v.damage {
		if d.Cause != evidence.Altered || !slices.ContainsFunc(v.entries, func(f evidence.Finding) bool {
			return f.Cause != evidence.IndexWrong && f.Index+max(f.Count, 1) > d.Index && f.Index < d.Index+max(d.Count, 1)
		}) {
			v.entries = append(v.entries, d)
		}
	}
	slices.SortStableFunc(v.entries, func(a, b evidence.Finding) int {
		switch {
		case a.Index != b.Index:
			return cmp.Compare(a.Index, b.Index)
		case a.Cause.Derived() == b.Cause.Derived():
			return 0
		case b.Cause.Derived():
			return -1
		}
		return 1
	})
	// The same entry may be found to be bad in more than one way.
	v.report.Findings = slices.CompactFunc(v.entries, func(a, b evidence.Finding) bool {
		return a.Index == b.Index && a.Cause == b.Cause && a.Count == b.Count
	})
}

// narrow leaves out of a finding about both ends of a link the end that a signed
// root vouches for.
func (v *verification) narrow() {
	for i := range v.entries {
		f := &v.entries[i]
		if f.Cause != evidence.Altered || f.Index >= v.clean || f.Index+f.Count <= v.clean {
			continue
		}
		for _, p := range v.parts {
			// Where hashes are kept they stand in for altered entries, so
			// a root does not vouch for the entries themselves.
			if p.root == nil && f.Index >= p.p.First && f.Where == p.p.Name {
				f.Index, f.Count = v.clean, f.Index+f.Count-v.clean
				break
			}
		}
	}
}

// partVerifier verifies one part on its own. It implements storage.Visitor.
type partVerifier struct {
	v     *verification
	p     storage.Part
	from  uint64 // first entry of the part that is verified
	chain *evidence.Chain

	next   uint64         // index of the next entry, by its place
	before evidence.Hash  // of the entry at next-1
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
type leaf struct{ computed, stored evidence.Hash }

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
		p.grow(evidence.LeafHash(entry), stored)
		return
	}
	if p.next == p.from && p.from > p.p.First {
		p.chain = evidence.NewChain(p.from, &p.before)
		p.chain.SetWhere(p.p.Name)
	}
	got := p.chain.Next(entry)
	p.grow(got.Hash, stored)
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
		p.report(evidence.PayloadMissing, index, "the payload is not held, and no event records why")
		p.unindexed = true
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
	var err error
	if p.keyBuf, err = extractKeys(p.keyBuf[:0], string(typ), payload); err != nil {
		p.keyBuf = p.keyBuf[:0]
	}
	for _, k := range p.keyBuf {
		p.keys.Add(k, index)
	}
	if typ == event.KeyRotated || index == 0 {
		e, err := event.ParsePayload(payload)
		if err != nil {
			return
		}
		key, _ := e.Details["key"].(string)
		switch {
		case typ == event.KeyRotated:
			p.rotations = append(p.rotations, rotation{index, statementOf(&e)})
		case typ == event.LogOpened && key != p.v.t.meta.Key:
			p.report(evidence.KeySwapped, index, fmt.Sprintf("the first entry says that the trail began with key %s; its directory says %s", key, p.v.t.meta.Key))
		}
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

// grow adds the next entry to the tree.
func (p *partVerifier) grow(computed evidence.Hash, stored *evidence.Hash) {
	if stored == nil {
		p.endBundle(nil)
		p.tree.Append(computed)
	} else {
		// Which hash counts where the two differ is decided at the end of
		// the bundle, by the tile.
		p.bundle = append(p.bundle, leaf{computed, *stored})
	}
	p.before = computed
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
			if l.computed != l.stored {
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
