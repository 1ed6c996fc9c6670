package custody

import (
	"cmp"
	"context"
	"crypto/x509"
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
	"github.com/custodylog/custody/witness"
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

	// Policy says whose cosignatures count (C2SP tlog-policy), and with which keys
	// the trail is signed. nil: cosignatures are not checked.
	Policy *evidence.Policy

	// Witnesses are asked to cosign the newest checkpoint, so that they compare the
	// trail with what they have seen of it. What they cosign counts under Policy.
	Witnesses []witness.Client

	// Roots are those of authorities whose time-stamps count (RFC 3161). nil:
	// time-stamps are not checked.
	Roots *x509.CertPool

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

	First    uint64 // minimum index: the entries before it were pruned, but for those that prove the rest
	From     uint64 // first entry that was read: 0, or the size of VerifyOptions.Since
	Entries  uint64 // entries that were read
	Payloads uint64 // of those, how many have their payload
	Pruned   uint64 // entries that were pruned, of those that are not before From

	Signed  uint64 // checkpoints whose signature was checked
	Keys    []string
	Against uint64 // largest size of a checkpoint kept elsewhere that the trail extends

	// Witnessed and Stamped are the checkpoints that a policy's witnesses cosigned,
	// and that an authority time-stamped, by size.
	Witnessed, Stamped []Attested

	// Findings is everything that does not check out, by index. Empty, and
	// only then, the trail is as it was signed.
	Findings []evidence.Finding

	// Removed lists what was removed lawfully: payloads, or entries, of which an
	// event of the trail says that and why they are gone.
	Removed []Removed

	// Breaks lists where the trail did not continue the history that it had handed
	// out, and an operator accepted that. They are no findings: nothing tells what
	// was lost but the checkpoints in them.
	Breaks []Break

	// Unchecked says what could not be checked, and why.
	Unchecked []string

	Elapsed time.Duration
}

