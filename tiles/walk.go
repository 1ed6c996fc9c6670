package tiles

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/custodylog/custody/evidence"
)

// checker is one run of Check.
//
// The tree is walked from its root down. A tile whose hashes give the hash that is
// known of it is vouched for, and so are the hashes in it: what is below is compared
// with them, which tells exactly what is wrong. Where a tile is not vouched for, the
// hashes of what is below take its place, and have to give what is known of the tile.
type checker struct {
	src    Source
	opts   CheckOptions
	report *Report
	since  *evidence.Checkpoint // nil: none was given that can be compared

	queue <-chan *bundle
	chain *evidence.Chain
	tree  evidence.Tree // over all that was walked
	whole bool          // every hash in tree is known; false: it ends where one is not

	vouched   bool           // the checkpoint's root vouches for the tiles that it is computed from
	doubtful  bool           // something below them is not what they say, so that tree may not be the signed one
	sinceRoot *evidence.Hash // of tree at the size of since

	gone    map[int]*goneTiles // of each level, the last run of tiles that are not there
	missing []evidence.Finding // bundles that are not there, those in a row as one
	damage  []evidence.Finding // what is wrong with bundles, unless the chain says it better
}

// node is a hash in the tree, if it is known.
type node struct {
	hash  evidence.Hash
	known bool
}

// goneTiles is a run of tiles that are not there.
type goneTiles struct {
	next uint64 // index of the tile behind them
	n    int
	at   int // place of their finding
}

// join returns the hash of a tile from the hashes in it.
func join(level int, nodes []node) node {
	hashes := make([]evidence.Hash, len(nodes))
	for i, n := range nodes {
		if !n.known {
			return node{}
		}
		hashes[i] = n.hash
	}
	return node{evidence.Join(8*level, hashes), true}
}

// walk reads all tiles and bundles from the minimum index on.
func (c *checker) walk(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	queue, fetching := c.bundles(ctx, c.report.Minimum/evidence.TileWidth, (c.report.Size-1)/evidence.TileWidth)
	defer fetching.Wait()
	defer cancel()
	c.queue, c.chain, c.whole, c.gone = queue, evidence.NewChain(c.report.Minimum, nil), true, map[int]*goneTiles{}

	// The root is computed from the partial tiles: what is in them is in no tile above.
	var partial []evidence.Tile // the highest first
	var served []*hashTile
	var root evidence.Tree
	c.vouched = true
	for level := 7; level >= 0; level-- {
		hashes := c.report.Size >> (8 * level)
		if hashes%evidence.TileWidth == 0 {
			continue
		}
		t := c.tileAt(level, hashes/evidence.TileWidth)
		tile, err := c.loadHashes(ctx, t)
		if err != nil {
			return err
		}
		partial, served = append(partial, t), append(served, tile)
		c.vouched = c.vouched && tile.hashes != nil
		for _, h := range tile.hashes {
			if c.vouched {
				root.AppendSubtree(8*level, h)
			}
		}
	}
	c.vouched = c.vouched && root.Root() == c.report.Root
	for i, t := range partial {
		nodes, err := c.below(ctx, t, served[i], c.vouched)
		if err != nil {
			return err
		}
		c.judge(t, served[i], c.vouched, false, nodes)
	}
	return nil
}

// full checks a full tile and all that is below it. want is what is known of its hash.
// It returns the hash that it should have.
func (c *checker) full(ctx context.Context, t evidence.Tile, want node) (node, error) {
	var b *bundle
	var tile *hashTile
	var err error
	if t.Level == 0 {
		if b, err = c.next(ctx); err == nil {
			tile = b.tile
		}
	} else {
		tile, err = c.loadHashes(ctx, t)
	}
	if err != nil {
		return node{}, err
	}
	vouched := want.known && tile.hashes != nil && evidence.Join(8*t.Level, tile.hashes) == want.hash
	var nodes []node
	if t.Level == 0 {
		nodes = c.leaves(b, tile, vouched)
	} else if nodes, err = c.below(ctx, t, tile, vouched); err != nil {
		return node{}, err
	}
	if vouched {
		return want, nil
	}
	c.judge(t, tile, false, want.known, nodes)
	got := join(t.Level, nodes)
	if !want.known {
		return got, nil
	}
	if got != want {
		c.doubtful = true
		first, count := span(t)
		c.damage = append(c.damage, evidence.Finding{Cause: evidence.Altered, Index: first, Count: count, Where: c.bundlePath(first),
			Detail: fmt.Sprintf("the entries from %d to %d do not have the hash that the signed tree has for them", first, first+count-1)})
	}
	return want, nil
}

// below checks all that is below a tile, and returns the hashes that should be in it.
func (c *checker) below(ctx context.Context, t evidence.Tile, tile *hashTile, vouched bool) ([]node, error) {
	if t.Level == 0 {
		b, err := c.next(ctx)
		if err != nil {
			return nil, err
		}
		return c.leaves(b, tile, vouched), nil
	}
	nodes := make([]node, t.Width)
	for i := range nodes {
		child := evidence.Tile{Level: t.Level - 1, Index: t.Index*evidence.TileWidth + uint64(i), Width: evidence.TileWidth}
		var claimed node
		if tile.hashes != nil {
			claimed = node{tile.hashes[i], true}
		}
		if first, count := span(child); first+count <= c.report.Minimum {
			nodes[i] = claimed
			c.extend(8*t.Level, claimed)
			continue
		}
		var want node
		if vouched {
			want = claimed
		}
		var err error
		if nodes[i], err = c.full(ctx, child, want); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

// next returns the next bundle.
func (c *checker) next(ctx context.Context) (*bundle, error) {
	b, ok := <-c.queue
	if !ok {
		return nil, ctx.Err() // nothing else keeps a bundle from coming
	}
	<-b.fetched
	return b, b.err
}

// leaves checks the entries of a bundle, and returns the leaf hashes that should be in
// their tile.
func (c *checker) leaves(b *bundle, tile *hashTile, vouched bool) []node {
	first := b.t.Index * evidence.TileWidth
	c.entries(b, tile, vouched)
	nodes := make([]node, b.t.Width)
	for i := range nodes {
		switch {
		case tile.hashes != nil && (vouched || b.leaves == nil):
			nodes[i] = node{tile.hashes[i], true}
		case b.leaves != nil:
			nodes[i] = node{b.leaves[i], true}
		}
	}
	if at := c.since; at != nil && at.Size >= first && at.Size <= first+uint64(b.t.Width) {
		before := checker{tree: c.tree.Clone(), whole: c.whole}
		for _, n := range nodes[:at.Size-first] {
			before.extend(0, n)
		}
		if root := before.tree.Root(); before.whole {
			c.sinceRoot = &root
		}
	}
	if b.t.Width == evidence.TileWidth {
		c.extend(8, join(0, nodes))
	} else {
		for _, n := range nodes {
			c.extend(0, n)
		}
	}
	if c.opts.Progress != nil {
		c.opts.Progress(first+uint64(b.t.Width)-c.report.Minimum, c.report.Size-c.report.Minimum)
	}
	return nodes
}

// extend adds a perfect subtree of 2^level entries to the tree.
func (c *checker) extend(level int, n node) {
	c.whole = c.whole && n.known
	if c.whole {
		c.tree.AppendSubtree(level, n.hash)
	}
}

// entries gives the entries of a bundle to the chain, and notes what is wrong with it.
func (c *checker) entries(b *bundle, tile *hashTile, vouched bool) {
	first, width := b.t.Index*evidence.TileWidth, uint64(b.t.Width)
	if b.entries == nil && errors.Is(b.wrong, fs.ErrNotExist) {
		c.chain.Skip(width)
		if n := len(c.missing); n > 0 && c.missing[n-1].Index+c.missing[n-1].Count == first {
			c.missing[n-1].Count += width
			return
		}
		c.missing = append(c.missing, evidence.Finding{Index: first, Count: width, Where: b.path})
		return
	}
	c.report.Entries += uint64(len(b.entries))
	for i, entry := range b.entries {
		got := c.chain.Next(entry)
		if at := first + uint64(i); vouched && b.leaves != nil && b.leaves[i] != tile.hashes[i] && got.OK && got.Index == at {
			c.chain.Mark(at, "its hash is not the one in "+tile.path+", which the checkpoint vouches for")
		}
	}
	if b.wrong != nil {
		at := first + min(uint64(len(b.entries)), width-1)
		c.damage = append(c.damage, evidence.Finding{Cause: evidence.Altered, Index: at, Where: b.path, Detail: b.wrong.Error()})
		if len(b.entries) == 0 {
			c.chain.Skip(width)
		}
	}
}

// judge tells what is wrong with a tile itself. It is of the tree when its hash is
// known to be another one. nodes are the hashes that should be in it.
func (c *checker) judge(t evidence.Tile, tile *hashTile, vouched, known bool, nodes []node) {
	first, count := span(t)
	switch {
	case vouched:
		return
	case errors.Is(tile.wrong, fs.ErrNotExist):
		c.lost(t, tile.path)
		return
	case tile.wrong != nil:
		c.found(evidence.Altered, first, 0, tile.path, tile.wrong.Error())
		return
	}
	for i, n := range nodes {
		if n.known && n.hash != tile.hashes[i] {
			at := first + uint64(i)*(count/uint64(t.Width))
			c.found(evidence.Altered, at, 0, tile.path, fmt.Sprintf("its hash %d is not that of what it stands for, which begins with entry %d", i, at))
			return
		}
	}
	if known {
		c.found(evidence.Altered, first, 0, tile.path, "its hashes do not give the one that the signed tree has for it")
	}
}

// lost reports a tile that is not there. Those in a row are one finding, so that a log
// without tiles takes no memory without end.
func (c *checker) lost(t evidence.Tile, path string) {
	run := c.gone[t.Level]
	if run == nil || run.next != t.Index {
		run = &goneTiles{at: len(c.report.Findings)}
		c.gone[t.Level] = run
		first, _ := span(t)
		c.found(evidence.Deleted, first, 0, path, "the log does not serve this tile, which has to be there")
	}
	run.next, run.n = t.Index+1, run.n+1
	if run.n > 1 {
		c.report.Findings[run.at].Detail = fmt.Sprintf("the log does not serve this tile and the %d behind it, which have to be there", run.n-1)
	}
}

// span returns the entries that a tile of the tree stands for.
func span(t evidence.Tile) (first, count uint64) {
	return t.Index << (8 * (t.Level + 1)), uint64(t.Width) << (8 * t.Level)
}

// bundlePath returns the path of the bundle that an entry is in, or the last.
func (c *checker) bundlePath(index uint64) string {
	return c.tileAt(evidence.EntriesLevel, min(index, c.report.Size-1)/evidence.TileWidth).Path()
}

// conclude puts together what was found.
func (c *checker) conclude() {
	r := c.report
	chain := c.chain.End()
	for i := range chain {
		chain[i].Where = c.bundlePath(chain[i].Index)
	}
	if next, _, _ := c.chain.Head(); next < r.Size {
		chain = append(chain, evidence.Finding{Cause: evidence.Truncated, Index: next, Count: r.Size - next, Where: c.bundlePath(next),
			Detail: fmt.Sprintf("it ends before entry %d, and the checkpoint covers %d", next, r.Size)})
	}
	for _, f := range c.missing {
		f.Cause, f.Detail = evidence.Deleted, "the log does not serve the bundles of these entries"
		switch {
		case r.Entries == 0 && r.Minimum == 0:
			f.Cause = evidence.Wiped
		case f.Index+f.Count == r.Size:
			f.Cause = evidence.Truncated
		}
		chain = append(chain, f)
	}
	explained := func(d *evidence.Finding) bool {
		return slices.ContainsFunc(chain, func(f evidence.Finding) bool { return explains(&f, d) })
	}
	c.damage = slices.DeleteFunc(c.damage, func(d evidence.Finding) bool { return explained(&d) })
	entries := append(chain, c.damage...)
	r.Findings = append(r.Findings, entries...)
	c.compareRoots(entries)
	slices.SortStableFunc(r.Findings, func(a, b evidence.Finding) int { return cmp.Compare(a.Index, b.Index) })
}

// explains reports whether a finding about entries tells why the bytes of a bundle are
// not as they should be.
func explains(f, d *evidence.Finding) bool {
	switch f.Cause {
	case evidence.TimeReversed:
		return false
	case evidence.Inserted, evidence.Deleted, evidence.Reordered, evidence.Truncated:
		if f.Index/evidence.TileWidth == d.Index/evidence.TileWidth {
			return true // what is behind it in the bundle stands in another place
		}
	}
	return f.Index < d.Index+max(d.Count, 1) && d.Index < f.Index+max(f.Count, 1)
}

// compareRoots compares the tree with the checkpoint, and with the one that was kept
// from before. entries is what is wrong with the entries.
func (c *checker) compareRoots(entries []evidence.Finding) {
	r := c.report
	right := c.vouched || c.whole && c.tree.Root() == r.Root
	alike := r.Minimum                      // the tree up to here is what was signed before
	if c.since != nil && c.since.Size > 0 { // every tree begins with the empty one
		differs := c.sinceRoot != nil && *c.sinceRoot != c.since.Root
		damaged := slices.ContainsFunc(entries, func(f evidence.Finding) bool { return f.Index < c.since.Size })
		switch {
		case c.since.Size < r.Minimum:
			c.found(evidence.Unreadable, c.since.Size, 0, checkpointPath, fmt.Sprintf("the log cannot be compared with the checkpoint of %d entries kept from before: the entries around it were pruned; one of %d entries or more can", c.since.Size, r.Minimum))
		case differs && (right && !c.doubtful || !damaged):
			c.found(evidence.Forked, 0, c.since.Size, checkpointPath, fmt.Sprintf("the checkpoint of %d entries kept from before has another root than the log has at that size", c.since.Size))
		case c.sinceRoot != nil && !differs:
			alike = c.since.Size
		}
	}
	if !right && len(entries) == 0 {
		c.found(evidence.Altered, alike, r.Size-alike, checkpointPath, "the entries do not have the root that it names")
	}
}