// OK reports whether nothing was found.
func (r *Report) OK() bool { return len(r.Findings) == 0 }

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
	for attempt := 1; ; attempt++ {
		report, rewritten, err := t.verifyOnce(ctx, opts)
		if err != nil {
			return nil, err
		}
		report.Elapsed = time.Since(start)
		if report.OK() || !rewritten {
			return report, nil
		}
		if attempt == verifyAttempts {
			report.Unchecked = append(report.Unchecked, "files were rewritten while they were verified, or a removal was interrupted, so some findings may be due to that; verify again once it is done")
			return report, nil
		}
		select {
		case <-time.After(time.Duration(attempt) * 200 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// verifyAttempts is how often a trail is verified whose files are rewritten meanwhile by
// another process.
const verifyAttempts = 4

// verifyOnce verifies the trail. rewritten says that another process may have rewritten
// files meanwhile, so that findings may be due to that; this one does not.
func (t *Trail) verifyOnce(ctx context.Context, opts VerifyOptions) (report *Report, rewritten bool, err error) {
	v := &verification{t: t, opts: opts, report: &Report{Origin: t.meta.Origin}}
	// Witnesses may take their time, which is nothing that a removal should wait for.
	if err := v.askWitnesses(ctx); err != nil {
		return nil, false, err
	}
	t.removeMu.RLock()
	defer t.removeMu.RUnlock()
	rewrites := t.store.Rewrites()
	before, err := t.store.Intent()
	if err != nil {
		return nil, false, err
	}
	if err := v.prepare(ctx); err != nil {
		return nil, false, err
	}
	if err := v.walk(ctx); err != nil {
		return nil, false, err
	}
	v.join()
	v.explain()
	if err := v.checkNotes(ctx); err != nil {
		return nil, false, err
	}
	v.endAttested()
	v.conclude()
	after, err := t.store.Intent()
	return v.report, t.seq == nil && (before != nil || after != nil || t.store.Rewrites() != rewrites), err
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
	shown []byte        // the newest checkpoint as witnesses cosigned it; nil: none was asked
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

	cosigned uint64 // largest size of a checkpoint whose cosignatures were not checked
	entries  []evidence.Finding
	damage   []evidence.Finding
	torn     evidence.Finding   // taken out of damage by untear
	links    []evidence.Finding // about entries that do not name the hash of the part before
}

// outerNote is a checkpoint that is not stored among the entries.
type outerNote struct {
	signed []byte
	c      evidence.Checkpoint
	from   noteFrom
	where  string // empty: it was given
}

// noteFrom says where a checkpoint is from.
type noteFrom string

const (
	fromAnchor    noteFrom = "anchor"         // the store keeps it beside the entries
	fromElsewhere noteFrom = "elsewhere"      // it was given: it was kept elsewhere
	fromSince     noteFrom = "since"          // it was given as VerifyOptions.Since
	fromGuard     noteFrom = "guard"          // it is the last one that was handed out
	fromWitnesses noteFrom = attachedCosigned // it carries cosignatures
	fromStamp     noteFrom = attachedStamped  // it was time-stamped
)

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
	add := func(o outerNote) error {
		var err error
		if o.c, err = evidence.PeekCheckpoint(o.signed); err == nil {
			v.outer = append(v.outer, o)
			v.sizes = append(v.sizes, o.c.Size)
		} else if o.from == fromAnchor {
			v.found(evidence.Altered, 0, 0, "checkpoint", "the newest checkpoint, kept beside the entries: "+err.Error())
			err = nil
		}
		return err
	}
	// Those that are kept elsewhere come first: what they rule out names the
	// cause better.
	for i, signed := range v.opts.Checkpoints {
		if err := add(outerNote{signed: signed, from: fromElsewhere}); err != nil {
			return fmt.Errorf("checkpoint %d of those given: %w", i+1, err)
		}
	}
	if v.opts.Since != nil {
		if err := add(outerNote{signed: v.opts.Since, from: fromSince}); err != nil {
			return fmt.Errorf("the checkpoint to begin at: %w", err)
		}
	}
	last, err := v.t.lastHandedOut()
	if err == nil && last != nil {
		err = add(outerNote{signed: last, from: fromGuard})
	}
	if err != nil {
		v.unchecked("whether the trail extends the last checkpoint that it handed out: %v", err)
	}
	if err := v.addAttested(add); err != nil {
		return err
	}
	// Smaller ones say from where on a larger one does not fit.
	slices.SortStableFunc(v.outer, func(a, b outerNote) int { return cmp.Compare(a.c.Size, b.c.Size) })
	for _, signed := range anchors {
		if err := add(outerNote{signed: signed, from: fromAnchor, where: "checkpoint"}); err != nil {
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
	v.report.From, v.report.First = v.since, v.t.store.First()
	return nil
}

// skipTo takes the tree up to opts.Since from the hashes that the store keeps.
// That they are right is what the root of the checkpoint says; if they are not,
// everything is read, to find out why.
func (v *verification) skipTo(ctx context.Context, parts []storage.Part) error {
	for _, o := range v.outer {
		if o.from != fromSince || o.c.Size == 0 || o.c.Size > v.size {
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
		if err != nil && !errors.Is(err, storage.ErrAltered) && !errors.Is(err, storage.ErrPruned) {
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
	for e, err := range v.t.Entries(ctx, Query{Types: []event.Type{event.TrailReanchored}, From: 0, To: v.since}) {
		if v.since == 0 || errors.Is(err, storage.ErrAltered) {
			break
		} else if err != nil {
			return err
		}
		if ev, err := e.Event(); err == nil {
			v.report.Breaks = append(v.report.Breaks, breakOf(e.Index, &ev))
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
		v.report.Pruned += p.pruned.Count()
		v.report.Breaks = append(v.report.Breaks, p.breaks...)
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
		v.report.Size = max(v.report.Size, at)
		var next uint64
		next, prev, known = p.chain.Head()
		v.size = max(v.size, next) // there may be more than readers see
		known = known && next == at && !slices.ContainsFunc(p.findings, func(f evidence.Finding) bool {
			return f.Cause == evidence.Altered && f.Index+f.Count == at // the last entry is bad, so its hash is
		})
		if !p.lastTime.IsZero() {
			lastTime = p.lastTime
		}
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

func (v *verification) unchecked(format string, args ...any) {
	v.report.Unchecked = append(v.report.Unchecked, fmt.Sprintf(format, args...))
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
